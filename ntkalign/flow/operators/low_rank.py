"""Norms and traces of m × m matrices without m × m Gram matrices.

Weight changes have (numerically) low rank. A :class:`LowRank` is A ≈ L Rᵀ together with a bound
on what is left out, so every number computed from it carries a rigorous error bound:

    ‖A‖_op lies within ``residual`` of ‖L Rᵀ‖_op, and ‖L Rᵀ‖_op is that of a small matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.sparse.linalg import ArpackError, eigs, eigsh

LARGE = 256
"""Of larger matrices only the largest eigenvalue is found, by Lanczos' or Arnoldi's method."""

SEEN = 1e-8
"""A residual that is a difference of squares is not seen below this share of the norm."""


@dataclass(frozen=True)
class LowRank:
    """A = left @ right.T + E with ‖E‖_F ≤ residual; left (p, k), right (q, k)."""

    left: Float[np.ndarray, "p k"]
    right: Float[np.ndarray, "q k"]
    residual: float = 0.0

    def norm(self) -> float:
        """‖L Rᵀ‖_op, which is ‖A‖_op up to ``residual``."""
        return operator_norm(triangle(self.left) @ triangle(self.right).T)


def compress(
    matrix: Float[np.ndarray, "p q"], *, relative: float, absolute: float = 0.0
) -> LowRank:
    """Factor A ≈ Q (QᵀA) with ‖A − Q QᵀA‖_F ≤ max(relative ‖A‖_F, absolute), measured.

    Q spans a random sketch of the columns of A, doubled until the residual (computed, not
    estimated) is small enough.

    Args:
        matrix: A.
        relative: bound on the residual as a share of ‖A‖_F.
        absolute: bound on the residual itself, for matrices that are zero up to rounding.

    Returns:
        Q and (QᵀA)ᵀ with the measured residual; A and the identity, exactly, if it is not of low
        rank.
    """
    rows, columns = matrix.shape
    target = max(relative * float(np.linalg.norm(matrix)), absolute)
    rng = np.random.default_rng(0)
    rank = 32
    while rank < min(rows, columns) // 2:
        basis, _ = np.linalg.qr(matrix @ rng.standard_normal((columns, rank)))
        right = basis.T @ matrix
        residual = float(np.linalg.norm(matrix - basis @ right))
        if residual <= target:
            return LowRank(basis, right.T, residual)
        rank *= 2
    if rows <= columns:
        return LowRank(np.eye(rows), matrix.T)
    return LowRank(matrix, np.eye(columns))


def compress_sum(
    left: Float[np.ndarray, "k p"],
    right: Float[np.ndarray, "k q"],
    *,
    relative: float = 0.0,
    absolute: float = 0.0,
) -> LowRank:
    """Factor A = leftᵀ right ≈ Q (QᵀA) without forming it, with a residual that is measured.

    As :func:`compress`; the residual is ‖A‖_F² − ‖QᵀA‖_F², with the norm from inner products of
    rows, so that it is not seen below SEEN of the norm.

    Args:
        left: k rows.
        right: as many.
        relative: bound on the residual as a share of ‖A‖_F.
        absolute: bound on the residual itself; the larger one counts.

    Returns:
        Q and (QᵀA)ᵀ with the measured residual; A itself, exactly, if it has no more columns or
        rows than terms.
    """
    terms, rows, columns = len(left), left.shape[1], right.shape[1]
    if terms == 0:
        return LowRank(np.zeros((rows, 0)), np.zeros((columns, 0)))
    if terms >= min(rows, columns):
        return compress(left.T @ right, relative=relative, absolute=absolute)
    whole = float(np.sum((left @ left.T) * (right @ right.T)))
    size = math.sqrt(max(whole, 0.0))
    target, floor = max(relative * size, absolute), SEEN * size
    rng = np.random.default_rng(0)
    rank = 16
    while rank < terms // 2:
        basis, _ = np.linalg.qr(left.T @ (right @ rng.standard_normal((columns, rank))))
        found = (basis.T @ left.T) @ right
        residual = float(np.sqrt(max(whole - np.sum(found**2), 0.0))) + floor
        if residual <= max(target, 2 * floor):
            return LowRank(basis, found.T, residual)
        rank *= 2
    return LowRank(left.T, right.T)


def operator_norm(matrix: Float[np.ndarray, "p q"]) -> float:
    """‖A‖_op, to rounding."""
    if not matrix.size:
        return 0.0
    if min(matrix.shape) <= LARGE:
        return float(np.linalg.norm(matrix, 2))
    gram = matrix.T @ matrix if matrix.shape[1] < matrix.shape[0] else matrix @ matrix.T
    return float(np.sqrt(spectral_radius(gram)))


def spectral_radius(matrix: Float[np.ndarray, "k k"], *, symmetric: bool = True) -> float:
    """The largest absolute eigenvalue, to rounding."""
    every, leading = (np.linalg.eigvalsh, eigsh) if symmetric else (np.linalg.eigvals, eigs)
    if len(matrix) <= LARGE:
        return float(np.abs(every(matrix)).max())
    if not matrix.any() or not np.isfinite(matrix).all():
        return float(np.abs(matrix).max())
    begin = np.random.default_rng(0).standard_normal(len(matrix))
    try:
        return float(abs(leading(matrix, 1, which="LM", v0=begin, return_eigenvectors=False)[0]))
    except ArpackError:  # several that are about as large: all of them are found then
        return float(np.abs(every(matrix)).max())


def triangle(factor: Float[np.ndarray, "p k"]) -> Float[np.ndarray, "r k"]:
    """The R of a QR decomposition: the factor up to an orthonormal change of rows."""
    return np.asarray(np.linalg.qr(factor, mode="r"))
