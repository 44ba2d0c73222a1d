"""Gradient flow by a dense adaptive Runge–Kutta method (diffrax): the oracle, and the fallback.

The state is the *change* of every parameter since time 0, in float64, beside the integrated
error δ of (5). This is the plain integrator, written like the equations.

Accuracy: a step is accepted when its estimated local error, in the Frobenius norm of each
weight matrix, bias and of δ, is below ``tolerance`` (an absolute number: these norms are of
order one at every width). Steps end exactly at the saved times, so that nothing is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.errors import InputError
from ntkalign.flow.initial_state import Observations
from ntkalign.flow.operators.low_rank import LowRank, compress, triangle
from ntkalign.flow.options import FlowOptions
from ntkalign.flow.problem import Problem
from ntkalign.flow.trajectory import GROWTH, Effort, Engine, Flow, Outcome, SplitChange
from ntkalign.networks.base import Network, Pass, backpropagate
from ntkalign.networks.jacobians import activity_rows, feedback_by_output, signal_rows
from ntkalign.networks.layers import Parameters
from ntkalign.precision import in_float64
from ntkalign.rules import NORMAL, Rule


@dataclass(frozen=True, eq=False, kw_only=True)
class DenseFlow(Flow):
    """A flow with all its parameters.

    Attributes:
        change: θ^t − θ^0, each array with a leading time axis.
        among: rules that were compiled together.
    """

    change: Parameters
    among: tuple[Rule, ...]

    def weight_change(self, layer: int) -> Float[np.ndarray, "n p q"]:
        """W_l^t − W_l^0 at the saved times."""
        own = self.network.maps[layer - 1]
        changes = np.asarray(self.change[layer - 1].weight)
        return np.stack([own.matrix(change) for change in changes])

    @in_float64
    def observe(self, jacobians: bool = True) -> Observations:
        """Activities and Jacobians at the saved times; Jacobians cost little here."""
        rules = together(self.rule, self.among)
        fixed = tuple(_double(self.problem.constants(rule)) for rule in rules)
        groups = _observations(
            self.network,
            rules,
            rules.index(self.rule),
            _double(self.initial.start),
            self.change,
            fixed,
            self.initial.x,
        )
        return Observations(*(tuple(np.asarray(a) for a in group) for group in groups))

    def _split(self, layer: int) -> list[SplitChange]:
        return [
            _split(change, frozen)
            for change, frozen in zip(
                self.weight_change(layer), self.frozen_change(layer), strict=True
            )
        ]


def _split(change: np.ndarray, b: LowRank) -> SplitChange:
    """The discrepancy A − B compressed, then both in orthonormal coordinates."""
    rounding = 1e-13 * b.norm()
    w = compress(change - b.left @ b.right.T, relative=1e-7, absolute=rounding)
    left, right = triangle(np.hstack([b.left, w.left])), triangle(np.hstack([b.right, w.right]))
    rank = b.left.shape[1]
    return SplitChange(
        frozen=left[:, :rank] @ right[:, :rank].T,
        discrepancy=left[:, rank:] @ right[:, rank:].T,
        residual=w.residual,
    )


@dataclass(frozen=True)
class DenseEngine(Engine):
    """The oracle.

    Args:
        among: rules to compile together with the one that runs.
    """

    among: tuple[Rule, ...] = ()
    name = "dense"

    def solve(
        self, problem: Problem, rule: Rule, options: FlowOptions, guess: Flow | None = None
    ) -> DenseFlow:
        """Integrate; a guess is of no use.

        Returns:
            The flow at the saved times, with the change of all its parameters.

        Raises:
            InputError: if diffrax is too old, as it is beside JAX 0.4.36 and 0.4.37.
        """
        if not hasattr(diffrax, "ClipStepSizeController"):
            raise InputError(
                "diffrax",
                diffrax.__version__,
                must="be 0.6.2 or later",
                got=diffrax.__version__,
                because="the dense engine's steps end at the saved times",
                do="pip install 'jax>=0.4.38' 'diffrax>=0.7', or choose the spectral engine",
            )
        network, x = problem.initial.network, problem.initial.x
        start = _double(problem.initial.start)
        rules = together(rule, self.among)
        fixed = _double(tuple(problem.constants(r) for r in rules))
        trajectory, result, finite, steps = _solve(
            network,
            rules,
            rules.index(rule),
            start,
            fixed,
            x,
            jnp.asarray(problem.y),
            jnp.asarray(problem.times),
            options.tolerance,
            options.max_steps,
        )
        output = _outputs(network, rule.output == "linear", start, trajectory["change"], x)
        output = np.asarray(output).reshape(-1, *problem.y.shape)
        return DenseFlow(
            problem=problem,
            rule=rule,
            delta=np.asarray(trajectory["delta"]),
            output=output,
            outcome=_outcome(result, bool(finite)),
            effort=Effort(self.name, int(steps), 1, None),
            change=trajectory["change"],
            among=self.among,
        )


def together(rule: Rule, among: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules to compile as one: those that need no second network, or just this one."""
    own = tuple(r for r in among if r.error == "own")
    return own if rule in own else (rule,)


@partial(jax.jit, static_argnames=("network", "rules", "max_steps"))
def _solve(
    network: Network,
    rules: tuple[Rule, ...],
    index: int | Array,
    start: Parameters,
    fixed: tuple[Any, ...],
    x: Array,
    y: Array,
    times: Array,
    tolerance: float | Array,
    max_steps: int,
) -> tuple[Any, Any, Array, Array]:
    """Integrate rule number ``index``; all of ``rules`` are compiled, one runs."""
    first = network.forward(start, x)
    coupled = rules[0].error == "normal"

    def velocity(i: int, change: Parameters, teacher: Array | None) -> tuple[Parameters, Array]:
        now, output = _evaluate(network, rules[i].output == "linear", start, first, change, x)
        e = y - (output if teacher is None else teacher).reshape(y.shape)
        return _velocity(network, rules[i], now, first, fixed[i], e), e

    def field(t: Any, state: dict[str, Any], args: Any) -> dict[str, Any]:
        if coupled:  # W*: the error of a Normal network that is trained alongside
            now = network.forward(_add(start, state["normal"]), x)
            e = y - now.output.reshape(y.shape)
            normal = _velocity(network, NORMAL, now, first, (), e)
            change, e = velocity(0, state["change"], now.output)
            return {"change": change, "delta": network.rate * e, "normal": normal}
        branches = [partial(velocity, i, teacher=None) for i in range(len(rules))]
        change, e = jax.lax.switch(index, branches, state["change"])
        return {"change": change, "delta": network.rate * e}

    def save(t: Any, state: dict[str, Any], args: Any) -> dict[str, Any]:
        return {"change": state["change"], "delta": state["delta"]}

    zero = jax.tree.map(jnp.zeros_like, start)
    state = {"change": zero, "delta": jnp.zeros_like(y)} | ({"normal": zero} if coupled else {})
    size = jnp.linalg.norm(y - first.output.reshape(y.shape)) + jnp.linalg.norm(y)
    limit = GROWTH * network.rate * times[-1] * size

    def grew(t: Any, state: dict[str, Any], args: Any, **options: Any) -> Array:
        return jnp.linalg.norm(state["delta"]) > limit

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        t0=0.0,
        t1=times[-1],
        dt0=0.1 * times[0],
        y0=state,
        stepsize_controller=diffrax.ClipStepSizeController(
            diffrax.PIDController(
                rtol=0.0,
                atol=tolerance,
                norm=_largest_block,
                dtmin=1e-10 * times[-1],
                force_dtmin=False,
            ),
            step_ts=times,
        ),
        saveat=diffrax.SaveAt(ts=times, fn=save),
        event=diffrax.Event(grew),
        max_steps=max_steps,
        throw=False,
    )
    finite = jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(solution.ys)]).all()
    return solution.ys, solution.result, finite, solution.stats["num_steps"]


@partial(jax.jit, static_argnames=("network", "linear"))
def _outputs(
    network: Network, linear: bool, start: Parameters, change: Parameters, x: Array
) -> Array:
    """The output at every saved time."""
    first = network.forward(start, x)
    return jax.lax.map(lambda c: _evaluate(network, linear, start, first, c, x)[1], change)


def _evaluate(
    network: Network, linear: bool, start: Parameters, first: Pass, change: Parameters, x: Array
) -> tuple[Pass, Array]:
    """The pass a rule sees as "now", and the rule's output."""
    if linear:  # f_lin = f^0 + ∇_θ f^0ᵀ (θ − θ^0), equation (57)
        _, slope = jax.jvp(lambda p: network.forward(p, x).output, (start,), (change,))
        return first, first.output + slope
    now = network.forward(_add(start, change), x)
    return now, now.output


def _velocity(
    network: Network, rule: Rule, now: Pass, first: Pass, fixed: Any, e: Array
) -> Parameters:
    """dθ_l/dt of the rule, from its feedback and its activity."""
    error = network.output_scale * e.reshape(-1, *network.output_shape)
    signals = rule.feedback(now, first, fixed, error)
    return network.update(signals, rule.activity(now, first))


def _add(start: Parameters, change: Parameters) -> Parameters:
    return jax.tree.map(jnp.add, start, change)


def _largest_block(tree: Any) -> Array:
    """The largest Frobenius norm among a tree's arrays; NaN counts as infinite.

    (A first step far too long may end in NaN, which would never be accepted nor shortened.)

    Returns:
        A scalar, never NaN.
    """
    norms = jnp.stack([jnp.sqrt(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(tree)])
    return jnp.max(jnp.where(jnp.isnan(norms), jnp.inf, norms))


def _outcome(result: Any, finite: bool) -> Outcome:
    if result == diffrax.RESULTS.successful:
        return Outcome.REACHED if finite else Outcome.NOT_FINITE
    if result == diffrax.RESULTS.event_occurred:
        return Outcome.GREW
    if result == diffrax.RESULTS.dt_min_reached:
        return Outcome.STEP_TOO_SMALL
    return Outcome.TOO_MANY_STEPS


@partial(jax.jit, static_argnames=("network", "rules"))
def _observations(
    network: Network,
    rules: tuple[Rule, ...],
    index: int | Array,
    start: Parameters,
    change: Parameters,
    fixed: tuple[Any, ...],
    x: Array,
) -> tuple[tuple[Array, ...], ...]:
    first = network.forward(start, x)

    def at_one_time(change: Parameters) -> tuple[tuple[Array, ...], ...]:
        now = network.forward(jax.tree.map(jnp.add, start, change), x)

        def of_rule(i: int) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
            feedback = partial(rules[i].feedback, now, first, fixed[i])
            used = activity_rows(network, rules[i].activity(now, first))
            return used, feedback_by_output(now, feedback)

        branches = [partial(of_rule, i) for i in range(len(rules))]
        activities, feedback = jax.lax.switch(index, branches)
        jacobian = feedback_by_output(now, partial(backpropagate, now, now))
        rows = activity_rows(network, now.activities)
        return signal_rows(network, now.preactivations), rows, jacobian, activities, feedback

    return jax.lax.map(at_one_time, change)


def _double(tree: Any) -> Any:
    """Every floating-point array in float64."""
    return jax.tree.map(
        lambda a: a.astype(jnp.float64) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree
    )
