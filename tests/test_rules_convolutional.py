"""Every rule on convolutional networks against plain loops, far from the initial weights."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.layers import Layer
from ntkalign.networks.normalisation import Norm
from ntkalign.rules import RULES, VARIANTS, variant
from ntkalign.training.learner import Frozen, Learner, State
from ntkalign.training.losses import MEAN_SQUARE
from ntkalign.training.optimisers import OPTIMISERS
from tests import convolutional_reference as reference

RELU, TANH = ACTIVATIONS["relu"], ACTIVATIONS["tanh"]
NETWORKS = {
    # odd and even sides, strides that pad on one side only, all norms and both forms
    "strided": Convolutional((6, 5, 2), (3, 4, 2), (1, 2, 2), 3, RELU, Norm.POSITION),
    "usual": Convolutional((4, 4, 1), (3, 2), (2, 1), 2, TANH, Norm.CHANNEL, "standard"),
    "plain": Convolutional((5, 4, 2), (3, 3), (1, 3), 2, TANH, Norm.NONE),
}
POINTS = 4


@cache
def setting(name: str) -> SimpleNamespace:
    """A network, data, parameters of time 0 and of some later time, and rules' constants."""
    network, rng = NETWORKS[name], np.random.default_rng(5)
    start = jax.tree.map(jnp.array, network.initialise(jax.random.key(3)))
    start = jax.tree.map(lambda p: p + 0.1 * rng.standard_normal(p.shape), start)  # biases too
    now = jax.tree.map(lambda p: p + 0.5 * rng.standard_normal(p.shape), start)
    x = rng.standard_normal((POINTS, *network.image))
    y = rng.standard_normal((POINTS, network.classes))
    net = reference.Net(network.strides, network.norm.value, network.activation.name, network.form)
    return SimpleNamespace(network=network, start=start, now=now, x=x, y=y, net=net)


def plain(parameters):
    return [(np.asarray(layer.weight), np.asarray(layer.bias)) for layer in parameters]


def plain_constants(rule, constants):
    """Ours have channels first."""
    if rule == "dfa":
        return [np.moveaxis(np.asarray(b), 0, 2) for b in constants]
    return [np.asarray(b) for b in constants]


def moves_of(case, rule, reading):
    """What a step of rate 1 subtracts, and the rule's constants."""
    learner = Learner(case.network, variant(RULES[rule], reading), MEAN_SQUARE, OPTIMISERS["sgd"])
    constants = RULES[rule].draw(jax.random.key(8), case.network)
    constants = jax.tree.map(lambda a: a.astype(float), constants)
    teacher = ()
    if rule == "w-star":
        away = jax.tree.map(lambda p: p + 0.2, case.now)
        teacher = State(away, OPTIMISERS["sgd"].make(0.0).init(away), ())
    state = State(case.now, OPTIMISERS["sgd"].make(0.0).init(case.now), teacher)
    frozen = Frozen(case.start, constants)
    after, told = jax.jit(learner.step)(state, frozen, 1.0, jnp.array(case.x), jnp.array(case.y))
    moves = jax.tree.map(lambda a, b: np.asarray(a - b), state.parameters, after.parameters)
    return plain(moves), constants, told, after


def error_of_teacher(case):
    away = plain(jax.tree.map(lambda p: p + 0.2, case.now))
    f = reference.forward(away, case.x, case.net).f
    return 2 * (f - case.y) / f.size


@pytest.mark.parametrize("reading", VARIANTS)
@pytest.mark.parametrize("rule", reference.RULES)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_that_of_the_plain_loops(name, rule, reading):
    case = setting(name)
    if RULES[rule].published is None and reading == "published":
        assert variant(RULES[rule], reading) is RULES[rule]
        return
    ours, constants, told, _ = moves_of(case, rule, reading)
    theirs = reference.gradient(
        rule, reading, plain(case.now), plain(case.start), plain_constants(rule, constants),
        case.x, case.y, case.net, error_of_teacher(case) if rule == "w-star" else None,
    )  # fmt: skip
    assert sum(np.abs(w).max() > 1e-3 for w, _ in theirs) >= (1 if rule == "last-layer" else 3)
    for number, ((w, b), (w_ref, b_ref)) in enumerate(zip(ours, theirs, strict=True)):
        np.testing.assert_allclose(w, w_ref, atol=1e-12)
        np.testing.assert_allclose(b, b_ref, atol=1e-12)
        np.testing.assert_allclose(told.update_norms[number], np.linalg.norm(w_ref), atol=1e-12)
    np.testing.assert_allclose(
        told.loss, reference.loss(plain(case.now), case.x, case.y, case.net), atol=1e-12
    )


def test_the_teacher_of_w_star_descends_by_itself():
    case = setting("plain")
    *_, after = moves_of(case, "w-star", "written")
    away = jax.tree.map(lambda p: p + 0.2, case.now)
    theirs = reference.gradient(
        "normal", "written", plain(away), plain(case.start), None, case.x, case.y, case.net
    )
    moved = jax.tree.map(lambda a, b: a - b, away, after.teacher.parameters)
    for (w, b), (w_ref, b_ref) in zip(plain(moved), theirs, strict=True):
        np.testing.assert_allclose(w, w_ref, atol=1e-12)
        np.testing.assert_allclose(b, b_ref, atol=1e-12)


def test_the_readings_of_align_ada_differ_where_the_code_does():
    case = setting("strided")
    written, published = (moves_of(case, "align-ada", reading)[0] for reading in VARIANTS[::-1])
    for at, ((w, _), (v, _)) in enumerate(zip(written, published, strict=True)):
        assert np.allclose(w, v) == (at == case.network.depth - 1)


def test_a_linearised_network_starts_as_gradient_descent_and_its_output_is_linear():
    case = setting("plain")
    network, x = case.network, jnp.array(case.x)
    learner = Learner(network, RULES["linearised"], MEAN_SQUARE, OPTIMISERS["sgd"])
    frozen = Frozen(case.start, ())

    def output(share):
        moved = jax.tree.map(lambda a, b: a + share * (b - a), case.start, case.now)
        return learner._outputs(learner.rule, moved, frozen, x)[0]

    zero, one, two = (output(share) for share in (0.0, 1.0, 2.0))
    np.testing.assert_allclose(two - one, one - zero, atol=1e-12)
    slope = (network.forward(
        jax.tree.map(lambda a, b: a + 1e-6 * (b - a), case.start, case.now), x
    ).output - zero) / 1e-6  # fmt: skip
    np.testing.assert_allclose(one - zero, slope, atol=1e-4)


def test_layers_say_their_shapes():
    network = NETWORKS["strided"]
    assert [layer.outputs for layer in network.maps] == [(3, 6, 5), (4, 3, 3), (2, 2, 2), (3,)]
    seen = network.forward(network.initialise(jax.random.key(0)), jnp.ones((POINTS, 6, 5, 2)))
    for layer, u in zip(network.maps[:-1], seen.preactivations, strict=False):
        assert u.shape == (*layer.outputs, POINTS)
    assert seen.output.shape == (POINTS, 3)
    assert all(isinstance(layer, Layer) for layer in network.initialise(jax.random.key(0)))
    # 9·2·3·30 + 9·3·4·9 + 9·4·2·4 + 2·3 products, two operations each
    assert network.operations == 2 * (1620 + 972 + 288 + 6)
    assert network.entries == 90 + 36 + 8 + 3
