"""What the claims are about, measured on a flow at every saved time.

Each function returns *series*: for a quantity of a layer, its value at each saved time and a
bound on the error that the measuring itself adds (truncated factors, rounding). The error of the
flow is found by measuring a second flow at a looser tolerance; see :func:`supremum`.

Notation (equation numbers are the paper's): A_l = W_l^t − W_l^0 is the weight change, and

    B_l = W*_l − W_l^0 = 1/√m_{l−1} E[∇_{z_l} f^0 δ σ(z_{l−1}^0)ᵀ],   W̃_l = A_l − B_l    (13), (39)
    Δ_l = A_lᵀ A_l    (2),        Σ_l / m_{l−1} = B_lᵀ B_l    (12), (43)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow import Flow, together
from ntkalign.lowrank import LowRank, compress, gram_difference_norm, gram_inner, gram_times
from ntkalign.networks import Network, Parameters, Pass, backpropagate
from ntkalign.rules import Rule

ROUNDING = 1e-13
"""Bound on accumulated float64 rounding, as a share of the terms that are subtracted."""

Series = dict[tuple[int | None, str], tuple[np.ndarray, np.ndarray]]
"""(layer or None, quantity) → (values, error bounds), each of shape (n,)."""


class Trace(NamedTuple):
    """Activities and Jacobians along a flow; item l−1 of a tuple belongs to layer l."""

    preactivations: tuple[np.ndarray, ...]  # z_l, (n, P, m_l)
    activities: tuple[np.ndarray, ...]  # σ(z_{l−1}), (n, P, m_{l−1})
    jacobian: tuple[np.ndarray, ...]  # ∇_{z_l} f, (n, P, m_l, C)
    rule_activities: tuple[np.ndarray, ...]  # the activity that the rule uses
    rule_feedback: tuple[np.ndarray, ...]  # the feedback that the rule uses, (n, P, m_l, C)


def feedback_jacobian(network: Network, now: Pass) -> tuple[Array, ...]:
    """∇_{z_l} f(x) for l = 1…N, each (P, m_l, C)."""
    return _columns(network, now, partial(backpropagate, now.weights, now.slopes))


def initial_trace(network: Network, start: Parameters, x: Array | np.ndarray) -> Trace:
    """The trace at time 0 alone (n = 1)."""
    groups = _initial_trace(network, start, jnp.asarray(x))
    return Trace(*(tuple(np.asarray(a)[None] for a in group) for group in groups))


def trace(flow: Flow, among: tuple[Rule, ...] = ()) -> Trace:
    """Activities and Jacobians at the saved times of a flow (``among`` as for the flow)."""
    rules = together(flow.rule, among)
    fixed = tuple(flow.fixed if r is flow.rule else r.draw(_ANY_KEY, flow.network) for r in rules)
    groups = _trace(
        flow.network, rules, rules.index(flow.rule), flow.start, flow.change, fixed, flow.x
    )
    return Trace(*(tuple(np.asarray(a) for a in group) for group in groups))


# --- Lemma 1 --------------------------------------------------------------------------------


def activation_drift(start: Trace, now: Trace) -> Series:
    """(19): √E‖(z_l^t − z_l^0)/√m_l‖² for l = 1…N−1."""
    series: Series = {}
    for layer, (z, z0) in enumerate(
        zip(now.preactivations[:-1], start.preactivations[:-1], strict=True), start=1
    ):
        values = np.sqrt(np.mean(np.sum((z - z0) ** 2, axis=-1), axis=-1) / z.shape[-1])
        series[layer, "activation-drift"] = _with_rounding(values, _rms(z0))
    return series


def weight_drift(flow: Flow) -> Series:
    """(20): ‖W_l^t − W_l^0‖_op/√m_{l−1} for l = 1…N."""
    series: Series = {}
    for layer, change in enumerate(flow.change, start=1):
        weights = np.asarray(change.weight)
        scale = math.sqrt(weights.shape[2])
        factors = [compress(weight, relative=1e-4) for weight in weights]
        values = np.array([a.norm() for a in factors])
        # ‖A‖² ≤ ‖QQᵀA‖² + ‖A − QQᵀA‖_F²: a projection's error enters squared
        upper = np.hypot(values, [a.residual for a in factors])
        series[layer, "weight-drift"] = values / scale, (upper - values) / scale + ROUNDING
    return series


def jacobian_drift(start: Trace, now: Trace) -> Series:
    """(21) ‖∇_θ f^t − ∇_θ f^0‖_op and (22) ‖J^t − ∇_θ f^0‖_op, the largest over x."""
    return {
        (None, "jacobian-drift"): _with_rounding(
            jacobian_distance(now.jacobian, now.activities, start.jacobian, start.activities)
        ),
        (None, "feedback-drift"): _with_rounding(
            jacobian_distance(
                now.rule_feedback, now.rule_activities, start.jacobian, start.activities
            )
        ),
    }


def jacobian_distance(
    feedback: Sequence[np.ndarray],
    activity: Sequence[np.ndarray],
    feedback0: Sequence[np.ndarray],
    activity0: Sequence[np.ndarray],
) -> Float[np.ndarray, " n"]:
    """max_x ‖J(x) − J⁰(x)‖_op over all weights and biases, at each time.

    J's block for W_l is (feedback_l,c activity_{l−1}ᵀ/√m_{l−1})_c and for b_l it is feedback_l.
    With a = G − G⁰, b = G⁰, u = h, v = h − h⁰ the difference of a weight block is a uᵀ + b vᵀ, so
    the C × C Gram matrix of J − J⁰ needs inner products only and nothing cancels.
    """
    gram: np.ndarray | float = 0.0
    for g, h, g0, h0 in zip(feedback, activity, feedback0, activity0, strict=True):
        a, b, u, v = g - g0, np.broadcast_to(g0, g.shape), h, h - h0
        at = np.swapaxes(a, -1, -2)
        aa, ab, bb = at @ a, at @ b, np.swapaxes(b, -1, -2) @ b
        uu, uv, vv = (np.sum(p * q, axis=-1)[..., None, None] for p, q in ((u, u), (u, v), (v, v)))
        weights = aa * uu + (ab + np.swapaxes(ab, -1, -2)) * uv + bb * vv
        gram = gram + weights / h.shape[-1] + aa
    largest = np.linalg.eigvalsh(gram)[..., -1]
    return np.sqrt(np.maximum(largest, 0.0)).max(axis=-1)


# --- Proposition 1 --------------------------------------------------------------------------


def alignment(flow: Flow, start: Trace) -> Series:
    """(42) discrepancy, (8) gap, App. A's interpretation and the score (9), for every layer."""
    series: Series = {}
    for layer in range(1, flow.network.depth + 1):
        frozen = frozen_change(flow, start, layer)
        rows = [
            _align(change, b)
            for change, b in zip(np.asarray(flow.change[layer - 1].weight), frozen, strict=True)
        ]
        for quantity in rows[0]:
            values, bounds = np.array([row[quantity] for row in rows]).T
            series[layer, quantity] = values, bounds
    return series


def frozen_change(flow: Flow, start: Trace, layer: int) -> list[LowRank]:
    """B_l = W*_l − W_l^0 at each saved time, of rank P, from δ alone (13)."""
    jacobian, activity = start.jacobian[layer - 1][0], start.activities[layer - 1][0]
    points, fan_in = activity.shape
    weighted = np.einsum("pmc,npc->nmp", jacobian, np.asarray(flow.delta))
    return [LowRank(w / (points * math.sqrt(fan_in)), activity.T) for w in weighted]


def _align(change: np.ndarray, b: LowRank) -> dict[str, tuple[float, float]]:
    """All of Proposition 1's quantities for one layer at one time, as (value, error bound)."""
    scale = math.sqrt(change.shape[1])
    norm_b = b.norm()
    discrepancy = change - b.left @ b.right.T
    w_tilde = compress(discrepancy, relative=1e-7, absolute=ROUNDING * norm_b)
    a = b + w_tilde
    norm_a, norm_w, rest = a.norm(), w_tilde.norm(), w_tilde.residual
    gap = gram_difference_norm(a, b)
    gap_bound = 2 * norm_a * rest + ROUNDING * norm_a**2
    norm_bound = rest + ROUNDING * norm_b
    # ‖Δ‖_F and ‖Σ/m‖_F; where nothing moves, shares and angles are undefined
    delta_norm, sigma_norm = (gram_inner(c, c) ** 0.5 or math.nan for c in (a, b))
    misalignment = 1.0 - gram_inner(a, b) / (delta_norm * sigma_norm)
    misalignment = max(0.0, misalignment) if misalignment == misalignment else math.nan
    turn = (2 * norm_a * rest + rest**2) / delta_norm  # how far the truncation can turn Δ
    whole = norm_a or math.nan
    score_bound = 2 * turn * math.sqrt(2 * misalignment) + 2 * turn**2 + 100 * ROUNDING
    return {
        "discrepancy": (norm_w, norm_bound),
        "discrepancy-relative": (norm_w / whole, 2 * norm_bound / whole),
        "alignment-gap": (gap / scale, gap_bound / scale),
        "alignment-gap-relative": (gap / whole**2, 2 * gap_bound / whole**2),
        "delta-norm": (norm_a**2 / scale, 2 * norm_a * norm_bound / scale),
        "sigma-norm": (norm_b**2 / scale, ROUNDING * norm_b**2),
        "misalignment": (misalignment, score_bound),
    }


def sampled_score(
    flow: Flow, start: Trace, layer: int, *, samples: int, seed: int
) -> tuple[float, float, float]:
    """The alignment score at the final time, exactly (9) and sampled (10).

    Args:
        flow: the flow whose last saved time is scored.
        start: the trace at time 0.
        layer: l.
        samples: number of Gaussian vectors z ~ N(0, I).
        seed: of the samples.

    Returns:
        The exact score, the sampled one, and the standard error of the sampled one by the
        jackknife (which also removes the O(1/samples) bias of the ratio).
    """
    b = frozen_change(flow, start, layer)[-1]
    change = np.asarray(flow.change[layer - 1].weight)[-1]
    a = b + compress(change - b.left @ b.right.T, relative=1e-7, absolute=ROUNDING * b.norm())
    exact = gram_inner(a, b) / (math.sqrt(gram_inner(a, a) * gram_inner(b, b)) or math.nan)
    z = np.random.default_rng([seed, layer, *flow.network.widths]).standard_normal(
        (change.shape[1], samples)
    )
    delta_z, sigma_z = gram_times(a, z), gram_times(b, z)
    terms = np.array(
        [np.sum(p * q, axis=0) for p, q in ((delta_z, sigma_z), (delta_z,) * 2, (sigma_z,) * 2)]
    )
    total = terms.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # 0/0 where the layer has not moved
        ratio, left_out = (s[0] / np.sqrt(s[1] * s[2]) for s in (total, total - terms))
    estimate = samples * ratio[0] - (samples - 1) * left_out.mean()
    error = math.sqrt((samples - 1) * np.var(left_out))
    return exact, float(estimate), error


# --- Proposition 2 and Appendix D -----------------------------------------------------------


def divergence(name: str, flow: Flow, other: Flow, output0: np.ndarray) -> Series:
    """max_x ‖f^t − f_other^t‖, (17) and (57), and the same over max_x ‖f^t − f^0‖."""
    f, g = np.asarray(flow.output), np.asarray(other.output)
    values = np.linalg.norm(f - g, axis=-1).max(axis=-1)
    moved = np.linalg.norm(f - output0, axis=-1).max(axis=-1)
    moved = np.where(moved == 0, np.nan, moved)
    bounds = ROUNDING * np.abs(f).max() * np.ones_like(values)
    return {
        (None, name): (values, bounds),
        (None, f"{name}-relative"): (values / moved, bounds / moved),
    }


# --- from series to numbers -----------------------------------------------------------------


def supremum(fine: Series, coarse: Series) -> dict[tuple[int | None, str], tuple[float, float]]:
    """The sup over the saved times, with its numerical error.

    The error is the largest difference between a flow and one at a looser tolerance (which
    bounds the error of the looser one), plus what the measuring itself adds.
    """
    result = {}
    for name, (values, bounds) in fine.items():
        flow_error = np.abs(values - coarse[name][0]).max()
        result[name] = float(values.max()), float(flow_error + bounds.max())
    return result


# --- helpers --------------------------------------------------------------------------------

_ANY_KEY = jax.random.key(0)


@partial(jax.jit, static_argnames="network")
def _initial_trace(network: Network, start: Parameters, x: Array) -> tuple[tuple[Array, ...], ...]:
    first = network.forward(start, x)
    jacobian = feedback_jacobian(network, first)
    return first.preactivations, first.activities, jacobian, first.activities, jacobian


@partial(jax.jit, static_argnames=("network", "rules"))
def _trace(
    network: Network,
    rules: tuple[Rule, ...],
    index: int | Array,
    start: Parameters,
    change: Parameters,
    fixed: tuple[Any, ...],
    x: Array,
) -> tuple[tuple[Array, ...], ...]:
    first = network.forward(start, x)

    def at_one_time(change: Parameters) -> tuple[tuple[Array, ...], ...]:
        now = network.forward(jax.tree.map(jnp.add, start, change), x)

        def of_rule(i: int) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
            feedback = partial(rules[i].feedback, now, first, fixed[i])
            return rules[i].activity(now, first), _columns(network, now, feedback)

        branches = [partial(of_rule, i) for i in range(len(rules))]
        activities, feedback = jax.lax.switch(index, branches)
        jacobian = feedback_jacobian(network, now)
        return now.preactivations, now.activities, jacobian, activities, feedback

    return jax.lax.map(at_one_time, change)


def _columns(network: Network, now: Pass, feedback: Any) -> tuple[Array, ...]:
    """Feedback Jacobians (P, m_l, C) from a function that is linear in the error."""
    points, outputs = now.output.shape
    basis = jnp.broadcast_to(jnp.eye(outputs)[:, None, :], (outputs, points, outputs))
    columns = jax.vmap(feedback)(network.output_scale * basis)
    return tuple(jnp.moveaxis(c, 0, -1) for c in columns)


def _rms(z: np.ndarray) -> float:
    return float(np.sqrt(np.mean(z**2)))


def _with_rounding(values: np.ndarray, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    return values, np.where(values == 0, 0.0, ROUNDING * scale) * np.ones_like(values)
