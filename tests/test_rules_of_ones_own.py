"""A rule of the user's own runs on every architecture without knowing which."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign import InputError, Rule, current_activity
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.base import backpropagate
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.fully_connected import FullyConnected
from ntkalign.networks.recurrent import Recurrent
from ntkalign.rules import ALIGN_ADA, NORMAL, RULES, variant
from ntkalign.training.learner import Frozen, Learner, State
from ntkalign.training.losses import MEAN_SQUARE, SQUARE_OVER_TIME
from ntkalign.training.optimisers import OPTIMISERS

TANH = ACTIVATIONS["tanh"]
CASES = {
    "fully connected": (FullyConnected((3, 4, 4, 2), TANH), (5, 3), (5, 2), MEAN_SQUARE),
    "convolutional": (
        Convolutional((4, 4, 2), (3, 2), (1, 2), 2, TANH), (5, 4, 4, 2), (5, 2), MEAN_SQUARE,
    ),
    "recurrent": (Recurrent(4, 6, TANH, slots=5), (5, 6, 1), (5, 6, 1), SQUARE_OVER_TIME),
}  # fmt: skip


def half_and_half(now, start, fixed, e):
    """The mean of two Jacobians: the current one, and that of time 0."""
    current = backpropagate(weights=now, slopes=now, error=e)
    initial = backpropagate(weights=start, slopes=start, error=e)
    return tuple((a + b) / 2 for a, b in zip(current, initial, strict=True))


OWN = Rule("half-and-half", half_and_half, current_activity)


def case(name):
    network, x_shape, y_shape, loss = CASES[name]
    rng = np.random.default_rng(4)
    start = jax.tree.map(jnp.array, network.initialise(jax.random.key(1)))
    now = jax.tree.map(lambda p: p + 0.3 * rng.standard_normal(p.shape), start)
    return (
        network,
        loss,
        start,
        now,
        jnp.array(rng.standard_normal(x_shape)),
        jnp.array(rng.standard_normal(y_shape)),
    )


def gradient(rule, name, now=None):
    network, loss, start, moved, x, y = case(name)
    now = moved if now is None else now
    sgd = OPTIMISERS["sgd"]
    learner = Learner(network, rule, loss, sgd)
    state = State(now, sgd.make(0.0).init(now), ())
    after, _ = jax.jit(learner.step)(state, Frozen(start, ()), 1.0, x, y)
    return jax.tree.map(lambda a, b: a - b, now, after.parameters)


def same(ours, theirs, atol=1e-12):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=atol)


@pytest.mark.parametrize("name", CASES)
def test_the_normal_rule_is_the_gradient_of_the_loss(name):
    network, loss, _, now, x, y = case(name)
    theirs = jax.grad(lambda p: loss.function(network.forward(p, x).output, y))(now)
    same(gradient(NORMAL, name), theirs)


@pytest.mark.parametrize("name", CASES)
def test_a_rule_of_ones_own_is_what_it_says(name):
    parts = [gradient(rule, name) for rule in (NORMAL, ALIGN_ADA)]
    same(gradient(OWN, name), jax.tree.map(lambda a, b: (a + b) / 2, *parts))


@pytest.mark.parametrize("name", CASES)
def test_at_time_0_what_should_be_gradient_descent_is(name):
    start = case(name)[2]
    normal = gradient(NORMAL, name, start)
    for rule in ("align-zero", "align-ada", "align-prop", "linearised"):
        same(gradient(RULES[rule], name, start), normal)


def test_one_reading_of_a_rule_of_ones_own_is_the_other():
    assert variant(OWN, "published") is OWN
    assert variant(ALIGN_ADA, "written") is ALIGN_ADA
    assert variant(ALIGN_ADA, "published").feedback is ALIGN_ADA.published
    assert variant(variant(ALIGN_ADA, "published"), "published").feedback is ALIGN_ADA.published


def test_an_unknown_reading_is_refused():
    with pytest.raises(InputError, match=r"variant \(publishd\) must be one of published, written"):
        variant(ALIGN_ADA, "publishd")
