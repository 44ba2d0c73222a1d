"""What the claims are about, measured on a flow at every saved time.

Each function returns :data:`~ntkalign.quantities.series.Series`: for a quantity of a layer, its
value at each saved time and a bound on the error that the measuring itself adds.

Notation (equation numbers are the paper's): A_l = W_l^t − W_l^0 is the weight change, and

    B_l = W*_l − W_l^0 = 1/√m_{l−1} E[∇_{z_l} f^0 δ σ(z_{l−1}^0)ᵀ],   W̃_l = A_l − B_l    (13), (39)
    Δ_l = A_lᵀ A_l    (2),        Σ_l / m_{l−1} = B_lᵀ B_l    (12), (43)
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ntkalign.flow.initial_state import Observations
from ntkalign.flow.operators.low_rank import LowRank, operator_norm, spectral_radius
from ntkalign.flow.trajectory import Flow, SplitChange
from ntkalign.networks.base import Network
from ntkalign.networks.jacobians import jacobian_distance, jacobian_norm
from ntkalign.networks.layers import LayerMap
from ntkalign.networks.operators import alignment_score
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.series import ROUNDING, Series

# --- Lemma 1 --------------------------------------------------------------------------------


def activation_drift(network: Network, start: Observations, now: Observations) -> Series:
    """(19): √E‖(z_l^t − z_l^0)/√m_l‖² for l = 1…N−1, and the same over √E‖z_l^0/√m_l‖².

    Of a recurrent network it is the largest over steps. Of images m_l counts channels and places.

    Returns:
        Both for each hidden layer.
    """
    series: Series = {}
    for layer, (z, z0) in enumerate(
        zip(now.preactivations[:-1], start.preactivations[:-1], strict=True), start=1
    ):
        moved = np.sum((z - z0) ** 2, axis=-1)
        if network.runs_in_time:
            moved = moved.reshape(len(moved), -1, network.maps[layer - 1].places)
            moved = moved.mean(axis=1).max(axis=-1, keepdims=True)
        values = np.sqrt(np.mean(moved, axis=-1) / z.shape[-1])
        values, bounds = _with_rounding(values, _rms(z0))
        series[layer, "activation-drift"] = values, bounds
        size = _rms(z0) or math.nan
        series[layer, "activation-drift-relative"] = values / size, bounds / size
    return series


def weight_drift(flow: Flow) -> Series:
    """(20): ‖W_l^t − W_l^0‖_op/√m_{l−1} for l = 1…N."""
    series: Series = {}
    for layer, own in enumerate(flow.network.maps, start=1):
        splits, scale = flow.splits(layer), own.scale
        values = np.array([operator_norm(s.frozen + s.discrepancy) for s in splits])
        bounds = np.array([s.residual for s in splits])
        series[layer, "weight-drift"] = scale * values, scale * bounds + ROUNDING
    return series


def jacobian_drift(network: Network, start: Observations, now: Observations) -> Series:
    """(21) ‖∇_θ f^t − ∇_θ f^0‖_op, absolute and relative, and (22), the largest over x."""
    first = start.jacobian, start.activities
    true = jacobian_distance(network, (now.jacobian, now.activities), first)
    same = now.rule_feedback is now.jacobian and now.rule_activities is now.activities
    rules = (
        true
        if same
        else jacobian_distance(network, (now.rule_feedback, now.rule_activities), first)
    )
    size = max(_rms(g) * math.sqrt(g.shape[-1]) for g in start.jacobian)
    values, bounds = _with_rounding(true)
    whole = float(jacobian_norm(network, first)[0]) or math.nan
    return {
        (None, "jacobian-drift"): (values, bounds),
        (None, "jacobian-drift-relative"): (values / whole, bounds / whole),
        (None, "feedback-drift"): _with_rounding(rules, size),
    }


# --- Proposition 1 --------------------------------------------------------------------------


def alignment(flow: Flow) -> Series:
    """(42) discrepancy, (8) gap, App. A's interpretation and the score (9), for every layer."""
    series: Series = {}
    for layer, own in enumerate(flow.network.maps, start=1):
        rows = [align(split, own.scale) for split in flow.splits(layer)]
        if own.places_at_once > 1:  # of a convolution the score is that of the operator
            for row, score in zip(rows, operator_scores(flow, layer), strict=True):
                row["misalignment"] = float(np.maximum(0.0, 1.0 - score)), 100 * ROUNDING
        for quantity in rows[0]:
            values, bounds = np.array([row[quantity] for row in rows]).T
            series[layer, quantity] = values, bounds
    return series


def align(split: SplitChange, scale: float) -> dict[str, tuple[float, float]]:
    """All of Proposition 1's quantities for one layer at one time, as (value, error bound).

    Args:
        split: the weights' change.
        scale: the layer's factor 1/√m_{l−1}.

    Returns:
        (value, error bound) by the quantity's name; shares and angles are NaN if nothing moves.
    """
    b, w, rest = split
    a = b + w
    norm_a, norm_b, norm_w = operator_norm(a), operator_norm(b), operator_norm(w)
    cross = b.T @ w
    gap = spectral_radius(cross + cross.T + w.T @ w)  # Δ − Σ/m
    gap_bound = 2 * norm_a * rest + ROUNDING * norm_a**2
    norm_bound = rest + ROUNDING * norm_b
    # ‖Δ‖_F and ‖Σ/m‖_F; where nothing moves (up to rounding), shares and angles are undefined
    whole = norm_a if norm_a > 100 * ROUNDING * norm_b else math.nan
    delta_norm, sigma_norm = (float(np.linalg.norm(c.T @ c)) or math.nan for c in (a, b))
    delta_norm = delta_norm if whole == whole else math.nan
    misalignment = 1.0 - float(np.linalg.norm(b @ a.T) ** 2) / (delta_norm * sigma_norm)
    misalignment = max(0.0, misalignment) if misalignment == misalignment else math.nan
    turn = (2 * norm_a * rest + rest**2) / delta_norm  # how far the truncation can turn Δ
    score_bound = 2 * turn * math.sqrt(2 * misalignment) + 2 * turn**2 + 100 * ROUNDING
    return {
        "discrepancy": (norm_w, norm_bound),
        "discrepancy-relative": (norm_w / whole, 2 * norm_bound / whole),
        "alignment-gap": (scale * gap, scale * gap_bound),
        "alignment-gap-relative": (gap / whole**2, 2 * gap_bound / whole**2),
        "delta-norm": (scale * norm_a**2, 2 * scale * norm_a * norm_bound),
        "sigma-norm": (scale * norm_b**2, ROUNDING * norm_b**2),
        "misalignment": (misalignment, score_bound),
    }


def operator_scores(
    flow: Flow, layer: int, changes: Iterable[np.ndarray] | None = None
) -> list[float]:
    """S_l of (9) at each saved time, from full matrices; of a convolution it is the operator's.

    Args:
        flow: the flow.
        layer: l.
        changes: what is scored at each time; W_l^t − W_l^0 if None.

    Returns:
        A score for each time, NaN where nothing moves.
    """
    own = flow.network.maps[layer - 1]
    changes = flow.weight_change(layer) if changes is None else changes
    return [
        _score(own, change, star)
        for change, star in zip(changes, flow.frozen_change(layer), strict=True)
    ]


def _score(own: LayerMap, change: np.ndarray, star: LowRank) -> float:
    """S of a change A; of a matrix with no product but A Aᵀ of its whole size, B = L Rᵀ."""
    left, right = star.left, star.right
    if own.places_at_once > 1:
        return alignment_score(own.kernel(change), own.kernel(left @ right.T), own)
    both, other = (float(np.sum((rows @ left.T) ** 2)) for rows in (
        change @ right, left @ (right.T @ right)
    ))  # fmt: skip
    narrow = change.T if change.shape[0] > change.shape[1] else change
    one = float(np.sum((narrow @ narrow.T) ** 2))
    return both / math.sqrt(one * other) if one * other > 0 else math.nan


def permuted_score(flow: Flow, layer: int, *, seed: int) -> list[float]:
    """The score of weights whose entries are shuffled: what chance gives, a baseline.

    As in the paper's experiments all entries of W_l^t are shuffled, and W_l^0 is subtracted as it
    is; the order is the same at all times.

    Args:
        flow: the flow.
        layer: l.
        seed: of the order.

    Returns:
        A score for each time.
    """
    own = flow.network.maps[layer - 1]
    start = np.asarray(own.matrix(flow.initial.start[layer - 1].weight), np.float64)
    order = np.random.default_rng([seed, layer, *flow.network.sizes]).permutation(start.size)
    shuffled = (
        (start + change).ravel()[order].reshape(start.shape) - start
        for change in flow.weight_change(layer)
    )
    return operator_scores(flow, layer, shuffled)


def sampled_score(flow: Flow, layer: int, *, samples: int, seed: int) -> tuple[float, float, float]:
    """The alignment score at the final time, exactly (9) and sampled (10).

    The Gaussian vectors are drawn in orthonormal coordinates of the (low-dimensional) space that
    Δ and Σ see, where they are as Gaussian as in the whole.

    Args:
        flow: the flow whose last saved time is scored.
        layer: l.
        samples: number of Gaussian vectors z ~ N(0, I).
        seed: of the samples.

    Returns:
        The exact score, the sampled one, and the standard error of the sampled one by the
        jackknife (which also removes the O(1/samples) bias of the ratio).
    """
    b, w, _ = flow.splits(layer)[-1]
    delta, sigma = (c.T @ c for c in (b + w, b))
    size = float(np.linalg.norm(delta) * np.linalg.norm(sigma))
    exact = float(np.sum(delta * sigma)) / (size or math.nan)
    z = np.random.default_rng([seed, layer, *flow.network.sizes]).standard_normal(
        (delta.shape[0], samples)
    )
    delta_z, sigma_z = delta @ z, sigma @ z
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
    """max_x ‖f^t − f_other^t‖, (17) and (57), and the same over max_x ‖f^t − f^0‖.

    Of a recurrent network the maximum is over points and steps.

    Returns:
        Both at each time.
    """
    f, g = np.asarray(flow.output), np.asarray(other.output)
    values = _largest_answer(flow.network, f - g)
    moved = _largest_answer(flow.network, f - output0)
    moved = np.where(moved == 0, np.nan, moved)
    bounds = ROUNDING * np.abs(f).max() * np.ones_like(values)
    return {
        (None, name): (values, bounds),
        (None, f"{name}-relative"): (values / moved, bounds / moved),
    }


# --- what the records of ntkalign.quantities.catalogue name ---------------------------------

SAMPLES = 100
"""Gaussian vectors of the sampled alignment score, as in the paper."""


def measure_weights(seen: Observed) -> Series:
    """(20)."""
    return weight_drift(seen.flow)


def measure_activations(seen: Observed) -> Series:
    """(19)."""
    return activation_drift(seen.network, seen.start, seen.over_time(jacobians=False))


def measure_jacobians(seen: Observed) -> Series:
    """(21) and (22)."""
    return jacobian_drift(seen.network, seen.start, seen.over_time())


def measure_alignment(seen: Observed) -> Series:
    """(42), (8), App. A's interpretation and (9)."""
    return alignment(seen.flow)


def measure_divergence(seen: Observed) -> Series:
    """(17): from gradient descent."""
    return divergence("divergence", seen.references["normal"], seen.flow, seen.initial_output)


def measure_linearisation(seen: Observed) -> Series:
    """(57): from the linearised network."""
    linear = seen.references["linearised"]
    return divergence("linearisation-gap", seen.flow, linear, seen.initial_output)


def measure_permuted(seen: Observed) -> Series:
    """The score that shuffled weights have."""
    series: Series = {}
    for layer in range(1, seen.network.depth + 1):
        scores = np.array(permuted_score(seen.flow, layer, seed=seen.seed))
        series[layer, "score-permuted"] = scores, np.full(len(scores), 100 * ROUNDING)
    return series


def measure_sampled_score(seen: Observed) -> Series:
    """(10) at the final time: sampled − exact with its standard error, and the exact score."""
    series: Series = {}
    for layer in range(1, seen.network.depth + 1):
        exact, sampled, error = sampled_score(seen.flow, layer, samples=SAMPLES, seed=seen.seed)
        series[layer, "sampled-score-error"] = np.array([sampled - exact]), np.array([error])
        series[layer, "score"] = np.array([exact]), np.zeros(1)
    return series


# --- helpers --------------------------------------------------------------------------------


def _largest_answer(network: Network, outputs: np.ndarray) -> np.ndarray:
    """(n, P, C) → (n,): the largest norm of an output, of any point and step."""
    answers = outputs.reshape(len(outputs), -1, network.output_shape[-1])
    return np.asarray(np.linalg.norm(answers, axis=-1).max(axis=-1))


def _rms(z: np.ndarray) -> float:
    return float(np.sqrt(np.mean(z**2)))


def _with_rounding(values: np.ndarray, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    return values, np.where(values == 0, 0.0, ROUNDING * max(scale, 1.0)) * np.ones_like(values)
