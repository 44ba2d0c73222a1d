"""Acceleration against its formula written out, and on iterations whose end is known."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign.flow.spectral.acceleration import Acceleration


def slow(rates, size=40, seed=0):
    """g(x) = M x + b with M's eigenvalues ``rates``, else zero, and where it leads."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((size, size)))[0][:, : len(rates)]
    matrix, b = (basis * rates) @ basis.T, rng.standard_normal(size)
    return (lambda x: matrix @ x + b), np.linalg.solve(np.eye(size) - matrix, b)


def ran(g, steps, depth):
    """Errors of g(x) after each step, the image taken as two arrays, and what was stated."""
    acceleration, x, images, stated = Acceleration((0, 1), depth), np.zeros(40), [], []
    for _ in range(steps):
        images.append(g(x))
        parts = [(jnp.asarray(a[:10]), jnp.asarray(a[10:])) for a in (x, images[-1])]
        after, beyond = acceleration.next(*parts)
        x = np.concatenate(after)
        stated.append(beyond)
    return np.array(images), np.array(stated)


@pytest.mark.parametrize("rates", [(0.9,), (0.9, -0.8), (0.9, -0.8, 0.6)])
def test_an_iteration_ends_in_as_many_steps_as_it_has_slow_directions(rates):
    g, end = slow(rates)
    size, steps = np.linalg.norm(end), len(rates) + 3
    assert np.linalg.norm(ran(g, steps, 3)[0][-1] - end) < 1e-5 * size
    assert np.linalg.norm(ran(g, steps, 0)[0][-1] - end) > 1e-2 * size  # the control: without


def test_it_is_the_formula():
    """γ from numpy's least squares on the residuals of both arrays, each in its own units."""
    g, _ = slow((0.9, 0.7, -0.5, 0.3, 0.2))
    images, _ = ran(g, 4, 2)
    x = [np.zeros(40)]
    for k in range(3):
        unit = np.repeat([np.linalg.norm(images[k][:10]), np.linalg.norm(images[k][10:])], (10, 30))
        r = np.array([images[i] - x[i] for i in range(k + 1)])
        steps, moves = np.diff(r, axis=0)[-2:], np.diff(images[: k + 1], axis=0)[-2:]
        gamma = np.linalg.lstsq((steps / unit).T, r[-1] / unit, rcond=None)[0]
        x.append(images[k] - gamma @ moves)
        np.testing.assert_allclose(images[k + 1], g(x[-1]), rtol=1e-4, atol=1e-5)


def test_how_far_the_end_is_is_told():
    """Of one slow direction: 0.99 hides an error of a hundred times the last change."""
    g, end = slow((0.99,))
    images, stated = ran(g, 3, 3)
    error = max(
        np.linalg.norm((images[2] - end)[part]) / np.linalg.norm(images[2][part])
        for part in (slice(10), slice(10, None))
    )
    assert stated[0] == 0.0  # nothing is known of it yet
    np.testing.assert_allclose(stated[2], error, rtol=1e-3)


def test_what_is_the_same_at_all_moments_and_what_is_not_finite_pass_through():
    acceleration, one, all_moments = Acceleration((1,)), jnp.ones((2, 3)), jnp.ones((8, 3))
    assert acceleration.next((one, one), (all_moments, 2 * one))[0][0].shape == (8, 3)
    bad = jnp.full((2, 3), jnp.nan)
    (same, found), _ = acceleration.next((all_moments, 2 * one), (all_moments, bad))
    np.testing.assert_array_equal(same, all_moments)
    assert np.isnan(found).all()
