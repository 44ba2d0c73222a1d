"""The paper's tables, and ours beside them: which number stands in which cell."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest

from ntkalign.experiments.comparison import BEST, KEYS, compare, paper_table, source
from ntkalign.experiments.experiment import EXPERIMENTS
from ntkalign.experiments.judged_trends import DOES_NOT, HOLDS, TOO_FEW, judge_trend
from ntkalign.experiments.trends import Ahead, Closes, Grows
from ntkalign.rules import RULES

TABLES = {1: 21, 2: 5, 3: 49, 4: 21, 5: 49, 6: 42, 7: 42, 8: 40, 9: 245, 10: 63}
"""How many cells each has; Table 8 has two numbers in each."""
NAN = math.nan


def epochs(*rows):
    """(experiment, rule, width, rate, seed, epoch, test loss, accuracy, loss after)."""
    names = ["experiment", "rule", "width", "rate", "seed", "epoch", "test_loss", "test_accuracy",
             "train_loss_after"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def cell_of(cells, **key):
    (found,) = [c for c in cells if key.items() <= (c.key | {"quantity": c.quantity}).items()]
    return found


# --- the paper's numbers --------------------------------------------------------------------


@pytest.mark.parametrize(("number", "cells"), TABLES.items())
def test_a_table_is_whole_and_says_where_it_is_from(number, cells):
    table = paper_table(f"table{number}")
    assert len(table) == cells
    assert not table.isna().any().any()
    keys = [key for key in KEYS if key in table]
    assert not table.duplicated(keys).any()
    assert source(f"table{number}").startswith(f"Table {number} of Boopathy & Fiete, ICML 2022: ")
    if "rule" in table:
        assert set(table["rule"]) <= set(RULES)
    for name in ("test_accuracy", "score"):
        if name in table:
            assert table[name].between(0, 1).all()


@pytest.fixture(scope="module")
def paper() -> str:
    path = Path(__file__).parents[3] / "shared" / "paper" / "paper-with-latex.txt"
    if not path.is_file():
        pytest.skip("no paper beside the repository")
    return path.read_text()


@pytest.mark.parametrize("number", TABLES)
def test_the_numbers_are_the_papers_in_its_order(paper, number):
    """Every number of the table stands in the text after its caption, rule by rule."""
    text = paper[paper.index(f"\nTable {number}:") :][:20000]
    table = paper_table(f"table{number}")
    values = [name for name in (*BEST, "score") if name in table]
    rows = ["rule"] if "rule" in table else ["layer"]
    rows += [key for key in ("train", "setting") if key in table]
    for _, group in table.groupby(rows, sort=False):
        for name in values:
            share = name == "test_accuracy"
            shown = [f"{100 * v:.1f}" if share else f"{v:.3f}" for v in group[name]]
            between = r"(?:%|±[^±]*?%)? " if share and number != 2 else r" "
            if number == 2:
                assert f"{shown[0]}±" in text
            else:
                assert re.search(between.join(map(re.escape, shown)), text), (name, shown)


def test_every_compared_experiment_trains_what_the_table_has():
    for series in (series for e in EXPERIMENTS.values() for series in e.series):
        table = paper_table(series.paper)
        own = table[table["train"] == series.train] if "train" in table else table
        assert set(own.get("rule", ["w-star"])) == set(series.rules)
        assert bool(series.scored) == ("score" in table)
        assert set(own["width"]) == set(series.widths)
        assert series.label == str(series.train) or "train" not in table


# --- ours beside them -----------------------------------------------------------------------


def test_an_accuracy_is_the_best_over_rates_and_epochs():
    cells = compare(
        EXPERIMENTS["table6"],
        epochs(
            ("table6", "normal", 8, 1.0, 99, 1, 0.5, 0.3, NAN),
            ("table6", "normal", 8, 1.0, 99, 2, 0.5, 0.5, NAN),
            ("table6", "normal", 8, 2.0, 99, 1, 0.5, 0.6, NAN),
            ("table6", "normal", 8, 5.0, 99, 1, 0.5, NAN, NAN),
            ("table6", "w-star", 8, 5.0, 99, 1, 0.5, 0.2, NAN),
            ("table7", "normal", 8, 1.0, 99, 1, 0.5, 0.9, NAN),
        ),
    )
    assert len(cells) == 2
    found = cell_of(cells, rule="normal", width=8)
    assert (found.paper, found.ours, found.spread) == (0.548, 0.6, None)
    assert found.deviation == pytest.approx(0.052)
    assert found.as_json()["deviation"] == found.deviation
    own = cell_of(cells, rule="w-star")
    assert (own.paper, own.ours, own.deviation) == (None, 0.2, None)


def test_losses_are_the_lowest_and_those_of_training_are_taken_after_an_epoch():
    cells = compare(
        EXPERIMENTS["table8"],
        epochs(
            ("table8", "normal", 8, 0.001, 99, 1, 3.0, NAN, 2.0),
            ("table8", "normal", 8, 0.001, 99, 2, 2.0, NAN, 4.0),
            ("table8", "normal", 8, 0.001, 99, 3, NAN, NAN, NAN),
            ("table8", "align-ada", 8, 0.001, 99, 1, NAN, NAN, NAN),
        ),
    )
    assert cell_of(cells, rule="normal", quantity="test_loss").ours == 2.0
    assert cell_of(cells, rule="normal", quantity="train_loss").ours == 2.0
    diverged = cell_of(cells, rule="align-ada", quantity="test_loss")
    assert (diverged.ours, diverged.deviation) == (None, None)


def test_seeds_have_a_mean_and_a_spread():
    rows = [("table2", "fa", 256, 1.0, 100 + s, 1, 0.5, a, NAN) for s, a in enumerate((0.4, 0.6))]
    found = cell_of(compare(EXPERIMENTS["table2"], epochs(*rows)), rule="fa")
    assert found.ours == pytest.approx(0.5)
    assert found.spread == pytest.approx(0.1414, abs=1e-4)


def test_series_are_cells_of_their_own():
    cells = compare(
        EXPERIMENTS["table9"],
        epochs(
            ("table9/45", "normal", 8, 1.0, 99, 1, 0.5, 0.2, NAN),
            ("table9/150", "normal", 8, 1.0, 99, 1, 0.5, 0.3, NAN),
        ),
    )
    assert [(c.key["train"], c.ours, c.paper) for c in cells] == [
        (45, 0.2, 0.244), (150, 0.3, cells[1].paper),
    ]  # fmt: skip


# --- what the paper says --------------------------------------------------------------------


def accuracies(**by_rule):
    rows = [
        ("table6", rule.replace("_", "-"), 8 * 2**n, 1.0, 99, 1, 1 - a, a, NAN)
        for rule, values in by_rule.items()
        for n, a in enumerate(values)
    ]
    return compare(EXPERIMENTS["table6"], epochs(*rows))


def test_a_rule_that_is_ahead_everywhere_holds_and_behind_somewhere_does_not():
    ahead = Ahead("ada is ahead", "align-ada", "align-zero")
    assert judge_trend(ahead, accuracies(align_ada=[0.3, 0.4], align_zero=[0.2, 0.4])) == (
        judge_trend(ahead, accuracies(align_ada=[0.5, 0.5], align_zero=[0.2, 0.4]))
    )
    found = judge_trend(ahead, accuracies(align_ada=[0.3, 0.4], align_zero=[0.2, 0.45]))
    assert (found.verdict, found.reason) == (DOES_NOT, "in 1 of 2 pairs; not at ×16 by 0.05")
    assert found.as_json()["verdict"] == "does not hold"


def test_widths_that_are_not_meant_do_not_count_and_nothing_trained_says_nothing():
    wide = Ahead("in wide networks", "align-ada", "fa", widths=16)
    assert judge_trend(wide, accuracies(align_ada=[0.1, 0.4], fa=[0.2, 0.3])).verdict == HOLDS
    found = judge_trend(wide, accuracies(align_ada=[0.1], fa=[0.2]))
    assert (found.verdict, found.reason) == (TOO_FEW, "no two cells of it were trained")


def test_growth_is_from_the_narrowest_network_to_the_widest():
    grows = Grows("ada grows", "align-ada")
    assert judge_trend(grows, accuracies(align_ada=[0.2, 0.1, 0.3])).verdict == HOLDS
    found = judge_trend(grows, accuracies(align_ada=[0.3, 0.4, 0.25]))
    assert (found.verdict, found.reason) == (DOES_NOT, "in 0 of 1 pairs; not at ×32 by 0.05")
    assert judge_trend(grows, accuracies(align_ada=[0.3])).verdict == TOO_FEW
    assert judge_trend(grows, accuracies(fa=[0.3, 0.2])).verdict == TOO_FEW


def test_scores_of_each_layer_grow_by_themselves():
    rows = epochs()
    for layer, values in ((1, [0.4, 0.6]), (2, [0.5, 0.3])):
        for width, score in zip((8, 16), values, strict=True):
            for epoch, value in ((1, 0.9), (2, score)):  # the last one counts
                row = {"experiment": "table3", "rule": "normal", "width": width, "rate": 1.0,
                       "seed": 99, "epoch": epoch, "layer": layer, "score": value}  # fmt: skip
                rows = pd.concat([rows.astype(object), pd.DataFrame([row])])
    cells = compare(EXPERIMENTS["table3"], rows)
    assert cell_of(cells, layer=2, width=16).ours == 0.3
    assert cell_of(cells, layer=2, width=16).paper == 0.433
    (found,) = (judge_trend(trend, cells) for trend in EXPERIMENTS["table3"].trends)
    assert (found.verdict, found.reason) == (
        DOES_NOT, "in 1 of 2 pairs; not at ×16 layer 2 by 0.2"
    )  # fmt: skip


def test_a_gap_closes_from_the_narrowest_network_to_the_widest():
    closes = Closes("the gap closes", "align-ada", "normal")
    near = accuracies(align_ada=[0.1, 0.4], normal=[0.5, 0.5])
    assert judge_trend(closes, near).verdict == HOLDS
    far = accuracies(align_ada=[0.4, 0.1], normal=[0.5, 0.5])
    found = judge_trend(closes, far)
    assert (found.verdict, found.reason) == (DOES_NOT, "in 0 of 1 pairs; not at ×16 by 0.3")
    assert judge_trend(closes, accuracies(align_ada=[0.1, 0.4])).verdict == TOO_FEW


def test_a_loss_is_better_where_it_is_lower():
    rows = [("table8", r, 512, 1.0, 99, 1, v, NAN, v) for r, v in (("normal", 1.0), ("fa", 2.0))]
    cells = compare(EXPERIMENTS["table8"], epochs(*rows))
    assert judge_trend(Ahead("", "normal", "fa", "test_loss"), cells).verdict == HOLDS
    assert judge_trend(Ahead("", "fa", "normal", "test_loss"), cells).verdict == DOES_NOT


def test_trends_on_the_papers_own_numbers():
    """The paper's statements hold on its own tables."""
    for name in ("table1", "table2", "table6", "table7"):
        table = paper_table(name)
        rows = [(name, r.rule, r.width, 1.0, 99, 1, 0.5, r.test_accuracy, NAN)
                for r in table.itertuples()]  # fmt: skip
        cells = compare(EXPERIMENTS[name], epochs(*rows))
        assert all(c.deviation == 0 for c in cells)
        for trend in EXPERIMENTS[name].trends:
            assert judge_trend(trend, cells).verdict == HOLDS, trend
