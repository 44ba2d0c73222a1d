"""Incremental products with fixed matrices against the products themselves."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import ntkalign.flow.operators.cached_products as products
from ntkalign.flow.operators.cached_products import ProductCache, times

POINTS, MOMENTS = 3, 6


@pytest.fixture
def direct(monkeypatch):
    """Treat every matrix as large."""
    monkeypatch.setattr(products, "DIRECT", 0)
    monkeypatch.setattr(products, "NARROW", 0)


def matrix(rows=40, columns=30, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(0).standard_normal((rows, columns)), dtype)


def moving(columns, drift):
    """Rows that leave their start smoothly, (MOMENTS · POINTS, columns)."""
    rng = np.random.default_rng(1)
    start, one, two = rng.standard_normal((3, POINTS, columns))
    t = np.linspace(0, 1, MOMENTS)[:, None, None]
    return jnp.asarray((start + drift * (t * one + t**2 * two)).reshape(-1, columns)), start


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("precision", [jnp.float32, jnp.float64])
def test_repeated_products_converge_to_the_exact_one(transpose, precision):
    a = matrix()
    rows, start = moving(a.shape[1 if transpose else 0], 0.1)
    cache = ProductCache({}, precision, recording=True)
    cache.product("A", a, transpose, jnp.asarray(start), POINTS)
    cache.recording = False
    exact = times(rows, a, transpose)
    errors = []
    for _ in range(12):
        cache.rewind()
        errors.append(float(jnp.abs(cache.product("A", a, transpose, rows, POINTS) - exact).max()))
    assert errors[0] < 0.2  # one product leaves a tenth of the novelty
    assert errors[-1] < (1e-6 if precision == jnp.float32 else 1e-12)


@pytest.mark.usefixtures("direct")
def test_rows_that_anchors_explain_cost_no_product():
    a = matrix()
    _, start = moving(40, 0.0)
    cache = ProductCache({}, recording=True)
    cache.product("A", a, False, jnp.asarray(start), POINTS)
    cache.recording = False
    before = cache.columns
    cache.rewind()
    rows = jnp.asarray(np.concatenate([2.0 * start, -start]))
    np.testing.assert_allclose(
        cache.product("A", a, False, rows, POINTS), times(rows, a, False), atol=1e-12
    )
    assert cache.columns == before


@pytest.mark.usefixtures("direct")
def test_two_uses_of_a_matrix_in_one_pass_are_kept_apart():
    a = matrix(40, 40)
    rows, start = moving(40, 0.1)
    cache = ProductCache({}, jnp.float64, recording=True)
    cache.product("A", a, False, cache.product("A", a, False, jnp.asarray(start), POINTS), POINTS)
    cache.recording = False
    for _ in range(12):
        cache.rewind()
        out = cache.product("A", a, False, cache.product("A", a, False, rows, POINTS), POINTS)
    np.testing.assert_allclose(out, times(times(rows, a, False), a, False), atol=1e-9)


@pytest.mark.parametrize("transpose", [False, True])
def test_a_matrix_converted_block_by_block_gives_the_same_product(transpose, monkeypatch):
    a = matrix(64, 48)
    rows = moving(a.shape[1 if transpose else 0], 1.0)[0]
    whole = np.asarray(rows) @ (np.asarray(a, float).T if transpose else np.asarray(a, float))
    monkeypatch.setattr(products, "BLOCK", 16 * 48)
    np.testing.assert_allclose(times.__wrapped__(rows, a, transpose), whole, atol=1e-12)


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize("anchors", [1, 2])
def test_points_meet_their_own_anchors_in_either_way(anchors, monkeypatch):
    """All at once, or one anchor after the other where there are many points."""
    a = matrix()
    rows, start = moving(40, 0.1)
    more = np.concatenate([start, start**2])[: anchors * POINTS]
    found = []
    for few in (POINTS, 0):
        monkeypatch.setattr(products, "FEW", few)
        products._novelty.clear_cache(), products._assemble.clear_cache()
        products._learn.clear_cache()
        cache = ProductCache({}, jnp.float64, recording=True)
        cache.product("A", a, False, jnp.asarray(more), POINTS)
        cache.recording = False
        for _ in range(2):
            cache.rewind()
            found.append(cache.product("A", a, False, rows, POINTS))
    products._novelty.clear_cache(), products._assemble.clear_cache(), products._learn.clear_cache()
    np.testing.assert_allclose(found[:2], found[2:], atol=1e-11)


@pytest.mark.usefixtures("direct")
def test_the_first_rows_that_meet_a_later_matrix_are_its_anchors():
    a = matrix()
    rows, start = moving(40, 0.0)
    cache = ProductCache({}, jnp.float64, later={"A"})
    exact = times(jnp.asarray(start), a, False)
    np.testing.assert_array_equal(cache.product("A", a, False, jnp.asarray(start), POINTS), exact)
    before = cache.columns
    cache.rewind()
    np.testing.assert_allclose(
        cache.product("A", a, False, rows, POINTS), times(rows, a, False), atol=1e-12
    )
    assert cache.columns == before
    with pytest.raises(products.NewProductError):
        cache.product("B", a, False, rows, POINTS)
