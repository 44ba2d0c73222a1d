"""A network at time 0: everything about it that several flows share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow.operators.cached_products import Anchors, ProductCache, ProductKey
from ntkalign.flow.operators.moving_weights import Weight
from ntkalign.kernels.empirical import Factors
from ntkalign.networks.base import Network, Pass, Signals
from ntkalign.networks.jacobians import activity_rows, repeated, signal_rows, true_feedback
from ntkalign.networks.layers import Layer, Parameters
from ntkalign.precision import in_float64


class Observations(NamedTuple):
    """Activities and Jacobians along a flow; item l−1 of a tuple belongs to layer l.

    Layout as in :mod:`ntkalign.networks.jacobians`: R is 1 in a fully connected network, and else
    the number of places at which a point meets the layer's weights.
    """

    preactivations: tuple[np.ndarray, ...]  # z_l, (n, P·R, m_l)
    activities: tuple[np.ndarray, ...]  # σ(z_{l−1}), (n, P·R, m_{l−1})
    jacobian: tuple[np.ndarray, ...]  # ∇_{z_l} f, (n, C, P·R, m_l)
    rule_activities: tuple[np.ndarray, ...]  # the activity that the rule uses
    rule_feedback: tuple[np.ndarray, ...]  # the feedback that the rule uses, (n, C, P·R, m_l)


@dataclass(frozen=True, eq=False)
class InitialState:
    """The forward pass and the Jacobian at time 0, in float64.

    Attributes:
        network: the architecture.
        start: the parameters.
        matrices: the same, each layer's weights as one matrix.
        x: the data, (P, …).
        first: the pass over the data.
        preactivations: its z_l as rows, each (P·R, m_l).
        activities: its σ(z_{l−1}) as rows, each (P·R, m_{l−1}).
        jacobian: ∇_{z_l} f(x) for l = 1…N as rows, each (C·P·R, m_l).
        anchors: the products with weight matrices that went into them.
    """

    network: Network
    start: Parameters
    matrices: Parameters
    x: Array
    first: Pass
    preactivations: Signals
    activities: tuple[Array, ...]
    jacobian: Signals
    anchors: dict[ProductKey, Anchors]
    _repeated: list[tuple[int, Pass]] = field(default_factory=list)

    @classmethod
    @in_float64
    def of(
        cls, network: Network, start: Parameters, x: Float[Array | np.ndarray, "P ..."]
    ) -> InitialState:
        """Evaluate a network at its start; NumPy's data keep float64 where JAX's may not have."""
        x = jnp.asarray(x, jnp.float64)
        start = tuple(
            Layer(_narrow(weight), None if bias is None else jnp.asarray(bias, jnp.float64))
            for weight, bias in start
        )
        matrices = tuple(
            own._replace(weight=layer.matrix(own.weight))
            for layer, own in zip(network.maps, start, strict=True)
        )
        cache = ProductCache({}, recording=True)
        first = network.forward(_through_cache(cache, network, matrices, len(x)), x)
        cache.rewind()
        jacobian = true_feedback(first)
        return cls(
            network=network,
            start=start,
            matrices=matrices,
            x=x,
            first=replace(first, weights=tuple(layer.weight for layer in start)),
            preactivations=signal_rows(network, first.preactivations),
            activities=activity_rows(network, first.activities),
            jacobian=jacobian,
            anchors=cache.known,
        )

    @property
    def factors(self) -> Factors:
        """Of the Jacobian at time 0."""
        return Factors(self.activities, self.jacobian)

    @property
    def observations(self) -> Observations:
        """Those of time 0 alone (n = 1)."""
        z, h = (
            tuple(np.asarray(a)[None] for a in group)
            for group in (self.preactivations, self.activities)
        )
        g = tuple(
            np.asarray(rows).reshape(1, self.network.flat_outputs, -1, rows.shape[1])
            for rows in self.jacobian
        )
        return Observations(z, h, g, h, g)

    def repeated(self, q: int) -> Pass:
        """The pass of time 0 for q moments, without weights; the last one is kept."""
        if not self._repeated or self._repeated[0][0] != q:
            self._repeated[:] = [(q, repeated(self.first, q))]
        return self._repeated[0][1]

    def through(self, cache: ProductCache) -> Parameters:
        """The parameters with every matrix at rest, its products going through a cache."""
        return _through_cache(cache, self.network, self.matrices, len(self.x))

    def error(self, y: Array | np.ndarray) -> Float[np.ndarray, "P C"]:
        """E = y − f at time 0."""
        return np.asarray(y) - self.output

    @cached_property
    def output(self) -> Float[np.ndarray, "P C"]:
        """F at time 0, all steps of a recurrent network side by side."""
        return np.asarray(self.first.output).reshape(len(self.x), -1)


def _through_cache(
    cache: ProductCache, network: Network, matrices: Parameters, points: int
) -> Parameters:
    return tuple(
        own._replace(weight=Weight(cache, f"W{number}", own.weight, points * layer.places_at_once))
        for number, (layer, own) in enumerate(zip(network.maps, matrices, strict=True), start=1)
    )


def _narrow(weight: Array) -> Array:
    """The same numbers in float32 where that loses nothing: half the memory traffic."""
    if weight.dtype == jnp.float32:
        return weight
    short = weight.astype(jnp.float32)
    return short if bool(jnp.all(short.astype(weight.dtype) == weight)) else weight
