"""The wanted quantities of two flows: each function once, with the error its record asks for."""

from __future__ import annotations

import re
from functools import cache

import jax
import numpy as np
import pytest

from ntkalign import InputError
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.measuring import measure, references_of
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.quantity import ErrorFrom, Layers, Quantity
from ntkalign.quantities.series import ESTIMATE_FACTOR
from ntkalign.rules import ALIGN_ADA, LINEARISED, NORMAL
from tests.cases import make, solve

pytestmark = pytest.mark.usefixtures("own_records")
TIMES = np.array([0.5, 1.0])


@cache
def flows():
    """Two tolerances of one small flow, and what it is compared with."""
    case = make((3, 6, 5, 2))

    def flow(rule, tolerance):
        return solve(
            case.network, rule, case.start, case.x, case.y, TIMES,
            tolerance=tolerance, key=jax.random.key(3), engine="spectral",
        )  # fmt: skip

    pairs = [[flow(rule, t) for t in (1e-8, 1e-5)] for rule in (ALIGN_ADA, NORMAL, LINEARISED)]
    return [
        Observed(own, {"normal": normal, "linearised": linear}, seed=1)
        for own, normal, linear in zip(*pairs, strict=True)
    ]


def fresh():
    """The same, with nothing kept from another test."""
    return [Observed(s.flow, s.references, s.seed) for s in flows()]


def own(name, result, layers=Layers.WHOLE, error_from=ErrorFrom.LOOSER_FLOW):
    """Register a quantity whose function returns what ``result`` makes of the flow it sees."""
    calls = []

    def function(seen):
        calls.append(seen)
        return result(seen)

    QUANTITIES.register(Quantity(name, "q", layers, function, error_from=error_from))
    return calls


def test_the_catalogues_order_decides_and_not_that_of_the_wish():
    wanted = ["divergence", "misalignment", "activation-drift", "feedback-drift"]
    found = measure(wanted, *fresh()).numbers
    assert found == measure(wanted[::-1], *fresh()).numbers
    quantities = list(dict.fromkeys(name for _, name in found))
    assert quantities == [
        "activation-drift", "activation-drift-relative", "jacobian-drift",
        "jacobian-drift-relative", "feedback-drift", "discrepancy", "discrepancy-relative",
        "alignment-gap", "alignment-gap-relative", "delta-norm", "sigma-norm", "misalignment",
        "divergence", "divergence-relative",
    ]  # fmt: skip
    for quantity in quantities:
        layers = [layer for layer, name in found if name == quantity]
        assert layers == list(QUANTITIES[quantity].layers.of(3))


def test_passes_are_made_once_a_flow_and_jacobians_only_where_they_are_needed(monkeypatch):
    fine, coarse = fresh()
    asked = []
    original = type(fine.flow).observe
    monkeypatch.setattr(
        type(fine.flow),
        "observe",
        lambda self, jacobians=True: asked.append((self, jacobians)) or original(self, jacobians),
    )
    measure(["activation-drift", "jacobian-drift"], fine, coarse)
    assert asked == [(fine.flow, True), (coarse.flow, False)]
    asked.clear()
    measure(["activation-drift"], *fresh())
    assert asked == [(fine.flow, False), (coarse.flow, False)]


@pytest.mark.parametrize("error_from", ErrorFrom)
def test_the_error_is_what_the_record_asks_for(error_from):
    fine, coarse = fresh()

    def result(seen):
        values = np.array([1.0, 2.0]) + (seen is coarse)
        return {(None, "mine"): (values, np.array([0.25, 0.125]))}

    calls = own("mine", result, error_from=error_from)
    value, error = measure(["mine"], fine, coarse).numbers[None, "mine"]
    stated = ESTIMATE_FACTOR * fine.flow.effort.estimate * 2.0
    assert stated > 0
    expected = {
        ErrorFrom.LOOSER_FLOW: 0.25 + stated + 1.0,
        ErrorFrom.ESTIMATE: 0.25 + stated,
        ErrorFrom.MEASURING: 0.25,
    }
    assert value == 2.0
    assert error == pytest.approx(expected[error_from], rel=1e-12)
    assert calls == ([fine, coarse] if error_from is ErrorFrom.LOOSER_FLOW else [fine])


def series(layers, name="mine"):
    return {(layer, name): (np.ones(2), np.zeros(2)) for layer in layers}


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({}, "got more or less than that: mine of layer 1, mine of layer 2; because"),
        (series([1]), "got more or less than that: mine of layer 2;"),
        (series([1, 2, 3]), "got more or less than that: mine of layer 3;"),
        (series([None]), "got more or less than that: mine, mine of layer 1, mine of layer 2"),
        (series([1, 2]) | series([1], "divergence"), "got more or less than that: divergence of"),
        ({(1, "mine"): (np.ones(2), np.zeros(1)), (2, "mine"): (np.ones(2), np.zeros(2))},
         "must be given as values and bounds of shape (times,); got shapes (2,) and (1,)"),
        ({(1, "mine"): (1.0, 0.0), (2, "mine"): (1.0, 0.0)}, "got shapes () and ()"),
        ({(1, "mine"): ([], []), (2, "mine"): ([], [])}, "got shapes (0,) and (0,)"),
    ],
)  # fmt: skip
def test_a_function_returns_what_is_declared_and_nothing_else(returned, message):
    """So a quantity of one's own can neither be forgotten nor replace a built-in one."""
    own("mine", lambda seen: returned, Layers.HIDDEN)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        measure(["divergence", "mine"], *fresh())
    assert str(caught.value).startswith("quantity (mine) must ")


def test_an_unknown_name_is_refused():
    for ask in (lambda name: measure([name], *fresh()), lambda name: references_of([name])):
        with pytest.raises(InputError, match=r"quantity \(divergense\) .* mean 'divergence'"):
            ask("divergense")


def test_references_are_those_of_the_records():
    assert references_of(["weight-drift"]) == ()
    assert references_of(["linearisation-gap", "divergence"]) == ("linearised", "normal")
