"""Values over time with bounds on their errors, and one number for all of them.

A *series* is what measuring a flow gives: for a quantity of a layer, its value at each saved time
and a bound on the error that the measuring itself adds (truncated factors, rounding). Claims are
about the supremum over time; the error of the flow itself is found from a second flow at a looser
tolerance. A number is known *well enough* if it could not be wrong by more than a third of a per
cent, or if a more accurate flow could not mend it.
"""

from __future__ import annotations

import math

import numpy as np

ROUNDING = 1e-13
"""Bound on accumulated float64 rounding, as a share of the terms that are subtracted."""

ESTIMATE_FACTOR = 3.0
"""How far a quantity's relative error may exceed the flow's own estimate."""

NEEDED = 1 / 300
"""The error that claims need, as a share of the value; three times as much forbids a verdict."""
BY_FLOW = 0.1
"""A flow adds nothing to speak of if it adds less than this share of what the measuring adds."""
ZERO = 1e-12
"""Below this a quantity is zero: all are normalised so that order one is their natural size."""
ZERO_ERROR = 1000 * ZERO
"""A quantity that is zero is known well enough with this error."""

Name = tuple[int | None, str]
"""(layer, or None for the whole network; quantity)."""
Series = dict[Name, tuple[np.ndarray, np.ndarray]]
"""Name → (values, error bounds), each of shape (n,)."""
Numbers = dict[Name, tuple[float, float]]
"""Name → value, error."""


def supremum(fine: Series, coarse: Series, estimate: float | None = None) -> Numbers:
    """The sup over the saved times, with its numerical error.

    The error is the largest difference between a flow and one at a looser tolerance (which
    bounds the error of the looser one), plus what the measuring itself adds, plus what the
    flow says of itself.

    Args:
        fine: quantities of the flow.
        coarse: those of the looser flow; a quantity may be missing if there is an estimate.
        estimate: the flow's own estimate of its relative error, if it has one.

    Returns:
        Value and error by name.
    """
    result = {}
    for name, (values, bounds) in fine.items():
        error = ESTIMATE_FACTOR * (estimate or 0.0) * values.max() + bounds.max()
        if name in coarse or estimate is None:
            error += np.abs(values - coarse[name][0]).max()
        result[name] = float(values.max()), float(error)
    return result


def well_enough(value: float, error: float, bound: float, size: float = 0.0) -> bool:
    """Whether a number is known as well as claims need it, or as well as any flow would tell it.

    Args:
        value: the number.
        error: its error.
        bound: how much of that the measuring adds, whatever the flow.
        size: what claims compare the number with, if that is larger than the number.

    Returns:
        Whether a more accurate flow is not worth its while.
    """
    if math.isnan(value):  # nothing moves there, by any flow
        return True
    if error <= NEEDED * max(abs(value), size):
        return True
    if abs(value) <= ZERO and error <= ZERO_ERROR:
        return True
    return error - bound <= BY_FLOW * bound
