"""Leaky ReLU with another slope below zero: an activation of one's own.

    ntkalign verify --plugin examples/leaky_relu.py --activation leaky-relu-0.2

σ′ is bounded and σ″ does not exist at 0, which the paper assumes: the run will say of every claim
that its assumptions are not met, and show what is measured all the same.
"""

import jax.numpy as jnp

from ntkalign import Activation, register


def leaky_relu(z):
    """Z above 0, and z/5 below."""
    return jnp.where(z > 0, z, 0.2 * z)


LEAKY = Activation("leaky-relu-0.2", leaky_relu, bounded_first=True, bounded_second=False)
register(LEAKY)
