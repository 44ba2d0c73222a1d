"""The two engines side by side: whether what the spectral engine returns is what it promises."""

from __future__ import annotations

import numpy as np

from ntkalign.checking.outcomes import demand
from ntkalign.flow.gradient_flow import gradient_flow
from ntkalign.flow.options import FlowOptions
from ntkalign.flow.problem import Problem
from ntkalign.flow.trajectory import Flow, Outcome
from ntkalign.rules import Rule

EXACT = 1e-8
"""Tolerance of the dense engine, which is taken for the truth."""
TOLERANCES = (1e-4, 1e-7)
"""Those of the spectral engine."""
MARGIN = 30.0
"""How far an output may be off, in tolerances."""


def solved(problem: Problem, rule: Rule, engine: str, tolerance: float) -> Flow:
    """The flow by one engine."""
    return gradient_flow(problem, rule, FlowOptions(engine, tolerance))


def compare_engines(problem: Problem, rule: Rule, part: str) -> str | None:
    """Solve by both, the spectral engine at two tolerances.

    Args:
        problem: what is solved.
        rule: by which rule.
        part: what faults call what is checked.

    Returns:
        Why nothing could be compared, if that is so.

    Raises:
        AssertionError: if they differ by more than the tolerance allows.
    """
    exact = solved(problem, rule, "dense", EXACT)
    demand(
        exact.outcome is Outcome.REACHED,
        part,
        "have a flow by the dense engine",
        exact.outcome.value,
        "every rule has one",
        "look for what is not finite, or not smooth",
    )
    flows = []
    for tolerance in TOLERANCES:
        flows.append(solved(problem, rule, "spectral", tolerance))
        if flows[-1].outcome is not Outcome.REACHED:
            return flows[-1].outcome.value
    size = float(np.abs(exact.output - problem.initial.output).max()) or 1.0
    for tolerance, flow in zip(TOLERANCES, flows, strict=True):
        apart = float(np.abs(flow.output - exact.output).max()) / size
        demand(
            apart <= MARGIN * tolerance,
            part,
            f"flow alike by both engines, to {MARGIN * tolerance:.0e} of how far outputs move",
            f"{apart:.1e} at tolerance {tolerance:.0e}",
            "the spectral engine takes signals for linear in the error and each point by itself",
            "let them depend on nothing but the two passes, the constants and the error",
        )
    return None
