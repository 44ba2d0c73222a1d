"""What a network must be able to do, so that nothing else knows its architecture.

A network is a chain of layers. Layer l has a map that is linear in its parameters θ_l = (W_l, b_l)
for given activities, and linear in the activities for given weights, up to the bias; then comes a
nonlinearity:

    u_l = φ_l(θ_l, h_{l−1}),   h_l = ψ_l(u_l),   h_0 = x,   f = α u_N.

For the fully connected network of equation (1), φ_l(θ_l, h) = W_l h/√m_{l−1} + b_l, ψ_l = σ, and
u_l is the paper's z_l. A learning rule (:mod:`ntkalign.rules`) then says *where* each of three
factors is taken: the weights that carry the error back (the transpose of φ_l in h), the slopes (the
transpose of ∂ψ_l) and the activities (the transpose of φ_l in θ_l). All three are vector–Jacobian
products, which JAX derives from the two maps, so a new architecture declares its maps and writes no
gradient.

Rows are data points: the first axis of every signal has one entry a point.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ntkalign.precision import as_given

Shape = tuple[int, ...]


class Layer(NamedTuple):
    """The parameters of one layer (or their change, or their velocity)."""

    weight: Any  # W_l: an array, or what else the layer's map can be applied with
    bias: Any  # b_l, an array


Parameters = tuple[Layer, ...]
Signals = tuple[Array, ...]
"""One array per layer l = 1…N, shaped like u_l; ∇_{u_l} f(x) e(x), or what a rule has in its place.
"""


class LayerMap(abc.ABC):
    """φ_l and ψ_l of one layer, and the three transposes that learning is made of."""

    @property
    @abc.abstractmethod
    def inputs(self) -> Shape:
        """Shape of h_{l−1} for one point."""

    @property
    @abc.abstractmethod
    def outputs(self) -> Shape:
        """Shape of u_l for one point."""

    @property
    @abc.abstractmethod
    def parameters(self) -> Layer:
        """Shapes and types of W_l and b_l, without numbers."""

    @property
    @abc.abstractmethod
    def scale(self) -> float:
        """The factor before the weights in φ_l: 1/√fan-in in the neural tangent parameterisation.

        The claims measure weights in these units: ‖W_l^t − W_l^0‖_op/√m_{l−1}, say.
        """

    @abc.abstractmethod
    def linear(self, weight: Any, h: Array) -> Array:
        """φ_l without its bias: linear in the weights and in the activities."""

    @abc.abstractmethod
    def nonlinear(self, u: Array) -> tuple[Array, Any]:
        """ψ_l(u), and its slope at u: all that :meth:`through_slope` needs."""

    @abc.abstractmethod
    def through_slope(self, slope: Any, g: Array) -> Array:
        """(∂ψ_l/∂u)ᵀ g."""

    def features(self, h: Array | np.ndarray, k: Array | np.ndarray) -> Any:
        """Inner products of activities in the units of :attr:`scale`: σσᵀ/m_{l−1}, (P, Q)."""
        return self.scale**2 * (h @ k.T)

    def affine(self, parameters: Layer, h: Array) -> Array:
        """φ_l(θ_l, h)."""
        return self.linear(parameters.weight, h) + parameters.bias[None]

    def through_weight(self, weight: Any, s: Array) -> Array:
        """(∂φ_l/∂h)ᵀ s: the error carried back by these weights."""
        like = jax.eval_shape(lambda: jnp.zeros((len(s), *self.inputs), s.dtype))
        (back,) = jax.linear_transpose(partial(self.linear, weight), like)(s)
        return back

    def outer(self, s: Array, h: Array) -> Layer:
        """Σ_x (∂φ_l/∂θ_l)ᵀ s(x): what signals and activities make of weights and biases."""
        (change,) = jax.linear_transpose(lambda p: self.affine(p, h), self.parameters)(s)
        return change


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("weights", "preactivations", "activities", "slopes", "output"),
    meta_fields=("network",),
)
@dataclass(frozen=True)
class Pass:
    """Everything one forward pass over the data leaves behind; what a rule may look at."""

    network: Network
    weights: tuple[Any, ...]  # W_1 … W_N
    preactivations: tuple[Any, ...]  # u_1 … u_N (z_l of the paper), each (P, …)
    activities: tuple[Any, ...]  # h_0 = x, h_1, … h_{N−1}: layer l reads item l−1
    slopes: tuple[Any, ...]  # of ψ_1 … ψ_{N−1}; σ′(z_l) of the fully connected network
    output: Any  # f, (P, C)


class Network(abc.ABC):
    """An architecture; the same object trains and is measured. Immutable and hashable."""

    @property
    @abc.abstractmethod
    def maps(self) -> tuple[LayerMap, ...]:
        """The layers l = 1…N."""

    @property
    @abc.abstractmethod
    def output_scale(self) -> float:
        """α, the factor on the output."""

    @property
    @abc.abstractmethod
    def bias_std(self) -> float:
        """β, the standard deviation of the biases at time 0."""

    @abc.abstractmethod
    def initialise(self, key: Key[Array, ""], dtype: Any = jnp.float64) -> Parameters:
        """Draw the parameters of time 0.

        Args:
            key: randomness.
            dtype: of the weights, which are float32 numbers in either case.
        """

    @abc.abstractmethod
    def projections(self, key: Key[Array, ""]) -> tuple[Array, ...]:
        """Fixed random maps from the output straight to h_1 … h_{N−1} (direct feedback)."""

    @abc.abstractmethod
    def from_output(self, projection: Any, e: Float[Array, "P C"]) -> Array:
        """An error carried to a hidden layer by such a map; shaped like h_l."""

    @property
    def depth(self) -> int:
        """N, the number of weight layers."""
        return len(self.maps)

    @property
    def outputs(self) -> int:
        """C, the number of outputs."""
        return self.maps[-1].outputs[-1]

    @property
    def sizes(self) -> tuple[int, ...]:
        """m_0, m_1, …, m_N: numbers of a point's activities, layer by layer."""
        first = math.prod(self.maps[0].inputs)
        return (first, *(math.prod(layer.outputs) for layer in self.maps))

    @property
    def rate(self) -> float:
        """The learning rate η = 1/α² of gradient flow in units where time is measured.

        It leaves the kernel at initialisation as it is without α.
        """
        return self.output_scale**-2

    @as_given
    def forward(self, parameters: Parameters, x: Float[Array, "P ..."]) -> Pass:
        """Equation (1) over all data points."""
        h, activities, preactivations, slopes = x, [x], [], []
        for layer, own in zip(self.maps, parameters, strict=True):
            u = layer.affine(own, h)
            preactivations.append(u)
            if len(preactivations) < self.depth:
                h, slope = layer.nonlinear(u)
                activities.append(h)
                slopes.append(slope)
        return Pass(
            network=self,
            weights=tuple(own.weight for own in parameters),
            preactivations=tuple(preactivations),
            activities=tuple(activities),
            slopes=tuple(slopes),
            output=self.output_scale * preactivations[-1],
        )

    @as_given
    def pass_from_preactivations(self, x: Array, preactivations: tuple[Array, ...]) -> Pass:
        """The pass that has these preactivations; without weights."""
        shaped = [
            _nonlinear(layer, u)
            for layer, u in zip(self.maps[:-1], preactivations[:-1], strict=True)
        ]
        return Pass(
            network=self,
            weights=(),
            preactivations=preactivations,
            activities=(x, *(h for h, _ in shaped)),
            slopes=tuple(slope for _, slope in shaped),
            output=self.output_scale * preactivations[-1],
        )

    @as_given
    def backward(
        self, weights: tuple[Any, ...], slopes: tuple[Any, ...], error: Float[Array, "P C"]
    ) -> Signals:
        """∇_{u_l} f(x) e(x)/α for l = 1…N, by the chain rule through these weights and slopes.

            s_N = e,   s_l = (∂ψ_l/∂u)ᵀ (∂φ_{l+1}/∂h)ᵀ s_{l+1}

        which is σ′(z_l) ⊙ W_{l+1}ᵀ s_{l+1}/√m_l for the fully connected network. (The layer indices
        of (29)–(30) in the paper are off by one; this is the chain rule of (1).)

        Returns:
            s_1, …, s_N, shaped like u_l.
        """
        signals = [error]
        for layer, above, weight, slope in zip(
            reversed(self.maps[:-1]),
            reversed(self.maps[1:]),
            reversed(weights[1:]),
            reversed(slopes),
            strict=True,
        ):
            signals.append(layer.through_slope(slope, above.through_weight(weight, signals[-1])))
        return tuple(reversed(signals))

    @as_given
    def direct(
        self, projections: tuple[Any, ...], slopes: tuple[Any, ...], error: Float[Array, "P C"]
    ) -> Signals:
        """(∂ψ_l/∂u)ᵀ B_l e with B_l straight from the output; e itself at the last layer."""
        hidden = (
            layer.through_slope(slope, self.from_output(projection, error))
            for layer, slope, projection in zip(self.maps[:-1], slopes, projections, strict=True)
        )
        return (*hidden, error)

    @as_given
    def update(self, signals: Signals, activities: tuple[Array, ...]) -> Parameters:
        """dθ_l/dt = η E[(∂φ_l/∂θ_l)ᵀ s_l], φ_l taken at these activities.

        For the fully connected network dW_l/dt = η/√m_{l−1} E[s_l h_{l−1}ᵀ] and db_l/dt = η E[s_l].

        Returns:
            For each layer dW_l/dt and db_l/dt, shaped like W_l and b_l.
        """
        share = self.rate / len(signals[-1])
        moves = [
            layer.outer(s, h) for layer, s, h in zip(self.maps, signals, activities, strict=True)
        ]
        return tuple(Layer(share * weight, share * bias) for weight, bias in moves)


@as_given
def backpropagate(
    weights: Pass | tuple[Any, ...], slopes: Pass, error: Float[Array, "P C"]
) -> Signals:
    """The error carried back through chosen weights and chosen slopes.

    Args:
        weights: the pass whose weights carry the error, or weights that are no pass's own.
        slopes: the pass at which the nonlinearities are linearised.
        error: e(x), times α.

    Returns:
        s_1, …, s_N, see :meth:`Network.backward`.
    """
    through = weights.weights if isinstance(weights, Pass) else weights
    return slopes.network.backward(through, slopes.slopes, error)


@partial(jax.jit, static_argnums=0)
def _nonlinear(layer: LayerMap, u: Array) -> tuple[Array, Any]:
    return layer.nonlinear(u)
