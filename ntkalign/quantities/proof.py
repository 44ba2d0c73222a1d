"""Lemma 1 and Proposition 1, step by step: both sides of every inequality, along a trajectory.

Notation (equation numbers are the paper's): A_l = W_l^t − W_l^0, W̃_l = A_l − (W*_l − W_l^0) (39),
e = y − f, and with G = ∇_{z_l} f^t, G⁰ its value at time 0, h = σ(z_{l−1}^t), h⁰ = σ(z_{l−1}^0)

    dW̃_l/dt = η/√m_{l−1} E[G e (h − h⁰)ᵀ + (G − G⁰) e h⁰ᵀ]                                    (40)

which is known at any time from feedback, activities and error there: nothing is differenced. It
has rank 2P at most, so its norm is that of a 2P × 2P matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ntkalign.flow.initial_state import Observations
from ntkalign.flow.operators.low_rank import LowRank, operator_norm
from ntkalign.flow.trajectory import Flow
from ntkalign.kernels.prediction import spectrum
from ntkalign.networks.activations import Activation
from ntkalign.networks.fully_connected import FullyConnected
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.proof_time import Integral
from ntkalign.quantities.series import ESTIMATE_FACTOR, ROUNDING, Series
from ntkalign.quantities.theory import activation_drift, align, weight_drift

LARGEST = 1e300
"""What is larger, Grönwall's factor of a long flow say, counts as this."""
WRONG = 1e12
"""The share where the right side is 0 and the left is not."""
EARLY = 4
"""Of integrals, and of one network beside another, so many nodes after time 0 are not judged (T/190
to T/27, as T is long or short): there both sides are no larger than the flow's error, and some
steps are equalities."""
REACH, STEP = 20.0, 1e-3
"""Where the slope of an activation is looked at: as far as this, or as far as preactivations go."""


class Side(NamedTuple):
    """One side of a step at each time, and by how much the measuring may be off."""

    value: Float[np.ndarray, " n"]
    error: Float[np.ndarray, " n"] | float = 0.0

    def plus(self, other: Side) -> Side:
        """The sum of two sides."""
        return Side(self.value + other.value, self.error + other.error)

    def times(self, number: float) -> Side:
        """A multiple."""
        return Side(number * self.value, number * self.error)


def compare(name: str, layer: int | None, left: Side, right: Side, early: int = 0) -> Series:
    """The four quantities of a step left ≤ right.

    Args:
        name: of the step.
        layer: l, or None.
        left: the left side at each time.
        right: the right side.
        early: so many times at first have no share.

    Returns:
        Share, looseness and both sides, by (layer, quantity).
    """
    a, b = (np.minimum(side.value, LARGEST) for side in (left, right))
    a_error, b_error = (side.error + ROUNDING * np.abs(side.value) for side in (left, right))
    known = b > 0
    safe = np.where(known, b, 1.0)
    share = np.where(known, a / safe, np.where(a > 0, WRONG, 0.0))
    share = np.minimum(share, WRONG)
    share_error = np.where(known, (a_error + np.abs(share) * b_error) / safe, 0.0)
    tops = float(a.max()), float(b.max())
    loose = tops[1] / tops[0] if tops[0] > 0 else np.nan
    off = sum(float(np.max(e)) / top if top > 0 else 0.0
              for e, top in zip((a_error, b_error), tops, strict=True))  # fmt: skip
    return {
        (layer, f"{name}-share"): (share[early:], np.minimum(share_error, WRONG)[early:]),
        (layer, f"{name}-looseness"): (np.array([loose]), np.array([loose * off])),
        (layer, f"{name}-left"): (a, np.minimum(a_error, LARGEST)),
        (layer, f"{name}-right"): (b, np.minimum(b_error, LARGEST)),
    }


def slope_bound(activation: Activation, reach: float = REACH) -> float:
    """A bound c on |σ′|, from a fine grid; that of tanh is 1.

    Args:
        activation: σ.
        reach: how far preactivations go, either way.

    Returns:
        The largest on the grid and a millionth more, for what lies between its points.
    """
    end = max(REACH, reach)
    _, slope = activation.value_and_slope(jnp.linspace(-end, end, int(2 * end / STEP) + 1))
    return float(np.abs(np.asarray(slope)).max()) * (1 + 1e-6)


# --- Proposition 1: (40) and (41) -----------------------------------------------------------


class Velocity(NamedTuple):
    """(40) for one layer at n times, as Σ over 2P columns of left rightᵀ."""

    left: Float[np.ndarray, "n m k"]
    right: Float[np.ndarray, "n f k"]

    def norms(self) -> Float[np.ndarray, " n"]:
        """‖dW̃_l/dt‖_op."""
        return np.array([LowRank(a, b).norm() for a, b in zip(*self, strict=True)])

    def integrated(self, weights: Float[np.ndarray, " n"]) -> float:
        """‖Σ_k w_k dW̃_l/dt(t_k)‖_op: W̃_l at the time that the weights integrate to."""
        left = self.left * weights[:, None, None]
        columns = [np.concatenate(list(part), axis=1) for part in (left, self.right)]
        return LowRank(columns[0], columns[1]).norm()


class Lines(NamedTuple):
    """The lines of (41) for one layer at n times; the second and third as their two terms."""

    velocity: Velocity
    norm: Side
    first: Side
    second: Side
    third: tuple[Side, Side]

    @property
    def bound(self) -> Side:
        """The last line, both terms."""
        return self.third[0].plus(self.third[1])


def discrepancy_velocity(
    flow: Flow, start: Observations, now: Observations, layer: int
) -> Velocity:
    """(40): dW̃_l/dt at the saved times.

    Args:
        flow: of gradient descent.
        start: at time 0.
        now: at the saved times, with Jacobians.
        layer: l.

    Returns:
        Its factors; η/(P√m_{l−1}) is in the left one.
    """
    e = flow.y - np.asarray(flow.output)
    g, g0 = now.jacobian[layer - 1], start.jacobian[layer - 1]
    h, h0 = now.activities[layer - 1], start.activities[layer - 1]
    pushed, turned = (np.einsum("ncpm,npc->nmp", a, e, optimize=True) for a in (g, g - g0))
    share = flow.network.rate * flow.network.maps[layer - 1].scale / len(flow.y)
    left = share * np.concatenate([pushed, turned], axis=2)
    right = np.concatenate([h - h0, np.broadcast_to(h0, h.shape)], axis=1).swapaxes(1, 2)
    return Velocity(left, right)


def lines_of_41(flow: Flow, start: Observations, now: Observations, layer: int) -> Lines:
    """(41) line by line for one layer, with c of :func:`slope_bound`.

    The flow's error is one of G, not of G − G⁰, which is smaller by 1/√m: where that stands, G is
    put in its place for the error.

    Args:
        flow: of gradient descent.
        start: at time 0.
        now: at the saved times, with Jacobians.
        layer: l; for l = 1 the inputs stand for z_0 and σ(z_0), and do not move.

    Returns:
        ‖dW̃_l/dt‖_op and the three lines, each of shape (n,).
    """
    velocity = discrepancy_velocity(flow, start, now, layer)
    e = flow.y - np.asarray(flow.output)  # (n, P, C)
    g, g0 = now.jacobian[layer - 1], start.jacobian[layer - 1]  # (n, C, P, m_l)
    h, h0 = now.activities[layer - 1], start.activities[layer - 1]  # (n, P, m_{l−1})
    eta, scale = flow.network.rate, flow.network.maps[layer - 1].scale
    moved, there = (np.linalg.norm(a, axis=2) for a in (h - h0, np.broadcast_to(h0, h.shape)))
    whole, turned = _operator_norms(g), _operator_norms(g - g0)  # (n, P)
    pushed, turn = (
        np.linalg.norm(np.einsum("ncpm,npc->npm", a, e, optimize=True), axis=2) for a in (g, g - g0)
    )
    error = np.linalg.norm(e, axis=2)
    most = error.max(axis=1)
    if layer == 1:
        drift, c = np.zeros_like(moved), 0.0
    else:
        z, z0 = (seen.preactivations[layer - 2] for seen in (now, start))
        drift = np.linalg.norm(z - z0, axis=2)
        assert isinstance(flow.network, FullyConnected)  # others are refused by what asks
        c = slope_bound(flow.network.activation, float(max(np.abs(z).max(), np.abs(z0).max())))
    off = ESTIMATE_FACTOR * (flow.effort.estimate or 0.0) * eta * scale  # of G, over its size
    pushed_off = off * (pushed * there).mean(axis=1)
    return Lines(
        velocity=velocity,
        norm=Side(velocity.norms(), pushed_off),
        first=Side(eta * scale * (pushed * moved + turn * there).mean(axis=1), pushed_off),
        second=Side(
            eta * scale * (error * (whole * moved + turned * there)).mean(axis=1),
            off * (error * whole * there).mean(axis=1),
        ),
        third=(
            Side(c * eta * whole.max(axis=1) * most * scale * drift.mean(axis=1)),
            Side(
                eta * turned.mean(axis=1) * most * scale * there.max(axis=1),
                off * whole.mean(axis=1) * most * there.max(axis=1),
            ),
        ),
    )


def _operator_norms(feedback: Float[np.ndarray, "n C P m"]) -> Float[np.ndarray, "n P"]:
    """‖∇_{z_l} f(x)‖_op, from the C × C Gram matrix over outputs."""
    by_point = feedback.swapaxes(1, 2)
    gram = by_point @ by_point.swapaxes(2, 3)
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[..., -1], 0.0))


# --- what the records of ntkalign.quantities.proof_catalogue name ---------------------------


def measure_chain(seen: Observed) -> Series:
    """(41) line by line, the identity (43) and (44): what holds at each time by itself."""
    now, series = seen.over_time(), Series()
    for layer in range(1, seen.network.depth + 1):
        lines = lines_of_41(seen.flow, seen.start, now, layer)
        sides = [lines.norm, lines.first, lines.second, lines.bound]
        for number in (1, 2, 3):
            series |= compare(f"41-{number}", layer, sides[number - 1], sides[number])
        parts = _parts_of_44(seen.flow, layer)
        twice = parts["product"].times(2.0).plus(parts["square"])
        series |= compare("44", layer, parts["gap"], twice)
        series |= _identity_43(seen, layer)
    return series


def measure_false_chain(seen: Observed) -> Series:
    """(44) as printed, and (41) and (44) with a factor or a term dropped on purpose."""
    now, series = seen.over_time(), Series()
    for layer in range(1, seen.network.depth + 1):
        lines = lines_of_41(seen.flow, seen.start, now, layer)
        parts = _parts_of_44(seen.flow, layer)
        product, square = parts["product"], parts["square"]
        series |= compare("44-printed", layer, parts["gap"], product.times(2.0))
        series |= compare("44-without-2", layer, parts["gap"], product.plus(square))
        series |= compare("44-without-first-term", layer, parts["gap"], square)
        if layer == 1:
            series |= compare("41-without-second-term", layer, lines.norm, lines.third[0])
    return series


def measure_integral(seen: Observed) -> Series:
    """(42), with ‖dW̃/dt‖ itself and with what (41) makes of it; and W̃ integrated from (40)."""
    flow, now, series = seen.flow, seen.over_time(), Series()
    integral = Integral.of(flow.times)
    for layer in range(1, seen.network.depth + 1):
        lines = lines_of_41(flow, seen.start, now, layer)
        velocity, bound = (_integrated(integral, side) for side in (lines.norm, lines.bound))
        splits = flow.splits(layer)
        found = np.array([operator_norm(split.discrepancy) for split in splits])
        out = np.array([split.residual for split in splits])
        series |= compare("42", layer, Side(found, out), velocity, EARLY)
        series |= compare("42-from-41", layer, velocity, bound, EARLY)
        fine, coarse = (
            lines.velocity.integrated(fine_weights[1:]) for fine_weights in _last_weights(integral)
        )
        size = float(found[-1]) or np.nan
        whole = operator_norm(splits[-1].frozen + splits[-1].discrepancy)
        relative = ESTIMATE_FACTOR * flow.effort.share + ROUNDING
        allowed = abs(fine - coarse) + out[-1] + relative * whole
        series[layer, "velocity-identity"] = (
            np.array([abs(fine - found[-1]) / size]),
            np.array([allowed / size]),
        )
    return series


def measure_lemma(seen: Observed) -> Series:
    """What (23)–(26) say of rates, without their polynomials.

    (23) and (24) bound dw̃_l/dt by max_x‖y − f‖/√m_{l−1} times a polynomial, and dã_l/dt by
    max_x‖y − f‖/√m_l times one. Integrated, the polynomials stay bounded only if √m_{l−1} w̃_l and
    √m_l ã_l over ∫max_x‖y − f‖ do. (25), A(t) − A(0), is the sum of all w̃_l and ã_l.

    Returns:
        Both factors for each layer; the sum, with the first layer's weights and without them.
    """
    flow = seen.flow
    e = np.concatenate([(flow.y - flow.initial.output)[None], flow.y - np.asarray(flow.output)])
    (spent, off) = Integral.of(flow.times)(np.linalg.norm(e, axis=2).max(axis=1))
    spent, off = spent[1:], off[1:] / spent[1:]
    drifts = weight_drift(flow) | activation_drift(
        seen.network, seen.start, seen.over_time(jacobians=False)
    )
    series: Series = {}
    total, doubt, first = np.zeros_like(spent), np.zeros_like(spent), drifts[1, "weight-drift"]
    sizes = [layer_map.scale**-2 for layer_map in seen.network.maps]  # m_0 … m_{N−1}
    for name, record, own in (
        ("weight-drift", "weight-factor", sizes),
        ("activation-drift", "activation-factor", sizes[1:]),
    ):
        for layer, size in enumerate(own, start=1):
            value, bound = drifts[layer, name]
            total, doubt = total + value, doubt + bound
            factor = np.sqrt(size) * value / spent
            series[layer, record] = factor, np.sqrt(size) * bound / spent + factor * off
    series[None, "lemma-sum"] = total, doubt
    series[None, "lemma-sum-above"] = total - first[0], doubt
    return series


# --- helpers --------------------------------------------------------------------------------


def _parts_of_44(flow: Flow, layer: int) -> Mapping[str, Side]:
    """The gap, ‖A‖‖W̃‖ and ‖W̃ᵀW̃‖, each over √m_{l−1}."""
    scale = flow.network.maps[layer - 1].scale
    rows = []
    for split in flow.splits(layer):
        whole, w, out = (
            operator_norm(split.frozen + split.discrepancy),
            operator_norm(split.discrepancy),
            split[2],
        )
        gap, gap_error = align(split, scale)["alignment-gap"]
        rows.append((gap, gap_error, scale * whole * w, scale * (whole + w) * out,
                     scale * w**2, 2 * scale * w * out))  # fmt: skip
    gap, gap_error, product, product_error, square, square_error = np.array(rows).T
    return {
        "gap": Side(gap, gap_error),
        "product": Side(product, product_error),
        "square": Side(square, square_error),
    }


def _identity_43(seen: Observed, layer: int) -> Series:
    """(43): the spectrum of Σ_l/m by (3), (6) and (7), beside that of (A − W̃)ᵀ(A − W̃).

    With W̃^(0) = 0 in place of W̃^(t), as printed, the right side is Δ_l.

    Returns:
        Both differences, relative to ‖Σ_l/m‖.
    """
    kernels, delta = seen.initial_kernels, np.asarray(seen.flow.delta)
    off, printed = [], []
    for split, d in zip(seen.flow.splits(layer), delta, strict=True):
        stated = spectrum(kernels.features[layer - 1], kernels.backward[layer - 1], d)
        whole = split.frozen + split.discrepancy
        values = np.linalg.svd(whole - split.discrepancy, compute_uv=False)[: len(stated)] ** 2
        values = np.pad(values, (0, len(stated) - len(values)))
        gap = np.abs(np.linalg.eigvalsh(whole.T @ whole - split.frozen.T @ split.frozen)).max()
        size = stated[0] or np.nan
        off.append(np.abs(stated - values).max() / size)
        printed.append(gap / size)
    allowed = np.full(len(off), 100 * ROUNDING)
    return {
        (layer, "sigma-identity"): (np.array(off), allowed),
        (layer, "sigma-printed"): (np.array(printed), allowed),
    }


def _integrated(integral: Integral, side: Side) -> Side:
    """∫₀ᵗ at the saved times, of what is 0 at time 0."""
    whole, error = integral(np.concatenate([[0.0], side.value]))
    within, _ = integral(np.concatenate([[0.0], np.broadcast_to(side.error, side.value.shape)]))
    return Side(whole[1:], error[1:] + np.abs(within[1:]))


def _last_weights(integral: Integral) -> tuple[np.ndarray, np.ndarray]:
    """Weights of all nodes in ∫₀ᵀ, on the fine grid and on the coarse one."""
    fine, coarse = integral.weights
    spread = np.zeros(fine.shape[1])
    spread[::2] = coarse[-1]
    return fine[-1], spread
