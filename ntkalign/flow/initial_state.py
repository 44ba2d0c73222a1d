"""A network at time 0: everything about it that several flows share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow.operators.cached_products import Anchors, ProductCache, ProductKey
from ntkalign.flow.operators.moving_weights import Weight
from ntkalign.kernels.empirical import Factors
from ntkalign.networks.base import Network, Parameters, Pass, Signals
from ntkalign.networks.jacobians import repeated, true_feedback
from ntkalign.precision import in_float64


class Observations(NamedTuple):
    """Activities and Jacobians along a flow; item l−1 of a tuple belongs to layer l.

    Feedback has the layout of :mod:`ntkalign.networks.jacobians`.
    """

    preactivations: tuple[np.ndarray, ...]  # z_l, (n, P, m_l)
    activities: tuple[np.ndarray, ...]  # σ(z_{l−1}), (n, P, m_{l−1})
    jacobian: tuple[np.ndarray, ...]  # ∇_{z_l} f, (n, C, P, m_l)
    rule_activities: tuple[np.ndarray, ...]  # the activity that the rule uses
    rule_feedback: tuple[np.ndarray, ...]  # the feedback that the rule uses, (n, C, P, m_l)


@dataclass(frozen=True, eq=False)
class InitialState:
    """The forward pass and the Jacobian at time 0, in float64.

    Attributes:
        network: the architecture.
        start: the parameters.
        x: the data, (P, d).
        first: the pass over the data.
        jacobian: ∇_{z_l} f(x) for l = 1…N as rows, each (C·P, m_l), points fastest.
        anchors: the products with weight matrices that went into them.
    """

    network: Network
    start: Parameters
    x: Array
    first: Pass
    jacobian: Signals
    anchors: dict[ProductKey, Anchors]
    _repeated: list[tuple[int, Pass]] = field(default_factory=list)

    @classmethod
    @in_float64
    def of(
        cls, network: Network, start: Parameters, x: Float[Array | np.ndarray, "P d"]
    ) -> InitialState:
        """Evaluate a network at its start; NumPy's data keep float64 where JAX's may not have."""
        x = jnp.asarray(x, jnp.float64)
        start = tuple(
            layer._replace(weight=_narrow(layer.weight), bias=jnp.asarray(layer.bias, jnp.float64))
            for layer in start
        )
        cache = ProductCache(len(x), {}, recording=True)
        first = network.forward(cached_weights(cache, start), x)
        cache.rewind()
        jacobian = true_feedback(first)
        plain = replace(first, weights=tuple(layer.weight for layer in start))
        return cls(network, start, x, plain, jacobian, cache.known)

    @property
    def factors(self) -> Factors:
        """Of the Jacobian at time 0."""
        return Factors(self.first.activities, self.jacobian)

    @property
    def observations(self) -> Observations:
        """Those of time 0 alone (n = 1)."""
        z, h = (
            tuple(np.asarray(a)[None] for a in group)
            for group in (self.first.preactivations, self.first.activities)
        )
        g = tuple(
            np.asarray(rows).reshape(1, self.network.outputs, len(self.x), -1)
            for rows in self.jacobian
        )
        return Observations(z, h, g, h, g)

    def repeated(self, q: int) -> Pass:
        """The pass of time 0 for q moments, without weights; the last one is kept."""
        if not self._repeated or self._repeated[0][0] != q:
            self._repeated[:] = [(q, repeated(self.first, q))]
        return self._repeated[0][1]

    def error(self, y: Array | np.ndarray) -> Float[np.ndarray, "P C"]:
        """E = y − f at time 0."""
        return np.asarray(y) - np.asarray(self.first.output)


def cached_weights(cache: ProductCache, start: Parameters) -> Parameters:
    """The parameters with every weight matrix at rest, its products going through the cache."""
    return tuple(
        layer._replace(weight=Weight(cache, f"W{number}", layer.weight))
        for number, layer in enumerate(start, start=1)
    )


def _narrow(weight: Array) -> Array:
    """The same numbers in float32 where that loses nothing: half the memory traffic."""
    if weight.dtype == jnp.float32:
        return weight
    short = weight.astype(jnp.float32)
    return short if bool(jnp.all(short.astype(weight.dtype) == weight)) else weight
