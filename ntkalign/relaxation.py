"""Chebyshev waveform relaxation in function space: gradient flow at large width.

On a panel of n collocation nodes t_j (:mod:`ntkalign.collocation`) the unknowns are the error e and
the feedback G_l at the nodes; no m × m matrix is ever updated. One iteration goes

    forward at all nodes, the weights' motion by inner products (:mod:`ntkalign.moving`);
    residual r(t_j) = y − f(t_j) − e(t_j);
    e ← e + δe with (1 + η/P w ⊗ K) δe = r, K the rule's kernel at the panel's start;
    feedback and activity of the rule at all nodes, from the new e.

What the preconditioner leaves over is the drift of the network within the panel, which shrinks
with width and with the panel: wide networks take few iterations on one panel, narrow ones and
long times take more panels. A panel is accepted only if the iteration has converged and the
Chebyshev coefficients have decayed; otherwise it gets more nodes, or is halved.
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

from ntkalign.collocation import SCALE, Panel, tail, tails
from ntkalign.modes import Modes, time_modes
from ntkalign.moving import History, Weight, at_rest, layer
from ntkalign.networks import Network, Pass, Signals
from ntkalign.origin import (
    Origin,
    feedback_rows,
    kernel,
    moving_weights,
    output_basis,
    repeated,
    weights,
)
from ntkalign.products import Memory, Tape
from ntkalign.rules import Rule
from ntkalign.trajectory import Outcome

NODES = (12, 16, 20, 24)
SINGLE = 1e-7
"""From this tolerance on, deviations from the start are multiplied in float32."""
MAX_ITERATIONS = 40
QUICK = 0.1
"""Contraction is taken to be no faster than this: the first iterations promise too much."""
SLOW = 0.5
"""An iteration that contracts less than this is given up: a shorter panel is cheaper."""
SHORTEST = 0.02
"""If even a panel as short as this (in s) does not work out, the flow has not converged."""
MAX_PANELS = 200
TAIL = 3.0
"""The last two coefficients exceed the error of what they stand for by more than this: the error at
the nodes, and of integrals, is smaller than that of the interpolant between them."""


@dataclass(frozen=True, eq=False)
class Base:
    """The network at a panel's start.

    Attributes:
        now: the pass over the data.
        biases: b_l.
        history: the weights' change since time 0.
        error: e, or the teacher's.
        jacobian: ∇_{z_l} f, (C·P, m_l).
        feedback: the rule's feedback for unit errors, (C·P, m_l).
        kernel: K of the rule.
    """

    now: Pass
    biases: tuple[Array, ...]
    history: tuple[History | None, ...]
    error: Float[np.ndarray, "P C"]
    jacobian: Signals
    feedback: Signals
    kernel: Float[np.ndarray, "PC PC"]


@dataclass(frozen=True, eq=False)
class Solved:
    """A converged panel: all that is needed to evaluate the network anywhere on it."""

    panel: Panel
    base: Base
    error: Float[np.ndarray, "n P C"]
    output: Float[np.ndarray, "n P C"]
    feedback: Signals  # G_l, (n·P, m_l)
    activity: tuple[Array, ...]  # the rule's, (n·P, m_{l−1}), or (P, m_{l−1}) if frozen
    preactivations: tuple[Array, ...]  # z_l, (n·P, m_l)
    memory: Memory
    estimate: float


@dataclass(frozen=True, eq=False)
class Solution:
    """A flow, panel by panel.

    Attributes:
        panels: in order of time.
        outcome: REACHED, or why the last panel did not work out.
        iterations: over all panels, those given up included.
        columns: how many columns met a large weight matrix.
    """

    rule: Rule
    panels: tuple[Solved, ...]
    outcome: Outcome
    iterations: int
    columns: int

    @property
    def estimate(self) -> float:
        """The largest estimated relative error of e, z_l − z_l(0) and G_l."""
        return max(p.estimate for p in self.panels)

    def panel_at(self, time: float) -> Solved:
        """The panel that a time belongs to."""
        return next((p for p in self.panels if time <= p.panel.times[-1]), self.panels[-1])

    def integrals(self, time: float) -> list[tuple[Solved, Float[np.ndarray, " n"]]]:
        """The panels up to a time, each with its nodes' weights in ∫₀ᵗ."""
        found = []
        for solved in self.panels:
            panel = solved.panel
            end = min(time, float(panel.times[-1]))
            found.append((solved, panel.integral(np.array([end]))[0]))
            if time <= panel.times[-1]:
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
class Draft:
    """A trajectory that is not good enough yet, and what is known of its products."""

    panel: Panel
    error: Float[np.ndarray, "n P C"]
    memory: Memory
    feedback: Signals = ()
    preactivations: tuple[Array, ...] = ()

    def on(self, panel: Panel) -> Draft:
        """The same at the nodes of another panel; beyond its own it stays where it ends."""
        across = self.panel.interpolation(panel.times)
        return Draft(
            panel=panel,
            error=np.tensordot(across, self.error, 1),
            memory={
                key: (mixed(across, seen), mixed(across, made))
                for key, (seen, made) in self.memory.items()
            },
            feedback=tuple(mixed(across, g) for g in self.feedback),
            preactivations=tuple(mixed(across, z) for z in self.preactivations),
        )


class TooLongError(Exception):
    """The iteration does not converge on a panel."""


class TooCoarseError(Exception):
    """A panel needs more nodes.

    Args:
        draft: as far as the present nodes go.
        left: the share that their last coefficients still have.
        allowed: the share that they may have.
    """

    def __init__(self, draft: Draft, left: float, allowed: float):
        super().__init__()
        self.draft, self.left, self.allowed = draft, left, allowed

    def nodes(self) -> int:
        """How many will do, if coefficients go on falling geometrically; 0 if none."""
        now = self.draft.panel.nodes
        needed = now * math.log(self.allowed) / min(math.log(self.left), -1.0)
        return next((n for n in NODES if n > now and n >= min(needed, NODES[-1])), 0)


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

    # --- panels ---------------------------------------------------------------------------------

    @np.errstate(over="ignore", invalid="ignore")  # growth ends in non-finite numbers: checked
    def solve(self, final: float, guess: Solution | None = None) -> Solution:
        """The flow up to the time ``final``; a looser one or another rule's helps."""
        rates = np.abs(np.linalg.eigvals(self.first.kernel)) * self.network.rate / self.points
        tau = SCALE / max(float(rates.max()), 1.0 / final)
        if guess is not None:
            tau = guess.panels[0].panel.tau
        whole = math.log1p(final / tau)
        done: list[Solved] = []
        base, begin, reach = self.first, 0.0, whole
        while begin < whole:
            if reach < SHORTEST or len(done) == MAX_PANELS:
                return self._solution(done, Outcome.NOT_CONVERGED)
            pieces = math.ceil((whole - begin) / reach - 1e-9)
            end = whole if pieces == 1 else begin + (whole - begin) / pieces
            old = next((p for p in guess.panels if p.panel.begin == begin), None) if guess else None
            if old is not None and old.panel.end <= end:
                end = old.panel.end
            else:
                old = None
            same = guess is not None and guess.rule == self.rule
            solved = self._panel(base, done, Panel(begin, end, 0, tau), old, same)
            if solved is None:
                reach = (end - begin) / 2
                continue
            done.append(solved)
            begin, reach = end, 2 * (end - begin)
            if begin < whole:
                base = self._next(solved)
        return self._solution(done, Outcome.REACHED)

    def _solution(self, done: list[Solved], outcome: Outcome) -> Solution:
        return Solution(self.rule, tuple(done), outcome, self.iterations, self.tape.columns)

    def _panel(
        self, base: Base, done: list[Solved], panel: Panel, old: Solved | None, same: bool
    ) -> Solved | None:
        """The panel solved with as few nodes as will do, starting from fewer.

        Args:
            base: the network at its start.
            done: the panels before it.
            panel: its interval.
            old: a solution of about the same thing, at least for a start.
            same: whether it is the same thing, solved more loosely.

        Returns:
            None if the panel is too long.
        """
        modes = Modes.of(base.kernel * self.network.rate / self.points)
        for count in NODES:  # as many as it takes if the network did not move
            trial = replace(panel, nodes=count)
            linear = modes.decay(trial.times - trial.times[0], base.error)
            size = np.linalg.norm(linear)
            if tail(linear.reshape(count, -1)) <= TAIL * self.tolerance * size:
                break
        else:
            return None
        draft, nodes = Draft(trial, linear, {}), count
        if old is not None:
            draft = Draft(old.panel, old.error, old.memory)
            if same:
                draft = replace(draft, feedback=old.feedback, preactivations=old.preactivations)
                nodes = min(old.panel.nodes + 4, NODES[-1])
        elif done:
            before = Draft(done[-1].panel, done[-1].error, done[-1].memory)
            draft = replace(draft, memory=before.on(trial).memory)
        while nodes:
            try:
                return self._relax(base, modes, draft.on(replace(panel, nodes=nodes)))
            except TooLongError:
                return None
            except TooCoarseError as found:
                draft, nodes = found.draft, found.nodes()
        return None

    def _relax(self, base: Base, modes: Modes, draft: Draft) -> Solved:
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

    def _next(self, solved: Solved) -> Base:
        """The base at the end of a panel."""
        end = solved.panel.weights[-1]
        base, rate = solved.base, self.network.rate / self.points
        biases = tuple(
            b + rate * np.repeat(end, self.points) @ g
            for b, g in zip(base.biases, solved.feedback, strict=True)
        )
        history = tuple(
            _extend(h, g, a, rate / math.sqrt(a.shape[1]) * end, 1e-3 * self.goal)
            for h, g, a in zip(base.history, solved.feedback, solved.activity, strict=True)
        )
        now = observe(
            self.network, self.origin.x, tuple(z[-self.points :] for z in solved.preactivations)
        )
        tape = replace(self.tape, memory={})
        resting = tuple(
            replace(layer.weight, history=past)
            for layer, past in zip(weights(tape, self.origin.start), history, strict=True)
        )
        now = now._replace(weights=resting)
        linear = self.rule.output == "linear"
        if linear:
            jacobian, feedback, k = base.jacobian, base.feedback, self.first.kernel
        else:
            jacobian = feedback_rows(self.network, now, tape)
            own = replace(tape, memory={})  # the rule's rows are not the Jacobian's
            many = repeated(now, self.network.widths[-1])._replace(
                weights=tuple(replace(weight, tape=own) for weight in resting)
            )
            feedback = self.feedback(many, output_basis(self.network, self.points), own)
            k = kernel(jacobian, feedback, now.activities, self.activity(now))
        self.tape.columns = tape.columns
        return Base(
            now._replace(weights=()), biases, history, solved.error[-1], jacobian, feedback, k
        )


def observe(network: Network, x: Array, preactivations: tuple[Array, ...]) -> Pass:
    """The pass that has these preactivations, each (P, m_l)."""
    shaped = [_activate(network.activation, z) for z in preactivations[:-1]]
    return Pass(
        weights=(),
        preactivations=preactivations,
        activities=(x, *(h for h, _ in shaped)),
        slopes=tuple(s for _, s in shaped),
        output=network.output_scale * preactivations[-1],
    )


def combined(
    columns: Array | np.ndarray, e: Float[np.ndarray, "n P C"]
) -> Float[np.ndarray, "nP m"]:
    """Σ_c columns_c e_c: feedback times the error, from feedback for unit errors (C·P, m)."""
    n, points, outputs = e.shape
    stacked = np.asarray(columns).reshape(outputs, points, -1)
    out = np.zeros((n, points, stacked.shape[2]))
    for c in range(outputs):
        out += e[:, :, c, None] * stacked[c]
    return out.reshape(n * points, -1)


def mixed(mixing: Any, rows: Array) -> Array:
    """Other moments of flat rows: Σ_k mixing_jk rows_k."""
    return _mixed(jnp.asarray(mixing, rows.dtype), rows)


@jax.jit
def _mixed(mixing: Array, rows: Array) -> Array:
    return (mixing @ rows.reshape(mixing.shape[1], -1)).reshape(-1, rows.shape[1])


def _extend(
    history: History | None, feedback: Array, activity: Array, weights: np.ndarray, share: float
) -> History:
    """The history with Σ_k weights_k G_kᵀ h_k added, compressed in time."""
    n = len(weights)
    g, h = (
        np.asarray(a).reshape(-1, len(feedback) // n * a.shape[1]) for a in (feedback, activity)
    )
    if len(h) == 1:
        left, right = weights[None] @ g, h
    else:
        basis = time_modes(h, share)[0]
        left, right = (weights[:, None] * basis).T @ g, basis.T @ h
    new = left.reshape(-1, feedback.shape[1]), right.reshape(-1, activity.shape[1])
    if history is not None:
        new = np.concatenate([history[0], new[0]]), np.concatenate([history[1], new[1]])
    if len(new[0]) >= min(new[0].shape[1], new[1].shape[1]):  # full rank: cheaper as one matrix
        new = new[1].T @ new[0], np.eye(new[1].shape[1])
    return jnp.asarray(new[0]), jnp.asarray(new[1])


_activate = jax.jit(
    lambda activation, z: activation.value_and_slope(z), static_argnames="activation"
)


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
