"""Where randomness comes from: every key is derived from a seed here, and nowhere else.

A key is folded with what the numbers drawn from it belong to:

    root → seed → width: one network of a sweep
         → seed → 0: what the networks of one seed share at all widths (no network has width 0)

so that adding a width or a seed to a sweep changes no other network, and two places that need the
same numbers ask for them by the same name.
"""

from __future__ import annotations

import jax
from jaxtyping import Array, Float, Key

NO_WIDTH = 0


def of_seed(seed: int) -> Key[Array, ""]:
    """The key of a seed."""
    return jax.random.fold_in(jax.random.key(0), seed)


def of_network(seed: int, width: int) -> Key[Array, ""]:
    """The key of one network of a sweep."""
    return jax.random.fold_in(of_seed(seed), width)


def of_shared_outputs(seed: int) -> Key[Array, ""]:
    """The key of what the networks of a seed share at all widths."""
    return jax.random.fold_in(of_seed(seed), NO_WIDTH)


def shared_weights(key: Key[Array, ""], outputs: int, points: int) -> Float[Array, "C P"]:
    """ξ of :mod:`ntkalign.networks.shared_outputs`: independent N(0, 1) numbers."""
    return jax.random.normal(key, (outputs, points))


def shared_bias(key: Key[Array, ""], outputs: int) -> Float[Array, " C"]:
    """The last bias that the networks of a seed share, before β scales it."""
    return jax.random.normal(jax.random.fold_in(key, 1), (outputs,))
