"""Alignment scores against the operator as an explicit matrix, and against its own sampling."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.convolutional import ConvolutionMap, PooledMap
from ntkalign.networks.normalisation import Norm
from ntkalign.networks.operators import alignment_score
from ntkalign.training.alignment import alignment_scores, permuted, sampled_score
from tests.test_rules_convolutional import setting
from tests.test_rules_recurrent import setting as recurrent

RELU = ACTIVATIONS["relu"]
sides = st.integers(1, 6)


def layer_of(height, width, channels, filters, stride):
    return ConvolutionMap((channels, height, width), filters, stride, RELU, Norm.NONE, "ntk")


def kernels(layer, seed):
    rng = np.random.default_rng(seed)
    shape = layer.parameters.weight.shape
    a = rng.standard_normal(shape)
    return a, a + rng.standard_normal(shape)


def matrix(layer, kernel):
    """The whole operator, a column for each place and channel of the input."""
    size = int(np.prod(layer.inputs))
    one_by_one = jnp.eye(size).reshape(*layer.inputs, size)
    return np.asarray(layer.linear(jnp.array(kernel), one_by_one)).reshape(-1, size)


def score_of(a, b):
    def product(c, d):
        return np.sum((c @ d.T) ** 2)

    return product(a, b) / np.sqrt(product(a, a) * product(b, b))


@given(sides, sides, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 9))
def test_the_exact_score_is_that_of_the_operator(height, width, channels, filters, stride, seed):
    layer = layer_of(height, width, channels, filters, stride)
    a, b = kernels(layer, seed)
    expected = score_of(matrix(layer, a), matrix(layer, b))
    np.testing.assert_allclose(alignment_score(a, b, layer), expected, rtol=1e-10)


def test_the_cosine_of_kernels_is_another_number():
    layer = layer_of(5, 5, 2, 3, 1)
    a, b = kernels(layer, 0)
    flat = [k.reshape(-1, 3).T for k in (a, b)]
    assert abs(alignment_score(a, b, layer) - score_of(*flat)) > 0.01


def test_a_dense_layer_is_its_matrix_and_the_same_change_is_aligned():
    layer = PooledMap((4, 3, 3), 5, "ntk")
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 5, 4))
    np.testing.assert_allclose(alignment_score(a, b, layer), score_of(a, b))
    np.testing.assert_allclose(alignment_score(a, -3 * a, layer), 1)
    assert np.isnan(alignment_score(a, 0 * b, layer))


@pytest.mark.parametrize("stride", [1, 2])
def test_the_sampled_score_is_consistent_with_the_exact_one(stride):
    layer = layer_of(6, 5, 2, 3, stride)
    a, b = kernels(layer, 4)
    found = sampled_score(jnp.array(a), jnp.array(b), layer, jax.random.key(2))
    assert 0 < found.standard_error < 0.02
    assert abs(found.score - alignment_score(a, b, layer)) < 4 * found.standard_error


def test_the_baseline_shuffles_each_layer_from_one_stream():
    weights = [np.arange(12.0).reshape(3, 4), np.arange(5.0)[None]]
    shuffled = permuted(weights, 99)
    stream = np.random.RandomState(99)
    for w, found in zip(weights, shuffled, strict=True):
        np.testing.assert_array_equal(found.ravel(), stream.permutation(w.ravel()))


@pytest.mark.parametrize("case", [setting("strided"), recurrent("relu")], ids=["cnn", "rnn"])
def test_every_layer_with_weights_has_a_score(case):
    network, start, now = case.network, case.start, case.now
    star = jax.tree.map(lambda a, b: a + 1.5 * (b - a), start, now)
    scores = alignment_scores(network, start, now, star, jax.random.key(0))
    assert [s.layer for s in scores] == list(range(1, len(scores) + 1))
    assert len(scores) == sum(layer.weight is not None for layer in start)
    kept = [at for at, layer in enumerate(start) if layer.weight is not None]
    shuffled = permuted([np.asarray(now[at].weight) for at in kept])
    for s, at, w in zip(scores, kept, shuffled, strict=True):
        before, along = (np.asarray(p[at].weight) for p in (start, star))
        expected = alignment_score(w - before, along - before, network.maps[at])
        np.testing.assert_allclose(s.permuted, expected)
    for s in scores:
        np.testing.assert_allclose(s.exact, 1)
        np.testing.assert_allclose(s.sampled, 1)
        assert 0 <= s.permuted < 0.999 or s.layer == 1
