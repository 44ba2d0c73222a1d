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
"""Tied weights move as full matrices where these take so much fewer operations."""
MANY = 2**30
"""The second part of a motion is left as inner products if they take fewer multiplications."""
History = tuple[Array, Array]
"""(left, right), (R, m_l) and (R, m_{l−1}): the weight change leftᵀ right before a panel."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("integral", "start", "feedback", "drift", "weights", "plus", "second"),
    meta_fields=(),
)
@dataclass(frozen=True)
class Motion:
    """The change of one weight matrix at q moments, with h = h⁰ + d.

        W_l(t_j) − W_l(a) = Σ_x (Σ_k v_jk G_l(x, t_k)) h⁰(x)ᵀ + Σ_k v_jk Σ_x G_l(x, t_k) d(x, t_k)ᵀ

    The first part is cheap; the second, all nodes with all others, is smaller by the drift d of
    the activity and may be found in float32: by inner products of rows or, of many points, from
    the matrix that it is at each moment.

    The bias moves by the same signals, db_l/dt = η/P Σ_x G_l(x), as if a further unit were 1/scale
    for every row. What goes up through the weights can take that along: ``plus``.

    Args:
        integral: Σ_k v_jk G_l(t_k), (q·B, m_l).
        start: h⁰_{l−1}, (B, m_{l−1}).
        feedback: G_l at the nodes, (n·B, m_l); None if there is no second part, or ``second``.
        drift: d at the nodes, (n·B, m_{l−1}), likewise.
        weights: v = η/(P√m_{l−1}) w, (q, n); the layer knows its factor 1/√m_{l−1}.
        plus: 1/scale², in the units of inner products of activities; 0 leaves the bias out.
        second: the second part as matrices, (q, m_l, m_{l−1}).
    """

    integral: Array
    start: Array
    feedback: Array | None
    drift: Array | None
    weights: Array
    plus: float | Array = 0.0
    second: Array | None = None

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

    def in_whole(self) -> Motion:
        """The same with matrices for its second part."""
        assert self.feedback is not None
        assert self.drift is not None
        second = _whole(self.feedback, self.drift, self.weights.astype(self.drift.dtype))[0]
        return replace(self, feedback=None, drift=None, second=second)

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
    rows at all nodes take q n B² (m_l + m_{l−1}) multiplications; forming the matrices and
    multiplying with them takes m_l m_{l−1} (n B + q n + q B). Rows go both up and down, but the
    matrices are formed once.

    Returns:
        The motion; of weights that a point meets once the first part is always found from rows.
    """
    (q, n), block = weights.shape, len(start)
    entries = feedback.shape[1] * start.shape[1]
    form, multiply = entries * (n * block + q * n), entries * q * block
    pairs = q * n * block**2 * (feedback.shape[1] + start.shape[1])
    if layer.places > 1 and CHEAPER * (form + multiply) < pairs:
        return WholeMotion(*_whole(feedback, activity, layer.scale * weights))
    motion = Motion.of(layer, feedback, activity, start, weights, large)
    if motion.drift is None or pairs < MANY or form + 2 * multiply >= 2 * pairs:
        return motion
    return motion.in_whole()


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
    return out + _second(motion, rows, transpose=True)


@jax.jit
def _down(motion: Motion, rows: Array) -> Array:
    """rows_j ΔW(t_j)."""
    block, moments = len(motion.start), len(motion.weights)
    integral = motion.integral.reshape(moments, block, -1)
    inner = jnp.einsum("jpm,jrm->jpr", rows.reshape(moments, -1, rows.shape[1]), integral)
    out = inner.reshape(len(rows), block) @ motion.start
    return out + _second(motion, rows, transpose=False)


def _second(motion: Motion, rows: Array, transpose: bool) -> Array | float:
    """What the second part, or its transpose, makes of the rows."""
    if motion.second is not None:
        by_moment = rows.astype(motion.second.dtype).reshape(len(motion.second), -1, rows.shape[1])
        matrices = motion.second.swapaxes(1, 2) if transpose else motion.second
        return jnp.matmul(by_moment, matrices).reshape(len(rows), -1).astype(rows.dtype)
    if motion.drift is None or motion.feedback is None:
        return 0.0
    if transpose:
        return _pairs(motion, rows, motion.drift, motion.feedback)
    return _pairs(motion, rows, motion.feedback, motion.drift)


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
