"""Kernels of a convolutional network with infinitely many channels, each entry with an error bound.

A layer is told by what it reads. For each tap t of its kernel, A_t is the matrix with a 1 where an
output place reads an input place, and with rows of zeros where it reads the padding; the mean over
places is a layer of one tap, whose one output place reads all. Rows are pairs (point, place), and
A_t is the same for every point. With s = 1/9 for a convolution and 1/places² for the mean, c input
channels, and u, v jointly normal with the covariance K_l of preactivations at two such pairs,

    C_1 = s Σ_t A_t (x xᵀ/c) A_tᵀ,   K_l = C_l + β²,
    H_l = E[σ(u) σ(v)],              C_{l+1} = s Σ_t A_t H_l A_tᵀ,   (NNGP: K_{L+1})
    Γ_{L+1} = 1,                     Γ_l = E[σ′(u) σ′(v)] ⊙ s Σ_t A_tᵀ Γ_{l+1} A_t,
    Θ = Σ_l Σ_{p,p′} Γ_l ⊙ (C_l + 1)

for L convolutions and a dense layer L + 1, each kernel times the identity over outputs. Γ_l is that
of ∂f/∂u_l. Both sums have the *same* tap on either side because entries of W_l are independent:
E[W_t W_t′] = 0 for two taps. One kernel serves all places, so that its gradient is a sum over them,
and the kernel of the gradient a sum over pairs of them; so is the bias's, whose own gradient is the
1, whatever β is. (Novak et al., ICLR 2019, have C; Arora et al., NeurIPS 2019, have Θ without
biases.)

The two expectations, and what an error of K does to them, are those of
:mod:`ntkalign.kernels.analytic`. C and Γ are sums with positive weights, whose errors add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import sparse

from ntkalign.devices import devices
from ntkalign.errors import InputError
from ntkalign.kernels.analytic import (
    EPSILON,
    Bounded,
    Matrix,
    away,
    deviations,
    expectations,
    no_moments,
    propagated,
)
from ntkalign.networks.activations import Activation
from ntkalign.networks.convolution import convolve
from ntkalign.networks.convolutional import KERNEL, Convolutional, ConvolutionMap
from ntkalign.networks.layers import LayerMap
from ntkalign.networks.normalisation import Norm
from ntkalign.precision import in_float64
from ntkalign.values import real

_BIAS_STD = real("be at least 0", lambda v: v >= 0, "it is a standard deviation", "pass 0")


@dataclass(frozen=True, eq=False)
class ConvolutionalKernels:
    """Kernels over P data points at infinitely many channels, before the identity over outputs.

    Attributes:
        ntk: Θ.
        weights: Σ_l Σ_{p,p′} Γ_l ⊙ C_l, the part of Θ that comes from weights; the biases' is the
            rest.
        nngp: K_{L+1}, the covariance of outputs at time 0.
    """

    ntk: Matrix
    weights: Matrix
    nngp: Matrix

    def __post_init__(self) -> None:
        for array in (self.ntk, self.weights, self.nngp):
            array.setflags(write=False)  # they are kept for whoever asks next


@dataclass(frozen=True, eq=False)
class InfiniteChannelKernels(ConvolutionalKernels):
    """Kernels, and how far they may be from the true ones.

    Attributes:
        moved: the same with each entry moved, away from zero, by the bound on its error. What this
            changes in a quantity is the quantity's error.
    """

    moved: ConvolutionalKernels


@in_float64
def convolutional_kernels(
    activation: Activation,
    strides: Sequence[int],
    bias_std: float,
    x: Float[Array | np.ndarray, "P H W c"],
) -> InfiniteChannelKernels:
    """The limit of convolutional networks without batch norm as all their channels grow.

    Unequal numbers of channels have the same limit. The cost is that of n × n matrices, n the
    points times the places after the first convolution: some twenty at a time, and n² operations
    for each term of an expansion. With two convolutions of stride 2 on two cores, eight images of
    8 × 8 (n = 128) take a second or three, and eight of 28 × 28 (n = 1568) 6 to 40 s and 1.3 GiB;
    tanh takes 15 s.

    Args:
        activation: σ.
        strides: of each convolution.
        bias_std: standard deviation β of the biases at time 0.
        x: images.

    Returns:
        Kernels at all pairs of points, and the same moved by the bounds on their errors.

    Raises:
        InputError: if there is no such network, or if the data or an expectation are not finite.
    """
    x, device = np.ascontiguousarray(x, np.float64), str(devices()[0])
    if x.ndim != 4 or not np.isfinite(x).all():
        raise InputError(
            "x", f"of shape {x.shape}",
            must="be finite numbers of shape (points, height, width, channels)",
            got=f"shape {x.shape}" if x.ndim != 4 else "NaN or infinity",
            because="kernels are between images", do="pass one image for each point",
        )  # fmt: skip
    beta = _BIAS_STD("bias_std", bias_std)
    image = (x.shape[1], x.shape[2], x.shape[3])
    filters, strides = (1,) * len(strides), tuple(strides)
    network = Convolutional(image, filters, strides, 1, activation, Norm.NONE)
    found = _known(network, beta, len(x), x.tobytes(), device)
    if found is None:
        raise no_moments(network.activation)
    return found


@lru_cache(maxsize=8)  # expectations take seconds, and one run may ask more than once
def _known(
    network: Convolutional, bias_std: float, points: int, data: bytes, device: str
) -> InfiniteChannelKernels | None:
    x = np.frombuffer(data).reshape(-1, network.image[-1])
    first, *others = [_reads(layer, points) for layer in network.maps]
    windows = np.hstack([tap @ x for tap in first.taps])
    start = first.share * (windows @ windows.T) / x.shape[1]
    seen = [(start, EPSILON * deviations(start))]  # C_1 … C_{L+1}
    slopes: list[Bounded] = []
    expect = expectations(network.activation)
    for layer in others:
        c, error = seen[-1]
        k = c + bias_std**2
        h, slope = propagated(expect, k, error + EPSILON * deviations(k))
        if not np.isfinite([*h, *slope]).all():
            return None
        seen.append(layer.forward(h))
        slopes.append(slope)
    backward: list[Bounded] = [(np.ones((points, points)), np.zeros((points, points)))]
    for layer, slope in zip(reversed(others), reversed(slopes), strict=True):
        backward.append(_times(slope, layer.backward(backward[-1])))
    backward.reverse()

    ntk, weights = np.zeros((2, 2, points, points))  # and their errors
    for gamma, (c, error) in zip(backward, seen, strict=True):
        ntk += _over_places(_times(gamma, (c + 1, error)), points)
        weights += _over_places(_times(gamma, (c, error)), points)
    c, error = seen[-1]
    nngp = c + bias_std**2
    error = error + EPSILON * deviations(nngp)
    moved = ConvolutionalKernels(away(*ntk), away(*weights), away(nngp, error))
    return InfiniteChannelKernels(ntk[0], weights[0], nngp, moved)


# --- one layer ------------------------------------------------------------------------------

Inputs = Float[np.ndarray, "i i"]
Outputs = Float[np.ndarray, "o o"]
Rows = Float[np.ndarray, "n n"]


@dataclass(frozen=True, eq=False)
class Reads:
    """What the output places of a layer read, for all points.

    Attributes:
        taps: A_t, from rows (point, input place) to rows (point, output place).
        share: s.
    """

    taps: tuple[sparse.csr_array, ...]
    share: float

    def forward(self, h: tuple[Inputs, Inputs]) -> tuple[Outputs, Outputs]:
        """C = s Σ_t A_t H A_tᵀ, and how far it may be off."""
        c, error = (self.share * sum(tap @ k @ tap.T for tap in self.taps) for k in h)
        return (c + c.T) / 2, error + EPSILON * deviations(c)

    def backward(self, gamma: tuple[Outputs, Outputs]) -> tuple[Inputs, Inputs]:
        """Γ of what is read, s Σ_t A_tᵀ Γ A_t, and how far it may be off."""
        back, error = (self.share * sum(tap.T @ k @ tap for tap in self.taps) for k in gamma)
        return back, error + EPSILON * deviations(back)


def _reads(layer: LayerMap, points: int) -> Reads:
    """The network's own convolution says it, of images with a single 1."""
    _, height, width = layer.inputs
    places = height * width
    if isinstance(layer, ConvolutionMap):
        images = jnp.asarray(np.eye(places).reshape(1, height, width, places))
        filters = np.eye(KERNEL**2).reshape(KERNEL, KERNEL, 1, KERNEL**2)  # one for each tap
        seen = np.asarray(convolve(images, jnp.asarray(filters), layer.stride, "library"))
        one, share = seen.reshape(KERNEL**2, -1, places), 1 / KERNEL**2
    else:
        one, share = np.ones((1, 1, places)), 1 / places**2
    every = sparse.eye_array(points)
    return Reads(tuple(sparse.kron(every, tap, format="csr") for tap in one), share)


def _times(a: tuple[Rows, Rows], b: tuple[Rows, Rows]) -> tuple[Rows, Rows]:
    """Entry by entry."""
    (value, off), (other, other_off) = a, b
    return value * other, off * (np.abs(other) + other_off) + np.abs(value) * other_off


def _over_places(k: tuple[Rows, Rows], points: int) -> Float[np.ndarray, "2 P P"]:
    """Σ_{p,p′}, and how far it may be off; symmetric to the last bit."""
    entries, error = k
    error = error + EPSILON * np.abs(entries)
    places = len(entries) // points
    blocks = np.stack([entries, error]).reshape(2, points, places, points, places).sum((2, 4))
    return (blocks + blocks.swapaxes(1, 2)) / 2
