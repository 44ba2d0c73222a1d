"""Batch normalisation, whose moments are those of the batch it is given: z = (u − mean)/√(var + ε).

Which entries share a moment is the choice. *Per position*, as in the authors' released code, every
row, column and channel has its own mean and variance over the batch alone; *per channel*, as is
usual, the places of an image count as further points. The variance is the biased one, nothing is
learned, and no average is kept from one batch to the next: a batch of test images is normalised by
its own moments.
"""

from __future__ import annotations

from enum import Enum

import jax.numpy as jnp
from jaxtyping import Array, Float

EPSILON = 1e-6
"""ε, inside the root."""


class Norm(Enum):
    """Which moments a batch norm takes."""

    NONE = "none"
    POSITION = "position"
    CHANNEL = "channel"


def normalise(norm: Norm, u: Float[Array, "c H W B"]) -> Float[Array, "c H W B"]:
    """(u − mean)/√(var + ε), differentiable through its moments; points are the last axis."""
    if norm is Norm.NONE:
        return u
    over = (3,) if norm is Norm.POSITION else (1, 2, 3)
    centred = u - jnp.mean(u, over, keepdims=True)
    return centred / jnp.sqrt(jnp.mean(centred**2, over, keepdims=True) + EPSILON)
