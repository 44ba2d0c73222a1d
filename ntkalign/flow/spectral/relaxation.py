"""Chebyshev waveform relaxation in function space: one panel of gradient flow at large width.

On a panel of n collocation nodes t_j (:mod:`~ntkalign.flow.spectral.collocation`) the unknowns are
the error e and the feedback G_l at the nodes; no m × m matrix is ever updated. One iteration goes

    forward at all nodes, the weights' motion by inner products
    (:mod:`~ntkalign.flow.operators.moving_weights`);
    residual r(t_j) = y − f(t_j) − e(t_j);
    e ← e + δe with (1 + η/P w ⊗ K) δe = r, K the rule's kernel at the panel's start;
    feedback and activity of the rule at all nodes, from the new e;
    where this is leading (:mod:`~ntkalign.flow.spectral.acceleration`) the next one begins.

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

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow.initial_state import InitialState
from ntkalign.flow.operators.cached_products import ProductCache
from ntkalign.flow.operators.moving_weights import (
    Motion,
    Weight,
    WholeMotion,
    at_rest,
    motion_of,
)
from ntkalign.flow.spectral.acceleration import Acceleration
from ntkalign.flow.spectral.collocation import Panel, last_coefficients, size_of_last
from ntkalign.flow.spectral.convergence import Convergence
from ntkalign.flow.spectral.crossings import Cells, Crossed, Crossings, answers
from ntkalign.flow.spectral.modes import Modes
from ntkalign.flow.spectral.panels import (
    PanelGuess,
    PanelStart,
    SolvedPanel,
    TooCoarseError,
    TooLongError,
    feedback_times_error,
    signals_at,
)
from ntkalign.kernels.empirical import Factors, rule_kernel
from ntkalign.networks.activations import Activation
from ntkalign.networks.base import Pass, Signals
from ntkalign.networks.jacobians import repeated, signal_rows, unit_errors
from ntkalign.networks.layers import Layer
from ntkalign.rules import Rule

SINGLE = 1e-7
"""From this tolerance on, deviations from the start are multiplied in float32."""
JUMPING = 0.01
"""Where σ′ jumps, a product is taken to be known if less than this share of the goal is new."""
MAX_ITERATIONS = 40
MEASURED = (0, -1)
"""Acceleration looks at G_1, which sees all layers, and at e."""
TAIL = 3.0
"""The last two coefficients exceed the error of what they stand for by more than this: the error at
the nodes, and of integrals, is smaller than that of the interpolant between them."""


@dataclass(eq=False)
class Relaxation:
    """One rule's flow from one initial.

    Args:
        initial: the network at time 0.
        rule: the learning rule.
        fixed: its random constants.
        y: targets.
        tolerance: bound on the estimated relative error of e, z_l − z_l(0) and G_l.
        teacher: the error as a function of time, if another network's drives learning (W*).
    """

    initial: InitialState
    rule: Rule
    fixed: Any
    y: np.ndarray
    tolerance: float
    teacher: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        self.network = self.initial.network
        self.points = len(self.y)
        self.goal = 0.3 * self.tolerance
        self.share = self.network.rate / self.points  # η/P
        self.precision: Any = jnp.float32 if self.tolerance >= SINGLE else jnp.float64
        known = dict(self.initial.anchors)
        eps = float(np.finfo(self.precision).eps)
        if self.kinked is None:
            self.cache = ProductCache(known, self.precision, max(self.goal / 3, eps))
        else:  # a unit that just reaches its kink magnifies what a product leaves out
            floor = max(JUMPING * self.goal, eps)
            self.cache = ProductCache(known, self.precision, floor, cutoff=0.0)
        self.iterations = 0

    # --- the rule, on q moments × P points -------------------------------------------------------

    def feedback(self, now: Pass, error: Array, cache: ProductCache) -> Signals:
        """The rule's feedback times ``error`` (which holds α) as rows, each (q·B, m_l)."""
        cache.rewind()
        start = replace(
            self.initial.repeated(len(error) // self.points), weights=self._resting(cache)
        )
        fixed = at_rest(cache, "fixed", self.fixed, self.points)
        return signal_rows(self.network, self.rule.feedback(now, start, fixed, error))

    def activity(self, now: Pass) -> tuple[Array, ...]:
        """The activity that the rule uses as rows, (q·B, m_{l−1}), or (B, m_{l−1}) if frozen."""
        start = self.initial.repeated(len(now.output) // self.points)
        used = zip(self.rule.activity(now, start), start.activities, strict=True)
        parts = zip(self.network.maps, used, self.initial.activities, strict=True)
        return tuple(
            frozen if h is same else layer.activity_rows(h) for layer, (h, same), frozen in parts
        )

    def errors(self, e: Float[np.ndarray, "*moments P C"]) -> Array:
        """Errors at n moments as the network has its outputs, times α."""
        shape = self.network.output_shape
        return jnp.asarray(self.network.output_scale * e.reshape(-1, *shape))

    def seen(self, x: Array, preactivations: Signals) -> Pass:
        """The pass that has these preactivations (rows), and h_0 = x."""
        shaped = zip(self.network.maps, preactivations, strict=True)
        return self.network.pass_from_preactivations(
            x, tuple(layer.from_signal_rows(z) for layer, z in shaped)
        )

    def _resting(self, cache: ProductCache) -> tuple[Weight, ...]:
        return tuple(layer.weight for layer in self.initial.through(cache))

    def take_over(self, other: Relaxation) -> None:
        """Take over what another relaxation of the same rule knows of time 0."""
        self.first = other.first
        self.cache.known = other.cache.known

    @cached_property
    def first(self) -> PanelStart:
        """The base of the first panel."""
        initial = self.initial
        now = replace(
            initial.repeated(self.network.flat_outputs), weights=self._resting(self.cache)
        )
        self.cache.recording = True
        feedback = self.feedback(now, unit_errors(self.network, self.points), self.cache)
        self.cache.recording = False
        used = Factors(self.activity(initial.first), feedback)
        return PanelStart(
            now=initial.first,
            biases=tuple(layer.bias for layer in initial.start),
            history=(None,) * self.network.depth,
            error=initial.error(self.y),
            jacobian=initial.jacobian,
            feedback=feedback,
            kernel=rule_kernel(self.network, initial.factors, used),
        )

    def is_rowwise(self) -> bool:
        """Whether the rule is one for this engine.

        It must be linear in e, treat each data point by itself, and use weights by ``@`` only; so
        must the network.

        Returns:
            Whether its signals at time 0 are their columns times e; False if a weight is used as an
            array.
        """
        if self.network.couples_points:
            return False
        try:
            first = self.first
        except TypeError:  # what is not an array was used as one
            return False
        now = replace(self.initial.first, weights=self._resting(self.cache))
        at_once = self.feedback(now, self.errors(first.error), self.cache)
        self.cache.memory.clear()
        for signal, columns in zip(at_once, first.feedback, strict=True):
            expected = feedback_times_error(columns, first.error[None])
            if not np.linalg.norm(signal - expected) <= 1e-5 * np.linalg.norm(expected):
                return False
        return True

    def at_start(self, cache: ProductCache, base: PanelStart) -> tuple[Weight, ...]:
        """The weights at a panel's start."""
        whole = base.whole or (None,) * self.network.depth
        return tuple(
            replace(still, history=past) if known is None
            else replace(still, name=known[0], array=known[1])
            for still, past, known in zip(self._resting(cache), base.history, whole, strict=True)
        )  # fmt: skip

    def moving_weights(
        self,
        cache: ProductCache,
        base: PanelStart,
        feedback: Signals,
        activity: tuple[Array, ...],
        integral: Float[Array, "q n"],
    ) -> tuple[Weight, ...]:
        """The weights at q moments of a panel.

        Args:
            cache: for the products with the weights of time 0.
            base: the panel's start.
            feedback: G_l at the panel's n nodes, each (n·B, m_l).
            activity: the rule's at the nodes, each (n·B, m_{l−1}), or (B, m_{l−1}) if frozen.
            integral: values at the nodes → ∫ dt from the panel's start to the q moments.

        Returns:
            One weight per layer, for rows of q moments.
        """
        parts = zip(
            self.network.maps, self.at_start(cache, base), feedback, activity,
            self.initial.activities, strict=True,
        )  # fmt: skip
        moved = []
        for layer, still, g, a, h in parts:
            precision = cache.precision_of(still.array)
            motion = motion_of(layer, g, a, h, self.share * integral, precision)
            moved.append(replace(still, motion=motion))
        return tuple(moved)

    # --- activations with kinks ------------------------------------------------------------------

    @cached_property
    def kinked(self) -> Activation | None:
        """The activation, if it has kinks, and its units can be followed across them."""
        found = {layer.elementwise for layer in self.network.maps[:-1]}
        activation = found.pop() if len(found) == 1 else None
        return activation if activation is not None and activation.kinks else None

    @cached_property
    def _answers(self) -> tuple[Array, ...]:
        return answers(self.initial, self.first.feedback, self.share)

    def _crossings(self, panel: Panel, before: tuple[Crossed, ...]) -> Crossings | None:
        if self.kinked is None:
            return None
        return Crossings(Cells(panel), self.kinked, self._answers, before)

    # --- the iteration ---------------------------------------------------------------------------

    def on_panel(self, base: PanelStart, modes: Modes, draft: PanelGuess) -> SolvedPanel:
        """Iterate on one panel until it has converged.

        Returns:
            The network at the panel's nodes, with an estimate of its relative error.

        Raises:
            TooLongError: if it does not.
            TooCoarseError: if the coefficients have not decayed.
        """
        panel, e = draft.panel, draft.error
        self.cache.memory = {
            key: known for key, known in draft.memory.items() if known[0].dtype == self.precision
        }
        n, w = panel.nodes, jnp.asarray(panel.weights)
        teacher = None if self.teacher is None else self.teacher(panel.times)
        if teacher is not None:
            e = teacher
        start = self.initial.repeated(n)
        now = start if base is self.first else repeated(base.now, n)
        if draft.preactivations:
            now = self.seen(start.activities[0], draft.preactivations)
        now = replace(now, activities=(start.activities[0], *now.activities[1:]))  # x stays
        used = self.activity(now)
        signals = draft.feedback or signals_at(base, e)
        z, initial = signal_rows(self.network, now.preactivations), self.initial.preactivations
        invert = modes.inverse(panel.weights)
        crossings = self._crossings(panel, base.crossed)
        convergence = Convergence(self.goal, kinked=crossings is not None, first=base is self.first)
        allowed = TAIL * self.tolerance
        acceleration, ahead = Acceleration(MEASURED), (signals, used, e)
        for count in range(1, MAX_ITERATIONS + 1):
            self.iterations += 1
            g, h, e = *ahead[:2], np.asarray(ahead[2])
            moving = self.moving_weights(self.cache, base, g, h, w)
            now = self._forward(base, moving, n, crossings, g)
            output = self._output(base, now, panel.weights, e)
            if teacher is None:
                e = e + invert(self.y - output - e)
            seen = start if self.rule.output == "linear" else now
            new = self.feedback(replace(seen, weights=moving), self.errors(e), self.cache)
            used = self.activity(seen)
            new_z = signal_rows(self.network, now.preactivations)
            change = _change(new, g, new_z[-2], z[-2], initial[-2])
            if crossings is None:
                ahead, beyond = acceleration.next(ahead, (new, used, e))
            else:  # what jumps is not to be extrapolated
                onward = new if convergence.halves(change) else _between(new, g)
                ahead, beyond = (onward, used, e), 0.0
            signals, z = new, new_z
            del g, h, now, seen, moving, new, new_z  # large: not to be kept beside the next ones
            convergence.add(change, beyond)
            if convergence.reached:
                break
            left = float(size_of_last(e.reshape(n, -1)) / (np.linalg.norm(e) or 1.0))
            coarse = count > 1 and left > allowed and convergence.estimate <= left / TAIL
            if crossings is None and coarse:
                raise TooCoarseError(
                    PanelGuess(panel, e, self.cache.memory, signals, z), left, allowed
                )
            if convergence.flickers():
                break
        else:
            raise TooLongError
        left = float(size_of_last(e.reshape(n, -1)) / (np.linalg.norm(e) or 1.0))
        left = max(left, _tails(signals, z, initial, last_coefficients(n)))
        if crossings is None and left > allowed:
            raise TooCoarseError(PanelGuess(panel, e, self.cache.memory, signals, z), left, allowed)
        return SolvedPanel(
            panel=panel,
            base=base,
            error=e,
            output=output if teacher is not None else self.y - e,
            feedback=signals,
            activity=used,
            preactivations=z,
            memory=self.cache.memory,
            estimate=float(convergence.estimate + left / TAIL + self.cache.floor)
            if crossings is None
            else None,
            unsettled=0.0 if crossings is None else max(self.tolerance, convergence.estimate),
            crossed=() if crossings is None else crossings.ends,
        )

    def _forward(
        self,
        base: PanelStart,
        moving: tuple[Weight, ...],
        nodes: int,
        crossings: Crossings | None,
        signals: Signals,
    ) -> Pass:
        """Equation (1) at all nodes, with weights and biases moving."""
        network = self.network
        self.cache.rewind()
        parts = zip(network.maps, moving, base.biases, strict=True)
        parameters = tuple(
            Layer(replace(weight, motion=_not_none(weight.motion).with_bias(layer)), bias)
            for layer, weight, bias in parts
        )
        x = np.tile(self.initial.x, (nodes, *(1,) * (self.initial.x.ndim - 1)))
        if crossings is None:
            now = network.forward(parameters, jnp.asarray(x))
        else:
            through = crossings.through(signals)
            now = network.forward_through(parameters, jnp.asarray(x), through)
        same = self.initial.repeated(nodes).activities[0]  # that x does not move is seen by this
        return replace(now, weights=(), activities=(same, *now.activities[1:]))

    def _output(
        self, base: PanelStart, now: Pass, w: np.ndarray, e: Float[np.ndarray, "n P C"]
    ) -> Float[np.ndarray, "n P C"]:
        """The output at the nodes, or that of the linearised network (57)."""
        if self.rule.output == "network":
            return np.asarray(now.output).reshape(e.shape)
        moved = self.share * (w @ e.reshape(len(e), -1)) @ self.first.kernel.T
        return self.y - base.error + moved.reshape(e.shape)


def _between(new: Signals, old: Signals) -> Signals:
    return tuple((a + b) / 2 for a, b in zip(new, old, strict=True))


def _change(new: Signals, old: Signals, new_z: Array, z: Array, z0: Array) -> float:
    """Relative changes of G_1, which sees all layers, of e = G_N, and of z_{N−1} − z_{N−1}(0)."""
    parts = [(_rows(new[i]) - _rows(old[i]), _rows(new[i])) for i in (0, -1)]
    parts.append((_rows(new_z) - _rows(z), _since(_rows(new_z), _rows(z0))))
    return float(np.max([_share(*part) for part in parts]))  # NaN if one is


def _tails(signals: Signals, z: Signals, z0: Signals, last: Float[np.ndarray, "2 n"]) -> float:
    """The largest relative tail of a layer's feedback, and of z_l − z_l(0)."""
    values = [*map(_rows, signals), *map(_since, map(_rows, z), map(_rows, z0))]
    flat = [v.reshape(last.shape[1], -1) for v in values]
    return float(np.max([_share(np.einsum("cn,nk->ck", last, v), v) for v in flat]))


def _not_none(motion: Motion | WholeMotion | None) -> Motion | WholeMotion:
    assert motion is not None
    return motion


# Sums over all entries are NumPy's: XLA's depend, in the last bit, on how many cores it sees.


def _rows(signal: Array) -> np.ndarray:
    return np.asarray(signal)


def _since(z: np.ndarray, z0: np.ndarray) -> np.ndarray:
    return (z.reshape(-1, *z0.shape) - z0[None]).reshape(z.shape)


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    """‖part‖/‖whole‖; 0 of nothing."""
    size = _size(whole)
    return _size(part) / size if size else 0.0


def _size(values: np.ndarray) -> float:
    return math.sqrt(np.sum(np.square(values)))
