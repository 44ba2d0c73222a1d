"""Kernels of one network, from the layerwise identity: no Jacobian by parameters.

    Θ(x, x′) = Σ_l Γ_l(x, x′) (σ(z_{l−1}(x))·σ(z_{l−1}(x′))/m_{l−1} + 1),
    Γ_l(x, x′) = ∇_{z_l}f(x)ᵀ ∇_{z_l}f(x′),   equation (6)

A Jacobian by parameters has m_l m_{l−1} entries per point and layer; here rows of m_l are all that
is kept. Where a point meets the same weights at several places (of an image, or in time), Θ sums
over both points' places, and a layer without biases lacks the 1.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.networks.base import Network
from ntkalign.networks.jacobians import (
    activity_rows,
    bias_blocks,
    blocks_are_cheaper,
    jacobian_blocks,
    true_feedback,
)
from ntkalign.networks.layers import LayerMap, Parameters
from ntkalign.precision import in_float64
from ntkalign.values import whole

BATCH = 512
HELD = 2**22
"""Of sums over places, so many terms are held at once."""
Parts = tuple[list[Any], list[Any]]
"""σσᵀ/m and Γ, layer by layer."""


class Factors(NamedTuple):
    """What the layerwise Jacobian of P points is made of (:mod:`ntkalign.networks.jacobians`)."""

    activities: tuple[Any, ...]  # rows, each (P·R, m_{l−1})
    feedback: tuple[Any, ...]  # rows, each (C·P·R, m_l)


class Empirical(NamedTuple):
    """Kernels of one network at P and Q points; item l−1 belongs to layer l.

    Layerwise parts are kept of networks whose weights a point meets once.
    """

    ntk: np.ndarray  # Θ, (P, Q, C, C)
    features: tuple[np.ndarray, ...]  # σ(z_{l−1})·σ(z_{l−1})/m_{l−1}, (P, Q)
    backward: tuple[np.ndarray, ...]  # Γ_l, (P, Q, C, C)


@in_float64
def empirical(
    network: Network,
    parameters: Parameters,
    x: Float[Array | np.ndarray, "P ..."],
    other: Float[Array | np.ndarray, "Q ..."] | None = None,
    *,
    batch: int = BATCH,
) -> Empirical:
    """The empirical NTK, its layerwise parts and the features' Gram matrices.

    Args:
        network: the architecture.
        parameters: at which it is linearised.
        x: data.
        other: more data; the same if None.
        batch: so many points are held at once.

    Returns:
        Θ, (P, Q, C, C), and for each layer the Gram matrix, (P, Q), and Γ_l, (P, Q, C, C).
    """
    whole(1, "so many points are held at once", "leave it out")("batch", batch)
    lefts = _batches(x, batch)
    rights = lefts if other is None else _batches(other, batch)
    blocks: dict[tuple[int, int], Empirical] = {}
    for i, left in enumerate(lefts):
        of_left = factors(network, parameters, left)
        for j, right in enumerate(rights):
            if rights is lefts and j < i:  # Θ(x′, x) = Θ(x, x′)ᵀ
                blocks[i, j] = _mirrored(blocks[j, i])
                continue
            of_right = of_left if right is left else factors(network, parameters, right)
            blocks[i, j] = between(network, of_left, of_right)
            del of_right
    rows = [
        jax.tree.map(
            lambda *parts: np.concatenate(parts, axis=1),
            *(blocks[i, j] for j in range(len(rights))),
        )
        for i in range(len(lefts))
    ]
    found: Empirical = jax.tree.map(lambda *parts: np.concatenate(parts, axis=0), *rows)
    return found


@in_float64
def at_once(network: Network, known: Factors) -> Empirical:
    """Kernels of P points whose factors are known."""
    return between(network, known, known)


def between(network: Network, left: Factors, right: Factors) -> Empirical:
    """Kernels between P and Q points whose factors are known."""
    if is_tied(network):
        return Empirical(_tied(network, left, right), (), ())
    features, backward = jax.tree.map(np.asarray, _compiled(network, left, right))
    return Empirical(assembled(features, backward), tuple(features), tuple(backward))


def is_tied(network: Network) -> bool:
    """Whether a point meets some of the weights at more than one place."""
    return any(layer.places > 1 or not layer.has_bias for layer in network.maps)


def _mirrored(block: Empirical) -> Empirical:
    return Empirical(
        block.ntk.transpose(1, 0, 3, 2),
        tuple(h.T for h in block.features),
        tuple(g.transpose(1, 0, 3, 2) for g in block.backward),
    )


def _tied(network: Network, left: Factors, right: Factors) -> Float[np.ndarray, "P Q C C"]:
    """Θ with sums over places; one point after the other, so that little is held at once."""
    parts = zip(network.maps, *left, *right, strict=True)
    return np.asarray(
        sum(_of_layer(layer, *jax.tree.map(np.asarray, arrays)) for layer, *arrays in parts)
    )


def _of_layer(
    layer: LayerMap, h: np.ndarray, g: np.ndarray, k: np.ndarray, s: np.ndarray
) -> Float[np.ndarray, "P Q C C"]:
    """Σ over places of Γ_l ⊙ (hh′ᵀ/fan-in + 1)."""
    places, bias = layer.places, float(layer.has_bias)
    outputs, p, q = len(g) // len(h), len(h) // places, len(k) // places
    rows = g.reshape(outputs, p, places, -1)
    if blocks_are_cheaper(layer, outputs, max(p, q)):
        other = s.reshape(outputs, q * places, -1)
        pairs = (
            (jacobian_blocks(layer, g.reshape(outputs, p * places, -1), h),
             jacobian_blocks(layer, other, k)),
            (bias_blocks(layer, g.reshape(outputs, p * places, -1)), bias_blocks(layer, other)),
        )  # fmt: skip
        return np.asarray(sum(np.einsum("pcn,qdn->pqcd", *pair, optimize=True) for pair in pairs))
    theta = np.empty((p, q, outputs, outputs))
    step = max(1, HELD // (places * len(s)))
    for i, of_point in enumerate(h.reshape(p, places, -1)):
        inner = (np.asarray(layer.features(of_point, k)) + bias).reshape(1, places, 1, q, places)
        for c in range(0, outputs, step):
            some = rows[c : c + step, i]
            gamma = some.reshape(-1, some.shape[-1]) @ s.T
            gamma = gamma.reshape(len(some), places, outputs, q, places) * inner
            theta[i, :, c : c + step] = gamma.sum(axis=(1, 4)).transpose(2, 0, 1)
    return theta


def rule_kernel(network: Network, seen: Factors, used: Factors) -> Float[np.ndarray, "PC PC"]:
    """K with ḟ = (η/P) K e; rows and columns are (x, output).

        K(x, x′) = Σ_l ∇_{z_l}f(x)ᵀ feedback_l(x′) (σ(z_{l−1}(x))·activity_{l−1}(x′)/m_{l−1} + 1)

    Args:
        network: the architecture.
        seen: the network's activities and true feedback.
        used: those that the rule uses; for gradient descent the same, and K is Θ.

    Returns:
        K, (P C, P C); in general not symmetric.
    """
    seen, used = jax.tree.map(np.asarray, (seen, used))
    if is_tied(network):
        return flat(_tied(network, seen, used))
    return flat(assembled(*layerwise(network, seen, used)))


def flat(kernel: Float[np.ndarray, "P Q C D"]) -> Float[np.ndarray, "PC QD"]:
    """A kernel as a matrix between (x, output) and (x′, output)."""
    points, others, outputs, columns = kernel.shape
    return kernel.transpose(0, 2, 1, 3).reshape(points * outputs, others * columns)


def assembled(
    features: list[np.ndarray] | tuple[np.ndarray, ...],
    backward: list[np.ndarray] | tuple[np.ndarray, ...],
) -> Float[np.ndarray, "P Q C C"]:
    """Θ from its layerwise parts."""
    parts = zip(features, backward, strict=True)
    return np.asarray(sum((h + 1)[:, :, None, None] * gamma for h, gamma in parts))


@in_float64
@partial(jax.jit, static_argnums=0)
def factors(network: Network, parameters: Parameters, x: Float[Array, "P ..."]) -> Factors:
    """The factors of ∇_θ f at these parameters."""
    now = network.forward(parameters, x)
    return Factors(activity_rows(network, now.activities), true_feedback(now))


def layerwise(network: Network, left: Factors, right: Factors) -> Parts:
    """σσᵀ/m and Γ between P and Q points, for every layer; arrays of NumPy or of JAX."""
    p, q = len(left.activities[0]), len(right.activities[0])
    features = [
        layer.features(h, k)
        for layer, h, k in zip(network.maps, left.activities, right.activities, strict=True)
    ]
    backward = [
        (g @ s.T).reshape(-1, p, len(s) // q, q).transpose(1, 3, 0, 2)
        for g, s in zip(left.feedback, right.feedback, strict=True)
    ]
    return features, backward


_compiled = jax.jit(layerwise, static_argnums=0)


def _batches(x: Array | np.ndarray, size: int) -> list[Array]:
    x = jnp.asarray(x, jnp.float64)
    return [x[i : i + size] for i in range(0, len(x), size)]
