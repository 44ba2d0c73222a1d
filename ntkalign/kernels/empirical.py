"""Kernels of one network, from the layerwise identity: no Jacobian by parameters.

    Θ(x, x′) = Σ_l Γ_l(x, x′) (σ(z_{l−1}(x))·σ(z_{l−1}(x′))/m_{l−1} + 1),
    Γ_l(x, x′) = ∇_{z_l}f(x)ᵀ ∇_{z_l}f(x′),   equation (6)

A Jacobian by parameters has m_l m_{l−1} entries per point and layer; here rows of m_l are all that
is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow.initial_state import output_basis
from ntkalign.networks.fully_connected import Network, Parameters, backpropagate
from ntkalign.precision import in_float64

BATCH = 512
Parts = tuple[list[np.ndarray], list[np.ndarray]]
"""σσᵀ/m and Γ, layer by layer."""


class Empirical(NamedTuple):
    """Kernels of one network at P and Q points; item l−1 belongs to layer l."""

    ntk: np.ndarray  # Θ, (P, Q, C, C)
    features: tuple[np.ndarray, ...]  # σ(z_{l−1})·σ(z_{l−1})/m_{l−1}, (P, Q)
    backward: tuple[np.ndarray, ...]  # Γ_l, (P, Q, C, C)


@in_float64
def empirical(
    network: Network,
    parameters: Parameters,
    x: Float[Array | np.ndarray, "P d"],
    other: Float[Array | np.ndarray, "Q d"] | None = None,
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
    """
    lefts = _batches(x, batch)
    rights = lefts if other is None else _batches(other, batch)
    blocks: dict[tuple[int, int], Parts] = {}
    for i, left in enumerate(lefts):
        of_left = signals(network, parameters, left)
        for j, right in enumerate(rights):
            if rights is lefts and j < i:  # Θ(x′, x) = Θ(x, x′)ᵀ
                features, backward = blocks[j, i]
                blocks[i, j] = [h.T for h in features], [g.transpose(1, 0, 3, 2) for g in backward]
                continue
            of_right = of_left if right is left else signals(network, parameters, right)
            parts = _layerwise(of_left, of_right, len(left), len(right))
            blocks[i, j] = jax.tree.map(np.asarray, parts)
            del of_right
    rows = [
        jax.tree.map(
            lambda *parts: np.concatenate(parts, axis=1),
            *(blocks[i, j] for j in range(len(rights))),
        )
        for i in range(len(lefts))
    ]
    features, backward = jax.tree.map(lambda *parts: np.concatenate(parts, axis=0), *rows)
    return Empirical(assembled(features, backward), tuple(features), tuple(backward))


@in_float64
def at_once(
    activities: Sequence[Array | np.ndarray], rows: Sequence[Array | np.ndarray]
) -> Empirical:
    """Kernels of P points whose signals are known.

    Args:
        activities: σ(z_{l−1}), each (P, m_{l−1}).
        rows: ∇_{z_l} f, each (C·P, m_l), points fastest.
    """
    points, own = len(activities[0]), (tuple(activities), tuple(rows))
    features, backward = jax.tree.map(np.asarray, _layerwise(own, own, points, points))
    return Empirical(assembled(features, backward), tuple(features), tuple(backward))


def assembled(
    features: list[np.ndarray] | tuple[np.ndarray, ...],
    backward: list[np.ndarray] | tuple[np.ndarray, ...],
) -> Float[np.ndarray, "P Q C C"]:
    """Θ from its layerwise parts."""
    parts = zip(features, backward, strict=True)
    return np.asarray(sum((h + 1)[:, :, None, None] * gamma for h, gamma in parts))


@in_float64
@partial(jax.jit, static_argnums=0)
def signals(
    network: Network, parameters: Parameters, x: Float[Array, "P d"]
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """σ(z_{l−1}), (P, m_{l−1}), and ∇_{z_l}f, (C·P, m_l), for every layer."""
    now = network.forward(parameters, x)
    outputs = network.widths[-1]
    slopes = tuple(jnp.tile(slope, (outputs, 1)) for slope in now.slopes)
    return now.activities, backpropagate(now.weights, slopes, output_basis(network, len(x)))


@partial(jax.jit, static_argnums=(2, 3))
def _layerwise(
    left: tuple[tuple[Array, ...], tuple[Array, ...]],
    right: tuple[tuple[Array, ...], tuple[Array, ...]],
    p: int,
    q: int,
) -> tuple[list[Array], list[Array]]:
    features = [h @ k.T / h.shape[1] for h, k in zip(left[0], right[0], strict=True)]
    backward = [
        (g @ s.T).reshape(-1, p, len(s) // q, q).transpose(1, 3, 0, 2)
        for g, s in zip(left[1], right[1], strict=True)
    ]
    return features, backward


def _batches(x: Array | np.ndarray, size: int) -> list[Array]:
    x = jnp.asarray(x, jnp.float64)
    return [x[i : i + size] for i in range(0, len(x), size)]
