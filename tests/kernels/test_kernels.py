"""Kernels against neural-tangents, quadrature written out, matrix exponentials, and each other."""

from __future__ import annotations

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from ntkalign import InputError, Settings, gradient_flow
from ntkalign.cells.cell import Cell
from ntkalign.cells.flow import Trial
from ntkalign.cells.infinite_width import outputs_at_0, predictions
from ntkalign.cells.kernels import distance
from ntkalign.data.catalogue import Data
from ntkalign.kernels import jax_defaults, nt
from ntkalign.kernels.analytic import CLOSED_FORMS, limit
from ntkalign.kernels.empirical import empirical
from ntkalign.kernels.prediction import predicted_delta, predicted_outputs, spectrum
from ntkalign.networks.activations import ACTIVATIONS, Activation, activation
from ntkalign.networks.fully_connected import Family, Layer
from ntkalign.quantities import theory as measure
from ntkalign.report.terminal import warnings
from ntkalign.rules import NORMAL
from ntkalign.runs.suite import THEORY
from ntkalign.runs.sweep import specify
from ntkalign.runs.verify import verify
from ntkalign.testing import assert_rate
from tests.cases import cases, examples, make

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
    for wrong in ("bottleneck", "no 1/√m"):
        with pytest.raises(AssertionError, match="is refuted"):
            assert_rate(lambda m, s, wrong=wrong: gap(m, s, wrong), -0.5, **settings)


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


def test_predictions_are_what_wide_networks_do():
    """One seed, outputs shared: outputs, losses and norms of width 2048 against the limit."""
    settings = Settings(
        widths=(256, 1024, 2048),
        points=4,
        seeds=2,
        depth=3,
        bias_std=0.5,
        multipliers=(1, 2),
        time=3.0,
    )
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 6))
    data = Data("trial", x, rng.standard_normal((4, 2)))
    kernels = limit(settings.family, x)
    options = {"widths": settings.widths, "seeds": [0]}
    expected = predictions(settings.family, data, 3.0, **options, initial_outputs="shared")
    trial = Trial.of(specify(settings, "theory", data, Cell("main", 2048, 0)))
    f0 = np.asarray(trial.origin.first.output)
    at_0 = outputs_at_0(settings.family, kernels, 0, 2, "shared")
    np.testing.assert_allclose(at_0, f0, atol=0.15)
    flow, _ = trial.run(NORMAL)
    loss = np.array([np.sum((data.y - f) ** 2) / 8 for f in flow.output])
    apart = np.abs(expected.loss / loss - 1).max()
    assert apart < 0.2
    found = measure.alignment(flow) | measure.weight_drift(flow)
    for (quantity, layer), curve in expected.values.items():
        assert len(curve) == 3
        np.testing.assert_allclose(found[layer, quantity][0].max(), curve[-1], rtol=0.2)
    # the control: a limit without initial outputs is another one
    zero = predictions(settings.family, data, 3.0, **options, initial_outputs="zero")
    assert np.abs(zero.loss / loss - 1).max() > 3 * apart


def test_an_activation_without_a_limit_is_refused_by_kernels_and_not_by_verify():
    steep = Activation("steep", lambda z: jnp.exp(z**2))
    x = 3 * np.random.default_rng(0).standard_normal((3, 4))
    message = r"activation \(steep\) must have finite Gaussian moments"
    with pytest.raises(InputError, match=message):
        limit(Family(2, steep), x)

    def predict(settings, data, time):
        limit(replace(settings.family, activation=steep), x)

    settings = Settings("sphere", widths=(4, 8, 16), seeds=2, points=3, depth=2, time=1.0)
    suite = replace(THEORY, predict=predict)
    result = verify(settings, claims=["lemma-1/weights"], suite=suite)
    assert result.limit_loss is None
    (line,) = warnings(result)
    assert re.match(f"no infinite-width prediction: {message}", line)
    assert all(f.limit is None for f in result.findings)
