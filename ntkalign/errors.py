"""Bad input is one clear line: *name (value) must …; got …; because …; do …*."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MOST_NAMES = 24
"""A list of more names than this is not told in full."""
LONGEST, LEAST_GOT = 300, 100
"""Characters of a line, and of what was got where the rest leaves it less."""
BEFORE = "ntkalign experiment: --"
"""What the command line puts before a line, at its longest."""
PACKAGE = str(Path(__file__).parent)
INSTALLED = ("site-packages", "dist-packages", str(Path(difflib.__file__).parent))


class InputError(ValueError):
    """Something the user gave cannot be used; the message is one line and says what to do."""

    def __init__(self, name: str, value: object, *, must: str, got: str, because: str, do: str):
        self.name = name
        rest = f"({shortened(value)}) must {must}; got ; because {because}; do: {do}"
        got = shortened(got, max(LEAST_GOT, LONGEST - len(rest) - len(name) - len(BEFORE)))
        self.detail = f"({shortened(value)}) must {must}; got {got}; because {because}; do: {do}"
        super().__init__(f"{name} {self.detail}")

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is: what it was made of is not kept."""
        return _told_again, (type(self), self.name, self.detail)

    def as_flag(self) -> str:
        """The message with the name spelled as a command-line flag (``--bias-std``)."""
        return f"--{self.name.replace('_', '-')} {self.detail}"


def _told_again(kind: type[InputError], name: str, detail: str) -> InputError:
    error = kind.__new__(kind, f"{name} {detail}")
    error.name, error.detail = name, detail
    return error


class IncompleteRunError(RuntimeError):
    """A run could not measure everything it was asked to; what was measured is kept."""


def unknown_name(name: str, value: str, allowed: Iterable[str], because: str) -> InputError:
    """The error for a name that is not in a catalogue, with the nearest match."""
    allowed = tuple(allowed)
    near = difflib.get_close_matches(value.lower(), allowed, n=1, cutoff=0.5)
    names = ", ".join(allowed)
    if len(allowed) > MOST_NAMES:  # the nearest, so that what to do is not lost behind the others
        nearest = difflib.get_close_matches(value.lower(), allowed, n=5, cutoff=0.0)
        names = f"{', '.join(nearest)}, or another of {len(allowed)} names"
    hint = f"did you mean {near[0]!r}?" if near else f"choose {allowed[1 % len(allowed)]!r}, say"
    return InputError(
        name,
        value,
        must=f"be one of {names}",
        got=shortened(repr(value), 30),
        because=because,
        do=hint,
    )


def shortened(value: object, limit: int = 80) -> str:
    """A value as one line of at most so many characters."""
    text = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def said_by(error: BaseException) -> str:
    """The text of an error, whatever its class makes of it; its type where it says nothing."""
    try:
        text = str(error)
    except Exception:  # of a class of the user's own
        text = ""
    return text or type(error).__name__


def raised_in(error: BaseException) -> str:
    """Where in code that is neither this package's nor installed an error was raised.

    Returns:
        Such as "mine.py, line 3"; nothing if it passed through no such code.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        ours = frame.filename.startswith((PACKAGE, "<"))
        if not ours and not any(part in frame.filename for part in INSTALLED):
            return f"{Path(frame.filename).name}, line {frame.lineno}"
    return ""
