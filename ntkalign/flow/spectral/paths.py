"""A unit's path across its kinks, given what all others do to it.

On one cell of time a preactivation moves by what others push it, and by its own answer times its
mean slope there; which slope that is depends on the path itself (:func:`crossing`). A unit has one
preactivation for each data point, which move each other: they are gone through again and again
until nothing changes. Cells follow each other, every one from where the last one ended
(:func:`paths`).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ntkalign.networks.activations import Activation

SWEEPS = 8
"""Of the points of a unit, one after the other, in a cell; two are nearly always enough.
What has not settled after so many is left to the relaxation's next iteration."""
SETTLED = 1e-8
"""Mean slopes that change less in a sweep are settled."""
AT = 1e-13
"""A preactivation this close to a kink is on it."""
NEAR = 1e-3
"""And so is one this close as a share of what it may move by in a cell."""
DEAD = 1e-3
"""A unit that moves by less than this share of what it did before its kink has stopped there."""
BEYOND = 10.0
"""It is put so many times farther than what counts as on the kink."""


@partial(jax.jit, static_argnums=0)
def paths(
    activation: Activation,
    at_edges: Array,
    weights: Array,
    z: Array,
    signal: Array,
    answer: Array,
    met: Array,
    start: Array,
) -> tuple[Array, Array, Array]:
    """Each unit's path through the cells, given what others do to it.

    Args:
        activation: σ.
        at_edges: values at the nodes → at the edges of cells, (c + 1, n).
        weights: values at the nodes → integrals up to the nodes, (n, n).
        z: preactivations at the nodes under ``signal``, (n·B, m).
        signal: (n·B, m).
        answer: Θ, (B, B, m).
        met: ∫ b over each cell, (c, B, m).
        start: where the paths begin, (B, m).

    Returns:
        Preactivations at the nodes, mean slopes (c, B, m) and slopes at the end (B, m).
    """
    points, units = len(answer), z.shape[1]
    nodes = at_edges.shape[1]
    each = (len(at_edges) - 1) // (nodes - 1)
    shaped = z.reshape(nodes, points, units)
    own = jnp.tensordot(weights, signal.reshape(nodes, points, units), 1)
    external = shaped - jnp.einsum("pqm,nqm->npm", answer, own)
    pushed = jnp.diff(jnp.tensordot(at_edges, external, 1), axis=0)

    def cell(z: Array, given: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array, Array]]:
        push, b = given
        means, end, last = _one_cell(activation, z, push, answer, b)
        return end, (end, means, last)

    _, (ends, means, last) = jax.lax.scan(cell, start, (pushed, met))
    at_nodes = jnp.concatenate([start[None], ends[each - 1 :: each]])
    return at_nodes.reshape(z.shape), means, last[-1]


def _one_cell(
    activation: Activation, z: Array, push: Array, answer: Array, b: Array
) -> tuple[Array, Array, Array]:
    """Mean slopes, z at the end and the slopes there, of one cell; all (B, m)."""

    def sweep(state: tuple[Any, ...]) -> tuple[Any, ...]:
        count, _, means, beyond, last = state

        def point(p: Array, now: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            own = answer[p, p] * b[p]
            rest = push[p] + jnp.sum(answer[p] * now[0] * b, axis=0) - own * now[0][p]
            found = crossing(activation, z[p], rest, own)
            means, beyond, last = (a.at[p].set(new) for a, new in zip(now, found, strict=True))
            return means, beyond, last

        new, beyond, last = jax.lax.fori_loop(0, len(z), point, (means, beyond, last))
        return count + 1, jnp.max(jnp.abs(new - means)), new, beyond, last

    def unsettled(state: tuple[Any, ...]) -> Array:
        return (state[0] < SWEEPS) & (state[1] > SETTLED)

    start = activation.value_and_slope(z)[1]
    state = jax.lax.while_loop(unsettled, sweep, (0, jnp.inf, start, z, start))
    return state[2], state[3], state[4]


def crossing(
    activation: Activation, z: Array, push: Array, own: Array
) -> tuple[Array, Array, Array]:
    """One cell of a preactivation that moves by ``push`` and by ``own`` times its slope.

    It goes straight to the nearest kink in its way, and from there on with the slope beyond, if
    that carries it on; if it is pushed back from both sides it slides along the kink, with the
    slope between both at which it stands still. Where nothing moves it any more once it is across
    (a ReLU unit that dies), it is put a little beyond, where gradient descent of however small
    steps leaves it: on the kink itself it could come back to life.

    Args:
        activation: σ.
        z: at the cell's beginning.
        push: what others add over the whole cell.
        own: what it would add itself at slope 1.

    Returns:
        The mean slope; how far beyond the kink it is put if it stops there, or 0; and the slope at
        the end.
    """
    places = jnp.asarray(activation.kinks)
    kinks = places.reshape(-1, *(1,) * z.ndim)
    near = places[jnp.argmin(jnp.abs(z[None] - kinks), axis=0)]
    room = AT * (1 + jnp.abs(near)) + NEAR * (jnp.abs(push) + jnp.abs(own))
    on = jnp.abs(z - near) <= room
    here = jnp.where(on, near, z)
    above = jnp.min(jnp.where(kinks > here[None], kinks, jnp.inf), axis=0)
    below = jnp.max(jnp.where(kinks < here[None], kinks, -jnp.inf), axis=0)
    half_way = here + (push + own * slope_of(activation, here)) / 2
    slope = slope_of(activation, jnp.clip(half_way, (below + here) / 2, (here + above) / 2))
    first = jnp.where(on, 0.0, push + own * slope)
    kink = jnp.where(on, near, jnp.where(first > 0, above, below))
    meets = on | (jnp.abs(first) > jnp.abs(kink - here))
    share = jnp.where(meets, jnp.where(on, 0.0, (kink - here) / jnp.where(meets, first, 1.0)), 1.0)
    slope = jnp.where(meets & ~on, slope_of(activation, (here + kink) / 2), slope)
    kink = jnp.where(meets, kink, 0.0)
    tiny = 1e-9 * (1 + jnp.abs(kink))
    right, left = slope_of(activation, kink + tiny), slope_of(activation, kink - tiny)
    up, down = push + own * right, push + own * left
    dies = meets & ~on & (jnp.where(first > 0, jnp.abs(up), jnp.abs(down)) < DEAD * jnp.abs(first))
    rises, falls = up > 0, down < 0
    rises, falls = rises & (~falls | (up >= -down)), falls & (~rises | (up < -down))
    rises, falls = jnp.where(dies, first > 0, rises), jnp.where(dies, first < 0, falls)
    still = jnp.where(own == 0, (left + right) / 2, -push / jnp.where(own == 0, 1.0, own))
    beyond = jnp.where(rises, right, jnp.where(falls, left, still))
    moved = jnp.where(rises, up, jnp.where(falls, down, 0.0))
    bent = slope_of(activation, kink + (1 - share) * moved / 2)
    goes_on = (rises | falls) & (share < 1) & (moved != 0) & ~dies  # else it moves by rounding
    beyond = jnp.where(goes_on, bent, beyond)
    mean = jnp.where(meets, share * slope + (1 - share) * beyond, slope)
    moved = (1 - share) * moved + jnp.where(dies, BEYOND * room * jnp.sign(first), 0.0)
    end = jnp.where(meets, kink + moved, here + first)
    last = jnp.where(meets & ~rises & ~falls, still, slope_of(activation, end))
    last = jnp.where(dies, jnp.where(first > 0, right, left), last)
    return mean, end, last


def slope_of(activation: Activation, z: Array) -> Array:
    """σ′(z), by differentiation: at a kink what JAX gives."""
    return jax.jvp(activation.function, (z,), (jnp.ones_like(z),))[1]
