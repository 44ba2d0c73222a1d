"""Kinks of activations are found, and none where there is none."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign.networks.activations import ACTIVATIONS, lookup
from ntkalign.networks.kinks import kinks_of


@pytest.mark.parametrize("name", ["relu", "leaky-relu", "abs"])
def test_a_built_in_activation_with_one_kink(name):
    assert ACTIVATIONS[name].kinks == (0.0,)


def test_smooth_activations_have_none():
    smooth = [a.name for a in ACTIVATIONS.values() if a.bounded_second]
    assert len(smooth) >= 6
    assert [name for name in smooth if ACTIVATIONS[name].kinks] == []
    assert kinks_of(lambda z: jnp.tanh(20 * z)) == ()  # steep, not kinked
    assert kinks_of(jax.nn.elu) == ()


def test_kinks_of_ones_own():
    assert lookup(jax.nn.hard_tanh).kinks == pytest.approx((-1, 1), abs=1e-12)
    assert lookup(jax.nn.selu).kinks == (0.0,)
    assert kinks_of(lambda z: jnp.where(z > 0.3, z, 0.3) + 0.002 * jnp.abs(z + 2)) == pytest.approx(
        (-2, 0.3), abs=1e-12
    )


@given(places=st.lists(st.floats(-6, 6), min_size=1, max_size=3), size=st.sampled_from((0.05, 3.0)))
def test_kinks_anywhere(places, size):
    places = [p for i, p in enumerate(places) if all(abs(p - q) > 0.01 for q in places[:i])]

    def bent(z):
        return z + size * sum(jnp.abs(z - p) for p in places)

    np.testing.assert_allclose(kinks_of(bent), sorted(places), atol=1e-10)
