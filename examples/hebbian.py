"""A Hebbian-like rule: before times after, times one error signal that all units hear.

    ntkalign verify --plugin examples/hebbian.py --rules align-ada,hebbian --claims proposition-2

Hidden weights move by dW_l ∝ E[ē σ′(z_l) z_l σ(z_{l−1})ᵀ], ē the mean of the outputs' errors: what
a unit itself holds, and a third factor that is the same for all. The last layer learns from its
own error. Which way a hidden unit should move to lower the loss depends on its weights to the
output, of which it hears nothing: of m units as many help as harm, and in the limit the hidden
layers do not change the output. So the rule is a *control*: the run should say of it that
Proposition 2 is refuted, as of last-layer training. With --widths 64,128,256 --seeds 4 it did: the
distance from gradient descent was 0.485, 0.511, 0.498, and that of the last layer alone 0.486,
0.511, 0.497.
"""

import math

import jax.numpy as jnp

from ntkalign import Rule, current_activity, register


def third_factor(key, network):
    """Maps that tell every unit the mean of the errors, in units of 1/√m_l."""
    sizes = zip(network.projection_shapes(), network.projection_sizes, strict=True)
    return tuple(jnp.ones(shape) / (shape[-1] * math.sqrt(m)) for shape, m in sizes)


def hebbian(now, start, fixed, e):
    """s_l = ē σ′(z_l) z_l/√m_l below the last layer."""
    heard = now.network.direct(fixed, now.slopes, e)
    hidden = zip(heard[:-1], now.preactivations[:-1], strict=True)
    return (*(signal * z for signal, z in hidden), e)


HEBBIAN = Rule(
    "hebbian", hebbian, current_activity, draw=third_factor, control=True, title="Hebbian"
)
register(HEBBIAN)
