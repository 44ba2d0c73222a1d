"""Batch norms: their moments, and that these are differentiated."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign.networks.normalisation import EPSILON, Norm, normalise

U = jnp.array(np.random.default_rng(2).normal(3.0, 2.0, (2, 3, 4, 5)))
OVER = {Norm.POSITION: (3,), Norm.CHANNEL: (1, 2, 3)}


@pytest.mark.parametrize("norm", OVER)
def test_moments_are_those_of_the_batch(norm):
    z = np.asarray(normalise(norm, U))
    np.testing.assert_allclose(z.mean(OVER[norm]), 0, atol=1e-12)
    variance = np.asarray(U).var(OVER[norm])
    np.testing.assert_allclose(z.var(OVER[norm]), variance / (variance + EPSILON), rtol=1e-10)


def test_none_is_nothing():
    assert normalise(Norm.NONE, U) is U


@pytest.mark.parametrize("norm", OVER)
def test_a_shift_of_all_points_changes_nothing_and_carries_no_signal(norm):
    np.testing.assert_allclose(normalise(norm, U + 7.0), normalise(norm, U), atol=1e-10)
    g = jnp.array(np.random.default_rng(3).standard_normal(U.shape))
    (back,) = jax.vjp(lambda u: normalise(norm, u), U)[1](g)
    np.testing.assert_allclose(np.asarray(back).sum(OVER[norm]), 0, atol=1e-12)


def test_one_point_is_normalised_to_zero_by_position():
    assert not np.asarray(normalise(Norm.POSITION, U[..., :1])).any()
