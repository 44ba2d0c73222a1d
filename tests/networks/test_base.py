"""The network protocol: what JAX derives for any layer, against a layer's own, and written out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.base import Network, backpropagate
from ntkalign.networks.fully_connected import DenseMap, FullyConnected
from ntkalign.networks.layers import Layer, LayerMap
from tests.cases import cases


class Derived(DenseMap):
    """The fully connected layer with its transpose left to JAX, as a new architecture has it."""

    through_weight = LayerMap.through_weight


@dataclass(frozen=True)
class Standardised(Derived):
    """A layer whose nonlinearity couples data points, as batch norm does; no slopes of its own."""

    def nonlinear(self, u):
        return self._standardised(u), u

    def through_slope(self, slope, g):
        return jax.vjp(self._standardised, slope)[1](g)[0]

    def _standardised(self, u):
        spread = jnp.sqrt(jnp.var(u, axis=0, keepdims=True) + 0.1)
        return self.activation.function((u - jnp.mean(u, axis=0, keepdims=True)) / spread)


@dataclass(frozen=True)
class Coupled(FullyConnected):
    """A network of such layers."""

    @property
    def maps(self):
        return tuple(
            Standardised(a, b, self.activation)
            for a, b in zip(self.widths[:-1], self.widths[1:], strict=True)
        )


layers = st.builds(
    DenseMap,
    fan_in=st.sampled_from((1, 3, 5)),
    units=st.sampled_from((1, 2, 5)),
    activation=st.just(activation("tanh")),
)


@given(layers, st.integers(0, 100))
def test_a_layers_own_transpose_is_the_one_that_jax_derives(layer, seed):
    rng = np.random.default_rng(seed)
    weight = jnp.asarray(rng.standard_normal((layer.units, layer.fan_in)))
    s = jnp.asarray(rng.standard_normal((4, layer.units)))
    derived = Derived(layer.fan_in, layer.units, layer.activation)
    np.testing.assert_allclose(
        layer.through_weight(weight, s), derived.through_weight(weight, s), atol=1e-13
    )
    np.testing.assert_allclose(  # and the equation
        derived.through_weight(weight, s), s @ weight / np.sqrt(layer.fan_in), atol=1e-13
    )


@given(layers, st.integers(0, 100))
def test_updates_are_the_equation(layer, seed):
    """Σ_x s(x) h(x)ᵀ/√m and Σ_x s(x)."""
    rng = np.random.default_rng(seed)
    s, h = (jnp.asarray(rng.standard_normal((4, n))) for n in (layer.units, layer.fan_in))
    weight, bias = layer.outer(s, h)
    np.testing.assert_allclose(weight, np.asarray(s).T @ h / np.sqrt(layer.fan_in), atol=1e-13)
    np.testing.assert_allclose(bias, s.sum(axis=0), atol=1e-13)


@given(layers, st.integers(0, 100))
def test_features_are_the_kernel_of_the_weights(layer, seed):
    """Inner products of ∂φ/∂W at two activities, for a unit signal."""
    rng = np.random.default_rng(seed)
    h, k = jnp.asarray(rng.standard_normal((2, 3, layer.fan_in)))
    one = jnp.zeros((1, layer.units)).at[0, 0].set(1.0)
    blocks = [[np.ravel(layer.outer(one, row[None]).weight) for row in rows] for rows in (h, k)]
    expected = np.array(blocks[0]) @ np.array(blocks[1]).T
    np.testing.assert_allclose(layer.features(h, k), expected, atol=1e-13)


def network_and_passes(kind, seed):
    network = kind((3, 5, 4, 2), activation("tanh"), bias_std=0.3)
    start = network.initialise(jax.random.key(seed))
    rng = np.random.default_rng(seed)
    moved = jax.tree.map(lambda p: p + 0.4 * rng.standard_normal(p.shape), start)
    x = jnp.asarray(rng.standard_normal((4, 3)))
    return network, start, moved, x, jnp.asarray(rng.standard_normal((4, 2)))


@pytest.mark.parametrize("kind", [FullyConnected, Coupled])
@pytest.mark.parametrize("seed", range(3))
def test_backward_and_update_are_the_gradient_of_any_network(kind, seed):
    """A batch norm too, whose slopes couple points: nothing of it is written by hand."""
    network, _, moved, x, e = network_and_passes(kind, seed)
    now = network.forward(moved, x)
    found = network.update(backpropagate(now, now, e), now.activities)

    def inner(p):
        return jnp.sum(network.forward(p, x).output * e) / len(x)

    for ours, theirs in zip(found, jax.grad(inner)(moved), strict=True):
        np.testing.assert_allclose(ours.weight, theirs.weight, atol=1e-12)
        np.testing.assert_allclose(ours.bias, theirs.bias, atol=1e-12)


@pytest.mark.parametrize("kind", [FullyConnected, Coupled])
def test_weights_and_slopes_are_taken_where_they_are_asked_for(kind):
    """Layer by layer with vector–Jacobian products of the two maps at the two times."""
    network, start, moved, x, e = network_and_passes(kind, 0)
    first, now = network.forward(start, x), network.forward(moved, x)
    for weights, parameters in ((first, start), (now, moved)):
        for slopes in (first, now):
            signal = e
            expected = [signal]
            for i in reversed(range(network.depth - 1)):
                layer, above, own = network.maps[i], network.maps[i + 1], parameters[i + 1]
                h, u = slopes.activities[i + 1], slopes.preactivations[i]
                back = jax.vjp(lambda h, f=above, p=own: f.affine(p, h), h)[1](signal)[0]
                signal = jax.vjp(lambda u, f=layer: f.nonlinear(u)[0], u)[1](back)[0]
                expected.insert(0, signal)
            found = backpropagate(weights, slopes, e)
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-12)
    # the control: the four differ
    same = [backpropagate(w, s, e)[0] for w in (first, now) for s in (first, now)]
    assert all(np.abs(a - b).max() > 1e-3 for i, a in enumerate(same) for b in same[:i])


@given(cases(max_depth=3))
def test_a_pass_can_be_had_from_its_preactivations(case):
    whole = case.network.forward(case.start, case.x)
    again = case.network.pass_from_preactivations(case.x, whole.preactivations)
    assert again.weights == ()
    for one, other in zip(
        jax.tree.leaves(replace(whole, weights=())), jax.tree.leaves(again), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-14)


@given(cases(max_depth=3))
def test_a_network_knows_its_sizes(case):
    network: Network = case.network
    assert network.sizes == case.widths
    assert network.outputs == case.widths[-1]
    for layer, own in zip(network.maps, case.start, strict=True):
        shapes = layer.parameters
        assert isinstance(shapes, Layer)
        assert (own.weight.shape, own.bias.shape) == (shapes.weight.shape, shapes.bias.shape)
