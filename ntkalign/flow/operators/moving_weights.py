"""Weights that move: W(t) = W(0) + low rank, used by ``@`` like any matrix.

Whatever the rule, dW_l/dt = η/(P√m_{l−1}) Σ_x G_l(x) h_{l−1}(x)ᵀ with G = feedback·e of shape
(P, m_l) and the rule's activity h. So from collocation nodes t_k with integration weights w,

    W_l(t_j) − W_l(a) = η/(P√m_{l−1}) Σ_k w_jk Σ_x G_l(x, t_k) h_{l−1}(x, t_k)ᵀ

never needs to be formed: rows meet it through their inner products with h or G. Where weights are
tied, x goes over the rows of a moment: every data point at every place (B of them, see
:mod:`ntkalign.networks.base`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkalign.flow.operators.cached_products import ProductCache
from ntkalign.networks.layers import LayerMap

CHEAPER = 2.0
"""Full matrices are formed where they take so much fewer operations."""
History = tuple[Array, Array]
"""(left, right), (R, m_l) and (R, m_{l−1}): the weight change leftᵀ right before a panel."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("integral", "start", "feedback", "drift", "weights", "plus"),
    meta_fields=(),
)
@dataclass(frozen=True)
class Motion:
    """The change of one weight matrix at q moments, with h = h⁰ + d.

        W_l(t_j) − W_l(a) = Σ_x (Σ_k v_jk G_l(x, t_k)) h⁰(x)ᵀ + Σ_k v_jk Σ_x G_l(x, t_k) d(x, t_k)ᵀ

    The first part is cheap; the second, all nodes with all others, is smaller by the drift d of
    the activity and may be found in float32.

    The bias moves by the same signals, db_l/dt = η/P Σ_x G_l(x), as if a further unit were 1/scale
    for every row. What goes up through the weights can take that along: ``plus``.

    Args:
        integral: Σ_k v_jk G_l(t_k), (q·B, m_l).
        start: h⁰_{l−1}, (B, m_{l−1}).
        feedback: G_l at the nodes, (n·B, m_l).
        drift: d at the nodes, (n·B, m_{l−1}); None if the rule's activity is frozen.
        weights: v = η/(P√m_{l−1}) w, (q, n); the layer knows its factor 1/√m_{l−1}.
        plus: 1/scale², in the units of inner products of activities; 0 leaves the bias out.
    """

    integral: Array
    start: Array
    feedback: Array
    drift: Array | None
    weights: Array
    plus: float | Array = 0.0

    @classmethod
    def of(
        cls,
        layer: LayerMap,
        feedback: Array,
        activity: Array,
        start: Array,
        weights: Array,
        large: Any,
    ) -> Motion:
        """From the feedback at the nodes, the rule's activity there, and w.

        Args:
            layer: whose weights move.
            feedback: (n·B, m_l).
            activity: (n·B, m_{l−1}), or (B, m_{l−1}) if it is frozen.
            start: h⁰_{l−1}, (B, m_{l−1}).
            weights: (η/P) w, (q, n).
            large: the precision of the second part.

        Returns:
            W_l − W_l(a) at the q moments, where a is the panel's start; without the bias.
        """
        frozen = len(activity) < len(feedback)
        v = layer.scale * weights
        return _motion(feedback, None if frozen else activity, start, v, large)

    def with_bias(self, layer: LayerMap) -> Motion:
        """The same with the layer's bias, if it has one, for what goes up."""
        return replace(self, plus=layer.scale**-2 if layer.has_bias else 0.0)

    def apply(self, rows: Float[Array, "r a"], transpose: bool) -> Float[Array, "r b"]:
        """Multiply rows of q moments with ΔW(t), or with its transpose."""
        return _up(self, rows) if transpose else _down(self, rows)


@partial(jax.tree_util.register_dataclass, data_fields=("change", "shift", "plus"), meta_fields=())
@dataclass(frozen=True)
class WholeMotion:
    """The same as full matrices: where a moment has many rows for the size of the weights.

    Args:
        change: W_l(t_j) − W_l(a), (q, m_l, m_{l−1}), without the layer's factor.
        shift: Σ_x Σ_k v_jk G_l(x, t_k), (q, m_l).
        plus: as of :class:`Motion`.
    """

    change: Array
    shift: Array
    plus: float | Array = 0.0

    def with_bias(self, layer: LayerMap) -> WholeMotion:
        """The same with the layer's bias, if it has one, for what goes up."""
        return replace(self, plus=layer.scale**-2 if layer.has_bias else 0.0)

    def apply(self, rows: Float[Array, "r a"], transpose: bool) -> Float[Array, "r b"]:
        """Multiply rows of q moments with ΔW(t), or with its transpose."""
        return _whole_up(self, rows) if transpose else _whole_down(self, rows)


def motion_of(
    layer: LayerMap,
    feedback: Array,
    activity: Array,
    start: Array,
    weights: Array,
    large: Any,
) -> Motion | WholeMotion:
    """How the weights of a layer move, in the form that takes fewer operations.

    The arguments are those of :meth:`Motion.of`. Inner products of all rows at all moments with all
    rows at all nodes take q n B² (m_l + m_{l−1}) operations; forming the matrices and multiplying
    with them takes m_l m_{l−1} (n B + q n + q B).

    Returns:
        The motion; of weights that a point meets once always by inner products.
    """
    (q, n), block = weights.shape, len(start)
    units, fan_in = feedback.shape[1], start.shape[1]
    whole = units * fan_in * (n * block + q * n + q * block)
    pairs = q * n * block**2 * (units + fan_in)
    if layer.places > 1 and CHEAPER * whole < pairs:
        return WholeMotion(*_whole(feedback, activity, layer.scale * weights))
    return Motion.of(layer, feedback, activity, start, weights, large)


@jax.jit
def _whole(feedback: Array, activity: Array, v: Array) -> tuple[Array, Array]:
    """Σ_k v_jk G_l(t_k)ᵀ h(t_k), and Σ_k v_jk Σ_x G_l(x, t_k)."""
    nodes = v.shape[1]
    g = feedback.reshape(nodes, -1, feedback.shape[1])
    shift = v @ g.sum(axis=1)
    if len(activity) < len(feedback):  # frozen: the integral comes first
        integral = jnp.tensordot(v, g, 1)
        return jnp.einsum("qbm,bf->qmf", integral, activity), shift
    h = activity.reshape(nodes, -1, activity.shape[1])
    return jnp.tensordot(v, jnp.matmul(g.swapaxes(1, 2), h), 1), shift


@jax.jit
def _whole_up(motion: WholeMotion, rows: Array) -> Array:
    by_moment = rows.reshape(len(motion.change), -1, rows.shape[1])
    out = jnp.matmul(by_moment, motion.change.swapaxes(1, 2)) + motion.plus * motion.shift[:, None]
    return out.reshape(len(rows), -1)


@jax.jit
def _whole_down(motion: WholeMotion, rows: Array) -> Array:
    by_moment = rows.reshape(len(motion.change), -1, rows.shape[1])
    return jnp.matmul(by_moment, motion.change).reshape(len(rows), -1)


@partial(jax.jit, static_argnames="large")
def _motion(
    feedback: Array, activity: Array | None, start: Array, weights: Array, large: Any
) -> Motion:
    nodes = weights.shape[1]
    integral = (weights @ feedback.reshape(nodes, -1)).reshape(-1, feedback.shape[1])
    drift = None
    if activity is not None:
        drift = (activity.reshape(nodes, -1) - start.reshape(1, -1)).reshape(activity.shape)
        drift = drift.astype(large)
    return Motion(integral, start, feedback.astype(large), drift, weights)


@jax.jit
def _up(motion: Motion, rows: Array) -> Array:
    """rows_j ΔW(t_j)ᵀ, and the bias's motion."""
    block, moments = len(motion.start), len(motion.weights)
    inner = (rows @ motion.start.T + motion.plus).reshape(moments, -1, block)
    out = jnp.matmul(inner, motion.integral.reshape(moments, block, -1)).reshape(len(rows), -1)
    if motion.drift is None:
        return out
    return out + _pairs(motion, rows, motion.drift, motion.feedback)


@jax.jit
def _down(motion: Motion, rows: Array) -> Array:
    """rows_j ΔW(t_j)."""
    block, moments = len(motion.start), len(motion.weights)
    integral = motion.integral.reshape(moments, block, -1)
    inner = jnp.einsum("jpm,jrm->jpr", rows.reshape(moments, -1, rows.shape[1]), integral)
    out = inner.reshape(len(rows), block) @ motion.start
    if motion.drift is None:
        return out
    return out + _pairs(motion, rows, motion.feedback, motion.drift)


def _pairs(motion: Motion, rows: Array, first: Array, second: Array) -> Array:
    """Σ_k v_jk (rows_j · first_kᵀ) second_k."""
    q, n = motion.weights.shape
    inner = (rows.astype(first.dtype) @ first.T).reshape(q, -1, n, len(motion.start))
    inner = inner * motion.weights[:, None, :, None].astype(first.dtype)
    return (inner.reshape(len(rows), -1) @ second).astype(rows.dtype)


@jax.jit
def factors(rows: Array, first: Array, second: Array) -> Array:
    """(rows @ firstᵀ) @ second."""
    return (rows @ first.T) @ second


@dataclass(frozen=True, eq=False)
class Weight:
    """A fixed matrix, or one that moves, for rows of q moments × B rows.

    Rows may have a further axis before them, of steps of time: they meet it one after the other.
    """

    cache: ProductCache
    name: str
    array: Array
    block: int  # B of those that meet it in one product
    history: History | None = None
    motion: Motion | WholeMotion | None = None
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
        if rows.ndim == 3:
            return jnp.stack([of_step @ self for of_step in rows])
        out = self.cache.product(self.name, self.array, self.transposed, rows, self.block)
        if self.history is not None:
            first, second = self.history[::-1] if self.transposed else self.history
            out = out + factors(rows, first, second)
        if self.motion is not None:
            out = out + self.motion.apply(rows, self.transposed)
        return out


def at_rest(cache: ProductCache, name: str, tree: Any, block: int) -> Any:
    """The matrices of a tree of arrays as weights that do not move, other numbers in float64."""
    leaves, structure = jax.tree.flatten(tree)
    wrapped = [
        Weight(cache, f"{name}{i}", leaf, block) if leaf.ndim == 2 else _double(leaf)
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, wrapped)


def _double(leaf: Array) -> Array:
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
