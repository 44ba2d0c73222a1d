"""Where randomness comes from: every key is derived from a seed here, and nowhere else.

A key is folded with what the numbers drawn from it belong to:

    root → seed → width: one network of a sweep
         → seed → 0: what the networks of one seed share at all widths (no network has width 0)
    network → weights, biases, constants of rules

so that adding a width or a seed to a sweep changes no other network, and two places that need the
same numbers ask for them by the same name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

NO_WIDTH = 0
_RULE_STREAM = 0x52554C45  # a rule's constants never share draws with the weights
BLOCK = 2**22
"""Arrays with more entries are drawn in blocks."""


def of_seed(seed: int) -> Key[Array, ""]:
    """The key of a seed."""
    return jax.random.fold_in(jax.random.key(0), seed)


def of_network(seed: int, width: int) -> Key[Array, ""]:
    """The key of one network of a sweep."""
    return jax.random.fold_in(of_seed(seed), width)


def of_shared_outputs(seed: int) -> Key[Array, ""]:
    """The key of what the networks of a seed share at all widths."""
    return jax.random.fold_in(of_seed(seed), NO_WIDTH)


def of_weights(key: Key[Array, ""]) -> Key[Array, ""]:
    """The key of a network's weights, from the network's."""
    return jax.random.fold_in(key, 0)


def of_biases(key: Key[Array, ""]) -> Key[Array, ""]:
    """The key of a network's biases, from the network's."""
    return jax.random.fold_in(key, 1)


def of_rules(key: Key[Array, ""]) -> Key[Array, ""]:
    """The key of what rules draw once (feedback alignment's weights), from the network's."""
    return jax.random.fold_in(key, _RULE_STREAM)


def shared_weights(key: Key[Array, ""], outputs: int, points: int) -> Float[Array, "C P"]:
    """ξ of :mod:`ntkalign.networks.shared_outputs`: independent N(0, 1) numbers."""
    return jax.random.normal(key, (outputs, points))


def shared_bias(key: Key[Array, ""], outputs: int) -> Float[Array, " C"]:
    """The last bias that the networks of a seed share, before β scales it."""
    return jax.random.normal(jax.random.fold_in(key, 1), (outputs,))


def normal_matrices(key: Key[Array, ""], shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Independent N(0, 1) arrays of these shapes, in float32; large ones block by block."""
    small = [shape for shape in shapes if math.prod(shape) <= BLOCK]
    ends = np.cumsum([math.prod(shape) for shape in small])
    total = int(ends[-1]) if small else 0
    flat = np.asarray(jax.random.normal(jax.random.fold_in(key, 0), (total,), jnp.float32))
    parts = iter(np.split(flat, ends[:-1]))
    return [
        jnp.asarray(next(parts).reshape(shape))
        if math.prod(shape) <= BLOCK
        else _large(jax.random.fold_in(key, number), shape[0], math.prod(shape[1:])).reshape(shape)
        for number, shape in enumerate(shapes, start=1)
    ]


@partial(jax.jit, static_argnums=(1, 2))
def _large(key: Array, rows: int, columns: int) -> Array:
    """N(0, 1) entries, so many rows at a time that little more than the result is held."""
    step = max(s for s in range(1, max(2, BLOCK // columns + 1)) if rows % s == 0)

    def block(number: Array) -> Array:
        return jax.random.normal(jax.random.fold_in(key, number), (step, columns), jnp.float32)

    return jax.lax.map(block, jnp.arange(rows // step)).reshape(rows, columns)
