"""Every rule on recurrent networks against plain loops, at weights far from the initial ones."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.layers import Layer
from ntkalign.networks.recurrent import Recurrent
from ntkalign.rules import RULES, VARIANTS, variant
from ntkalign.training.learner import Frozen, Learner, State
from ntkalign.training.losses import SQUARE_OVER_TIME
from ntkalign.training.optimisers import OPTIMISERS
from tests import recurrent_reference as reference

POINTS, STEPS = 3, 5
RELU, TANH = ACTIVATIONS["relu"], ACTIVATIONS["tanh"]
NETWORKS = {
    "relu": Recurrent(4, STEPS, RELU, slots=POINTS),
    "tanh": Recurrent(3, STEPS, TANH, features=2, targets=2, slots=POINTS),
    "no state": Recurrent(3, STEPS, TANH, features=2, targets=2),
}


@cache
def setting(name: str) -> SimpleNamespace:
    network, rng = NETWORKS[name], np.random.default_rng(11)
    start = jax.tree.map(
        lambda p: jnp.array(p) + 0.1 * rng.standard_normal(p.shape),
        network.initialise(jax.random.key(3)),
    )
    now = jax.tree.map(lambda p: p + 0.5 * rng.standard_normal(p.shape), start)
    x = rng.standard_normal((POINTS, STEPS, network.features))
    y = rng.standard_normal((POINTS, STEPS, network.targets))
    net = reference.Net(network.activation.name)
    return SimpleNamespace(network=network, start=start, now=now, x=x, y=y, net=net)


def plain(network, parameters):
    """As the reference has them; no state is a state of zeros."""
    *state, inputs, recurrence, readout = parameters
    zeros = np.zeros((POINTS, network.width))
    return {
        "w_i": np.asarray(inputs.weight),
        "W_h": np.asarray(recurrence.weight), "b_h": np.asarray(recurrence.bias),
        "w_o": np.asarray(readout.weight), "b_o": np.asarray(readout.bias),
        "h_start": np.asarray(state[0].bias) if state else zeros,
    }  # fmt: skip


def moves_of(case, rule, reading):
    network = case.network
    sgd = OPTIMISERS["sgd"]
    learner = Learner(network, variant(RULES[rule], reading), SQUARE_OVER_TIME, sgd)
    constants = RULES[rule].draw(jax.random.key(8), network)
    constants = jax.tree.map(lambda a: a.astype(float), constants)
    teacher = ()
    if rule == "w-star":
        away = jax.tree.map(lambda p: p + 0.2, case.now)
        teacher = State(away, sgd.make(0.0).init(away), ())
    state = State(case.now, sgd.make(0.0).init(case.now), teacher)
    after, told = jax.jit(learner.step)(
        state, Frozen(case.start, constants), 1.0, jnp.array(case.x), jnp.array(case.y)
    )
    moves = jax.tree.map(lambda a, b: a - b, state.parameters, after.parameters)
    return moves, constants, told


def plain_constants(rule, constants):
    if rule == "fa":
        return {"W_h": np.asarray(constants[-2]), "w_o": np.asarray(constants[-1])}
    return np.asarray(constants[0]) if rule.startswith("dfa") else None


@pytest.mark.parametrize("reading", VARIANTS)
@pytest.mark.parametrize("rule", reference.RULES)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_that_of_the_plain_loops(name, rule, reading):
    case = setting(name)
    network = case.network
    if RULES[rule].published is None and reading == "published":
        assert variant(RULES[rule], reading) is RULES[rule]
        return
    moves, constants, told = moves_of(case, rule, reading)
    now, start = plain(network, case.now), plain(network, case.start)
    error = None
    if rule == "w-star":
        away = plain(network, jax.tree.map(lambda p: p + 0.2, case.now))
        error = 2 * (reference.forward(away, case.x, case.net).f - case.y) / POINTS
    theirs = reference.gradient(
        rule, reading, now, start, plain_constants(rule, constants), case.x, case.y, case.net, error
    )
    ours = plain(network, moves)
    trained = set(ours) - ({"h_start"} if network.slots is None else set())
    assert sum(np.abs(theirs[key]).max() > 1e-3 for key in trained) >= 2
    for key in sorted(trained):
        np.testing.assert_allclose(ours[key], theirs[key], atol=1e-11, err_msg=key)
    for norm, key in zip(told.update_norms, ("w_i", "W_h", "w_o"), strict=True):
        np.testing.assert_allclose(norm, np.linalg.norm(theirs[key]), atol=1e-11)
    np.testing.assert_allclose(told.loss, reference.loss(now, case.x, case.y, case.net), atol=1e-11)


def test_as_published_align_ada_lacks_the_error_of_the_same_step_and_all_else_is_the_same():
    case = setting("tanh")
    written, published = (
        plain(case.network, moves_of(case, "align-ada", reading)[0]) for reading in VARIANTS[::-1]
    )
    for key in ("w_i", "W_h", "b_h"):
        assert not np.allclose(written[key], published[key])
    for key in ("w_o", "b_o", "h_start"):
        np.testing.assert_allclose(written[key], published[key])


def test_the_frozen_network_starts_from_the_current_state():
    network = NETWORKS["relu"]
    case = setting("relu")
    frozen = network.frozen(case.start, case.now)
    assert frozen[0] is case.now[0]
    assert frozen[1:] == tuple(case.start[1:])
    assert NETWORKS["no state"].frozen(case.start, case.now) is case.start


def test_without_a_trained_state_the_state_is_zero():
    with_state, without = setting("tanh"), setting("no state")
    zero = Layer(None, jnp.zeros((POINTS, 3)))
    x = jnp.array(without.x)
    np.testing.assert_allclose(
        with_state.network.forward((zero, *without.now), x).output,
        without.network.forward(without.now, x).output,
    )


def test_layers_say_their_shapes_and_costs():
    network = NETWORKS["tanh"]
    assert [layer.parameters.weight is None for layer in network.maps] == [True, *[False] * 3]
    assert network.operations == STEPS * 2 * (3 * 2 + 3 * 3 + 2 * 3)
    assert network.projection_shapes() == ((STEPS + 1, 3, 2),)
    assert network.projection_shapes(shared=True) == ((3, 2),)
    np.testing.assert_allclose(
        np.std(Recurrent(400, 9, TANH).projections(jax.random.key(0))[0]) * 20, 1, atol=0.05
    )
