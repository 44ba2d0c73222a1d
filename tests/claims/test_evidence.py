"""Damaged tables: no verdict without data, and no question that suffers for another's damage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import InputError
from ntkalign.claims import theory as claims
from ntkalign.claims.claim import Question
from ntkalign.claims.evidence import COLUMNS, gather
from ntkalign.claims.verdicts import JudgingTerms, judge_question
from ntkalign.report.scaling_plots import draw

WIDTHS, SEEDS = (64, 256, 1024, 4096), 6
TERMS = JudgingTerms(widths=WIDTHS, seeds=SEEDS)
DECIDED = {
    Question(claims.WEIGHT_DRIFT, "main", "normal", 1): "holds",
    Question(claims.WEIGHT_DRIFT, "main", "normal", 2): "holds",
    Question(claims.WEIGHT_DRIFT, "main", "align-ada", 1): "refuted",
    Question(claims.FEEDBACK_DRIFT, "main", "align-ada"): "holds",
    Question(claims.JACOBIAN_DRIFT, "main", "normal"): "holds",
    Question(claims.SAMPLED_SCORE, "main", "normal", 1): "holds",
    Question(claims.DELTA_PERSISTS, "main", "normal", 1): "holds",
    Question(claims.SCORE, "main", "normal", 1): "holds",
    Question(claims.WEIGHT_DRIFT, "bottleneck", "normal", 2, control=True): "refuted",
}
"""What the table below says: half the questions have a law of their own, one is zero."""


def values_of(question, rng):
    """For each width and seed."""
    m = np.array(WIDTHS, float)[:, None]
    law = np.exp(0.05 * rng.standard_normal((len(WIDTHS), SEEDS)))
    if question.claim is claims.SAMPLED_SCORE:
        return 0.001 * rng.standard_normal((len(WIDTHS), SEEDS))
    if question.claim is claims.FEEDBACK_DRIFT:
        return 0.0 * law
    if question.claim is claims.DELTA_PERSISTS or DECIDED[question] == "refuted":
        return law
    return m**-0.5 * law


def whole_table():
    rng = np.random.default_rng(0)
    rows = [
        (q.family, width, seed, q.rule, q.layer, q.claim.quantity, value, abs(value) * 1e-6, "ok")
        for q in DECIDED
        for width, row in zip(WIDTHS, values_of(q, rng), strict=True)
        for seed, value in enumerate(row)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"layer": "Int64"})


WHOLE = whole_table()
OWNERS = [q for q in DECIDED for _ in range(len(WIDTHS) * SEEDS)]
"""The question that each row belongs to."""


def answered(question, table, terms=TERMS):
    return judge_question(question, table, assumptions_met=True, terms=terms)


SOUND = {q: answered(q, WHOLE).as_json() for q in DECIDED}


@pytest.mark.parametrize("question", DECIDED)
def test_the_whole_table_decides_every_question(question):
    """The control of all tests below."""
    assert SOUND[question]["verdict"] == DECIDED[question], SOUND[question]["reason"]
    by_itself = answered(question, WHOLE, JudgingTerms()).as_json()
    assert by_itself == SOUND[question]


GARBAGE = {
    "family": ("mian", None, np.nan, 3),
    "rule": ("nromal", None, np.nan, ""),
    "quantity": ("weight-dirft", None, np.nan, 1.0),
    "width": (np.nan, None, 0, -64, 64.5, "x", np.inf, 65, 2**20, pd.NA, True),
    "seed": (np.nan, None, -1, 0.5, "x", np.inf, 99, pd.NA),
    "layer": (99, -1, "x", 1.5, np.inf),
    "value": (np.nan, None, "x", np.inf, -np.inf, "", pd.NA, [], True),
    "error": (np.nan, None, "x", np.inf, -1.0, "", pd.NA, False),
    "status": (np.nan, None, "", 0, "normal diverged", pd.NA),
}
DAMAGE = st.one_of(
    st.tuples(st.just("drop"), st.integers(0, len(WHOLE) - 1), st.none()),
    st.tuples(st.just("double"), st.integers(0, len(WHOLE) - 1), st.none()),
    *(
        st.tuples(st.just(column), st.integers(0, len(WHOLE) - 1), st.sampled_from(bad))
        for column, bad in GARBAGE.items()
    ),
)


def damaged(damages):
    """The table with damages, and the questions whose rows they hit."""
    table = WHOLE.astype(object)
    gone, twice = [], []
    for kind, row, bad in damages:
        if kind == "drop":
            gone.append(row)
        elif kind == "double":
            twice.append(row)
        else:
            table.at[row, kind] = bad
    doubled = table.iloc[[row for row in twice if row not in gone]]
    table = pd.concat([table.drop(index=gone), doubled], ignore_index=True)
    return table, {OWNERS[row] for _, row, _ in damages}


def check(damages):
    table, hit = damaged(damages)
    for question in DECIDED:
        finding = answered(question, table)
        if question in hit:
            assert finding.verdict == "undecided", (damages, question, finding.reason)
            assert finding.reason
            assert finding.rate is finding.p_value is finding.tightness is None
            assert "\n" not in finding.reason
        else:
            assert finding.as_json() == SOUND[question], (damages, question)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("drop", None),
        ("double", None),
        *((column, bad) for column, values in GARBAGE.items() for bad in values),
    ],
)
def test_one_cell_leaves_its_question_undecided_and_no_other(kind, bad):
    """One in each of six questions: of the two kinds without an exponent, and a control too."""
    check([(kind, row, bad) for row in (0, 50, 75, 130, 167, 215)])


@given(st.lists(DAMAGE, min_size=1, max_size=6, unique_by=lambda d: d[:2]))
def test_damage_anywhere_never_decides_a_question(damages):
    check(damages)


@given(st.data())
def test_less_and_less_data_never_decide_more(data):
    """Rows dropped at random, also whole widths and seeds: what is not whole is undecided."""
    keep = np.ones(len(WHOLE), bool)
    for column, lost in (
        ("width", data.draw(st.sets(st.sampled_from(WIDTHS)))),
        ("seed", data.draw(st.sets(st.integers(0, SEEDS - 1)))),
        ("layer", data.draw(st.sets(st.integers(1, 2)))),
    ):
        keep &= ~WHOLE[column].isin(lost).to_numpy()
    left = WHOLE[keep]
    for question in DECIDED:
        there = keep[[owner == question for owner in OWNERS]].sum()
        finding = answered(question, left)
        if there == len(WIDTHS) * SEEDS:
            assert finding.as_json() == SOUND[question]
        elif not question.control:
            assert finding.verdict == "undecided"
        for verdict in (finding.verdict, answered(question, left, JudgingTerms()).verdict):
            assert verdict == "undecided" or there >= 3 * 2


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("question", DECIDED)
def test_without_a_column_nothing_is_decided(column, question):
    finding = answered(question, WHOLE.drop(columns=column))
    assert (finding.verdict, finding.widths) == ("undecided", ())
    assert finding.reason == f"the table of measurements has no (single) column {column}"
    twice = pd.concat([WHOLE, WHOLE[[column]]], axis=1)
    assert answered(question, twice).verdict == "undecided"


@pytest.mark.parametrize("question", DECIDED)
@pytest.mark.parametrize("table", [WHOLE.iloc[:0], pd.DataFrame(columns=list(COLUMNS))])
def test_an_empty_table_says_nothing(question, table):
    """It is not a quantity that is zero: that one would hold."""
    finding = answered(question, table, JudgingTerms())
    assert finding.verdict == "undecided"
    assert finding.reason == f"no measurement of {question.claim.quantity} is in the table"
    assert (finding.error_share, finding.values) == (None, ())


Q = Question(claims.WEIGHT_DRIFT, "main", "normal", 1)


@pytest.mark.parametrize(
    ("damages", "reason"),
    [
        ([("drop", 2, None)], "1 of 24 networks are missing (width 64 seed 2)"),
        ([("double", 2, None)], "some networks are in the table twice: width 64 seed 2"),
        ([("width", 2, "x")], "1 of 24 measurements are of no readable width or seed"),
        ([("seed", 2, None)], "1 of 24 measurements are of no readable width or seed"),
        ([("value", 2, "x")], "1 of 24 networks have no readable value (width 64 seed 2)"),
        ([("error", 2, -1.0)], "1 of 24 networks have no readable error (width 64 seed 2)"),
        ([("status", 2, np.nan)], "1 of 24 networks have no readable status (width 64 seed 2)"),
        ([("status", 2, "W diverged")], "1 of 24 flows failed (width 64 seed 2): W diverged"),
        ([("value", 2, -1.0)], "1 of 24 values are below zero"),
        (
            [("value", row, None) for row in range(1, 6)],
            "5 of 24 networks have no readable value (width 64 seed 1, width 64 seed 2, "
            "width 64 seed 3 and 2 more)",
        ),
        (
            [("drop", row, None) for row in range(18, 24)],
            "it was measured at widths 64, 256, 1024, and not at 64, 256, 1024, 4096",
        ),
        (
            [("drop", row, None) for row in range(5, 24, 6)],
            "5 networks were measured at each width, not 6",
        ),
    ],
)
def test_the_reason_says_what_is_missing(damages, reason):
    finding = answered(Q, damaged(damages)[0])
    assert (finding.verdict, finding.reason) == ("undecided", reason)


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        (WHOLE["width"] < 1024, "(number of seeds: 6; widths: 64, 256)"),
        (WHOLE["seed"] < 1, "(number of seeds: 1; widths: 64, 256, 1024, 4096)"),
    ],
)
def test_too_few_widths_or_seeds_are_named(keep, reason):
    for question in DECIDED:
        finding = answered(question, WHOLE[keep], JudgingTerms())
        assert finding.verdict == "undecided"
        assert finding.reason == (
            f"too few networks {reason}: a verdict needs 3 widths and 2 seeds"
        )


def test_cells_that_are_text_count_as_what_they_say():
    """A column with one bad cell is read as text; the other cells are still numbers."""
    text = WHOLE.astype(object)
    for column in ("width", "seed", "value", "error"):
        text[column] = [repr(v) for v in WHOLE[column].tolist()]
    for question in DECIDED:
        assert answered(question, text).as_json() == SOUND[question]


def test_a_layer_s_rows_are_no_answer_for_the_whole_network():
    question = Question(claims.WEIGHT_DRIFT, "main", "normal")
    assert gather(WHOLE, question, "weight-drift").fault == (
        "no measurement of weight-drift is in the table"
    )


def test_a_companion_that_is_damaged_is_left_out():
    rows = WHOLE[WHOLE["quantity"] == "weight-drift"].assign(quantity="divergence", layer=pd.NA)
    rows = rows[(rows["rule"] == "normal") & (rows["family"] == "main")].iloc[:24]
    beside = rows.assign(quantity="divergence-relative")
    question = Question(claims.PROPOSITION_2, "main", "normal")
    assert answered(question, pd.concat([rows, beside])).companion is not None
    for bad in (beside.iloc[1:], beside.iloc[:0], beside.assign(value="x")):
        finding = answered(question, pd.concat([rows, bad]))
        assert finding.companion is None
        assert finding.verdict == "holds"


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"confidence": 95.0}, r"confidence \(95.0\) must lie between 0 and 1"),
        ({"spend": 0.0}, r"spend \(0.0\) must be above 0 and at most 1"),
    ],
)
def test_terms_are_checked(terms, message):
    with pytest.raises(InputError, match=message):
        JudgingTerms(**terms)


@pytest.mark.parametrize("limit", [None, (1.0, 0.5, 0.25, 0.125)])
def test_what_was_not_measured_is_drawn_as_such(limit):
    sound = replace(answered(Q, WHOLE), limit=limit)
    empty = replace(answered(Q, WHOLE.iloc[:0]), limit=limit)
    fewer = replace(answered(Q, WHOLE.drop(index=range(6))), limit=limit)
    for findings, labels in (
        ([sound, empty], ["Normal: −0.48", "Normal: not measured"]),
        ([empty, fewer, sound], ["Normal: not measured", "Normal", "Normal: −0.48"]),
        ([fewer], ["Normal"]),
        ([empty], ["Normal: not measured"]),
    ):
        axis = draw(Q.claim, findings).axes[0]
        found = [text for text in axis.get_legend_handles_labels()[1] if text.startswith("Normal")]
        assert all(a.startswith(b) for a, b in zip(found, labels, strict=True)), found
