"""The layerwise Jacobian of a network: one array layout, and what is made of it.

∇_θ f(x) has a block for every layer, J_l = (∂φ_l/∂θ_l)ᵀ ∇_{u_l} f(x). Instead of that block, with
m_l m_{l−1} entries a point, its two factors are kept: the activities h_{l−1}(x) and the *feedback*
∇_{u_l} f(x), or what a rule has in its place.

**Layout**: for one moment feedback is (C, P·R, m_l), outputs before points before the R places at
which a point meets the weights (1 in a fully connected network), and activities are (P·R, m_{l−1}).
Through a network, (C·P) errors go like a batch of C·P points, the error of row (c, x) being output
c's unit vector. The outputs of all steps of a recurrent network count as so many outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.networks.base import Network, Pass, Signals
from ntkalign.networks.layers import LayerMap

HELD, LARGEST = 2**22, 2**25
"""So many inner products are held at once, and a Jacobian of so many entries at most is formed."""
_Factors = tuple[Sequence[np.ndarray], Sequence[np.ndarray]]
"""Feedback and activities, layer by layer."""


def signal_rows(network: Network, signals: Sequence[Any]) -> tuple[Any, ...]:
    """What is shaped like u_1 … u_N as rows, one array a layer."""
    return tuple(layer.signal_rows(s) for layer, s in zip(network.maps, signals, strict=True))


def activity_rows(network: Network, activities: Sequence[Any]) -> tuple[Any, ...]:
    """The activities h_0 … h_{N−1} as the rows that meet the weights."""
    return tuple(layer.activity_rows(h) for layer, h in zip(network.maps, activities, strict=True))


def repeated(one: Pass, q: int) -> Pass:
    """A pass over P points repeated for q moments (or outputs), points fastest; without weights."""
    axis = one.network.point_axis
    return jax.tree.map(lambda a: _tiled(a, q, axis(a)), replace(one, weights=()))


def unit_errors(network: Network, points: int) -> Float[Array, "CP ..."]:
    """Unit errors, one output after the other for all points, times α; shaped like outputs."""
    units = np.repeat(np.eye(network.flat_outputs), points, axis=0)
    return jnp.asarray(network.output_scale * units).reshape(-1, *network.output_shape)


def true_feedback(now: Pass) -> Signals:
    """∇_{u_l} f(x) for l = 1…N as rows, each (C·P·R, m_l), by backpropagation through the pass."""
    network = now.network
    many = repeated(now, network.flat_outputs).slopes
    signals = network.backward(now.weights, many, unit_errors(network, len(now.output)))
    return signal_rows(network, signals)


def feedback_by_output(
    now: Pass, feedback: Callable[[Array], Signals]
) -> tuple[Float[Array, "C rows m"], ...]:
    """Feedback for unit errors, from a function of the error that may mix data points."""
    network, points = now.network, len(now.output)
    errors = unit_errors(network, points).reshape(network.flat_outputs, points, -1)
    errors = errors.reshape(*errors.shape[:2], *network.output_shape)
    return jax.vmap(lambda e: signal_rows(network, feedback(e)))(errors)


def jacobian_distance(
    network: Network,
    pair: _Factors,
    start: _Factors,
) -> Float[np.ndarray, " n"]:
    """max_x ‖J(x) − J⁰(x)‖_op over all weights and biases, at each time.

    J's block for W_l is (feedback_l,c activity_{l−1}ᵀ/√m_{l−1})_c and for b_l it is feedback_l.
    With a = G − G⁰, b = G⁰, u = h, v = h − h⁰ the difference of a weight block is a uᵀ + b vᵀ,
    summed over places, so the C × C Gram matrix of J − J⁰ needs inner products only and nothing
    cancels.

    Args:
        network: the architecture.
        pair: feedback, each (n, C, P·R, m_l), and activities, each (n, P·R, m_{l−1}).
        start: the same at time 0, n = 1.

    Returns:
        One operator norm per time.
    """
    times = range(len(pair[0][0]))
    return np.concatenate([_distance(network, _at(pair, i), start) for i in times])


def _distance(network: Network, pair: _Factors, start: _Factors) -> np.ndarray:
    layers = zip(network.maps, *pair, *start, strict=True)
    return _largest_norm(sum(_in_parts(_difference, layer, *arrays) for layer, *arrays in layers))


def blocks_are_cheaper(layer: LayerMap, outputs: int, points: int) -> bool:
    """Whether to form a layer's Jacobian instead of inner products of all pairs of its places.

    For each output and point the block has units · fan-in entries, each a sum over R places; inner
    products of feedback are (C·R)² for each pair of points.

    Returns:
        True where there are many places for the number of units.
    """
    units, fan_in = layer.matrix_shape
    pairs = outputs * points * layer.places
    blocks = outputs * points * units * fan_in
    return layer.places > 1 and blocks <= LARGEST and (
        blocks * (layer.places + outputs * points) < pairs**2 * units
    )  # fmt: skip


def jacobian_blocks(
    layer: LayerMap,
    feedback: Float[np.ndarray, "C rows m"],
    activities: Float[np.ndarray, "rows f"],
) -> Float[np.ndarray, "P C entries"]:
    """The weights' part of a layer's ∇_θ f, Σ_places s hᵀ, flat; the factor 1/√fan-in is in it."""
    outputs, _, units = feedback.shape
    s = feedback.reshape(outputs, -1, layer.places, units)
    h = activities.reshape(-1, layer.places, activities.shape[1])
    blocks = np.einsum("cxpm,xpf->xcmf", s, h, optimize=True)
    return np.asarray(layer.scale * blocks.reshape(len(h), outputs, -1))


def bias_blocks(
    layer: LayerMap, feedback: Float[np.ndarray, "C rows m"]
) -> Float[np.ndarray, "P C m"]:
    """The biases' part, Σ_places s; zero where there are none."""
    outputs, _, units = feedback.shape
    s = feedback.reshape(outputs, -1, layer.places, units).sum(axis=2).swapaxes(0, 1)
    return np.asarray(s if layer.has_bias else np.zeros_like(s))


def _difference(
    layer: LayerMap, g: np.ndarray, h: np.ndarray, g0: np.ndarray, h0: np.ndarray
) -> np.ndarray:
    """The Gram matrix over outputs of one layer's difference, (n, P, C, C)."""
    a, b, u, v = g - g0, g0, h, h - h0
    if blocks_are_cheaper(layer, g.shape[1], h.shape[1] // layer.places):
        d = jacobian_blocks(layer, a[0], u[0]) + jacobian_blocks(layer, b[0], v[0])
        e = bias_blocks(layer, a[0])
        return np.asarray(d @ d.swapaxes(1, 2) + e @ e.swapaxes(1, 2))[None]
    aa, ab, ba, bb = (_feedback_gram(p, q, layer) for p, q in ((a, a), (a, b), (b, a), (b, b)))
    uu, uv, vu, vv = (_activity_gram(p, q, layer) for p, q in ((u, u), (u, v), (v, u), (v, v)))
    weights = aa * uu + (ab * uv + ba * vu) + bb * vv
    return _over_places(layer.scale**2 * weights + (aa if layer.has_bias else 0.0))


def _size(layer: LayerMap, g: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The Gram matrix over outputs of one layer's block, (n, P, C, C)."""
    squares = layer.scale**2 * _activity_gram(h, h, layer) + float(layer.has_bias)
    return _over_places(squares * _feedback_gram(g, g, layer))


def _in_parts(gram: Callable[..., np.ndarray], layer: LayerMap, *arrays: np.ndarray) -> np.ndarray:
    """Some points at a time: a point has (C·R)² inner products."""
    outputs, rows = arrays[0].shape[1:3]
    step = max(1, HELD // (outputs * layer.places) ** 2) * layer.places
    parts = [slice(i, i + step) for i in range(0, rows, step)]
    return np.concatenate([gram(layer, *(a[..., part, :] for a in arrays)) for part in parts], 1)


def _at(pair: _Factors, i: int) -> _Factors:
    """At one time: of many places all times together would take much memory."""
    feedback, activities = (tuple(a[i : i + 1] for a in arrays) for arrays in pair)
    return feedback, activities


def jacobian_norm(network: Network, pair: _Factors) -> Float[np.ndarray, " n"]:
    """max_x ‖J(x)‖_op over all weights and biases, at each time.

    Args:
        network: the architecture.
        pair: feedback, each (n, C, P·R, m_l), and activities, each (n, P·R, m_{l−1}).

    Returns:
        One operator norm per time.
    """
    layers = zip(network.maps, *pair, strict=True)
    return _largest_norm(sum(_in_parts(_size, layer, *arrays) for layer, *arrays in layers))


def _largest_norm(gram: np.ndarray | float) -> np.ndarray:
    """(n, P, C, C) → (n,): the root of the largest eigenvalue over points."""
    largest = np.linalg.eigvalsh(gram)[..., -1]
    return np.sqrt(np.maximum(largest, 0.0)).max(axis=-1)


def _feedback_gram(p: np.ndarray, q: np.ndarray, layer: LayerMap) -> np.ndarray:
    """(n, C, P·R, m) twice → (n, P, C, R, C, R): inner products over units."""
    (n, outputs, rows, units), places = p.shape, layer.places
    shape = n, outputs, rows // places, places, units
    p, q = (a.reshape(shape).swapaxes(1, 2).reshape(n, shape[2], -1, units) for a in (p, q))
    return np.asarray(p @ q.swapaxes(-1, -2)).reshape(n, -1, outputs, places, outputs, places)


def _activity_gram(p: np.ndarray, q: np.ndarray, layer: LayerMap) -> np.ndarray:
    """(n, P·R, m) twice → (n, P, 1, R, 1, R): inner products over units."""
    p, q = (a.reshape(len(a), -1, layer.places, a.shape[-1]) for a in (p, q))
    return np.asarray(p @ q.swapaxes(-1, -2))[:, :, None, :, None, :]


def _over_places(gram: np.ndarray) -> np.ndarray:
    """(n, P, C, R, C, R) → (n, P, C, C): sums over both places."""
    return np.asarray(gram.sum(axis=(3, 5)))


def _tiled(a: Array, count: int, axis: int) -> Array:
    repeats = [1] * a.ndim
    repeats[axis] = count
    if isinstance(a, jax.core.Tracer):
        return jnp.tile(a, repeats)
    return jnp.asarray(np.tile(a, repeats))  # nothing to compile for each new shape
