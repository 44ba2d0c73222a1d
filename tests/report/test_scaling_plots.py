"""What a scaling plot draws, and what it does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from ntkalign.claims.claim import MAIN, Claim, Kind, Question
from ntkalign.claims.theory import FEEDBACK_DRIFT, SAMPLED_SCORE
from ntkalign.claims.verdicts import Finding
from ntkalign.report import scaling_plots as plots
from ntkalign.report.style import plain, symbol
from ntkalign.statistics.corrections import Expansion
from ntkalign.statistics.rates import fit

WIDTHS = (8, 16, 32)


def finding(values, claim=FEEDBACK_DRIFT, rule="align-zero"):
    widths = WIDTHS[: len(values)]
    question = Question(claim, MAIN, rule)
    return Finding(question, "undecided", "", None, True, 0.0, widths, values, None, None)


@pytest.mark.parametrize(
    ("values", "label"),
    [
        (((0.0, 2e-15), (1e-15, 1e-15), (0.0, 0.0)), "Align-zero: zero"),
        (((np.nan, np.nan),) * 3, "Align-zero: failed"),
        ((), "Align-zero: not measured"),
    ],
)
def test_rounding_and_nothing_are_not_drawn(values, label):
    axis = Figure().subplots()
    plots._draw_one(axis, finding(values), "k")
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in axis.lines])
    assert not np.isfinite(drawn).any()
    assert axis.lines[-1].get_label() == label


def test_all_widths_have_a_tick_even_where_the_first_rule_lacks_some():
    short, whole = finding(((1.0,),) * 2), finding(((1.0,),) * 3, rule="fa")
    figure = plots.draw(FEEDBACK_DRIFT, [short, whole])
    assert list(figure.axes[0].get_xticks()) == list(WIDTHS)


def test_a_prediction_is_not_drawn_against_other_widths():
    whole = replace(finding(((1.0,),) * 3), limit=(1.0, 0.5, 0.25))
    for found, count in ((whole, 1), (replace(whole, widths=WIDTHS[1:], values=((1.0,),) * 2), 0)):
        labels = [line.get_label() for line in plots.draw(FEEDBACK_DRIFT, [found]).axes[0].lines]
        assert labels.count("infinite-width prediction") == count


def test_signed_quantities_are_drawn_on_a_linear_axis():
    for claim, scale in ((SAMPLED_SCORE, "linear"), (FEEDBACK_DRIFT, "log")):
        axis = plots.draw(claim, [finding(((-1.0, 1.0),) * 3, claim)]).axes[0]
        assert axis.get_yscale() == scale


@pytest.mark.parametrize("name", ["$x", "_mine", r"\frac", "a_b", "$x$ $"])
def test_a_name_is_drawn_as_it_is(name):
    claim = Claim(name, "", "", name, Kind.VANISHES)
    figure = plots.draw(claim, [finding(((1.0,),) * 3, claim, rule=name)])
    label = plain(name)
    assert label.replace(r"\$", "$").strip() == name
    assert figure.axes[0].get_ylabel() == label
    assert [text.get_text() for text in figure.axes[0].get_legend().texts] == [label]


def test_a_symbol_that_cannot_be_read_is_drawn_as_text():
    assert symbol(r"$\max_x$") == r"$\max_x$"
    assert symbol(r"$\frac") == r"\$\frac"
    assert symbol(r"$\nosuch$") == r"\$\nosuch\$"


def test_files_of_built_in_claims_keep_their_names_and_others_stay_inside():
    assert plots.file_name(FEEDBACK_DRIFT) == "lemma-1-feedback-feedback-drift"
    assert plots.file_name(Claim("../a b", "", "", "c/d", Kind.VANISHES)) == "-a-b-c-d"


@pytest.mark.parametrize(
    ("expansion", "right"),
    [((0.1, 0.1, 0.1), None), ((0.9, 0.1, 0.1), np.sqrt(8 * 16)), ((0.9, 0.9, 0.9), np.inf)],
)
def test_widths_outside_the_regime_are_shaded(expansion, right):
    values = ((1.0, 1.1), (0.7, 0.8), (0.5, 0.6))
    rate = fit(WIDTHS, values, expansion=Expansion(expansion))
    axis = plots.draw(FEEDBACK_DRIFT, [replace(finding(values), rate=rate)]).axes[0]
    shades = [p for p in axis.patches if p.get_label() == "outside the lazy regime"]
    if right is None:
        assert not shades
        return
    (shade,) = shades
    low, high = axis.get_xlim()
    assert shade.get_x() <= low
    assert shade.get_x() + shade.get_width() == pytest.approx(min(right, high))
