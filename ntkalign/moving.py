"""Weights that move: W(t) = W(0) + low rank, used by ``@`` like any matrix.

Whatever the rule, dW_l/dt = η/(P√m_{l−1}) Σ_x G_l(x) h_{l−1}(x)ᵀ with G = feedback·e of shape
(P, m_l) and the rule's activity h. So from collocation nodes t_k with integration weights w,

    W_l(t_j) − W_l(a) = η/(P√m_{l−1}) Σ_k w_jk Σ_x G_l(x, t_k) h_{l−1}(x, t_k)ᵀ

never needs to be formed: rows meet it through their inner products with h or G.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkalign.activations import Activation
from ntkalign.products import Tape

History = tuple[Array, Array]
"""(left, right), (R, m_l) and (R, m_{l−1}): the weight change leftᵀ right before a panel."""


@dataclass(frozen=True)
class Motion:
    """The change of one weight matrix at q moments.

    Args:
        feedback: G_l at the nodes, (n·P, m_l).
        activity: the rule's h_{l−1} at the nodes, (n·P, m_{l−1}), or (P, m_{l−1}) if frozen.
        weights: w, (q, n).
        rate: η.
        points: P.
    """

    feedback: Array
    activity: Array
    weights: Array
    rate: float
    points: int

    def apply(self, rows: Float[Array, "r a"], transpose: bool) -> Float[Array, "r b"]:
        """Multiply rows of q moments × P points with ΔW(t), or with its transpose."""
        scale = self.rate / (self.points * math.sqrt(self.activity.shape[1]))
        first, second = self.activity, self.feedback
        if not transpose:
            first, second = second, first
        return _moved(rows, first, second, scale * self.weights, 0.0, self.points)


@partial(jax.jit, static_argnames="points")
def _moved(
    rows: Array, first: Array, second: Array, weights: Array, plus: float | Array, points: int
) -> Array:
    """Σ_k w_jk (rows_j · first_kᵀ + plus) second_k; first or second may be the same for all k."""
    q, n = weights.shape
    inner = rows @ first.T + plus
    if len(first) < n * points:  # Σ_k w_jk second_k comes first
        summed = (weights @ second.reshape(n, -1)).reshape(q, points, -1)
        return jnp.matmul(inner.reshape(q, points, points), summed).reshape(len(rows), -1)
    inner = inner.reshape(q, points, n, points) * weights[:, None, :, None]
    if len(second) < n * points:
        return inner.sum(axis=2).reshape(len(rows), -1) @ second
    return inner.reshape(len(rows), -1) @ second


@jax.jit
def factors(rows: Array, first: Array, second: Array) -> Array:
    """(rows @ firstᵀ) @ second."""
    return (rows @ first.T) @ second


@partial(jax.jit, static_argnames=("activation", "rate", "points"))
def layer(
    activation: Activation | None,
    rate: float,
    rows: Float[Array, "r a"],
    product: Float[Array, "r b"],
    bias: Float[Array, " b"],
    feedback: Float[Array, "r b"],
    activity: Float[Array, "k a"],
    weights: Float[Array, "n n"],
    points: int,
) -> tuple[Array, Array, Array]:
    """z_l, σ(z_l) and σ′(z_l) at the nodes of a panel; (z_l, z_l, z_l) at the output.

        z_l(t_j) = h(t_j) W_l(a)ᵀ/√m + b_l(a) + η/(P m) Σ_k w_jk (h(t_j)·h(t_k)ᵀ + m) G_l(t_k)

    where the products h(t_j) W_l(a)ᵀ are given; the second m comes from the bias.
    """
    width = rows.shape[1]
    moved = _moved(
        rows, activity, feedback, rate / (points * width) * weights, float(width), points
    )
    z = product / math.sqrt(width) + bias[None] + moved
    if activation is None:
        return z, z, z
    return z, *activation.value_and_slope(z)


@dataclass(frozen=True, eq=False)
class Weight:
    """A fixed matrix, or one that moves, for rows of q moments × P points."""

    tape: Tape
    name: str
    array: Array
    history: History | None = None
    motion: Motion | None = None
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, columns = self.array.shape
        return (columns, rows) if self.transposed else (rows, columns)

    @property
    def T(self) -> Weight:  # noqa: N802
        """The transpose."""
        return replace(self, transposed=not self.transposed)

    def __rmatmul__(self, rows: Array) -> Array:
        out = self.tape.product(self.name, self.array, self.transposed, rows)
        if self.history is not None:
            first, second = self.history[::-1] if self.transposed else self.history
            out = out + factors(rows, first, second)
        if self.motion is not None:
            out = out + self.motion.apply(rows, self.transposed)
        return out


def at_rest(tape: Tape, name: str, tree: Any) -> Any:
    """The matrices of a tree of arrays as weights that do not move."""
    leaves, structure = jax.tree.flatten(tree)
    wrapped = [
        Weight(tape, f"{name}{i}", leaf) if leaf.ndim == 2 else leaf
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, wrapped)
