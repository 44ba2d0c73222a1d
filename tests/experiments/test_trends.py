"""What the paper says of its numbers: which pairs are compared, and what becomes of a statement."""

from __future__ import annotations

import numpy as np
import pytest

from ntkalign.experiments.catalogue import EXPERIMENTS
from ntkalign.experiments.comparison import Cell, paper_cells
from ntkalign.experiments.judged_trends import DOES_NOT, HOLDS, TOO_FEW, judge_trend
from ntkalign.experiments.quantities import QUANTITIES
from ntkalign.experiments.trends import (
    FIRST,
    LAST,
    Ahead,
    Bound,
    Least,
    Nearer,
    at,
    closes,
    falls,
    grows,
    rule_ahead,
)  # fmt: skip

NOTHING = "no two cells of it were trained"


def cells(quantity="test_accuracy", points=None, spread=None, **by_rule):
    """Numbers of widths 8, 16, 32 …, rule by rule."""
    return [
        Cell({"rule": rule.replace("_", "-"), "width": 8 * 2**n}, quantity, None, value, spread,
             5 if spread else 1, points)
        for rule, values in by_rule.items()
        for n, value in enumerate(values)
    ]  # fmt: skip


def judged(trend, *args, **changes):
    found = judge_trend(trend, cells(*args, **changes))
    return found.verdict, found.reason


ADA = rule_ahead("ada is ahead", "align-ada", "align-zero")


def test_a_rule_ahead_everywhere_holds_and_behind_somewhere_does_not():
    assert judged(ADA, align_ada=[0.3, 0.4], align_zero=[0.2, 0.4]) == (HOLDS, "in 2 of 2 pairs")
    assert judged(ADA, align_ada=[0.3, 0.4], align_zero=[0.2, 0.45]) == (
        DOES_NOT, "in 1 of 2 pairs; not at ×16 by 0.05",
    )  # fmt: skip
    (found,) = [judge_trend(ADA, cells(align_ada=[0.3], align_zero=[0.45]))]
    assert found.as_json() == {
        "statement": "ada is ahead", "verdict": "does not hold",
        "reason": "in 0 of 1 pairs; not at ×8 by 0.15",
    }  # fmt: skip


def test_no_more_than_four_pairs_are_named():
    _, reason = judged(ADA, align_ada=[0.1] * 6, align_zero=[0.2] * 6)
    assert reason.startswith("in 0 of 6 pairs; not at ×8 by 0.1; ×16 by 0.1; ")
    assert reason.endswith("×64 by 0.1 and 2 more")


def test_what_is_not_meant_does_not_count_and_nothing_trained_says_nothing():
    wide = rule_ahead("in wide networks", "align-ada", "fa", width=Least(16))
    assert judged(wide, align_ada=[0.1, 0.4], fa=[0.2, 0.3])[0] == HOLDS
    assert judged(wide, align_ada=[0.1], fa=[0.2]) == (TOO_FEW, NOTHING)
    assert judged(wide, align_ada=[0.1, 0.4]) == (TOO_FEW, NOTHING)


def test_a_run_that_diverged_is_worse_than_any_that_did_not():
    ahead = rule_ahead("", "align-ada", "fa")
    assert judged(ahead, align_ada=[0.1, None], fa=[0.1, 0.2]) == (
        DOES_NOT, "in 1 of 2 pairs; not at ×16, where it diverged",
    )  # fmt: skip
    assert judged(ahead, points=45, align_ada=[0.1], fa=[None])[0] == HOLDS
    assert judged(ahead, align_ada=[None], fa=[None]) == (TOO_FEW, NOTHING)
    faster = rule_ahead("", "align-ada", "fa", "test_loss")
    assert judged(faster, "test_loss", align_ada=[None], fa=[9.0])[0] == DOES_NOT
    assert judged(faster, "test_loss", align_ada=[9.0], fa=[None])[0] == HOLDS
    ratio = Bound("", 0.5, 2.0, "ratio", ("fa", "normal"), "test_loss")
    assert judged(ratio, "test_loss", normal=[1.0], fa=[None])[0] == DOES_NOT
    gap = closes("", "align-ada", "normal")
    assert judged(gap, align_ada=[0.4, None], normal=[0.5, 0.5])[0] == DOES_NOT


@pytest.mark.parametrize("quantity", ["test_loss", "train_loss", "minibatch_loss", "seconds"])
def test_less_of_a_loss_or_of_time_is_better(quantity):
    ahead = rule_ahead("", "normal", "fa", quantity)
    assert judged(ahead, quantity, normal=[1.0], fa=[2.0])[0] == HOLDS
    assert judged(ahead, quantity, normal=[2.0], fa=[1.0])[0] == DOES_NOT
    assert judged(ahead, normal=[2.0], fa=[1.0]) == (TOO_FEW, NOTHING)  # accuracies are not meant


def test_growth_is_from_the_narrowest_network_to_the_widest():
    trend = grows("ada grows", "width", "test_accuracy", rule="align-ada")
    assert judged(trend, align_ada=[0.2, 0.1, 0.3])[0] == HOLDS
    assert judged(trend, align_ada=[0.3, 0.4, 0.25]) == (
        DOES_NOT, "in 0 of 1 pairs; not at align-ada ×32 by 0.05",
    )  # fmt: skip
    assert judged(trend, align_ada=[0.3]) == (TOO_FEW, NOTHING)
    assert judged(trend, fa=[0.3, 0.2]) == (TOO_FEW, NOTHING)


def scores(*told, quantity="score"):
    return [
        Cell({"layer": layer, "width": width}, quantity, None, value)
        for layer, width, value in told
    ]


def test_each_layer_grows_by_itself_from_its_own_narrowest_network():
    told = scores((1, 8, 0.4), (1, 16, 0.6), (2, 8, 0.5), (2, 16, 0.3), (3, 16, 0.1), (3, 32, 0.2))
    found = judge_trend(grows("", "width", "score"), told)
    assert found.reason == "in 2 of 3 pairs; not at layer 2 ×16 by 0.2"


def test_what_falls_is_better_at_its_beginning():
    told = scores((1, 8, 0.6), (2, 8, 0.9), (3, 8, 0.5), (1, 16, 0.4), (3, 16, 0.5))
    found = judge_trend(falls("", "layer", "score"), told)
    assert (found.verdict, found.reason) == (DOES_NOT, "in 1 of 2 pairs; not at ×16 by 0.1")


def test_what_is_said_generally_may_fail_in_some_pairs():
    trend = Ahead("", at(layer=FIRST), at(layer=LAST), "score", generally=True)
    mostly = scores(*((1, w, 0.6) for w in (8, 16, 32)), (2, 8, 0.5), (2, 16, 0.7), (2, 32, 0.5))
    found = judge_trend(trend, mostly)
    assert (found.verdict, found.reason) == (HOLDS, "in 2 of 3 pairs; not at ×16 by 0.1")
    rarely = scores(*((1, w, 0.6) for w in (8, 16)), (2, 8, 0.5), (2, 16, 0.7))
    assert judge_trend(trend, rarely).verdict == DOES_NOT  # half is not generally


def test_quantities_may_be_compared():
    trend = Ahead("", at(quantity="score"), at(quantity="score_permuted"))
    own, shuffled = scores((1, 8, 0.6)), scores((1, 8, 0.1), quantity="score_permuted")
    assert judge_trend(trend, own + shuffled).verdict == HOLDS
    swapped = scores((1, 8, 0.05)) + shuffled
    assert judge_trend(trend, swapped).verdict == DOES_NOT


def test_a_gap_closes_from_the_narrowest_network_to_the_widest():
    trend = closes("the gap closes", "align-ada", "normal")
    assert judged(trend, align_ada=[0.1, 0.4], normal=[0.5, 0.5])[0] == HOLDS
    assert judged(trend, align_ada=[0.6, 0.52], normal=[0.5, 0.5])[0] == HOLDS  # either side
    assert judged(trend, align_ada=[0.4, 0.1], normal=[0.5, 0.5]) == (
        DOES_NOT, "in 0 of 1 pairs; not at ×16 by 0.3",
    )  # fmt: skip
    assert judged(trend, align_ada=[0.1, 0.4]) == (TOO_FEW, NOTHING)


def test_a_rule_may_be_nearer_in_some_settings_than_in_others():
    trend = Nearer("", ("align-ada", "normal"), at(rate=FIRST), at(rate=5.0))

    def told(*values):
        return [
            Cell({"rule": rule, "width": 8, "rate": rate}, "test_accuracy", None, value)
            for rule, rate, value in values
        ]

    normal = [("normal", rate, 0.5) for rate in (0.1, 5.0, 9.0)]
    near = told(*normal, ("align-ada", 0.1, 0.45), ("align-ada", 5.0, 0.3), ("align-ada", 9.0, 0.5))
    assert judge_trend(trend, near).verdict == HOLDS
    far = told(*normal, ("align-ada", 0.1, 0.2), ("align-ada", 5.0, 0.3))
    assert judge_trend(trend, far).verdict == DOES_NOT


def test_a_rule_may_be_nearer_than_a_third_one_from_either_side():
    trend = Nearer("", ("align-ada", "normal"), at(), at(), "test_loss", than=("fa", "normal"))
    for fa in (0.3, 0.7):
        assert judged(trend, "test_loss", normal=[0.5], align_ada=[0.6], fa=[fa])[0] == HOLDS
        assert judged(trend, "test_loss", normal=[0.5], align_ada=[0.2], fa=[fa])[0] == DOES_NOT


def test_bounds_are_of_numbers_of_spreads_of_gaps_and_of_ratios():
    above = Bound("", low=0.5, among=at(rule="normal", width=Least(16)))
    assert judged(above, normal=[0.1, 0.6], fa=[0.1, 0.1])[0] == HOLDS
    assert judged(above, normal=[0.1, 0.4]) == (
        DOES_NOT,
        "in 0 of 1 pairs; not at normal ×16 by 0.1",
    )
    narrow = Bound("", high=0.01, of="spread")
    assert judged(narrow, spread=0.005, normal=[0.5])[0] == HOLDS
    assert judged(narrow, spread=0.02, normal=[0.5])[0] == DOES_NOT
    assert judged(narrow, normal=[0.5]) == (TOO_FEW, NOTHING)
    gap = Bound("", 0.2, 0.3, "gap", ("normal", "fa"))
    assert judged(gap, normal=[0.5], fa=[0.25])[0] == HOLDS
    assert judged(gap, normal=[0.5, 0.5], fa=[0.75, 0.1])[1].startswith("in 0 of 2 pairs")
    ratio = Bound("", high=2.0, of="ratio", rules=("fa", "normal"), quantity="seconds")
    assert judged(ratio, "seconds", normal=[1.0], fa=[1.9])[0] == HOLDS
    assert judged(ratio, "seconds", normal=[1.0], fa=[2.1])[0] == DOES_NOT
    assert judged(ratio, "seconds", normal=[0.0], fa=[0.0]) == (TOO_FEW, NOTHING)
    # 2.1 ± 0.1 and 2.1 ± 0.01, of five seeds
    assert judged(ratio, "seconds", spread=0.1, normal=[1.0], fa=[2.1])[0] == TOO_FEW
    assert judged(ratio, "seconds", spread=0.01, normal=[1.0], fa=[2.1])[0] == DOES_NOT


# --- errors ---------------------------------------------------------------------------------


def test_what_chance_may_have_made_is_not_decided():
    """0.3 and 0.2 of 45 points: errors 0.068 and 0.060; of 4,500 points a tenth."""
    higher, lower = [0.3], [0.2]
    assert judged(ADA, points=4500, align_ada=higher, align_zero=lower)[0] == HOLDS
    assert judged(ADA, points=4500, align_ada=lower, align_zero=higher)[0] == DOES_NOT
    for ada, zero in ((higher, lower), (lower, higher)):
        verdict, reason = judged(ADA, points=45, align_ada=ada, align_zero=zero)
        assert verdict == TOO_FEW
        assert reason.endswith("no more than chance would make")
    _, reason = judged(ADA, points=45, align_ada=lower, align_zero=higher)
    assert "not at ×8 by 0.1 ± 0.091" in reason


def test_many_pairs_together_may_hold_where_one_is_chance():
    assert judged(ADA, points=45, align_ada=[0.3] * 6, align_zero=[0.2] * 6)[0] == HOLDS
    assert judged(ADA, points=45, align_ada=[0.3] * 6, align_zero=[0.2] * 5 + [0.35])[0] == TOO_FEW


def test_seeds_are_an_error_too():
    assert judged(ADA, spread=0.01, align_ada=[0.25], align_zero=[0.2])[0] == HOLDS
    # 5 seeds: 2.33 errors, 1 % of a normal number, are not enough
    assert judged(ADA, spread=0.01, align_ada=[0.216], align_zero=[0.2])[0] == TOO_FEW
    assert judged(ADA, spread=0.1, align_ada=[0.25], align_zero=[0.2])[0] == TOO_FEW
    gap = closes("", "align-ada", "normal")
    told = {"align_ada": [0.3, 0.4], "normal": [0.5, 0.5]}
    assert judged(gap, spread=0.01, **told)[0] == HOLDS
    assert judged(gap, spread=0.2, **told)[0] == TOO_FEW


@pytest.mark.parametrize(("seeds", "widths"), [(2, 1), (5, 1), (5, 7)])
def test_a_handful_of_seeds_decides_no_more_often_than_chance_should(seeds, widths):
    """Two rules that are the same, 400 times: 1 % of wrong decisions either way."""
    rng, found = np.random.default_rng(0), []
    for _ in range(400):
        told = []
        for rule in ("align-ada", "align-zero"):
            draws = rng.normal(0.5, 0.01, (widths, seeds))
            told += [
                Cell({"rule": rule, "width": 8 * 2**n}, "test_accuracy", None, float(row.mean()),
                     float(row.std(ddof=1)), seeds)
                for n, row in enumerate(draws)
            ]  # fmt: skip
        found.append(judge_trend(ADA, told).verdict)
    assert found.count(DOES_NOT) <= 12
    assert found.count(HOLDS) <= 12


@pytest.mark.parametrize("ahead", [0.0, 0.05])
def test_a_true_statement_is_hardly_ever_said_not_to_hold(ahead):
    """Seven widths of 500 points, 300 times: at most 1 % are expected."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(300):
        ada, zero = (rng.binomial(500, 0.3 + a, 7) / 500 for a in (ahead, 0.0))
        told = cells(points=500, align_ada=list(ada), align_zero=list(zero))
        wrong += judge_trend(ADA, told).verdict == DOES_NOT
    assert wrong <= 9


# --- the paper's own numbers ----------------------------------------------------------------

AS_IN_TABLE_6 = "trends are those of Table 6:"
SCORES_GROW = "alignment scores increase with network width"
NOT_OF_ITS_OWN = {
    "table2": {
        # 56.4 ± 0.4 and 55.3 ± 0.7, and 46.9 ± 0.5 and 46.1 ± 0.5, of five seeds
        f"{AS_IN_TABLE_6} Align-ada stays ahead of DFA": "in 1 of 1 pairs, no more than chance",
        f"{AS_IN_TABLE_6} Align-zero stays ahead of FA": "in 1 of 1 pairs, no more than chance",
    },
    "table3": {SCORES_GROW: "in 6 of 7 pairs; not at layer 7 ×512 by 0.026"},
    "figure1": {SCORES_GROW: "in 9 of 10 pairs; not at CIFAR-10 layer 7 ×512 by 0.026"},
    "table10": {
        "Align-ada is 20 to 30 % behind Normal": "in 5 of 7 pairs",  # 32.2 and 31.7 at ×16 and ×32
        "the gap between Align-ada and Normal is smaller at a small rate": "in 6 of 7 pairs",
    },
}
"""Statements that the paper's tables contradict."""


WITH_NUMBERS = [n for n, e in EXPERIMENTS.items() if any(s.paper for s in e.series)]


@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_trends_on_the_papers_own_numbers(name):
    """The paper's statements hold on its own tables, but for those that are named."""
    experiment = EXPERIMENTS[name]
    own = paper_cells(experiment)
    assert own
    assert [cell.spread is not None for cell in own] == [name == "table2"] * len(own)
    for trend in experiment.trends:
        found = judge_trend(trend, own)
        expected = NOT_OF_ITS_OWN.get(name, {}).get(trend.statement)
        if expected is None:
            assert found.verdict == HOLDS, (trend, found)
        else:
            assert found.verdict == (TOO_FEW if "no more than" in expected else DOES_NOT)
            assert found.reason.startswith(expected)


def test_statements_are_about_what_is_shown():
    """Each names quantities, rules and keys that the experiment has."""
    for experiment in EXPERIMENTS.values():
        keys = {*experiment.shown.keys, "quantity"}
        rules = {rule for series in experiment.series for rule in series.rules}
        for trend in experiment.trends:
            assert trend.quantity in QUANTITIES
            wheres = [getattr(trend, n, ()) for n in ("ahead", "behind", "near", "far", "among")]
            said = [pair for where in wheres for pair in where]
            assert {name for name, _ in said} <= keys, trend
            named = {value for name, value in said if name == "rule"}
            assert named | set(getattr(trend, "rules", ())) <= rules, trend
            told = {value for name, value in said if name == "quantity"} or {trend.quantity}
            assert told <= set(experiment.shown.quantities), trend
