"""The paper's tables, and ours beside them: which number stands in which cell."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest

from ntkalign.experiments.catalogue import EXPERIMENTS
from ntkalign.experiments.comparison import compare, paper_numbers, paper_table, source
from ntkalign.experiments.quantities import QUANTITIES
from ntkalign.experiments.tables import COLUMNS
from ntkalign.rules import RULES

TABLES = {1: 21, 2: 5, 3: 49, 4: 21, 5: 49, 6: 42, 7: 42, 8: 40, 9: 245, 10: 63}
"""How many cells each has; Table 8 has two numbers in each."""
NAN = math.nan


def rows(*told, row="epoch"):
    """Rows of tables: (experiment, rule, width, rate, seed, epoch) and other columns by name."""
    names = ["experiment", "rule", "width", "rate", "seed", "epoch"]
    made = [dict(zip(names, values, strict=False)) | rest for *values, rest in told]
    columns = {column for names in COLUMNS.values() for column in names}
    return pd.DataFrame([{"row": row} | m for m in made], columns=[*sorted(columns), "row"])


def accuracy(value, **rest):
    return {"test_accuracy": value} | rest


def losses(test, train):
    return {"test_loss": test, "train_loss_after": train}


def cell_of(cells, **key):
    (found,) = [c for c in cells if key.items() <= (c.key | {"quantity": c.quantity}).items()]
    return found


# --- the paper's numbers --------------------------------------------------------------------


@pytest.mark.parametrize(("number", "cells"), TABLES.items())
def test_a_table_is_whole_and_says_where_it_is_from(number, cells):
    table = paper_table(f"table{number}")
    assert len(table) == cells
    assert not table.isna().any().any()
    keys = [key for key in table if key not in QUANTITIES and key != "standard_deviation"]
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
    values = [name for name in QUANTITIES if name in table]
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
    for experiment in EXPERIMENTS.values():
        for series in (series for series in experiment.series if series.paper):
            found = {
                name: values
                for name in experiment.shown.quantities
                if (values := paper_numbers(experiment, series, name))
            }
            assert set(found) == set(experiment.shown.quantities)
            for values in found.values():
                for name, own in (("rule", series.rules), ("width", series.widths)):
                    at = experiment.shown.keys.index(name) if name in experiment.shown.keys else -1
                    assert name == "rule" or at >= 0
                    assert at < 0 or {key[at] for key in values} <= set(own), series
                if experiment.shown.label:
                    at = experiment.shown.keys.index(experiment.shown.label)
                    assert {str(key[at]) for key in values} == {series.label}
            assert bool(series.scored) == ("score" in found)


def test_the_paper_s_numbers_of_a_figure_are_those_of_its_tables():
    for figure, tables in (("figure1", (3, 4)), ("figure4", (6, 7)), ("figure9", (8,))):
        experiment = EXPERIMENTS[figure]
        for series, number in zip(experiment.series, tables, strict=True):
            for name in experiment.shown.quantities:
                table = paper_table(f"table{number}")
                values = paper_numbers(experiment, series, name)
                assert list(values.values()) == table[name].tolist()


# --- ours beside them -----------------------------------------------------------------------


def test_an_accuracy_is_the_best_over_rates_and_epochs():
    cells = compare(
        EXPERIMENTS["table6"],
        rows(
            ("table6", "normal", 8, 1.0, 99, 1, accuracy(0.3)),
            ("table6", "normal", 8, 1.0, 99, 2, accuracy(0.5)),
            ("table6", "normal", 8, 2.0, 99, 1, accuracy(0.6, test_points=400)),
            ("table6", "normal", 8, 5.0, 99, 1, accuracy(NAN)),
            ("table6", "w-star", 8, 5.0, 99, 1, accuracy(0.2)),
            ("table7", "normal", 8, 1.0, 99, 1, accuracy(0.9)),
        ),
    )
    assert len(cells) == 2
    found = cell_of(cells, rule="normal", width=8)
    assert (found.paper, found.ours, found.spread, found.trials) == (0.548, 0.6, None, 1)
    assert found.deviation == pytest.approx(0.052)
    assert found.as_json()["deviation"] == found.deviation
    own = cell_of(cells, rule="w-star")
    assert (own.paper, own.ours, own.deviation) == (None, 0.2, None)


def test_an_accuracy_has_the_error_of_a_share_of_so_many_points():
    table = rows(("table6", "normal", 8, 1.0, 99, 1, accuracy(0.2, test_points=400)))
    (cell,) = compare(EXPERIMENTS["table6"], table)
    assert cell.points == 400
    assert cell.error == pytest.approx(0.02)
    (unknown,) = compare(EXPERIMENTS["table6"], table.assign(test_points=NAN))
    assert unknown.error == 0


def test_losses_are_the_lowest_and_those_of_training_are_taken_after_an_epoch():
    cells = compare(
        EXPERIMENTS["table8"],
        rows(
            ("table8", "normal", 8, 0.001, 99, 1, losses(3.0, 2.0)),
            ("table8", "normal", 8, 0.001, 99, 2, losses(2.0, 4.0)),
            ("table8", "normal", 8, 0.001, 99, 3, losses(NAN, NAN)),
            ("table8", "align-ada", 8, 0.001, 99, 1, losses(NAN, NAN)),
        ),
    )
    assert cell_of(cells, rule="normal", quantity="test_loss").ours == 2.0
    assert cell_of(cells, rule="normal", quantity="train_loss").ours == 2.0
    diverged = cell_of(cells, rule="align-ada", quantity="test_loss")
    assert (diverged.ours, diverged.deviation, diverged.trials) == (None, None, 0)
    assert diverged.error == 0


def test_seeds_have_a_mean_a_spread_and_an_error():
    told = [("table2", "fa", 256, 1.0, 100 + s, 1, accuracy(a)) for s, a in enumerate((0.4, 0.6))]
    found = cell_of(compare(EXPERIMENTS["table2"], rows(*told)), rule="fa")
    assert found.ours == pytest.approx(0.5)
    assert found.spread == pytest.approx(0.1414, abs=1e-4)
    assert found.error == pytest.approx(0.1)


def test_series_are_cells_of_their_own():
    for name in ("table9", "figure6"):
        cells = compare(
            EXPERIMENTS[name],
            rows(
                (f"{name}/45", "normal", 8, 1.0, 99, 1, accuracy(0.2)),
                (f"{name}/150", "normal", 8, 1.0, 99, 1, accuracy(0.3)),
            ),
        )
        assert [(c.key["train"], c.ours, c.paper) for c in cells] == [
            (45, 0.2, 0.244), (150, 0.3, 0.22),
        ]  # fmt: skip


def test_settings_of_table_10_are_cells_of_their_own():
    labels = ("150 epochs", "1 epoch", "1 epoch at a small rate")
    told = [(f"table10/{label}", "normal", 8, 0.1, 99, 1, accuracy(0.5)) for label in labels]
    cells = compare(EXPERIMENTS["table10"], rows(*told))
    assert [(c.key["setting"], c.paper) for c in cells] == [
        (labels[0], 0.609), (labels[1], 0.373), (labels[2], 0.179),
    ]  # fmt: skip


def test_rates_and_data_sets_are_cells_of_figure_3():
    cells = compare(
        EXPERIMENTS["figure3"],
        rows(
            ("figure3/CIFAR-10", "fa", 8, 0.05, 99, 1, accuracy(0.2)),
            ("figure3/CIFAR-10", "fa", 8, 0.05, 99, 2, accuracy(0.4)),
            ("figure3/CIFAR-10", "fa", 8, 10.0, 99, 1, accuracy(0.1)),
            ("figure3/KMNIST", "fa", 8, 0.05, 99, 1, accuracy(0.3)),
        ),
    )
    assert [(c.key["data"], c.key["rate"], c.ours, c.paper) for c in cells] == [
        ("CIFAR-10", 0.05, 0.4, None), ("CIFAR-10", 10.0, 0.1, None), ("KMNIST", 0.05, 0.3, None),
    ]  # fmt: skip


def test_epochs_of_all_rates_and_seeds_are_trials_of_figure_7():
    told = [
        ("figure7", "normal", 8, rate, seed, 1, {"seconds": rate + seed})
        for rate in (1.0, 2.0) for seed in (0, 4)
    ]  # fmt: skip
    (cell,) = compare(EXPERIMENTS["figure7"], rows(*told))
    assert (cell.ours, cell.trials) == (3.5, 4)
    assert cell.error == pytest.approx(cell.spread / 2)


def scores(experiment, *told):
    """(width, layer, epoch, score, shuffled)."""
    made = [
        (experiment, "normal", width, 1.0, 99, epoch,
         {"layer": layer, "score": score, "score_permuted": shuffled})
        for width, layer, epoch, score, shuffled in told
    ]  # fmt: skip
    return rows(*made, row="layer")


def test_a_score_is_that_after_the_last_epoch():
    table = scores("table3", (16, 2, 1, 0.9, 0.1), (16, 2, 2, 0.3, 0.1), (8, 2, 2, 0.5, 0.1))
    other = rows(("table3", "w-star", 16, 1.0, 99, 2, accuracy(0.4)))
    cells = compare(EXPERIMENTS["table3"], pd.concat([table, other]))
    assert len(cells) == 2
    assert (cell_of(cells, layer=2, width=16).ours, cell_of(cells, width=16).paper) == (0.3, 0.433)


def test_the_dense_layer_is_scored_and_not_shown():
    (cell,) = compare(EXPERIMENTS["table4"], scores("table4", (8, 3, 1, 0.5, 0), (8, 4, 1, 0.9, 0)))
    assert (cell.key["layer"], cell.ours) == (3, 0.5)


def test_scores_of_every_epoch_are_cells_of_figure_8_and_so_are_those_of_shuffled_weights():
    table = scores("figure8/KMNIST", (16, 2, 1, 0.9, 0.1), (16, 2, 2, 0.3, 0.2))
    cells = compare(EXPERIMENTS["figure8"], table)
    assert [(c.quantity, c.key["epoch"], c.ours) for c in cells] == [
        ("score", 1, 0.9), ("score", 2, 0.3), ("score_permuted", 1, 0.1), ("score_permuted", 2, 0.2)
    ]  # fmt: skip
