"""Many steps in one compiled program: a whole epoch, or a part of it.

The first and the last step of a part are arguments of the program and not of its compilation. So a
part of any length runs the same instructions, and the numbers do not depend on how an epoch was cut
into parts: neither by a progress bar nor by being killed and resumed.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ntkalign.training.learner import Frozen, Learner, State


class Points(NamedTuple):
    """Points on the device."""

    x: Float[Array, "n ..."]
    y: Float[Array, "n ..."]


class Told(NamedTuple):
    """What the steps of an epoch told; NaN for those that were not taken yet.

    Norms have a row for each step that is logged; with none, they are not computed.
    """

    losses: Float[Array, " steps"]
    update_norms: Float[Array, "logged layers"]

    @classmethod
    def blank(cls, steps: int, logged: int, layers: int, dtype: Any) -> Told:
        """Before the first step."""
        return cls(jnp.full(steps, jnp.nan, dtype), jnp.full((logged, layers), jnp.nan, dtype))


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def train_steps(
    learner: Learner, state: State, told: Told, frozen: Frozen, rate: Any,
    points: Points, order: Int[Array, "rows B"], span: Any,
) -> tuple[State, Told]:  # fmt: skip
    """Take some steps of an epoch.

    Args:
        learner: what is trained, and how.
        state: before the first of them.
        told: what earlier steps of the epoch told; norms of as many steps as it has rows for.
        frozen: what training never changes.
        rate: the learning rate.
        points: all that the order counts.
        order: numbers of points, a row for each step.
        span: three whole numbers: the step that the order's first row belongs to, the first step to
            take, and the one after the last.

    Returns:
        The state after them, and what they told.
    """
    begin, first, last = span

    def body(k: Array, carried: tuple[State, Told]) -> tuple[State, Told]:
        state, told = carried
        batch = order[k - begin]
        state, step = learner.step(state, frozen, rate, points.x[batch], points.y[batch])
        norms = told.update_norms
        if len(norms):
            norms = norms.at[k].set(step.update_norms, mode="drop")
        return state, Told(told.losses.at[k].set(step.loss), norms)

    return jax.lax.fori_loop(first, last, body, (state, told))


@partial(jax.jit, static_argnums=0)
def evaluate(
    learner: Learner, state: State, frozen: Frozen, points: Points, order: Int[Array, "steps B"]
) -> tuple[Float[Array, " steps"], Float[Array, " steps"]]:
    """Loss and accuracy of each of these batches."""

    def one(batch: Array) -> tuple[Array, Array]:
        return learner.evaluate(state, frozen, points.x[batch], points.y[batch])

    return jax.lax.map(one, order)
