"""The first page says what was found, whatever that is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ntkalign.cells.cell import Row
from ntkalign.claims.claim import MAIN, Claim, Kind
from ntkalign.claims.theory import (
    DELTA_PERSISTS,
    DISCREPANCY,
    PROPOSITION_1,
    PROPOSITION_2,
    SAMPLED_SCORE,
    SCORE,
    SIGMA_PERSISTS,
    WEIGHT_DRIFT,
)
from ntkalign.quantities.catalogue import EXPANSION
from ntkalign.report.mathematics import typeset
from ntkalign.report.reasons import between, number, shared_reasons, signed
from ntkalign.report.sections import sections
from ntkalign.report.sentences import (
    headline,
    on_assumptions,
    on_chance,
    on_controls,
    remedy,
    sentences,
)
from ntkalign.runs.record import Conduct
from tests.report.made_up import SEEDS, WIDTHS, ask, run


def said(result, verdict):
    """The sentences of a verdict, with what they mean."""
    found = sentences(sections(result, {}, {}), result)[verdict]
    return [f"{one.text} {one.meaning}".strip() for one in found]


def weights(*exponents, **how):
    return run(
        *((ask(WEIGHT_DRIFT, layer=i), p) for i, p in enumerate(exponents, 1)), **how
    )  # fmt: skip


def test_all_hold():
    result = weights(-0.5, -0.5, -0.5)
    assert headline(result) == "All 3 statements hold in this run."
    (text,) = said(result, "holds")
    assert text.startswith("It decays as stated: exponent −0.50, intervals within [")
    assert text.endswith("(Normal, layers 1–3).")
    assert not said(result, "refuted")
    assert not said(result, "undecided")
    assert headline(weights(-0.5)) == "The one statement holds in this run."


def test_a_bound_that_is_loose_is_said_to_be():
    (text,) = said(weights(-1.0, -1.0), "holds")
    assert text.startswith("It decays faster than the stated $O(m^{-1/2})$: exponent −1.00")


def test_a_refutation_names_its_layers_and_what_follows():
    result = weights(0.0, -0.5, -0.5)
    assert headline(result) == "Of 3 statements 2 hold in this run and 1 is refuted as stated."
    (text,) = said(result, "refuted")
    assert text.startswith("It decays more slowly than $O(m^{-1/2})$, if at all: exponent 0.0")
    assert f"(Normal, layer 1). {WEIGHT_DRIFT.if_refuted}" in text
    assert said(result, "holds")[0].endswith("(Normal, layers 2–3).")
    assert headline(weights(0.0, 0.0)) == "All 2 statements are refuted as stated."


def test_what_a_refutation_means_is_said_once_and_for_the_users_own_in_general():
    both = run((ask(DELTA_PERSISTS, layer=2), -0.5), (ask(SIGMA_PERSISTS, layer=2), -0.5))
    first, second = said(both, "refuted")
    assert first.startswith("It decays: exponent −0.5")
    assert first.endswith(DELTA_PERSISTS.if_refuted)
    assert second.endswith("].")
    mine = Claim("mine", "[1]", "it is small", "size of $x", Kind.BOUND, -0.5)
    (text,) = said(run((ask(mine), 0.0)), "refuted")
    assert text.endswith("What is derived from it has no support in these networks.")


def test_nothing_is_decided():
    result = run((ask(DISCREPANCY, layer=1), -0.4, {"spread": 1.5}))
    assert headline(result) == "The one statement is open."
    (text,) = said(result, "undecided")
    assert "neither below −0.25 nor above −0.50" in text
    assert text.endswith("What would decide it: more seeds or larger widths.")


@pytest.mark.parametrize(
    ("how", "remedies"),
    [
        ({"error": 1.0}, "a smaller tolerance of the flow"),
        ({"status": "diverged"}, "values that are all there, positive and of every network"),
    ],
)
def test_failures_are_open_and_say_why(how, remedies):
    result = run((ask(DISCREPANCY, layer=1), -0.5, how))
    (text,) = said(result, "undecided")
    assert text.endswith(f"What would decide it: {remedies}.")
    reason = "Numerical error reaches" if "error" in how else "flows failed"
    assert reason in text
    assert "; pass a" not in text  # it is said as what would decide it


def test_what_was_not_measured_is_open():
    result = run((ask(DISCREPANCY, layer=1), -0.5))
    (finding,) = result.findings
    empty = replace(finding, verdict="undecided", reason="nothing", rate=None, values=(), widths=())
    assert remedy(empty, result) == "measuring it: there are no numbers of it"
    lost = replace(empty, values=((float("nan"),),))
    assert remedy(lost, result) == "networks whose flow does not fail (see the warnings)"


def test_networks_that_move_too_far_need_others():
    moved = [
        Row(MAIN, m, s, "normal", 1, name, None, 0.9, 1e-9, "ok")
        for name in EXPANSION for m in WIDTHS for s in range(SEEDS)
    ]  # fmt: skip
    result = run((ask(DISCREPANCY, layer=1), 0.0), more=moved)
    (finding,) = result.findings
    outside = replace(finding, rate=replace(finding.rate, decides=False), verdict="undecided")
    assert remedy(outside, result).startswith("networks that training moves less: ")


def test_other_kinds_of_statements():
    assert said(run((ask(SCORE, layer=1), -1.0)), "holds")[0].startswith("It decays: exponent −1.")
    assert "does not tend to 0" in said(run((ask(SCORE, layer=1), 0.0)), "refuted")[0]
    assert "does not decay" in said(run((ask(DELTA_PERSISTS, layer=1), 0.0)), "holds")[0]
    zero = run((ask(PROPOSITION_2, rule="align-ada"), -20.0))
    assert said(zero, "holds") == ["It is zero, up to rounding, at every width."]
    mean = run((ask(SAMPLED_SCORE, layer=1), -20.0))
    assert said(mean, "holds") == ["The mean lies within 0.01 of 0."]
    assert said(run((ask(SAMPLED_SCORE, layer=1), 0.0)), "refuted")[0].startswith(
        "The mean does not lie within 0.01 of 0."
    )


def test_a_bound_is_hollow_where_the_relative_gap_does_not_decay():
    result = run((ask(PROPOSITION_1, layer=1), -1.0))
    (finding,) = result.findings
    assert "Relative to" not in said(result, "holds")[0]
    flat = run((ask(SCORE, layer=1), 0.0)).findings[0].rate
    hollow = replace(result, findings=(replace(finding, companion=flat),))
    assert "Relative to what it is a part of it is not shown to decay" in said(hollow, "holds")[0]


def test_outside_the_assumptions_nothing_is_said_against_the_paper():
    result = weights(0.0, -0.5, met=False)
    assert on_assumptions(result).startswith("All statements are outside the paper's assumptions")
    (text,) = said(result, "refuted")
    assert text.endswith("outside the paper's assumptions, of which this says nothing.")
    assert on_assumptions(weights(-0.5)) == ""


def test_controls_that_are_caught_open_and_passed():
    claims = [(ask(WEIGHT_DRIFT, layer=2), -0.5)]
    caught = (ask(WEIGHT_DRIFT, layer=2, control=True, neck=True), 0.0)
    passed = (ask(PROPOSITION_2, rule="fa", control=True), -0.5)
    unclear = (ask(DISCREPANCY, rule="fa", layer=1, control=True), -0.4, {"spread": 1.5})
    assert "no controls in this run" in on_controls(run(*claims))[0]
    (line,) = on_controls(run(*claims, caught))
    assert line == "The one control, which must not hold, was refuted."
    lines = on_controls(run(*claims, caught, passed, unclear))
    assert lines == [
        "Of 3 controls, which must not hold, 1 was refuted and 1 is undecided.",
        "Those that are undecided (Proposition 1: discrepancy) weigh on neither side.",
        "1 passed: the checks of Proposition 2 prove nothing.",
    ]


def test_chance_and_looks():
    assert on_chance(weights(-0.5, -0.5)).endswith("any false refutation is at most 0.05.")
    text = on_chance(weights(-0.5, conduct=Conduct(looks=3, spend=0.125)))
    assert "at most 0.0063 (after 3 looks at the data, of which this one may spend 1/8)" in text


def test_names_of_the_users_are_words():
    name = '<script>$x$ "quoted"'
    mine = Claim("mine", "[1]", "small", name, Kind.BOUND, -0.5)
    result = run((ask(mine, rule=name), -0.5), (ask(mine, rule="normal"), 0.0))
    html = typeset(" ".join(said(result, "holds") + said(result, "refuted")))
    assert "<script>" not in html
    assert "&lt;script&gt;$x$" in html


def test_a_reason_is_said_once_with_the_range_of_its_numbers():
    result = weights(-0.5, -0.5, 0.0)
    reasons = [(len(own), text) for own, text in shared_reasons(result.findings)]
    assert reasons == [
        (2, "the exponent lies below −0.25, at the stated rate"),
        (1, "the exponent lies above −0.50: it decays too slowly, if at all"),
    ]
    first, second, _ = result.findings
    other = [
        replace(first, reason="exponent -0.5 in [-1.0, 0.1]; the tail has 1.25; add seeds"),
        replace(second, reason="exponent -0.4 in [-1.0, 0.1], over widths in the regime,; "
                               "the tail has -1.50; add seeds"),
    ]  # fmt: skip
    assert [text for _, text in shared_reasons(other)][
        -1
    ] == "the tail has −1.50 to 1.25; add seeds"


def test_numbers_have_minus_signs():
    assert [number(v) for v in (-0.501, -0.001, 0.0, 1.0)] == ["−0.50", "0.00", "0.00", "1.00"]
    assert between([-0.5, -1.0, -0.501]) == "−1.00 to −0.50"
    assert between([0.001, -0.001]) == "0.00"
    assert signed("align-0 [-0.5, 1-2] -3") == "align-0 [−0.5, 1-2] −3"
