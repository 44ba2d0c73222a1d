"""The layerwise Jacobian of a network: one array layout, and what is made of it.

∇_θ f(x) has a block for every layer, J_l = (∂φ_l/∂θ_l)ᵀ ∇_{u_l} f(x). Instead of that block, with
m_l m_{l−1} entries a point, its two factors are kept: the activities h_{l−1}(x) and the *feedback*
∇_{u_l} f(x), or what a rule has in its place.

**Layout**: feedback is (…, C, P, m_l), outputs before points. As *rows*, (C·P, m_l), it goes
through a network like a batch of C·P points, the error of row (c, x) being output c's unit vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.networks.base import Network, Pass, Signals


def repeated(one: Pass, q: int) -> Pass:
    """A pass over P points repeated for q moments (or outputs), points fastest; without weights."""
    return jax.tree.map(partial(_tiled, count=q), replace(one, weights=()))


def unit_errors(network: Network, points: int) -> Float[Array, "CP C"]:
    """Unit errors as rows, one output after the other for all points, times α."""
    return jnp.asarray(network.output_scale * np.repeat(np.eye(network.outputs), points, axis=0))


def true_feedback(now: Pass) -> Signals:
    """∇_{u_l} f(x) for l = 1…N as rows, each (C·P, m_l), by backpropagation through the pass."""
    network = now.network
    slopes = jax.tree.map(partial(_tiled, count=network.outputs), now.slopes)
    return network.backward(now.weights, slopes, unit_errors(network, len(now.output)))


def feedback_by_output(
    now: Pass, feedback: Callable[[Array], Signals]
) -> tuple[Float[Array, "C P m"], ...]:
    """Feedback for unit errors, from a function of the error that may mix data points."""
    points, outputs = now.output.shape
    basis = jnp.broadcast_to(jnp.eye(outputs)[:, None, :], (outputs, points, outputs))
    return jax.vmap(feedback)(now.network.output_scale * basis)


def jacobian_distance(
    network: Network,
    pair: tuple[Sequence[np.ndarray], Sequence[np.ndarray]],
    start: tuple[Sequence[np.ndarray], Sequence[np.ndarray]],
) -> Float[np.ndarray, " n"]:
    """max_x ‖J(x) − J⁰(x)‖_op over all weights and biases, at each time.

    J's block for W_l is (feedback_l,c activity_{l−1}ᵀ/√m_{l−1})_c and for b_l it is feedback_l.
    With a = G − G⁰, b = G⁰, u = h, v = h − h⁰ the difference of a weight block is a uᵀ + b vᵀ, so
    the C × C Gram matrix of J − J⁰ needs inner products only and nothing cancels.

    Args:
        network: the architecture.
        pair: feedback, each (n, C, P, m_l), and activities, each (n, P, m_{l−1}).
        start: the same at time 0, n = 1.

    Returns:
        One operator norm per time.
    """
    gram: np.ndarray | float = 0.0
    for layer, g, h, g0, h0 in zip(network.maps, *pair, *start, strict=True):
        a, b, u, v = g - g0, np.broadcast_to(g0, g.shape), h, h - h0
        aa, ab, bb = (_outputs_gram(p, q) for p, q in ((a, a), (a, b), (b, b)))
        uu, uv, vv = (np.sum(p * q, axis=-1)[..., None, None] for p, q in ((u, u), (u, v), (v, v)))
        weights = aa * uu + (ab + np.swapaxes(ab, -1, -2)) * uv + bb * vv
        gram = gram + layer.scale**2 * weights + aa
    return _largest_norm(gram)


def jacobian_norm(
    network: Network, pair: tuple[Sequence[np.ndarray], Sequence[np.ndarray]]
) -> Float[np.ndarray, " n"]:
    """max_x ‖J(x)‖_op over all weights and biases, at each time.

    Args:
        network: the architecture.
        pair: feedback, each (n, C, P, m_l), and activities, each (n, P, m_{l−1}).

    Returns:
        One operator norm per time.
    """
    gram: np.ndarray | float = 0.0
    for layer, g, h in zip(network.maps, *pair, strict=True):
        squares = np.sum(h * h, axis=-1)[..., None, None]
        gram = gram + (layer.scale**2 * squares + 1) * _outputs_gram(g, g)
    return _largest_norm(gram)


def _largest_norm(gram: np.ndarray | float) -> np.ndarray:
    """(n, P, C, C) → (n,): the root of the largest eigenvalue over points."""
    largest = np.linalg.eigvalsh(gram)[..., -1]
    return np.sqrt(np.maximum(largest, 0.0)).max(axis=-1)


def _outputs_gram(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """(n, C, P, m) twice → (n, P, C, C): inner products over units."""
    p, q = np.swapaxes(p, -3, -2), np.swapaxes(q, -3, -2)
    return np.asarray(p @ np.swapaxes(q, -1, -2))


def _tiled(a: Array, count: int) -> Array:
    repeats = (count, *(1,) * (a.ndim - 1))
    if isinstance(a, jax.core.Tracer):
        return jnp.tile(a, repeats)
    return jnp.asarray(np.tile(a, repeats))  # nothing to compile for each new shape
