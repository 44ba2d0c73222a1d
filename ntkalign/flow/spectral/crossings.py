"""Units that cross a kink of their activation: slopes that jump in time, integrated exactly.

Where σ′ jumps, the feedback of a unit jumps as its preactivation crosses the kink, and no
polynomial in time follows it. But feedback is only ever integrated over time, and what is carried
back to a unit, b_l = W_{l+1}ᵀ s_{l+1}/√m_l, is hardly touched by its own crossing. So between two
nodes of a panel time is cut into *cells*, on each of which the slope is replaced by its mean q:

    ∫_0^t s_l dτ = ∫_0^t σ′(z_l) b_l dτ ≈ Σ_cells q ∫_cell b_l dτ,

with the moment of a crossing inside a cell found from the path of z. What stands for s_l at the
nodes (:class:`CrossedSlope`) is the derivative of this integral's interpolant: its own integrals up
to each node are right, though not its values.

The mean slopes depend on the path of z_l, and the path on the slopes: a unit that has crossed moves
its own weights otherwise, by as much as it moves at all, and may slide along its kink, pushed back
from either side. Relaxation does not settle that. So each unit's path is solved with its answer to
itself, which is known (:func:`paths`), given all that others do to it:

    z_l(x, t) = external(x, t) + Σ_x′ Θ_l(x, x′) ∫_0^t σ′(z_l(x′)) b_l(x′) dτ,

with Θ_l the unit's own neural tangent kernel at time 0 (:func:`answers`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow.initial_state import InitialState
from ntkalign.flow.operators.cached_products import times
from ntkalign.flow.spectral.collocation import Panel
from ntkalign.flow.spectral.paths import paths, slope_of
from ntkalign.networks.activations import Activation
from ntkalign.networks.base import Signals, Through

EACH = 4
"""Cells between two nodes."""
COHERENT = 0.3
"""Below this κ the signals of the layer below count as not coming through the weights."""
SIZES = (16, 64, 256, 1024, 4096)
"""So many units are followed at once, the last ones being some again: few shapes are compiled."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a panel, EACH between two nodes, and what they do to values at the nodes."""

    panel: Panel

    @cached_property
    def edges(self) -> Float[np.ndarray, " edges"]:
        """Where cells begin and end; nodes are among these times."""
        nodes = self.panel.nodes
        places = np.interp(
            np.arange(EACH * (nodes - 1) + 1) / EACH, np.arange(nodes), np.log1p(self._scaled)
        )
        return self.panel.tau * np.expm1(places)

    @property
    def _scaled(self) -> np.ndarray:
        return self.panel.times / self.panel.tau

    @property
    def durations(self) -> Float[np.ndarray, " c"]:
        """Of the cells."""
        return np.diff(self.edges)

    @cached_property
    def at_edges(self) -> Array:
        """Values at the nodes → values at the edges, (c + 1, n)."""
        return jnp.asarray(self.panel.interpolation(self.edges))

    @cached_property
    def weights(self) -> Array:
        """Values at the nodes → integrals up to the nodes, (n, n)."""
        return jnp.asarray(self.panel.weights)

    @cached_property
    def at_middles(self) -> Array:
        """Values at the nodes → half-way through the cells, (c, n)."""
        return jnp.asarray(self.panel.interpolation((self.edges[1:] + self.edges[:-1]) / 2))

    @cached_property
    def over_cells(self) -> Array:
        """Values at the nodes → integrals over the cells, (c, n)."""
        return jnp.asarray(np.diff(self.panel.integral(self.edges), axis=0))

    @cached_property
    def at_nodes(self) -> Array:
        """Integrals over the cells → the derivative of their sums' interpolant at the nodes."""
        nodes = self.panel.nodes
        before = np.arange(EACH * (nodes - 1)) < EACH * np.arange(nodes)[:, None]
        return jnp.asarray(self.panel.derivative @ before)


@dataclass(eq=False)
class CrossedSlope:
    """What stands in the place of σ′(z) at the nodes, for a rule that multiplies with it.

    Args:
        cells: of the panel.
        means: the mean slope in each cell, (c, B, m).
        met: what was multiplied with it last: b's integrals over the cells.
    """

    cells: Cells
    means: Array
    met: Array | None = None

    def __mul__(self, b: Array) -> Array:
        out, self.met = _crossed(self.cells.over_cells, self.means, self.cells.at_nodes, b)
        return out

    __rmul__ = __mul__


@jax.jit
def _crossed(over_cells: Array, means: Array, at_nodes: Array, b: Array) -> tuple[Array, Array]:
    met = (over_cells @ b.reshape(over_cells.shape[1], -1)).reshape(means.shape)
    flat = (means * met).reshape(len(means), -1)
    return (at_nodes @ flat).reshape(b.shape), met


class Crossed(NamedTuple):
    """A hidden layer at the end of a panel, each (B, m)."""

    preactivation: Array  # of its units' own paths
    slope: Array  # of a unit that slides along its kink, the mean one
    signal: Array  # b, what comes back to it


@dataclass(eq=False)
class Crossings:
    """The hidden layers' mean slopes on one panel, as the relaxation goes on.

    Args:
        cells: of the panel.
        activation: σ.
        answers: Θ_l for each hidden layer, (B, B, m_l).
        before: what the hidden layers were at the end of the panel before.
    """

    cells: Cells
    activation: Activation
    answers: tuple[Array, ...]
    before: tuple[Crossed, ...] = ()
    _slopes: dict[int, CrossedSlope] = field(default_factory=dict)
    _ends: dict[int, tuple[Array, Array]] = field(default_factory=dict)

    @property
    def ends(self) -> tuple[Crossed, ...]:
        """What each hidden layer is at the panel's end; nothing if the rule uses no slopes."""
        last = self.cells.durations[-1]
        found = []
        for number, end in sorted(self._ends.items()):
            met = self._slopes[number].met
            assert met is not None  # ends are known of layers whose slopes were used
            found.append(Crossed(*end, met[-1] / last))
        return tuple(found)

    def through(self, signals: Signals) -> Through:
        """What a forward pass has in the place of the nonlinearities.

        Args:
            signals: those that the weights have moved by, each (n·B, m_l).

        Returns:
            A function of a layer's number and its preactivations at the nodes: the activities and
            mean slopes of units that answer to themselves.
        """

        def cross(number: int, z: Array) -> tuple[Array, Any]:
            last = self._slopes.get(number)
            if last is not None and last.met is None:  # a rule that does not look at them
                return self.activation.function(z), last
            met = None if last is None else last.met
            if last is None and self.before:
                durations = jnp.asarray(self.cells.durations)
                met = self.before[number - 1].signal[None] * durations[:, None, None]
            signal, answer = signals[number - 1], self.answers[number - 1]
            start = self.before[number - 1].preactivation if self.before else z[: len(answer)]
            z, means, end = self._followed(z, signal, answer, met, start)
            self._slopes[number] = slope = CrossedSlope(self.cells, means)
            if met is not None:
                self._ends[number] = z[-len(answer) :], end
            return self.activation.function(z), slope

        return cross

    def _followed(
        self, z: Array, signal: Array, answer: Array, met: Array | None, start: Array
    ) -> tuple[Array, Array, Array]:
        """A layer's units; those away from kinks have the slope half-way through each cell.

        Returns:
            Preactivations at the nodes, mean slopes, and slopes at the end.
        """
        cells, sigma = self.cells, self.activation
        means, end = _undisturbed(sigma, cells.at_middles, z, len(answer))
        if met is None:
            return z, means, end
        near = np.asarray(near_kinks(sigma.kinks, z, met, answer))
        if not near.any():
            return z, means, end
        units = np.flatnonzero(near)
        size = next((size for size in SIZES if size >= len(units)), len(units))
        place = np.cumsum(near) - 1  # of a unit among those that are followed
        return _follow(
            sigma, (cells.at_edges, cells.weights), np.resize(units, size), (near, place),
            (z, means, end), (signal, answer, met, start),
        )  # fmt: skip


@partial(jax.jit, static_argnums=0)
def near_kinks(kinks: tuple[float, ...], z: Array, met: Array, answer: Array) -> Array:
    """Units that may reach a kink: within their range once more and what they answer to it.

    Args:
        kinks: where.
        z: preactivations at the nodes, (n·B, m).
        met: ∫ b over each cell, (c, B, m).
        answer: Θ, (B, B, m).

    Returns:
        Whether a unit may, (m,).
    """
    by_node = z.reshape(-1, *met.shape[1:])
    low, high = by_node.min(axis=0), by_node.max(axis=0)
    own = jnp.abs(jnp.einsum("ppm->pm", answer))
    room = high - low + own * jnp.abs(met).sum(axis=0)
    reached = [(low - room <= kink) & (kink <= high + room) for kink in kinks]
    return jnp.any(jnp.stack(reached), axis=(0, 1))


@partial(jax.jit, static_argnums=0)
def _follow(
    activation: Activation,
    panel: tuple[Array, Array],
    units: Array,
    found: tuple[Array, Array],
    every: tuple[Array, Array, Array],
    given: tuple[Array, Array, Array, Array],
) -> tuple[Array, Array, Array]:
    """What is known of every unit, with that of some replaced by what their paths give.

    Args:
        activation: σ.
        panel: what :func:`paths` is given of it.
        units: that are followed; some may stand there twice.
        found: which they are, and where among ``units``, each (m,).
        every: preactivations at the nodes, mean slopes and slopes at the end.
        given: the signal, the answer, what is met and where paths begin.

    Returns:
        ``every`` with the paths.
    """
    near, place = found
    some = paths(activation, *panel, *(a[..., units] for a in (every[0], *given)))
    z, means, end = (
        jnp.where(near, new[..., place], old) for old, new in zip(every, some, strict=True)
    )
    return z, means, end


@partial(jax.jit, static_argnums=(0, 3))
def _undisturbed(
    activation: Activation, at_middles: Array, z: Array, points: int
) -> tuple[Array, Array]:
    by_node = z.reshape(at_middles.shape[1], points, -1)
    return slope_of(activation, jnp.tensordot(at_middles, by_node, 1)), slope_of(
        activation, by_node[-1]
    )


def answers(initial: InitialState, feedback: Signals, share: float) -> tuple[Array, ...]:
    """What the units of the hidden layers answer to themselves: the kernel of z_l,i at time 0.

        Θ_l,i = η/P (σ(z_{l−1})·σ(z_{l−1})/m_{l−1} + 1)
                + κ_l Σ_j W_l,ij²/m_{l−1} σ′(z_{l−1,j}) σ′(z_{l−1,j}) Θ_{l−1,j}

    The second part is what comes back from the layers below, if the rule sends signals down through
    the weights of the network: κ_l is 1 then, and 0 for weights that have nothing to do with them.
    What different units of the layer below have in common, smaller by 1/√m, is left out.

    Args:
        initial: the network at time 0.
        feedback: the rule's for unit errors there, each (C·P, m_l).
        share: η/P.

    Returns:
        Θ_l for each hidden layer, (P, P, m_l).
    """
    network, found = initial.network, list[Array]()
    for number, layer in enumerate(network.maps[:-1]):
        h, units = initial.activities[number], layer.matrix_shape[0]
        direct = share * (layer.scale**2 * (h @ h.T) + float(layer.has_bias))
        own = jnp.broadcast_to(direct[..., None], (*direct.shape, units))
        if number:
            weight, slope = initial.matrices[number].weight, initial.first.slopes[number - 1]
            back = layer.scale * times(feedback[number], weight, False)
            back = jnp.tile(slope, (len(back) // len(slope), 1)) * back
            kappa = float(np.vdot(back, feedback[number - 1]) / (np.vdot(back, back) or 1.0))
            if abs(kappa) > COHERENT:
                through = slope[:, None] * slope[None] * found[-1]
                squares = jnp.square(weight)
                rows = through.reshape(-1, through.shape[-1]).astype(squares.dtype)
                below = times(rows, squares, True).astype(own.dtype).reshape(own.shape)
                own = own + kappa * layer.scale**2 * below
        found.append(own)
    return tuple(found)
