"""Chebyshev waveform relaxation in function space: one panel of gradient flow at large width.

On a panel of n collocation nodes t_j (:mod:`~ntkalign.flow.spectral.collocation`) the unknowns are
the error e and the feedback G_l at the nodes; no m × m matrix is ever updated. One iteration goes

    forward at all nodes, the weights' motion by inner products
    (:mod:`~ntkalign.flow.operators.moving_weights`);
    residual r(t_j) = y − f(t_j) − e(t_j);
    e ← e + δe with (1 + η/P w ⊗ K) δe = r, K the rule's kernel at the panel's start;
    feedback and activity of the rule at all nodes, from the new e.

What the preconditioner leaves over is the drift of the network within the panel, which shrinks
with width and with the panel. A panel is accepted only if the iteration has converged and the
Chebyshev coefficients have decayed; what happens otherwise is decided in
:mod:`~ntkalign.flow.spectral.march`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow.initial_state import (
    Origin,
    kernel,
    moving_weights,
    output_basis,
    repeated,
    weights,
)
from ntkalign.flow.operators.cached_products import Tape
from ntkalign.flow.operators.moving_weights import Weight, at_rest, layer
from ntkalign.flow.spectral.collocation import tail, tails
from ntkalign.flow.spectral.modes import Modes
from ntkalign.flow.spectral.panels import (
    Base,
    Draft,
    Solved,
    TooCoarseError,
    TooLongError,
    combined,
    observe,
)
from ntkalign.networks.fully_connected import Pass, Signals
from ntkalign.rules import Rule

SINGLE = 1e-7
"""From this tolerance on, deviations from the start are multiplied in float32."""
MAX_ITERATIONS = 40
QUICK = 0.1
"""Contraction is taken to be no faster than this: the first iterations promise too much."""
SLOW = 0.5
"""An iteration that contracts less than this is given up: a shorter panel is cheaper."""
TAIL = 3.0
"""The last two coefficients exceed the error of what they stand for by more than this: the error at
the nodes, and of integrals, is smaller than that of the interpolant between them."""


@dataclass(eq=False)
class Relaxation:
    """One rule's flow from one origin.

    Args:
        origin: the network at time 0.
        rule: the learning rule.
        fixed: its random constants.
        y: targets.
        tolerance: bound on the estimated relative error of e, z_l − z_l(0) and G_l.
        teacher: the error as a function of time, if another network's drives learning (W*).
    """

    origin: Origin
    rule: Rule
    fixed: Any
    y: np.ndarray
    tolerance: float
    teacher: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        self.network = self.origin.network
        self.points = len(self.y)
        self.goal = 0.3 * self.tolerance
        self.precision: Any = jnp.float32 if self.tolerance >= SINGLE else jnp.float64
        known = dict(self.origin.known)
        floor = max(self.goal / 3, float(np.finfo(self.precision).eps))
        self.tape = Tape(self.points, known, self.precision, floor)
        self.iterations = 0

    # --- the rule, on rows of q moments × P points ---------------------------------------------

    def feedback(self, now: Pass, error: Array, tape: Tape) -> Signals:
        """The rule's feedback times ``error`` (which holds α), each (q·P, m_l)."""
        tape.rewind()
        resting = tuple(layer.weight for layer in weights(tape, self.origin.start))
        start = self.origin.repeated(len(error) // self.points)._replace(weights=resting)
        return self.rule.feedback(now, start, at_rest(tape, "fixed", self.fixed), error)

    def activity(self, now: Pass) -> tuple[Array, ...]:
        """The activity that the rule uses, (q·P, m_{l−1}), or (P, m_{l−1}) if it is frozen."""
        start = self.origin.repeated(len(now.output) // self.points)
        first = self.origin.first.activities
        used = zip(self.rule.activity(now, start), start.activities, first, strict=True)
        return tuple(one if h is same else h for h, same, one in used)

    def share(self, other: Relaxation) -> None:
        """Take over what another relaxation of the same rule knows of time 0."""
        self.first = other.first
        self.tape.known = other.tape.known

    @cached_property
    def first(self) -> Base:
        """The base of the first panel."""
        origin = self.origin
        resting = tuple(layer.weight for layer in weights(self.tape, origin.start))
        now = origin.repeated(self.network.widths[-1])._replace(weights=resting)
        self.tape.recording = True
        feedback = self.feedback(now, output_basis(self.network, self.points), self.tape)
        self.tape.recording = False
        seen = origin.first.activities
        used = self.activity(origin.first)
        return Base(
            now=origin.first,
            biases=tuple(layer.bias for layer in origin.start),
            history=(None,) * self.network.depth,
            error=origin.error(self.y),
            jacobian=origin.jacobian,
            feedback=feedback,
            kernel=kernel(origin.jacobian, feedback, seen, used),
        )

    def is_rowwise(self) -> bool:
        """Whether the rule is one for this engine.

        It must be linear in e, treat each data point by itself, and use weights by ``@`` only.
        """
        try:
            first = self.first
        except TypeError:  # what is not an array was used as one
            return False
        resting = tuple(layer.weight for layer in weights(self.tape, self.origin.start))
        now = self.origin.first._replace(weights=resting)
        e = jnp.asarray(self.network.output_scale * first.error)
        at_once = self.feedback(now, e, self.tape)
        self.tape.memory.clear()
        for signal, columns in zip(at_once, first.feedback, strict=True):
            expected = combined(columns, first.error[None])
            if not np.linalg.norm(signal - expected) <= 1e-5 * np.linalg.norm(expected):
                return False
        return True

    # --- the iteration ---------------------------------------------------------------------------

    def on_panel(self, base: Base, modes: Modes, draft: Draft) -> Solved:
        """Iterate on one panel until it has converged.

        Raises:
            TooLongError: if it does not.
            TooCoarseError: if the coefficients have not decayed.
        """
        panel, e = draft.panel, draft.error
        self.tape.memory = {
            key: known for key, known in draft.memory.items() if known[0].dtype == self.precision
        }
        n, w = panel.nodes, jnp.asarray(panel.weights)
        teacher = None if self.teacher is None else self.teacher(panel.times)
        if teacher is not None:
            e = teacher
        start = self.origin.repeated(n)
        now = start if base is self.first else repeated(base.now, n)
        if draft.preactivations:
            now = observe(self.network, start.activities[0], draft.preactivations)
        now = now._replace(activities=(start.activities[0], *now.activities[1:]))  # x stays
        used = self.activity(now)
        signals = draft.feedback or tuple(jnp.asarray(combined(s, e)) for s in base.feedback)
        z, origin = now.preactivations, self.origin.first.preactivations
        invert = modes.inverse(panel.weights)
        changes = [math.inf, math.inf]
        allowed = TAIL * self.tolerance
        for count in range(1, MAX_ITERATIONS + 1):
            self.iterations += 1
            moving = moving_weights(self.tape, self.origin, base.history, signals, used, w)
            now = self._forward(base, moving, n)
            output = self._output(base, now, panel.weights, e)
            if teacher is None:
                e = e + invert(self.y - output - e)
            seen = start if self.rule.output == "linear" else now
            error = jnp.asarray(self.network.output_scale * e.reshape(n * self.points, -1))
            new = self.feedback(seen._replace(weights=moving), error, self.tape)
            used = self.activity(seen)
            changes.append(float(_change(new, signals, now.preactivations[-2], z[-2], origin[-2])))
            signals, z = new, now.preactivations
            del now, seen, moving, new  # large: not to be kept beside the next ones
            if not math.isfinite(changes[-1]):
                raise TooLongError
            contraction = float(np.clip(changes[-1] / changes[-2], QUICK, 0.9))
            estimate = changes[-1] * contraction / (1 - contraction)
            if count > 1 and estimate <= self.goal:
                break
            left = float(tail(e.reshape(n, -1)) / (np.linalg.norm(e) or 1.0))
            if count > 1 and left > allowed and estimate <= left / TAIL:
                raise TooCoarseError(Draft(panel, e, self.tape.memory, signals, z), left, allowed)
            if count > 4 and changes[-1] > SLOW**2 * changes[-3]:
                raise TooLongError
        else:
            raise TooLongError
        left = float(tail(e.reshape(n, -1)) / (np.linalg.norm(e) or 1.0))
        left = max(left, float(_tails(signals, z, origin, jnp.asarray(tails(n)))))
        if left > allowed:
            raise TooCoarseError(Draft(panel, e, self.tape.memory, signals, z), left, allowed)
        return Solved(
            panel=panel,
            base=base,
            error=e,
            output=output if teacher is not None else self.y - e,
            feedback=signals,
            activity=used,
            preactivations=z,
            memory=self.tape.memory,
            estimate=float(estimate + left / TAIL + self.tape.floor),
        )

    def _forward(self, base: Base, moving: tuple[Weight, ...], nodes: int) -> Pass:
        """Equation (1) at all nodes, with the weights moving."""
        network = self.network
        self.tape.rewind()
        h = self.origin.repeated(nodes).activities[0]
        preactivations, activities, slopes = [], [h], []
        for number, weight in enumerate(moving, start=1):
            last = number == network.depth
            resting = replace(weight, motion=None)
            z, h_next, slope = layer(
                None if last else network.activation, h, h @ resting.T,
                base.biases[number - 1], weight.motion,
            )  # fmt: skip
            preactivations.append(z)
            if not last:
                activities.append(h_next)
                slopes.append(slope)
            h = h_next
        return Pass(
            (), tuple(preactivations), tuple(activities), tuple(slopes), network.output_scale * z
        )

    def _output(
        self, base: Base, now: Pass, w: np.ndarray, e: Float[np.ndarray, "n P C"]
    ) -> Float[np.ndarray, "n P C"]:
        """The output at the nodes, or that of the linearised network (57)."""
        if self.rule.output == "network":
            return np.asarray(now.output).reshape(e.shape)
        moved = self.network.rate / self.points * (w @ e.reshape(len(e), -1)) @ self.first.kernel.T
        return self.y - base.error + moved.reshape(e.shape)


@jax.jit
def _change(new: Signals, old: Signals, new_z: Array, z: Array, z0: Array) -> Array:
    """Relative changes of G_1, which sees all layers, of e = G_N, and of z_{N−1} − z_{N−1}(0)."""
    shares = [_share(new[i] - old[i], new[i]) for i in (0, -1)]
    return jnp.max(jnp.stack([*shares, _share(new_z - z, _since(new_z, z0))]))


@jax.jit
def _tails(signals: Signals, z: Any, z0: Any, last: Array) -> Array:
    """The largest relative tail of a layer's feedback, and of z_l − z_l(0)."""
    values = [*signals, *map(_since, z, z0)]
    return jnp.max(jnp.stack([_share(last @ v.reshape(last.shape[1], -1), v) for v in values]))


def _since(z: Array, z0: Array) -> Array:
    return (z.reshape(-1, *z0.shape) - z0[None]).reshape(z.shape)


def _share(part: Array, whole: Array) -> Array:
    size = jnp.sqrt(jnp.sum(whole**2))
    return jnp.where(size == 0, 0.0, jnp.sqrt(jnp.sum(part**2)) / jnp.where(size == 0, 1.0, size))
