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

The first axis of inputs, outputs and errors has one entry a point. What is between them may be laid
out as the layers like it (:mod:`ntkalign.networks.layers`).
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ntkalign.networks.layers import Layer, LayerMap, Parameters, Shape, nonlinear
from ntkalign.networks.randomness import normal_matrices, of_biases, of_weights
from ntkalign.precision import as_given, in_float64

Through = Callable[[int, Array], tuple[Array, Any]]
Signals = tuple[Array, ...]
"""One array per layer l = 1…N, shaped like u_l; ∇_{u_l} f(x) e(x), or what a rule has in its place.
"""


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
    def output_scale(self) -> float:
        """α, the factor on the output."""
        return 1.0

    @property
    def bias_std(self) -> float:
        """β, the standard deviation of the biases at time 0."""
        return 0.0

    @in_float64
    def initialise(self, key: Key[Array, ""], dtype: Any = jnp.float64) -> Parameters:
        """Draw W_l ~ N(0, s_l²), s_l = 1 in the neural tangent form, and b_l ~ N(0, β²).

        Args:
            key: randomness.
            dtype: of the weights, which are float32 numbers in either case.

        Returns:
            For each layer W_l and b_l, which is in float64 in either case; None where it has none.
        """
        like = [layer.parameters for layer in self.maps]
        weights = iter(
            normal_matrices(of_weights(key), [p.weight.shape for p in like if p.weight is not None])
        )
        biases = iter(
            normal_matrices(of_biases(key), [p.bias.shape for p in like if p.bias is not None])
        )
        return tuple(
            Layer(
                None if p.weight is None else layer.initial_std * next(weights).astype(dtype),
                None if p.bias is None else self.bias_std * next(biases).astype(jnp.float64),
            )
            for layer, p in zip(self.maps, like, strict=True)
        )

    def enter(self, x: Float[Array, "P ..."]) -> Array:
        """h_0: the inputs in the array layout of the first layer."""
        return x

    def frozen(self, start: Parameters, now: Parameters) -> Parameters:
        """The parameters of the network that is kept as it was at time 0: θ⁰.

        An architecture says here which of its parameters are the current ones even there.

        Args:
            start: the parameters of time 0.
            now: the current ones.

        Returns:
            Parameters of the frozen network.
        """
        return start

    def projection_shapes(self, *, shared: bool = False) -> tuple[Shape, ...]:
        """Shapes of the maps B_1 … B_{N−1} of :meth:`projections`: what they reach, then C."""
        return tuple((*layer.outputs, self.outputs) for layer in self.maps[:-1])

    @property
    def projection_sizes(self) -> tuple[int, ...]:
        """Numbers of entries of what they reach, for one point; entries of B_l are N(0, 1/size)."""
        return tuple(math.prod(layer.outputs) for layer in self.maps[:-1])

    @in_float64
    def projections(self, key: Key[Array, ""], *, shared: bool = False) -> tuple[Array, ...]:
        """Fixed random maps from the output straight to h_1 … h_{N−1} (direct feedback).

        Args:
            key: randomness.
            shared: one map for all places (of an image, or in time) of a layer, and not one each.

        Returns:
            B_l with entries N(0, 1/m_l), the size of a Jacobian's entries, m_l the number of
            entries of h_l for one point.
        """
        matrices = normal_matrices(key, list(self.projection_shapes(shared=shared)))
        return tuple(
            b.astype(jnp.float64) / math.sqrt(size)
            for size, b in zip(self.projection_sizes, matrices, strict=True)
        )

    def from_output(self, number: int, projection: Any, e: Array) -> Array:
        """B_l e, an error carried straight to hidden layer l (a number); shaped like h_l."""
        return jnp.tensordot(e, projection, ((-1,), (-1,)))

    @property
    def depth(self) -> int:
        """N, the number of weight layers."""
        return len(self.maps)

    @property
    def outputs(self) -> int:
        """C, the number of outputs."""
        return self.maps[-1].outputs[-1]

    @property
    def input_shape(self) -> Shape:
        """Shape of a point as data have it."""
        return self.maps[0].inputs

    @property
    def output_shape(self) -> Shape:
        """Shape of a point's output: (C,), or (steps, outputs of a step)."""
        return (self.outputs,)

    @property
    def flat_outputs(self) -> int:
        """Numbers of a point's output, all steps together: the C of flows."""
        return math.prod(self.output_shape)

    @property
    def couples_points(self) -> bool:
        """Whether what a point is answered depends on the others, as with a batch norm."""
        return False

    @property
    def runs_in_time(self) -> bool:
        """Whether the places at which a point meets weights are steps, which claims speak of."""
        return False

    def point_axis(self, array: Any) -> int:
        """Along which axis an array of a pass has its points."""
        return 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """m_0, m_1, …, m_N: numbers of a point's activities, layer by layer."""
        first = math.prod(self.maps[0].inputs)
        return (first, *(math.prod(layer.outputs) for layer in self.maps))

    @property
    def operations(self) -> int:
        """Of a forward pass of one point: a multiplication and an addition for each weight used."""
        return sum(2 * layer.products for layer in self.maps)

    @property
    def entries(self) -> int:
        """Numbers of a point's activities, all layers together."""
        return sum(self.sizes[1:])

    @property
    def rate(self) -> float:
        """The learning rate η = 1/α² of gradient flow in units where time is measured.

        It leaves the kernel at initialisation as it is without α.
        """
        return self.output_scale**-2

    @as_given
    def forward(self, parameters: Parameters, x: Float[Array, "P ..."]) -> Pass:
        """Equation (1) over all data points."""
        return self.forward_through(parameters, x, None)

    @as_given
    def forward_through(
        self, parameters: Parameters, x: Float[Array, "P ..."], through: Through | None
    ) -> Pass:
        """The same, with something else in the place of the nonlinearities.

        Args:
            parameters: weights and biases.
            x: the points.
            through: ``(l, u_l) -> (h_l, slope)`` for l = 1…N − 1; None for the network's own.

        Returns:
            The pass.
        """
        h = self.enter(x)
        activities, preactivations, slopes = [h], list[Array](), list[Any]()
        for layer, own in zip(self.maps, parameters, strict=True):
            u = layer.affine(own, h)
            preactivations.append(u)
            number = len(preactivations)
            if number < self.depth:
                h, slope = nonlinear(layer, u) if through is None else through(number, u)
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
        """The pass that has these preactivations, and h_0 = x; without weights."""
        shaped = [
            nonlinear(layer, u)
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
        self, weights: tuple[Any, ...], slopes: tuple[Any, ...], error: Float[Array, "P *steps C"]
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
        self,
        projections: tuple[Any, ...],
        slopes: tuple[Any, ...],
        error: Float[Array, "P *steps C"],
    ) -> Signals:
        """(∂ψ_l/∂u)ᵀ B_l e with B_l straight from the output; e itself at the last layer."""
        hidden = (
            layer.through_slope(slope, self.from_output(number, projection, error))
            for number, (layer, slope, projection) in enumerate(
                zip(self.maps[:-1], slopes, projections, strict=True), start=1
            )
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
        return jax.tree.map(lambda move: share * move, self.outer(signals, activities))

    @as_given
    def outer(self, signals: Signals, activities: tuple[Array, ...]) -> Parameters:
        """Σ_x (∂φ_l/∂θ_l)ᵀ s_l(x), φ_l taken at these activities; shaped like W_l and b_l."""
        return tuple(
            layer.outer(s, h) for layer, s, h in zip(self.maps, signals, activities, strict=True)
        )


@as_given
def backpropagate(
    weights: Pass | tuple[Any, ...], slopes: Pass, error: Float[Array, "P *steps C"]
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
