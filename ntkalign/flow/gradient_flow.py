"""Continuous gradient flow: one interface, two engines.

The *spectral* engine (:mod:`ntkalign.flow.spectral`) works in function space and never updates a
weight matrix: it is the one for large widths. The *dense* engine (:mod:`ntkalign.flow.dense`)
integrates all parameters: it is the oracle, and the fallback where the other does not converge.

    flow = gradient_flow(Problem.of(network, start, x, y, times), ALIGN_ADA)
"""

from __future__ import annotations

from ntkalign.errors import InputError
from ntkalign.flow.dense import DenseEngine
from ntkalign.flow.options import FlowOptions
from ntkalign.flow.problem import Problem
from ntkalign.flow.spectral.spectral_flow import SpectralEngine
from ntkalign.flow.trajectory import Flow, Outcome
from ntkalign.precision import in_float64
from ntkalign.rules import Rule

DEFAULTS = FlowOptions()


@in_float64
def gradient_flow(
    problem: Problem,
    rule: Rule,
    options: FlowOptions = DEFAULTS,
    *,
    guess: Flow | None = None,
    among: tuple[Rule, ...] = (),
) -> Flow:
    """Solve a problem by a learning rule.

    Args:
        problem: the network at its start, data and times.
        rule: the learning rule.
        options: which engine, and how accurately.
        guess: a flow of the same network to start from: a looser one, or another rule's.
        among: rules for the dense engine to compile together with ``rule``: a sweep that runs
            several rules on one architecture then compiles once.

    Returns:
        The flow. Look at its ``outcome`` before its numbers.

    Raises:
        InputError: if the guess is of another kind of problem.
    """
    if guess is not None and (guess.network, guess.y.shape) != (
        problem.initial.network,
        problem.y.shape,
    ):
        raise InputError(
            "guess",
            f"of {guess.y.shape[0]} points",
            must="be a flow of the same architecture on as many points",
            got="another network's or other data's",
            because="an iteration starts from it",
            do="leave it out",
        )
    if options.engine != "dense":
        flow = SpectralEngine().solve(problem, rule, options, guess)
        if options.engine == "spectral" or flow.outcome is Outcome.REACHED:
            return flow
    return DenseEngine(among).solve(problem, rule, options)
