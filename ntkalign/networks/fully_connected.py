"""Fully connected networks in the neural tangent parameterisation, equation (1).

    z_l = W_l σ(z_{l−1}) / √m_{l−1} + b_l,   σ(z_0) = x,   f = z_N,   entries of W_l ~ N(0, 1).

Rows are data points: an array over P points and m_l units has shape (P, m_l).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkalign.errors import InputError
from ntkalign.networks.activations import Activation, lookup
from ntkalign.networks.base import Network
from ntkalign.networks.layers import Layer, LayerMap, Shape
from ntkalign.values import A_SCALE, A_STD, several, whole

_WIDTHS = several(
    whole(1, "a layer has at least one unit", "pass (8, 64, 64, 2), say"),
    "they are inputs, hidden widths and outputs",
    "pass (8, 64, 64, 2), say",
)


@dataclass(frozen=True)
class DenseMap(LayerMap):
    """φ(θ, h) = W h/√m_{l−1} + b and ψ = σ, for one layer.

    Args:
        fan_in: m_{l−1}.
        units: m_l.
        activation: σ.
        factor: what stands for 1/√m_{l−1} if not that: 1 for inputs or weights that are not scaled.
        std: standard deviation of the weights at time 0.
        steps: if given, the same weights are met at so many steps, one after the other.
    """

    fan_in: int
    units: int
    activation: Activation
    factor: float | None = None
    std: float = 1.0
    steps: int | None = None

    @property
    def inputs(self) -> Shape:
        """(m_{l−1},)."""
        return (self.fan_in,)

    @property
    def outputs(self) -> Shape:
        """(m_l,)."""
        return (self.units,)

    @property
    def parameters(self) -> Layer:
        """(m_l, m_{l−1}) and (m_l,)."""
        shapes = Layer((self.units, self.fan_in), (self.units,))
        return jax.eval_shape(lambda: Layer(*map(jnp.zeros, shapes)))

    @property
    def scale(self) -> float:
        """1/√m_{l−1}, or what stands for it."""
        return 1 / math.sqrt(self.fan_in) if self.factor is None else self.factor

    @property
    def initial_std(self) -> float:
        """As given."""
        return self.std

    @property
    def places(self) -> int:
        """The steps."""
        return self.steps or 1

    @property
    def elementwise(self) -> Activation | None:
        """σ, where a point meets the weights once."""
        return self.activation if self.steps is None else None

    def from_signal_rows(self, rows: Any) -> Any:
        """(P, m) or (P, K, m)."""
        return rows if self.steps is None else rows.reshape(-1, self.steps, self.units)

    def linear(self, weight: Any, h: Float[Array, "P *steps a"]) -> Float[Array, "P *steps b"]:
        """W h/√m_{l−1}; W may be anything that rows are multiplied with by ``@``."""
        return self.scale * (h @ weight.T)

    def through_weight(
        self, weight: Any, s: Float[Array, "P *steps b"]
    ) -> Float[Array, "P *steps a"]:
        """Wᵀ s/√m_{l−1}, written out because W need not be an array that JAX can transpose."""
        return self.scale * (s @ weight)

    def nonlinear(self, u: Array) -> tuple[Array, Array]:
        """σ(z) and σ′(z)."""
        return self.activation.value_and_slope(u)

    def through_slope(self, slope: Any, g: Array) -> Array:
        """σ′(z) ⊙ g; the slope may be anything that is multiplied with by ``*``."""
        return slope * g


@dataclass(frozen=True)
class FullyConnected(Network):
    """The network of equation (1).

    Args:
        widths: (m_0, m_1, …, m_N): inputs, hidden widths, outputs.
        activation: σ.
        bias_std: standard deviation β of the biases at initialisation (0 in the paper's code).
        output_scale: factor α on the output, f = α z_N: 1 is the neural tangent parameterisation,
            α ∝ m^(−1/2) the mean-field one.

    Raises:
        InputError: if there is no such network.
    """

    widths: tuple[int, ...]
    activation: Activation
    bias_std: float = 0.0
    output_scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", _WIDTHS("widths", self.widths))
        object.__setattr__(self, "bias_std", A_STD("bias_std", self.bias_std))
        object.__setattr__(self, "output_scale", A_SCALE("output_scale", self.output_scale))
        object.__setattr__(self, "activation", lookup(self.activation))
        if len(self.widths) < 2:
            raise InputError(
                "widths", self.widths, must="be at least two numbers", got=str(len(self.widths)),
                because="they are inputs, hidden widths and outputs", do="pass (8, 64, 64, 2), say",
            )  # fmt: skip

    @cached_property
    def maps(self) -> tuple[DenseMap, ...]:
        """The layers l = 1…N."""
        return tuple(
            DenseMap(fan_in, units, self.activation)
            for fan_in, units in zip(self.widths[:-1], self.widths[1:], strict=True)
        )

    def from_output(
        self, number: int, projection: Any, e: Float[Array, "P C"]
    ) -> Float[Array, "P m"]:
        """B_l e, written out because e may be the rows of many moments."""
        return e @ projection.T
