"""Weights that move, in each form, against the sum over moments, nodes and points."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import ntkalign.flow.operators.moving_weights as moving
from ntkalign.flow.operators.moving_weights import motion_of
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.fully_connected import FullyConnected

MOMENTS, NODES, POINTS = 5, 6, 7
LAYER = FullyConnected((3, 11, 9, 2), ACTIVATIONS["tanh"]).maps[1]
UNITS, FAN_IN = LAYER.matrix_shape


def parts():
    """Feedback and activity at the nodes, the activity at the start, and weights of integrals."""
    rng = np.random.default_rng(0)
    g = rng.standard_normal((NODES * POINTS, UNITS))
    start = rng.standard_normal((POINTS, FAN_IN))
    h = np.tile(start, (NODES, 1)) + 0.1 * rng.standard_normal((NODES * POINTS, FAN_IN))
    return g, h, start, rng.standard_normal((MOMENTS, NODES))


def plain(v, g, h):
    """Σ_k v_jk Σ_x G(x, t_k) h(x, t_k)ᵀ, with the layer's factor."""
    g, h = g.reshape(NODES, POINTS, -1), h.reshape(NODES, POINTS, -1)
    return LAYER.scale * np.einsum("jk,kxm,kxa->jma", v, g, h)


@pytest.mark.parametrize("many", [0, 10**9], ids=["matrices", "inner products"])
@pytest.mark.parametrize("precision", [jnp.float32, jnp.float64])
def test_rows_meet_the_change_of_their_moment(many, precision, monkeypatch):
    monkeypatch.setattr(moving, "MANY", many)
    g, h, start, v = parts()
    motion = motion_of(LAYER, *map(jnp.asarray, (g, h, start, v)), precision)
    assert (motion.second is not None) == (many == 0)
    change, rng = plain(v, g, h), np.random.default_rng(1)
    up, down = (rng.standard_normal((MOMENTS, POINTS, size)) for size in (FAN_IN, UNITS))
    tolerance = {"rtol": 0, "atol": 1e-5 if precision == jnp.float32 else 1e-12}
    found = motion.apply(jnp.asarray(up.reshape(-1, FAN_IN)), True)
    assert found.dtype == jnp.float64
    expected = np.einsum("jxa,jma->jxm", up, change)
    np.testing.assert_allclose(found, expected.reshape(-1, UNITS), **tolerance)
    found = motion.apply(jnp.asarray(down.reshape(-1, UNITS)), False)
    expected = np.einsum("jxm,jma->jxa", down, change)
    np.testing.assert_allclose(found, expected.reshape(-1, FAN_IN), **tolerance)
    with_bias = motion.with_bias(LAYER).apply(jnp.asarray(up.reshape(-1, FAN_IN)), True)
    shift = np.einsum("jk,kxm->jm", v, g.reshape(NODES, POINTS, -1)) / LAYER.scale
    expected = np.einsum("jxa,jma->jxm", up, change) + shift[:, None]
    np.testing.assert_allclose(with_bias, expected.reshape(-1, UNITS), **tolerance)


def test_matrices_are_formed_only_where_that_is_cheaper(monkeypatch):
    """One point has fewer inner products than a matrix has entries; few are never worth it."""
    g, h, start, v = map(jnp.asarray, parts())
    assert motion_of(LAYER, g, h, start, v, jnp.float64).second is None
    monkeypatch.setattr(moving, "MANY", 0)
    assert motion_of(LAYER, g, h, start, v, jnp.float64).second is not None
    one = (rows.reshape(NODES, POINTS, -1)[:, 0] for rows in (g, h))
    assert motion_of(LAYER, *one, start[:1], v, jnp.float64).second is None
    frozen = motion_of(LAYER, g, start, start, v, jnp.float64)
    assert frozen.second is None
    assert frozen.drift is None
