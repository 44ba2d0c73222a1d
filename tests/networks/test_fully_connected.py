"""Networks and activations against the equations, and against automatic differentiation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

import ntkalign
from ntkalign import InputError
from ntkalign.flow.initial_state import InitialState
from ntkalign.networks.activations import ACTIVATIONS, Activation
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.fully_connected import FullyConnected
from ntkalign.networks.randomness import normal_matrices
from ntkalign.precision import float64
from tests import reference
from tests.cases import cases, make


@given(cases())
def test_forward_is_equation_1(case):
    out = case.network.forward(case.start, case.x)
    for i, x in enumerate(np.asarray(case.x)):
        z, h = reference.forward(case.plain, case.network.activation.function, x)
        for layer in range(1, case.network.depth + 1):
            np.testing.assert_allclose(out.preactivations[layer - 1][i], z[layer], atol=1e-12)
            np.testing.assert_allclose(out.activities[layer - 1][i], h[layer - 1], atol=1e-12)


@given(cases())
def test_feedback_jacobian_is_the_derivative_of_the_output_by_each_bias(case):
    trace = InitialState.of(case.network, case.start, case.x).observations
    automatic = jax.jacrev(lambda p: case.network.forward(p, case.x).output)(case.start)
    for ours, layer in zip(trace.jacobian, automatic, strict=True):  # ∂f/∂b_l = ∇_{z_l} f
        np.testing.assert_allclose(ours[0], jnp.moveaxis(layer.bias, 1, 0), atol=1e-12)


def test_output_scale_multiplies_the_output_and_keeps_the_kernel():
    plain, scaled = make((3, 5, 2)), make((3, 5, 2), output_scale=0.25)
    one, other = (c.network.forward(c.start, c.x) for c in (plain, scaled))
    np.testing.assert_allclose(other.output, 0.25 * one.output)
    g, h = (
        InitialState.of(c.network, c.start, c.x).observations.jacobian[0] for c in (plain, scaled)
    )
    np.testing.assert_allclose(np.sqrt(scaled.network.rate) * h, g)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_know_whether_their_derivatives_are_bounded(name):
    """On a fine grid, away from and at the kink: σ″ by differences of σ′."""
    sigma = activation(name)
    z = jnp.linspace(-30.0, 30.0, 600_001)
    slope = np.asarray(sigma.value_and_slope(z)[1])
    curvature = np.abs(np.diff(slope)) / 1e-4
    assert (np.abs(slope).max() < 2) == sigma.bounded_first
    assert (curvature.max() < 2) == sigma.bounded_second
    exact = jax.vmap(jax.grad(sigma.function))(z[::1000])
    np.testing.assert_allclose(slope[::1000], exact, atol=1e-12)


def test_an_activation_of_ones_own_is_outside_the_assumptions_until_declared():
    def cubic(z):
        return z**3

    assert activation(cubic).name == "cubic"
    assert not activation(cubic).meets_assumptions
    declared = Activation("sine", jnp.sin, bounded_first=True, bounded_second=True)
    assert activation(declared).meets_assumptions


def test_an_unknown_activation_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match=r"activation \(tnah\) must be one of tanh, .* 'tanh'"):
        activation("tnah")


def test_initial_weights_are_standard_normal_and_layers_independent():
    first, second = normal_matrices(jax.random.key(0), [(200, 300), (300, 200)])
    assert abs(float(first.mean())) < 4 / np.sqrt(6e4)
    assert abs(float(first.std()) - 1) < 4 / np.sqrt(1.2e5)
    assert abs(float(jnp.mean(first * second.T))) < 4 / np.sqrt(6e4)
    start = make((4, 5, 2), bias_std=0.0).start
    assert all(not layer.bias.any() for layer in start)


def test_bias_std_scales_the_biases():
    biases = np.concatenate([b for _, b in make((2, 3000, 1), bias_std=0.3).plain])
    assert abs(biases.std() - 0.3) < 4 * 0.3 / np.sqrt(6000)


def test_importing_the_package_switches_on_float64():
    assert jnp.asarray(1.0).dtype == jnp.float64
    assert ntkalign.__version__


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ((4, 0, 2), r"widths \(0\) must be at least 1"),
        ((4,), r"widths \(4\) must be at least two numbers; got 1"),
        ((4, -1), r"widths \(-1\) must be at least 1"),
    ],
)
def test_widths_of_no_network_are_refused(widths, message):
    with pytest.raises(InputError, match=message):
        FullyConnected(widths, activation("tanh"))


def test_every_part_of_the_protocol_keeps_float64_outside_a_scope():
    case = make((3, 5, 2))
    jax.config.update("jax_enable_x64", False)
    try:
        start = case.network.initialise(jax.random.key(0))
        with float64():
            x = jnp.asarray(np.asarray(case.x), jnp.float64)
        now = case.network.forward(start, x)
        projections = case.network.projections(jax.random.key(1))
        found = [
            *case.network.backward(now.weights, now.slopes, now.output),
            *case.network.direct(projections, now.slopes, now.output),
            *projections,
            case.network.pass_from_preactivations(x, now.preactivations).output,
        ]
    finally:
        jax.config.update("jax_enable_x64", True)
    assert {str(a.dtype) for a in found} == {"float64"}
