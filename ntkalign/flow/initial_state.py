"""A network at time 0: everything about it that several flows share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow.operators.cached_products import Key, Known, Tape
from ntkalign.flow.operators.moving_weights import History, Motion, Weight
from ntkalign.networks.fully_connected import (
    Network,
    Parameters,
    Pass,
    Signals,
    backpropagate,
)
from ntkalign.precision import in_float64


class Trace(NamedTuple):
    """Activities and Jacobians along a flow; item l−1 of a tuple belongs to layer l."""

    preactivations: tuple[np.ndarray, ...]  # z_l, (n, P, m_l)
    activities: tuple[np.ndarray, ...]  # σ(z_{l−1}), (n, P, m_{l−1})
    jacobian: tuple[np.ndarray, ...]  # ∇_{z_l} f, (n, P, m_l, C)
    rule_activities: tuple[np.ndarray, ...]  # the activity that the rule uses
    rule_feedback: tuple[np.ndarray, ...]  # the feedback that the rule uses, (n, P, m_l, C)


@dataclass(frozen=True, eq=False)
class Origin:
    """The forward pass and the Jacobian at time 0, in float64.

    Attributes:
        network: the architecture.
        start: the parameters.
        x: the data, (P, d).
        first: the pass over the data.
        jacobian: ∇_{z_l} f(x) for l = 1…N, each (C·P, m_l), points fastest.
        known: the products with weight matrices that went into them.
    """

    network: Network
    start: Parameters
    x: Array
    first: Pass
    jacobian: Signals
    known: dict[Key, Known]
    _repeated: list[tuple[int, Pass]] = field(default_factory=list)

    @classmethod
    @in_float64
    def of(cls, network: Network, start: Parameters, x: Float[Array | np.ndarray, "P d"]) -> Origin:
        """Evaluate a network at its start."""
        x = jnp.asarray(x, jnp.float64)
        start = tuple(layer._replace(weight=_narrow(layer.weight)) for layer in start)
        start = tuple(layer._replace(bias=jnp.asarray(layer.bias, jnp.float64)) for layer in start)
        tape = Tape(len(x), {}, recording=True)
        first = network.forward(weights(tape, start), x)
        jacobian = feedback_rows(network, first, tape)
        plain = first._replace(weights=tuple(layer.weight for layer in start))
        return cls(network, start, x, plain, jacobian, tape.known)

    @property
    def trace(self) -> Trace:
        """The trace at time 0 alone (n = 1)."""
        z, h = (tuple(np.asarray(a)[None] for a in group) for group in self.first[1:3])
        g = tuple(by_point(a, len(self.x))[None] for a in self.jacobian)
        return Trace(z, h, g, h, g)

    def repeated(self, q: int) -> Pass:
        """The pass of time 0 for q moments, without weights; the last one is kept."""
        if not self._repeated or self._repeated[0][0] != q:
            self._repeated[:] = [(q, repeated(self.first, q))]
        return self._repeated[0][1]

    def error(self, y: Array | np.ndarray) -> Float[np.ndarray, "P C"]:
        """E = y − f at time 0."""
        return np.asarray(y) - np.asarray(self.first.output)


def repeated(one: Pass, q: int) -> Pass:
    """A pass over P points, repeated for q moments (or outputs); without weights."""
    return jax.tree.map(lambda a: jnp.asarray(np.tile(a, (q, 1))), one._replace(weights=()))


def weights(tape: Tape, start: Parameters) -> Parameters:
    """The parameters with every weight matrix on the tape, at rest."""
    return tuple(
        layer._replace(weight=Weight(tape, f"W{number}", layer.weight))
        for number, layer in enumerate(start, start=1)
    )


def moving_weights(
    tape: Tape,
    origin: Origin,
    history: tuple[History | None, ...],
    feedback: Signals,
    activity: tuple[Array, ...],
    integral: Float[Array, "q n"],
) -> tuple[Weight, ...]:
    """The weights at q moments of a panel.

    Args:
        tape: for the products with weights at time 0.
        origin: the network at time 0.
        history: the weights' change before the panel.
        feedback: G_l at the panel's n nodes, each (n·P, m_l).
        activity: the rule's at the nodes, each (n·P, m_{l−1}), or (P, m_{l−1}) if frozen.
        integral: values at the nodes → ∫ dt from the panel's start to the q moments.
    """
    rate = origin.network.rate
    parts = zip(
        weights(tape, origin.start), history, feedback, activity, origin.first.activities,
        strict=True,
    )  # fmt: skip
    return tuple(
        replace(
            layer.weight,
            history=past,
            motion=Motion.of(g, a, h, integral, rate, tape.precision_of(layer.weight.array)),
        )
        for layer, past, g, a, h in parts
    )


def output_basis(network: Network, points: int) -> Float[Array, "CP C"]:
    """Unit errors, one output after the other for all points, times α."""
    outputs = network.widths[-1]
    return jnp.asarray(network.output_scale * np.repeat(np.eye(outputs), points, axis=0))


def feedback_rows(network: Network, now: Pass, tape: Tape) -> Signals:
    """∇_{z_l} f(x) for l = 1…N, each (C·P, m_l), from a pass over the P points."""
    points, outputs = now.output.shape
    slopes = tuple(jnp.asarray(np.tile(slope, (outputs, 1))) for slope in now.slopes)
    tape.rewind()
    return backpropagate(now.weights, slopes, output_basis(network, points))


def by_point(signals: Array, points: int) -> Float[np.ndarray, "P m C"]:
    """Rows (C·P, m) as feedback Jacobians (P, m, C)."""
    return np.moveaxis(np.asarray(signals).reshape(-1, points, signals.shape[1]), 0, -1)


def columns(network: Network, now: Pass, feedback: Any) -> tuple[Array, ...]:
    """Feedback Jacobians (P, m_l, C) from a function that is linear in the error."""
    points, outputs = now.output.shape
    basis = jnp.broadcast_to(jnp.eye(outputs)[:, None, :], (outputs, points, outputs))
    signals = jax.vmap(feedback)(network.output_scale * basis)
    return tuple(jnp.moveaxis(s, 0, -1) for s in signals)


def kernel(
    jacobian: Signals, feedback: Signals, seen: tuple[Array, ...], used: tuple[Array, ...]
) -> Float[np.ndarray, "PC PC"]:
    """K with ḟ = (η/P) K e: rows and columns are (x, output); Θ of the text for gradient descent.

        K(x, x′) = Σ_l ∇_{z_l}f(x)ᵀ feedback_l(x′) (σ(z_{l−1}(x))·activity_{l−1}(x′)/m_{l−1} + 1)

    Args:
        jacobian: ∇_{z_l} f, each (C·P, m_l).
        feedback: the rule's, each (C·P, m_l).
        seen: the network's activities.
        used: the rule's activities.
    """
    points = len(seen[0])
    total: np.ndarray | float = 0.0
    for layer in zip(jacobian, feedback, seen, used, strict=True):
        g, s, h, a = (np.asarray(part) for part in layer)
        gamma = (g @ s.T).reshape(-1, points, len(s) // points, points)  # Γ_l, equation (6)
        total = total + np.einsum("cpdq,pq->pcqd", gamma, h @ a.T / h.shape[1] + 1)
    size = jacobian[-1].shape[0]
    return np.asarray(total).reshape(size, size)


def _narrow(weight: Array) -> Array:
    """The same numbers in float32 where that loses nothing: half the memory traffic."""
    if weight.dtype == jnp.float32:
        return weight
    short = weight.astype(jnp.float32)
    return short if bool(jnp.all(short.astype(weight.dtype) == weight)) else weight
