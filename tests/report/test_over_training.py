"""What is drawn over training: for each layer scores and gaps, for each rule its divergence."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from ntkalign.cells.cell import OK, Row
from ntkalign.claims.claim import BOTTLENECK, MAIN
from ntkalign.claims.theory import PROPOSITION_2
from ntkalign.report import over_training as plots
from ntkalign.report.style import PALETTE
from ntkalign.runs.table import table_of
from tests.report.test_files import WIDTHS, finding, result

TIMES, SEEDS = (0.125, 0.5, 1.0), (0, 1)
RULES = ("align-zero", "align-ada", "fa", "last-layer")
SCORE, SHUFFLED, GAP, DIVERGENCE = (
    "misalignment-over-time", "score-permuted-over-time", "alignment-gap-relative-over-time",
    "divergence-over-time",
)  # fmt: skip


def row(
    quantity, layer=None, rule="normal", *, m=8, s=0, t=0.5, family=MAIN, value=0.25, status=OK
):
    return Row(family, m, s, rule, layer, quantity, t, value, 0.0, status)


def values(quantity, m, s, t):
    """Made-up ones, all different."""
    rng = np.random.default_rng([m, s, int(1000 * t), len(quantity)])
    return float(rng.uniform(0.1, 0.9)) * (1 if quantity == SHUFFLED else m**-0.5)


def measured(layers=(1, 2, 3), rules=RULES, widths=WIDTHS):
    """Rows as a run leaves them: the baseline is not measured at the largest width."""
    return [
        row(quantity, layer, rule, m=m, s=s, t=t, value=values(quantity, m, s, t))
        for m in widths
        for s in SEEDS
        for t in TIMES
        for quantity, layer, rule in [
            *((q, layer, "normal") for q in (SCORE, GAP) for layer in layers),
            *((SHUFFLED, layer, "normal") for layer in layers if m < widths[-1]),
            *((DIVERGENCE, None, rule) for rule in rules),
        ]
    ]  # fmt: skip


def verification(rows, network="mlp"):
    found = result(finding(PROPOSITION_2), data=table_of(rows))
    return replace(found, settings=replace(found.settings, network=network))


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """What draws the axes of a run's figure, without writing it."""
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path: figures.append(figure))

    def draw(rows, network="mlp"):
        assert plots.over_training(verification(rows, network), tmp_path / "plots") is not None
        return [axis for axis in figures[-1].axes if axis.axison]

    return draw


def titles(axes):
    return [axis.get_title() for axis in axes]


def lines(axis, style):
    return [line for line in axis.lines if line.get_linestyle() == style and len(line.get_xdata())]


def test_there_is_a_panel_for_each_layer_and_each_rule_that_is_no_control(drawn):
    axes = drawn(measured())
    layers = ["layer 1", "layer 2", "layer 3"]
    assert titles(axes) == [*layers, *layers, "Align-zero", "Align-ada"]
    labels = [axis.get_ylabel() for axis in axes]
    assert labels[:3] == ["alignment score $S_l$"] * 3
    assert all("Delta_l" in label for label in labels[3:6])
    assert all("rule" in label for label in labels[6:])
    assert [axis.get_yscale() for axis in axes] == ["linear"] * 3 + ["log"] * 5
    assert {axis.get_xscale() for axis in axes} == {"log"}


def test_layers_of_a_recurrent_network_have_names(drawn):
    layers = ["input weights", "recurrent weights", "readout"]
    assert titles(drawn(measured(rules=()), "rnn")) == [*layers, *layers]
    assert titles(drawn(measured(rules=()), "cnn"))[:3] == ["layer 1", "layer 2", "layer 3"]


def test_a_rule_of_ones_own_is_drawn_by_its_name(drawn):
    assert titles(drawn(measured(layers=(), rules=("mine $x", "fa")))) == [r"mine \$x"]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row("loss"), row("misalignment", 1, t=None), row("expansion")],
        [row(SCORE, 1, family=BOTTLENECK), row(DIVERGENCE, rule="align-ada", family=BOTTLENECK)],
        [row(SCORE, 1, value=np.nan, status="diverged")],
        [row(DIVERGENCE, rule=rule) for rule in ("fa", "dfa", "last-layer")],
        [row(SHUFFLED, layer) for layer in (1, 2)],
    ],
    ids=["nothing", "not over time", "bottleneck", "failed", "controls", "the baseline alone"],
)
def test_nothing_is_drawn_where_there_is_nothing(rows, tmp_path):
    assert plots.over_training(verification(rows), tmp_path / "plots") is None
    assert not (tmp_path / "plots").exists()


def test_faint_lines_are_networks_and_bold_ones_means(drawn):
    score, gap, rule = drawn(measured(layers=(2,), rules=("align-ada",)))
    for axis, quantity in ((score, SCORE), (gap, GAP), (rule, DIVERGENCE)):
        one, mean = (
            (lambda v: 1 - v, lambda v: 1 - np.mean(v, axis=0))
            if quantity == SCORE
            else (lambda v: v, lambda v: np.exp(np.mean(np.log(v), axis=0)))
        )
        bold = [line for line in lines(axis, "-") if line.get_linewidth() > 1]
        faint = [line for line in lines(axis, "-") if line.get_linewidth() < 1]
        assert [line.get_label() for line in bold] == [f"$m$ = {m}" for m in WIDTHS]
        assert len(faint) == len(WIDTHS) * len(SEEDS)
        for i, m in enumerate(WIDTHS):
            own = np.array([[values(quantity, m, s, t) for t in TIMES] for s in SEEDS])
            np.testing.assert_allclose(bold[i].get_ydata(), mean(own))
            for line in (bold[i], *faint[2 * i : 2 * i + 2]):
                np.testing.assert_array_equal(line.get_xdata(), TIMES)
            for s in SEEDS:
                np.testing.assert_allclose(faint[2 * i + s].get_ydata(), one(own[s]))


def test_shuffled_scores_are_dashed_and_the_limit_is_dotted(drawn):
    score, *others = drawn(measured(layers=(1,), rules=("align-ada",)))
    dashed = lines(score, "--")
    assert len(dashed) == len(WIDTHS) - 1  # not measured at the largest width
    for line, m in zip(dashed, WIDTHS, strict=False):
        own = np.array([[values(SHUFFLED, m, s, t) for t in TIMES] for s in SEEDS])
        np.testing.assert_allclose(line.get_ydata(), own.mean(axis=0))
    (limit,) = lines(score, ":")
    assert set(limit.get_ydata()) == {1}
    assert limit.get_label() == "infinite width"
    assert "weights shuffled" in [line.get_label() for line in score.lines]
    for axis in others:
        assert not lines(axis, "--") + lines(axis, ":")
    low, high = score.get_ylim()
    assert low < 0 < 1 < high


def test_the_colour_of_a_width_is_the_same_in_every_panel(drawn):
    """Even where flows of the smallest width have failed, or a quantity is not measured there."""
    rows = [
        one
        for one in measured(layers=(1, 2), rules=("align-zero", "align-ada"))
        if not (one.width == WIDTHS[0] and (one.rule == "align-zero" or one.layer == 2))
        and not (one.width == WIDTHS[0] and one.quantity == SHUFFLED)
    ]
    colours = {f"$m$ = {m}": PALETTE[i] for i, m in enumerate(WIDTHS)}
    axes = drawn(rows)
    assert len(axes) == 6
    for axis in axes:
        found = {
            line.get_label(): to_hex(line.get_color()).upper()
            for line in lines(axis, "-")
            if line.get_linewidth() > 1
        }
        assert found == {label: colours[label] for label in found}
        assert len(found) >= 2
    for axis in axes[:2]:  # the one width that is shuffled
        assert [to_hex(line.get_color()).upper() for line in lines(axis, "--")] == [PALETTE[1]]


def test_the_legend_has_each_width_once(drawn):
    axes = drawn(measured())
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.texts] == [
        *(f"$m$ = {m}" for m in WIDTHS), "weights shuffled", "infinite width",
    ]  # fmt: skip


def test_zero_has_no_logarithm_and_is_left_out(tmp_path, drawn):
    """Of a rule that is gradient descent under another name, say."""
    zero = [one._replace(value=0.0) for one in measured(layers=(), rules=("align-zero", "mine"))]
    nearly = [one for one in zero if one.rule == "mine"]
    nearly[0] = nearly[0]._replace(value=1e-9)
    for rows, scale in ((zero, "linear"), (nearly, "log")):
        axis, *_ = drawn(rows)
        assert axis.get_yscale() == scale
        drawn_values = np.concatenate([line.get_ydata() for line in axis.lines])
        assert np.isfinite(drawn_values).sum() == (scale == "log")
    axis.figure.savefig(tmp_path / "nearly.png")


@pytest.mark.parametrize("last", [3.0, 8.0, 64.0, 190.0, 210.0, 1e4, 1e7])
@pytest.mark.parametrize("unit", [1e-3, 0.13, 4.1, 700.0])
def test_labels_of_times_stand_beside_each_other(last, unit, drawn):
    """The last saved time is 64 times the first, or far more where something relaxes fast."""
    ends = {TIMES[0]: unit, TIMES[1]: unit * last**0.7, TIMES[2]: unit * last}
    rows = [one._replace(time=ends[one.time]) for one in measured(layers=(1,), rules=())]
    axis, *_ = drawn(rows)
    axis.figure.get_layout_engine().execute(axis.figure)
    low, high = axis.get_xlim()
    labels = [t for t in axis.get_xticklabels(which="both") if low <= t.get_position()[0] <= high]
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    boxes.sort(key=lambda box: box.x0)
    assert boxes
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_a_figure_of_zeros_alone_can_be_written(tmp_path):
    zero = [one._replace(value=0.0) for one in measured(layers=(), rules=("align-zero",))]
    assert plots.over_training(verification(zero), tmp_path).is_file()


def test_times_at_which_one_network_has_no_value_are_left_out_of_its_line(drawn):
    rows = [
        one
        for one in measured(layers=(1,), rules=())
        if not (one.width == 8 and one.seed == 0 and one.time == TIMES[0])
    ]
    score, _ = drawn(rows)
    first = next(line for line in lines(score, "-") if line.get_linewidth() < 1)
    assert np.isnan(first.get_ydata()).tolist() == [True, False, False]


def test_it_is_written_in_two_formats_and_drawn_alike_each_time(tmp_path):
    found = verification(measured(layers=(1,), rules=("align-ada",)))
    one, two = (plots.over_training(found, tmp_path / name) for name in "ab")
    assert one == tmp_path / "a" / "over-training.svg"
    assert {path.name for path in one.parent.iterdir()} == {
        "over-training.svg", "over-training.png",
    }  # fmt: skip
    ElementTree.parse(one)
    assert one.read_bytes() == two.read_bytes()
