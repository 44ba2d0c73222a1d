"""Adam is TensorFlow 1's, and not optax's; plain descent is plain."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign.training.optimisers import OPTIMISERS, tensorflow_adam

RATE, STEPS = 0.01, 6


def moved(optimiser, gradients):
    """The moves that an optimiser makes of a list of gradients."""
    state = optimiser.init(gradients[0])
    moves = []
    for gradient in gradients:
        move, state = optimiser.update(gradient, state, gradient)
        moves.append(np.asarray(move))
    return np.array(moves)


def as_tensorflow_1(gradients, rate):
    """The formula of its documentation, with plain numbers."""
    m = v = np.zeros_like(gradients[0])
    moves = []
    for t, g in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        moves.append(-rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8))
    return np.array(moves)


@given(
    magnitude=st.sampled_from([1e-12, 1e-8, 3e-7, 1e-3, 1.0, 1e5]),
    seed=st.integers(0, 2**16), rate=st.sampled_from([1e-4, 0.5]),
)  # fmt: skip
def test_adam_is_tensorflow_1s(magnitude, seed, rate):
    gradients = magnitude * np.random.default_rng(seed).normal(size=(STEPS, 4))
    found = moved(tensorflow_adam(rate), list(map(jnp.array, gradients)))
    np.testing.assert_allclose(found, as_tensorflow_1(gradients, rate), rtol=1e-10)


def test_adam_differs_from_optax_where_the_gradients_are_tiny_and_nowhere_else():
    drawn = np.random.default_rng(0).normal(size=(STEPS, 4))
    for magnitude, least, most in ((1.0, 0, 1e-5), (1e-7, 0.1, np.inf)):
        gradients = list(map(jnp.array, magnitude * drawn))
        with jax.numpy_dtype_promotion("standard"):  # optax counts on it
            ours, theirs = (moved(a(RATE), gradients) for a in (tensorflow_adam, optax.adam))
        worst = np.max(np.abs(ours - theirs) / np.abs(theirs))
        assert least <= worst <= most


def test_a_gradient_of_zero_moves_nothing():
    assert not moved(tensorflow_adam(RATE), [jnp.zeros(3)] * 3).any()
    assert not moved(OPTIMISERS["sgd"].make(RATE), [jnp.zeros(3)] * 3).any()


@given(seed=st.integers(0, 2**16), rate=st.floats(1e-4, 20))
def test_plain_descent_is_minus_the_rate_times_the_gradient(seed, rate):
    gradients = np.random.default_rng(seed).normal(size=(2, 3))
    found = moved(OPTIMISERS["sgd"].make(rate), list(map(jnp.array, gradients)))
    np.testing.assert_allclose(found, -rate * gradients, rtol=1e-12)


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_moves_keep_their_precision_with_a_rate_of_the_same(name, dtype):
    gradient = {"a": jnp.ones(3, dtype), "b": None}
    optimiser = OPTIMISERS[name].make(jnp.asarray(RATE, dtype))
    moves, state = jax.jit(optimiser.update)(gradient, optimiser.init(gradient), gradient)
    assert moves["a"].dtype == dtype
    assert moves["b"] is None
    again, _ = optimiser.update(gradient, state, gradient)
    np.testing.assert_allclose(again["a"], -RATE, rtol=1e-4)  # of equal gradients
