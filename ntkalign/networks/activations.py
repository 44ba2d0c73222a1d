"""Nonlinearities σ, each knowing whether it meets the paper's assumption.

Lemma 1 and both propositions assume that σ has bounded first *and* second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkalign.networks.kinks import kinks_of
from ntkalign.precision import as_given
from ntkalign.registry import Registry, by_name, check_legal
from ntkalign.values import function

Elementwise = Callable[[Array], Array]

LEAK = 0.01
"""The slope of leaky ReLU below zero."""


@dataclass(frozen=True)
class Activation:
    """An elementwise nonlinearity σ and what is known of its derivatives.

    Args:
        name: how reports call it.
        function: elementwise and differentiable by JAX almost everywhere.
        bounded_first: whether sup|σ′| is finite.
        bounded_second: whether σ″ exists everywhere and sup|σ″| is finite.

    For a callable of your own both bounds default to False: what is not known to hold is
    reported as outside the paper's assumptions.
    """

    name: str
    function: Elementwise
    bounded_first: bool = False
    bounded_second: bool = False

    def __post_init__(self) -> None:
        check_legal("activation", self.name)
        function("function", self.function)

    def __reduce__(self) -> tuple[Any, ...]:
        return by_name(self, "ntkalign.networks.activations:ACTIVATIONS")

    @property
    def meets_assumptions(self) -> bool:
        """Whether Lemma 1's assumption on σ (bounded σ′ and σ″) is met."""
        return self.bounded_first and self.bounded_second

    @cached_property
    def kinks(self) -> tuple[float, ...]:
        """Where σ′ jumps: 0 for ReLU; nowhere for a smooth σ."""
        return kinks_of(self.function)

    @as_given
    def value_and_slope(
        self, z: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """σ(z) and σ′(z), elementwise."""
        return jax.jvp(self.function, (z,), (jnp.ones_like(z),))


def _gelu(z: Array) -> Array:
    return jax.nn.gelu(z, approximate=False)


def _leaky_relu(z: Array) -> Array:
    return jax.nn.leaky_relu(z, LEAK)


def _linear(z: Array) -> Array:
    return z


ACTIVATIONS: Registry[Activation] = Registry(
    "activation",
    (
        Activation("tanh", jnp.tanh, bounded_first=True, bounded_second=True),
        Activation("erf", jax.scipy.special.erf, bounded_first=True, bounded_second=True),
        Activation("sin", jnp.sin, bounded_first=True, bounded_second=True),
        Activation("softplus", jax.nn.softplus, bounded_first=True, bounded_second=True),
        Activation("gelu", _gelu, bounded_first=True, bounded_second=True),
        Activation("silu", jax.nn.silu, bounded_first=True, bounded_second=True),
        Activation("relu", jax.nn.relu, bounded_first=True, bounded_second=False),
        Activation("leaky-relu", _leaky_relu, bounded_first=True, bounded_second=False),
        Activation("abs", jnp.abs, bounded_first=True, bounded_second=False),
        Activation("linear", _linear, bounded_first=True, bounded_second=True),
    ),
)


def lookup(name: str | Activation | Elementwise) -> Activation:
    """An activation by its name, or one of one's own, as it is or as a callable.

    Returns:
        The activation; if it was a callable, no bounds are known of its derivatives.

    Raises:
        InputError: if the name is unknown, or one's own activation is called like a built-in one.
    """
    if isinstance(name, str):
        return ACTIVATIONS.lookup(name)
    if not isinstance(name, Activation):
        name = Activation(getattr(name, "__name__", "custom"), name)
    ACTIVATIONS.check_name(name)
    return name
