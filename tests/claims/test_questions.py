"""Which questions are asked, and which controls stand beside them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from ntkalign import InputError
from ntkalign.claims.catalogue import CLAIMS, choose, register
from ntkalign.claims.claim import BOTTLENECK, MAIN, Claim, Kind
from ntkalign.claims.kernels import KERNEL_CLAIMS
from ntkalign.claims.questions import kernel_questions
from ntkalign.claims.questions import questions as ask
from ntkalign.claims.theory import LEMMA_RULES, SCORE, THEORY_CLAIMS
from ntkalign.claims.tied_weights import CONVOLUTIONAL_CLAIMS, RECURRENT_CLAIMS
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.family import ConvolutionalFamily, Family, RecurrentFamily
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


# --- recurrent and convolutional networks ---------------------------------------------------

TANH = activation("tanh")
RNN, CNN = RecurrentFamily(TANH), ConvolutionalFamily(4, TANH)
OF_APPENDIX_E = ("activations", "weights", "discrepancy", "proposition-1", "alignment-score",
                 "proposition-2")  # fmt: skip
ALIGN = (ALIGN_ZERO, ALIGN_ADA, ALIGN_PROP)
COMPARED_NAMES = ("align-zero", "align-ada", "align-prop")


def asked_of(family, rules=ALIGN, only=()):
    """(id, family, rule, layer) of the claims, and of the controls."""
    found = ask(family, rules, controls=CONTROLS, only=only)
    return [
        {(q.claim.id, q.family, q.rule, q.layer) for q in found if q.control == control}
        for control in (False, True)
    ]


def test_every_id_of_the_statement_of_the_theory_is_there():
    for network, prefix in (("rnn", "appendix-e"), ("cnn", "cnn")):
        ids = [claim.id for claim in choose(network=network)]
        assert len(ids) == len(set(ids))
        assert {f"{prefix}/{name}" for name in OF_APPENDIX_E} <= set(ids)
        assert all(id.startswith(f"{prefix}/") for id in ids)
    assert not any(claim.network != "mlp" for claim in THEORY_CLAIMS)


def test_rates_are_those_that_are_stated():
    for claims in (RECURRENT_CLAIMS, CONVOLUTIONAL_CLAIMS):
        rates = {claim.id.partition("/")[2]: claim.stated for claim in claims}
        half = ("activations", "weights", "discrepancy", "proposition-2", "kernel-drift")
        assert {rates[name] for name in half} == {"O(m^-0.5)"}
        assert (rates["proposition-1"], rates["alignment-score"]) == ("O(m^-1)", "→ 0")


def test_claims_of_a_recurrent_network_are_about_its_recurrent_weights():
    claims, controls = asked_of(RNN)
    every = ("normal", *LEMMA_RULES[1:])
    assert set(every) == {"normal", "align-zero", "align-ada"}
    assert claims == {
        *(("appendix-e/activations", MAIN, rule, 2) for rule in every),
        *(("appendix-e/weights", MAIN, rule, 2) for rule in every),
        ("appendix-e/discrepancy", MAIN, "normal", 2),
        ("appendix-e/proposition-1", MAIN, "normal", 2),
        ("appendix-e/alignment-score", MAIN, "normal", 2),
        *(("appendix-e/proposition-2", MAIN, rule, None) for rule in COMPARED_NAMES),
        ("appendix-e/kernel-drift", MAIN, "normal", None),
    }
    assert controls == {
        ("appendix-e/discrepancy", MAIN, "fa", 2),
        *(("appendix-e/proposition-2", MAIN, rule.name, None) for rule in CONTROLS),
        # the state is as narrow at every width: nothing may be found to tend to 0
        *((f"appendix-e/{name}", BOTTLENECK, "normal", 2) for name in OF_APPENDIX_E[:5]),
        *(("appendix-e/proposition-2", BOTTLENECK, rule, None) for rule in COMPARED_NAMES),
        ("appendix-e/kernel-drift", BOTTLENECK, "normal", None),
    }


def test_claims_of_a_convolutional_network_are_about_each_convolution():
    """And not about the dense layer."""
    claims, controls = asked_of(CNN)
    every, convolutions = ("normal", "align-zero", "align-ada"), (1, 2, 3)
    names = ("discrepancy", "proposition-1", "alignment-score")
    assert claims == {
        *(("cnn/activations", MAIN, rule, layer) for rule in every for layer in convolutions),
        *(("cnn/weights", MAIN, rule, layer) for rule in every for layer in convolutions),
        *((f"cnn/{name}", MAIN, "normal", layer) for name in names for layer in convolutions),
        *(("cnn/proposition-2", MAIN, rule, None) for rule in COMPARED_NAMES),
        ("cnn/kernel", MAIN, "normal", None),
        ("cnn/kernel-drift", MAIN, "normal", None),
    }
    neck = CNN.bottleneck_layer
    assert neck == 2
    assert controls == {
        *(("cnn/discrepancy", MAIN, "fa", layer) for layer in convolutions),
        *(("cnn/proposition-2", MAIN, rule.name, None) for rule in CONTROLS),
        ("cnn/activations", BOTTLENECK, "normal", neck),
        *((f"cnn/{name}", BOTTLENECK, "normal", neck + 1) for name in ("weights", *names)),
        *(("cnn/proposition-2", BOTTLENECK, rule, None) for rule in COMPARED_NAMES),
        ("cnn/kernel", BOTTLENECK, "normal", None),
        ("cnn/kernel-drift", BOTTLENECK, "normal", None),
    }


@pytest.mark.parametrize("family", [RNN, CNN], ids=["rnn", "cnn"])
def test_each_of_them_has_a_control_and_rules_decide_what_is_asked(family):
    claims, controls = asked_of(family)
    assert {id for id, *_ in claims} == {id for id, *_ in controls}
    fewer, _ = asked_of(family, (ALIGN_ADA,))
    assert fewer == {q for q in claims if q[2] in ("normal", "align-ada")}
    own, theirs = asked_of(family, only=[next(id for id, *_ in claims if "weights" in id)])
    assert {id for id, *_ in own} == {id for id, *_ in theirs}
    assert len({id for id, *_ in own}) == 1


@pytest.mark.parametrize("family", [FAMILY, RNN, CNN], ids=["mlp", "rnn", "cnn"])
def test_a_claim_of_another_network_is_refused_in_one_line(family):
    others = [claim for claims in (THEORY_CLAIMS, RECURRENT_CLAIMS, CONVOLUTIONAL_CLAIMS)
              for claim in claims if claim.network != family.kind]  # fmt: skip
    assert len({claim.network for claim in others}) == 2
    for claim in others:
        with pytest.raises(
            InputError,
            match=rf"^claims \({claim.id}\) must speak of network {family.kind}; "
            rf"got one about {claim.network}; because each kind of network has its own; "
            rf"do: leave it out, or pass network {claim.network}$",
        ):
            ask(family, (ALIGN_ZERO,), controls=CONTROLS, only=[claim.id])


def test_an_id_is_of_one_network():
    """Findings are kept by id and quantity: one report must not mix two networks."""
    with pytest.raises(
        InputError, match=r"^claim \(mine\) must have statements about different quantities of one "
        "command and network; got divergence, misalignment; because findings are kept by id"
    ):  # fmt: skip
        register(
            Claim("mine", "", "", "divergence", Kind.VANISHES),
            Claim("mine", "", "", "misalignment", Kind.VANISHES, network="rnn"),
        )
    assert "mine" not in CLAIMS
