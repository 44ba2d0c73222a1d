"""The spectral engine's flow: what is measured on it, from the panels of a relaxation.

A weight change is a sum over panels, nodes and data points of G hᵀ. Written as

    G = ∇_{z_l}f⁰ e + g,    h = h⁰ + d,

its first part, ∇f⁰ δ h⁰ᵀ, is the frozen change B of (13) and the three others are the discrepancy
W̃ = A − B of (39), which is thus never found as a difference of large numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow.initial_state import Observations
from ntkalign.flow.operators.cached_products import NewProductError
from ntkalign.flow.operators.low_rank import triangle
from ntkalign.flow.options import FlowOptions
from ntkalign.flow.problem import Problem
from ntkalign.flow.spectral.march import solve_panels
from ntkalign.flow.spectral.modes import time_modes
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
from ntkalign.rules import NORMAL, Rule, current_jacobian

COMPRESSION = 1e-9
"""The share of g and of d that compression in time may leave out of a weight change."""


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
        layers = (zip(*kind, strict=True) for kind in zip(*parts, strict=True))
        return Observations(*(tuple(map(np.concatenate, kind)) for kind in layers))

    def _observe(
        self, solved: SolvedPanel, times: np.ndarray, jacobians: bool
    ) -> tuple[tuple[np.ndarray, ...], ...]:
        """The trace at times on one panel; rows are (time, output, point, place) for Jacobians."""
        flow, network, points = self.relaxation, self.network, len(self.y)
        outputs, count = network.flat_outputs, len(times)
        across, integral = solved.panel.interpolation(times), solved.panel.integral(times)
        z = tuple(at_moments(across, a) for a in solved.preactivations)
        now = flow.seen(self.initial.repeated(count).activities[0], z)
        if solved.crossed and count == 1 and times[0] == solved.panel.times[-1]:
            slopes = tuple(layer.slope for layer in solved.crossed)
            now = replace(now, slopes=slopes)  # of units that slide along a kink, too
        used = flow.activity(now)

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
            many = jax.tree.map(
                lambda a: jnp.asarray(np.take(np.asarray(a), at, network.point_axis(a))), now
            )
            basis = jnp.tile(
                unit_errors(network, points), (count, *(1,) * len(network.output_shape))
            )
            true = network.backward(weights, many.slopes, basis)
            jacobian = feedback = signal_rows(network, true)
            if self.rule.feedback is not current_jacobian:
                own = self._weights(solved, jnp.asarray(integral[spread]))  # rows of its own
                feedback = flow.feedback(replace(many, weights=own), basis, own[0].cache)
        return (
            tuple(map(at_times, z)),
            tuple(map(at_times, activity_rows(network, now.activities))),
            tuple(map(by_output, jacobian)),
            tuple(
                np.broadcast_to(np.asarray(a).reshape(-1, len(h), a.shape[1]),
                                (count, len(h), a.shape[1]))
                for a, h in zip(used, self.initial.activities, strict=True)
            ),
            tuple(map(by_output, feedback)),
        )  # fmt: skip

    def _weights(self, solved: SolvedPanel, integral: Float[Array, "q n"]) -> tuple[Any, ...]:
        """The weights at q moments of a panel, on a cache of their own."""
        floor = 0.1 * self.relaxation.tolerance
        cache = replace(self.relaxation.cache, cutoff=0.0, floor=floor, memory={})
        cache.rewind()
        return self.relaxation.moving_weights(
            cache, solved.base.history, solved.feedback, solved.activity, integral
        )

    def _scale(self, layer: int) -> float:
        """η/(P√m_{l−1})."""
        return self.relaxation.share * self.network.maps[layer - 1].scale

    def _split(self, layer: int) -> list[SplitChange]:
        outputs = self.y.shape[1]
        jacobian = np.asarray(self.initial.jacobian[layer - 1])
        start = np.asarray(self.initial.activities[layer - 1])
        block = len(start)
        parts = [_Part.of(solved, layer, jacobian, start) for solved in self.solution.panels]
        left = np.concatenate([jacobian, *(part.left for part in parts)])
        right = np.concatenate([start, *(part.right for part in parts)])
        assembled = _assembly(left, right, block)
        largest = float(np.sqrt(np.sum(right[:block] ** 2, axis=1).max()))
        shape = block, len(left) // block, len(right) // block
        places = block // len(self.y)
        splits = []
        for time in self.times:
            table = np.zeros(shape)
            row, column = outputs, 1
            residual = 0.0
            for part, (solved, v) in zip(parts, self.solution.integrals(time), strict=False):
                error = np.repeat(solved.error, places, axis=1)  # of a point, at all its places
                table[:, :outputs, :1] += np.einsum("k,kpc->pc", v, error)[:, :, None]
                rows = slice(row, row + part.left_basis.shape[1])
                columns = slice(column, column + part.right_basis.shape[1])
                table[:, :outputs, columns] = np.einsum("k,kpc,kb->pcb", v, error, part.right_basis)
                table[:, rows, :1] = (v @ part.left_basis)[None, :, None]
                table[:, rows, columns] = (part.left_basis.T * v) @ part.right_basis
                row, column = rows.stop, columns.stop
                size = float(np.linalg.norm(v)) * math.sqrt(block)
                residual += size * (part.left_out * 2 * largest + part.right_out * part.size)
            frozen = np.zeros_like(table)
            frozen[:, :outputs, :1] = table[:, :outputs, :1]
            scale = self._scale(layer)
            splits.append(
                SplitChange(
                    frozen=scale * assembled(frozen),
                    discrepancy=scale * assembled(table - frozen),
                    residual=scale * residual,
                )
            )
        return splits


@dataclass(frozen=True, eq=False)
class _Part:
    """g and d on one panel, compressed in time."""

    left: np.ndarray  # (r·B, m_l)
    left_basis: np.ndarray  # (n, r)
    left_out: float
    right: np.ndarray  # (s·B, m_{l−1})
    right_basis: np.ndarray
    right_out: float
    size: float  # of G, the largest at a node

    @classmethod
    def of(cls, solved: SolvedPanel, layer: int, jacobian: np.ndarray, start: np.ndarray) -> _Part:
        nodes = solved.panel.nodes
        feedback, activity = (
            np.asarray(part[layer - 1]) for part in (solved.feedback, solved.activity)
        )
        frozen = feedback_times_error(jacobian, solved.error)
        scale = float(np.linalg.norm(frozen))
        left, basis, out = _compress(feedback - frozen, nodes, scale)
        if len(activity) < len(feedback):
            right, right_basis, right_out = activity[:0], np.zeros((nodes, 0)), 0.0
        else:
            moved = (activity.reshape(nodes, -1) - start.reshape(1, -1)).reshape(activity.shape)
            scale = math.sqrt(nodes) * float(np.linalg.norm(start))
            right, right_basis, right_out = _compress(moved, nodes, scale)
        size = float(np.sqrt(np.sum(feedback.reshape(nodes, -1) ** 2, axis=1).max()))
        return cls(left, basis, out, right, right_basis, right_out, size)


def _compress(rows: np.ndarray, nodes: int, scale: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Modes in time, their basis and what they leave out; nothing, if it is only rounding."""
    if float(np.linalg.norm(rows)) <= 1e-14 * scale:
        return rows[:0], np.zeros((nodes, 0)), 0.0
    flat = rows.reshape(nodes, -1)
    basis, left_out = time_modes(flat, COMPRESSION)
    return (basis.T @ flat).reshape(-1, rows.shape[1]), basis, left_out


def _assembly(
    left: np.ndarray, right: np.ndarray, block: int
) -> Callable[[np.ndarray], np.ndarray]:
    """From coefficients between modes, for each row of a moment, to a matrix.

    Args:
        left: modes of feedback, (r·B, m_l).
        right: modes of activities, (s·B, m_{l−1}).
        block: B.

    Returns:
        A function of a table (B, r, s): Σ left rightᵀ in orthonormal coordinates, or as it is where
        a moment has more rows than the matrix.
    """
    if block < min(left.shape[1], right.shape[1]):
        left_r, right_r = triangle(left.T), triangle(right.T)
        return lambda table: left_r @ _spread(table) @ right_r.T
    by_row = left.reshape(-1, block, left.shape[1]).swapaxes(0, 1)

    def whole(table: np.ndarray) -> np.ndarray:
        mixed = (table.swapaxes(1, 2) @ by_row).swapaxes(0, 1)  # (s, B, m_l)
        return np.asarray(mixed.reshape(-1, left.shape[1]).T @ right)

    return whole


def _spread(table: Float[np.ndarray, "B r s"]) -> Float[np.ndarray, "rB sB"]:
    """Coefficients for each row of a moment as a matrix between all rows (mode, row)."""
    block, rows, columns = table.shape
    matrix = np.zeros((rows, block, columns, block))
    for row in range(block):
        matrix[:, row, :, row] = table[row]
    return matrix.reshape(rows * block, columns * block)
