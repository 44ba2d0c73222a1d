"""Fully connected networks in the neural tangent parameterisation, equation (1).

    z_l = W_l σ(z_{l−1}) / √m_{l−1} + b_l,   σ(z_0) = x,   f = z_N,   entries of W_l ~ N(0, 1).

Rows are data points: an array over P points and m_l units has shape (P, m_l).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ntkalign.networks.activations import Activation
from ntkalign.precision import as_given, in_float64


class Layer(NamedTuple):
    """The parameters of one layer (or their change, or their velocity)."""

    weight: Any  # W_l, (m_l, m_{l−1}), an array or what else rows can be multiplied with by @
    bias: Array  # b_l, (m_l,)


BLOCK = 2**22
"""Arrays with more entries are drawn in blocks."""

Parameters = tuple[Layer, ...]
Signals = tuple[Array, ...]
"""One array per layer l = 1…N, of shape (P, m_l)."""


class Pass(NamedTuple):
    """Everything one forward pass over the data leaves behind; what a rule may look at."""

    weights: tuple[Any, ...]  # W_1 … W_N
    preactivations: tuple[Array, ...]  # z_1 … z_N, each (P, m_l)
    activities: tuple[Array, ...]  # σ(z_0) = x, σ(z_1), … σ(z_{N−1}): layer l reads item l−1
    slopes: tuple[Array, ...]  # σ′(z_1) … σ′(z_{N−1})
    output: Array  # f, (P, C)


@dataclass(frozen=True)
class Network:
    """An architecture; the same object trains and is measured.

    Args:
        widths: (m_0, m_1, …, m_N): inputs, hidden widths, outputs.
        activation: σ.
        bias_std: standard deviation β of the biases at initialisation (0 in the paper's code).
        output_scale: factor α on the output, f = α z_N. Gradient flow then runs at the rate
            η = 1/α², which leaves the kernel at initialisation as it is: 1 is the neural
            tangent parameterisation, α ∝ m^(−1/2) the mean-field one.
    """

    widths: tuple[int, ...]
    activation: Activation
    bias_std: float = 0.0
    output_scale: float = 1.0

    @property
    def depth(self) -> int:
        """N, the number of weight layers."""
        return len(self.widths) - 1

    @property
    def rate(self) -> float:
        """The learning rate η of gradient flow in units where time is measured."""
        return self.output_scale**-2

    @in_float64
    def initialise(self, key: Key[Array, ""], dtype: Any = jnp.float64) -> Parameters:
        """Draw W_l ~ N(0, 1) and b_l ~ N(0, β²).

        Args:
            key: randomness.
            dtype: of the weights, which are float32 numbers in either case.
        """
        return tuple(
            Layer(weight.astype(dtype), self.bias_std * bias.astype(jnp.float64))
            for weight, bias in zip(
                normal_matrices(jax.random.fold_in(key, 0), self._shapes),
                normal_matrices(jax.random.fold_in(key, 1), [(m,) for m in self.widths[1:]]),
                strict=True,
            )
        )

    @property
    def _shapes(self) -> list[tuple[int, ...]]:
        return list(zip(self.widths[1:], self.widths[:-1], strict=True))

    @as_given
    def forward(self, parameters: Parameters, x: Float[Array, "P d"]) -> Pass:
        """Equation (1) over all data points."""
        h, activities, preactivations, slopes = x, [x], [], []
        for weight, bias in parameters:
            z = h @ weight.T / math.sqrt(weight.shape[1]) + bias[None, :]
            preactivations.append(z)
            if len(preactivations) < self.depth:
                h, slope = self.activation.value_and_slope(z)
                activities.append(h)
                slopes.append(slope)
        return Pass(
            weights=tuple(layer.weight for layer in parameters),
            preactivations=tuple(preactivations),
            activities=tuple(activities),
            slopes=tuple(slopes),
            output=self.output_scale * preactivations[-1],
        )


@as_given
def backpropagate(
    weights: tuple[Any, ...], slopes: tuple[Array, ...], error: Float[Array, "P C"]
) -> Signals:
    """∇_{z_l} f(x) e(x) for l = 1…N, by the chain rule through ``weights`` and ``slopes``.

        s_N = e,   s_l = σ′(z_l) ⊙ W_{l+1}ᵀ s_{l+1} / √m_l

    (The layer indices of (29)–(30) in the paper are off by one; this is the chain rule of (1).)
    """
    signals = [error]
    for weight, slope in zip(reversed(weights[1:]), reversed(slopes), strict=True):
        signals.append(slope * (signals[-1] @ weight) / math.sqrt(weight.shape[1]))
    return tuple(reversed(signals))


def normal_matrices(key: Key[Array, ""], shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Independent N(0, 1) arrays of these shapes, in float32; large ones block by block."""
    small = [shape for shape in shapes if math.prod(shape) <= BLOCK]
    ends = np.cumsum([math.prod(shape) for shape in small])
    total = int(ends[-1]) if small else 0
    flat = np.asarray(jax.random.normal(jax.random.fold_in(key, 0), (total,), jnp.float32))
    parts = iter(np.split(flat, ends[:-1]))
    return [
        jnp.asarray(next(parts).reshape(shape))
        if math.prod(shape) <= BLOCK
        else _large(jax.random.fold_in(key, number), shape[0], math.prod(shape[1:])).reshape(shape)
        for number, shape in enumerate(shapes, start=1)
    ]


@partial(jax.jit, static_argnums=(1, 2))
def _large(key: Array, rows: int, columns: int) -> Array:
    """N(0, 1) entries, so many rows at a time that little more than the result is held."""
    step = max(s for s in range(1, max(2, BLOCK // columns + 1)) if rows % s == 0)

    def block(number: Array) -> Array:
        return jax.random.normal(jax.random.fold_in(key, number), (step, columns), jnp.float32)

    return jax.lax.map(block, jnp.arange(rows // step)).reshape(rows, columns)


@dataclass(frozen=True)
class Family:
    """Networks of growing width m that share everything else: the object of a scaling law.

    Args:
        depth: N ≥ 2, the number of weight layers.
        activation: σ.
        multipliers: hidden widths are m times these, relative to the smallest (which is m).
        bias_std: β of :class:`Network`.
        bottleneck: if given, the middle hidden layer keeps this width (a control: the limit
            of the paper then does not apply).
        output_exponent: the output scale is m^output_exponent (0 for neural tangent, −1/2 for
            mean-field scaling, a control).
    """

    depth: int
    activation: Activation
    multipliers: tuple[int, ...] = ()
    bias_std: float = 0.0
    bottleneck: int | None = None
    output_exponent: float = 0.0

    @property
    def meets_assumptions(self) -> bool:
        """Whether the assumptions of Lemma 1 and the propositions are met."""
        return (
            self.activation.meets_assumptions
            and self.bottleneck is None
            and self.output_exponent == 0
        )

    @property
    def bottleneck_layer(self) -> int:
        """The hidden layer l that a bottleneck narrows."""
        return self.depth // 2

    def network(self, width: int, inputs: int, outputs: int) -> Network:
        """The member of the family whose smallest hidden layer (bottleneck aside) is ``width``."""
        multipliers = self.multipliers or (1,) * (self.depth - 1)
        hidden = [width * k // min(multipliers) for k in multipliers]
        if self.bottleneck is not None:
            hidden[self.bottleneck_layer - 1] = self.bottleneck
        return Network(
            widths=(inputs, *hidden, outputs),
            activation=self.activation,
            bias_std=self.bias_std,
            output_scale=float(width) ** self.output_exponent,
        )
