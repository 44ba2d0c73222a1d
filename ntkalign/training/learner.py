"""One step of training on a minibatch, by any rule on any network.

The rules of :mod:`ntkalign.rules` are defined for e = y − f, the error of gradient flow. Here e is
what the loss says: minus its derivative in the outputs. All else is the same: two forward passes
over the minibatch, of the network as it is and of the frozen one; signals by the rule's feedback;
their products with the rule's activities; and an optimiser that moves along them. What a rule does
not look at is not computed: the compiler drops it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from ntkalign.networks import randomness
from ntkalign.networks.base import Network, Pass
from ntkalign.networks.layers import Parameters
from ntkalign.networks.numpy_draws import Between, draw
from ntkalign.rules import NORMAL, Rule, random_projections, random_weights, shared_projections
from ntkalign.training.losses import Loss, accuracy
from ntkalign.training.optimisers import Optimiser

_DRAWN_BETWEEN: dict[Any, Between] = {
    random_weights: Between.WEIGHTS,
    random_projections: Between.PROJECTIONS,
    shared_projections: Between.SHARED_PROJECTIONS,
}


class Frozen(NamedTuple):
    """What training never changes."""

    start: Parameters  # θ⁰
    constants: Any  # of the rule


class State(NamedTuple):
    """What training changes."""

    parameters: Parameters  # θ^t
    moments: Any  # of the optimiser
    teacher: Any  # State of the Normal network whose error drives this one, or ()


class Step(NamedTuple):
    """What a step tells."""

    loss: Float[Array, ""]  # before the update
    update_norms: Float[Array, " layers"]  # ‖ΔW_l‖_F of the layers that have weights


@dataclass(frozen=True)
class Learner:
    """A network, and how it learns.

    Args:
        network: what is trained.
        rule: by what.
        loss: which loss's error drives it.
        optimiser: what is made of the rule's directions.
    """

    network: Network
    rule: Rule
    loss: Loss
    optimiser: Optimiser

    def start(self, seed: int, dtype: Any, *, legacy: bool = True) -> tuple[State, Frozen]:
        """Everything at time 0.

        Args:
            seed: of all that is drawn.
            dtype: of everything.
            legacy: draw as the paper's code does, in NumPy; else by JAX's keys.

        Returns:
            What training changes, and what it does not.
        """
        between = _DRAWN_BETWEEN.get(self.rule.draw, Between.NOTHING)
        key = randomness.of_seed(seed)
        if legacy:
            parameters, constants = draw(self.network, seed, between)
        else:
            parameters, constants = self.network.initialise(key), ()
        if not legacy or between is Between.NOTHING:
            constants = self.rule.draw(randomness.of_rules(key), self.network)
        start, constants = jax.tree.map(lambda a: jnp.array(a, dtype), (parameters, constants))
        teacher = self._state(start, ()) if self.rule.error == "normal" else ()
        return self._state(start, teacher), Frozen(start, constants)

    def _state(self, start: Parameters, teacher: Any) -> State:
        moments = self.optimiser.make(0.0).init(start)
        return State(jax.tree.map(jnp.copy, start), moments, teacher)

    def step(
        self, state: State, frozen: Frozen, rate: Any, x: Array, y: Array
    ) -> tuple[State, Step]:
        """Learn from one minibatch."""
        teacher, driving = state.teacher, None
        if teacher:
            driving = self._look(NORMAL, teacher.parameters, frozen, x, y).error
            normal = Learner(self.network, NORMAL, self.loss, self.optimiser)
            teacher, _ = normal.step(teacher, frozen, rate, x, y)
        seen = self._look(self.rule, state.parameters, frozen, x, y)
        error = seen.error if driving is None else driving
        signals = self.rule.feedback(seen.now, seen.start, frozen.constants, error)
        direction = self.network.outer(signals, self.rule.activity(seen.now, seen.start))
        moves, moments = self.optimiser.make(rate).update(
            jax.tree.map(jnp.negative, direction), state.moments, state.parameters
        )
        norms = [jnp.sqrt(jnp.sum(m.weight**2)) for m in moves if m.weight is not None]
        moved = optax.apply_updates(state.parameters, moves)
        return State(moved, moments, teacher), Step(seen.loss, jnp.stack(norms))

    def evaluate(
        self, state: State, frozen: Frozen, x: Array, y: Array
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Loss and accuracy on one batch; NaN for an accuracy that the loss gives no sense to."""
        output = self._outputs(self.rule, state.parameters, frozen, x)[0]
        right = accuracy(output, y) if self.loss.classifies else jnp.full((), jnp.nan, output.dtype)
        return self.loss.function(output, y), right

    def _outputs(
        self, rule: Rule, parameters: Parameters, frozen: Frozen, x: Array
    ) -> tuple[Array, Pass, Pass]:
        """f, and the two passes."""
        forward, start = self.network.forward, self.network.frozen(frozen.start, parameters)
        now, first = forward(parameters, x), forward(start, x)
        if rule.output == "network":
            return now.output, now, first
        change = jax.tree.map(jnp.subtract, parameters, start)
        _, moved = jax.jvp(lambda p: forward(p, x).output, (start,), (change,))
        return first.output + moved, now, first

    def _look(
        self, rule: Rule, parameters: Parameters, frozen: Frozen, x: Array, y: Array
    ) -> _Seen:
        output, now, start = self._outputs(rule, parameters, frozen, x)
        loss, slope = jax.value_and_grad(self.loss.function)(output, y)
        return _Seen(loss, -slope, now, start)


class _Seen(NamedTuple):
    loss: Array
    error: Array
    now: Pass
    start: Pass
