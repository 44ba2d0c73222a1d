"""What ``verify`` should see at infinite width: alignment quantities and the training curve.

Under the analytic kernel e^t and δ^t are known for every f^0, which is Gaussian with the NNGP's
covariance. The nonzero eigenvalues of Σ_l/m_{l−1}, (3), then have limits λ, and Δ_l's the same:

    ‖Δ_l‖_op/√m_{l−1}, ‖Σ_l/m_{l−1}‖_op/√m_{l−1} ≈ λ_max/√m_{l−1},
    ‖W_l^t − W_l^0‖_op/√m_{l−1} ≈ (λ_max/m_{l−1})^½

The f^0 of a seed is the limit of the one that its networks share, see
:mod:`ntkalign.networks.shared_outputs`.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float

from ntkalign.cells.flow import NO_WIDTH, saved_times
from ntkalign.data.catalogue import Data
from ntkalign.kernels.analytic import InfiniteWidthKernels, infinite_width_kernels
from ntkalign.kernels.prediction import predicted_delta, spectrum
from ntkalign.networks.base import Network
from ntkalign.precision import in_float64
from ntkalign.runs.settings import Settings

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


def predictions(settings: Settings, data: Data, time: float) -> Predictions:
    """The limits that the plots of a run show.

    Args:
        settings: checked settings, in the neural tangent parameterisation.
        data: the training points.
        time: T.
    """
    kernels = infinite_width_kernels(settings.family, data.x)
    points, outputs = data.y.shape
    eye, times = np.eye(outputs), saved_times(time)
    theta = kernels.ntk[:, :, None, None] * eye
    flat = theta.transpose(0, 2, 1, 3).reshape(points * outputs, -1)
    largest = np.zeros((settings.seeds, settings.depth))
    losses = np.zeros((settings.seeds, len(times)))
    for s in range(settings.seeds):
        e0 = data.y - initial_outputs(settings, kernels, settings.first_seed + s, outputs)
        delta = predicted_delta(theta, e0, times)
        moved = (delta.reshape(len(times), -1) @ flat / points).reshape(delta.shape)
        losses[s] = np.sum((e0 - moved) ** 2, axis=(1, 2)) / (2 * points)
        for layer in range(settings.depth):
            gamma = kernels.backward[layer][:, :, None, None] * eye
            tops = [spectrum(kernels.features[layer], gamma, d)[0] for d in delta]
            largest[s, layer] = max(tops)
    typical = np.exp(np.log(largest).mean(axis=0))
    below = np.array([_network(settings, m, data).sizes[:-1] for m in settings.widths]).T
    values: dict[tuple[str, int | None], tuple[float, ...]] = {}
    for layer, (top, fan_in) in enumerate(zip(typical, below, strict=True), start=1):
        values["sigma-norm", layer] = values["delta-norm", layer] = tuple(top / np.sqrt(fan_in))
        values["weight-drift", layer] = tuple(np.sqrt(top / fan_in))
    return Predictions(values, tuple(np.exp(np.log(losses).mean(axis=0))))


@in_float64
def initial_outputs(
    settings: Settings, kernels: InfiniteWidthKernels, seed: int, outputs: int
) -> Float[np.ndarray, "P C"]:
    """f^0 of a seed at infinite width."""
    covariance = kernels.features[-1]
    points = len(covariance)
    if settings.initial_outputs == "zero":
        return np.zeros((points, outputs))
    root = np.linalg.cholesky(covariance + JITTER * np.trace(covariance) / points * np.eye(points))
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), seed), NO_WIDTH)
    shared = np.asarray(jax.random.normal(key, (outputs, points)))
    bias = np.asarray(jax.random.normal(jax.random.fold_in(key, 1), (outputs,)))
    return root @ shared.T + settings.bias_std * bias


def _network(settings: Settings, width: int, data: Data) -> Network:
    return settings.family.network(width, data.x.shape[1], data.y.shape[1])
