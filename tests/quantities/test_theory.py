"""Every measured quantity against the equations with matrices of full size."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import Outcome
from ntkalign.flow.trajectory import SplitChange
from ntkalign.quantities import theory as measure
from ntkalign.quantities.catalogue import EXPANSION
from ntkalign.quantities.measuring import expansion, groups_of, measure_groups
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.series import supremum
from ntkalign.rules import (
    ALIGN_ADA,
    ALIGN_PROP,
    ALIGN_ZERO,
    FEEDBACK_ALIGNMENT,
    LAST_LAYER,
    LINEARISED,
    NORMAL,
)
from tests import reference
from tests.cases import examples, make, solve

TIMES = np.array([0.5, 2.0])
SHAPES = st.sampled_from(((3, 6, 2), (4, 5, 7, 1), (3, 4, 6, 5, 2)))


def run(case, rule=NORMAL, tolerance=1e-9, engine="dense"):
    key = jax.random.key(17)
    flow = solve(
        case.network, rule, case.start, case.x, case.y, TIMES,
        tolerance=tolerance, key=key, engine=engine,
    )  # fmt: skip
    assert flow.outcome is Outcome.REACHED
    return flow, flow.initial.observations


def at(case, flow, i):
    """The parameters at saved time i, as plain pairs."""
    return [
        (np.asarray(p.weight) + np.asarray(d.weight[i]), np.asarray(p.bias) + np.asarray(d.bias[i]))
        for p, d in zip(case.start, flow.change, strict=True)
    ]


def observe(case, parameters):
    """z, h and feedback Jacobians of every point, by plain loops."""
    sigma = case.network.activation.function
    slope = jax.vmap(jax.grad(sigma))
    runs = [reference.forward(parameters, sigma, x) for x in np.asarray(case.x)]
    return (
        [z for z, _ in runs],
        [h for _, h in runs],
        [reference.jacobians(parameters, slope, z) for z, _ in runs],
    )


@given(SHAPES, st.sampled_from(("tanh", "softplus")), st.integers(0, 50))
@examples(4)
def test_everything_about_normal_training_is_the_equations(shape, name, seed):
    case = make(shape, name, seed=seed, bias_std=0.3)
    flow, start = run(case)
    now = flow.observe()
    series = measure.activation_drift(flow.network, start, now) | measure.weight_drift(flow)
    series |= measure.jacobian_drift(flow.network, start, now) | measure.alignment(flow)
    z0, h0, g0 = observe(case, case.plain)
    depth, points = case.network.depth, len(case.x)
    for i in range(len(TIMES)):
        z, h, g = observe(case, at(case, flow, i))

        def check(name, expected, layer=None, i=i):
            value, bound = (part[i] for part in series[layer, name])
            assert bound <= 1e-6 * max(abs(value), 1e-3)
            assert abs(value - expected) <= bound + 1e-9 * max(abs(expected), 1e-6), name

        for layer in range(1, depth):  # (19)
            changes = [np.sum((z[p][layer] - z0[p][layer]) ** 2) for p in range(points)]
            check("activation-drift", np.sqrt(np.mean(changes) / shape[layer]), layer)
            sizes = [np.sum(z0[p][layer] ** 2) for p in range(points)]
            share = np.sqrt(np.mean(changes) / np.mean(sizes))
            check("activation-drift-relative", share, layer)
        drift = max(  # (21)
            np.linalg.norm(
                reference.full_jacobian(g[p], h[p]) - reference.full_jacobian(g0[p], h0[p]), 2
            )
            for p in range(points)
        )
        check("jacobian-drift", drift)
        whole = max(np.linalg.norm(reference.full_jacobian(g0[p], h0[p]), 2) for p in range(points))
        check("jacobian-drift-relative", drift / whole)
        check("feedback-drift", drift)
        for layer in range(1, depth + 1):
            a = np.asarray(flow.change[layer - 1].weight[i])
            scale = np.sqrt(shape[layer - 1])
            delta = a.T @ a  # (2)
            sigma = reference.sigma_over_m(g0, h0, np.asarray(flow.delta[i]), layer)  # (3)
            b = sum(  # (13) integrated
                np.outer(g0[p][layer] @ np.asarray(flow.delta[i, p]), h0[p][layer - 1])
                for p in range(points)
            )
            b = b / points / scale
            np.testing.assert_allclose(sigma, b.T @ b, atol=1e-12)  # (12), (43)
            check("weight-drift", np.linalg.norm(a, 2) / scale, layer)  # (20)
            check("discrepancy", np.linalg.norm(a - b, 2), layer)  # (42)
            gap = np.linalg.norm(sigma - delta, 2)
            check("alignment-gap", gap / scale, layer)  # (8)
            check("alignment-gap-relative", gap / np.linalg.norm(delta, 2), layer)
            check("delta-norm", np.linalg.norm(delta, 2) / scale, layer)  # App. A
            check("sigma-norm", np.linalg.norm(sigma, 2) / scale, layer)
            check("misalignment", 1 - reference.alignment_score(delta, sigma), layer)  # (9)


def test_the_expansion_parameter_is_the_largest_share_that_anything_moves_by():
    flow, start = run(make((3, 5, 4, 2)))
    now = flow.observe()
    series = measure.activation_drift(flow.network, start, now) | measure.jacobian_drift(
        flow.network, start, now
    )
    shares = [series[1, "activation-drift-relative"], series[2, "activation-drift-relative"]]
    shares += [series[None, "jacobian-drift-relative"]]
    expected = np.max([values for values, _ in shares], axis=0)
    np.testing.assert_array_equal(expansion(Observed(flow)), expected)


def test_the_expansion_parameter_is_of_what_was_measured():
    flow, _ = run(make((3, 5, 4, 2)))
    seen, fresh = Observed(flow), Observed(flow)
    measure_groups(groups_of(EXPANSION), seen, fresh)
    seen._kept.clear()
    np.testing.assert_array_equal(expansion(seen), expansion(fresh))
    assert not seen._kept  # nothing was observed again


@pytest.mark.parametrize("shape", [(3, 5, 2), (4, 5, 6, 2)])
def test_feedback_drift_is_that_of_each_rules_own_jacobian(shape):
    """(22): J is Align-ada's frozen feedback with current activities, and so on."""
    case = make(shape, bias_std=0.3)
    _, h0, g0 = observe(case, case.plain)
    slope = jax.vmap(jax.grad(case.network.activation.function))
    for rule in (ALIGN_ZERO, ALIGN_ADA, ALIGN_PROP):
        flow, start = run(case, rule)
        z, h, _ = observe(case, at(case, flow, 1))
        j = {
            "align-zero": (g0, h0),
            "align-ada": (g0, h),
            "align-prop": ([reference.jacobians(case.plain, slope, z_i) for z_i in z], h),
        }[rule.name]
        expected = max(
            np.linalg.norm(reference.full_jacobian(g, a) - reference.full_jacobian(g_0, a_0), 2)
            for g, a, g_0, a_0 in zip(*j, g0, h0, strict=True)
        )
        values, _ = measure.jacobian_drift(flow.network, start, flow.observe())[
            None, "feedback-drift"
        ]
        np.testing.assert_allclose(values[1], expected, atol=1e-9)


def test_a_trace_among_other_rules_is_the_same():
    case = make((3, 5, 4, 2))
    flow, _ = run(case, FEEDBACK_ALIGNMENT)
    among = dataclasses.replace(flow, among=(NORMAL, FEEDBACK_ALIGNMENT)).observe()
    alone = flow.observe()
    for one, other in zip(alone, among, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-13)


def test_divergence_is_the_largest_distance_over_points():
    case = make((3, 5, 4, 2))
    (normal, start), (other, _) = run(case), run(case, LAST_LAYER)
    output0 = start.preactivations[-1][0]
    series = measure.divergence("divergence", normal, other, output0)
    f, g = np.asarray(normal.output), np.asarray(other.output)
    for i in range(2):
        by_point = [np.sqrt(np.sum((f[i, p] - g[i, p]) ** 2)) for p in range(4)]
        moved = max(np.sqrt(np.sum((f[i, p] - output0[p]) ** 2)) for p in range(4))
        np.testing.assert_allclose(series[None, "divergence"][0][i], max(by_point))
        np.testing.assert_allclose(series[None, "divergence-relative"][0][i], max(by_point) / moved)


def test_the_score_ignores_scale_and_rotations_of_the_units_above():
    rng = np.random.default_rng(0)
    frozen = rng.standard_normal((9, 3)) @ rng.standard_normal((3, 7))
    change = frozen + 0.3 * rng.standard_normal((9, 7))
    rotation, _ = np.linalg.qr(rng.standard_normal((9, 9)))

    def misalignment(change):
        return measure.align(SplitChange(frozen, change - frozen, 0.0), 7**-0.5)["misalignment"][0]

    assert 0.001 < misalignment(change) < 0.9
    for other in (5 * change, -change, rotation @ change):
        np.testing.assert_allclose(misalignment(other), misalignment(change))
    assert misalignment(frozen) < 1e-12


def test_the_sampled_score_agrees_with_the_exact_one_and_its_standard_error_is_honest():
    case = make((5, 40, 30, 2), seed=2)
    flow, _ = run(case)
    drawn = [measure.sampled_score(flow, 2, samples=100, seed=seed) for seed in range(200)]
    exact, sampled, error = np.array(drawn).T
    a = np.asarray(flow.change[1].weight[-1])
    b = flow.frozen_change(2)[-1]
    b = b.left @ b.right.T
    np.testing.assert_allclose(exact, reference.alignment_score(a.T @ a, b.T @ b))
    assert abs(np.mean(sampled - exact)) < 4 * np.std(sampled) / np.sqrt(200)
    assert 0.8 < np.std(sampled) / np.sqrt(np.mean(error**2)) < 1.25


def test_the_sampled_score_of_another_flow_is_told_apart():
    """The control: a sampled score must disagree with an exact score that is not its own."""
    case = make((5, 40, 30, 2), seed=2)
    flow, _ = run(case)
    other = run(case, LAST_LAYER)[0]  # its hidden layers do not move; score layer 3 instead
    exact = measure.sampled_score(flow, 2, samples=100, seed=0)[0]
    _, sampled, error = measure.sampled_score(other, 3, samples=100, seed=0)
    assert abs(sampled - exact) > 4 * error


def test_rounding_alone_gives_zero_feedback_drift_for_align_zero():
    flow, start = run(make((3, 5, 4, 2)), ALIGN_ZERO)
    values, bounds = measure.jacobian_drift(flow.network, start, flow.observe())[
        None, "feedback-drift"
    ]
    assert max(values.max(), bounds.max()) < 1e-12


def test_the_supremum_takes_the_error_from_a_looser_flow():
    fine = {(1, "q"): (np.array([1.0, 3.0, 2.0]), np.array([0.0, 0.1, 0.2]))}
    coarse = {(1, "q"): (np.array([1.0, 3.5, 2.0]), np.zeros(3))}
    assert supremum(fine, coarse) == {(1, "q"): (3.0, pytest.approx(0.7))}


def test_the_linearised_flow_and_its_parameters_agree():
    """f_lin is linear in the parameters: f⁰ + Jᵀ(θ − θ⁰), from an explicit Jacobian."""
    case = make((3, 5, 4, 2), bias_std=0.2)
    flow, _ = run(case, LINEARISED)
    jacobian = jax.jacrev(lambda p: case.network.forward(p, case.x).output)(case.start)
    f0 = case.network.forward(case.start, case.x).output
    terms = jax.tree.map(
        lambda j, d: jnp.tensordot(j, d[-1], axes=d.ndim - 1), jacobian, flow.change
    )
    np.testing.assert_allclose(flow.output[-1], f0 + sum(jax.tree.leaves(terms)), atol=1e-12)
