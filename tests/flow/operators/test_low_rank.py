"""Low-rank norms and traces against dense linear algebra, with their error bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import ArpackError

import ntkalign.flow.operators.low_rank as low_rank
from ntkalign.flow.operators.low_rank import compress, compress_sum, operator_norm, spectral_radius

SIZES = st.integers(1, 90)


def matrix(rows, columns, rank, noise, seed):
    rng = np.random.default_rng(seed)
    low = rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, columns))
    return low + noise * rng.standard_normal((rows, columns))


def dense(a):
    return a.left @ a.right.T


@given(SIZES, SIZES, st.integers(1, 40), st.sampled_from((0.0, 1e-9, 1e-3, 1.0)), st.integers(0, 9))
def test_compression_keeps_its_bound(rows, columns, rank, noise, seed):
    a = matrix(rows, columns, rank, noise, seed)
    small = compress(a, relative=1e-6)
    left_out = np.linalg.norm(a - dense(small))
    assert left_out <= small.residual * (1 + 1e-6) + 1e-12 * np.linalg.norm(a)
    assert small.residual <= 1e-6 * np.linalg.norm(a)
    assert abs(small.norm() - np.linalg.norm(a, 2)) <= small.residual + 1e-12 * np.linalg.norm(a)


def test_a_matrix_of_low_rank_is_stored_in_small_factors():
    assert compress(matrix(300, 200, 5, 0.0, 0), relative=1e-9).left.shape == (300, 32)
    assert compress(matrix(300, 200, 5, 1.0, 0), relative=1e-9).residual == 0.0


def test_the_squared_residual_bounds_a_projected_norm():
    """‖A‖² ≤ ‖QQᵀA‖² + ‖A − QQᵀA‖_F²."""
    a = matrix(200, 200, 20, 3e-3, 1)
    small = compress(a, relative=0.05)
    assert small.residual > 0
    exact = np.linalg.norm(a, 2)
    assert small.norm() <= exact * (1 + 1e-12) <= np.hypot(small.norm(), small.residual)


@given(
    rows=st.integers(257, 400), columns=st.integers(257, 400), seed=st.integers(0, 99),
    gap=st.sampled_from((0.0, 1e-3, 1.0)),
)  # fmt: skip
def test_norms_of_large_matrices(rows, columns, seed, gap):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((rows, columns))
    u, v = (np.linalg.qr(rng.standard_normal((n, 2)))[0] for n in (rows, columns))
    matrix = matrix + 60 * u @ np.diag([1.0, 1.0 - gap]) @ v.T  # two that are close
    norm = np.linalg.norm(matrix, 2)
    np.testing.assert_allclose(operator_norm(matrix), norm, rtol=1e-12)
    both = matrix[:257, :257] + matrix[:257, :257].T - np.eye(257)
    radius = np.abs(np.linalg.eigvalsh(both)).max()
    np.testing.assert_allclose(spectral_radius(both), radius, rtol=1e-12)
    assert operator_norm(0 * matrix) == 0
    assert np.isnan(operator_norm(np.nan * matrix))


@pytest.mark.parametrize("size", [40, 300])
def test_the_largest_rate_of_a_matrix_that_is_not_symmetric(size):
    rng = np.random.default_rng(size)
    whole = rng.standard_normal((size, size)) + np.diag(np.linspace(0.0, 60.0, size))
    radius = np.abs(np.linalg.eigvals(whole)).max()
    np.testing.assert_allclose(spectral_radius(whole, symmetric=False), radius, rtol=1e-10)
    assert spectral_radius(0 * whole, symmetric=False) == 0


@pytest.mark.parametrize("symmetric", [True, False])
def test_where_an_iteration_fails_all_eigenvalues_are_found(symmetric, monkeypatch):
    def fails(*given, **options):
        raise ArpackError(-9999)

    monkeypatch.setattr(low_rank, "eigsh" if symmetric else "eigs", fails)
    whole = np.diag(np.linspace(-7.0, 2.0, 300))
    np.testing.assert_allclose(spectral_radius(whole, symmetric=symmetric), 7.0, rtol=1e-12)


@given(
    terms=st.sampled_from((0, 3, 70, 150)), rows=st.sampled_from((40, 200)),
    columns=st.sampled_from((30, 300)), rank=st.integers(1, 60),
    share=st.sampled_from((1e-3, 1e-6, 0.0)), seed=st.integers(0, 9),
)  # fmt: skip
def test_a_compressed_sum_keeps_its_bound(terms, rows, columns, rank, share, seed):
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((terms, rank)) * 0.5 ** np.arange(rank)
    left = mixing @ rng.standard_normal((rank, rows)) + 1e-5 * rng.standard_normal((terms, rows))
    right = rng.standard_normal((terms, columns))
    whole = left.T @ right
    small = compress_sum(left, right, absolute=share * float(np.linalg.norm(whole)))
    left_out = np.linalg.norm(whole - dense(small))
    assert left_out <= small.residual * (1 + 1e-6) + 1e-13 * np.linalg.norm(whole)
    assert small.residual <= max(share, 2e-8) * np.linalg.norm(whole) * (1 + 1e-9)
    if share == 1e-3 and terms == 150 and min(rows, columns) > terms:
        assert small.left.shape[1] < 75  # it is compressed
