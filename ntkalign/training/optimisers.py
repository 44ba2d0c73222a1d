"""What is made of a direction: plain gradient descent, or Adam, by optax.

Adam is TensorFlow 1's, which adds its ε to the root *before* the second moment is corrected:

    θ ← θ − η √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε),   β₁ = 0.9, β₂ = 0.999, ε = 1e-8,

where optax.adam adds it after. The two differ where √v is small: ε here is ε/√(1 − β₂ᵗ) there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from ntkalign.registry import Registry

B1, B2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Optimiser:
    """A way to move.

    Args:
        name: how it is called.
        make: from the learning rate η, a number or an array.
    """

    name: str
    make: Callable[[Any], optax.GradientTransformation]


class _Moments(NamedTuple):
    taken: Array  # steps
    first: Any
    second: Any


def tensorflow_adam(rate: Any) -> optax.GradientTransformation:
    """Adam with ε outside the correction of the second moment."""

    def init(parameters: Any) -> _Moments:
        first, second = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
        return _Moments(jnp.zeros((), jnp.int32), first, second)  # no buffer twice: donated

    def update(gradient: Any, state: _Moments, parameters: Any = None) -> tuple[Any, _Moments]:
        taken = state.taken + 1
        first = optax.tree.update_moment(gradient, state.first, B1, 1)
        second = optax.tree.update_moment(gradient, state.second, B2, 2)

        def step(m: Array, v: Array) -> Array:
            t = taken.astype(m.dtype)
            size = rate * jnp.sqrt(1 - B2**t) / (1 - B1**t)
            return -size * m / (jnp.sqrt(v) + EPSILON)

        return jax.tree.map(step, first, second), _Moments(taken, first, second)

    return optax.GradientTransformation(init, update)


OPTIMISERS: Registry[Optimiser] = Registry(
    "optimiser", (Optimiser("sgd", optax.sgd), Optimiser("adam", tensorflow_adam))
)
