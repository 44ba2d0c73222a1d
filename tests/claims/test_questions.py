"""Which questions are asked, and which controls stand beside them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from ntkalign import InputError
from ntkalign.claims.claim import BOTTLENECK, Kind
from ntkalign.claims.kernels import KERNEL_CLAIMS
from ntkalign.claims.questions import kernel_questions
from ntkalign.claims.questions import questions as ask
from ntkalign.claims.theory import SCORE, THEORY_CLAIMS
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.family import Family
from ntkalign.rules import (
    ALIGN_ADA,
    ALIGN_PROP,
    ALIGN_ZERO,
    CONTROLS,
    FEEDBACK_ALIGNMENT,
    LAST_LAYER,
    NORMAL,
)

FAMILY = Family(4, activation("tanh"))


def questions(rules, only=()):
    return ask(FAMILY, rules, controls=CONTROLS, only=only)


def test_every_claim_is_asked_of_each_layer_and_rule_it_applies_to():
    asked = questions((ALIGN_ZERO, ALIGN_ADA, ALIGN_PROP))
    assert Counter(q.claim.id for q in asked if not q.control) == {
        "lemma-1/activations": 3 * 3,
        "lemma-1/weights": 3 * 4,
        "lemma-1/jacobian": 3,
        "lemma-1/feedback": 4,
        "proposition-1/discrepancy": 4,
        "proposition-1": 4,
        "proposition-1/interpretation": 2 * 4,
        "alignment-score": 4,
        "alignment-score/sampled": 4,
        "proposition-2": 3,
        "appendix-d": 1,
    }


def test_every_bound_has_a_control():
    asked = questions((ALIGN_ZERO,))
    controlled = {q.claim for q in asked if q.control}
    assert {c for c in THEORY_CLAIMS if c.kind in (Kind.BOUND, Kind.VANISHES)} <= controlled
    assert {"fa", "dfa", "last-layer"} <= {q.rule for q in asked if q.control}
    assert any(q.family == BOTTLENECK for q in asked)


def test_controls_are_asked_where_the_claim_is_wrong():
    asked = questions((ALIGN_ZERO, ALIGN_PROP))
    controls = {
        (q.claim.id, q.family, q.rule, q.layer)
        for q in asked
        if q.control and q.claim.id.startswith(("lemma-1", "proposition-1"))
    }
    neck = FAMILY.bottleneck_layer
    assert neck == 2
    assert controls == {
        *(("lemma-1/feedback", "main", rule.name, None) for rule in CONTROLS),
        *(("proposition-1/discrepancy", "main", "fa", layer) for layer in (1, 2, 3)),
        ("lemma-1/activations", "bottleneck", "normal", 2),
        ("lemma-1/weights", "bottleneck", "normal", 3),
        ("lemma-1/jacobian", "bottleneck", "normal", None),
        ("proposition-1/discrepancy", "bottleneck", "normal", 3),
        ("proposition-1", "bottleneck", "normal", 3),
    }


def test_a_control_rule_is_never_listed_as_a_claim():
    own = replace(ALIGN_ADA, name="mine", control=True)
    for rules in ((FEEDBACK_ALIGNMENT, ALIGN_ADA), (own, ALIGN_ADA), (LAST_LAYER, own)):
        asked = questions(rules)
        names = {rule.name for rule in (*CONTROLS, *rules) if rule.control}
        assert not any(q.rule in names and not q.control for q in asked)
        assert {q.rule for q in asked if q.control} >= names
        assert len(asked) == len(set(asked))


def test_gradient_descent_is_not_compared_with_itself():
    assert questions((ALIGN_ADA,)) == questions((NORMAL, ALIGN_ADA))


def test_a_subset_of_claims_brings_only_its_own_controls():
    asked = questions((ALIGN_ADA,), only=("alignment-score",))
    assert {q.claim for q in asked} == {SCORE}
    assert {q.rule for q in asked} == {NORMAL.name}
    assert asked == questions((ALIGN_ADA,), only="alignment-score")


def test_kernel_claims_are_asked_of_gradient_descent_and_of_align_zero():
    asked = kernel_questions(FAMILY)
    rules = {(q.claim.id, q.rule) for q in asked}
    assert {id for id, rule in rules if rule != "normal"} == {"kernels/align-zero"}
    assert {q.claim for q in asked if q.control} == set(KERNEL_CLAIMS)
    assert {q.layer for q in asked if q.control} == {None, FAMILY.bottleneck_layer}


@pytest.mark.parametrize("claim", [*THEORY_CLAIMS, *KERNEL_CLAIMS], ids=lambda c: c.quantity)
def test_each_id_is_asked_by_its_command_and_refused_by_the_other(claim):
    def of_theory(only):
        return questions((ALIGN_ZERO,), only)

    def of_kernels(only):
        return kernel_questions(FAMILY, only)

    right, wrong = of_theory, of_kernels
    if claim in KERNEL_CLAIMS:
        right, wrong = of_kernels, of_theory
    assert claim in {q.claim for q in right([claim.id])}
    assert {q.claim.id for q in right([claim.id])} == {claim.id}
    with pytest.raises(InputError, match=r"claims .* must be measured by ntkalign \w+; got one"):
        wrong([claim.id])
    for misspelt in (claim.id[:-1], f"{claim.id}x"):
        with pytest.raises(InputError, match=r"claims .* must be one of .* did you mean '"):
            right([claim.id, misspelt])


def test_a_claim_about_no_rule_of_the_run_is_refused_and_not_dropped():
    for only in (["appendix-d"], ["appendix-d", "proposition-2"]):
        with pytest.raises(
            InputError,
            match=r"rules \(align-ada\) must include one that is asked about by appendix-d; got "
            "none of them; because it speaks of align-zero; do: add align-zero",
        ):
            questions((ALIGN_ADA,), only=only)
    assert "appendix-d" not in {q.claim.id for q in questions((ALIGN_ADA,))}
    assert all(q.control for q in questions((LAST_LAYER,), only=["proposition-2"]))
