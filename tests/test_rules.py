"""Each rule against automatic differentiation where that defines it, else against plain loops."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import InputError
from ntkalign.flow.dense import _double, _velocity
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.layers import Layer, Parameters
from ntkalign.rules import (
    ALIGN_ADA,
    ALIGN_PROP,
    ALIGN_ZERO,
    DIRECT_FEEDBACK,
    FEEDBACK_ALIGNMENT,
    LAST_LAYER,
    LINEARISED,
    NORMAL,
    RULES,
    W_STAR,
    Rule,
    lookup,
)
from tests import reference
from tests.cases import Case, cases, make, plain


def moved(case: Case, seed: int) -> Parameters:
    """The parameters after some training, here a random step."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: p + 0.3 * rng.standard_normal(p.shape), case.start)


def velocity_of(r, case: Case, now: Parameters):
    """The package's velocity under a rule, as a list of pairs."""
    first, current = (case.network.forward(p, case.x) for p in (case.start, now))
    fixed = _double(r.draw(jax.random.key(99), case.network))
    e = case.y - current.output
    return plain(_velocity(case.network, r, current, first, fixed, e)), fixed, np.asarray(e)


def passes(parameters, case: Case):
    """z, h and true feedback Jacobians of every point, by the plain loops."""
    sigma = case.network.activation.function
    slope = jax.vmap(jax.grad(sigma))
    runs = [reference.forward(parameters, sigma, x) for x in np.asarray(case.x)]
    feedback = [reference.jacobians(parameters, slope, z) for z, _ in runs]
    return [z for z, _ in runs], [h for _, h in runs], feedback, slope


def assert_same(ours, theirs):
    for (w, b), (w_ref, b_ref) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(w, w_ref, atol=1e-11)
        np.testing.assert_allclose(b, b_ref, atol=1e-11)


@given(cases(), st.integers(0, 100))
def test_normal_is_minus_the_gradient_of_the_loss(case, seed):
    now = moved(case, seed)

    def loss(p):
        f = case.network.forward(p, case.x).output
        return 0.5 * jnp.mean(jnp.sum((case.y - f) ** 2, axis=1))

    gradient = jax.grad(loss)(now)
    assert_same(velocity_of(NORMAL, case, now)[0], [(-w, -b) for w, b in plain(gradient)])


@given(cases(), st.integers(0, 100))
def test_the_align_rules_are_equations_15_and_16_and_appendix_g(case, seed):
    now = moved(case, seed)
    _, h0, g0, _ = passes(case.plain, case)
    z, h, _, slope = passes(plain(now), case)
    # Align-prop: the chain rule with W at time 0 and σ′ at the current z
    prop = [reference.jacobians(case.plain, slope, z_i) for z_i in z]
    for r, feedback, activity in ((ALIGN_ZERO, g0, h0), (ALIGN_ADA, g0, h), (ALIGN_PROP, prop, h)):
        ours, _, e = velocity_of(r, case, now)
        assert_same(ours, reference.velocity(feedback, activity, e))


@given(cases(), st.integers(0, 100))
def test_feedback_alignment_goes_through_its_own_fixed_weights(case, seed):
    now = moved(case, seed)
    z, h, _, slope = passes(plain(now), case)
    ours, fixed, e = velocity_of(FEEDBACK_ALIGNMENT, case, now)
    random = [(np.asarray(w), None) for w in fixed]
    feedback = [reference.jacobians(random, slope, z_i) for z_i in z]
    assert_same(ours, reference.velocity(feedback, h, e))


@given(cases(), st.integers(0, 100))
def test_direct_feedback_projects_the_error_straight_to_each_layer(case, seed):
    now = moved(case, seed)
    z, h, _, slope = passes(plain(now), case)
    ours, fixed, e = velocity_of(DIRECT_FEEDBACK, case, now)
    identity = np.eye(case.y.shape[1])
    feedback = [
        [None, *(np.diag(slope(z_i[l])) @ b for l, b in enumerate(fixed, start=1)), identity]
        for z_i in z
    ]
    assert_same(ours, reference.velocity(feedback, h, e))


@given(cases(), st.integers(0, 100))
def test_last_layer_training_moves_the_last_layer_as_gradient_descent_does(case, seed):
    now = moved(case, seed)
    ours, _, _ = velocity_of(LAST_LAYER, case, now)
    assert_same(ours[-1:], velocity_of(NORMAL, case, now)[0][-1:])
    assert all(not w.any() and not b.any() for w, b in ours[:-1])


@given(cases())
def test_at_time_0_every_align_rule_is_gradient_descent(case):
    normal, _, _ = velocity_of(NORMAL, case, case.start)
    for r in (ALIGN_ZERO, ALIGN_ADA, ALIGN_PROP, W_STAR, LINEARISED):
        assert_same(velocity_of(r, case, case.start)[0], normal)


@given(cases())
def test_feedback_is_linear_in_the_error(case):
    first = case.network.forward(case.start, case.x)
    for r in RULES.values():
        fixed = _double(r.draw(jax.random.key(1), case.network))
        once, twice = (r.feedback(first, first, fixed, a * case.y) for a in (1.0, 2.0))
        for s, t in zip(once, twice, strict=True):
            np.testing.assert_allclose(2 * s, t, atol=1e-12)


def test_output_scale_enters_the_feedback_once_and_the_rate_twice():
    plain_case, scaled = make((3, 6, 2), seed=3), make((3, 6, 2), seed=3, output_scale=0.5)
    passes = [c.network.forward(c.start, c.x) for c in (plain_case, scaled)]
    e = plain_case.y
    moves = [
        _velocity(c.network, NORMAL, p, p, (), e)
        for c, p in zip((plain_case, scaled), passes, strict=True)
    ]
    for a, b in zip(*(plain(m) for m in moves), strict=True):
        np.testing.assert_allclose(2 * a[0], b[0])  # η α = α^−1 = 2


def test_rules_draw_constants_of_the_right_size():
    network = make((3, 400, 400, 10)).network
    through = FEEDBACK_ALIGNMENT.draw(jax.random.key(0), network)
    direct = DIRECT_FEEDBACK.draw(jax.random.key(0), network)
    assert [w.shape for w in through] == [(400, 3), (400, 400), (10, 400)]
    assert [b.shape for b in direct] == [(400, 10), (400, 10)]
    assert abs(float(through[1].std()) - 1) < 0.02
    assert abs(float(direct[0].std()) * 20 - 1) < 0.05


def test_an_unknown_rule_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match=r"rules \(align-zer\) must be one of .* 'align-zero'"):
        lookup("align-zer")


def test_parameters_keep_their_structure_under_a_rule():
    case = make((3, 4, 2), activation("erf").name)
    first = case.network.forward(case.start, case.x)
    move = _velocity(case.network, NORMAL, first, first, (), case.y)
    assert jax.tree.structure(move) == jax.tree.structure(case.start)
    assert all(isinstance(layer, Layer) for layer in move)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"error": "nromal"}, r"error \(nromal\) must be one of own, normal; .* 'normal'"),
        ({"output": "Linear"}, r"output \(Linear\) must be one of network, linear"),
        ({"control": "no"}, r"control \(no\) must be True or False"),
        ({"activity": None}, r"activity \(None\) must be a function"),
        ({"draw": 3}, r"draw \(3\) must be a function"),
    ],
)
def test_an_option_of_a_rule_that_is_none_never_means_the_default(options, message):
    plain = Rule.__init__.__wrapped__ if hasattr(Rule.__init__, "__wrapped__") else Rule.__init__
    made = {"name": "mine", "feedback": NORMAL.feedback, "activity": NORMAL.activity} | options
    with pytest.raises(InputError, match=message):
        plain(object.__new__(Rule), **made)
