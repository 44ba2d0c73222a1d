"""What is minimised, and how well a network classifies.

The released code's losses have no factor ½: the mean over points *and* classes of (f − y)² for
images, the sum over steps of the mean over points for sequences. Against L = ½‖f − y‖² the rate η
of the paper is therefore 2/C times the code's for images and twice the code's for sequences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkalign.registry import Registry

Function = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Loss:
    """A loss of a minibatch.

    Args:
        name: how it is called.
        function: ``(f, y) -> a number``, differentiable in f.
        classifies: whether the largest output is the network's answer.
    """

    name: str
    function: Function
    classifies: bool = False


def mean_square(f: Float[Array, "B C"], y: Float[Array, "B C"]) -> Float[Array, ""]:
    """The mean over points and classes of (f − y)²."""
    return jnp.mean((f - y) ** 2)


def square_over_time(f: Float[Array, "B K C"], y: Float[Array, "B K C"]) -> Float[Array, ""]:
    """Σ_k of the mean over points of ‖f_k − y_k‖²."""
    return jnp.sum((f - y) ** 2) / len(f)


def accuracy(f: Float[Array, "B C"], y: Float[Array, "B C"]) -> Float[Array, ""]:
    """The share of points whose largest output is that of their class."""
    right = jnp.argmax(f, axis=-1) == jnp.argmax(y, axis=-1)
    return jnp.mean(right.astype(f.dtype))


MEAN_SQUARE = Loss("mean-square", mean_square, classifies=True)
SQUARE_OVER_TIME = Loss("square-over-time", square_over_time)
LOSSES: Registry[Loss] = Registry("loss", (MEAN_SQUARE, SQUARE_OVER_TIME))
