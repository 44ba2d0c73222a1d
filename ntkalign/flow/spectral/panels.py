"""What the spectral engine passes around: panels of time, solved or as drafts, and flat rows.

A trajectory at n nodes is kept as rows, (n·B, m), moments slowest: the B = P·R rows of a moment are
the data points, each at the R places at which it meets a layer's weights
(:mod:`ntkalign.networks.base`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow.operators.cached_products import Novelties
from ntkalign.flow.operators.moving_weights import History
from ntkalign.flow.spectral.collocation import Panel
from ntkalign.flow.spectral.crossings import Crossed
from ntkalign.flow.trajectory import Outcome
from ntkalign.networks.base import Pass, Signals
from ntkalign.rules import Rule

LATER = "@"
"""In the name of a matrix of a panel's start, which no other flow has."""
NODES = (12, 16, 20, 24)
"""How many nodes a panel may have."""


@dataclass(frozen=True, eq=False)
class PanelStart:
    """The network at a panel's start.

    Attributes:
        now: the pass over the data.
        biases: b_l; None of a layer that has none.
        history: the weights' change since time 0.
        error: e, or the teacher's.
        jacobian: ∇_{z_l} f, (C·B, m_l).
        feedback: the rule's feedback for unit errors, (C·B, m_l).
        kernel: K of the rule.
        beside: what the signals are beside the feedback times e, each (B, m_l); where units cross
            kinks, feedback and kernel remain those of time 0.
        crossed: what else is known of hidden layers whose units cross kinks.
        whole: the weights themselves, each a name and a matrix, of layers whose change is no
            longer of low rank; empty if there are none, or they are not known.
    """

    now: Pass
    biases: tuple[Array | None, ...]
    history: tuple[History | None, ...]
    error: Float[np.ndarray, "P C"]
    jacobian: Signals
    feedback: Signals
    kernel: Float[np.ndarray, "PC PC"]
    beside: Signals = ()
    crossed: tuple[Crossed, ...] = ()
    whole: tuple[tuple[str, Array] | None, ...] = ()


@dataclass(frozen=True, eq=False)
class SolvedPanel:
    """A converged panel: all that is needed to evaluate the network anywhere on it."""

    panel: Panel
    base: PanelStart
    error: Float[np.ndarray, "n P C"]
    output: Float[np.ndarray, "n P C"]
    feedback: Signals  # G_l, (n·B, m_l)
    activity: tuple[Array, ...]  # the rule's, (n·B, m_{l−1}), or (B, m_{l−1}) if frozen
    preactivations: tuple[Array, ...]  # z_l, (n·B, m_l)
    memory: Novelties
    estimate: float | None  # where units cross kinks: none
    crossed: tuple[Crossed, ...] = ()  # the hidden layers at the end, where units cross kinks
    unsettled: float = 0.0  # what the last iteration still changed there, or its tolerance


@dataclass(frozen=True, eq=False)
class SolvedPanels:
    """A flow, panel by panel.

    Attributes:
        panels: in order of time.
        outcome: REACHED, or why the last panel did not work out.
        iterations: over all panels, those given up included.
        columns: how many columns met a large weight matrix.
    """

    rule: Rule
    panels: tuple[SolvedPanel, ...]
    outcome: Outcome
    iterations: int
    columns: int

    @property
    def estimate(self) -> float | None:
        """The largest estimated relative error of e, z_l − z_l(0) and G_l; None if not known."""
        found = [p.estimate for p in self.panels if p.estimate is not None]
        return max(found) if len(found) == len(self.panels) else None

    @property
    def unsettled(self) -> float:
        """The largest share that the iteration still changes, if it was stopped at that."""
        return max((p.unsettled for p in self.panels), default=0.0)

    def panel_at(self, time: float) -> SolvedPanel:
        """The panel that a time belongs to."""
        return next((p for p in self.panels if p.panel.reaches(time)), self.panels[-1])

    def integrals(self, time: float) -> list[tuple[SolvedPanel, Float[np.ndarray, " n"]]]:
        """The panels up to a time, each with its nodes' weights in ∫₀ᵗ."""
        found = []
        for solved in self.panels:
            panel = solved.panel
            end = min(time, float(panel.times[-1]))
            found.append((solved, panel.integral(np.array([end]))[0]))
            if panel.reaches(time):
                break
        return found

    def at(self, time: float) -> tuple[Float[np.ndarray, "P C"], Float[np.ndarray, "P C"]]:
        """δ/η and f at a time."""
        delta = sum(np.tensordot(v, solved.error, 1) for solved, v in self.integrals(time))
        last = self.panel_at(time)
        across = last.panel.interpolation(np.array([time]))[0]
        return np.asarray(delta), np.tensordot(across, last.output, 1)

    def error_at(self, times: np.ndarray) -> Float[np.ndarray, "q P C"]:
        """The error at some times."""
        found = [(self.panel_at(t), t) for t in times]
        return np.stack(
            [np.tensordot(p.panel.interpolation(np.array([t]))[0], p.error, 1) for p, t in found]
        )


@dataclass(frozen=True, eq=False)
class PanelGuess:
    """A trajectory that is not good enough yet, and what is known of its products."""

    panel: Panel
    error: Float[np.ndarray, "n P C"]
    memory: Novelties
    feedback: Signals = ()
    preactivations: tuple[Array, ...] = ()

    def on(self, panel: Panel) -> PanelGuess:
        """The same at the nodes of another panel; beyond its own it stays where it ends."""
        across = self.panel.interpolation(panel.times)
        return PanelGuess(
            panel=panel,
            error=np.tensordot(across, self.error, 1),
            memory={
                key: (at_moments(across, seen), at_moments(across, made))
                for key, (seen, made) in self.memory.items()
            },
            feedback=tuple(at_moments(across, g) for g in self.feedback),
            preactivations=tuple(at_moments(across, z) for z in self.preactivations),
        )

    def without_later(self) -> PanelGuess:
        """The same without products with matrices that are not those of time 0."""
        memory = {key: known for key, known in self.memory.items() if LATER not in key[0]}
        return replace(self, memory=memory)


def signals_at(base: PanelStart, e: Float[np.ndarray, "n P C"]) -> Signals:
    """About what the rule's signals are while the error is e, each (n·B, m_l)."""
    linear = [feedback_times_error(columns, e) for columns in base.feedback]
    if base.beside:
        linear = [
            rows + np.tile(more, (len(e), 1))
            for rows, more in zip(linear, base.beside, strict=True)
        ]
    return tuple(map(jnp.asarray, linear))


class TooLongError(Exception):
    """The iteration does not converge on a panel."""


class TooCoarseError(Exception):
    """A panel needs more nodes.

    Args:
        draft: as far as the present nodes go.
        left: the share that their last coefficients still have.
        allowed: the share that they may have.
    """

    def __init__(self, draft: PanelGuess, left: float, allowed: float):
        super().__init__()
        self.draft, self.left, self.allowed = draft, left, allowed

    def nodes(self) -> int:
        """How many will do, if coefficients go on falling geometrically; 0 if none."""
        now = self.draft.panel.nodes
        needed = now * math.log(self.allowed) / min(math.log(self.left), -1.0)
        return next((n for n in NODES if n > now and n >= min(needed, NODES[-1])), 0)


def feedback_times_error(
    columns: Array | np.ndarray, e: Float[np.ndarray, "n P C"]
) -> Float[np.ndarray, "nB m"]:
    """Σ_c columns_c e_c: feedback times the error, from feedback for unit errors (C·B, m)."""
    n, points, outputs = e.shape
    units = columns.shape[1]
    stacked = np.asarray(columns).reshape(outputs, points, -1, units)
    out = np.zeros((n, points, stacked.shape[2], units))
    for c in range(outputs):
        out += e[:, :, c, None, None] * stacked[c]
    return out.reshape(-1, units)


def at_moments(mixing: Any, rows: Array) -> Array:
    """Other moments of flat rows: Σ_k mixing_jk rows_k."""
    return _mixed(jnp.asarray(mixing, rows.dtype), rows)


@jax.jit
def _mixed(mixing: Array, rows: Array) -> Array:
    return (mixing @ rows.reshape(mixing.shape[1], -1)).reshape(-1, rows.shape[1])
