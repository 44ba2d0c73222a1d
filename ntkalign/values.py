"""Values as users give them, turned into plain ones or refused in one line.

NumPy's and JAX's numbers, arrays, ranges, lists, paths and strings mean what the plain values mean.
What only looks like one is refused: True for 1, "8" for 8, NaN, a string for a list of names.

Each function here makes a *check*: it takes the name of an argument and what was given for it, and
returns the plain value. A *setting* is a field of a dataclass that declares its check.
"""

from __future__ import annotations

import math
import operator
import os
import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import field
from numbers import Real
from pathlib import Path
from typing import Any

from ntkalign.errors import InputError, shortened, unknown_name

Check = Callable[[str, Any], Any]
LARGEST_COUNT = 2**63 - 1
"""What arrays can be indexed with."""

PLACE = re.compile(r"[/\\@~]|[a-z][\w.-]*:\d|\d+\.\d+\.\d+\.\d+", re.IGNORECASE)
"""What folders, addresses and hosts look like."""
HIDDEN = "(a place)"
"""Stands for a value that may name a host, a user or a folder."""


def whole(least: int, because: str, do: str, most: int = LARGEST_COUNT) -> Check:
    """A whole number of at least so much; counts beyond ``most`` would fill any memory."""

    def check(name: str, given: Any) -> int:
        value = _number(given)
        try:
            value = operator.index(value)
        except TypeError:
            raise _wrong(name, given, "be a whole number", because, do) from None
        if value < least:
            raise _wrong(name, value, f"be at least {least}", because, do)
        if value > most:
            raise _wrong(name, value, f"be at most {most}", "more could not be held", do)
        return int(value)

    return check


def real(must: str, holds: Callable[[float], bool], because: str, do: str) -> Check:
    """A number for which something holds (infinity and NaN are none); ``must`` says what."""

    def check(name: str, given: Any) -> float:
        value = _number(given)
        if not isinstance(value, Real):
            raise _wrong(name, given, "be a number", because, do)
        value = float(value)
        if not (math.isfinite(value) and holds(value)):
            raise _wrong(name, value, must, because, do)
        return value

    return check


def positive(because: str, do: str) -> Check:
    """A positive number."""
    return real("be positive and finite", lambda value: value > 0, because, do)


def optional(check: Check) -> Check:
    """None, or what the check lets through."""
    return lambda name, given: None if given is None else check(name, given)


def one_of(allowed: Iterable[str], because: str) -> Check:
    """One of these names."""
    allowed = tuple(allowed)

    def check(name: str, given: Any) -> str:
        if not isinstance(given, str) or given not in allowed:
            raise unknown_name(name, str(given), allowed, because)
        return str(given)

    return check


def several(check: Check, because: str, do: str) -> Check:
    """A tuple of what the check lets through, from anything that has an order."""

    def check_all(name: str, given: Any) -> tuple[Any, ...]:
        if (
            isinstance(given, str | bytes | Mapping | Set)
            or not isinstance(given, Iterable)
            or getattr(given, "ndim", 1) == 0
        ):
            raise _wrong(name, given, "be a list or a tuple", because, do)
        return tuple(check(name, item) for item in given)

    return check_all


def flag(name: str, given: Any) -> bool:
    """True or False; a word such as "no" would be taken for True."""
    value = given.item() if hasattr(given, "item") and getattr(given, "ndim", 1) == 0 else given
    if not isinstance(value, bool):
        raise _wrong(name, given, "be True or False", "nothing is guessed", "pass True or False")
    return value


def function(name: str, given: Any) -> Any:
    """Something that can be called."""
    if not callable(given):
        raise _wrong(name, given, "be a function", "it is called", "pass a function")
    return given


def text(name: str, given: Any) -> str:
    """A name, or the path of a file."""
    if not isinstance(given, str | os.PathLike):
        raise _wrong(name, given, "be a name or a path", "it is looked up", "pass a string")
    return str(os.fspath(given))


def folder(name: str, given: Any) -> Path:
    """The path of a folder."""
    return Path(text(name, given))


def name_of(path: str | Path) -> str:
    """What a report says of a file or a folder: its name, and not where it lies."""
    return Path(os.path.abspath(path)).name


def placeless(text: str) -> str:
    """A value without hosts, users or folders; words that are none stay as they are."""

    def shown(word: str) -> str:
        if not PLACE.search(word):
            return word
        flag, equals, _ = word.partition("=")
        return flag + equals + HIDDEN if equals and not PLACE.search(flag) else HIDDEN

    return " ".join(map(shown, text.split(" ")))


def setting(default: Any, check: Check, help: str, metavar: str | None = None) -> Any:
    """One setting.

    Args:
        default: what it is if it is not given.
        check: what it may be.
        help: what it is, with its unit.
        metavar: how help shows its value; None keeps it off the command line.

    Returns:
        A dataclass field with the default; its metadata hold the rest.
    """
    return field(default=default, metadata={"check": check, "help": help, "metavar": metavar})


def _number(given: Any) -> Any:
    """NumPy's and JAX's scalars as plain ones; None for what is no number, True among them."""
    if getattr(given, "ndim", None) == 0 and hasattr(given, "item"):
        given = given.item()
    return None if isinstance(given, bool | str) else given


def _wrong(name: str, given: Any, must: str, because: str, do: str) -> InputError:
    return InputError(
        name, given, must=must, got=shortened(repr(given), 60), because=because, do=do
    )


A_STD = real("be at least 0", lambda v: v >= 0, "it is a standard deviation", "pass 0")
A_SCALE = positive("the output is multiplied by it", "leave it out: it is 1 then")
"""Of networks: β, the standard deviation of biases at time 0, and α, the factor on the output."""
