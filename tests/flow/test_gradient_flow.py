"""Both engines against closed forms, identities and themselves at a tighter tolerance."""

from __future__ import annotations

import dataclasses

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from ntkalign import (
    FlowOptions,
    InputError,
    Outcome,
    Problem,
    Rule,
    backpropagate,
    current_activity,
)
from ntkalign.flow.dense import _outcome
from ntkalign.flow.initial_state import InitialState
from ntkalign.kernels.empirical import empirical, rule_kernel
from ntkalign.kernels.prediction import predicted_delta, predicted_outputs
from ntkalign.networks.layers import Layer
from ntkalign.rules import (
    ALIGN_ZERO,
    FEEDBACK_ALIGNMENT,
    LAST_LAYER,
    LINEARISED,
    NORMAL,
    RULES,
    W_STAR,
)
from tests.cases import cases, examples, make, solve

TIMES = np.array([0.5, 1.0, 2.0])


def run(case, rule=NORMAL, tolerance=1e-9, times=TIMES, engine="dense", **options):
    flow = solve(
        case.network, rule, case.start, case.x, case.y, times,
        tolerance=tolerance, engine=engine, **options,
    )  # fmt: skip
    assert flow.outcome is Outcome.REACHED
    return flow


def theta_of(case):
    """Θ at time 0, as the spectral engine has it."""
    initial = InitialState.of(case.network, case.start, case.x)
    return rule_kernel(case.network, initial.factors, initial.factors)


@pytest.mark.parametrize("engine", ["dense", "spectral"])
@given(case=cases(max_depth=3, widths=(1, 3, 6)))
@examples(5)
def test_the_linearised_flow_is_the_closed_form(engine, case):
    """f_lin(t) = y + exp(−η Θ t/P) (f⁰ − y), written out and by neural-tangents."""
    kernel = theta_of(case)
    theta = empirical(case.network, case.start, case.x).ntk
    flat = theta.transpose(0, 2, 1, 3).reshape(kernel.shape)
    np.testing.assert_allclose(flat, kernel, atol=1e-12 * np.abs(kernel).max())
    f0 = np.asarray(case.network.forward(case.start, case.x).output)
    flow = run(case, LINEARISED, engine=engine)
    for t, f in zip(TIMES, flow.output, strict=True):
        error = expm(-kernel * t / len(f0)) @ (np.asarray(case.y) - f0).ravel()
        np.testing.assert_allclose(np.asarray(case.y - f).ravel(), error, atol=1e-7)
    theirs = predicted_outputs(theta, case.y, f0, TIMES)
    np.testing.assert_allclose(flow.output, theirs, atol=1e-7)
    delta = predicted_delta(theta, np.asarray(case.y) - f0, TIMES)
    np.testing.assert_allclose(flow.delta, delta, atol=1e-7 * (1 + np.abs(delta).max()))


def test_a_diffrax_that_is_too_old_is_refused(monkeypatch):
    monkeypatch.delattr("diffrax.ClipStepSizeController")
    with pytest.raises(InputError, match=r"diffrax \(.*\) must be 0.6.2 or later; got .*; because"):
        run(make((3, 4, 2)), NORMAL, engine="dense")


def test_the_empirical_kernel_is_the_product_of_jacobians():
    case = make((3, 5, 4, 2), bias_std=0.3)
    jacobian = jax.jacrev(lambda p: case.network.forward(p, case.x).output)(case.start)
    flat = np.concatenate([np.asarray(a).reshape(8, -1) for a in jax.tree.leaves(jacobian)], axis=1)
    kernel = theta_of(case)
    np.testing.assert_allclose(kernel, flat @ flat.T, atol=1e-12)


def test_a_deep_linear_network_conserves_what_it_must():
    """For σ = identity, √m_l-scaled W_{l+1}ᵀW_{l+1} − W_l W_lᵀ − b_l b_lᵀ is conserved."""
    case = make((4, 5, 6, 2), "linear", bias_std=0.4)

    def invariants(parameters):
        w = [np.asarray(layer.weight) for layer in parameters]
        b = [np.asarray(layer.bias) for layer in parameters]
        return [
            w[l + 1].T @ w[l + 1] - w[l] @ w[l].T - np.outer(b[l], b[l]) for l in range(len(w) - 1)
        ]

    flow = run(case)
    end = jax.tree.map(lambda p, d: p + d[-1], case.start, flow.change)
    assert max(np.abs(c.weight[-1]).max() for c in flow.change) > 0.1
    for before, after in zip(invariants(case.start), invariants(end), strict=True):
        np.testing.assert_allclose(before, after, atol=1e-7)


@given(cases(max_depth=3, widths=(1, 3, 6)))
@examples(5)
def test_gradient_flow_lowers_the_loss(case):
    """dL/dt = −‖∇L‖² < 0, at every saved time."""
    flow = run(case)
    y, f0 = np.asarray(case.y), np.asarray(case.network.forward(case.start, case.x).output)
    losses = 0.5 * np.mean(np.sum((y - np.asarray(flow.output)) ** 2, axis=-1), axis=-1)
    loss0 = 0.5 * np.mean(np.sum((y - f0) ** 2, axis=-1))
    assert np.all(np.diff([loss0, *losses]) < 1e-9)
    assert losses[-1] < loss0


def test_w_star_is_the_integrated_error_of_gradient_descent():
    """(13) integrated on its own against (12)'s closed form from δ of the Normal flow."""
    case = make((3, 7, 6, 2), bias_std=0.2)
    normal, star = run(case), run(case, W_STAR)
    for layer in (1, 2, 3):
        for change, b in zip(
            star.change[layer - 1].weight, normal.frozen_change(layer), strict=True
        ):
            np.testing.assert_allclose(change, b.left @ b.right.T, atol=1e-7)
    np.testing.assert_allclose(star.delta, normal.delta, atol=1e-7)


def test_align_zero_is_frozen_along_its_own_error():
    case = make((3, 7, 6, 2))
    flow = run(case, ALIGN_ZERO)
    for layer in (1, 2, 3):
        b = flow.frozen_change(layer)[-1]
        np.testing.assert_allclose(flow.change[layer - 1].weight[-1], b.left @ b.right.T, atol=1e-8)


def test_delta_is_the_integral_of_the_error():
    case = make((3, 5, 2))
    times = np.linspace(0, 1, 201)[1:]
    flow = run(case, times=times)
    f0 = case.network.forward(case.start, case.x).output
    errors = np.asarray(case.y) - np.concatenate([np.asarray(f0)[None], flow.output])
    integral = np.trapezoid(errors, dx=times[0], axis=0)
    np.testing.assert_allclose(flow.delta[-1], integral, atol=1e-4)


def test_rotating_outputs_rotates_the_flow():
    case = make((3, 6, 5, 2), bias_std=0.2)
    c, s = np.cos(0.7), np.sin(0.7)
    q = jnp.array([[c, -s], [s, c]])
    *below, last = case.start
    turned = (*below, Layer(q @ last.weight, q @ last.bias))
    there = solve(
        case.network, NORMAL, turned, case.x, case.y @ q.T, TIMES, tolerance=1e-9, engine="dense"
    )
    np.testing.assert_allclose(there.output, run(case).output @ q.T, atol=1e-7)


@given(cases(max_depth=3, widths=(1, 3, 6)), st.sampled_from(sorted(RULES)))
@examples(6)
def test_a_looser_companion_bounds_the_error(case, name):
    """The error estimate (a 30 times looser flow) is not below the true error."""
    rule, key = RULES[name], jax.random.key(5)
    truth = run(case, rule, 1e-11, key=key)
    fine, coarse = (run(case, rule, tol, key=key) for tol in (1e-6, 3e-5))
    error = np.abs(fine.output - truth.output).max()
    assert error <= np.abs(fine.output - coarse.output).max() + 1e-10
    assert error < 1e-4


def test_compiling_rules_together_changes_nothing():
    case = make((3, 5, 4, 2))
    key = jax.random.key(3)
    among = (NORMAL, ALIGN_ZERO, FEEDBACK_ALIGNMENT)
    for rule in among:
        alone, together = run(case, rule, key=key), run(case, rule, key=key, among=among)
        np.testing.assert_allclose(alone.output, together.output, atol=1e-13)


def test_a_rules_constants_never_repeat_the_initial_weights():
    """With one key for both, feedback alignment would silently become Align-prop."""
    key = jax.random.key(0)
    case = make((3, 60, 50, 2), seed=0)
    flow = run(case, FEEDBACK_ALIGNMENT, key=key, times=np.array([0.01]))
    pair = np.ravel(case.start[1].weight), np.ravel(flow.problem.constants(FEEDBACK_ALIGNMENT)[1])
    assert abs(np.corrcoef(*pair)[0, 1]) < 4 / np.sqrt(3000)


def ascent(now, start, fixed, e):
    return tuple(-30.0 * s for s in backpropagate(now, now, e))


def ascent_of_the_last_layer(now, start, fixed, e):
    return tuple(-30.0 * s for s in LAST_LAYER.feedback(now, start, fixed, e))


@pytest.mark.parametrize(
    ("feedback", "outcome", "words"),
    [
        (ascent, Outcome.STEP_TOO_SMALL, "diverged: the step size fell below 1e-10"),
        (ascent_of_the_last_layer, Outcome.GREW, "diverged: the integrated error grew past 10000"),
    ],
)
def test_a_flow_that_diverges_says_so(feedback, outcome, words):
    """In finite time (all layers), or exponentially (the last alone)."""
    case = make((3, 5, 4, 2), "linear")
    rule = Rule("ascent", feedback, current_activity)
    flow = solve(case.network, rule, case.start, case.x, case.y, np.array([50.0]), engine="dense")
    assert flow.outcome is outcome
    assert words in flow.outcome.value
    assert "shorten the time" in flow.outcome.value
    assert flow.effort.steps < 20_000


def test_values_that_are_not_finite_are_never_called_a_flow():
    outcome = _outcome(diffrax.RESULTS.successful, finite=False)
    assert outcome is Outcome.NOT_FINITE
    assert outcome.value.startswith("diverged: values stopped being finite before the final time")


def test_a_flow_that_runs_out_of_steps_says_so():
    case = make((3, 5, 2))
    flow = solve(
        case.network, NORMAL, case.start, case.x, case.y, TIMES, max_steps=3, engine="dense"
    )
    assert flow.outcome is Outcome.TOO_MANY_STEPS
    assert "did not reach the final time" in flow.outcome.value


@pytest.mark.parametrize("times", [[1.0, 0.5], [0.0, 1.0], []])
def test_times_must_increase_from_above_zero(times):
    case = make((3, 5, 2))
    with pytest.raises(InputError, match=r"times .* must be positive and increasing; got an array"):
        solve(case.network, NORMAL, case.start, case.x, case.y, np.array(times))


def test_the_tolerance_must_be_a_share():
    case = make((3, 5, 2))
    with pytest.raises(InputError, match=r"tolerance \(0\.0\) must be between 0 and 1; got 0\.0"):
        solve(case.network, NORMAL, case.start, case.x, case.y, TIMES, tolerance=0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_steps": 0}, r"max_steps \(0\) must be at least 1"),
        ({"tolerance": 1.0}, r"tolerance \(1\.0\) must be between 0 and 1"),
        ({"tolerance": float("nan")}, r"tolerance \(nan\) must be between 0 and 1"),
        ({"engine": "Dense"}, r"engine \(Dense\) must be one of auto, spectral, dense"),
    ],
)
def test_options_are_checked_where_they_enter(options, message):
    with pytest.raises(InputError, match=message):
        FlowOptions(**options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.ones((4, 5))}, r"x \(of shape \(4, 5\)\) must be points of shape \(3,\)"),
        ({"x": np.full((4, 3), np.nan)}, r"x \(of shape \(4, 3\)\) must be finite; got NaN"),
        ({"y": np.full((4, 2), np.inf)}, r"y \(of shape \(4, 2\)\) must be finite; got NaN"),
        ({"y": np.ones((4, 3))}, r"y \(4,3\) must have the shape \(4, 2\)"),
    ],
)
def test_data_that_are_not_the_networks_are_refused(change, message):
    case = make((3, 5, 2))
    given = {"x": np.asarray(case.x), "y": np.asarray(case.y)} | change
    with pytest.raises(InputError, match=message):
        Problem.of(case.network, case.start, given["x"], given["y"], TIMES)


def test_a_guess_of_another_problem_is_refused():
    one, wider, fewer = make((3, 5, 2)), make((3, 6, 2)), make((3, 5, 2), points=3)
    for other in (wider, fewer):
        guess = run(other, engine="spectral")
        with pytest.raises(InputError, match=r"guess .* must be a flow of the same architecture"):
            run(one, engine="spectral", guess=guess)


def test_another_key_draws_other_constants():
    case = make((3, 5, 4, 2))
    problem = Problem.of(case.network, case.start, case.x, case.y, TIMES, jax.random.key(1))
    first = problem.constants(FEEDBACK_ALIGNMENT)[0]
    other = dataclasses.replace(problem, key=jax.random.key(2)).constants(FEEDBACK_ALIGNMENT)[0]
    assert np.abs(np.asarray(first) - np.asarray(other)).max() > 0.1
