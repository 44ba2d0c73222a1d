"""Continuous gradient flow by a dense adaptive Runge–Kutta method (diffrax).

The state is the *change* of every parameter since time 0, in float64, beside the integrated
error δ of (5). This is the plain integrator, written like the equations; it is the oracle that
any faster flow is compared with.

Accuracy: a step is accepted when its estimated local error, in the Frobenius norm of each
weight matrix, bias and of δ, is below ``tolerance`` (an absolute number: these norms are of
order one at every width). Steps end exactly at the saved times, so that nothing is interpolated.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ntkalign.errors import InputError
from ntkalign.networks import Layer, Network, Parameters, Pass
from ntkalign.rules import NORMAL, Rule

MAX_STEPS = 100_000
GROWTH = 1e4
_RULE_STREAM = 0x52554C45  # a rule's constants never share draws with the weights


class Outcome(enum.Enum):
    """How a flow ended; the values are sentences with a remedy."""

    REACHED = "reached the final time"
    GREW = (
        f"diverged: the integrated error grew past {GROWTH:g} times what it started from; "
        "shorten --time, or lower the targets' scale"
    )
    NOT_FINITE = (
        "diverged: values stopped being finite before the final time; "
        "shorten --time, or lower the targets' scale"
    )
    STEP_TOO_SMALL = (
        "diverged: the step size fell below 1e-10 of the final time; "
        "shorten --time, or loosen --tolerance"
    )
    TOO_MANY_STEPS = (
        f"did not reach the final time in {MAX_STEPS} steps; shorten --time or loosen --tolerance"
    )


@dataclass(frozen=True)
class Flow:
    """A trajectory at n saved times.

    Attributes:
        times: (n,), in units where the rate η is 1, increasing, all positive.
        start: the parameters at time 0.
        change: θ^t − θ^0, each array with a leading time axis.
        delta: δ^(t) = η ∫₀ᵗ e dτ, equation (5) with e = y − f; (n, P, C).
        output: f^t (or the linearised output), (n, P, C).
        outcome: anything but REACHED means that the arrays must not be used.
        steps: Runge–Kutta steps taken.
    """

    network: Network
    rule: Rule
    fixed: Any
    x: Array
    y: Array
    times: Array
    start: Parameters
    change: Parameters
    delta: Array
    output: Array
    outcome: Outcome
    steps: int


def gradient_flow(
    network: Network,
    rule: Rule,
    start: Parameters,
    x: Float[Array, "P d"],
    y: Float[Array, "P C"],
    times: Float[Array | np.ndarray, " n"],
    *,
    tolerance: float = 1e-6,
    key: Key[Array, ""] | None = None,
    among: tuple[Rule, ...] = (),
    max_steps: int = MAX_STEPS,
) -> Flow:
    """Train ``network`` from ``start`` by ``rule`` in continuous time on ½‖y − f‖², averaged.

    Args:
        network: the architecture.
        rule: the learning rule.
        start: the parameters at time 0.
        x: inputs, one row a point.
        y: targets.
        times: saved times, in units where the rate η is 1; the last one is T.
        tolerance: bound on each step's local error, see the module's text.
        key: randomness of the rule's fixed constants (feedback alignment's weights).
        among: rules to compile together with ``rule``: a sweep that runs several rules on one
            architecture then compiles once.
        max_steps: give up after that many steps.

    Returns:
        The flow. Look at its ``outcome`` before its numbers.

    Raises:
        InputError: if float64 is switched off, or the times or the tolerance make no sense.
    """
    _check(times, tolerance)
    key = jax.random.key(0) if key is None else key
    key = jax.random.fold_in(key, _RULE_STREAM)
    rules = together(rule, among)
    fixed = tuple(r.draw(key, network) for r in rules)
    index = rules.index(rule)
    trajectory, result, finite, steps = _solve(
        network, rules, index, start, fixed, x, y, jnp.asarray(times), tolerance, max_steps
    )
    return Flow(
        network=network,
        rule=rule,
        fixed=fixed[index],
        x=x,
        y=y,
        times=jnp.asarray(times),
        start=start,
        change=trajectory["change"],
        delta=trajectory["delta"],
        output=_outputs(network, rule.output == "linear", start, trajectory["change"], x),
        outcome=_outcome(result, bool(finite)),
        steps=int(steps),
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
        e = y - (output if teacher is None else teacher)
        return _velocity(network, rules[i], now, first, fixed[i], e), e

    def field(t: Any, state: dict[str, Any], args: Any) -> dict[str, Any]:
        if coupled:  # W*: the error of a Normal network that is trained alongside
            now = network.forward(_add(start, state["normal"]), x)
            normal = _velocity(network, NORMAL, now, first, (), y - now.output)
            change, e = velocity(0, state["change"], now.output)
            return {"change": change, "delta": network.rate * e, "normal": normal}
        branches = [partial(velocity, i, teacher=None) for i in range(len(rules))]
        change, e = jax.lax.switch(index, branches, state["change"])
        return {"change": change, "delta": network.rate * e}

    def save(t: Any, state: dict[str, Any], args: Any) -> dict[str, Any]:
        return {"change": state["change"], "delta": state["delta"]}

    zero = jax.tree.map(jnp.zeros_like, start)
    state = {"change": zero, "delta": jnp.zeros_like(y)} | ({"normal": zero} if coupled else {})
    size = jnp.linalg.norm(y - first.output) + jnp.linalg.norm(y)
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
    """dW_l/dt = η/√m_{l−1} E[feedback e activityᵀ] and db_l/dt = η E[feedback e]."""
    signals = rule.feedback(now, first, fixed, network.output_scale * e)
    activities = rule.activity(now, first)
    return tuple(
        Layer(
            weight=network.rate * s.T @ h / (s.shape[0] * math.sqrt(h.shape[1])),
            bias=network.rate * jnp.mean(s, axis=0),
        )
        for s, h in zip(signals, activities, strict=True)
    )


def _add(start: Parameters, change: Parameters) -> Parameters:
    return jax.tree.map(jnp.add, start, change)


def _largest_block(tree: Any) -> Array:
    """The largest Frobenius norm among a tree's arrays."""
    return jnp.max(jnp.stack([jnp.sqrt(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(tree)]))


def _outcome(result: Any, finite: bool) -> Outcome:
    if result == diffrax.RESULTS.successful:
        return Outcome.REACHED if finite else Outcome.NOT_FINITE
    if result == diffrax.RESULTS.event_occurred:
        return Outcome.GREW
    if result == diffrax.RESULTS.dt_min_reached:
        return Outcome.STEP_TOO_SMALL
    return Outcome.TOO_MANY_STEPS


def _check(times: Any, tolerance: float) -> None:
    if jnp.asarray(0.0).dtype != jnp.float64:
        raise InputError(
            "jax_enable_x64",
            False,
            must="be on",
            got="off",
            because="claims are measured in float64",
            do="call jax.config.update('jax_enable_x64', True)",
        )
    times = np.asarray(times)
    if times.ndim != 1 or times.size == 0 or not np.all(np.diff(np.r_[0.0, times]) > 0):
        raise InputError(
            "times",
            tuple(np.ravel(times)),
            must="be positive and increasing",
            got=f"an array of shape {times.shape}",
            because="time 0 is the common start and is not saved",
            do="pass for instance jnp.linspace(0, T, 9)[1:]",
        )
    if not 0 < tolerance < 1:
        raise InputError(
            "tolerance",
            tolerance,
            must="be between 0 and 1",
            got=tolerance.__repr__(),
            because="it bounds the local error of a step in norms of order one",
            do="pass 1e-6, say",
        )
