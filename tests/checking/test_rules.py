"""The package's own rules pass the checks of rules, and every kind of fault is told."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign import InputError, Rule, backpropagate, current_activity
from ntkalign.rules import RULES, current_jacobian
from ntkalign.testing import check_rule

on_mlp = partial(check_rule, networks=("mlp",))


@pytest.mark.parametrize("name", RULES)
def test_every_rule_of_the_package_passes(name):
    found = on_mlp(RULES[name])
    assert len(found.passed) == 9
    assert found.skipped == ()
    assert "passed    both engines agree (mlp)" in str(found)


@pytest.mark.parametrize("kind", ["rnn", "cnn"])
@pytest.mark.parametrize("name", RULES)
def test_on_networks_with_tied_weights_too(name, kind):
    ((left_out, reason),) = check_rule(RULES[name], networks=(kind,), engines=False).skipped
    assert (left_out, reason) == (f"both engines agree ({kind})", "it was not asked for")


@pytest.mark.parametrize("kind", ["rnn", "cnn"])
def test_engines_agree_there_too(kind):
    assert len(check_rule(RULES["align-prop"], networks=(kind,)).passed) == 9


def rule(change, **options):
    """Backpropagation, with something done to the error before or to the signals after."""
    return Rule("mine", lambda *a: change(current_jacobian(*a), a[-1]), current_activity, **options)


def test_a_wrong_sign_is_no_fault_of_form():
    assert len(on_mlp(rule(lambda s, e: tuple(-a for a in s))).passed) == 9


def with_state():
    count = itertools.count(1)
    return rule(lambda s, e: tuple(a * float(next(count)) for a in s))


def at_random():
    rng = np.random.default_rng(0)
    return rule(lambda s, e: (*s[:-1], s[-1] * rng.standard_normal()))


def as_far_as_it_moved(now, start, fixed, e):
    """Scaled by n/n, n how far the weights have moved: 0/0 at time 0, where every flow begins."""
    far = jnp.sum((now.weights[0] - start.weights[0]) ** 2)
    return current_jacobian(now, start, fixed, e * (far / far))


def stubborn(key, network):
    return (jnp.asarray(np.random.default_rng().standard_normal(3)),)


FAULTS = {
    "not linear": (
        rule(lambda s, e: (*s[:-1], s[-1] * jnp.abs(e))),
        r"linear in the error \(mlp\): rule mine on mlp must have signals that are linear in the "
        r"error e; got signals of 2e − 3e′ that are off by \S+ in layer 3; because .* do: multiply",
    ),
    "mixes points": (
        rule(lambda s, e: tuple(a - a.mean(axis=0, keepdims=True) for a in s)),
        r"points by themselves \(mlp\): .* must treat each point by itself; got signals that "
        r"change by \S+ when other points are left out; .* or pass dense_only=True",
    ),
    "cast": (
        rule(lambda s, e: tuple(a.astype(jnp.float32).astype(jnp.float64) for a in s)),
        r"float64 \(mlp\): .* must compute in float64 throughout; got float32; .* leave out casts",
    ),
    "a layer too few": (
        rule(lambda s, e: s[:-1]),
        r"a signal for each layer \(mlp\): .* a tuple of 3 arrays from feedback, shaped like u_1",
    ),
    "a list": (rule(lambda s, e: list(s)), r"must return a tuple of 3 arrays .*; got list;"),
    "transposed": (
        rule(lambda s, e: tuple(a.T for a in s)),
        r"got \[\(6, 4\), \(5, 4\), \(2, 4\)\], not \[\(4, 6\), \(4, 5\), \(4, 2\)\]",
    ),
    "wrong activity": (
        Rule("mine", current_jacobian, lambda now, start: now.activities[1:]),
        r"an activity for each layer \(mlp\): .* a tuple of 3 arrays from activity",
    ),
    "random": (
        at_random(),
        r"equal calls, equal signals \(mlp\): .* got a difference of \S+ at a second call; .* "
        r"take random numbers from draw=…",
    ),
    "state": (with_state(), r"equal calls, equal signals \(mlp\): .* keep nothing between calls"),
    "constants": (
        Rule("mine", current_jacobian, current_activity, draw=stubborn),
        r"constants are those of the key \(mlp\): .* must draw the same constants from the same",
    ),
    "NaN": (
        rule(lambda s, e: tuple(a / jnp.linalg.norm(e) * jnp.linalg.norm(e) for a in s)),
        r"finite \(mlp\): .* must have finite signals of the error 0; got NaN or infinity in layer",
    ),
    "NaN at time 0": (
        Rule("mine", as_far_as_it_moved, current_activity),
        r"finite \(mlp\): .* must have finite signals at time 0; got NaN or infinity in layer 1; "
        r".* do not divide by what may be 0",
    ),
    "NumPy": (
        rule(lambda s, e: (*s[:-1], jnp.asarray(np.asarray(e) * 1.0))),
        r"float64 \(mlp\): .* must be traceable by JAX; got Tracer\w+; .* use jax.numpy",
    ),
    "breaks": (
        rule(lambda s, e: s.nothing),
        r"a signal for each layer \(mlp\): rule mine must run; got AttributeError: 'tuple' object "
        r".*\(test_rules\.py, line \d+\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told(name):
    bad, message = FAULTS[name]
    with pytest.raises(AssertionError, match=message) as told:
        on_mlp(bad)
    assert "\n" not in str(told.value)  # and nothing that follows from it


def test_what_mixes_points_on_purpose_runs_on_the_dense_engine():
    bad, _ = FAULTS["mixes points"]
    found = on_mlp(bad, dense_only=True)
    assert [name for name, _ in found.skipped] == [
        "points by themselves (mlp)", "both engines agree (mlp)",
    ]  # fmt: skip
    assert "runs on the dense engine" in str(found)


def test_so_does_what_uses_weights_as_arrays():
    def signs(now, start, fixed, e):
        return backpropagate(weights=jax.tree.map(jnp.sign, now.weights), slopes=now, error=e)

    ((name, reason),) = on_mlp(Rule("signs", signs, current_activity)).skipped
    assert name == "both engines agree (mlp)"
    assert reason.endswith("weights other than by @")


def test_a_rule_may_say_that_it_is_not_for_a_network():
    def only_vectors(now, start, fixed, e):
        if e.ndim > 2:
            raise InputError(
                "network", "rnn", must="be mlp", got="rnn", because="so it is", do="pass mlp"
            )
        return current_jacobian(now, start, fixed, e)

    mine = Rule("mine", only_vectors, current_activity)
    found = check_rule(mine, networks=("mlp", "rnn"), engines=False)
    assert len(found.passed) == 8
    assert [name for name, _ in found.skipped] == ["both engines agree (mlp)", "network rnn"]
    assert "network rnn: the rule says that it is not for it: network (rnn) must be" in str(found)
    with pytest.raises(
        AssertionError, match=r"rule mine must be for one of rnn; got for none: the"
    ):
        check_rule(mine, networks=("rnn",))


def test_an_unknown_network_is_refused():
    with pytest.raises(InputError, match=r"networks \(gnn\) must be one of mlp, rnn, cnn"):
        check_rule(RULES["normal"], networks=("gnn",))
