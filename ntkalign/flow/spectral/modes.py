"""Modes of a trajectory: of a linear flow in e, and of given rows in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Modes:
    """Eigenmodes of ė = −M e."""

    rates: np.ndarray
    vectors: np.ndarray
    inverse_vectors: np.ndarray

    @classmethod
    def of(cls, matrix: Float[np.ndarray, "N N"]) -> Modes:
        """Decompose M; its symmetric part, if it hardly has eigenvectors (it only guides)."""
        if np.abs(matrix - matrix.T).max() > 1e-9 * np.abs(matrix).max():
            rates, vectors = np.linalg.eig(matrix)
            if np.linalg.cond(vectors) < 1e6:
                return cls(rates, vectors, np.linalg.inv(vectors))
        rates, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        return cls(rates, vectors, vectors.T)

    def decay(
        self, times: Float[np.ndarray, " n"], e: Float[np.ndarray, "P C"]
    ) -> Float[np.ndarray, "n P C"]:
        """exp(−M t) e."""
        factors = np.exp(-np.outer(times, self.rates))
        modes = factors * (self.inverse_vectors @ e.ravel())
        return np.real(modes @ self.vectors.T).reshape(len(times), *e.shape)

    def inverse(self, w: Float[np.ndarray, "n n"]) -> Callable[[np.ndarray], np.ndarray]:
        """(1 + w ⊗ M)^{−1}, as a function of (n, P, C) arrays."""
        small = np.linalg.inv(np.eye(len(w)) + self.rates[:, None, None] * w)

        def apply(r: np.ndarray) -> np.ndarray:
            modes = self.inverse_vectors @ r.reshape(len(w), -1).T
            solved = np.einsum("ijk,ik->ij", small, modes)
            return np.real(self.vectors @ solved).T.reshape(r.shape)

        return apply


def time_modes(
    rows: Float[np.ndarray, "n size"], share: float
) -> tuple[Float[np.ndarray, "n r"], float]:
    """Orthonormal combinations of moments that hold all of the rows but a ``share``.

    Two rounds, because a Gram matrix shows nothing below 1e-8 of its largest direction.

    Returns:
        The basis, and the Frobenius norm of what is left out.
    """
    n = len(rows)
    basis, rest = np.zeros((n, 0)), rows
    whole = float(np.linalg.norm(rows))
    for _ in range(2):
        values, vectors = np.linalg.eigh(rest @ rest.T)
        keep = values > max((share * whole) ** 2 / n, 1e-13 * values[-1])
        basis = np.linalg.qr(np.hstack([basis, vectors[:, keep][:, ::-1]]))[0]
        rest = rows - basis @ (basis.T @ rows)
        left_out = float(np.linalg.norm(rest))
        if basis.shape[1] == n or left_out <= share * whole:
            break
    return basis, left_out
