"""Bad input is one clear line: *name (value) must …; got …; because …; do …*."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave cannot be used; the message is one line and says what to do."""

    def __init__(self, name: str, value: object, *, must: str, got: str, because: str, do: str):
        self.name = name
        got = _short(got, 500)
        self.detail = f"({_short(value)}) must {must}; got {got}; because {because}; do: {do}"
        super().__init__(f"{name} {self.detail}")

    def as_flag(self) -> str:
        """The message with the name spelled as a command-line flag (``--bias-std``)."""
        return f"--{self.name.replace('_', '-')} {self.detail}"


class IncompleteRunError(RuntimeError):
    """A run could not measure everything it was asked to; what was measured is kept."""


def unknown_name(name: str, value: str, allowed: Iterable[str], because: str) -> InputError:
    """The error for a name that is not in a catalogue, with the nearest match."""
    allowed = tuple(allowed)
    near = difflib.get_close_matches(value.lower(), allowed, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose {allowed[1 % len(allowed)]!r}, say"
    return InputError(
        name,
        value,
        must=f"be one of {', '.join(allowed)}",
        got=repr(value),
        because=because,
        do=hint,
    )


def _short(value: object, limit: int = 80) -> str:
    text = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
