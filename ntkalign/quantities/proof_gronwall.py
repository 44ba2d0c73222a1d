"""Proposition 2, step by step: the Grönwall argument along two trajectories.

f is trained by gradient descent, f_* by another rule from the same start. With J_* the Jacobian
that the rule uses in place of ∇f_*, e = y − f, and everything at one time,

    df_*/dt = η ∇f_*ᵀ E[J_* (y − f_*)]                                                       (47)
    Δ_1 = ∇f_* − ∇f,   Δ_2 = J_* − ∇f,   u = max_x ‖f_* − f‖                                  (53)
    df_*/dt − df/dt = η Δ_1ᵀE[J_* e] + η ∇fᵀE[Δ_2 e] + η ∇f_*ᵀE[J_* (f − f_*)]                (48)
    β = η (‖∇f‖ + ‖Δ_1‖)(‖∇f‖ + ‖Δ_2‖)                                                        (52)
    u ≤ α + ∫ β u ≤ α exp ∫ β                                                           (54), (55)

The terms of (48) need kernels K = ∇fᵀJ between points only, which inner products of activities and
of feedback give; so do the norms of Δ_1 and Δ_2. No Jacobian by parameters is formed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow.initial_state import Observations
from ntkalign.flow.trajectory import Flow
from ntkalign.kernels.empirical import Factors, rule_kernel
from ntkalign.networks.base import Network
from ntkalign.networks.jacobians import (
    activity_rows,
    feedback_by_output,
    jacobian_distance,
    jacobian_norm,
)
from ntkalign.precision import in_float64
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.proof import EARLY, LARGEST, Side, compare
from ntkalign.quantities.proof_time import Integral
from ntkalign.quantities.series import ESTIMATE_FACTOR, ROUNDING, Series

Rows = tuple[np.ndarray, ...]


class Moment(NamedTuple):
    """A network at one time: feedback (1, C, P, m_l) and activities (1, P, m_{l−1}) by layer."""

    feedback: Rows
    activities: Rows
    used_feedback: Rows
    used_activities: Rows
    error: Float[np.ndarray, "P C"]

    @property
    def true(self) -> tuple[Rows, Rows]:
        """∇_θ f."""
        return self.feedback, self.activities

    @property
    def used(self) -> tuple[Rows, Rows]:
        """J."""
        return self.used_feedback, self.used_activities


class Sides(NamedTuple):
    """What one time contributes; vectors are per point, (P, C)."""

    difference: np.ndarray  # f_* − f
    velocity: np.ndarray  # its derivative
    moves: np.ndarray  # df_*/dt and df/dt, (2, P, C)
    terms: tuple[float, ...]  # of (48): each largest over x; the sum's largest
    jacobian: float  # max_x ‖∇f‖
    delta_1: float
    delta_2: float
    error: float  # max_x ‖y − f‖


def moments(flow: Flow, now: Observations) -> Iterator[Moment]:
    """The network at time 0 and at the saved times.

    Args:
        flow: by any rule.
        now: what is observed at its saved times.

    Yields:
        Feedback and activities, the true ones and those that the rule uses, and y − f.
    """
    start, (used, using) = flow.initial.observations, used_at_start(flow)
    output = np.asarray(flow.output)
    yield Moment(start.jacobian, start.activities, used, using, flow.y - flow.initial.output)
    for i, f in enumerate(output):
        one = slice(i, i + 1)
        g, h, own_g, own_h = (
            tuple(a[one] for a in rows)
            for rows in (now.jacobian, now.activities, now.rule_feedback, now.rule_activities)
        )
        yield Moment(g, h, own_g, own_h, flow.y - f)


@in_float64
def used_at_start(flow: Flow) -> tuple[Rows, Rows]:
    """What the rule uses at time 0 in place of the true feedback and activities."""
    first = flow.initial.first
    first = replace(first, weights=tuple(jnp.asarray(w, jnp.float64) for w in first.weights))
    rule, fixed = flow.rule, jax.tree.map(_double, flow.problem.constants(flow.rule))
    feedback = feedback_by_output(first, partial(rule.feedback, first, first, fixed))
    activities = activity_rows(flow.network, rule.activity(first, first))
    rows = (tuple(np.asarray(a)[None] for a in group) for group in (feedback, activities))
    return next(rows), next(rows)


def sides_at(network: Network, normal: Moment, other: Moment) -> Sides:
    """(48) and (49) at one time.

    Args:
        network: the architecture.
        normal: f, by gradient descent.
        other: f_*, by another rule.

    Returns:
        All that both lines of (49) are made of.
    """
    share = network.rate / len(normal.error)

    def moved(seen: tuple[Rows, Rows], used: tuple[Rows, Rows], e: np.ndarray) -> np.ndarray:
        """η ∇fᵀ E[J e], (P, C)."""
        kernel = rule_kernel(network, _factors(*seen), _factors(*used))
        return (share * kernel @ e.ravel()).reshape(e.shape)

    e, e_other = normal.error, other.error
    of_other = moved(other.true, other.used, e)
    mixed, own = moved(normal.true, other.used, e), moved(normal.true, normal.used, e)
    last = moved(other.true, other.used, e_other - e)  # f − f_* = (y − f_*) − (y − f)
    terms = [np.linalg.norm(term, axis=1) for term in (of_other - mixed, mixed - own, last)]
    return Sides(
        difference=e - e_other,
        velocity=(of_other - mixed) + (mixed - own) + last,
        moves=np.stack([of_other + last, own]),
        terms=(*(float(t.max()) for t in terms), float(sum(terms).max())),
        jacobian=float(jacobian_norm(network, normal.true)[0]),
        delta_1=float(jacobian_distance(network, other.true, normal.true)[0]),
        delta_2=float(jacobian_distance(network, other.used, normal.true)[0]),
        error=float(np.linalg.norm(e, axis=1).max()),
    )


def measure_gronwall(seen: Observed) -> Series:
    """(47)–(55) for one rule beside gradient descent."""
    flow, normal = seen.flow, seen.references["normal"]
    network, integral = flow.network, Integral.of(flow.times)
    found = [
        sides_at(network, a, b)
        for a, b in zip(
            moments(normal, normal.observations), moments(flow, seen.over_time()), strict=True
        )
    ]
    jacobian, delta_1, delta_2, error = (
        np.array([getattr(s, name) for s in found])
        for name in ("jacobian", "delta_1", "delta_2", "error")
    )
    terms = np.array([s.terms for s in found]).T
    difference, velocity = (np.stack([getattr(s, n) for s in found])
                            for n in ("difference", "velocity"))  # fmt: skip
    apart, speed = np.linalg.norm(difference, axis=2), np.linalg.norm(velocity, axis=2)
    growing = np.sum(difference * velocity, axis=2)[1:] / np.where(apart == 0, 1.0, apart)[1:]
    u, fastest = apart.max(axis=1), speed.max(axis=1)
    eta = network.rate
    force = eta * (delta_1 * (jacobian + delta_2) + jacobian * delta_2) * error  # (51)
    beta = eta * (jacobian + delta_1) * (jacobian + delta_2)  # (52)
    alpha, grown, exponent = (_from_start(integral, v) for v in (force, beta * u, beta))
    factor = np.exp(np.minimum(exponent.value, 690.0))
    off = alpha.error + alpha.value * exponent.error
    bound = Side(*(np.minimum(v * factor, LARGEST) for v in (alpha.value, off)))
    apart_now, speed_now, sum_now = (Side(v[1:]) for v in (u, fastest, terms[3]))
    both = alpha.plus(grown)
    series: Series = {}
    for name, left, right in (
        ("49-1", Side(growing.max(axis=1)), speed_now),
        ("49-2", speed_now, sum_now),
        ("49-3", sum_now, Side((force + beta * u)[1:])),
        ("54", apart_now, both),
        ("50-printed", apart_now, Side(alpha.value + (beta * u)[1:], alpha.error)),
        ("55", apart_now, bound),
        ("54-without-alpha", apart_now, grown),
        ("55-without-exp", apart_now, alpha),
    ):
        series |= compare(name, None, left, right, EARLY)
    rates = np.max(growing / np.where(speed[1:] == 0, 1.0, speed[1:]), axis=1)[EARLY:]
    series[None, "49-1-share"] = rates, np.full(len(rates), ROUNDING)  # of each x by itself
    for name, values in (("delta-1", delta_1), ("delta-2", delta_2),
                         ("term-1", terms[0]), ("term-2", terms[1])):  # fmt: skip
        series[None, name] = values[1:], ROUNDING * jacobian[1:]
    for name, side in (("alpha", alpha), ("gronwall-exponent", exponent)):
        series[None, name] = side.value, np.broadcast_to(side.error, side.value.shape)
    series[None, "output-identity"] = _identity_47(flow, normal, found, integral)
    return series


def _identity_47(
    flow: Flow, normal: Flow, found: list[Sides], integral: Integral
) -> tuple[np.ndarray, np.ndarray]:
    """How far f^0 + ∫df/dt is from f^T, for both networks, over ‖f^T − f^0‖; and its error."""
    fine, coarse = integral.weights
    moves = np.stack([s.moves for s in found])  # (n, 2, P, C)
    ends = np.stack([np.asarray(f.output)[-1] - f.initial.output for f in (flow, normal)])
    made = np.tensordot(fine[-1], moves, 1)
    size = float(np.linalg.norm(ends, axis=2).max()) or np.nan
    off = float(np.linalg.norm(made - ends, axis=2).max()) / size
    rough = float(np.abs(made - np.tensordot(coarse[-1], moves[::2], 1)).max()) / size
    estimate = max(f.effort.share for f in (flow, normal))
    largest = max(s.error for s in found)
    allowed = rough + (ESTIMATE_FACTOR * estimate + ROUNDING) * max(1.0, largest / size)
    return np.array([off]), np.array([allowed])


def _from_start(integral: Integral, values: np.ndarray) -> Side:
    whole, error = integral(values)
    return Side(whole[1:], error[1:])


def _double(leaf: Array) -> Array:
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def _factors(feedback: Rows, activities: Rows) -> Factors:
    """Rows (C·P, m_l) and (P, m_{l−1}) of one time."""
    return Factors(
        tuple(h[0] for h in activities), tuple(g[0].reshape(-1, g.shape[-1]) for g in feedback)
    )
