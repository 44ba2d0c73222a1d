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
from ntkalign.kernels.convolutional import convolutional_kernels
from ntkalign.kernels.prediction import predicted_delta, spectrum
from ntkalign.networks.family import ConvolutionalFamily, Family, NetworkFamily
from ntkalign.networks.normalisation import Norm
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


@dataclass(frozen=True)
class Sweep:
    """Of which networks the limit is wanted.

    Attributes:
        data: the training points.
        times: at which networks are looked at.
        widths: at which the limits of what depends on the width are given.
        seeds: of the networks.
        initial_outputs: how those of the networks are drawn.
    """

    data: Data
    times: Sequence[float]
    widths: Sequence[int]
    seeds: Sequence[int]
    initial_outputs: str


def predictions(family: NetworkFamily, sweep: Sweep) -> Predictions | None:
    """The limits that the plots of a run show.

    Args:
        family: the networks, in the neural tangent parameterisation.
        sweep: which of them.

    Returns:
        The loss over time; of fully connected networks by quantity and layer the largest value
        over time, for each width. None if there is no limit that is known.
    """
    data, points = sweep.data, len(sweep.data.y)
    eye = np.eye(data.y.shape[1])
    if isinstance(family, ConvolutionalFamily) and family.norm is Norm.NONE:
        strides, bias = family.every_stride, family.bias_std
        channels = convolutional_kernels(family.activation, strides, bias, data.x)
        ntk, covariance = channels.ntk, channels.nngp - bias**2
    elif isinstance(family, Family):
        kernels = infinite_width_kernels(family, data.x)
        ntk, covariance = kernels.ntk, kernels.features[-1]
    else:
        return None
    theta = ntk[:, :, None, None] * eye
    flat = theta.transpose(0, 2, 1, 3).reshape(data.y.size, -1)
    deltas, losses = [], []
    for seed in sweep.seeds:
        f0 = outputs_at_0(family.bias_std, covariance, seed, len(eye), sweep.initial_outputs)
        delta = predicted_delta(theta, data.y - f0, np.array(sweep.times))
        moved = (delta.reshape(len(delta), -1) @ flat / points).reshape(delta.shape)
        losses.append(np.sum((data.y - f0 - moved) ** 2, axis=(1, 2)) / (2 * points))
        deltas.append(delta)
    loss = tuple(np.exp(np.log(losses).mean(axis=0)))
    if not isinstance(family, Family):
        return Predictions({}, loss)
    return Predictions(_of_alignment(family, kernels, sweep, deltas), loss)


def _of_alignment(
    family: Family, kernels: InfiniteWidthKernels, sweep: Sweep, deltas: list[np.ndarray]
) -> dict[tuple[str, int | None], tuple[float, ...]]:
    """‖Δ‖, ‖Σ/m‖ and the weights' drift, from the spectrum of Σ_l/m_{l−1}."""
    shape, outputs = sweep.data.x.shape[1:], sweep.data.y.shape[1]
    networks = [family.network(m, shape, outputs) for m in sweep.widths]
    values: dict[tuple[str, int | None], tuple[float, ...]] = {}
    for layer in range(1, family.depth + 1):
        gamma = kernels.backward[layer - 1][:, :, None, None] * np.eye(outputs)
        tops = [
            max(spectrum(kernels.features[layer - 1], gamma, d)[0] for d in delta)
            for delta in deltas
        ]
        top = np.exp(np.log(tops).mean())
        scales = np.array([network.maps[layer - 1].scale for network in networks])  # 1/√m_{l−1}
        values["sigma-norm", layer] = values["delta-norm", layer] = tuple(top * scales)
        values["weight-drift", layer] = tuple(np.sqrt(top) * scales)
    return values


@in_float64
def outputs_at_0(
    bias_std: float, covariance: Float[np.ndarray, "P P"], seed: int, outputs: int, how: str
) -> Float[np.ndarray, "P C"]:
    """f^0 of a seed at infinite width, from its covariance without the last bias."""
    points = len(covariance)
    if how == "zero":
        return np.zeros((points, outputs))
    root = np.linalg.cholesky(covariance + JITTER * np.trace(covariance) / points * np.eye(points))
    with drawing():
        key = of_shared_outputs(seed)
        shared = np.asarray(shared_weights(key, outputs, points))
        bias = np.asarray(shared_bias(key, outputs))
    return root @ shared.T + bias_std * bias
