"""Claims by id: what is registered fits together, and what does not is refused in one line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import InputError
from ntkalign.claims.catalogue import CLAIMS, choose, register
from ntkalign.claims.claim import BOTTLENECK, COMPARED, CONTROLS, MAIN, Claim, Kind
from ntkalign.claims.kernels import KERNEL_CLAIMS
from ntkalign.claims.theory import PROPOSITION_2, THEORY_CLAIMS
from ntkalign.claims.tied_weights import CONVOLUTIONAL_CLAIMS, RECURRENT_CLAIMS
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.quantity import KERNELS, PROOF, VERIFY
from ntkalign.rules import RULES

EVERY = (*THEORY_CLAIMS, *RECURRENT_CLAIMS, *CONVOLUTIONAL_CLAIMS, *KERNEL_CLAIMS)


@pytest.mark.parametrize("claim", EVERY, ids=lambda c: f"{c.id} {c.quantity}")
def test_a_claim_names_what_exists(claim):
    quantity = QUANTITIES[claim.quantity]
    assert claim.symbol == quantity.symbol
    assert claim.companion == quantity.relative
    assert (claim.kind is Kind.ZERO_MEAN) == quantity.signed
    assert (claim.kind is Kind.BOUND) == (claim.stated_exponent is not None)
    named = {*claim.rules, *(rule for control in claim.controls for rule in control.rules)}
    assert named - {COMPARED, CONTROLS} <= set(RULES)
    assert {control.family for control in claim.controls} <= {MAIN, BOTTLENECK}


def test_choosing_keeps_the_order_and_all_statements_of_an_id():
    assert choose() == choose(network="mlp") == THEORY_CLAIMS
    assert choose(network="rnn") == RECURRENT_CLAIMS
    assert choose(network="cnn") == CONVOLUTIONAL_CLAIMS
    assert choose(command=KERNELS) == KERNEL_CLAIMS
    chosen = choose(["proposition-2", "proposition-1/interpretation", "proposition-2"])
    assert [c.quantity for c in chosen] == ["delta-norm", "sigma-norm", "divergence"]
    assert choose("proposition-2, proposition-1/interpretation") == chosen


@given(st.sampled_from(sorted(CLAIMS)), st.data())
def test_a_misspelt_id_is_refused_with_the_nearest_match(id, data):
    at = data.draw(st.integers(0, len(id) - 1))
    misspelt = id[:at] + data.draw(st.sampled_from(("", "q", id[at] * 2))) + id[at + 1 :]
    if misspelt not in CLAIMS:
        with pytest.raises(InputError, match="did you mean '") as caught:
            choose([misspelt], CLAIMS[id].command, CLAIMS[id].network)
        assert str(caught.value).count("\n") == 0
        assert str(caught.value).startswith("claims (")


@pytest.mark.parametrize("claim", EVERY, ids=lambda c: f"{c.id} {c.quantity}")
@pytest.mark.usefixtures("own_records")
def test_a_claim_called_like_a_built_in_one_is_refused_and_replaces_nothing(claim):
    before = dict(CLAIMS)
    other = replace(PROPOSITION_2, id=claim.id, quantity="alignment-gap", rules=("fa",))
    with pytest.raises(InputError, match=f"claim .* got a second claim called '{claim.id}'"):
        register(other)
    assert dict(CLAIMS) == before


@pytest.mark.usefixtures("own_records")
def test_what_cannot_be_a_claim_is_refused():
    mine = Claim("mine", "", "it decays", "divergence", Kind.VANISHES)
    with pytest.raises(InputError, match=r"quantity .* did you mean 'divergence'"):
        register(replace(mine, quantity="divergense", companion=None))
    for twin in (mine, replace(mine, quantity="ntk-gap")):
        with pytest.raises(InputError, match="about different quantities of one command"):
            register(mine, twin)
    for id in ("", " mine", "mine,yours", "mi\nne"):
        with pytest.raises(InputError, match=r"claim .* must have a name of printable text"):
            replace(mine, id=id)
    assert "mine" not in CLAIMS
    register(mine)
    assert choose(["mine"]) == (mine,)
    steps = replace(mine, id="of steps", network="rnn")
    register(steps)
    assert choose(["of steps"], network="rnn") == (steps,)
    assert steps in choose(network="rnn")
    assert steps not in choose()
    assert mine in choose()
    assert {e.command for e in CLAIMS.values()} == {VERIFY, KERNELS, PROOF}
