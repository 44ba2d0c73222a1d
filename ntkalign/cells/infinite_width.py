"""What ``verify`` should see at infinite width: alignment quantities and the training curve.

Under the analytic kernel e^t and δ^t are known for every f^0, which is Gaussian with the NNGP's
covariance. The nonzero eigenvalues of Σ_l/m_{l−1}, (3), then have limits λ, and Δ_l's the same:

    ‖Δ_l‖_op/√m_{l−1}, ‖Σ_l/m_{l−1}‖_op/√m_{l−1} ≈ λ_max/√m_{l−1},
    ‖W_l^t − W_l^0‖_op/√m_{l−1} ≈ (λ_max/m_{l−1})^½

The f^0 of a seed is the one that its networks share, in the limit
(:mod:`ntkalign.networks.shared_outputs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ntkalign.data.catalogue import Data
from ntkalign.devices import drawing
from ntkalign.kernels.analytic import InfiniteWidthKernels, infinite_width_kernels
from ntkalign.kernels.prediction import predicted_delta, spectrum
from ntkalign.networks.family import Family
from ntkalign.networks.randomness import of_shared_outputs, shared_bias, shared_weights
from ntkalign.precision import in_float64

JITTER = 1e-10
"""Added to a covariance before its Cholesky factor is taken, as a share of its mean variance."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Geometric means over seeds, as the fits use them.

    Attributes:
        values: for (quantity, layer) one value per width.
        loss: ½‖e‖² averaged over points, at the saved times.
    """

    values: dict[tuple[str, int | None], tuple[float, ...]]
    loss: tuple[float, ...]


def predictions(
    family: Family,
    data: Data,
    times: Sequence[float],
    *,
    widths: Sequence[int],
    seeds: Sequence[int],
    initial_outputs: str,
) -> Predictions:
    """The limits that the plots of a run show.

    Args:
        family: the networks, in the neural tangent parameterisation.
        data: the training points.
        times: at which the networks are looked at.
        widths: at which the limits of what depends on the width are given.
        seeds: of the networks.
        initial_outputs: how those of the networks are drawn.

    Returns:
        By quantity and layer the largest value over time, for each width; the loss over time.
    """
    kernels = infinite_width_kernels(family, data.x)
    points, outputs = data.y.shape
    eye = np.eye(outputs)
    theta = kernels.ntk[:, :, None, None] * eye
    flat = theta.transpose(0, 2, 1, 3).reshape(points * outputs, -1)
    largest = np.zeros((len(seeds), family.depth))
    losses = np.zeros((len(seeds), len(times)))
    for s, seed in enumerate(seeds):
        e0 = data.y - outputs_at_0(family, kernels, seed, outputs, initial_outputs)
        delta = predicted_delta(theta, e0, np.array(times))
        moved = (delta.reshape(len(times), -1) @ flat / points).reshape(delta.shape)
        losses[s] = np.sum((e0 - moved) ** 2, axis=(1, 2)) / (2 * points)
        for layer in range(family.depth):
            gamma = kernels.backward[layer][:, :, None, None] * eye
            tops = [spectrum(kernels.features[layer], gamma, d)[0] for d in delta]
            largest[s, layer] = max(tops)
    typical = np.exp(np.log(largest).mean(axis=0))
    networks = [family.network(m, data.x.shape[1:], outputs) for m in widths]
    values: dict[tuple[str, int | None], tuple[float, ...]] = {}
    for layer, top in enumerate(typical, start=1):
        scales = np.array([network.maps[layer - 1].scale for network in networks])  # 1/√m_{l−1}
        values["sigma-norm", layer] = values["delta-norm", layer] = tuple(top * scales)
        values["weight-drift", layer] = tuple(np.sqrt(top) * scales)
    return Predictions(values, tuple(np.exp(np.log(losses).mean(axis=0))))


@in_float64
def outputs_at_0(
    family: Family, kernels: InfiniteWidthKernels, seed: int, outputs: int, how: str
) -> Float[np.ndarray, "P C"]:
    """f^0 of a seed at infinite width."""
    covariance = kernels.features[-1]
    points = len(covariance)
    if how == "zero":
        return np.zeros((points, outputs))
    root = np.linalg.cholesky(covariance + JITTER * np.trace(covariance) / points * np.eye(points))
    with drawing():
        key = of_shared_outputs(seed)
        shared = np.asarray(shared_weights(key, outputs, points))
        bias = np.asarray(shared_bias(key, outputs))
    return root @ shared.T + family.bias_std * bias
