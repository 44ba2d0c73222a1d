"""What checks of a part found: which it passed, which were left out and why, and what to mend.

A check is a function that raises AssertionError where the part is not what it must be, and returns
nothing, or why it was left out. All faults are told at once, each in one line: *name (value) must
…; got …; because …; do …*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from ntkalign.errors import InputError, raised_in

NARROW = ("float32", "float16", "bfloat16", "complex64")
"""Types that hold fewer digits than float64."""


@dataclass(frozen=True)
class Outcome:
    """Of all checks of a part.

    Attributes:
        part: what was checked.
        passed: names of checks.
        skipped: names of checks that were left out, each with its reason.
    """

    part: str
    passed: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        lines = [f"{self.part}: {len(self.passed)} checks passed, {len(self.skipped)} left out"]
        lines += [f"  passed    {name}" for name in self.passed]
        lines += [f"  left out  {name}: {reason}" for name, reason in self.skipped]
        return "\n".join(lines)


@dataclass
class Examination:
    """The checks of a part, one after the other.

    Attributes:
        part: what is checked.
    """

    part: str
    _passed: list[str] = field(default_factory=list)
    _skipped: list[tuple[str, str]] = field(default_factory=list)
    _faults: list[str] = field(default_factory=list)

    def check(self, name: str, what: Callable[[], str | None]) -> bool:
        """Run one check.

        Args:
            name: of the check.
            what: raises AssertionError for a fault; returns why it was left out, or None.

        Returns:
            Whether there is no fault.
        """
        try:
            reason = what()
        except AssertionError as fault:
            self._faults.append(f"{name}: {fault}")
            return False
        except Exception as error:
            place = raised_in(error)
            said = f"{type(error).__name__}: {error}".removesuffix(": ")
            said += f" ({place})" * bool(place)
            self._faults.append(
                f"{name}: "
                + said_so(
                    self.part, "run", said, "it is called like this in a run", "mend it there"
                )
            )
            return False
        if reason is None:
            self._passed.append(name)
        else:
            self._skipped.append((name, reason))
        return True

    @property
    def clean(self) -> bool:
        """Whether no fault was found yet."""
        return not self._faults

    def skip(self, name: str, reason: str) -> None:
        """Leave a check out."""
        self._skipped.append((name, reason))

    def outcome(self) -> Outcome:
        """What was found.

        Returns:
            The checks.

        Raises:
            AssertionError: if there is a fault; it tells all of them.
        """
        if self._faults:
            raise AssertionError("\n".join(self._faults))
        return Outcome(self.part, tuple(self._passed), tuple(self._skipped))


def said_so(part: str, must: str, got: str, because: str, do: str) -> str:
    """A fault in one line, in the words of all errors."""
    return str(InputError(part, "", must=must, got=got, because=because, do=do)).replace(" ()", "")


def demand(holds: Any, part: str, must: str, got: str, because: str, do: str) -> None:
    """Raise a fault unless something holds.

    Raises:
        AssertionError: in one line that says what to mend.
    """
    if not bool(holds):
        raise AssertionError(said_so(part, must, got, because, do))


def distance(found: Any, expected: Any) -> float:
    """The largest difference of two arrays as a share of the second's largest entry."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if not found.size:
        return 0.0
    size = float(np.abs(expected).max())
    apart = float(np.abs(found - expected).max())
    return apart / size if size else apart


def narrow_arrays(function: Callable[..., Any], *args: Any) -> set[str]:
    """Types narrower than float64 that occur in what a function computes, constants included.

    Args:
        function: that JAX can trace.
        args: float64 arrays.

    Returns:
        Names of the types; empty if all is in float64.
    """
    closed = jax.make_jaxpr(function)(*args)
    types = {str(getattr(c, "dtype", "")) for c in closed.consts}
    return {t for t in types | _types_in(closed.jaxpr) if t in NARROW}


def _types_in(jaxpr: Any) -> set[str]:
    found: set[str] = set()
    for equation in jaxpr.eqns:
        found |= {str(getattr(v.aval, "dtype", "")) for v in equation.outvars}
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    found |= _types_in(inner)
    return found
