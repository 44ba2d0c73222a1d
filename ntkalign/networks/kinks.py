"""Where an activation has kinks: points at which its slope jumps.

ReLU's slope jumps at 0 from 0 to 1. A solver in time has to know such points, since a unit whose
preactivation crosses one changes its feedback at once. They are looked for by bisection, so that
nobody has to declare them for an activation of their own.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ntkalign.precision import in_float64

REACH = 8.0
"""Kinks are looked for between −REACH and REACH: preactivations are of order one."""
POINTS = 4096
JUMP = 1e-3
"""A smaller jump of the slope, as a share of its largest value, is none."""


@in_float64
def kinks_of(function: Callable[[Array], Array]) -> tuple[float, ...]:
    """The points at which the slope of an elementwise function jumps, in increasing order.

    Args:
        function: elementwise, differentiable by JAX almost everywhere.

    Returns:
        The points, found to 1e-14; none of a smooth function.
    """

    def slope(places: np.ndarray) -> np.ndarray:
        z = jnp.asarray(places)
        return np.asarray(jax.jvp(function, (z,), (jnp.ones_like(z),))[1])

    # no grid point is a round number, where kinks usually are
    ends = np.linspace(-REACH, REACH * (1 + 1 / np.pi**6), POINTS)
    left, right = ends[:-1], ends[1:]
    at_left, at_right = slope(left), slope(right)
    least = JUMP * float(np.max(np.abs(at_left), initial=1e-300))
    for _ in range(60):  # the half with the larger jump; a smooth change shrinks with the interval
        far = np.abs(at_right - at_left) > least
        left, right, at_left, at_right = (a[far] for a in (left, right, at_left, at_right))
        middle = (left + right) / 2
        halfway = slope(middle)
        lower = np.abs(halfway - at_left) > np.abs(at_right - halfway)
        left, at_left = np.where(lower, left, middle), np.where(lower, at_left, halfway)
        right, at_right = np.where(lower, middle, right), np.where(lower, halfway, at_right)
    found = np.where(np.abs(left + right) < 1e-12, 0.0, (left + right) / 2)
    return tuple(float(z) for z in np.unique(np.round(found, 14)))
