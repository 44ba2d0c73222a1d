"""The spectral engine's flow: what is measured on it, from the panels of a relaxation.

A weight change is a sum over panels, nodes and data points of G hᵀ. Written as

    G = ∇_{z_l}f⁰ e + g,    h = h⁰ + d,

its first part, ∇f⁰ δ h⁰ᵀ, is the frozen change B of (13) and the three others are the discrepancy
W̃ = A − B of (39), which is thus never found as a difference of large numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow.initial_state import Observations
from ntkalign.flow.operators.cached_products import NewProductError
from ntkalign.flow.operators.low_rank import compress_sum, triangle
from ntkalign.flow.options import FlowOptions
from ntkalign.flow.problem import Problem
from ntkalign.flow.spectral.march import solve_panels
from ntkalign.flow.spectral.panels import (
    SolvedPanel,
    SolvedPanels,
    at_moments,
    feedback_times_error,
)
from ntkalign.flow.spectral.relaxation import Relaxation
from ntkalign.flow.trajectory import Effort, Engine, Flow, Outcome, SplitChange
from ntkalign.kernels.empirical import is_tied
from ntkalign.networks.jacobians import activity_rows, signal_rows, unit_errors
from ntkalign.precision import in_float64
from ntkalign.rules import (
    NORMAL,
    Rule,
    current_activity,
    current_jacobian,
    initial_jacobian,
)

SECOND = 1e-3
"""What is left out of a weight change when its second-order part ∫ g dᵀ is compressed, as a share
of the frozen change and of the tolerance."""
NOTHING = 1e-14
"""What moves by less than this share is only rounding."""


class SpectralEngine(Engine):
    """The engine for large widths."""

    name = "spectral"

    def solve(
        self, problem: Problem, rule: Rule, options: FlowOptions, guess: Flow | None = None
    ) -> SpectralFlow:
        """Relax; a looser flow, or another rule's, helps."""
        return _solve(problem, rule, options.tolerance, guess)


def _solve(problem: Problem, rule: Rule, tolerance: float, guess: Flow | None) -> SpectralFlow:
    initial, targets, times = problem.initial, problem.y, problem.times
    fixed = problem.constants(rule)
    near = guess.solution if isinstance(guess, SpectralFlow) and guess.solution.panels else None
    teacher, steps = None, 0
    if rule.error == "normal":
        normal = solve_panels(Relaxation(initial, NORMAL, (), targets, tolerance), times)
        teacher, near, steps = normal.error_at, None, normal.iterations
    relaxation = Relaxation(initial, rule, fixed, targets, tolerance, teacher)
    same = False
    if isinstance(guess, SpectralFlow) and guess.rule == rule and guess.initial is initial:
        same = True
        relaxation.take_over(guess.relaxation)
    not_rowwise = SolvedPanels(rule, (), Outcome.NOT_ROWWISE, 0, 0)
    if teacher is not None and normal.outcome is not Outcome.REACHED:
        solution = replace(normal, panels=())
    else:
        try:
            rowwise = same or relaxation.is_rowwise()
            solution = solve_panels(relaxation, times, near) if rowwise else not_rowwise
        except NewProductError:
            solution = not_rowwise
    reached = solution.outcome is Outcome.REACHED
    delta = output = np.full((len(times), *targets.shape), np.nan)
    if reached:
        found = [solution.at(time) for time in times]
        delta = initial.network.rate * np.stack([d for d, _ in found])
        output = np.stack([f for _, f in found])
    return SpectralFlow(
        problem=problem,
        rule=rule,
        delta=delta,
        output=output,
        outcome=solution.outcome,
        effort=Effort(
            "spectral",
            solution.iterations + steps,
            len(solution.panels),
            solution.estimate if reached else None,
            solution.unsettled,
        ),
        relaxation=relaxation,
        solution=solution,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class SpectralFlow(Flow):
    """A flow known by its panels.

    Attributes:
        relaxation: the iteration that found it.
        solution: the panels.
    """

    relaxation: Relaxation
    solution: SolvedPanels

    @in_float64
    def weight_change(self, layer: int) -> Float[np.ndarray, "n p q"]:
        """W_l^t − W_l^0 at the saved times."""
        scale = self._scale(layer)
        changes = []
        for time in self.times:
            total: Any = 0.0
            for solved, v in self.solution.integrals(time):
                g, h = (np.asarray(part[layer - 1]) for part in (solved.feedback, solved.activity))
                h = np.tile(h, (len(g) // len(h), 1))
                total = total + scale * (np.repeat(v, len(g) // len(v))[:, None] * g).T @ h
            changes.append(total)
        return np.stack(changes)

    @in_float64
    def observe(self, jacobians: bool = True) -> Observations:
        """Activities, and Jacobians if they are wanted, at the saved times."""
        groups: dict[int, tuple[SolvedPanel, list[float]]] = {}
        for time in self.times:
            solved = self.solution.panel_at(time)
            groups.setdefault(id(solved), (solved, []))[1].append(time)
        # of tied weights there are many rows at a time already, and every shape is compiled anew
        size = 1 if is_tied(self.network) or self.relaxation.kinked else len(self.times)
        parts = [
            self._observe(solved, np.array(times[i : i + size]), jacobians)
            for solved, times in groups.values()
            for i in range(0, len(times), size)
        ]
        z, h, jacobian, used, feedback = (
            tuple(_joined(layer) for layer in zip(*kind, strict=True))
            for kind in zip(*parts, strict=True)
        )
        return Observations(z, h, jacobian, used or h, feedback or jacobian)

    def _observe(
        self, solved: SolvedPanel, times: np.ndarray, jacobians: bool
    ) -> tuple[tuple[np.ndarray, ...], ...]:
        """The trace at times on one panel; rows are (time, output, point, place) for Jacobians.

        Returns:
            As of Observations, but nothing for what the rule takes from the network as it is.
        """
        flow, network, points = self.relaxation, self.network, len(self.y)
        outputs, count = network.flat_outputs, len(times)
        across, integral = solved.panel.interpolation(times), solved.panel.integral(times)
        z = tuple(at_moments(across, a) for a in solved.preactivations)
        now = flow.seen(self.initial.repeated(count).activities[0], z)
        if solved.crossed and count == 1 and solved.panel.ends_at(times[0]):
            slopes = tuple(layer.slope for layer in solved.crossed)
            now = replace(now, slopes=slopes)  # of units that slide along a kink, too
        used = () if self.rule.activity is current_activity else flow.activity(now)

        def at_times(rows: Array) -> np.ndarray:
            return np.asarray(rows).reshape(count, -1, rows.shape[1])

        def by_output(rows: Array) -> np.ndarray:
            return np.asarray(rows).reshape(count, outputs, -1, rows.shape[1])

        jacobian: Any = ()
        feedback: Any = ()
        if jacobians:
            spread = np.repeat(np.arange(count), outputs)  # every time once for each output
            weights = self._weights(solved, jnp.asarray(integral[spread]))
            at = (spread[:, None] * points + np.arange(points)).ravel()

            def many(tree: Any) -> Any:
                return jax.tree.map(
                    lambda a: jnp.asarray(np.take(np.asarray(a), at, network.point_axis(a))), tree
                )

            basis = jnp.tile(
                unit_errors(network, points), (count, *(1,) * len(network.output_shape))
            )
            true = network.backward(weights, many(now.slopes), basis)
            jacobian = tuple(map(by_output, signal_rows(network, true)))
            if self.rule.feedback is initial_jacobian:
                frozen = self.initial.observations.jacobian
                feedback = tuple(np.broadcast_to(g, (count, *g.shape[1:])) for g in frozen)
            elif self.rule.feedback is not current_jacobian:
                own = self._weights(solved, jnp.asarray(integral[spread]))  # rows of its own
                found = flow.feedback(replace(many(now), weights=own), basis, own[0].cache)
                feedback = tuple(map(by_output, found))
        return (
            tuple(map(at_times, z)),
            tuple(map(at_times, activity_rows(network, now.activities))),
            jacobian,
            tuple(
                np.broadcast_to(np.asarray(a).reshape(-1, len(h), a.shape[1]),
                                (count, len(h), a.shape[1]))
                for a, h in zip(used, self.initial.activities, strict=bool(used))
            ),
            feedback,
        )  # fmt: skip

    def _weights(self, solved: SolvedPanel, integral: Float[Array, "q n"]) -> tuple[Any, ...]:
        """The weights at q moments of a panel, on a cache of their own."""
        floor = 0.1 * self.relaxation.tolerance
        cache = replace(self.relaxation.cache, cutoff=0.0, floor=floor, memory={})
        cache.rewind()
        return self.relaxation.moving_weights(
            cache, solved.base, solved.feedback, solved.activity, integral
        )

    def _scale(self, layer: int) -> float:
        """η/(P√m_{l−1})."""
        return self.relaxation.share * self.network.maps[layer - 1].scale

    def _split(self, layer: int) -> list[SplitChange]:
        jacobian = np.asarray(self.initial.jacobian[layer - 1])
        start = np.asarray(self.initial.activities[layer - 1])
        parts = [_Part.of(solved, layer, jacobian, start) for solved in self.solution.panels]
        return [
            self._split_at(layer, parts, [v for _, v in self.solution.integrals(time)])
            for time in self.times
        ]

    def _split_at(self, layer: int, parts: list[_Part], weights: list[np.ndarray]) -> SplitChange:
        """B = ∇f⁰ δ h⁰ᵀ, and W̃ = ∇f⁰ ∫ e dᵀ + ∫ g h⁰ᵀ + ∫ g dᵀ, whose last part is compressed."""
        scale = self._scale(layer)
        jacobian = np.asarray(self.initial.jacobian[layer - 1])
        start = np.asarray(self.initial.activities[layer - 1])
        seen = list(zip(parts, weights, strict=False))  # the panels up to the time
        delta, feedback, drift = (
            np.sum([integral(part, v) for part, v in seen], axis=0)
            for integral in (
                _Part.integrated_error,
                _Part.integrated_feedback,
                _Part.weighted_drift,
            )
        )
        by_output = jacobian.reshape(-1, len(start), jacobian.shape[1])
        frozen = np.einsum("cbm,bc->bm", by_output, delta)
        size = float(np.linalg.norm(frozen) * np.linalg.norm(start))
        left, right = (
            np.concatenate(rows) for rows in zip(*(p.pairs(v) for p, v in seen), strict=True)
        )
        second = compress_sum(left, right, absolute=SECOND * self.relaxation.tolerance * size)
        f, j, g, s = _coordinates(frozen, jacobian, feedback, second.left.T)
        h, d, t = _coordinates(start, drift, second.right.T)
        return SplitChange(
            frozen=scale * f @ h.T,
            discrepancy=scale * (j @ d.T + g @ h.T + s @ t.T),
            residual=scale * second.residual,
        )


def _joined(parts: tuple[np.ndarray, ...]) -> np.ndarray:
    """Parts of the saved times, one after the other."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _coordinates(*rows: np.ndarray) -> list[np.ndarray]:
    """Families of rows as columns, in orthonormal coordinates if that makes them shorter."""
    together = np.concatenate(rows).T
    if together.shape[1] < together.shape[0]:
        together = triangle(together)
    return np.split(together, np.cumsum([len(family) for family in rows[:-1]]), axis=1)


@dataclass(frozen=True, eq=False)
class _Part:
    """What one panel adds to a weight change, with G = ∇f⁰ e + g and h = h⁰ + d."""

    error: Float[np.ndarray, "n B C"]  # of each row's point
    feedback: Float[np.ndarray, "n B m"]  # g
    drift: Float[np.ndarray, "d B a"]  # d at the nodes; none if the activity is frozen

    @classmethod
    def of(cls, solved: SolvedPanel, layer: int, jacobian: np.ndarray, start: np.ndarray) -> _Part:
        nodes, block = solved.panel.nodes, len(start)
        feedback, activity = (
            np.asarray(part[layer - 1]) for part in (solved.feedback, solved.activity)
        )
        frozen = feedback_times_error(jacobian, solved.error)
        more = (feedback - frozen).reshape(nodes, block, -1)
        if float(np.linalg.norm(more)) <= NOTHING * float(np.linalg.norm(frozen)):
            more = np.zeros_like(more)  # only rounding
        moved = np.zeros((0, *start.shape))
        if len(activity) == len(feedback):
            moved = activity.reshape(nodes, *start.shape) - start
            if float(np.linalg.norm(moved)) <= NOTHING * float(np.linalg.norm(start)):
                moved = moved[:0]
        error = np.repeat(solved.error, block // solved.error.shape[1], axis=1)
        return cls(error, more, moved)

    def integrated_error(self, v: np.ndarray) -> Float[np.ndarray, "B C"]:
        """∫ e."""
        return np.tensordot(v, self.error, 1)

    def integrated_feedback(self, v: np.ndarray) -> Float[np.ndarray, "B m"]:
        """∫ g."""
        return np.tensordot(v, self.feedback, 1)

    def weighted_drift(self, v: np.ndarray) -> Float[np.ndarray, "CB a"]:
        """∫ e_c d for each output, outputs before rows."""
        _, block, units = self.drift.shape
        if not len(self.drift):
            return np.zeros((self.error.shape[2] * block, units))
        found = np.einsum("nbc,nba->cba", v[:, None, None] * self.error, self.drift, optimize=True)
        return found.reshape(-1, units)

    def pairs(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows whose products add up to ∫ g dᵀ; none if one of the two is zero."""
        if not len(self.drift) or not self.feedback.any():
            return np.zeros((0, self.feedback.shape[2])), np.zeros((0, self.drift.shape[2]))
        weighted = v[:, None, None] * self.feedback
        return weighted.reshape(-1, weighted.shape[2]), self.drift.reshape(-1, self.drift.shape[2])
