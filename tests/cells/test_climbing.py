"""Numbers from flows as accurate as they need: what climbs, how far, and that it is enough."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ntkalign import Settings
from ntkalign.cells import flow as cells_flow
from ntkalign.cells.cell import Cell
from ntkalign.cells.climbing import climb
from ntkalign.cells.flow import Climber, Trial, measure_cell
from ntkalign.cells.trained import FILE, Trained
from ntkalign.flow import options
from ntkalign.flow.options import COARSER, FROM_NEED, KINKED_FROM_NEED, ladder
from ntkalign.flow.trajectory import AtRest, Effort, Flow, Outcome
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.quantities.catalogue import BOOKKEEPING, QUANTITIES, TOLERANCES, tolerance_of
from ntkalign.quantities.measuring import Measurements, groups_of
from ntkalign.quantities.quantity import ErrorFrom, Layers, Quantity
from ntkalign.quantities.series import NEEDED, ZERO, well_enough
from ntkalign.rules import ALIGN_ADA, NORMAL, RULES
from ntkalign.runs.store import Store
from ntkalign.runs.sweep import specify
from tests.runs.test_store import data, looked_up, needs, of, one, same

RUNGS = len(FROM_NEED)

# --- when a number is known well enough -----------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "bound", "size", "enough"),
    [
        (3.0, 3.0 * NEEDED, 0.0, 0.0, True),
        (3.0, 3.01 * NEEDED, 0.0, 0.0, False),
        (-3.0, 3.0 * NEEDED, 0.0, 0.0, True),
        (1e-9, NEEDED, 0.0, 1.0, True),  # the difference of an identity's sides
        (1e-9, NEEDED, 0.0, 0.0, False),
        (2.0, 2.0 * NEEDED, 0.0, 1.0, True),
        (1.0, 0.5, 0.49, 0.0, True),  # no flow mends what the measuring adds
        (1.0, 0.5, 0.4, 0.0, False),
        (0.0, 0.0, 0.0, 0.0, True),
        (ZERO / 2, 1e-10, 0.0, 0.0, True),
        (ZERO / 2, 1e-8, 0.0, 0.0, False),
        (2 * ZERO, 1e-10, 0.0, 0.0, False),
        (math.nan, math.nan, 0.0, 0.0, True),  # nothing moves
        (1.0, math.nan, 0.0, 0.0, False),  # it does by the finer flow
        (1.0, math.inf, math.inf, 0.0, False),
    ],
)
def test_a_number_is_known_well_enough_if_no_flow_is_worth_its_while(
    value, error, bound, size, enough
):
    assert well_enough(value, error, bound, size) is enough


def test_what_is_zero_if_the_proof_is_right_is_compared_with_one():
    of_size_one = {record.name for record in QUANTITIES.values() if record.size}
    assert {"velocity-identity", "sigma-identity", "output-identity", "44-share"} <= of_size_one
    assert not of_size_one & {"44-left", "44-looseness", "sigma-printed", "divergence"}
    assert {record.size for record in QUANTITIES.values()} == {0.0, 1.0}


# --- the ladder -----------------------------------------------------------------------------


def test_who_asks_for_a_tolerance_gets_two_rungs_and_nobody_else_does():
    for kinked in (False, True):
        assert ladder(1e-5, kinked=kinked) == (COARSER * 1e-5, 1e-5)
    assert ladder(None, kinked=False) == FROM_NEED
    assert ladder(None, kinked=True) == KINKED_FROM_NEED
    for rungs in (FROM_NEED, KINKED_FROM_NEED):
        assert list(rungs) == sorted(rungs, reverse=True)
    plain = one(tolerance=None)
    assert plain.ladder == FROM_NEED
    kinked = replace(plain, family=replace(plain.family, activation=ACTIVATIONS["relu"]))
    assert kinked.ladder == KINKED_FROM_NEED


def climbed(highest, groups=("weight-drift", "divergence"), rungs=RUNGS, ends=()):
    """What each group reached if it needs such a rung, and which were looked at on each."""
    wanted, asked = groups_of(groups), []

    def look(waiting, rung):
        asked.append((rung, [group[0].name for group in waiting]))
        return {
            group: Measurements({(None, "q"): (float(rung), 0.0)}, {}, rung >= highest[name])
            for group in waiting
            if (name := group[0].name, rung) not in ends
        }

    found = climb(wanted, look, rungs)
    for reached in found.values():  # the last that was found
        assert reached.measurements.numbers[None, "q"] == (reached.rung, 0.0)
    return {group[0].name: reached.rung for group, reached in found.items()}, asked


def test_a_group_that_is_known_well_enough_does_not_climb_and_another_does():
    found, asked = climbed({"weight-drift": 1, "divergence": 2})
    assert found == {"weight-drift": 1, "divergence": 2}
    assert asked == [(1, ["weight-drift", "divergence"]), (2, ["divergence"])]


def test_the_last_rung_is_the_last():
    found, asked = climbed({"weight-drift": 1, "divergence": 100})
    assert found == {"weight-drift": 1, "divergence": RUNGS - 1}
    assert [rung for rung, _ in asked] == list(range(1, RUNGS))
    assert climbed({"weight-drift": 9, "divergence": 9}, rungs=2)[0] == {
        "weight-drift": 1,
        "divergence": 1,
    }


def test_a_rung_without_a_flow_is_passed_over_and_what_is_known_stays():
    both = {"weight-drift": 3, "divergence": 3}
    found, asked = climbed(both, ends={("divergence", 2)})
    assert found == both
    assert asked[1:] == [(2, ["weight-drift", "divergence"]), (3, ["weight-drift", "divergence"])]
    found, _ = climbed(both, ends={("divergence", 2), ("divergence", 3)})
    assert found == {"weight-drift": 3, "divergence": 1}
    never = {("divergence", rung) for rung in range(RUNGS)}
    assert climbed(both, ends=never)[0] == {"weight-drift": 3}


# --- flows, without training any ------------------------------------------------------------


class Fake(AtRest):
    """A flow that was not trained: it knows its tolerance, and what it would have started from."""

    tolerance: float
    guess: Flow | None

    @classmethod
    def made(cls, problem, which, effort, outcome, guess):
        rest = AtRest.of(problem, which.rule)
        flow = cls(problem, which.rule, rest.delta, rest.output, outcome, effort)
        vars(flow).update(tolerance=which.ladder[-1], guess=guess)
        return flow


@pytest.fixture
def fakes(monkeypatch):
    """Trials whose flows are made up; what was solved, in order."""
    monkeypatch.setattr(QUANTITIES, "_things", dict(QUANTITIES))
    solved = []

    def solve(self, which, engine, guess):
        solved.append((which.rule.name, which.ladder[-1], engine))
        failed = which.rule.name, len(which.ladder) - 1
        dense = engine == "dense" or failed in fakes.dense
        effort = Effort("dense" if dense else "spectral", 1, 1, None)
        outcome = Outcome.NOT_FINITE if failed in fakes.failing else Outcome.REACHED
        outcome = Outcome.NOT_CONVERGED if failed in fakes.stalling else outcome
        return Fake.made(self.problem, which, effort, outcome, guess)

    fakes = SimpleNamespace(solved=solved, failing=set(), stalling=set(), dense=set())
    monkeypatch.setattr(Trial, "solve", solve)
    return fakes


def own(name, error, references=()):
    """A quantity that is 1, and off by what ``error`` makes of the flow's tolerance."""

    def function(seen):
        looked.append((seen.flow.tolerance, *(seen.references[n].tolerance for n in references)))
        return {(None, name): (np.array([1.0 + error(seen.flow.tolerance)]), np.zeros(1))}

    looked = []
    QUANTITIES.register(Quantity(name, "q", Layers.WHOLE, function, references=references))
    return looked


def found(rule, *names):
    trial = Trial.of(one(tolerance=None), RULES.built_in)
    return trial, Climber(trial, rule).measured(frozenset(names))


def value(measured, name):
    return measured[None, name, None][0]


def test_each_group_climbs_as_far_as_it_needs_by_flows_that_are_solved_once(fakes):
    easy, hard = own("easy", lambda t: t), own("hard", lambda t: 1e4 * t)
    _, measured = found(NORMAL, "easy", "hard")
    # above the first rung no other engine is tried
    engines = ("auto", "auto", *("spectral",) * (len(FROM_NEED) - 2))
    assert fakes.solved == [("normal", *flow) for flow in zip(FROM_NEED, engines, strict=True)]
    assert easy == [(1e-6,), (3e-5,)]
    assert hard == [(1e-6,), (3e-5,), (3e-8,), (1e-9,)]  # each flow measured once
    assert value(measured, "easy-tolerance") == 1e-6
    assert value(measured, "hard-tolerance") == 1e-9
    assert value(measured, "hard") == 1 + 1e4 * 1e-9
    assert measured[None, "hard", None][1] == pytest.approx(1e4 * (3e-8 - 1e-9), rel=1e-6)
    for name in ("easy", "hard"):  # by itself each is the same
        alone = found(NORMAL, name)[1]
        assert alone.items() <= measured.items()


def test_what_never_is_known_well_enough_has_the_error_of_the_last_rung(fakes):
    own("hopeless", lambda t: t**0.1)
    _, measured = found(NORMAL, "hopeless")
    assert value(measured, "hopeless-tolerance") == FROM_NEED[-1]
    assert measured[None, "hopeless", None][1] == pytest.approx(3e-8**0.1 - 1e-9**0.1)


def test_flows_are_compared_with_others_of_the_same_rung(fakes):
    looked = own("apart", lambda t: 300 * t, references=("normal", "linearised"))
    trial, _ = found(ALIGN_ADA, "apart")
    assert looked == [(t, t, t) for t in (1e-6, 3e-5, 3e-8)]
    assert len(set(fakes.solved)) == len(fakes.solved) == 9
    # gradient descent is looked at again by other rules; of the others only the last pair stays
    kept = sorted((which.rule.name, which.ladder[-1]) for which in trial._made)
    assert kept == [
        ("align-ada", 3e-8), ("linearised", 3e-8), ("normal", 3e-8), ("normal", 1e-6),
        ("normal", 3e-5),
    ]  # fmt: skip


def test_a_flow_starts_from_the_one_below_and_the_first_from_gradient_descent(fakes):
    trial = Trial.of(one(tolerance=None), RULES.built_in)
    fine, coarse = trial.pair(ALIGN_ADA, 2)
    assert fine.guess is coarse
    assert coarse.guess.rule is ALIGN_ADA
    assert coarse.guess.guess is trial.pair(NORMAL)[1]
    assert trial.pair(NORMAL)[1].guess is None


def test_a_flow_and_its_companion_are_of_one_engine(fakes):
    fakes.dense.add(("normal", 1))
    trial = Trial.of(one(tolerance=None), RULES.built_in)
    assert trial.pair(NORMAL, 1)[1].effort.engine == "dense"
    engines = [[flow.effort.engine for flow in trial.pair(NORMAL, rung)] for rung in (1, 2, 3)]
    assert engines == [["dense"] * 2] * 3
    assert fakes.solved == [
        ("normal", 3e-5, "auto"), ("normal", 1e-6, "auto"), ("normal", 3e-5, "dense"),
        ("normal", 3e-8, "dense"), ("normal", 1e-9, "dense"),
    ]  # fmt: skip


def test_where_a_finer_flow_fails_the_number_keeps_its_error(fakes):
    own("hard", lambda t: 1e4 * t)
    fakes.failing.add(("normal", 2))
    _, measured = found(NORMAL, "hard")
    assert value(measured, "hard-tolerance") == 1e-6
    assert measured[None, "hard", None][1:] == (pytest.approx(1e4 * (3e-5 - 1e-6)), "ok")
    fakes.failing.add(("normal", 1))
    _, measured = found(NORMAL, "hard")
    assert measured[None, "hard", None][2] == f"normal {Outcome.NOT_FINITE.value}"
    assert (None, "hard-tolerance", None) not in measured


def test_what_diverges_is_not_tried_again(fakes):
    own("hard", lambda t: 1e4 * t)
    fakes.failing.add(("normal", 2))
    found(NORMAL, "hard")
    assert [tolerance for _, tolerance, _ in fakes.solved] == list(FROM_NEED[:3])


def test_a_rung_on_which_the_iteration_stalls_is_passed_over(fakes):
    looked = own("hard", lambda t: 1e4 * t)
    fakes.stalling.add(("normal", 2))
    trial, measured = found(NORMAL, "hard")
    assert looked == [(1e-6,), (3e-5,), (1e-9,)]
    assert value(measured, "hard-tolerance") == 1e-9
    # the last one that did not stall tells its error, and is what it starts from
    assert measured[None, "hard", None][1:] == (pytest.approx(1e4 * (1e-6 - 1e-9)), "ok")
    fine, coarse = trial.pair(NORMAL, 3)
    assert fine.guess is coarse
    assert coarse.tolerance == 1e-6
    assert len(set(fakes.solved)) == len(fakes.solved) == 4


def test_one_is_compared_with_another_that_stalls(fakes):
    looked = own("apart", lambda t: 1e4 * t, references=("normal",))
    fakes.stalling.add(("normal", 2))
    _, measured = found(ALIGN_ADA, "apart")
    assert looked == [(1e-6, 1e-6), (3e-5, 3e-5), (1e-9, 1e-9), (3e-8, 1e-6)]
    assert measured[None, "apart", None][1] == pytest.approx(1e4 * (3e-8 - 1e-9))
    assert len(set(fakes.solved)) == len(fakes.solved) == 8


def test_where_a_tolerance_is_asked_for_nothing_climbs_and_no_row_is_added(fakes):
    own("hopeless", math.sqrt)
    measured = Climber(Trial.of(one(tolerance=1e-4)), NORMAL).measured(frozenset({"hopeless"}))
    assert [t for _, t, _ in fakes.solved] == [COARSER * 1e-4, 1e-4]
    assert measured.keys() == {(None, "hopeless", None)}


def test_what_measuring_states_itself_does_not_climb(fakes):
    QUANTITIES.register(
        Quantity("sampled", "q", Layers.WHOLE, lambda seen: {(None, "sampled"): (np.ones(1),) * 2},
                 error_from=ErrorFrom.MEASURING)
    )  # fmt: skip
    assert value(found(NORMAL, "sampled")[1], "sampled-tolerance") == 1e-6


# --- networks -------------------------------------------------------------------------------

ASKED = needs(normal="weight-drift discrepancy", align_ada="divergence feedback-drift")
SPREAD = Settings(points=3, depth=3, time=1.0, rules=("align-ada",))


def network(**changes):
    return specify(replace(SPREAD, **changes), "theory", data(), Cell("main", 24, 0))


def numbers(rows):
    return {row[3:7]: (row.value, row.error) for row in rows if row.quantity not in BOOKKEEPING}


def beyond(rows, truth):
    """Numbers that are off by more than both say."""
    return [n for n, (v, e) in numbers(rows).items() if abs(v - truth[n][0]) > e + truth[n][1]]


LOOSE = 1e-1, 3e-2, 1e-3, 1e-5
"""A ladder that small networks climb, too."""


@pytest.mark.parametrize("rungs", [FROM_NEED, LOOSE], ids=["usual", "loose"])
def test_numbers_are_those_of_a_tight_flow_within_what_is_stated_and_needed(rungs, monkeypatch):
    monkeypatch.setattr(options, "FROM_NEED", rungs)
    rows = measure_cell(network(), ASKED)
    truth = numbers(measure_cell(network(tolerance=1e-9), ASKED))
    assert numbers(rows).keys() == truth.keys()
    assert not beyond(rows, truth)
    for value, error in numbers(rows).values():
        assert error <= NEEDED * value
    used = {row.quantity: row.value for row in rows if row.quantity in TOLERANCES}
    assert set(used) == {tolerance_of(q) for quantities in ASKED.values() for q in quantities}
    assert set(used.values()) <= set(rungs[1:])
    assert rungs is FROM_NEED or len(set(used.values())) > 1  # some need more than others
    # controls: it is the errors that say so, and the first rung alone would not be enough
    assert beyond([row._replace(value=1.001 * row.value, error=0.0) for row in rows], truth)
    loose = measure_cell(network(tolerance=1e-2), ASKED)
    assert any(error > NEEDED * value for value, error in numbers(loose).values())


def test_what_is_asked_for_changes_no_number(tmp_path, monkeypatch):
    """Neither what else is asked, nor what was asked before, nor kept flows: to the last bit."""
    monkeypatch.setattr(options, "FROM_NEED", LOOSE)
    together = measure_cell(network(), ASKED)
    kept, store = Trained(tmp_path / FILE, "this code"), Store()
    for _ in range(2):
        for rule, quantities in ASKED.items():
            for quantity in quantities:
                alone = measure_cell(network(), {rule: frozenset({quantity})}, trained=kept)
                wanted = {row[3:7] for row in alone}
                assert same(alone, [row for row in together if row[3:7] in wanted]), quantity
                asked = {rule: frozenset({quantity})}
                assert looked_up(store, network(), asked, measure_cell)
    stored = looked_up(store, network(), ASKED, measure_cell)
    assert same(stored, of(None, network(), ASKED, measure_cell))
    (rule, quantities), *_ = ASKED.items()
    first = min(quantities)
    rows = looked_up(store, network(), {rule: frozenset({first})}, measure_cell)
    assert {row.quantity for row in rows} & TOLERANCES == {tolerance_of(first)}


def test_flows_that_are_not_looked_at_any_more_are_forgotten(monkeypatch):
    held, begin = [], Trial.begin

    def begun(self, rule, later):
        begin(self, rule, later)
        held.append((rule.name, {which.rule.name for which in self._made}))

    monkeypatch.setattr(cells_flow.Trial, "begin", begun)
    asked = needs(normal="weight-drift", align_zero="linearisation-gap", align_ada="weight-drift")
    measure_cell(network(tolerance=1e-3), asked)
    assert held == [("normal", set()), ("align-zero", {"normal"}), ("align-ada", {"normal"})]
