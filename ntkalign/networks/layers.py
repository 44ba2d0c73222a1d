"""One layer of a network: its two maps, the transposes that learning is made of, and its rows.

Layer l has a map φ_l that is linear in its parameters θ_l = (W_l, b_l) for given activities, and
linear in the activities for given weights, up to the bias; then comes a nonlinearity ψ_l. The
transposes of both are vector–Jacobian products, which JAX derives: an architecture declares its
maps and writes no gradient.

Where formulas stand once for all architectures, everything is *rows*: a layer's weights are one
matrix, (units, fan-in), and each time that a point meets it is a row. A point meets the weights of
a fully connected layer once; tied weights are met at every *place*, of an image or in time:

    W_l^t − W_l^0 = scale · Σ_rows ∫ s_l h_{l−1}ᵀ,   rows ordered by (point, place).
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

Shape = tuple[int, ...]


class Layer(NamedTuple):
    """The parameters of one layer (or their change, or their velocity)."""

    weight: Any  # W_l: an array, or what else the layer's map can be applied with; None: no weight
    bias: Any  # b_l, an array; None: no bias


Parameters = tuple[Layer, ...]


def laid_out(array: Any, layout: Callable[[Any], Any]) -> Any:
    """An array in another layout, by NumPy where its numbers are known.

    A layout needs no arithmetic, and NumPy has nothing to compile for each new shape.

    Args:
        array: whatever is laid out.
        layout: from an array of NumPy or of JAX to one of the same kind.

    Returns:
        An array of JAX.
    """
    if isinstance(array, jax.core.Tracer):
        return layout(array)
    return jnp.asarray(np.ascontiguousarray(layout(np.asarray(array))))


def is_array(weight: Any) -> bool:
    """Whether weights are numbers; if not they are a matrix that rows are multiplied with by @."""
    return isinstance(weight, jax.Array | np.ndarray)


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

    @property
    def initial_std(self) -> float:
        """Standard deviation of the weights at time 0: 1 in the neural tangent parameterisation."""
        return 1.0

    @property
    def has_bias(self) -> bool:
        """Whether there is a b_l."""
        return True

    @property
    def products(self) -> int:
        """Products of a weight and an activity in :meth:`linear`, for one point."""
        weight = self.parameters.weight
        return 0 if weight is None else math.prod(weight.shape)

    @abc.abstractmethod
    def linear(self, weight: Any, h: Array) -> Array:
        """φ_l without its bias: linear in the weights and in the activities."""

    @abc.abstractmethod
    def nonlinear(self, u: Array) -> tuple[Array, Any]:
        """ψ_l(u), and its slope at u: all that :meth:`through_slope` needs."""

    @abc.abstractmethod
    def through_slope(self, slope: Any, g: Array) -> Array:
        """(∂ψ_l/∂u)ᵀ g."""

    def through_activation(self, slope: Any, g: Array) -> Array:
        """The part of :meth:`through_slope` that belongs to the activation: σ′(z) ⊙ g."""
        return self.through_slope(slope, g)

    def through_norm(self, slope: Any, g: Array) -> Array:
        """The part of :meth:`through_slope` that belongs to a normalisation before it, if any."""
        return g

    def activity_shape(self, s: Array) -> Shape:
        """The shape of the activities that belong to signals like these."""
        return (len(s), *self.inputs)

    def features(self, h: Array | np.ndarray, k: Array | np.ndarray) -> Any:
        """Inner products of activities in the units of :attr:`scale`: σσᵀ/m_{l−1}, (P, Q)."""
        return self.scale**2 * (h @ k.T)

    def affine(self, parameters: Layer, h: Array) -> Array:
        """φ_l(θ_l, h)."""
        u = self.linear(parameters.weight, h)
        bias = parameters.bias
        return u if bias is None else u + jnp.expand_dims(bias, tuple(range(u.ndim - bias.ndim)))

    @property
    def places(self) -> int:
        """How often a point meets the weights."""
        return 1

    @property
    def places_at_once(self) -> int:
        """How often in one product: :meth:`linear` may go through places one after the other."""
        return 1

    @property
    def elementwise(self) -> Any:
        """The activation, if ψ_l is nothing else and a point meets the weights once; or None."""
        return None

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """(units, fan-in)."""
        weight = self.parameters.weight
        return weight.shape

    def matrix(self, weight: Any) -> Any:
        """The weights as one matrix, (units, fan-in)."""
        return weight

    def kernel(self, matrix: Any) -> Any:
        """The inverse of :meth:`matrix`."""
        return matrix

    def activity_rows(self, h: Any) -> Any:
        """What meets the matrix, (points · places, fan-in)."""
        return h.reshape(-1, h.shape[-1])

    def signal_rows(self, s: Any) -> Any:
        """What is shaped like u_l as rows, (points · places, units)."""
        return s.reshape(-1, s.shape[-1])

    def from_signal_rows(self, rows: Any) -> Any:
        """The inverse of :meth:`signal_rows`."""
        return rows

    def linear_by_rows(self, matrix: Any, h: Array) -> Array:
        """:meth:`linear` with weights of which nothing is known but their products with rows."""
        return self.from_signal_rows(self.scale * (self.activity_rows(h) @ matrix.T))

    def through_matrix(self, matrix: Any, s: Array) -> Array:
        """:meth:`through_weight` with such weights."""
        rows = self.scale * (self.signal_rows(s) @ matrix)
        return _fold(self, self.activity_shape(s), rows)

    def through_weight(self, weight: Any, s: Array) -> Array:
        """(∂φ_l/∂h)ᵀ s: the error carried back by these weights."""
        if not is_array(weight):
            return self.through_matrix(weight, s)
        return _through_weight(self, weight, s)

    def outer(self, s: Array, h: Array) -> Layer:
        """Σ_x (∂φ_l/∂θ_l)ᵀ s(x): what signals and activities make of weights and biases."""
        shapes = self.parameters
        like = jax.eval_shape(lambda: jax.tree.map(lambda p: jnp.zeros(p.shape, s.dtype), shapes))
        (change,) = jax.linear_transpose(lambda p: self.affine(p, h), like)(s)
        return change


@partial(jax.jit, static_argnums=0)
def nonlinear(layer: LayerMap, u: Array) -> tuple[Array, Any]:
    """ψ_l(u) and its slope, compiled."""
    return layer.nonlinear(u)


@partial(jax.jit, static_argnums=0)
def _through_weight(layer: LayerMap, weight: Array, s: Array) -> Array:
    like = jax.eval_shape(lambda: jnp.zeros(layer.activity_shape(s), s.dtype))
    (back,) = jax.linear_transpose(partial(layer.linear, weight), like)(s)
    return back


@partial(jax.jit, static_argnums=(0, 1))
def _fold(layer: LayerMap, shape: Shape, rows: Array) -> Array:
    """The transpose of activity_rows: what rows say to the activities that they are made of."""
    like = jax.eval_shape(lambda: jnp.zeros(shape, rows.dtype))
    (back,) = jax.linear_transpose(layer.activity_rows, like)(rows)
    return back
