"""What errors in the paper's printed equations do, measured on small networks in plain NumPy.

Each function takes an equation at its word and says by how much it is off. The networks are drawn
from fixed seeds; nothing here is about large width but the readout of (61).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

SIZES = (6, 7, 7, 7, 3)
"""Inputs, three hidden layers of equal width (else (29) does not even multiply), outputs."""
POINTS, SLIGHT = 4, 1e-6
Weights = list[np.ndarray]


def _draw() -> tuple[Weights, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(29)
    weights = [rng.standard_normal((b, a)) for a, b in pairwise(SIZES)]
    return (
        weights,
        rng.standard_normal((POINTS, SIZES[0])),
        rng.standard_normal((POINTS, SIZES[-1])),
    )


def _forward(weights: Weights, x: np.ndarray) -> list[np.ndarray]:
    """z_1 … z_N of (1) for one point, tanh, biases 0."""
    z, h = [], x
    for w in weights:
        z.append(w @ h / np.sqrt(w.shape[1]))
        h = np.tanh(z[-1])
    return z


def _feedback(weights: Weights, z: list[np.ndarray], layer: int) -> np.ndarray:
    """∇_{z_l} f by the chain rule of (1): σ′(z_l), W_{l+1}ᵀ, …, (m_l, C)."""
    g = np.eye(len(z[-1]))
    for k in range(len(weights) - 1, layer - 1, -1):  # W_{k+1} stands at index k
        g = (1 - np.tanh(z[k - 1]) ** 2)[:, None] * (
            weights[k].T @ g / np.sqrt(weights[k].shape[1])
        )
    return g


def _as_printed(weights: Weights, z: list[np.ndarray], layer: int) -> np.ndarray:
    """(29): it begins with diag σ′(z_{l−1}) W_lᵀ, one layer too early."""
    return _feedback(weights, z, layer - 1)


def error_of_29(layer: int = 2) -> tuple[float, float]:
    """How far the chain rule and (29) as printed are from ∇_{z_l} f, by differences.

    Args:
        layer: l ≥ 2.

    Returns:
        Relative errors: with the right indices, and as printed.
    """
    weights, x, _ = _draw()
    z = _forward(weights, x[0])
    true = np.empty((len(z[layer - 1]), len(z[-1])))
    for unit in range(len(true)):
        ends = []
        for sign in (1, -1):
            moved = z[layer - 1].copy()
            moved[unit] += sign * SLIGHT
            for w in weights[layer:]:
                moved = w @ np.tanh(moved) / np.sqrt(w.shape[1])
            ends.append(moved)
        true[unit] = (ends[0] - ends[1]) / (2 * SLIGHT)
    found = _feedback(weights, z, layer), _as_printed(weights, z, layer)
    right, printed = (float(np.linalg.norm(g - true) / np.linalg.norm(true)) for g in found)
    return right, printed


def loss_rates() -> tuple[float, float]:
    """The rate at which ½E‖y − f‖² changes under (18), and under (14) with its printed +∇L.

    Returns:
        Both, η = 1; ∇_{z_N} L is f − y.
    """
    weights, x, y = _draw()
    rates = []
    for sign in (1, -1):
        moves = [np.zeros_like(w) for w in weights]
        for point, target in zip(x, y, strict=True):
            z = _forward(weights, point)
            activities = [point, *(np.tanh(u) for u in z[:-1])]
            e = sign * (target - z[-1])
            for layer, w in enumerate(weights, start=1):
                signal = _feedback(weights, z, layer) @ e
                moves[layer - 1] += (
                    np.outer(signal, activities[layer - 1]) / np.sqrt(w.shape[1]) / POINTS
                )
        losses = [
            np.mean([np.sum((t - _forward([w + s * SLIGHT * m for w, m in
                     zip(weights, moves, strict=True)], p)[-1]) ** 2) / 2
                     for p, t in zip(x, y, strict=True)])
            for s in (1, -1)
        ]  # fmt: skip
        rates.append(float(losses[0] - losses[1]) / (2 * SLIGHT))
    return rates[0], rates[1]


def growth_of_61(
    widths: tuple[int, ...] = (64, 256, 1024), draws: int = 200
) -> tuple[float, float]:
    """How the standard deviation of a recurrent network's output at time 0 goes with its width.

    Args:
        widths: m.
        draws: of the readout at each width.

    Returns:
        Exponents p in m^p: with the readout's factor 1/√m, and as (61) is printed.
    """
    rng = np.random.default_rng(61)
    spread = []
    for m in widths:
        h = np.tanh(rng.standard_normal((draws, m)))
        spread.append(float(np.std(np.sum(rng.standard_normal((draws, m)) * h, axis=1))))
    printed = float(np.polyfit(np.log(widths), np.log(spread), 1)[0])
    scaled = float(np.polyfit(np.log(widths), np.log(spread / np.sqrt(widths)), 1)[0])
    return scaled, printed
