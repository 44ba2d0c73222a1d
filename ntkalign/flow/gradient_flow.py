"""Continuous gradient flow: one interface, two engines.

The *spectral* engine (:mod:`ntkalign.flow.spectral`) works in function space and never updates a
weight matrix: it is the one for large widths. The *dense* engine (:mod:`ntkalign.flow.dense`)
integrates all parameters: it is the oracle, and the fallback where the other does not converge.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ntkalign.devices import drawing
from ntkalign.errors import InputError, unknown_name
from ntkalign.flow.dense import DenseFlow, dense_flow
from ntkalign.flow.initial_state import Origin
from ntkalign.flow.spectral.spectral_flow import spectral_flow
from ntkalign.flow.trajectory import MAX_STEPS, Flow, Outcome, Split, Work
from ntkalign.networks.fully_connected import Network, Parameters
from ntkalign.precision import in_float64
from ntkalign.rules import Rule

__all__ = ["ENGINES", "DenseFlow", "Flow", "Outcome", "Split", "Work", "gradient_flow"]

ENGINES = ("auto", "spectral", "dense")
_RULE_STREAM = 0x52554C45  # a rule's constants never share draws with the weights


@in_float64
def gradient_flow(
    network: Network,
    rule: Rule,
    start: Parameters,
    x: Float[Array | np.ndarray, "P d"],
    y: Float[Array | np.ndarray, "P C"],
    times: Float[Array | np.ndarray, " n"],
    *,
    engine: str = "auto",
    tolerance: float = 1e-6,
    key: Key[Array, ""] | None = None,
    origin: Origin | None = None,
    guess: Flow | None = None,
    among: tuple[Rule, ...] = (),
    max_steps: int = MAX_STEPS,
) -> Flow:
    """Train ``network`` from ``start`` by ``rule`` in continuous time on ½‖y − f‖², averaged.

    Args:
        network: the architecture.
        rule: the learning rule.
        start: the parameters at time 0; weights in float32 save memory and time.
        x: inputs, one row a point; NumPy's keep float64 where JAX's would be float32.
        y: targets.
        times: saved times, in units where the rate η is 1; the last one is T.
        engine: "spectral", "dense", or "auto": spectral, and dense where that does not converge.
        tolerance: the spectral engine bounds the estimated relative error of e, of
            z_l − z_l(0) and of the feedback by it; the dense engine each step's local error.
        key: randomness of the rule's fixed constants (feedback alignment's weights).
        origin: the same network at time 0, if it has been evaluated before.
        guess: a flow of the same network to start from: a looser one, or another rule's.
        among: rules for the dense engine to compile together with ``rule``: a sweep that runs
            several rules on one architecture then compiles once.
        max_steps: the dense engine gives up after that many steps.

    Returns:
        The flow. Look at its ``outcome`` before its numbers.

    Raises:
        InputError: if the engine is unknown, or the times or the tolerance make no sense.
    """
    _check(times, tolerance, engine)
    key = jax.random.fold_in(jax.random.key(0) if key is None else key, _RULE_STREAM)
    x, y = jnp.asarray(x, jnp.float64), jnp.asarray(y, jnp.float64)
    origin = Origin.of(network, start, x) if origin is None else origin
    moments = np.asarray(times, float)

    @cache
    def draw(rule: Rule) -> Any:
        with drawing():
            return rule.draw(key, network)

    if engine != "dense":
        flow = spectral_flow(origin, rule, draw(rule), y, moments, tolerance, guess)
        if engine == "spectral" or flow.outcome is Outcome.REACHED:
            return flow
    return dense_flow(origin, rule, y, moments, tolerance, draw, among, max_steps)


def _check(times: Any, tolerance: float, engine: str) -> None:
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES, "only these are built in")
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
