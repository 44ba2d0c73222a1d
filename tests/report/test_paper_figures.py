"""The paper's figures: what runs along the axis, what colours and kinds of lines tell, panels."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_hex

from ntkalign.experiments.catalogue import EXPERIMENTS
from ntkalign.experiments.comparison import Cell
from ntkalign.report import paper_figures
from ntkalign.report.paper_figures import paper_figure


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """``(name, cells) -> the figure``, which is not written: that takes a second."""
    kept = []
    monkeypatch.setattr(paper_figures, "save", lambda figure, path: kept.append(figure))

    def draw(name, cells):
        path = paper_figure(EXPERIMENTS[name], cells, tmp_path / name)
        assert path == tmp_path / f"{name}.svg"
        return kept.pop()

    return draw


def cell(quantity="test_accuracy", paper=None, ours=0.5, spread=None, trials=1, **key):
    return Cell(key, quantity, paper, ours, spread, trials)


def panels(figure):
    return {axis.get_title(): axis for axis in figure.axes if axis.get_visible()}


def curves(axis):
    """Points of lines, by colour and kind; open circles are of the kind "o"."""
    return {
        (to_hex(line.get_color()), line.get_marker() if line.get_linestyle() == "None" else
         line.get_linestyle()): list(zip(*map(list, line.get_data()), strict=True))
        for line in axis.lines
        if len(line.get_xdata())
    }  # fmt: skip


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


BLUE, ORANGE = "#0072b2", "#d55e00"


def test_accuracies_stand_in_percent_against_width_with_the_papers_beside(drawn):
    figure = drawn(
        "table6",
        [
            cell(rule="normal", width=16, paper=0.6, ours=0.5),
            cell(rule="normal", width=8, paper=0.4, ours=0.3),
            cell(rule="align-ada", width=8, ours=None, paper=0.3),
        ],
    )
    (axis,) = panels(figure).values()
    assert curves(axis) == {
        (BLUE, "-"): [(8, 30.0), (16, 50.0)], (BLUE, "o"): [(8, 40.0), (16, 60.0)],
        (ORANGE, "o"): [(8, 30.0)],
    }  # fmt: skip
    assert axis.get_ylabel() == "best test accuracy (%)"
    assert axis.get_xlabel() == "width $m$"
    assert legend(figure) == ["Normal", "Align-ada", "the paper's"]
    assert figure.get_suptitle() == EXPERIMENTS["table6"].title


def test_a_rule_has_the_same_colour_in_every_figure(drawn):
    figure = drawn("table10", [cell(setting="1 epoch", rule="align-ada", width=8),
                               cell(setting="1 epoch", rule="normal", width=8)])  # fmt: skip
    (axis,) = panels(figure).values()
    assert set(curves(axis)) == {(BLUE, "-"), (ORANGE, "-")}
    assert [to_hex(line.get_color()) for line in figure.legends[0].get_lines()] == [ORANGE, BLUE]


def test_seven_layers_have_seven_colours(drawn):
    cells = [cell("score", layer=n, width=8) for n in range(1, 8)]
    (axis,) = panels(drawn("table3", cells)).values()
    assert len(curves(axis)) == 7


def test_rates_run_along_the_axis_and_the_widest_network_is_solid(drawn):
    cells = [cell(data=data, rule="normal", width=width, rate=rate, ours=0.1 * width)
             for data in ("CIFAR-10", "KMNIST") for width in (1, 4) for rate in (0.5, 5.0)
             ]  # fmt: skip
    figure = drawn("figure3", cells)
    assert list(panels(figure)) == ["CIFAR-10", "KMNIST"]
    axis = panels(figure)["KMNIST"]
    assert curves(axis) == {
        (BLUE, "--"): [(0.5, 10.0), (5.0, 10.0)], (BLUE, "-"): [(0.5, 40.0), (5.0, 40.0)],
    }  # fmt: skip
    assert axis.get_xscale() == "log"
    assert legend(figure) == ["Normal", "×4", "×1"]


def test_figure_6_has_the_narrowest_and_the_widest_network_against_images(drawn):
    cells = [cell(train=n, rule="normal", width=width, ours=n / 1000, paper=0.1)
             for n in (45, 150) for width in (8, 16, 32)]  # fmt: skip
    figure = drawn("figure6", cells)
    (axis,) = panels(figure).values()
    assert set(curves(axis)) == {(BLUE, "-"), (BLUE, "--"), (BLUE, "o"), (BLUE, "s")}
    assert curves(axis)[BLUE, "-"] == [(45, 4.5), (150, 15.0)]
    assert legend(figure) == ["Normal", "×32", "×8", "the paper's, ×32", "the paper's, ×8"]


def test_scores_over_epochs_are_beside_those_of_shuffled_weights(drawn):
    cells = [cell(q, data="KMNIST", width=16, layer=1, epoch=e, ours=0.1 * e)
             for q in ("score", "score_permuted") for e in (1, 2)]  # fmt: skip
    figure = drawn("figure8", cells)
    assert list(panels(figure)) == ["KMNIST, ×16"]
    (axis,) = panels(figure).values()
    assert set(curves(axis)) == {(BLUE, "-"), (BLUE, "--")}
    assert axis.get_ylabel() == "alignment score"
    assert axis.get_xlabel() == "epoch"


def test_losses_of_both_parts_are_told_by_the_kind_of_line(drawn):
    cells = [cell(q, rule="normal", width=w, ours=v) for q, v in
             (("test_loss", 1.0), ("train_loss", 2.0)) for w in (8, 16)]  # fmt: skip
    figure = drawn("figure9", cells)
    (axis,) = panels(figure).values()
    assert curves(axis) == {
        (BLUE, "-"): [(8, 1.0), (16, 1.0)], (BLUE, "--"): [(8, 2.0), (16, 2.0)],
    }  # fmt: skip
    assert axis.get_ylabel() == "lowest loss"
    assert axis.get_yscale() == "log"


def test_several_seeds_have_bars_of_their_error(drawn):
    (axis,) = panels(drawn("table2", [cell(rule="fa", width=8, spread=0.2, trials=4)])).values()
    (bars,) = axis.collections
    ((low, high),) = [sorted(y for _, y in path) for path in bars.get_segments()]
    assert (low, high) == pytest.approx((40.0, 60.0))


def test_nothing_is_drawn_of_nothing(tmp_path):
    for cells in ([], [cell(rule="fa", width=8, ours=None, paper=0.3)]):
        assert paper_figure(EXPERIMENTS["table6"], cells, tmp_path / "plot") is None
    assert not list(tmp_path.iterdir())


def test_a_figure_is_written_in_both_formats(tmp_path):
    path = paper_figure(EXPERIMENTS["table6"], [cell(rule="fa", width=8)], tmp_path / "a" / "plot")
    assert path.read_text().startswith("<?xml")
    assert path.with_suffix(".png").is_file()
