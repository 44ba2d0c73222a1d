"""Flows of recurrent and convolutional networks, and what is measured on them.

Both engines against ``tests/flow_reference.py``, which forms every matrix and every Jacobian in
plain NumPy and was written by somebody who had not seen the engines.
"""

from __future__ import annotations

import numpy as np
import pytest

import ntkalign.flow.operators.moving_weights as moving_weights
import ntkalign.networks.jacobians as layerwise
from ntkalign import FlowOptions, gradient_flow
from ntkalign.quantities import theory as measure
from ntkalign.rules import RULES
from tests import flow_reference as reference
from tests.tied import (
    SHARE,
    TOLERANCE,
    Tied,
    agree,
    convolutional,
    flow,
    jacobians,
    recurrent,
    truth,
)

CASES = {
    "rnn": Tied(recurrent(5, 3, features=2, bias_std=0.3), times=(0.3, 1.0)),
    "cnn": Tied(convolutional((4, 3, 1), (3, 2), (2, 1), bias_std=0.3)),
    "rnn, (61)": Tied(recurrent(3, 4, scaled_readout=False), times=(0.02, 0.1)),
    "cnn, standard": Tied(
        convolutional((5, 4, 2), (2, 3), (1, 2), form="standard"), times=(0.1, 0.5)
    ),
}
SEVERAL = [("spectral", "fa"), ("spectral", "normal")]
EVERY = [(engine, rule) for engine in ("dense", "spectral") for rule in RULES]
RUNS = [(name, *run) for name in CASES for run in (SEVERAL if "," in name else EVERY)]
each = pytest.mark.parametrize(("name", "engine", "rule"), RUNS)


def both(name, engine, rule):
    """A case, the package's flow of it, and the reference's."""
    case = CASES[name]
    return case, flow(case, rule, engine), truth(case, rule)


@each
def test_outputs_errors_and_weights_are_those_of_the_plain_flow(name, engine, rule):
    case, found, exact = both(name, engine, rule)
    agree(case.shaped(found.output), exact.f, SHARE[engine], what="output")
    agree(case.shaped(found.delta), exact.delta, SHARE[engine], what="delta")
    ends = [case.net.weights(params) for params in exact.params]
    for layer, first in enumerate(case.net.weights(case.params)):
        moved = np.stack([reference.as_matrix(end[layer] - first) for end in ends])
        agree(found.weight_change(layer + 1), moved, SHARE[engine], what=f"layer {layer + 1}")


@each
def test_passes_and_jacobians_are_those_of_the_plain_network(name, engine, rule):
    """Of the network's own Jacobian, and of what the rule has in its place."""
    case, found, exact = both(name, engine, rule)
    seen, share = found.observe(), 3 * SHARE[engine]
    for i, (now, *both_jacobians) in enumerate(
        zip(exact.params, *jacobians(case, rule), strict=True)
    ):
        z, h = case.rows(now)
        for layer in range(case.network.depth):
            agree(seen.preactivations[layer][i], z[layer], share, what=f"z of {layer + 1}")
            agree(seen.activities[layer][i], h[layer], share, what=f"h below {layer + 1}")
        factors = (seen.jacobian, seen.activities), (seen.rule_feedback, seen.rule_activities)
        for (feedback, activities), expected in zip(factors, both_jacobians, strict=True):
            ours = case.jacobian([g[i] for g in feedback], [a[i] for a in activities])
            agree(ours, expected, share)


PER_LAYER = {
    "weight-drift": "weight_drift",
    "discrepancy": "discrepancy",
    "alignment-gap": "alignment_gap",
    "delta-norm": "delta_norm",
    "sigma-norm": "sigma_norm",
    "misalignment": "misalignment",
    "activation-drift": "activation_drift",
}
FLOOR = 1e-9
"""Below it all is rounding: of a layer that follows W*, of one that stays where it is."""


@each
def test_what_is_measured_is_what_full_matrices_say(name, engine, rule):
    case, found, exact = both(name, engine, rule)
    start, now = found.initial.observations, found.observe()
    series = measure.activation_drift(case.network, start, now) | measure.weight_drift(found)
    series |= measure.alignment(found) | measure.jacobian_drift(case.network, start, now)
    share = 10 * SHARE[engine]  # squares of what moves, and what is left of differences
    expected = reference.quantities(case.net, case.params, case.x, exact, case.shaped(found.delta))
    for quantity, plain in PER_LAYER.items():
        for layer, values in enumerate(expected[plain].T, start=1):
            ours, bound = series[layer, quantity]
            agree(ours, values, share, FLOOR, f"{quantity} of {layer}")
            assert not np.any(bound > 1e-6)
    hidden = [layer for layer, quantity in series if quantity == "activation-drift"]
    if case.is_recurrent:  # W_i and W_h meet in one preactivation
        agree(series[2, "activation-drift"][0], series[1, "activation-drift"][0], 0.0, 0.0)
    assert len(hidden) == case.network.depth - 1
    zero = reference.jacobian(case.net, case.params, case.x)
    whole = max(np.linalg.norm(zero, 2, axis=(1, 2)))
    true, of_rule = (
        np.array([np.linalg.norm(j - zero, 2, axis=(1, 2)).max() for j in found])
        for found in jacobians(case, rule)
    )
    agree(series[None, "jacobian-drift"][0], true, share, FLOOR, "(21)")
    agree(series[None, "jacobian-drift-relative"][0], true / whole, share, FLOOR, "(21), relative")
    agree(series[None, "feedback-drift"][0], of_rule, share, FLOOR, "(22)")


@pytest.mark.parametrize("engine", ["dense", "spectral"])
@pytest.mark.parametrize("name", ["rnn", "cnn"])
def test_divergence_is_the_largest_over_points_and_steps(name, engine):
    case, normal, exact = both(name, engine, "normal")
    for rule in RULES:
        _, other, theirs = both(name, engine, rule)
        series = measure.divergence("divergence", normal, other, case.problem.initial.output)
        apart = reference.divergence(exact.f, theirs.f)
        agree(series[None, "divergence"][0], apart, SHARE[engine], 1e-7, rule)
        moved = reference.divergence(exact.f, case.net.forward(case.params, case.x).f)
        relative = series[None, "divergence-relative"][0]
        agree(relative, apart / moved, SHARE[engine], 1e-6, rule)


@pytest.mark.parametrize("name", CASES)
def test_the_frozen_change_is_w_star_of_the_flows_own_delta(name):
    case, found, _ = both(name, "spectral", "normal")
    for i, delta in enumerate(case.shaped(found.delta)):
        stars = reference.star(case.net, case.params, case.x, delta)
        for layer, star in enumerate(stars, start=1):
            b = found.frozen_change(layer)[i]
            agree(b.left @ b.right.T, reference.as_matrix(star), 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_rules_kernel_is_how_outputs_start_to_move(name):
    """ḟ = K e/P at time 0 for feedback alignment, whose kernel is not symmetric."""
    case, found, _ = both(name, "spectral", "fa")
    kernel = found.solution.panels[0].base.kernel
    assert np.abs(kernel - kernel.T).max() > 0.05 * np.abs(kernel).max()
    fixed, count = case.fixed("fa"), len(kernel)
    theirs = reference.rule_jacobian(case.net, "fa", case.params, case.params, case.x, fixed)
    true = reference.jacobian(case.net, case.params, case.x)
    agree(kernel, true.reshape(count, -1) @ theirs.reshape(count, -1).T, 1e-12)
    h = 0.02 * case.points / np.abs(np.linalg.eigvals(kernel)).max()
    f0 = case.problem.initial.output
    f = [f0, *(found.solution.at(k * h)[1] for k in range(1, 5))]
    weights = np.array([-25, 48, -36, 16, -3]) / 12
    slope = np.tensordot(weights, f, 1) / h
    agree(slope.ravel(), kernel @ (case.y - f0).ravel() / case.points, 1e-5)


@pytest.mark.parametrize("name", CASES)
def test_jacobians_are_measured_alike_in_whatever_form(name, monkeypatch):
    """As blocks, or by inner products of all places, a point at a time."""
    case, found, _ = both(name, "spectral", "fa")
    start, now = found.initial.observations, found.observe()
    at_once = measure.jacobian_drift(case.network, start, now)
    for cheaper in (True, False):
        monkeypatch.setattr(layerwise, "blocks_are_cheaper", lambda *_, it=cheaper: it)
        monkeypatch.setattr(layerwise, "HELD", 1)
        for quantity, (values, _) in measure.jacobian_drift(case.network, start, now).items():
            agree(values, at_once[quantity][0], 1e-12)


@pytest.mark.parametrize("name", ["rnn", "cnn"])
def test_weights_move_alike_in_whatever_form(name, monkeypatch):
    """As full matrices, which is cheaper for all of these networks, or by inner products."""
    case, found, _ = both(name, "spectral", "fa")
    monkeypatch.setattr(moving_weights, "CHEAPER", np.inf)
    options = FlowOptions("spectral", TOLERANCE["spectral"])
    other = gradient_flow(case.problem, found.rule, options)
    assert other.effort.steps == found.effort.steps
    agree(other.output, found.output, 1e-10)
    for layer in range(1, case.network.depth + 1):
        agree(other.weight_change(layer), found.weight_change(layer), 1e-10)
    now, before = other.observe(), found.observe()
    for one, same in zip(now.jacobian, before.jacobian, strict=True):
        agree(one, same, 1e-10)
