"""Float64 for a while: importing this package changes nothing in JAX.

What is claimed of wide networks is measured in float64, but JAX computes in float32 unless it is
told otherwise, and to tell it for good would change what other code in the process computes. So
each function here that computes for its caller does it in a scope:

    with float64():
        jnp.ones(3).dtype   # float64; and float32 products are not cut to fewer bits by a GPU
    jnp.ones(3).dtype       # what it was before

A scope belongs to the thread that enters it: a function that is given to another thread enters one
of its own. JAX compiles a function once for each precision, so that a scope never meets a program
compiled for the other.

A float64 array that leaves a scope stays one, but outside JAX rounds results of some operations on
it to float32 (``a * 2``) and of others not (``sin(a)``): compute with it in a scope of your own, or
in NumPy (``np.asarray(a)``). Data for float64 are best given as NumPy arrays: outside a scope
``jnp.asarray`` has rounded them already.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ParamSpec, TypeVar

import jax
import jax.experimental
import jax.numpy as jnp

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def float64() -> Iterator[None]:
    """JAX computes in float64, and float32 products in full, in this thread and scope."""
    with _enable_x64(True), jax.default_matmul_precision("highest"):
        yield


def scope(precision: str) -> AbstractContextManager[Any]:
    """Where a run computes: in float64, or in float32 with products in full."""
    return float64() if precision == "float64" else jax.default_matmul_precision("highest")


def in_float64(function: Callable[P, T]) -> Callable[P, T]:
    """A decorator: the function runs in a scope of its own.

    Returns:
        A function of the same arguments that leaves the caller's precision as it was.

    Raises:
        TypeError: for a generator or a coroutine function, which runs after the scope is left.
    """
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise TypeError(
            f"{function.__qualname__} must return its result; it runs in pieces, between which "
            "others would be in its scope, and it in none: enter float64() inside"
        )

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        with float64():
            return function(*args, **kwargs)

    return inside


def as_given(function: Callable[P, T]) -> Callable[P, T]:
    """A decorator: in a scope if an argument is in float64 (a JAX array of it), else as it is.

    For what a caller may use at either precision: float32 arrays stay float32.

    Returns:
        A function of the same arguments that computes at their precision.
    """
    scoped = in_float64(function)

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        double = any(map(_is_double, jax.tree.leaves((args, kwargs))))
        return (scoped if double else function)(*args, **kwargs)

    return inside


def _is_double(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and leaf.dtype == jnp.float64


def _enable_x64(on: bool) -> Any:
    """The switch; its public name moved."""
    home: Any = jax if hasattr(jax, "enable_x64") else jax.experimental
    return home.enable_x64(on)
