"""What a test process holds is compiled programs, and it gives them back."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from tests.memory import STATUS, forget_programs, resident

pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="the system does not say")


def test_programs_are_forgotten_above_the_bound_only():
    traced = []

    @jax.jit
    def double(x):
        traced.append(x.shape)  # runs when the program is made
        return 2 * x

    double(jnp.ones(3))
    forget_programs(resident() * 2)
    double(jnp.ones(3))
    assert traced == [(3,)]
    forget_programs(0)
    double(jnp.ones(3))
    assert traced == [(3,), (3,)]


def test_memory_of_programs_comes_back():
    before = resident()
    for size in range(100, 115):
        jax.jit(lambda x: jnp.sin(x @ x.T))(jnp.eye(size))
    grown = resident() - before
    forget_programs(0)
    assert resident() - before < grown / 2
