"""The spectral engine's flow: what is measured on it, from the panels of a relaxation.

A weight change is a sum over panels, nodes and data points of G hᵀ. Written as

    G = ∇_{z_l}f⁰ e + g,    h = h⁰ + d,

its first part, ∇f⁰ δ h⁰ᵀ, is the frozen change B of (13) and the three others are the discrepancy
W̃ = A − B of (39), which is thus never found as a difference of large numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow.initial_state import Origin, Trace, moving_weights, output_basis
from ntkalign.flow.operators.low_rank import triangle
from ntkalign.flow.spectral.march import march
from ntkalign.flow.spectral.modes import time_modes
from ntkalign.flow.spectral.panels import Solution, Solved, combined, mixed, observe
from ntkalign.flow.spectral.relaxation import Relaxation
from ntkalign.flow.trajectory import Flow, Outcome, Split, Work
from ntkalign.networks.fully_connected import backpropagate
from ntkalign.precision import in_float64
from ntkalign.rules import NORMAL, Rule, current_jacobian

COMPRESSION = 1e-9
"""The share of g and of d that compression in time may leave out of a weight change."""


def spectral_flow(
    origin: Origin,
    rule: Rule,
    fixed: Any,
    y: Array,
    times: np.ndarray,
    tolerance: float,
    guess: Flow | None = None,
) -> SpectralFlow:
    """Relax; arguments as for :func:`ntkalign.flow.gradient_flow`."""
    final, targets = float(times[-1]), np.asarray(y)
    near = guess.solution if isinstance(guess, SpectralFlow) and guess.solution.panels else None
    teacher, work = None, 0
    if rule.error == "normal":
        normal = march(Relaxation(origin, NORMAL, (), targets, tolerance), final)
        teacher, near, work = normal.error_at, None, normal.iterations
    relaxation = Relaxation(origin, rule, fixed, targets, tolerance, teacher)
    same = False
    if isinstance(guess, SpectralFlow) and guess.rule == rule and guess.origin is origin:
        same = True
        relaxation.share(guess.relaxation)
    if teacher is not None and normal.outcome is not Outcome.REACHED:
        solution = replace(normal, panels=())
    elif same or relaxation.is_rowwise():
        solution = march(relaxation, final, near)
    else:
        solution = Solution(rule, (), Outcome.NOT_ROWWISE, 0, 0)
    reached = solution.outcome is Outcome.REACHED
    delta = output = np.full((len(times), *targets.shape), np.nan)
    if reached:
        found = [solution.at(time) for time in times]
        delta = origin.network.rate * np.stack([d for d, _ in found])
        output = np.stack([f for _, f in found])
    return SpectralFlow(
        origin=origin,
        rule=rule,
        fixed=fixed,
        y=targets,
        times=times,
        delta=delta,
        output=output,
        outcome=solution.outcome,
        work=Work(
            "spectral",
            solution.iterations + work,
            len(solution.panels),
            solution.estimate if reached else None,
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
    solution: Solution

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
                total = total + scale * (np.repeat(v, len(self.y))[:, None] * g).T @ h
            changes.append(total)
        return np.stack(changes)

    @in_float64
    def trace(self, jacobians: bool = True) -> Trace:
        """Activities, and Jacobians if they are wanted, at the saved times."""
        groups: dict[int, tuple[Solved, list[float]]] = {}
        for time in self.times:
            solved = self.solution.panel_at(time)
            groups.setdefault(id(solved), (solved, []))[1].append(time)
        parts = [
            self._observe(solved, np.array(times), jacobians) for solved, times in groups.values()
        ]
        layers = (zip(*kind, strict=True) for kind in zip(*parts, strict=True))
        return Trace(*(tuple(map(np.concatenate, kind)) for kind in layers))

    def _observe(
        self, solved: Solved, times: np.ndarray, jacobians: bool
    ) -> tuple[tuple[np.ndarray, ...], ...]:
        """The trace at times on one panel; rows are (time, output, point) for Jacobians."""
        flow, network, points = self.relaxation, self.network, len(self.y)
        outputs, count = network.widths[-1], len(times)
        across, integral = solved.panel.interpolation(times), solved.panel.integral(times)
        z = tuple(mixed(across, a) for a in solved.preactivations)
        now = observe(network, jnp.asarray(np.tile(self.origin.x, (count, 1))), z)
        used = flow.activity(now)

        def at_times(rows: Array) -> np.ndarray:
            return np.asarray(rows).reshape(-1, points, rows.shape[1])

        def by_output(rows: Array) -> np.ndarray:
            stacked = np.asarray(rows).reshape(count, outputs, points, -1)
            return np.moveaxis(stacked, 1, -1)

        jacobian: Any = ()
        feedback: Any = ()
        if jacobians:
            spread = np.repeat(np.arange(count), outputs)  # every time once for each output
            weights = self._weights(solved, jnp.asarray(integral[spread]))
            many = jax.tree.map(partial(_spread_rows, spread=spread, points=points), now)
            many = many._replace(weights=weights)
            basis = jnp.asarray(np.tile(output_basis(network, points), (count, 1)))
            jacobian = feedback = backpropagate(weights, many.slopes, basis)
            if self.rule.feedback is not current_jacobian:
                own = self._weights(solved, jnp.asarray(integral[spread]))  # rows of its own
                feedback = flow.feedback(many._replace(weights=own), basis, own[0].tape)
        return (
            tuple(map(at_times, z)),
            tuple(map(at_times, now.activities)),
            tuple(map(by_output, jacobian)),
            tuple(np.broadcast_to(at_times(a), (count, points, a.shape[1])) for a in used),
            tuple(map(by_output, feedback)),
        )

    def _weights(self, solved: Solved, integral: Float[Array, "q n"]) -> tuple[Any, ...]:
        """The weights at q moments of a panel, on a tape of their own."""
        floor = 0.1 * self.relaxation.tolerance
        tape = replace(self.relaxation.tape, cutoff=0.0, floor=floor, memory={})
        tape.rewind()
        return moving_weights(
            tape, self.origin, solved.base.history, solved.feedback, solved.activity, integral
        )

    def _scale(self, layer: int) -> float:
        fan_in = self.network.widths[layer - 1]
        return self.network.rate / (len(self.y) * math.sqrt(fan_in))

    def _split(self, layer: int) -> list[Split]:
        points, outputs = self.y.shape
        jacobian = np.asarray(self.origin.jacobian[layer - 1])
        start = np.asarray(self.origin.first.activities[layer - 1])
        parts = [_Part.of(solved, layer, jacobian, start) for solved in self.solution.panels]
        left = np.concatenate([jacobian, *(part.left for part in parts)])
        right = np.concatenate([start, *(part.right for part in parts)])
        left_r, right_r = triangle(left.T), triangle(right.T)
        largest = float(np.sqrt(np.sum(right[:points] ** 2, axis=1).max()))
        shape = points, len(left) // points, len(right) // points
        splits = []
        for time in self.times:
            table = np.zeros(shape)
            row, column = outputs, 1
            residual = 0.0
            for part, (solved, v) in zip(parts, self.solution.integrals(time), strict=False):
                table[:, :outputs, :1] += np.einsum("k,kpc->pc", v, solved.error)[:, :, None]
                rows = slice(row, row + part.left_basis.shape[1])
                columns = slice(column, column + part.right_basis.shape[1])
                table[:, :outputs, columns] = np.einsum(
                    "k,kpc,kb->pcb", v, solved.error, part.right_basis
                )
                table[:, rows, :1] = (v @ part.left_basis)[None, :, None]
                table[:, rows, columns] = (part.left_basis.T * v) @ part.right_basis
                row, column = rows.stop, columns.stop
                size = float(np.linalg.norm(v)) * math.sqrt(points)
                residual += size * (part.left_out * 2 * largest + part.right_out * part.size)
            frozen = np.zeros_like(table)
            frozen[:, :outputs, :1] = table[:, :outputs, :1]
            scale = self._scale(layer)
            splits.append(
                Split(
                    frozen=scale * left_r @ _spread(frozen) @ right_r.T,
                    discrepancy=scale * left_r @ _spread(table - frozen) @ right_r.T,
                    residual=scale * residual,
                )
            )
        return splits


@dataclass(frozen=True, eq=False)
class _Part:
    """g and d on one panel, compressed in time."""

    left: np.ndarray  # (r·P, m_l)
    left_basis: np.ndarray  # (n, r)
    left_out: float
    right: np.ndarray  # (s·P, m_{l−1})
    right_basis: np.ndarray
    right_out: float
    size: float  # of G, the largest at a node

    @classmethod
    def of(cls, solved: Solved, layer: int, jacobian: np.ndarray, start: np.ndarray) -> _Part:
        nodes = solved.panel.nodes
        feedback, activity = (
            np.asarray(part[layer - 1]) for part in (solved.feedback, solved.activity)
        )
        frozen = combined(jacobian, solved.error)
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


def _spread_rows(rows: Array, spread: np.ndarray, points: int) -> Array:
    """Rows of the moments in ``spread``."""
    stacked = np.asarray(rows).reshape(-1, points, rows.shape[1])
    return jnp.asarray(stacked[spread].reshape(-1, rows.shape[1]))


def _compress(rows: np.ndarray, nodes: int, scale: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Modes in time, their basis and what they leave out; nothing, if it is only rounding."""
    if float(np.linalg.norm(rows)) <= 1e-14 * scale:
        return rows[:0], np.zeros((nodes, 0)), 0.0
    flat = rows.reshape(nodes, -1)
    basis, left_out = time_modes(flat, COMPRESSION)
    return (basis.T @ flat).reshape(-1, rows.shape[1]), basis, left_out


def _spread(table: Float[np.ndarray, "P r s"]) -> Float[np.ndarray, "rP sP"]:
    """Coefficients for each data point as a matrix between all rows (mode, point)."""
    points, rows, columns = table.shape
    matrix = np.zeros((rows, points, columns, points))
    for point in range(points):
        matrix[:, point, :, point] = table[point]
    return matrix.reshape(rows * points, columns * points)
