"""The empirical kernel of tied weights, against full Jacobians and neural-tangents."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ntkalign.kernels.empirical as kernels
from ntkalign.kernels import adapter
from ntkalign.kernels.adapter import jax_defaults
from ntkalign.kernels.empirical import empirical
from ntkalign.networks.fully_connected import DenseMap
from tests import flow_reference as reference
from tests.cases import examples
from tests.tied import Tied, agree, convolutional, recurrent

SHARE = 1e-12
CASES = {
    "rnn": Tied(recurrent(5, 3, features=2, bias_std=0.3, output_scale=0.7), points=5),
    "rnn, (61)": Tied(recurrent(3, 4, scaled_readout=False), points=5),
    "cnn": Tied(convolutional((4, 3, 1), (3, 2), (2, 1), bias_std=0.3, output_scale=0.7), points=5),
    "cnn, standard": Tied(convolutional((5, 4, 2), (2, 3), (1, 2), form="standard"), points=5),
}


def of_full_jacobians(case, x, other):
    """α² J Jᵀ; the reference has no output scale."""
    left, right = (reference.jacobian(case.net, case.params, points) for points in (x, other))
    return case.network.output_scale**2 * np.einsum("acn,bdn->abcd", left, right)


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_product_of_full_jacobians(name, monkeypatch):
    """At once, in batches, between different points, in either form; few terms at a time."""
    case = CASES[name]
    x, other = case.x, case.x[::-1][:2] + 0.3
    of = partial(empirical, case.network, case.start)
    whole, between = of_full_jacobians(case, x, x), of_full_jacobians(case, x, other)
    agree(whole, case.network.output_scale**2 * reference.ntk(case.net, case.params, x), 1e-14)
    found = of(x)
    assert found.features == found.backward == ()
    agree(found.ntk, whole, SHARE)
    agree(of(x, batch=2).ntk, whole, SHARE)
    agree(of(x, other).ntk, between, SHARE)
    agree(of(x, other, batch=3).ntk, between, SHARE)
    monkeypatch.setattr(kernels, "HELD", 1)
    for cheaper in (True, False):
        monkeypatch.setattr(kernels, "blocks_are_cheaper", lambda *_, it=cheaper: it)
        agree(of(x, other).ntk, between, SHARE)


@pytest.mark.parametrize("name", ["rnn", "cnn"])
def test_it_is_that_of_neural_tangents(name):
    case = CASES[name]
    x, other = jnp.asarray(case.x), jnp.asarray(case.x[:2] + 0.3)

    def f(parameters, x):
        output = case.network.forward(parameters, x).output
        return output.reshape(len(x), -1)

    theirs = adapter.load().empirical_ntk_fn(f, trace_axes=())
    with jax_defaults():
        for right in (None, other):
            ours = empirical(case.network, case.start, x, right).ntk
            agree(ours, theirs(x, right, case.start), SHARE)


recurrences = st.fixed_dictionaries(
    {
        "width": st.integers(1, 6),
        "steps": st.integers(1, 4),
        "features": st.integers(1, 3),
        "targets": st.integers(1, 2),
    }
)
convolutions = st.fixed_dictionaries(
    {
        "image": st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 2)),
        "layers": st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=3),
    }
)
shapes = st.one_of(recurrences, convolutions)
seeds = st.integers(0, 100)


def case_of(shape, seed):
    if "width" in shape:
        return Tied(recurrent(**shape, bias_std=0.5), points=2, seed=seed)
    filters, strides = zip(*shape["layers"], strict=True)
    return Tied(convolutional(shape["image"], filters, strides, bias_std=0.5), points=2, seed=seed)


@given(shape=shapes, seed=seeds)
@examples(5)
def test_it_is_for_any_shape(shape, seed):
    case = case_of(shape, seed)
    found = empirical(case.network, case.start, case.x).ntk
    agree(found, of_full_jacobians(case, case.x, case.x), SHARE)


@given(shape=shapes, seed=seeds)
@examples(5)
def test_rows_say_the_same_as_a_layers_own_maps(shape, seed):
    """φ_l by rows that meet a matrix, its transpose, its update, and layouts turned back."""
    case = case_of(shape, seed)
    now = case.network.forward(case.start, jnp.asarray(case.x))
    layers = zip(case.network.maps, case.start, now.activities, now.preactivations, strict=True)
    for layer, own, h, u in layers:
        matrix, rows = layer.matrix(own.weight), layer.signal_rows(u)
        agree(layer.kernel(matrix), own.weight, 0.0)
        agree(layer.from_signal_rows(rows), u, 0.0)
        assert len(rows) == case.points * layer.places
        agree(layer.activity_rows(np.asarray(h)), layer.activity_rows(h), 0.0)
        agree(layer.linear_by_rows(matrix, h), layer.linear(own.weight, h), 1e-14, 1e-14)
        s = jnp.asarray(np.random.default_rng(seed).standard_normal(u.shape))
        if not isinstance(layer, DenseMap):  # which has its own transpose
            back = layer.through_matrix(matrix, s)
            agree(back, layer.through_weight(own.weight, s), 1e-14, 1e-14)
        update = layer.scale * (layer.signal_rows(s).T @ layer.activity_rows(h))
        agree(update, layer.matrix(layer.outer(s, h).weight), 1e-14, 1e-14)
