"""Hanin & Nica 2020, *Finite Depth and Width Corrections to the Neural Tangent Kernel*, Theorem 1.

In a ReLU network at its start (weights N(0, 2/fan-in), biases 0) with hidden widths n_1, n_2, …,
the kernel K = Θ(x, x) of one point is random: up to constant factors,

    E[K²]/E[K]² ≃ exp(5β),   β = Σ_l 1/n_l,

which suggests that its relative standard deviation is O(n^-1/2) at a fixed depth, and does *not*
tend to 0 if depth and width grow together. Both are measured, the second with depth as the size:

    ntkalign verify --plugin examples/hanin2020.py --network wide-relu --out figures/hanin2020-width
    ntkalign verify --plugin examples/hanin2020.py --network deep-relu --out figures/hanin2020-depth

Nothing is trained. Each number is a sample's relative standard deviation, over DRAWS networks, an
average over points and outputs. Controls: a layer of fixed width; a fixed depth.

What differs here: σ is √2·ReLU, which with our weights N(0, 1)/√fan-in is their network but for the
first layer, which has no factor √2, and for how much biases count in K: both change constants.
There are ten outputs and not one; of each, K has the law of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np

from ntkalign import Activation, Claim, Control, Kind, Layers, Quantity, register
from ntkalign.kernels.empirical import at_once, factors
from ntkalign.networks.family import NetworkFamily
from ntkalign.networks.fully_connected import FullyConnected
from ntkalign.networks.kinds import NetworkKind, Size, Usual
from ntkalign.networks.layers import Shape
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.quantity import ErrorFrom
from ntkalign.quantities.series import ROUNDING, Series

DRAWS, DEPTH, RATIO = 32, 4, 16
"""Networks for one number; layers of wide networks; width over hidden layers of deep ones."""


def scaled_relu(z: jax.Array) -> jax.Array:
    """√2·max(z, 0)."""
    return math.sqrt(2) * jax.nn.relu(z)


HE = Activation("he-relu", scaled_relu, bounded_first=True)


@dataclass(frozen=True)
class WideFamily(NetworkFamily):
    """ReLU networks of one depth; a bottleneck keeps the middle layer's width."""

    kind: ClassVar[str] = "wide-relu"
    wide: ClassVar[int] = 256

    depth: int = DEPTH
    activation: Activation = HE
    bias_std: float = 0.0
    bottleneck: int | None = None
    output_exponent: float = 0.0

    @property
    def meets_assumptions(self) -> bool:
        """The theorem's, not the paper's of this package: ReLU is inside."""
        return self.bottleneck is None

    @property
    def bottleneck_layer(self) -> int:
        """The middle one."""
        return self.depth // 2

    def network(self, width: int, inputs: Shape, outputs: int) -> FullyConnected:
        """With hidden layers of this width."""
        hidden = [width] * (self.depth - 1)
        if self.bottleneck:
            hidden[self.bottleneck_layer - 1] = self.bottleneck
        return FullyConnected((*inputs, *hidden, outputs), self.activation)


@dataclass(frozen=True)
class DeepFamily(WideFamily):
    """Those whose width is RATIO times their number of hidden layers, so that β = 1/RATIO.

    In the control the depth is kept, and the width grows as it did.
    """

    kind: ClassVar[str] = "deep-relu"
    wide: ClassVar[int] = 8

    def network(self, width: int, inputs: Shape, outputs: int) -> FullyConnected:
        """With so many layers of weights."""
        depth = self.bottleneck or width
        hidden = [RATIO * (width - 1)] * (depth - 1)
        return FullyConnected((*inputs, *hidden, outputs), self.activation)


def spread(seen: Observed) -> Series:
    """The relative standard deviation of Θ(x, x), over networks drawn anew."""
    network, x = seen.network, seen.flow.initial.x
    key = jax.random.fold_in(jax.random.key(seen.seed), sum(network.sizes))
    kernels = []
    for one in jax.random.split(key, DRAWS):
        theta = at_once(network, factors(network, network.initialise(one), x)).ntk
        kernels.append(np.einsum("ppcc->pc", theta))
    k = np.array(kernels)  # (draws, points, outputs)
    value = math.sqrt((k.var(axis=0, ddof=1) / k.mean(axis=0) ** 2).mean())
    return {(None, "ntk-spread"): (np.array([value]), np.array([100 * ROUNDING]))}


def of(family: type[WideFamily]) -> Any:
    """A function of settings: nothing of them changes these networks."""
    return lambda settings: family()


def claim(id: str, statement: str, *said: Any, network: str) -> Claim:
    """What the theorem suggests, its control the same family with something kept."""
    return Claim(f"hanin2020/{id}", "Thm 1", statement, "ntk-spread", *said,
                 controls=(Control("bottleneck", ("normal",)),), network=network)  # fmt: skip


register(
    NetworkKind("wide-relu", of(WideFamily), Usual((16, 32, 64, 128, 256), seeds=16),
                title=f"ReLU networks of depth {DEPTH}"),
    NetworkKind("deep-relu", of(DeepFamily), Usual((3, 5, 9, 17), seeds=16),
                size=Size("depth", "L", kept="depth kept", is_depth=True, largest=64),
                title=f"ReLU networks {RATIO} times as wide as they have hidden layers"),
    Quantity("ntk-spread", r"$\mathrm{std}\,\Theta(x,x)/\mathrm{E}\,\Theta(x,x)$", Layers.WHOLE,
             spread, error_from=ErrorFrom.MEASURING, trained=False),
    claim("width", "std Θ(x,x)/E Θ(x,x) is O(m^-1/2) at a fixed depth", Kind.BOUND, -0.5,
          network="wide-relu"),
    claim("depth", "std Θ(x,x)/E Θ(x,x) does not tend to 0 if the width grows with the depth",
          Kind.PERSISTS, network="deep-relu"),
)  # fmt: skip
