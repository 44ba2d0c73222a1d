"""Losses are the released code's: which mean, which sum, no factor ½."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign import InputError
from ntkalign.training.losses import LOSSES, MEAN_SQUARE, SQUARE_OVER_TIME, accuracy

DRAWN = np.random.default_rng(0)


def test_images_have_the_mean_over_points_and_classes():
    f, y = DRAWN.normal(size=(2, 5, 3))
    wanted = sum((f[b, c] - y[b, c]) ** 2 for b in range(5) for c in range(3)) / 15
    np.testing.assert_allclose(MEAN_SQUARE.function(jnp.array(f), jnp.array(y)), wanted)
    slope = jax.grad(MEAN_SQUARE.function)(jnp.array(f), jnp.array(y))
    np.testing.assert_allclose(slope, 2 * (f - y) / 15)


def test_sequences_have_the_sum_over_steps_of_the_mean_over_points():
    f, y = DRAWN.normal(size=(2, 4, 6, 2))
    wanted = sum(np.mean(np.sum((f[:, k] - y[:, k]) ** 2, axis=1)) for k in range(6))
    np.testing.assert_allclose(SQUARE_OVER_TIME.function(jnp.array(f), jnp.array(y)), wanted)
    slope = jax.grad(SQUARE_OVER_TIME.function)(jnp.array(f), jnp.array(y))
    np.testing.assert_allclose(slope, 2 * (f - y) / 4)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_accuracy_is_the_share_whose_largest_output_is_that_of_the_class(dtype):
    f = jnp.array([[0.1, 3.0, 2.0], [5.0, 1.0, 1.0], [-3.0, -1.0, -2.0], [0.0, 1.0, 2.0]], dtype)
    y = jnp.array(np.eye(3)[[1, 0, 1, 0]] - 0.1, dtype)
    found = accuracy(f, y)
    assert found == 0.75
    assert found.dtype == dtype


def test_only_the_loss_of_images_classifies():
    assert {name: loss.classifies for name, loss in LOSSES.items()} == {
        "mean-square": True, "square-over-time": False,
    }  # fmt: skip
    with pytest.raises(InputError, match=r"loss \(mean-squares\) .* did you mean 'mean-square'\?"):
        LOSSES.lookup("mean-squares")
