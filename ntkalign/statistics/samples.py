"""Measurements at several widths, checked where they enter.

Everything here has one purpose: a number, a list or an option that is not what its name says is
refused in one line. Nothing is dropped, nothing is taken for a default. Plain numbers and NumPy's,
lists, arrays and ranges are all the same.
"""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ntkalign.errors import InputError

LEAST_WIDTHS, LEAST_SEEDS = 3, 2
"""Two points lie on any power law, and intervals come from seeds."""
NO_NUMBERS = "bcmMSU"
"""NumPy's kinds that are no real numbers, though float() takes some: truth values, dates, texts."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Positive numbers for several widths and seeds; by :meth:`of` they are known to be that.

    Attributes:
        widths: at least three, increasing.
        logs: for each width the logarithm of one value per seed, at least two.
        errors: for each width, the largest numerical error as a share of a value.
        shared: whether the i-th values of all widths share noise.
    """

    widths: tuple[int, ...]
    logs: tuple[Float[np.ndarray, " seeds"], ...]
    errors: Float[np.ndarray, " widths"]
    shared: bool

    @classmethod
    def of(
        cls,
        widths: Iterable[int],
        values: Iterable[Any],
        errors: Iterable[float] | None = None,
        *,
        shared: bool = False,
        least: int = LEAST_SEEDS,
    ) -> Samples:
        """Check measurements.

        Args:
            widths: at least three, increasing.
            values: for each width one positive value per seed, at least two.
            errors: for each width, the largest numerical error as a share of a value; none if None.
            shared: whether the i-th values of all widths share noise.
            least: how many values a width must have.

        Returns:
            The logarithms of the values, and errors of 0 if none are given.

        Raises:
            InputError: if they are anything else.
        """
        checked = checked_widths(widths)
        rows = checked_values("values", values, checked, least)
        if checked_flag("shared", shared) and len({len(row) for row in rows}) > 1:
            counts = [len(row) for row in rows]
            raise InputError(
                "values", counts, must="be the same number at each width", got=f"{counts} values",
                because="with shared=True the i-th values of all widths are of one seed",
                do="drop the seeds that some widths lack, or pass shared=False",
            )  # fmt: skip
        logs = tuple(np.log(row) for row in rows)
        wrong = np.zeros(len(checked))
        if errors is not None:
            why = "it is the largest share of a value that may be wrong"
            wrong = checked_per_width("errors", errors, why, len(checked))
        return cls(checked, logs, wrong, bool(shared))

    def after(self, skip: int) -> Samples:
        """Without the first widths."""
        return Samples(self.widths[skip:], self.logs[skip:], self.errors[skip:], self.shared)


def checked_widths(widths: Iterable[int]) -> tuple[int, ...]:
    """At least three positive whole numbers that increase.

    Returns:
        The widths as ``int``.

    Raises:
        InputError: if they are anything else.
    """
    given = _listed(widths)
    floats = [real_number(w) for w in given]
    whole = [int(w) for w in floats if w is not None and w.is_integer() and w > 0]
    rises = all(a < b for a, b in itertools.pairwise(whole))
    if len(whole) < max(len(given), LEAST_WIDTHS) or not rises:
        raise InputError(
            "widths", given or widths,
            must=f"be at least {LEAST_WIDTHS} positive whole numbers that increase",
            got=shown(given or widths), because="two points lie on any power law",
            do="pass (64, 256, 1024), say",
        )  # fmt: skip
    return tuple(whole)


def checked_share(name: str, value: object, why: str, example: float) -> float:
    """A number between 0 and 1, neither of them.

    Args:
        name: of the argument.
        value: as given.
        why: it has to be one.
        example: of such a number.

    Returns:
        The number as ``float``.

    Raises:
        InputError: if it is anything else.
    """
    number = real_number(value)
    if number is None or not 0 < number < 1:
        raise InputError(
            name, value, must="lie between 0 and 1, and be neither", got=shown(value), because=why,
            do=f"pass {example:g}, say",
        )  # fmt: skip
    return number


def checked_values(
    name: str,
    values: Iterable[Any],
    widths: Sequence[int],
    least: int = LEAST_SEEDS,
    *,
    zero: bool = False,
) -> list[np.ndarray]:
    """One array of positive, finite values for each width.

    Args:
        name: of the argument.
        values: as given.
        widths: checked ones.
        least: how many values a width must have.
        zero: whether 0 is allowed.

    Returns:
        As many arrays as widths, in float64, each with one value per seed.

    Raises:
        InputError: if they are anything else.
    """
    rows = [_row(name, row) for row in _listed(values)]
    counts = [len(row) for row in rows]
    if len(rows) != len(widths) or min(counts) < least:
        raise InputError(
            name, counts, must=f"have {least} seed{'s' * (least > 1)} or more at each width",
            got=f"{counts} values at {len(widths)} widths", because="intervals come from seeds",
            do=f"give one list for each width, with {least} value{'s' * (least > 1)} or more",
        )  # fmt: skip
    for width, row in zip(widths, rows, strict=True):
        bad = row[~(np.isfinite(row) & (row >= 0 if zero else row > 0))]
        if len(bad):
            raise InputError(
                name, float(bad[0]), must=f"be positive {'or 0 ' * zero}and finite",
                got=f"{bad[0]} at width {width}", because="an exponent is read off logarithms",
                do="pass a norm" + ", or drop zeros" * (not zero),
            )  # fmt: skip
    return rows


def checked_confidence(confidence: object) -> float:
    """A probability; 95 is none.

    Returns:
        The probability as ``float``.

    Raises:
        InputError: if it is anything else.
    """
    return checked_share("confidence", confidence, "it is a probability, not a percentage", 0.95)


def checked_spend(spend: object) -> float:
    """The share of all error probabilities that a look may use: above 0, at most 1.

    Returns:
        The share as ``float``.

    Raises:
        InputError: if it is anything else.
    """
    number = real_number(spend)
    if number is None or not 0 < number <= 1:
        raise InputError(
            "spend", spend, must="be above 0 and at most 1", got=shown(spend),
            because="it is a share of the error probabilities", do="pass 1 for a single look",
        )  # fmt: skip
    return number


def checked_flag(name: str, value: object) -> bool:
    """True or False; a word such as "no" would be taken for True.

    Returns:
        The flag as ``bool``, also if NumPy's was given.

    Raises:
        InputError: if it is anything else.
    """
    if not isinstance(value, bool | np.bool_):
        raise InputError(
            name, value, must="be True or False", got=shown(value),
            because="anything else would be guessed at", do=f"pass {name}=True or {name}=False",
        )  # fmt: skip
    return bool(value)


def checked_count(name: str, value: object, least: int, why: str, example: int) -> int:
    """A whole number that is large enough.

    Args:
        name: of the argument.
        value: as given.
        least: it may be.
        why: it has to be so large.
        example: of such a number.

    Returns:
        The number as ``int``.

    Raises:
        InputError: if it is anything else.
    """
    number = real_number(value)
    if number is None or not number.is_integer() or number < least:
        raise InputError(
            name, value, must=f"be a whole number, at least {least}", got=shown(value),
            because=why, do=f"pass {name}={example}, say",
        )  # fmt: skip
    return int(number)


def checked_number(name: str, value: object, why: str, example: float) -> float:
    """A finite number.

    Args:
        name: of the argument.
        value: as given.
        why: it has to be one.
        example: of such a number.

    Returns:
        The number as ``float``.

    Raises:
        InputError: if it is anything else.
    """
    number = real_number(value)
    if number is None or not math.isfinite(number):
        raise InputError(
            name, value, must="be a finite number", got=shown(value), because=why,
            do=f"pass {example:g}, say",
        )  # fmt: skip
    return number


def real_number(value: object) -> float | None:
    """A real number, Python's, NumPy's or an array without axes; None if it is no number."""
    if isinstance(value, bool | np.bool_ | str | bytes):
        return None
    try:
        if isinstance(value, numbers.Real):
            return float(value)
        array = np.asarray(value)
        return float(array) if array.ndim == 0 and array.dtype.kind not in NO_NUMBERS else None
    except (TypeError, ValueError, OverflowError):
        return None


def number_list(values: object) -> np.ndarray | None:
    """A list of numbers as floats; None if it is none."""
    try:
        array = np.asarray(values)
        right = array.ndim == 1 and array.dtype.kind not in NO_NUMBERS
        return array.astype(float) if right else None
    except (TypeError, ValueError, OverflowError):
        return None


def shown(value: object) -> str:
    """A value as one short line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:59] + "…"


def _row(name: str, row: object) -> np.ndarray:
    """The values at one width."""
    array = number_list(row)
    if array is None:
        raise InputError(
            name, shown(row), must="be one list of numbers for each width", got=shown(row),
            because="an exponent is fitted to one number per width and seed",
            do="give [[value of seed 0, of seed 1, …] at the first width, …]",
        )  # fmt: skip
    return array


def checked_per_width(
    name: str, values: Iterable[float], why: str, count: int | None = None
) -> np.ndarray:
    """One finite number for each width, none below 0.

    Args:
        name: of the argument.
        values: as given.
        why: what it is for.
        count: how many widths there are; any number if None.

    Returns:
        The numbers in float64.

    Raises:
        InputError: if they are anything else.
    """
    given = _listed(values)
    floats = [real_number(v) for v in given]
    known = [v for v in floats if v is not None and math.isfinite(v) and v >= 0]
    if not known or len(known) != len(given) or count not in (None, len(given)):
        of = "" if count is None else f" for {count} widths"
        raise InputError(
            name, given or values, must="be one finite number for each width, none below 0",
            got=f"{shown(given or values)}{of}", because=why, do="pass None if nothing is known",
        )  # fmt: skip
    return np.array(known)


def _listed(values: Iterable[Any]) -> list[Any]:
    """What is in a sequence; nothing if it is none."""
    try:
        return list(values)
    except TypeError:
        return []
