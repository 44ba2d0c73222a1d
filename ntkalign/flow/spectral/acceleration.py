"""Anderson acceleration: from what the last iterations changed, where they are leading.

An iteration x → g(x) that contracts slowly does so along few directions. With residuals
r = g(x) − x, and differences Δ between the last few iterations, the next x is

    x⁺ = g(x) − Σ_i γ_i Δg_i,    γ the least squares solution of Σ_i γ_i Δr_i ≈ r,

which on a linear iteration would end in as many steps as there are directions. How far x⁺ is from
g(x) also says how far g(x) still is from the end, as far as these directions can tell.

Differences are kept in float32: x⁺ has to be no more accurate than they are small.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

DEPTH = 3
"""So many differences are kept; more hardly help, and each is as large as x."""
ALIKE = 1e-6
"""Of ΔrᵀΔr, of differences scaled to one, smaller eigenvalues than this are left out."""

Arrays = list[Array]


class Acceleration:
    """The memory of an iteration x → g(x).

    Args:
        measured: which of the arrays in x residuals are measured on, each in units of its own size.
        depth: how many differences are kept.
    """

    def __init__(self, measured: tuple[int, ...], depth: int = DEPTH) -> None:
        self.measured = measured
        self._changes: deque[tuple[Arrays, Arrays]] = deque(maxlen=depth)  # (Δr, Δg)
        self._last: tuple[Arrays, Arrays] | None = None  # (r, g)

    def next(self, x: Any, image: Any) -> tuple[Any, float]:
        """Where to go on.

        Args:
            x: a pytree of arrays; one may be the same at all moments, and then has one moment.
            image: g(x).

        Returns:
            x⁺, and the largest relative distance of x⁺ from g(x) among the measured arrays.
        """
        old, (new, structure) = jax.tree.leaves(x), jax.tree.flatten(image)
        new = [jnp.asarray(a) for a in new]
        residual = [_less(new[i], jnp.asarray(old[i])) for i in self.measured]
        if self._last is not None:
            steps = [[_less(*pair) for pair in zip(now, before, strict=True)]
                     for now, before in zip((residual, new), self._last, strict=True)]  # fmt: skip
            self._changes.append((steps[0], steps[1]))
        self._last = residual, new
        if not self._changes:
            return image, 0.0
        sizes = [_size(new[i]) for i in self.measured]
        gamma = jnp.asarray(self._weights(residual, sizes))
        moved = zip(*(change for _, change in self._changes), strict=True)
        mixed = [_mix(a, gamma, changes) for a, changes in zip(new, moved, strict=True)]
        beyond = [
            _size(_less(mixed[i], new[i])) / size if size else 0.0
            for i, size in zip(self.measured, sizes, strict=True)
        ]
        return jax.tree.unflatten(structure, mixed), max(beyond)

    def _weights(self, residual: Arrays, sizes: list[float]) -> np.ndarray:
        """γ; zeros if something is not finite."""
        count = len(self._changes)
        gram, against = np.zeros((count, count)), np.zeros(count)
        for i, size in enumerate(sizes):
            if size:
                steps = [change[i] for change, _ in self._changes]
                gram += np.array([[_inner(a, b) for b in steps] for a in steps]) / size**2
                against += np.array([_inner(a, residual[i]) for a in steps]) / size**2
        if not (np.isfinite(gram).all() and np.isfinite(against).all()):
            return np.zeros(count)
        unit = 1 / np.sqrt(np.maximum(gram.diagonal(), np.finfo(float).tiny))  # late ones are small
        solve = np.linalg.pinv(unit[:, None] * gram * unit, ALIKE, hermitian=True)
        return np.asarray(unit * (solve @ (unit * against)))


@jax.jit
def _less(a: Array, b: Array) -> Array:
    return (a.reshape(-1, *b.shape) - b[None]).reshape(a.shape).astype(jnp.float32)


@jax.jit
def _mix(image: Array, gamma: Array, changes: tuple[Array, ...]) -> Array:
    return image - sum(g * a.astype(image.dtype) for g, a in zip(gamma, changes, strict=True))


# Sums over all entries are NumPy's own: the last bit of XLA's depends on how many cores it sees.


def _inner(a: Array, b: Array) -> float:
    return float(np.einsum("i,i->", np.asarray(a).ravel(), np.asarray(b).ravel(), dtype=float))


def _size(a: Array) -> float:
    return float(np.sqrt(_inner(a, a)))
