"""Which questions are asked, and which controls stand beside them."""

from __future__ import annotations

from ntkalign.claims import claim as claims
from ntkalign.claims.claim import questions
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.family import Family
from ntkalign.rules import ALIGN_ADA, ALIGN_PROP, ALIGN_ZERO, FEEDBACK_ALIGNMENT, LAST_LAYER, NORMAL

FAMILY = Family(4, activation("tanh"))


def test_every_claim_is_asked_of_each_layer_and_rule_it_applies_to():
    asked = questions(FAMILY, (ALIGN_ZERO, ALIGN_ADA, ALIGN_PROP))
    claimed = [(q.claim.id, q.rule, q.layer) for q in asked if not q.control]
    count = {c.id: sum(id == c.id for id, _, _ in claimed) for c in claims.CLAIMS}
    assert count == {
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
    asked = questions(FAMILY, (ALIGN_ZERO,))
    controlled = {q.claim for q in asked if q.control}
    judged_by_rate = {
        c for c in claims.CLAIMS if c.kind in (claims.Kind.BOUND, claims.Kind.VANISHES)
    }
    assert judged_by_rate <= controlled
    assert {"fa", "dfa", "last-layer"} <= {q.rule for q in asked if q.control}
    assert any(q.family == claims.BOTTLENECK for q in asked)


def test_a_control_rule_is_never_listed_as_a_claim():
    asked = questions(FAMILY, (FEEDBACK_ALIGNMENT, ALIGN_ADA))
    assert not any(q.rule == "fa" and not q.control for q in asked)
    assert len(asked) == len(set(asked))


def test_a_subset_of_claims_brings_only_its_own_controls():
    asked = questions(FAMILY, (ALIGN_ADA,), only=("alignment-score",))
    assert {q.claim for q in asked} == {claims.SCORE}
    assert {q.rule for q in asked} == {NORMAL.name}
    assert not questions(FAMILY, (LAST_LAYER,), only=("appendix-d",))
