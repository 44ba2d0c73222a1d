"""Whatever is declared in LaTeX is typeset without a trace of it, and what is not stays a text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign.claims.catalogue import CLAIMS
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.report.mathematics import mathml, pieces, power, translates, typeset, words
from ntkalign.report.pages import markdown

DECLARED = [claim for entry in CLAIMS.values() for claim in entry.claims]
SYMBOLS = [record.symbol for record in QUANTITIES.values()]


def tree(latex, **how):
    return ElementTree.fromstring(mathml(latex, **how))


@pytest.mark.parametrize("claim", DECLARED, ids=lambda claim: f"{claim.id}-{claim.quantity}")
def test_every_claim_has_a_formula_that_pages_and_markdown_can_show(claim):
    assert translates(claim.formula)
    html = typeset(claim.formula)
    assert html.count("<math") == claim.formula.count("$") / 2 > 0
    assert not re.search(r"[\\$]", html)
    # Markdown takes a backslash before punctuation for itself
    assert not re.search(r"\\[^A-Za-z]", claim.formula)
    assert markdown(claim.formula) == claim.formula


@pytest.mark.parametrize("text", SYMBOLS)
def test_every_symbol_is_typeset(text):
    assert translates(text) or "$" not in text  # of what is said in words alone
    assert not re.search(r"[\\$_^]", re.sub('alttext=".*?"', "", typeset(text)))


def test_a_formula_says_what_it_is_without_mathml():
    said = {
        r"\lVert\tilde W_l\rVert_{\mathrm{op}}=O(m^{-1/2})": "‖W̃_l‖_op = O(m^(−1/2))",
        r"\max_{x,k}\lVert\hat y_k^t\rVert\to 0": "max_(x,k)‖ŷ_k^t‖ → 0",
        r"\sqrt{\frac{a}{b}}<1": "√(a/b)<1",
    }
    for latex, text in said.items():
        assert tree(latex).get("alttext") == text
    assert tree("x", alt="a number").get("alttext") == "a number"


def test_names_are_upright_and_norms_open_and_close():
    formula = tree(r"\mathrm{E}\|W_{\mathrm{op}}\|^2/\lVert x\rVert")
    assert "op" in [name.text for name in formula.iter("mi")]
    assert [bar.get("form") for bar in formula.iter("mo") if bar.text == "‖"] == [
        "prefix", "postfix", "prefix", "postfix",
    ]  # fmt: skip
    assert next(sign.text for sign in formula.iter("mo")) == "E"
    (greek,) = tree(r"\Sigma").iter("mi")
    assert greek.get("mathvariant") == "normal"


def test_limits_stand_below_in_displays_only():
    for display, kind in ((True, "block"), (False, "inline")):
        formula = tree(r"\sup_t x_t", display=display)
        assert formula.get("display") == kind
        assert formula.find(".//munder/mo").get("movablelimits") == "true"
        assert formula.find(".//msub/mi").text == "x"
    assert 'display="block"' in typeset("$x$", display=True)
    assert 'display="block"' not in typeset("$x$ for $y$", display=True)  # one line of words


@pytest.mark.parametrize("latex", [r"\foo x", r"\frac{a", r"x^{", "", r"\left( x"])
def test_what_is_no_mathematics_is_refused_and_shown_as_it_was_written(latex):
    with pytest.raises(ValueError, match="no mathematics: "):
        mathml(latex)
    if latex:
        assert typeset(f"a ${latex}$ b") == f"a ${latex}$ b"
        assert not translates(f"${latex}$")
    assert not translates("no formula at all")


@given(st.text())
def test_words_are_never_mathematics_and_never_markup(text):
    assert list(pieces(words(text))) == [(text, False)]
    assert typeset(words(text)).unescape() == text
    assert "<" not in typeset(words(text))


def test_words_and_mathematics_stand_beside_each_other():
    found = list(pieces(words("$5 of ") + r"$x\|$."))
    assert found == [("$5 of ", False), (r"x\|", True), (".", False)]
    assert typeset("$x$, then").endswith("</math>,</span> then")
    assert markdown(words("a_b|<i>") + "$a_b$") == r"a\_b\|\<i\>$a_b$"


def test_powers_are_simple_fractions_where_they_are():
    assert [power(p) for p in (-0.5, -1.0, -1 / 3, -0.37)] == [
        "m^{-1/2}", "m^{-1}", "m^{-1/3}", "m^{-0.37}",
    ]  # fmt: skip
