"""The paper's draws bit for bit, against a plain loop over NumPy's global generator."""

from __future__ import annotations

import numpy as np
import pytest

from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.numpy_draws import Between, draw
from ntkalign.networks.recurrent import Recurrent

RELU = ACTIVATIONS["relu"]
CNN = Convolutional((4, 6, 2), (3, 5), (1, 2), 4, RELU)
PLACES = [(4, 6), (2, 3)]


@pytest.fixture(autouse=True)
def global_state():
    """Whatever a test here does to NumPy's global generator is undone."""
    before = np.random.get_state()
    yield
    np.random.set_state(before)


def kernel(c_in, c_out):
    drawn = np.random.normal(size=(c_out, 9 * c_in))
    made = np.zeros((3, 3, c_in, c_out))
    for kh, kw, ci, co in np.ndindex(made.shape):
        made[kh, kw, ci, co] = drawn[co, (kh * 3 + kw) * c_in + ci]
    return made


def test_the_first_numbers_are_those_of_seed_99():
    weight = draw(Convolutional((3, 3, 1), (1,), (1,), 2, RELU), 99)[0][0].weight
    first = [-0.14235884, 2.05722174, 0.28326194, 1.32981198]
    np.testing.assert_allclose(weight.ravel()[:4], first, atol=5e-9)


def test_a_convolutional_network_is_drawn_layer_by_layer():
    parameters, constants = draw(CNN, 7)
    np.random.seed(7)
    expected = [kernel(2, 3), kernel(3, 5), np.random.normal(size=(4, 5))]
    for layer, weight in zip(parameters, expected, strict=True):
        np.testing.assert_array_equal(layer.weight, weight)
        assert layer.bias.shape == (weight.shape[-1] if weight.ndim == 4 else 4,)
        assert not layer.bias.any()
    assert constants == ()


def test_feedback_weights_are_drawn_after_each_layers_own():
    parameters, constants = draw(CNN, 7, Between.WEIGHTS)
    np.random.seed(7)
    for layer, random, (c_in, c_out) in zip(
        parameters[:2], constants, [(2, 3), (3, 5)], strict=False
    ):
        np.testing.assert_array_equal(layer.weight, kernel(c_in, c_out))
        np.testing.assert_array_equal(random, kernel(c_in, c_out))
    np.testing.assert_array_equal(parameters[2].weight, np.random.normal(size=(4, 5)))
    np.testing.assert_array_equal(constants[2], np.random.normal(size=(4, 5)))


def test_projections_are_drawn_after_each_convolution_and_not_after_the_dense_layer():
    parameters, constants = draw(CNN, 7, Between.PROJECTIONS)
    np.random.seed(7)
    for layer, b, (c_in, c), (height, width) in zip(
        parameters, constants, [(2, 3), (3, 5)], PLACES, strict=False
    ):
        np.testing.assert_array_equal(layer.weight, kernel(c_in, c))
        drawn = np.random.normal(size=(4, height * width * c)) / np.sqrt(height * width * c)
        for row, column, channel, k in np.ndindex(height, width, c, 4):
            number = (row * width + column) * c + channel
            assert b[channel, row, column, k] == drawn[k, number]
    np.testing.assert_array_equal(parameters[2].weight, np.random.normal(size=(4, 5)))
    assert len(constants) == 2


def test_shared_projections_have_one_map_for_all_places():
    _, constants = draw(CNN, 7, Between.SHARED_PROJECTIONS)
    assert [b.shape for b in constants] == [(3, 4), (5, 4)]
    np.random.seed(7)
    kernel(2, 3)
    drawn = np.random.normal(size=(4, 3)) / np.sqrt(4 * 6 * 3)
    np.testing.assert_array_equal(constants[0], drawn.T)


def test_the_standard_form_divides_the_same_draws():
    ntk, standard = (
        draw(Convolutional((4, 4, 2), (3,), (1,), 4, RELU, form=form), 7)[0]
        for form in ("ntk", "standard")
    )
    np.testing.assert_allclose(standard[0].weight, ntk[0].weight / np.sqrt(18), rtol=1e-15)
    np.testing.assert_allclose(standard[1].weight, ntk[1].weight / np.sqrt(3), rtol=1e-15)


def test_a_recurrent_network_is_drawn_for_row_vectors():
    parameters, _ = draw(Recurrent(3, 9, RELU, slots=2), 7)
    np.random.seed(7)
    w_i, w_h, w_o = (np.random.normal(size=size) for size in (3, (3, 3), 3))
    state, inputs, recurrence, readout = parameters
    np.testing.assert_array_equal(inputs.weight, w_i[:, None])
    np.testing.assert_array_equal(recurrence.weight, w_h.T)
    np.testing.assert_array_equal(readout.weight, w_o[None])
    assert state.weight is None
    assert inputs.bias is None
    assert state.bias.shape == (2, 3)
    assert not any(b.any() for b in (state.bias, recurrence.bias, readout.bias))


def test_constants_of_a_recurrent_network_follow_the_same_order():
    network = Recurrent(3, 2, RELU, slots=2)
    parameters, constants = draw(network, 7, Between.WEIGHTS)
    np.random.seed(7)
    for layer, random, size in zip(
        parameters[1:], constants[1:], [(1, 3), (3, 3), (3, 1)], strict=True
    ):
        np.testing.assert_array_equal(layer.weight, np.random.normal(size=size).T)
        np.testing.assert_array_equal(random, np.random.normal(size=size).T)
    (b,) = draw(network, 7, Between.PROJECTIONS)[1]
    assert b.shape == (3, 3, 1)


def test_the_global_generator_is_neither_used_nor_changed():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    draw(CNN, 7)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
