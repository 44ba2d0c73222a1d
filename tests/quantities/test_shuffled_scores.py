"""The score of shuffled weights is what chance gives: from full matrices and operators."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ntkalign import Outcome
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.family import ConvolutionalFamily, Family, RecurrentFamily
from ntkalign.networks.layers import Layer
from ntkalign.quantities import theory as measure
from ntkalign.quantities.observed import Observed
from ntkalign.rules import NORMAL
from tests import flow_reference as reference
from tests.cases import solve
from tests.memory import forget_programs

TANH = activation("tanh")
TIMES = np.array([0.5, 1.0])
NETWORKS = {
    "mlp": (Family(3, TANH), (5,), None),
    "rnn": (RecurrentFamily(TANH, bias_std=0.3), (3, 2), reference.Rnn()),
    "cnn": (ConvolutionalFamily(3, TANH, bias_std=0.3), (5, 4, 2), reference.Cnn((2, 2))),
    "cnn, other strides": (
        ConvolutionalFamily(3, TANH, strides=(1, 3)), (4, 3, 1), reference.Cnn((1, 3)),
    ),
}  # fmt: skip


def trained(name, width, outputs=6, points=3):
    """A flow of a network of that family, its data and the plain reference of it."""
    forget_programs()
    family, inputs, plain = NETWORKS[name]
    network = family.network(width, inputs, outputs)
    start = network.initialise(jax.random.key(3))
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((points, *inputs)), rng.standard_normal((points, outputs))
    flow = solve(network, NORMAL, start, x, y, TIMES, engine="spectral")
    assert flow.outcome is Outcome.REACHED
    return SimpleNamespace(flow=flow, x=x, plain=plain)


@cache
def flow_of(name, width=6):
    return trained(name, width)


def in_full(network, plain, layer, weights):
    """A layer's weights, (units, fan-in), as the linear map that it is."""
    if plain is None or not isinstance(plain, reference.Cnn) or layer == network.depth:
        return weights
    own = network.maps[layer - 1]
    channels, *sides = own.inputs
    return reference.as_operator(reference.as_kernel(weights), (*sides, channels), own.stride)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_the_score_of_w_star_and_of_shuffled_weights(name):
    s = flow_of(name)
    flow, network = s.flow, s.flow.network
    for layer in range(1, network.depth + 1):
        found = measure.permuted_score(flow, layer, seed=7)
        start = np.asarray(flow.initial.start[layer - 1].weight, float)
        if start.ndim == 4:
            start = reference.as_matrix(start)
        order = np.random.default_rng([7, layer, *network.sizes]).permutation(start.size)
        for i in range(len(TIMES)):
            now = start + flow.weight_change(layer)[i]
            change = now.ravel()[order].reshape(now.shape) - start
            star = flow.frozen_change(layer)[i]
            ideal = star.left @ star.right.T
            a, b = (in_full(network, s.plain, layer, w) for w in (change, ideal))
            assert found[i] == pytest.approx(1 - reference.misalignment(a, b), abs=1e-10)


@pytest.mark.parametrize("name", ["rnn", "cnn", "cnn, other strides"])
def test_w_star_is_that_of_plain_numpy(name):
    """What the scores above compare with: (13), summed over steps or places."""
    s = flow_of(name)
    arrays = [array for layer in s.flow.initial.start for array in layer if array is not None]
    params = s.plain.pack([np.asarray(array, float) for array in arrays])
    delta = s.flow.delta[-1].reshape(s.plain.forward(params, s.x).f.shape)
    for layer, ideal in enumerate(reference.star(s.plain, params, s.x, delta), start=1):
        star = s.flow.frozen_change(layer)[-1]
        found = star.left @ star.right.T
        np.testing.assert_allclose(found, reference.as_matrix(ideal), atol=1e-10)


@pytest.mark.parametrize("name", ["mlp", "rnn", "cnn"])
def test_it_is_far_below_the_score_where_networks_are_wide(name):
    s = trained(name, 64)
    found = measure.measure_permuted(Observed(s.flow, seed=2))
    scores = measure.alignment(s.flow)
    assert {quantity for _, quantity in found} == {"score-permuted"}
    for layer in range(1, s.flow.network.depth + 1):
        shuffled, bounds = found[layer, "score-permuted"]
        assert ((shuffled >= 0) & (shuffled <= 1)).all()
        assert (bounds < 1e-10).all()
        if layer == s.flow.network.depth - 1:  # between layers that grow
            score = 1 - scores[layer, "misalignment"][0]
            assert (score > 0.8).all()
            assert (shuffled < score / 2).all()


def test_another_seed_is_another_order():
    flow = flow_of("mlp").flow
    one, again, other = (measure.permuted_score(flow, 2, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_a_dead_convolution_has_no_score():
    """Neither a perfect one nor any other: nothing moves there."""
    relu = ConvolutionalFamily(3, activation("relu")).network(2, (4, 4, 1), 1)
    first, *rest = relu.initialise(jax.random.key(0))
    start = (Layer(first.weight, first.bias - 1e3), *rest)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 4, 4, 1)), rng.standard_normal((3, 1))
    flow = solve(relu, NORMAL, start, x, y, TIMES, engine="spectral")
    assert relu.maps[0].places_at_once == 4
    found = measure.alignment(flow)
    for layer in (1, 2, 3):
        assert np.isnan(found[layer, "misalignment"][0]).all()
        assert np.isnan(measure.permuted_score(flow, layer, seed=0)).all()
