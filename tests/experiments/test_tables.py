"""The tables: fixed columns, a row for each thing that was measured, and what a gap means."""

from __future__ import annotations

import csv
import gzip
import math
from dataclasses import replace

import pytest

from ntkalign.experiments.execute import Result
from ntkalign.experiments.options import Options
from ntkalign.experiments.tables import (
    AFTER,
    CURVE,
    HISTORY,
    RUNS,
    STEPS,
    UPDATES,
    failed,
    read_rows,
    read_runs,
    write_tables,
)  # fmt: skip
from ntkalign.training.alignment import Score
from ntkalign.training.trainer import Epoch, History
from tests.experiments import small

NAN, INF = math.nan, math.inf
POINTS = ["3", "4", "13", "9", "", "published", "float64", "paper"]
"""Of the runs below: epochs that were asked for, batch, points, and how."""
KEYS = ["experiment", "network", "width", "rule", "rate", "seed"]

IMAGES = Result(
    small.item("normal", width=8, rate=2.0),
    History(
        [Epoch(1, 0.5, 0.4, 0.25, NAN, 1.23456), Epoch(2, 0.3, 0.2, 0.75, NAN, 1.0),
         Epoch(3, 0.2, 0.3, 0.75, NAN, 1.0)],
        [0.6, 0.1 + 0.2], [[1.0, 2.0, 3.0], [0.5, 1e-30, NAN]],
    ),
    seconds=9.0, reused=0,
)  # fmt: skip
SEQUENCES = Result(
    small.item("recurrent", width=16, rate=0.001),
    History([Epoch(1, 9.0, 7.0, NAN, 8.0, 1.0), Epoch(2, 6.0, 5.0, NAN, 5.5, 1.0),
             Epoch(3, 5.0, 5.5, NAN, 6.0, 1.0)]),
    seconds=9.0, reused=3,
)  # fmt: skip
DIVERGED = Result(
    small.item("normal", width=8, rate=1e30),
    History([Epoch(1, INF, NAN, NAN, NAN, 0.5)], [1.0, INF, NAN], [[1.0], [INF], [NAN]],
            "diverged in epoch 1, step 1"),
    seconds=1.0, reused=0,
)  # fmt: skip


def written(folder, *results):
    """Rows of each table as they stand in its file."""
    write_tables(results, folder)
    found = {}
    for path in folder.glob("*.csv"):
        with path.open(newline="") as file:
            found[path.name] = list(csv.DictReader(file))
    return found


def columns(rows):
    return list(rows[0])


def test_the_columns_are_those_that_were_promised(tmp_path):
    tables = written(tmp_path, IMAGES, SEQUENCES)
    assert {name: columns(rows) for name, rows in tables.items()} == {
        HISTORY: [*KEYS, "epoch", "train_loss", "test_loss", "test_accuracy", "seconds"],
        STEPS: [*KEYS, "step", "train_loss"],
        UPDATES: [*KEYS, "step", "layer", "update_norm"],
        RUNS: [*KEYS, "status", "epochs", "lowest_train_loss", "lowest_test_loss",
               "best_test_accuracy", "best_epoch", "seconds", "epochs_asked", "batch",
               "train_points", "test_points", "split", "variant", "precision", "scale"],
        AFTER: [*KEYS, "epoch", "train_loss_after"],
    }  # fmt: skip
    assert set(tables) == {
        "history.csv", "steps.csv", "updates.csv", "runs.csv", "train_after.csv",
    }  # fmt: skip


def test_each_thing_has_one_row_with_its_run(tmp_path):
    tables = written(tmp_path, IMAGES, SEQUENCES, DIVERGED)
    assert [len(tables[n]) for n in (HISTORY, STEPS, UPDATES, RUNS, AFTER)] == [7, 5, 9, 3, 3]
    first, *_ = tables[HISTORY]
    assert list(first.values()) == [
        "table7", "cnn", "8", "normal", "2.0", "99", "1", "0.5", "0.4", "0.25", "1.235",
    ]  # fmt: skip
    assert [row["epoch"] for row in tables[HISTORY]] == ["1", "2", "3", "1", "2", "3", "1"]
    last = tables[AFTER][-1]
    assert list(last.values()) == ["table8", "rnn", "16", "normal", "0.001", "99", "3", "6.0"]


def test_a_curve_has_a_row_for_each_mean(tmp_path):
    history = History(IMAGES.history.epochs, curve=[(2, 0.75), (3, NAN)])
    result = Result(IMAGES.item, history, 1.0, 0)
    assert CURVE not in written(tmp_path, IMAGES)
    rows = written(tmp_path, result)[CURVE]
    assert columns(rows) == [*KEYS, "step", "train_loss"]
    assert [(row["step"], row["train_loss"]) for row in rows] == [("2", "0.75"), ("3", "nan")]
    read = read_rows(tmp_path)
    assert read[read["row"] == "step"]["train_loss"].tolist()[0] == 0.75


@pytest.mark.parametrize("packed", [False, True])
def test_tables_are_read_as_they_were_written_packed_or_not(tmp_path, packed):
    write_tables([IMAGES, SEQUENCES], tmp_path)
    if packed:
        for path in tmp_path.glob("*.csv"):
            (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    rows = read_rows(tmp_path)
    assert rows["row"].tolist() == ["epoch"] * 6
    assert rows["test_accuracy"].tolist()[:3] == [0.25, 0.75, 0.75]
    assert rows["train_loss_after"].tolist()[3:] == [8.0, 5.5, 6.0]
    assert rows["test_points"].tolist() == [9] * 6
    assert read_runs(tmp_path)["batch"].tolist() == [4, 4]


def test_steps_count_from_0_and_layers_from_1_and_no_digit_is_lost(tmp_path):
    tables = written(tmp_path, IMAGES)
    assert [(r["step"], float(r["train_loss"])) for r in tables[STEPS]] == [
        ("0", 0.6), ("1", 0.1 + 0.2),
    ]  # fmt: skip
    rows = [(r["step"], r["layer"], r["update_norm"]) for r in tables[UPDATES]]
    assert rows == [
        ("0", "1", "1.0"), ("0", "2", "2.0"), ("0", "3", "3.0"),
        ("1", "1", "0.5"), ("1", "2", "1e-30"), ("1", "3", "nan"),
    ]  # fmt: skip


def test_an_empty_field_says_there_is_none_and_nan_that_it_is_no_number(tmp_path):
    tables = written(tmp_path, IMAGES, SEQUENCES, DIVERGED)
    rows = {r["rate"]: r for r in tables[HISTORY]}
    assert rows["0.001"]["test_accuracy"] == ""
    diverged = rows["1e+30"]
    assert (diverged["train_loss"], diverged["test_loss"]) == ("inf", "nan")
    assert diverged["test_accuracy"] == ""
    assert [r["train_loss"] for r in tables[STEPS]][-3:] == ["1.0", "inf", "nan"]


def test_runs_are_summed_up_by_the_first_best_epoch_and_the_lowest_losses(tmp_path):
    images, sequences, diverged = written(tmp_path, IMAGES, SEQUENCES, DIVERGED)[RUNS]
    assert list(images.values())[6:] == [
        "trained", "3", "0.2", "0.2", "0.75", "2", "3.235", *POINTS,
    ]  # fmt: skip
    # losses after an epoch, on all points; lowest independently
    assert list(sequences.values())[6:] == ["trained", "3", "5.5", "5.0", "", "2", "3.0", *POINTS]
    assert list(diverged.values())[6:] == [
        "diverged in epoch 1, step 1", "1", "", "", "", "", "0.5", *POINTS,
    ]  # fmt: skip


def test_epochs_that_are_no_numbers_are_never_the_best(tmp_path):
    epochs = [Epoch(1, 1.0, 2.0, 0.5, NAN, 1.0), Epoch(2, INF, NAN, NAN, NAN, 1.0)]
    result = Result(IMAGES.item, History(epochs, status="diverged in epoch 2, step 0"), 1.0, 0)
    (row,) = written(tmp_path, result)[RUNS]
    assert (row["lowest_train_loss"], row["best_epoch"], row["epochs"]) == ("1.0", "1", "2")
    assert failed([result, IMAGES]) == [result]


def test_tables_that_would_be_empty_are_not_left(tmp_path):
    written(tmp_path, IMAGES)  # of the same experiment
    plain = Result(DIVERGED.item, History(DIVERGED.history.epochs), 1.0, 0)
    assert set(written(tmp_path, plain)) == {HISTORY, RUNS}


def test_rows_of_other_experiments_stay_and_ones_own_are_replaced(tmp_path):
    before = written(tmp_path, IMAGES, SEQUENCES)
    other = IMAGES.item.experiment.name
    assert other != SEQUENCES.item.experiment.name
    shorter = replace(SEQUENCES, history=History(SEQUENCES.history.epochs[:1]))
    after = written(tmp_path, shorter)
    kept = [row for row in after[HISTORY] if row["experiment"] == other]
    assert kept == [row for row in before[HISTORY] if row["experiment"] == other]
    assert len(after[HISTORY]) == len(kept) + 1
    assert after[STEPS] == before[STEPS]  # numbers as they were written, to the last digit


def test_a_table_that_is_none_is_written_anew(tmp_path):
    (tmp_path / HISTORY).write_text("something,else\n1,2\n")
    (tmp_path / RUNS).write_bytes(b"\xff\xfe\x00")
    tables = written(tmp_path, SEQUENCES)
    assert len(tables[HISTORY]) == 3
    assert len(tables[RUNS]) == 1


def test_before_a_command_is_complete_other_runs_of_its_experiment_stay(tmp_path):
    write_tables([IMAGES], tmp_path)
    wide = replace(IMAGES, item=replace(IMAGES.item, width=16))
    write_tables([wide], tmp_path, complete=False)
    assert read_runs(tmp_path)["width"].tolist() == [8, 16]
    write_tables([wide], tmp_path, complete=False)  # its own are not doubled
    assert read_runs(tmp_path)["width"].tolist() == [8, 16]
    write_tables([wide], tmp_path)
    assert read_runs(tmp_path)["width"].tolist() == [16]


def test_scores_are_replaced_by_those_of_the_same_run(tmp_path):
    """Their rows are of the network that drives W*."""
    item = replace(IMAGES.item, rule="w-star")
    scores = [(1, Score(1, 0.5, 0.5, 0.1, 0.2))]
    result = Result(item, replace(IMAGES.history, scores=scores), 1.0, 0)
    for _ in range(2):
        write_tables([result], tmp_path, complete=False)
    rows = read_rows(tmp_path)
    assert (rows["row"] == "layer").sum() == 1


def test_what_was_asked_for_stands_with_the_run(tmp_path):
    options = Options(test=500, variant="written", scale="small")
    (row,) = written(tmp_path, replace(IMAGES, item=replace(IMAGES.item, options=options)))[RUNS]
    assert [row[n] for n in ("split", "variant", "scale")] == ["500", "written", "small"]
