"""The alignment score (9) of every layer of a trained network, exact and sampled.

A layer's change is a linear map A from activities to preactivations, A* that of W*. The score is

    S = ‖A* Aᵀ‖_F² / (‖A Aᵀ‖_F ‖A* A*ᵀ‖_F) = ⟨AᵀA, A*ᵀA*⟩ / (‖AᵀA‖_F ‖A*ᵀA*‖_F),

1 where AᵀA and A*ᵀA* agree up to a factor; of a convolution A is the operator on images
(:mod:`ntkalign.networks.operators`).

Sampled (10), noise z ~ N(0, I) on the layer's input makes v = AᵀA z and v* = A*ᵀA* z, and the score
is Σ v·v* / √(Σ v·v Σ v*·v*).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ntkalign.networks.base import Network
from ntkalign.networks.layers import LayerMap, Parameters
from ntkalign.networks.operators import alignment_score


class Sampled(NamedTuple):
    """A score by sampling."""

    score: float  # Σ v·v* / √(Σ v·v Σ v*·v*)
    standard_error: float  # of it, by leaving out one batch of noise at a time


def sampled_score(
    change: Array, star: Array, layer: LayerMap, key: Key[Array, ""], batches: int = 20
) -> Sampled:
    """The sampled score (10) of a layer.

    Args:
        change: W^t − W^0.
        star: W* − W^0.
        layer: whose weights they are.
        key: of the noise.
        batches: of 50 samples each.

    Returns:
        The score and its standard error.
    """
    sums = np.array(
        [_products(layer, change, star, jax.random.fold_in(key, n)) for n in range(batches)], float
    )
    without = sums.sum(axis=0) - sums
    left = _ratio(without)
    spread = (batches - 1) / batches * np.sum((left - left.mean()) ** 2)
    return Sampled(float(_ratio(sums.sum(axis=0))), math.sqrt(spread))


def permuted(weights: Iterable[np.ndarray], seed: int = 99) -> list[np.ndarray]:
    """Weights whose entries are shuffled, layer by layer from one stream: a baseline for scores."""
    stream = np.random.RandomState(seed)
    return [stream.permutation(w.ravel()).reshape(w.shape) for w in weights]


class Score(NamedTuple):
    """How far the change of a layer is aligned with that of W*."""

    layer: int  # from 1, among those that have weights
    exact: float
    sampled: float
    standard_error: float  # of the sampled one
    permuted: float  # exact, with the trained weights' entries shuffled: a baseline


def alignment_scores(
    network: Network, start: Parameters, now: Parameters, star: Parameters, key: Key[Array, ""]
) -> list[Score]:
    """The scores of all layers that have weights.

    Args:
        network: whose layers they are.
        start: parameters of time 0.
        now: those of the network that was trained, W^t.
        star: those of W*, from the same start.
        key: of the noise of sampled scores.

    Returns:
        A score for each layer.
    """
    kept = [at for at, layer in enumerate(start) if layer.weight is not None]
    maps = [network.maps[at] for at in kept]
    before, after, other = (
        [np.asarray(parameters[at].weight, float) for at in kept]
        for parameters in (start, now, star)
    )
    found = []
    for number, (layer, w0, w, shuffled, w_star) in enumerate(
        zip(maps, before, after, permuted(after), other, strict=True), start=1
    ):
        change, along = w - w0, w_star - w0
        kind = start[kept[number - 1]].weight.dtype
        sampled = sampled_score(
            jnp.asarray(change, kind), jnp.asarray(along, kind), layer,
            jax.random.fold_in(key, number),
        )  # fmt: skip
        found.append(
            Score(
                number, alignment_score(change, along, layer), *sampled,
                alignment_score(shuffled - w0, along, layer),
            )
        )  # fmt: skip
    return found


_SAMPLES = 50
"""Of a batch of noise."""


@partial(jax.jit, static_argnums=0)
def _products(layer: LayerMap, change: Array, star: Array, key: Array) -> Float[Array, " 3"]:
    """Σ v·v*, Σ v·v and Σ v*·v* over a batch of noise."""
    image = len(layer.inputs) == 3  # images have their points last
    shape = (*layer.inputs, _SAMPLES) if image else (_SAMPLES, *layer.inputs)
    z = jax.random.normal(key, shape, change.dtype)
    v, w = (layer.through_weight(a, layer.linear(a, z)) for a in (change, star))
    v, w = v / jnp.mean(jnp.abs(v)), w / jnp.mean(jnp.abs(w))
    return jnp.stack([jnp.vdot(v, w), jnp.vdot(v, v), jnp.vdot(w, w)])


def _ratio(sums: np.ndarray) -> Any:
    return sums[..., 0] / np.sqrt(sums[..., 1] * sums[..., 2])
