"""A network at time 0 as a flow: nothing has moved, and quantities of untrained networks agree."""

from __future__ import annotations

import jax
import numpy as np

from ntkalign import Settings, float64
from ntkalign.flow.gradient_flow import gradient_flow
from ntkalign.flow.options import FlowOptions
from ntkalign.flow.problem import Problem
from ntkalign.flow.trajectory import AtRest, Outcome
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.theory import measure_alignment, measure_weights
from ntkalign.rules import NORMAL


@float64()
def test_nothing_has_moved():
    network, rng = Settings().family.network(4, (3,), 2), np.random.default_rng(0)
    start = network.initialise(jax.random.key(0))
    x, y = rng.standard_normal((3, 3)), rng.standard_normal((3, 2))
    problem = Problem.of(network, start, x, y, np.array([1.0]))
    rest = AtRest.of(problem, NORMAL)
    moved = gradient_flow(problem, NORMAL, FlowOptions("dense", 1e-8))
    assert rest.outcome is Outcome.REACHED
    assert (list(rest.times), rest.delta.shape) == ([0.0], moved.delta.shape)
    assert not rest.delta.any()
    assert (rest.output[0] == problem.initial.output).all()
    for layer in (1, 2, 3):
        assert rest.weight_change(layer).shape == moved.weight_change(layer).shape
        assert not rest.weight_change(layer).any()
    for now, before in zip(rest.observe(), problem.initial.observations, strict=True):
        assert all((a == b).all() for a, b in zip(now, before, strict=True))
    start_kernel = Observed(rest).initial_kernels.ntk
    assert (start_kernel == Observed(moved).initial_kernels.ntk).all()
    assert all(values[0] == 0 for values, _ in measure_weights(Observed(rest)).values())
    scores = measure_alignment(Observed(rest))
    assert all(np.isnan(values[0]) for (_, name), (values, _) in scores.items() if "mis" in name)
