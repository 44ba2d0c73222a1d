"""Products of slowly changing rows with large fixed matrices, as few and as cheap as possible.

Along a gradient flow the rows that meet a weight matrix W(0) (activities on the way up, feedback
on the way down) hardly leave what they were at time 0. So W(0) is applied

  * once, in float64, to *anchors*: the rows at time 0;
  * after that only to the *novelty*: the part of the rows that neither the anchors of the same
    data point nor earlier products explain, compressed along the time axis.

Novelty is smaller than the rows by about 1/√m, so float32 leaves a relative error of 6e-8/√m. It
need not be resolved at once either: what compression leaves out is novelty again next time.

Rows are flat: (q·B, m) for q moments (or outputs) of B rows, which are the data points, or what the
data points have at several places; moments slowest.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

DIRECT = 2**18
"""Matrices of up to so many entries are simply multiplied, in float64."""
NARROW = 64
"""And so are matrices with no more rows or columns than this."""
BLOCK = 2**20
"""Larger ones are converted to float64 in blocks of rows of about so many entries, which stay in
the cache."""
RANKS = (4, 8, 16, 32, 64)
"""Novelty is given one of these ranks, or the full one: few shapes are compiled."""
FINE_RANKS = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64)
WIDE = 2**22
"""Matrices with more entries than this are worth a program of their own for each of these."""

FEW = 64
"""Of no more data points than this, all anchors meet all rows of a moment in one product; else each
point's rows meet its own anchors, one after the other."""

ROUNDING = 1e-14
"""Novelty below this share of the rows themselves is rounding."""

ProductKey = tuple[str, bool, int]
"""(name of the matrix, whether it is transposed, how often it was used before in the pass)"""


@partial(jax.jit, static_argnames="transpose")
def times(rows: Float[Array, "r a"], matrix: Array, transpose: bool) -> Float[Array, "r b"]:
    """Rows @ matrix (or rows @ matrix.T) in the precision of ``rows``."""
    blocks = max(1, matrix.size // BLOCK)
    if matrix.dtype == rows.dtype or blocks == 1 or matrix.shape[0] % blocks:
        return _dot(rows, matrix.astype(rows.dtype), transpose)
    split = matrix.reshape(blocks, -1, matrix.shape[1])
    if transpose:
        parts = jax.lax.map(lambda block: _dot(rows, block.astype(rows.dtype), True), split)
        return jnp.moveaxis(parts, 0, 1).reshape(len(rows), -1)
    chunks = jnp.moveaxis(rows.reshape(len(rows), blocks, -1), 1, 0)
    zero = jnp.zeros((len(rows), matrix.shape[1]), rows.dtype)

    def add(total: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        return total + _dot(pair[0], pair[1].astype(rows.dtype), False), None

    return jax.lax.scan(add, zero, (chunks, split))[0]


def _dot(a: Array, b: Array, transpose: bool) -> Array:
    return jnp.matmul(a, b.T if transpose else b, precision=jax.lax.Precision.HIGHEST)


class NewProductError(Exception):
    """A rule multiplies with a matrix that it did not use before: it is none for this engine."""


@dataclass(frozen=True, eq=False)
class Anchors:
    """Rows and what a matrix makes of them: c anchors for each of B rows, in float64."""

    rows: Float[Array, "cB a"]
    products: Float[Array, "cB b"]
    solve: Float[Array, "B c c"]

    @classmethod
    def of(cls, rows: Array, products: Array, block: int) -> Anchors:
        """Anchors from rows that have been multiplied exactly."""
        stacked = np.asarray(rows).reshape(-1, block, rows.shape[1])
        gram = np.einsum("cpa,dpa->pcd", stacked, stacked, optimize=True)
        return cls(rows, products, jnp.asarray(np.linalg.pinv(gram, 1e-12, hermitian=True)))


Novelties = dict[ProductKey, tuple[Array, Array]]
"""Novelty that has been multiplied, (q·B, a), and its products, (q·B, b)."""


@dataclass
class ProductCache:
    """What fixed matrices are known to do, for one network and its data points.

    Args:
        known: anchors.
        precision: of the products with novelty.
        floor: novelty below this share of all that ever was new is let go.
        cutoff: the share of the novelty that one product may leave to the next.
        recording: multiply exactly, and keep the rows as anchors.
        later: names of matrices that are not those of time 0: the first rows of each use are
            anchors.
        memory: products with novelty, for rows of the shape in use.
    """

    known: dict[ProductKey, Anchors]
    precision: Any = jnp.float32
    floor: float = 0.0
    cutoff: float = 0.05
    recording: bool = False
    later: set[str] = field(default_factory=set)
    memory: Novelties = field(default_factory=dict)
    columns: int = 0  # how many columns have met a large matrix, for benchmarks
    _uses: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def rewind(self) -> None:
        """Start a new pass: the uses of each matrix are counted from here."""
        self._uses.clear()

    def precision_of(self, matrix: Array) -> Any:
        """In which precision deviations may be treated beside this matrix."""
        return jnp.float64 if is_small(matrix) else self.precision

    def product(
        self, name: str, matrix: Array, transpose: bool, rows: Float[Array, "r a"], block: int
    ) -> Float[Array, "r b"]:
        """Multiply with a fixed matrix.

        Args:
            name: of the matrix.
            matrix: it.
            transpose: whether its transpose is meant.
            rows: q moments × B rows, moments slowest.
            block: B.

        Returns:
            Rows @ matrix (or its transpose).

        Raises:
            NewProductError: if there are no anchors for it.
        """
        if is_small(matrix) or block >= max(matrix.shape):  # nothing is of low rank
            return times(rows, matrix, transpose)
        use = self._uses[name, transpose]
        self._uses[name, transpose] += 1
        key = (name, transpose, use)
        known = self.known.get(key)
        if self.recording or (known is None and name in self.later):
            return self._record(key, matrix, rows, block)
        if known is None:
            raise NewProductError(f"{name} was not multiplied so often when anchors were recorded")
        done = self.memory.get(key)
        if done is None:
            width = matrix.shape[0 if transpose else 1]
            empty = partial(jnp.zeros, dtype=self.precision)
            done = empty(rows.shape), empty((len(rows), width))
        share, novelty, gram, sizes = _novelty(rows, known.rows, known.solve, done[0], block)
        if np.trace(gram) > float(sizes[0]) ** 2:  # what is known leads away: better from nothing
            done = jnp.zeros_like(done[0]), jnp.zeros_like(done[1])
            share, novelty, gram, sizes = _novelty(rows, known.rows, known.solve, done[0], block)
        floor = self.floor * float(sizes[0]) + ROUNDING * float(sizes[1])
        ranks = FINE_RANKS if matrix.size > WIDE else RANKS
        basis = _leading(np.asarray(gram, float), self.cutoff, floor, ranks)
        if basis is None:
            out = _assemble(share, known.products, done[1])
        else:
            done, out = _learn(novelty, basis, matrix, transpose, done, share, known.products)
            self.columns += basis.shape[1] * block
        self.memory[key] = done
        return out

    def _record(self, key: ProductKey, matrix: Array, rows: Array, block: int) -> Array:
        """The exact product; the rows become anchors, unless known ones explain them."""
        known = self.known.get(key)
        if known is not None:
            none = jnp.zeros(rows.shape)
            share, _, gram, _ = _novelty(rows, known.rows, known.solve, none, block)
            if np.trace(gram) <= 1e-24 * float(np.sum(np.asarray(rows) ** 2)):
                return _explained(share, known.products)
        product = times(rows, matrix, key[1])
        self.columns += len(product)
        self.known[key] = Anchors.of(rows, product, block)
        return product


def is_small(matrix: Array) -> bool:
    """Whether a matrix is simply multiplied."""
    return matrix.size <= DIRECT or min(matrix.shape) <= NARROW


@partial(jax.jit, static_argnames="block")
def _novelty(
    rows: Array, anchors: Array, solve: Array, done: Array, block: int
) -> tuple[Array, Array, Array, Array]:
    """Each row's share in the anchors, what is new in it, its Gram matrix over q, two sizes."""
    count = len(anchors) // block
    q, width = len(rows) // block, rows.shape[1]
    if count == 1:
        stacked = rows.reshape(q, block, width)
        share = jnp.sum(stacked * anchors[None], axis=2, keepdims=True) * solve[None, :, :, 0]
    elif block > FEW:
        stacked = rows.reshape(q, block, width)
        each = [jnp.sum(stacked * a[None], axis=2) for a in anchors.reshape(count, block, width)]
        share = jnp.einsum("qpc,pcd->qpd", jnp.stack(each, axis=2), solve)
    else:  # all rows of a moment at once: a large product is faster than many small ones
        cross = rows @ anchors.T
        own = jnp.einsum("qpcp->qpc", cross.reshape(q, block, count, block))
        share = jnp.einsum("qpc,pcd->qpd", own, solve)
    own = rows - _explained(share, anchors)
    novelty = (own - done.astype(rows.dtype)).astype(done.dtype)
    flat = novelty.reshape(q, -1)
    sizes = jnp.stack([jnp.linalg.norm(own), jnp.linalg.norm(rows)])
    return share, novelty, flat @ flat.T, sizes


def _explained(share: Array, anchors: Array) -> Array:
    """Σ_c share_qpc anchors_cp, flat."""
    q, block, count = share.shape
    if count == 1:
        return (share * anchors[None]).reshape(q * block, -1)
    if block > FEW:
        parts = anchors.reshape(count, block, -1)
        found = share[:, :, :1] * parts[:1]
        for c in range(1, count):
            found = found + share[:, :, c : c + 1] * parts[c : c + 1]
        return found.reshape(q * block, -1)
    spread = jnp.einsum("qpc,pr->qpcr", share, jnp.eye(block, dtype=share.dtype))
    return spread.reshape(q * block, -1) @ anchors


def _leading(
    gram: Float[np.ndarray, "q q"], cutoff: float, floor: float, ranks: tuple[int, ...]
) -> Array | None:
    """Orthonormal combinations of moments that hold all but ``cutoff`` or ``floor``.

    Returns:
        Orthonormal columns, (q, r), with r as small as the norms and ``ranks`` allow; None if all
        of the novelty is below ``floor``, or is not finite.
    """
    if not np.isfinite(gram).all():
        return None
    values, vectors = np.linalg.eigh(gram)
    total = float(np.sqrt(max(np.trace(gram), 0.0)))
    if total <= floor or total == 0:
        return None
    left_out = np.sqrt(np.maximum(np.cumsum(values), 0.0))
    rank = int(np.sum(left_out > max(cutoff * total, floor)))
    rank = min(r for r in (*ranks, len(gram)) if r >= min(rank, len(gram)))
    return jnp.asarray(vectors[:, -min(rank, len(gram)) :])


@partial(jax.jit, static_argnames="transpose")
def _learn(
    novelty: Array,
    basis: Array,
    matrix: Array,
    transpose: bool,
    done: tuple[Array, Array],
    share: Array,
    products: Array,
) -> tuple[tuple[Array, Array], Array]:
    """Multiply the novelty's leading modes; the new memory, and the product of the rows."""
    seen, made = done
    mix = basis.astype(seen.dtype)
    moments = len(basis)
    modes = mix.T @ novelty.reshape(moments, -1)
    new = times(modes.reshape(-1, novelty.shape[1]), matrix, transpose)
    seen = seen + (mix @ modes).reshape(seen.shape)
    made = made + (mix @ new.reshape(basis.shape[1], -1)).reshape(made.shape)
    return (seen, made), _assemble(share, products, made)


@jax.jit
def _assemble(share: Array, products: Array, made: Array) -> Array:
    """What the matrix makes of the rows: from anchors, and from novelty."""
    return _explained(share, products) + made.astype(products.dtype)
