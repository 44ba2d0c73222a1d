"""Kernels against neural-tangents, matrix exponentials, networks, and each other."""

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

from ntkalign import InputError, Settings
from ntkalign.cells.cell import Cell
from ntkalign.cells.flow import Trial
from ntkalign.cells.infinite_width import Sweep, outputs_at_0, predictions
from ntkalign.data.catalogue import Data
from ntkalign.kernels import jax_defaults, nt
from ntkalign.kernels.analytic import infinite_width_kernels
from ntkalign.kernels.empirical import empirical
from ntkalign.kernels.prediction import predicted_delta, predicted_outputs, spectrum
from ntkalign.kernels.training_time import choose_time, saved_times
from ntkalign.networks.activations import Activation
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.family import Family
from ntkalign.networks.layers import Layer
from ntkalign.quantities import theory as measure
from ntkalign.report.terminal import warnings
from ntkalign.rules import NORMAL
from ntkalign.runs.suite import THEORY
from ntkalign.runs.sweep import specify
from ntkalign.runs.verify import verify
from ntkalign.testing import assert_rate
from tests.cases import cases, examples, make, solve


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
    alone = empirical(network, start, case.x, batch=batch)  # half of it mirrored
    twice = empirical(network, start, case.x, case.x, batch=batch)
    for one, two in zip(jax.tree.leaves(alone), jax.tree.leaves(twice), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12)
    # a planted fault: the last layer without its 1/√m
    wrong = [Layer(start[-1].weight * np.sqrt(start[-1].weight.shape[1]), start[-1].bias)]
    planted = empirical(network, (*start[:-1], *wrong), case.x, other).ntk
    if start[-1].weight.shape[1] > 1:
        assert np.abs(planted - theirs).max() > 1e-6 * np.abs(theirs).max()


def gap(width, seed, network=None):
    """‖Θ^0 − Θ^∞‖/‖Θ^∞‖ of a network, or of one of another kind than its width says."""
    family = Family(3, activation("erf"), bottleneck=3 if network == "bottleneck" else None)
    x = np.random.default_rng(0).standard_normal((3, 4))
    member = family.network(width, (4,), 1)
    start = member.initialise(jax.random.fold_in(jax.random.key(seed), width))
    if network == "no 1/√m":
        start = (*start[:-1], Layer(start[-1].weight * np.sqrt(width), start[-1].bias))
    exact = infinite_width_kernels(family, x).ntk
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
    flow = solve(case.network, NORMAL, case.start, case.x, case.y, times, tolerance=1e-8)
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
    kernels = infinite_width_kernels(settings.family, x)
    sweep = Sweep(data, saved_times(3.0), settings.widths, [0], "shared")
    expected = predictions(settings.family, sweep)
    trial = Trial.of(specify(settings, "theory", data, Cell("main", 2048, 0)))
    f0 = np.asarray(trial.problem.initial.first.output)
    at_0 = outputs_at_0(settings.bias_std, kernels.features[-1], 0, 2, "shared")
    np.testing.assert_allclose(at_0, f0, atol=0.15)
    flow, _ = trial.pair(NORMAL)
    loss = np.array([np.sum((data.y - f) ** 2) / 8 for f in flow.output])
    apart = np.abs(expected.loss / loss - 1).max()
    assert apart < 0.2
    found = measure.alignment(flow) | measure.weight_drift(flow)
    for (quantity, layer), curve in expected.values.items():
        assert len(curve) == 3
        np.testing.assert_allclose(found[layer, quantity][0].max(), curve[-1], rtol=0.2)
    # the control: a limit without initial outputs is another one
    zero = predictions(settings.family, replace(sweep, initial_outputs="zero"))
    assert np.abs(zero.loss / loss - 1).max() > 3 * apart


def test_an_activation_without_a_limit_is_refused_by_kernels_and_not_by_verify():
    steep = Activation("steep", lambda z: jnp.exp(z**2))
    x = 3 * np.random.default_rng(0).standard_normal((3, 4))
    message = r"activation \(steep\) must have finite Gaussian moments"
    with pytest.raises(InputError, match=message):
        infinite_width_kernels(Family(2, steep), x)

    def predict(settings, data, time):
        infinite_width_kernels(replace(settings.family, activation=steep), x)

    settings = Settings("sphere", widths=(4, 8, 16), seeds=2, points=3, depth=2, time=1.0)
    suite = replace(THEORY, predict=predict)
    result = verify(settings, claims=["lemma-1/weights"], suite=suite)
    assert result.limit_loss is None
    (line,) = warnings(result)
    assert re.match(f"no infinite-width prediction: {message}", line)
    assert all(f.limit is None for f in result.findings)


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_of_no_points_is_refused(batch):
    case = make((3, 4, 2))
    with pytest.raises(InputError, match=rf"batch \({batch}\) must be at least 1; got {batch}"):
        empirical(case.network, case.start, case.x, batch=batch)


def test_no_time_is_chosen_from_a_network_that_is_not_finite():
    family = Family(2, Activation("nowhere", lambda z: z * jnp.nan))
    data = Data("trial", np.eye(3), np.eye(3))
    with pytest.raises(InputError, match=r"activation \(nowhere\) must have finite values and"):
        choose_time(family, data)
