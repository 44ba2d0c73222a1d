"""The spectral engine against the dense one at 1e-12, and how it says that it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ntkalign.flow.operators.cached_products as products
import ntkalign.flow.operators.moving_weights as moving_weights
import ntkalign.flow.spectral.crossings as crossings
from ntkalign import InputError, Outcome, Rule, backpropagate, current_activity
from ntkalign.flow.dense import DenseFlow
from ntkalign.flow.spectral.spectral_flow import SpectralFlow
from ntkalign.quantities import theory as measure
from ntkalign.quantities.series import supremum
from ntkalign.rules import ALIGN_ADA, ALIGN_ZERO, LINEARISED, NORMAL, RULES, W_STAR
from tests.cases import SMOOTH, examples, make, solve

TOLERANCE = 1e-6


def flow(case, rule, engine, tolerance, times, **options):
    return solve(
        case.network, rule, case.start, case.x, case.y, times,
        engine=engine, tolerance=tolerance, key=jax.random.key(3), **options,
    )  # fmt: skip


def observed(flow):
    """Everything that is measured, as (values, bounds) by (layer, quantity)."""
    start, now = flow.initial.observations, flow.observe()
    series = measure.activation_drift(flow.network, start, now) | measure.weight_drift(flow)
    series |= measure.alignment(flow) | measure.jacobian_drift(flow.network, start, now)
    moved = np.linalg.norm(flow.output - np.asarray(flow.initial.first.output), axis=(1, 2))
    return series | {(None, "output"): (moved, 0 * moved)}


@pytest.mark.parametrize("rule", [NORMAL, ALIGN_ZERO, ALIGN_ADA], ids=lambda rule: rule.name)
def test_what_is_known_of_built_in_rules_is_what_their_functions_give(rule):
    """Feedback and activity of rules that the trace knows are not computed a second time."""
    case = make((4, 9, 8, 3), "tanh", bias_std=0.3)
    alike = Rule(
        "alike",
        lambda now, start, fixed, e: rule.feedback(now, start, fixed, e),
        lambda now, start: rule.activity(now, start),
    )
    known, found = (
        flow(case, each, "spectral", TOLERANCE, np.array([0.5, 2.0])).observe()
        for each in (rule, alike)
    )
    for one, other in zip(known, found, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@st.composite
def problems(draw):
    depth = draw(st.integers(2, 6))
    hidden = [draw(st.sampled_from((24, 40, 64))) for _ in range(depth - 1)]
    return make(
        (draw(st.sampled_from((3, 10))), *hidden, draw(st.sampled_from((1, 3)))),
        draw(st.sampled_from(SMOOTH)),
        points=draw(st.sampled_from((2, 5))),
        bias_std=draw(st.sampled_from((0.0, 0.5))),
        seed=draw(st.integers(0, 1000)),
    )


@pytest.mark.parametrize("large", [False, True])
@given(
    case=problems(),
    name=st.sampled_from(("normal", "align-ada", "align-prop", "fa")),
    final=st.sampled_from((0.5, 4.0, 20.0)),
)
@examples(4)
def test_it_agrees_with_the_dense_engine(large, case, name, final):
    """Within 10 × tolerance, and within ten times what it says itself; ``large`` matrices too."""
    rule, times = RULES[name], final * np.array([0.1, 0.4, 1.0])
    with pytest.MonkeyPatch.context() as patch:
        if large:
            patch.setattr(products, "DIRECT", 0)
            patch.setattr(products, "NARROW", 0)
        loose = flow(case, rule, "spectral", 30 * TOLERANCE, times)
        ours = flow(case, rule, "spectral", TOLERANCE, times, guess=loose)
        found, coarse = observed(ours), observed(loose)
    assert ours.outcome is Outcome.REACHED
    truth = observed(flow(case, rule, "dense", 1e-12, times))
    for name, (values, bounds) in found.items():
        exact = truth[name][0]
        error, size = np.abs(values - exact).max(), np.abs(exact).max()
        assert error <= 10 * TOLERANCE * size + truth[name][1].max() + 1e-10, name
        alike = {name: (values, bounds)}, {name: coarse[name]}
        estimate = supremum(*alike, ours.effort.estimate)[name][1]
        assert error <= 10 * (estimate + truth[name][1].max()) + 1e-11, name
    np.testing.assert_allclose(
        found[None, "output"][0], truth[None, "output"][0], rtol=10 * ours.effort.estimate
    )


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_runs_on_it(name):
    case, times = make((4, 40, 30, 2), bias_std=0.2), np.array([1.0, 8.0])
    ours, dense = (flow(case, RULES[name], e, 1e-8, times) for e in ("spectral", "dense"))
    assert isinstance(ours, SpectralFlow)
    np.testing.assert_allclose(ours.output, dense.output, atol=1e-6)
    np.testing.assert_allclose(ours.delta, dense.delta, atol=1e-6)
    for layer in (1, 2, 3):
        np.testing.assert_allclose(ours.weight_change(layer), dense.weight_change(layer), atol=1e-6)


def test_a_split_is_the_weight_change():
    """Singular values of A = B + W̃, from coordinates and in full; more than one panel."""
    case, times = make((4, 40, 30, 2)), np.array([1.0, 60.0])
    ours = flow(case, NORMAL, "spectral", 1e-8, times)
    assert ours.effort.panels > 1
    for layer in (1, 2, 3):
        for full, split in zip(ours.weight_change(layer), ours.splits(layer), strict=True):
            small = np.linalg.svd(split.frozen + split.discrepancy, compute_uv=False)
            whole = np.linalg.svd(full, compute_uv=False)
            count = min(len(small), len(whole), 5)
            np.testing.assert_allclose(small[:count], whole[:count], atol=1e-9)
            assert 0 <= split.residual < 1e-6


def test_many_points_for_the_width(monkeypatch):
    """Weight changes as matrices, and whole weights at a later panel's start, for large ones."""
    monkeypatch.setattr(products, "DIRECT", 0)
    monkeypatch.setattr(products, "NARROW", 4)
    monkeypatch.setattr(moving_weights, "MANY", 0)
    case, times = make((4, 40, 30, 2), points=9), np.array([1.0, 150.0])
    loose = flow(case, NORMAL, "spectral", 1e-4, times)
    ours = flow(case, NORMAL, "spectral", 1e-6, times, guess=loose)
    assert any(panel.base.whole and panel.base.whole[1] for panel in ours.solution.panels)
    names = [w[0] for f in (ours, loose) for p in f.solution.panels for w in p.base.whole if w]
    assert len(set(names)) == len(names)  # no two flows may mistake each other's products
    truth = observed(flow(case, NORMAL, "dense", 1e-12, times))
    for name, (values, bounds) in observed(ours).items():
        exact, bound = truth[name]
        error = np.abs(values - exact).max()
        allowed = 10 * (ours.effort.estimate * np.abs(exact).max() + bounds.max() + bound.max())
        assert error <= allowed + 1e-11, name
    stored = replace(ours.solution.panels[-1].base, whole=())  # what a file keeps of a start
    panels = (*ours.solution.panels[:-1], replace(ours.solution.panels[-1], base=stored))
    again = replace(ours, solution=replace(ours.solution, panels=panels)).observe()
    for one, same in zip(again.jacobian, ours.observe().jacobian, strict=True):
        np.testing.assert_allclose(one, same, atol=1e-6)


@pytest.mark.parametrize("final", [1.0, 30.0, 1000.0])
def test_short_and_long_times(final):
    """Against the dense engine; the slowest modes have not decayed at T = 1000."""
    case, times = make((6, 64, 64, 2), points=4), np.array([0.1, 1.0]) * final
    ours = flow(case, NORMAL, "spectral", 1e-6, times)
    assert ours.outcome is Outcome.REACHED
    dense = flow(case, NORMAL, "dense", 1e-9, times)
    np.testing.assert_allclose(ours.output, dense.output, atol=1e-5)


def test_a_stiff_spectrum_is_no_obstacle():
    """Inputs of very different sizes: relaxation rates over eight decades."""
    case = make((4, 48, 48, 1), points=4)
    x = case.x * jnp.array([1e-3, 0.1, 1.0, 10.0])[:, None]
    one = {e: solve(case.network, NORMAL, case.start, x, case.y, np.array([20.0]),
                            engine=e, tolerance=1e-8) for e in ("spectral", "dense")}  # fmt: skip
    assert one["spectral"].outcome is Outcome.REACHED
    np.testing.assert_allclose(one["spectral"].output, one["dense"].output, atol=1e-6)


def test_where_units_cannot_be_followed_the_dense_engine_takes_over(monkeypatch):
    monkeypatch.setattr(crossings, "near_kinks", lambda *given: np.array([], int))
    case, times = make((4, 12, 12, 2), "relu"), np.array([5.0])
    alone = flow(case, NORMAL, "spectral", 1e-6, times)
    assert alone.outcome is Outcome.NOT_CONVERGED
    assert alone.outcome.value.startswith("did not converge: the spectral engine's iteration")
    assert "choose the engine dense" in alone.outcome.value
    assert np.isnan(alone.output).all()
    chosen = flow(case, NORMAL, "auto", 1e-6, times)
    assert isinstance(chosen, DenseFlow)
    assert chosen.outcome is Outcome.REACHED
    assert str(chosen.effort).startswith("dense engine, ")


def centred(now, start, fixed, e):
    """A rule that mixes data points."""
    return backpropagate(now, now, e - jnp.mean(e, axis=0, keepdims=True))


def squared(now, start, fixed, e):
    """A rule that is not linear in the error."""
    return backpropagate(now, now, e * jnp.abs(e))


def signed(now, start, fixed, e):
    """A rule that needs all entries of the weights."""
    return backpropagate(tuple(jnp.sign(w) for w in now.weights), now, e)


@pytest.mark.parametrize("feedback", [centred, squared, signed])
def test_a_rule_that_it_cannot_run_is_told_apart(feedback):
    case, rule = make((4, 20, 20, 2)), Rule("mine", feedback, current_activity)
    alone = flow(case, rule, "spectral", 1e-6, np.array([1.0]))
    assert alone.outcome is Outcome.NOT_ROWWISE
    assert "the rule mixes data points, is not linear in the error, or uses" in alone.outcome.value
    assert isinstance(flow(case, rule, "auto", 1e-6, np.array([1.0])), DenseFlow)


def test_a_rule_that_multiplies_more_often_later_is_told_apart(monkeypatch):
    """It passes the first look, and then uses a weight twice."""
    monkeypatch.setattr(products, "DIRECT", 0)
    monkeypatch.setattr(products, "NARROW", 0)
    calls = []

    def fickle(now, start, fixed, e):
        calls.append(e)
        if len(calls) > 3:
            e @ now.weights[-1]
        return backpropagate(now, now, e)

    case, rule = make((4, 20, 20, 2)), Rule("mine", fickle, current_activity)
    assert flow(case, rule, "spectral", 1e-6, np.array([1.0])).outcome is Outcome.NOT_ROWWISE
    assert len(calls) > 3


def test_a_rule_of_ones_own_runs_on_it():
    def half(now, start, fixed, e):
        return tuple(0.5 * s for s in backpropagate(now, now, e))

    case, rule = make((4, 40, 30, 2)), Rule("half", half, current_activity)
    ours = flow(case, rule, "spectral", 1e-7, np.array([2.0, 6.0]))
    twice = flow(case, NORMAL, "spectral", 1e-7, np.array([1.0, 3.0]))
    np.testing.assert_allclose(ours.output, twice.output, atol=1e-5)


def test_a_guess_changes_the_work_and_not_the_result():
    case, times = make((4, 80, 80, 2)), np.array([5.0])
    alone = flow(case, NORMAL, "spectral", 1e-7, times)
    loose = flow(case, NORMAL, "spectral", 1e-5, times)
    helped = flow(case, NORMAL, "spectral", 1e-7, times, guess=loose)
    assert helped.effort.steps < alone.effort.steps
    np.testing.assert_allclose(helped.output, alone.output, atol=1e-6)
    other = flow(case, RULES["align-ada"], "spectral", 1e-7, times, guess=alone)
    np.testing.assert_allclose(
        other.output, flow(case, RULES["align-ada"], "spectral", 1e-7, times).output, atol=1e-6
    )


def test_the_account_of_a_flow_is_one_line():
    case = make((4, 40, 40, 2))
    ours = flow(case, NORMAL, "spectral", 1e-6, np.array([1.0]))
    assert str(ours.effort).startswith("spectral engine, ")
    assert "panel" in str(ours.effort)
    assert 0 < ours.effort.estimate < 3e-6


def test_w_star_and_the_linearised_network_share_a_frozen_start():
    case, times = make((4, 30, 30, 2)), np.array([2.0])
    for rule in (W_STAR, LINEARISED):
        ours = flow(case, rule, "spectral", 1e-7, times)
        for layer in (1, 2, 3):
            assert all(np.abs(s.discrepancy).max() < 1e-12 for s in ours.splits(layer))


def test_an_unknown_engine_is_refused():
    case = make((3, 5, 2))
    with pytest.raises(InputError, match=r"engine \(fast\) must be one of auto, spectral, dense"):
        flow(case, NORMAL, "fast", 1e-6, np.array([1.0]))


SHARDED = """
import sys
import numpy as np, jax, jax.numpy as jnp
import ntkalign.flow.operators.cached_products as products
from ntkalign import ACTIVATIONS, FlowOptions, FullyConnected, Problem, gradient_flow
from ntkalign.devices import shard
from ntkalign.rules import RULES

products.DIRECT = products.NARROW = 0
assert jax.device_count() == int(sys.argv[1])
network = FullyConnected((5, 64, 128, 64, 2), ACTIVATIONS["tanh"])
start = shard(network.initialise(jax.random.key(0), jnp.float32))
assert len(start[1].weight.sharding.device_set) == int(sys.argv[1])
rng = np.random.default_rng(0)
x, y = rng.standard_normal((4, 5)), rng.standard_normal((4, 2))
out = []
for name in ("normal", "fa"):
    problem = Problem.of(network, start, x, y, np.array([1.0, 5.0]))
    flow = gradient_flow(problem, RULES[name], FlowOptions("spectral", 1e-8))
    out += [flow.output.ravel(), flow.observe().jacobian[0].ravel()]
    out += [s.discrepancy.ravel() @ s.discrepancy.ravel() for s in flow.splits(2)]
np.save(sys.argv[2], np.concatenate([np.ravel(a) for a in out]))
"""


def test_weights_sharded_over_devices_give_the_same_numbers(tmp_path):
    """Several host devices against one, to 1e-12."""
    results = []
    for devices in (1, 4):
        flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
        path = tmp_path / f"{devices}.npy"
        subprocess.run(
            [sys.executable, "-c", SHARDED, str(devices), str(path)],
            env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
            check=True,
            timeout=300,
        )
        results.append(np.load(path))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-12, atol=1e-12)
