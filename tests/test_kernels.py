"""Kernels against neural-tangents, quadrature written out, matrix exponentials, and each other."""

from __future__ import annotations

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from ntkalign import InputError, Settings, gradient_flow
from ntkalign import measurements as measure
from ntkalign.activations import ACTIVATIONS, Activation, activation
from ntkalign.claims import KERNEL_CLAIMS, kernel_questions
from ntkalign.cli import main
from ntkalign.data import Data
from ntkalign.devices import devices, use
from ntkalign.kernels import jax_defaults, nt
from ntkalign.kernels.analytic import CLOSED_FORMS, limit
from ntkalign.kernels.checks import distance, held_out, kernel_suite, measure_kernels
from ntkalign.kernels.empirical import empirical
from ntkalign.kernels.limits import initial_outputs, predictions
from ntkalign.kernels.prediction import predicted_delta, predicted_outputs, spectrum
from ntkalign.networks import Family, Layer
from ntkalign.rules import ALIGN_ZERO, NORMAL, RULES
from ntkalign.testing import assert_rate
from ntkalign.trial import Cell, Trial
from tests.cases import cases, examples, make, needs_dense

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)


def expectation(function, covariance):
    """E[φ(u) φ(v)] for (u, v) ~ N(0, covariance), by a grid over two independent normals."""
    root = np.linalg.cholesky(covariance + 1e-14 * np.eye(2))
    first, second = np.meshgrid(NODES, NODES, indexing="ij")
    u, v = root[0, 0] * first, root[1, 0] * first + root[1, 1] * second
    mass = np.outer(WEIGHTS, WEIGHTS) / WEIGHTS.sum() ** 2
    values = [np.asarray(function(jnp.asarray(a))) for a in (u, v)]
    return float(np.sum(mass * values[0] * values[1]))


def entrywise(function, k):
    pairs = [[expectation(function, k[np.ix_([i, j], [i, j])]) for j in range(len(k))]
             for i in range(len(k))]  # fmt: skip
    return np.array(pairs)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"relu"}))  # a kink needs a finer grid
@pytest.mark.parametrize("bias_std", [0.0, 0.4])
def test_the_limit_is_its_equations(name, bias_std):
    sigma = activation(name)
    x = np.random.default_rng(0).standard_normal((3, 5))
    found = limit(Family(3, sigma, bias_std=bias_std), x)
    h0 = x @ x.T / 5
    k1 = h0 + bias_std**2
    h1 = entrywise(sigma.function, k1)
    k2 = h1 + bias_std**2
    h2 = entrywise(sigma.function, k2)
    slope1, slope2 = (entrywise(lambda z: sigma.value_and_slope(z)[1], k) for k in (k1, k2))
    close = {"rtol": 1e-5, "atol": 1e-7}
    for ours, plain in zip(found.features, (h0, h1, h2), strict=True):
        np.testing.assert_allclose(ours, plain, **close)
    for ours, plain in zip(found.forward, (k1, k2, h2 + bias_std**2), strict=True):
        np.testing.assert_allclose(ours, plain, **close)
    for ours, plain in zip(found.backward, (slope1 * slope2, slope2, 1.0), strict=True):
        np.testing.assert_allclose(ours, plain * np.ones((3, 3)), **close)
    theta = slope1 * slope2 * (h0 + 1) + slope2 * (h1 + 1) + h2 + 1
    np.testing.assert_allclose(found.ntk, theta, **close)
    assert (found.coarser is None) == (name in CLOSED_FORMS)
    if found.coarser is not None:
        assert 0 < distance(found.coarser.ntk, found.ntk) <= 1e-4


@given(st.integers(2, 5), st.sampled_from(sorted(CLOSED_FORMS)), st.sampled_from((0.0, 0.5)))
@examples(4)
def test_neural_tangents_own_composition_gives_the_same(depth, name, bias_std):
    """Its NTK has β² where ours has 1, layer by layer; without biases Σ Γ_l ⊙ H_{l−1} remains."""
    x = np.random.default_rng(depth).standard_normal((4, 3))
    stax = nt.stax
    layers = []
    for number in range(depth):
        layers.append(stax.Dense(1, 1.0, bias_std or None, parameterization="ntk"))
        if number < depth - 1:
            layers.append(getattr(stax, CLOSED_FORMS[name])())
    with jax_defaults():
        theirs = stax.serial(*layers)[2](jnp.asarray(x), None, ("nngp", "ntk"))
    ours = limit(Family(depth, activation(name), bias_std=bias_std), x)
    np.testing.assert_allclose(ours.nngp, theirs.nngp, rtol=1e-12, atol=1e-14)
    parts = zip(ours.backward, ours.features, strict=True)
    expected = sum(gamma * (h + bias_std**2) for gamma, h in parts)
    np.testing.assert_allclose(expected, theirs.ntk, rtol=1e-12, atol=1e-14)


def test_an_activation_of_ones_own_has_a_limit_with_an_error():
    x = np.random.default_rng(0).standard_normal((3, 4))
    mine = Activation("mine", lambda z: jnp.tanh(z))
    family = Family(2, activation("tanh"))
    np.testing.assert_allclose(
        limit(replace(family, activation=mine), x).ntk, limit(family, x).ntk, rtol=1e-12
    )


def test_the_error_of_quadrature_is_the_difference_that_fewer_nodes_make():
    settings = Settings(points=3, depth=2).checked()
    rng = np.random.default_rng(0)
    data = Data("trial", rng.standard_normal((5, 4)), rng.standard_normal((5, 2)))
    needs: dict[str, set[str]] = {}
    for q in kernel_questions(settings.family):
        needs.setdefault(q.rule, set()).add(q.claim.quantity)
    wanted = {rule: frozenset(quantities) for rule, quantities in needs.items()}

    def measured(kernels):
        rows = measure_kernels(settings, data, 1.0, Cell("main", 16, 0), wanted, limit=kernels)
        assert {row[-1] for row in rows} == {"ok"}
        return {(row[4], row[5]): (row[6], row[7]) for row in rows}

    fine, other = (replace(limit(settings.family, x), coarser=None) for x in (data.x, data.x + 0.1))
    of_fine, of_other = measured(fine), measured(other)
    both = measured(replace(fine, coarser=other))
    beyond = {"ntk-gap", "nngp-gap", "gamma-gap", "q-gap", "spectrum-gap", "flow-gap-analytic"}
    beyond.add("flow-gap-analytic-held-out")
    for name, (value, error) in both.items():
        apart = abs(of_other[name][0] - of_fine[name][0])
        assert value == of_fine[name][0]
        if name[1] in beyond:
            assert error >= 0.999 * apart > 1e-4 * value
        else:
            assert error == of_fine[name][1]
            assert apart == 0
    assert {quantity for _, quantity in both} >= beyond


def test_every_claim_has_a_control():
    asked = kernel_questions(Family(3, activation("tanh"), bottleneck=4))
    assert {q.claim for q in asked if q.control} == set(KERNEL_CLAIMS)
    assert {q.claim for q in asked if not q.control} == set(KERNEL_CLAIMS)


def stax_layers(case):
    """The network in neural-tangents' own words: b_std = 1 makes its biases those of (1)."""
    layers = []
    for width in case.widths[1:]:
        layers.append(nt.stax.Dense(width, 1.0, 1.0, parameterization="ntk"))
        layers.append(nt.stax.Elementwise(case.network.activation.function))
    return layers[:-1]


@given(cases(), st.sampled_from((2, 3, 100)))
@examples(4)
def test_the_empirical_kernel_is_neural_tangents(case, batch):
    network, start = case.network, case.start
    other = jnp.asarray(np.random.default_rng(1).standard_normal((3, case.widths[0])))
    ours = empirical(network, start, case.x, other, batch=batch)

    draw, apply, _ = nt.stax.serial(*stax_layers(case))
    with jax_defaults():
        _, empty = draw(jax.random.key(0), case.x.shape)
        layers = iter(start)  # the network is theirs too: only its parameters are ours
        copied = [
            (np.asarray(layer.weight).T, np.asarray(layer.bias).reshape(p[1].shape))
            for p, layer in ((p, next(layers)) for p in empty if p)
        ]
        filled = iter(copied)
        parameters = [next(filled) if p else p for p in empty]
        np.testing.assert_allclose(
            network.forward(start, case.x).output, apply(parameters, case.x), atol=1e-12
        )
        theirs = nt.empirical_ntk_fn(apply, trace_axes=())(case.x, other, parameters)
    theirs = np.asarray(theirs)
    np.testing.assert_allclose(ours.ntk, theirs, rtol=1e-10, atol=1e-10 * np.abs(theirs).max())
    alone = empirical(network, start, case.x, batch=batch).ntk  # half of it mirrored
    twice = empirical(network, start, case.x, case.x, batch=batch).ntk
    np.testing.assert_allclose(alone, twice, rtol=1e-12, atol=1e-12)
    # a planted fault: the last layer without its 1/√m
    wrong = [Layer(start[-1].weight * np.sqrt(start[-1].weight.shape[1]), start[-1].bias)]
    planted = empirical(network, (*start[:-1], *wrong), case.x, other).ntk
    if start[-1].weight.shape[1] > 1:
        assert np.abs(planted - theirs).max() > 1e-6 * np.abs(theirs).max()


def gap(width, seed, network=None):
    """‖Θ^0 − Θ^∞‖/‖Θ^∞‖ of a network, or of one of another kind than its width says."""
    family = Family(3, activation("erf"), bottleneck=3 if network == "bottleneck" else None)
    x = np.random.default_rng(0).standard_normal((3, 4))
    member = family.network(width, 4, 1)
    start = member.initialise(jax.random.fold_in(jax.random.key(seed), width))
    if network == "no 1/√m":
        start = (*start[:-1], Layer(start[-1].weight * np.sqrt(width), start[-1].bias))
    exact = limit(family, x).ntk
    found = empirical(member, start, x).ntk[:, :, 0, 0]
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def test_the_empirical_kernel_tends_to_the_limit_and_a_wrong_one_does_not():
    settings = {"widths": (16, 64, 256, 1024), "seeds": 24}
    assert_rate(gap, -0.5, rate="exactly", **settings)
    few = {"widths": (16, 64, 256), "seeds": 6}
    for wrong in ("bottleneck", "no 1/√m"):
        with pytest.raises(AssertionError, match=r"is (refuted|undecided)"):
            assert_rate(lambda m, s, wrong=wrong: gap(m, s, wrong), -0.5, **few)


def test_predictions_are_matrix_exponentials():
    rng = np.random.default_rng(0)
    points, everything, outputs = 4, 6, 2
    factor = rng.standard_normal((everything * outputs, 20))
    flat = factor @ factor.T / 20
    kernel = flat.reshape(everything, outputs, everything, outputs).transpose(0, 2, 1, 3)
    y, f0 = rng.standard_normal((points, outputs)), rng.standard_normal((everything, outputs))
    times = np.array([0.3, 2.0, 30.0])
    found = predicted_outputs(kernel, y, f0, times)
    delta = predicted_delta(kernel[:points, :points], y - f0[:points], times)
    train = flat[: points * outputs, : points * outputs]
    e0 = (y - f0[:points]).ravel()
    for i, t in enumerate(times):
        e = expm(-t * train / points) @ e0
        np.testing.assert_allclose(found[i, :points].ravel(), y.ravel() - e, atol=1e-9)
        expected = np.linalg.solve(train / points, e0 - e)  # ∫ e dτ
        np.testing.assert_allclose(delta[i].ravel(), expected, atol=1e-8)
        moved = flat[:, : points * outputs] @ delta[i].ravel() / points
        np.testing.assert_allclose(found[i].ravel(), f0.ravel() + moved, atol=1e-8)


@needs_dense
@given(cases(), st.sampled_from((0.5, 4.0)))
@examples(3)
def test_the_linearised_network_is_the_closed_form_under_its_kernel(case, time):
    times = np.array([time / 4, time])
    options = {"engine": "dense", "tolerance": 1e-9}
    rule = RULES["linearised"]
    flow = gradient_flow(case.network, rule, case.start, case.x, case.y, times, **options)
    kernel, initial = empirical(case.network, case.start, case.x).ntk, flow.origin.first.output
    predicted = predicted_outputs(kernel, case.y, np.asarray(initial), times)
    np.testing.assert_allclose(flow.output, predicted, atol=1e-6)
    delta = predicted_delta(kernel, np.asarray(case.y - initial), times)
    np.testing.assert_allclose(flow.delta, delta, atol=1e-6)


@needs_dense
@pytest.mark.parametrize("engine", ["spectral", "dense"])
def test_held_out_points_are_looked_at_and_not_learnt(engine):
    case, times = make((4, 30, 20, 2), points=5, bias_std=0.2), np.array([1.0, 6.0])
    options = {"engine": engine, "tolerance": 1e-9}
    for rule in (NORMAL, ALIGN_ZERO):
        together = gradient_flow(
            case.network, held_out(rule, 3, 5), case.start, case.x, case.y, times, **options
        )
        alone = gradient_flow(
            case.network, rule, case.start, case.x[:3], case.y[:3], times,
            engine="dense", tolerance=1e-10,
        )  # fmt: skip
        np.testing.assert_allclose(together.output[:, :3], alone.output, atol=1e-7)
        for i in range(len(times)):
            moved = tuple(
                Layer(w + dw[i], b + db[i])
                for (w, b), (dw, db) in zip(case.start, alone.change, strict=True)
            )
            seen = case.network.forward(moved, case.x).output
            np.testing.assert_allclose(together.output[i], seen, atol=1e-7)


def test_the_spectrum_is_that_of_sigma():
    case, times = make((4, 30, 20, 2), points=3), np.array([2.0])
    flow = gradient_flow(case.network, NORMAL, case.start, case.x, case.y, times, tolerance=1e-8)
    kernels = empirical(case.network, case.start, case.x)
    norms = measure.alignment(flow)
    for layer in (1, 2, 3):
        values = spectrum(kernels.features[layer - 1], kernels.backward[layer - 1], flow.delta[0])
        expected = norms[layer, "sigma-norm"][0][0] * np.sqrt(case.widths[layer - 1])
        np.testing.assert_allclose(values[0], expected, rtol=1e-6)
        assert (np.diff(values) <= 1e-12).all()


def test_the_command_leaves_a_report_that_can_be_rebuilt(tmp_path, capsys):
    flags = ["--points", "3", "--outputs", "2", "--depth", "2", "--widths", "8,16,32", "--seeds",
             "2", "--time", "1", "--held-out", "2", "--out", str(tmp_path)]  # fmt: skip
    assert main(["kernels", *flags]) == 0
    assert "kernels/flow-analytic/held-out" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["config"]["held_out"] == 2
    assert {c["id"] for c in report["controls"]} <= {c["id"] for c in report["claims"]}
    assert all(c["error_share"] < 0.01 for c in report["claims"])
    assert main(["report", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "report.json").read_text()) == report


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(InputError, match=r"held_out \(0\) must be at least 1; got 0; because"):
        kernel_suite(0)
    suite = kernel_suite(2)
    with pytest.raises(InputError, match=r"output_exponent \(-0.5\) must be 0; got another"):
        suite.ask(Settings(output_exponent=-0.5).checked(), ())


def test_predictions_are_what_wide_networks_do():
    """One seed, outputs shared: outputs, losses and norms of width 2048 against the limit."""
    settings = Settings(widths=(256, 1024, 2048), points=4, seeds=2, depth=3).checked()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 6))
    data = Data("trial", x, rng.standard_normal((4, 2)))
    kernels = limit(settings.family, x)
    expected = predictions(replace(settings, seeds=1), data, 3.0)
    trial = Trial.of(settings, data, 3.0, Cell("main", 2048, 0))
    f0 = np.asarray(trial.origin.first.output)
    np.testing.assert_allclose(initial_outputs(settings, kernels, 0, 2), f0, atol=0.15)
    flow, _ = trial.run(NORMAL)
    loss = np.array([np.sum((data.y - f) ** 2) / 8 for f in flow.output])
    apart = np.abs(expected.loss / loss - 1).max()
    assert apart < 0.2
    found = measure.alignment(flow) | measure.weight_drift(flow)
    for (quantity, layer), curve in expected.values.items():
        assert len(curve) == 3
        np.testing.assert_allclose(found[layer, quantity][0].max(), curve[-1], rtol=0.2)
    # the control: a limit without initial outputs is another one
    zero = predictions(replace(settings, seeds=1, initial_outputs="zero"), data, 3.0)
    assert np.abs(zero.loss / loss - 1).max() > 3 * apart


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_a_device_can_be_chosen(device):
    use(device)
    assert devices()[0].platform == "cpu"


def test_a_device_that_is_not_there_is_refused():
    if jax.default_backend() == "cpu":
        with pytest.raises(InputError, match=r"device \(gpu\) must be one that JAX has; got only"):
            use("gpu")
    with pytest.raises(InputError, match=r"device \(tpux\) must be one of auto, cpu, gpu"):
        use("tpux")
