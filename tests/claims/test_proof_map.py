"""The map of the argument: complete, importable, and its words follow from findings."""

from __future__ import annotations

import pkgutil
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ntkalign import InputError
from ntkalign.claims.catalogue import CLAIMS
from ntkalign.claims.claim import MAIN
from ntkalign.claims.proof import FALSE_STEPS, PROOF_CLAIMS, STEP_OF
from ntkalign.claims.proof_errata import ERRATA
from ntkalign.claims.proof_map import proof_map
from ntkalign.claims.proof_steps import STEPS_OF_THE_PAPER, Nature
from ntkalign.claims.questions import proof_questions
from ntkalign.claims.verdicts import JudgingTerms, judge_question
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.family import Family
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.proof_catalogue import INEQUALITIES, Standing
from ntkalign.rules import ALIGN_ADA, ALIGN_PROP, ALIGN_ZERO, FEEDBACK_ALIGNMENT
from ntkalign.statistics.judgement import Kind, judge_step

FAMILY = Family(3, ACTIVATIONS["tanh"])
RULES = (ALIGN_ZERO, ALIGN_ADA, ALIGN_PROP)
WIDTHS, SEEDS = (64, 256, 1024), 4
TERMS = JudgingTerms(widths=WIDTHS, seeds=SEEDS)
ALL = tuple(proof_questions(FAMILY, RULES))


def law(question):
    """What a quantity may be like: steps are true, false ones false, rates are those stated."""
    claim = question.claim
    if claim.id in STEP_OF:
        standing = STEP_OF[claim.id].standing
        return lambda m: 3.0 if standing is Standing.FALSE else 0.4
    if claim.kind is Kind.IDENTITY:
        return lambda m: 0.1 if "printed" in claim.id else 1e-9
    if claim.kind is Kind.PERSISTS:
        return lambda m: 1.0
    rate = -1.0 if claim.stated_exponent is None else claim.stated_exponent
    return lambda m: m**rate


def table(laws=(), asked=ALL):
    """Measurements for questions; ``laws`` are (claim id, layer or None for all, law)."""
    rng, rows = np.random.default_rng(3), []
    named_laws = {id: f for id, _, f in laws}
    for q in asked:
        own = law(q)
        for id, layer, other in laws:
            if q.claim.id == id and layer in (None, q.layer):
                own = other
        names = [(q.claim.quantity, own)]
        if q.claim.id in STEP_OF:
            step = STEP_OF[q.claim.id]
            left, right = step.sides
            loose = named_laws.get(f"loose {q.claim.id}", lambda m: 5.0)
            names += [(step.looseness, loose), (left, lambda m: m**-0.5),
                      (right, lambda m, loose=loose: m**-0.5 * loose(m))]  # fmt: skip
        for m in WIDTHS:
            for seed in range(SEEDS):
                noise = 1 + 0.02 * rng.standard_normal()
                rows += [
                    (MAIN, m, seed, q.rule, q.layer, name, None, f(m) * noise, 1e-8, "ok")
                    for name, f in names
                ]
    columns = ["family", "width", "seed", "rule", "layer", "quantity", "time", "value", "error",
               "status"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def mapped(*laws, more=(), everything=False):
    """Of the claims that laws are given for and of some more; each takes a while to judge."""
    ids = {*(id.removeprefix("loose ") for id, _, _ in laws), *more}
    asked = [q for q in ALL if everything or q.claim.id in ids]
    data = table(laws, asked)
    findings = [judge_question(q, data, assumptions_met=True, terms=TERMS) for q in asked]
    return proof_map(findings, data, TERMS, met=True)


@pytest.fixture(scope="module")
def usual():
    return mapped(everything=True)


def named(found, name):
    return next(r for r in found.steps if r.step.name == name)


# --- what is declared -----------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS_OF_THE_PAPER, ids=lambda s: s.name)
def test_a_step_is_whole(step):
    assert callable(pkgutil.resolve_name(step.computed_by))
    assert set(step.claims) <= set(CLAIMS)
    assert step.claims or step.nature is not Nature.STATED
    assert step.statement
    assert step.latex.count("{") == step.latex.count("}")
    assert step.checked


def test_every_claim_about_a_step_is_in_the_map_or_a_control():
    shown = {id for step in STEPS_OF_THE_PAPER for id in step.claims}
    assert {c.id for c in PROOF_CLAIMS} - shown == {c.id for c in FALSE_STEPS}
    assert len({s.name for s in STEPS_OF_THE_PAPER}) == len(STEPS_OF_THE_PAPER)
    for step in INEQUALITIES:
        assert {step.share, step.looseness, *step.sides} <= set(QUANTITIES)
    numbers = "".join(s.equation for s in STEPS_OF_THE_PAPER)
    for n in (*range(18, 36), *range(39, 45), *range(46, 58)):
        inside = n in (33, 34, 27, 28, 45, 53) or f"({n})" in numbers
        assert inside, n


def test_questions_are_of_rules_that_follow_and_of_their_layers():
    asked = {(q.claim.id, q.rule, q.layer): q.control for q in ALL}
    assert asked["proof/41-1", "normal", 3] is False
    assert asked["proof/55", "align-prop", None] is False
    assert asked["proof/44-without-2", "normal", 2] is True
    assert ("proof/41-without-second-term", "normal", 2) not in asked
    assert not any(q.control for q in ALL if q.claim not in FALSE_STEPS)
    only = proof_questions(FAMILY, (*RULES, FEEDBACK_ALIGNMENT), ["proof/54", "proposition-1"])
    assert {(q.claim.id, q.rule) for q in only} == {
        ("proposition-1", "normal"), *(("proof/54", r.name) for r in RULES)
    }  # fmt: skip
    with pytest.raises(InputError, match=r"claims \(proof/53\) must be one of .*proof/54"):
        proof_questions(FAMILY, RULES, ["proof/53"])


# --- verdicts on steps ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values", "errors", "verdict", "words"),
    [
        (Kind.INEQUALITY, [0.3, 0.9], [0.5, 0.1], "holds", "on all 2 networks; left/right at most"),
        (Kind.INEQUALITY, [0.3, 0.9], [0.5, 0.2], "undecided", r"\(5e-01\) is too large to tell"),
        (Kind.INEQUALITY, [0.3, 1.0], [0.0, 5e-3], "holds", "at most 1$"),
        (Kind.INEQUALITY, [0.3, 1 + 1e-12], [1e-15] * 2, "holds", "at most 1"),
        (Kind.INEQUALITY, [0.3, 1.1], [0.2, 0.2], "undecided", r"passes 1 on 1 of 2 networks"),
        (Kind.INEQUALITY, [1.2, 1.1], [0.01, 0.2], "refuted", "contradicted on 1 of 2 networks"),
        (Kind.INEQUALITY, [0.3, 1.5], [9.0, 0.01], "refuted", r"up to 1\.5 ± 1e-02"),
        (Kind.IDENTITY, [1e-9, 1e-8], [1e-7, 1e-7], "holds", "on all 2 networks"),
        (Kind.IDENTITY, [1e-9, 1e-6], [1e-7, 1e-7], "refuted", "wrong on 1 of 2 networks"),
        (Kind.IDENTITY, [1e-9, 1e-8], [1e-7, 0.1], "undecided", "too much to tell"),
    ],
)
def test_a_step_holds_on_every_network_or_not_at_all(kind, values, errors, verdict, words):
    found, reason = judge_step(kind, values, errors)
    assert found == verdict
    assert re.search(words, reason)


def test_only_steps_are_judged_so():
    with pytest.raises(InputError, match=r"kind .* must be one that is about every network"):
        judge_step(Kind.BOUND, [1.0, 1.0], [0.0, 0.0])


# --- words follow from findings -------------------------------------------------------------


def test_where_all_is_as_stated_no_repair_is_offered(usual):
    assert usual.alarms == ()
    for result in usual.steps:
        if result.step.nature is Nature.STATED and result.step.name not in ("43-printed", "58"):
            assert result.verdict == "holds", result.step.name
        said = " ".join(result.remarks)
        assert "Repair" not in said or result.step.name == "55", result.step.name
    assert named(usual, "20").remarks == ()
    assert named(usual, "reading").remarks == ()
    assert named(usual, "49-3").remarks == ("Loose by a factor of 5 at the largest width.",)
    assert named(usual, "58").verdict.startswith("not measured here; ntkalign verify --network rnn")
    assert named(usual, "23").verdict == "not checkable as written"


def test_the_first_layer_is_spoken_of_only_if_it_fails():
    found = mapped(
        ("lemma-1/weights", 1, lambda m: 0.3),
        ("proof/26", None, lambda m: 0.3 + m**-0.5),
        more=["proof/26-above"],
    )
    assert named(found, "20").verdict == "refuted"
    said = " ".join(named(found, "20").remarks)
    assert "1/√m_0: the number of inputs does not grow" in said
    assert "Repair: state (20) for l ≥ 2" in said
    assert "the minimum in (26)" in " ".join(named(found, "26").remarks)
    worse = mapped(
        ("lemma-1/weights", 1, lambda m: 0.3), ("proof/26", None, lambda m: 0.3),
        ("proof/26-above", None, lambda m: 0.2),
    )  # fmt: skip
    said = " ".join(named(worse, "20").remarks)
    assert "does not grow" in said
    assert "Repair" not in said  # nothing shows that it would be one
    above = mapped(("lemma-1/weights", 2, lambda m: 0.3))
    assert named(above, "20").verdict == "refuted"
    assert named(above, "20").remarks == ()  # another reason, which is not known


def test_the_reading_of_app_a_is_spoken_of_only_where_it_fails():
    found = mapped(
        *(("proposition-1/interpretation", layer, lambda m: m**-0.5) for layer in (2, 3))
    )
    said = " ".join(named(found, "reading").remarks)
    assert "tend to 0 in layers 2, 3 (m^-0.5" in said


def test_rate_is_lost_where_looseness_grows():
    found = mapped(
        ("loose proof/49-3", None, lambda m: 0.1 * m**0.5),
        *((f"proof/term-{n}", None, lambda m: m**-1.0) for n in (1, 2)),
        ("proposition-2", None, lambda m: m**-1.0),
        more=["proof/delta-2"],
    )
    said = " ".join(named(found, "49-3").remarks)
    assert "This step loses rate" in said
    assert "faster than the stated m^-1/2" in said
    assert "bound the P·C × P·C kernel" in said
    assert re.search(r"looser the wider \(m\^0\.4\d to m\^0\.5", said)


def test_a_true_step_that_is_contradicted_is_loud():
    found = mapped(("proof/44", 2, lambda m: 1.5))
    assert named(found, "44").verdict == "refuted"
    (alarm,) = found.alarms
    assert alarm.startswith("(44), normal, layer 2, is contradicted")


def test_a_false_step_that_nothing_contradicts_is_loud():
    found = mapped(("proof/54-without-alpha", None, lambda m: 0.9))
    (alarm,) = found.alarms
    assert alarm.startswith("control (54) without α: no network contradicts it")


def test_nothing_is_said_of_what_was_not_measured():
    none = proof_map([], table()[:0], TERMS, met=False)
    assert not none.measured
    for result in none.steps:
        assert result.remarks == ()
        wanted = result.step.nature is not Nature.STATED
        assert (result.verdict == result.step.nature.value) == wanted
        assert wanted or result.verdict.startswith("not measured here; ntkalign ")
    assert none.alarms == ()


def test_steps_that_a_run_measured_unasked_are_judged():
    data = table(asked=[q for q in ALL if q.claim.id.startswith("proof/44")])
    found = proof_map([], data[data["quantity"].str.startswith("44")], TERMS, met=True)
    assert named(found, "44").verdict == "holds"
    assert {c.step.equation for c in found.controls} == {
        "(44) without the 2",
        "(44) without 2‖A‖‖W̃‖",
    }
    assert named(found, "42").verdict == "not measured here; ntkalign proof does"


def test_errata_have_numbers_where_they_can(usual):
    numbers = {e.equation: number for e, number in usual.errata}
    assert len(ERRATA) == len(numbers) == 8
    assert numbers["(50)"].startswith("as printed: holds; left/right at most 0.4")
    assert "10" in numbers["(43)"]
    assert [e for e, n in numbers.items() if n is None] == ["Lemma 1, before (19)"]


def test_a_sharper_step_that_fails_makes_no_remark():
    found = mapped(("proof/55-without-exp", None, lambda m: 2.0))
    assert "not needed" not in " ".join(named(found, "55").remarks)
    assert found.alarms == ()  # it is not the paper's


def test_a_missing_network_is_no_verdict():
    data = table(asked=[q for q in ALL if q.claim.id == "proof/44"])
    data = data[~((data["quantity"] == "44-share") & (data["seed"] == 2) & (data["width"] == 64))]
    question = next(q for q in ALL if q.claim.id == "proof/44")
    finding = judge_question(question, data, assumptions_met=True, terms=TERMS)
    assert finding.verdict == "undecided"
    assert "missing" in finding.reason
    assert replace(finding, verdict="holds").verdict == "holds"
