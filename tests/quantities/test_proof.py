"""Both sides of every step of the proofs, against full matrices and Jacobians by parameters."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from ntkalign import InputError, Outcome
from ntkalign.networks.activations import ACTIVATIONS, Activation
from ntkalign.quantities import proof, proof_errata, proof_gronwall
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.proof_catalogue import INEQUALITIES, OF_THE_PROOF, Standing
from ntkalign.quantities.proof_time import Integral, proof_times
from ntkalign.quantities.series import supremum
from ntkalign.rules import ALIGN_ADA, ALIGN_PROP, ALIGN_ZERO, FEEDBACK_ALIGNMENT, NORMAL
from tests import reference
from tests.cases import make, solve
from tests.quantities.test_theory import at, observe

TIMES = np.array(proof_times(2.0, 0.4))
SHAPE = (3, 6, 5, 2)
SOME = (0, 9, 31)
"""Of the saved times those that are compared."""


@cache
def flows(rule, engine="dense", scale=1.0):
    case = make(SHAPE, "softplus", seed=4, bias_std=0.3, output_scale=scale)
    flow = solve(
        case.network, rule, case.start, case.x, case.y, TIMES,
        tolerance=1e-9, key=jax.random.key(17), engine=engine,
    )  # fmt: skip
    assert flow.outcome is Outcome.REACHED
    return case, flow


def seen(rule=NORMAL, engine="dense"):
    _, flow = flows(rule, engine)
    _, normal = flows(NORMAL, engine)
    return Observed(flow, {"normal": normal})


def errors(case, z):
    return [y - u[-1] for y, u in zip(np.asarray(case.y), z, strict=True)]


def norm(matrix):
    return np.linalg.norm(matrix, 2)


def c_of_softplus():
    return 1.0


def star(case, h0, g0, delta, layer):
    """W*_l − W_l^0, (13)."""
    points = zip(g0, delta, h0, strict=True)
    total = sum(np.outer(g[layer] @ d, h[layer - 1]) for g, d, h in points)
    return total / len(h0) / np.sqrt(len(h0[0][layer - 1]))


@pytest.mark.parametrize("i", SOME)
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_the_lines_of_41_are_the_equations(i, layer):
    case, flow = flows(NORMAL)
    lines = proof.lines_of_41(flow, flow.initial.observations, flow.observations, layer)
    (z0, h0, g0), (z, h, g) = observe(case, case.plain), observe(case, at(case, flow, i))
    e, points, m = errors(case, z), range(len(z)), SHAPE[layer - 1]
    drift = [h[p][layer - 1] - h0[p][layer - 1] for p in points]
    turn = [g[p][layer] - g0[p][layer] for p in points]
    whole = [g[p][layer] for p in points]
    before = [h0[p][layer - 1] for p in points]
    moved = [np.outer(whole[p] @ e[p], drift[p]) / np.sqrt(m) for p in points]
    turned = [np.outer(turn[p] @ e[p], before[p]) / np.sqrt(m) for p in points]
    velocity = np.mean([a + b for a, b in zip(moved, turned, strict=True)], axis=0)  # (40)
    first = np.mean([norm(a) + norm(b) for a, b in zip(moved, turned, strict=True)])
    second = np.mean(
        [
            (norm(whole[p]) * np.linalg.norm(drift[p]) + norm(turn[p]) * np.linalg.norm(before[p]))
            * np.linalg.norm(e[p]) / np.sqrt(m)
            for p in points
        ]
    )  # fmt: skip
    most = max(np.linalg.norm(a) for a in e)
    dz = [0.0 if layer == 1 else np.linalg.norm(z[p][layer - 1] - z0[p][layer - 1]) for p in points]
    third = (
        c_of_softplus() * max(map(norm, whole)) * most * np.mean(dz) / np.sqrt(m),
        np.mean([norm(t) for t in turn]) * most * max(map(np.linalg.norm, before)) / np.sqrt(m),
    )
    dense = lines.velocity.left[i] @ lines.velocity.right[i].T
    np.testing.assert_allclose(dense, velocity, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(lines.norm.value[i], norm(velocity), rtol=1e-8)
    np.testing.assert_allclose(lines.first.value[i], first, rtol=1e-8)
    np.testing.assert_allclose(lines.second.value[i], second, rtol=1e-8)
    np.testing.assert_allclose([t.value[i] for t in lines.third], third, rtol=2e-6, atol=1e-12)


@cache
def chain(width, tolerance):
    case = make((4, width, width, 2), "tanh", seed=5, points=6)
    flow = solve(
        case.network, NORMAL, case.start, case.x, case.y, TIMES,
        tolerance=tolerance, engine="spectral",
    )  # fmt: skip
    assert flow.outcome is Outcome.REACHED
    return supremum(proof.measure_chain(Observed(flow)), {}, flow.effort.estimate)


@pytest.mark.parametrize("width", [64, 1024])
@pytest.mark.parametrize("tolerance", [1e-5, 1e-6])
def test_differences_from_time_0_state_the_error_of_what_they_are_differences_of(width, tolerance):
    exact, found = chain(width, 1e-9), chain(width, tolerance)
    for (layer, name), (value, error) in found.items():
        if name.startswith("41") and layer < 3:
            true = abs(value - exact[layer, name][0])
            assert true <= error, (layer, name, true / error)


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_42_to_44_are_the_equations_with_full_matrices(layer):
    case, flow = flows(NORMAL)
    series = proof.measure_chain(seen()) | proof.measure_false_chain(seen())
    series |= proof.measure_integral(seen())
    _, h0, g0 = observe(case, case.plain)
    root = np.sqrt(SHAPE[layer - 1])
    for i in SOME[1:]:
        a = np.asarray(flow.change[layer - 1].weight[i])
        b = star(case, h0, g0, flow.delta[i], layer)
        w = a - b
        sigma = reference.sigma_over_m(g0, h0, flow.delta[i], layer)
        np.testing.assert_allclose(sigma, (a - w).T @ (a - w), atol=1e-12)  # (43)
        gap = norm(sigma - a.T @ a) / root
        right = (2 * norm(a) * norm(w) + norm(w.T @ w)) / root
        once = (norm(a) * norm(w) + norm(w.T @ w)) / root
        for name, expected in {
            "44-left": gap, "44-right": right, "44-share": gap / right,
            "44-printed-right": 2 * norm(a) * norm(w) / root, "44-without-2-right": once,
            "44-without-first-term-right": norm(w.T @ w) / root,
            "sigma-printed": gap * root / norm(sigma),
        }.items():  # fmt: skip
            np.testing.assert_allclose(series[layer, name][0][i], expected, rtol=2e-6, err_msg=name)
        np.testing.assert_allclose(series[layer, "42-left"][0][i], norm(w), rtol=1e-6)
    for name in ("velocity-identity", "sigma-identity"):
        values, bounds = series[layer, name]
        assert (values <= bounds + 1e-7).all()
        assert values.max() < 1e-6


@pytest.mark.parametrize("rule", [ALIGN_ZERO, ALIGN_ADA, ALIGN_PROP, FEEDBACK_ALIGNMENT])
def test_the_sides_of_49_are_the_equations_with_jacobians_by_parameters(rule):
    case, flow = flows(rule)
    _, normal = flows(NORMAL)
    moments = (list(proof_gronwall.moments(f, f.observations)) for f in (normal, flow))
    pairs = list(zip(*moments, strict=True))
    sigma0 = observe(case, case.plain)
    for i in (-1, *SOME):  # −1 is time 0
        own, other = (case.plain if i < 0 else at(case, f, i) for f in (normal, flow))
        (z, h, g), (z_, h_, g_) = observe(case, own), observe(case, other)
        e, e_ = errors(case, z), errors(case, z_)
        used_g, used_h = used_by(rule, case, flow, other, sigma0, (z_, h_, g_))
        points = range(len(e))
        nabla = [reference.full_jacobian(g[p], h[p]) for p in points]
        nabla_ = [reference.full_jacobian(g_[p], h_[p]) for p in points]
        j = [reference.full_jacobian(used_g[p], used_h[p]) for p in points]

        def mean(jacobians, vectors, points=points):
            return np.mean([jacobians[p] @ vectors[p] for p in points], axis=0)

        apart = [b - a for a, b in zip(e, e_, strict=True)]  # f − f_*
        d1 = [b - a for a, b in zip(nabla, nabla_, strict=True)]
        d2 = [b - a for a, b in zip(nabla, j, strict=True)]
        moves = np.array([
            [nabla_[p].T @ mean(j, e_) for p in points],
            [nabla[p].T @ mean(nabla, e) for p in points],
        ])  # fmt: skip
        terms = np.array([
            [d1[p].T @ mean(j, e) for p in points], [nabla[p].T @ mean(d2, e) for p in points],
            [nabla_[p].T @ mean(j, apart) for p in points],
        ])  # fmt: skip
        found = proof_gronwall.sides_at(case.network, *pairs[i + 1])
        close = {"rtol": 1e-7, "atol": 1e-9}
        np.testing.assert_allclose(found.moves, moves, **close)
        np.testing.assert_allclose(found.velocity, moves[0] - moves[1], **close)
        np.testing.assert_allclose(found.velocity, terms.sum(axis=0), **close)
        sizes = np.linalg.norm(terms, axis=2)
        np.testing.assert_allclose(
            found.terms, [*sizes.max(axis=1), sizes.sum(axis=0).max()], **close
        )
        np.testing.assert_allclose(found.difference, -np.array(apart), **close)
        np.testing.assert_allclose(found.jacobian, max(map(norm, nabla)), **close)
        np.testing.assert_allclose(found.delta_1, max(map(norm, d1)), **close)
        np.testing.assert_allclose(found.delta_2, max(map(norm, d2)), **close)
        np.testing.assert_allclose(found.error, max(map(np.linalg.norm, e)), **close)


def used_by(rule, case, flow, parameters, start, now):
    """Feedback and activities of a rule, point by point, as its definition says."""
    (_, h0, g0), (z, h, _) = start, now
    if rule is ALIGN_ZERO:
        return g0, h0
    if rule is ALIGN_ADA:
        return g0, h
    slope = jax.vmap(jax.grad(case.network.activation.function))
    through = case.plain
    if rule is FEEDBACK_ALIGNMENT:
        fixed = flow.problem.constants(rule)
        through = [(np.asarray(w, float), b) for w, (_, b) in zip(fixed, case.plain, strict=True)]
    return [reference.jacobians(through, slope, u) for u in z], h


@pytest.mark.parametrize("engine", ["dense", "spectral"])
def test_true_steps_hold_and_false_ones_are_contradicted(engine):
    series = {("normal", *k): v for k, v in whole(seen(engine=engine), proof).items()}
    for rule in (ALIGN_ZERO, ALIGN_ADA, ALIGN_PROP):
        found = proof_gronwall.measure_gronwall(seen(rule, engine))
        series |= {(rule.name, *k): v for k, v in found.items()}
    assert {name for _, _, name in series} == {q.name for q in OF_THE_PROOF}
    for step in INEQUALITIES:
        shares = {k: v for k, v in series.items() if k[2] == step.share}
        layers = {layer for _, layer, _ in shares}
        assert layers == set(step.layers.of(3))
        largest = max(values.max() for values, _ in shares.values())
        if step.standing is Standing.TRUE:
            assert largest <= 1 + 1e-9, step.name
        if step.standing is Standing.FALSE:
            assert largest > 1.01, step.name
    for (_, _, name), (values, bounds) in series.items():
        assert np.isfinite(values).all(), name
        assert (bounds >= 0).all(), name
        if name.endswith("-identity"):
            assert values.max() <= max(bounds.max(), 1e-7), name


def whole(observed, module):
    found = {}
    for measure in ("chain", "false_chain", "integral", "lemma"):
        found |= getattr(module, f"measure_{measure}")(observed)
    return found


def test_the_parts_of_gronwalls_argument_are_52_to_55():
    observed = seen(ALIGN_ADA)
    series = proof_gronwall.measure_gronwall(observed)
    normal, flow = observed.references["normal"], observed.flow
    sides = [
        proof_gronwall.sides_at(flow.network, a, b)
        for a, b in zip(
            proof_gronwall.moments(normal, normal.observations),
            proof_gronwall.moments(flow, flow.observations), strict=True,
        )
    ]  # fmt: skip
    nodes = np.concatenate([[0.0], TIMES])

    def integrated(values):  # by another rule, on a fine grid between the nodes
        dense = np.linspace(0.0, TIMES[-1], 20001)
        return np.trapezoid(CubicSpline(nodes, values)(dense), dense)

    j, d1, d2, e = (np.array([getattr(s, n) for s in sides])
                    for n in ("jacobian", "delta_1", "delta_2", "error"))  # fmt: skip
    u = np.array([np.linalg.norm(s.difference, axis=1).max() for s in sides])
    alpha = integrated(d1 * (j + d2) * e + j * d2 * e)
    beta = (j + d1) * (j + d2)
    for name, expected in {
        "alpha": alpha, "gronwall-exponent": integrated(beta), "54-left": u[-1],
        "54-right": alpha + integrated(beta * u), "50-printed-right": alpha + beta[-1] * u[-1],
        "54-without-alpha-right": integrated(beta * u), "55-without-exp-right": alpha,
        "55-right": alpha * np.exp(integrated(beta)),
    }.items():  # fmt: skip
        value, error = series[None, name]
        np.testing.assert_allclose(value[-1], expected, rtol=2e-3, err_msg=name)
        assert np.broadcast_to(error, value.shape)[-1] < 0.05 * value[-1]


def test_lemma_factors_are_what_they_say():
    case, flow = flows(NORMAL)
    series = proof.measure_lemma(seen())
    z0, _, _ = observe(case, case.plain)
    total = 0.0
    for layer in (1, 2, 3):
        w = norm(np.asarray(flow.change[layer - 1].weight[-1])) / np.sqrt(SHAPE[layer - 1])
        total += w
        spent = w * np.sqrt(SHAPE[layer - 1]) / series[layer, "weight-factor"][0][-1]
        if layer == 1:
            first, one = w, spent
        np.testing.assert_allclose(spent, one, rtol=1e-9)
    z, _, _ = observe(case, at(case, flow, -1))
    for layer in (1, 2):
        a = np.sqrt(
            np.mean([np.mean((p[layer] - q[layer]) ** 2) for p, q in zip(z, z0, strict=True)])
        )
        total += a
        found = series[layer, "activation-factor"][0][-1]
        np.testing.assert_allclose(found, a * np.sqrt(SHAPE[layer]) / one, rtol=1e-7)
    np.testing.assert_allclose(series[None, "lemma-sum"][0][-1], total, rtol=1e-7)
    np.testing.assert_allclose(series[None, "lemma-sum-above"][0][-1], total - first, rtol=1e-7)
    errors_ = [max(map(np.linalg.norm, errors(case, observe(case, at(case, flow, i))[0])))
               for i in range(0, 32, 4)]  # fmt: skip
    assert min(errors_) * TIMES[-1] < one < 1.5 * max(errors_) * TIMES[-1]


def test_the_rate_stands_where_outputs_are_scaled():
    """With f = α z_N and η = 1/α², (40) at time 0⁺ and (47) have the factor η."""
    _, flow = flows(NORMAL, "dense", 0.5)
    series = proof_gronwall.measure_gronwall(
        Observed(flows(ALIGN_ZERO, "dense", 0.5)[1], {"normal": flow})
    )
    values, bounds = series[None, "output-identity"]
    assert values[0] <= max(bounds[0], 1e-7)
    found = proof.measure_integral(Observed(flow))
    for layer in (1, 2, 3):
        assert found[layer, "velocity-identity"][0][0] < 1e-6


# --- integrals ------------------------------------------------------------------------------


@pytest.mark.parametrize("time", [0.5, 8.1, 3000.0])
def test_integrals_of_relaxation_are_exact_and_know_it(time):
    times = np.array(proof_times(time, 0.37))
    assert len(times) == 32
    assert times[-1] == time
    t = np.concatenate([[0.0], times])
    values, errors_ = Integral.of(times)(np.exp(-t / 0.4) + 0.1 * np.exp(-t / 50))
    exact = 0.4 * (1 - np.exp(-t / 0.4)) + 5 * (1 - np.exp(-t / 50))
    np.testing.assert_allclose(values, exact, rtol=1e-6, atol=1e-9)
    assert (np.abs(values - exact) <= errors_ + 1e-12).all()


def test_the_error_of_an_integral_covers_a_kink():
    times = np.array(proof_times(2.0, 0.4))
    t = np.concatenate([[0.0], times])
    for kink in np.linspace(0.1, 1.9, 19):
        values, errors_ = Integral.of(times)(np.abs(t - kink))
        exact = (kink**2 + (2.0 - kink) ** 2) / 2
        assert abs(values[-1] - exact) <= 3 * errors_[-1] + 1e-4
        assert errors_[-1] < 0.02 * exact


@pytest.mark.parametrize("times", [np.linspace(0.1, 2, 32), np.array([1.0]), TIMES[:-1]])
def test_other_times_are_refused(times):
    with pytest.raises(InputError, match=r"times .* must be nodes of a quadrature rule"):
        Integral.of(times)


# --- small things ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_the_slope_bound_is_one(name):
    activation = ACTIVATIONS[name]
    c = proof.slope_bound(activation)
    z = jnp.asarray(np.random.default_rng(0).normal(0, 5, 4000))
    assert np.abs(activation.value_and_slope(z)[1]).max() <= c
    expected = {"tanh": 1.0, "sin": 1.0, "erf": 2 / np.sqrt(np.pi), "relu": 1.0}.get(name)
    if expected is not None:
        np.testing.assert_allclose(c, expected, rtol=2e-6)
    steep = Activation("steep", lambda u: u**2)
    np.testing.assert_allclose(proof.slope_bound(steep, 50.0), 100.0, rtol=1e-5)


def test_a_right_side_of_nothing_is_contradicted_and_of_too_much_is_not():
    n = np.ones(3)
    nothing = proof.compare("x", 1, proof.Side(n), proof.Side(0 * n))
    assert nothing[1, "x-share"][0].min() == proof.WRONG
    both = proof.compare("x", 1, proof.Side(0 * n), proof.Side(0 * n))
    assert both[1, "x-share"][0].max() == 0
    assert np.isnan(both[1, "x-looseness"][0]).all()
    huge = proof.compare("x", None, proof.Side(n, 0.1 * n), proof.Side(1e300 * n, 1e299 * n))
    assert all(np.isfinite(v).all() and np.isfinite(e).all() for v, e in huge.values())
    value, error = proof.compare("x", None, proof.Side(n, 0.1 * n), proof.Side(2 * n, 0.2 * n))[
        None, "x-share"
    ]
    np.testing.assert_allclose((value[0], error[0]), (0.5, 0.1), rtol=1e-9)


def test_the_errata_are_errors():
    right, printed = proof_errata.error_of_29()
    assert right < 1e-8
    assert printed > 0.5
    falls, rises = proof_errata.loss_rates()
    assert falls < -0.1
    np.testing.assert_allclose(rises, -falls, rtol=1e-6)
    scaled, unscaled = proof_errata.growth_of_61()
    assert abs(scaled) < 0.05
    assert abs(unscaled - 0.5) < 0.05
