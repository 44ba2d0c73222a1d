"""What a report says of runs that are not the paper's."""

from __future__ import annotations

import pandas as pd

from ntkalign.experiments.catalogue import EXPERIMENTS
from ntkalign.experiments.experiment import Experiment
from ntkalign.experiments.settings import differences, how


def runs(experiment: Experiment, *labels: str, **changes) -> pd.DataFrame:
    """A row for each run as the paper's would leave it, but for the changes."""
    made = []
    for series in experiment.series:
        if labels and series.label not in labels:
            continue
        own = {
            "experiment": experiment.name_of(series), "status": "trained", "epochs": series.epochs,
            "epochs_asked": series.epochs, "batch": series.batch,
            "train_points": series.train or series.task.train,
            "test_points": min(5000, series.train) if series.cut else series.task.test,
            "split": series.task.test, "variant": "published", "precision": "float32",
        }  # fmt: skip
        made += [
            own | {"width": width, "rule": rule, "rate": rate, "seed": seed} | changes
            for width in series.widths
            for rule in series.rules
            for rate in series.rates
            for seed in series.seed
        ]
    return pd.DataFrame(made)


def test_runs_of_the_paper_differ_in_nothing():
    for experiment in EXPERIMENTS.values():
        assert differences(experiment, runs(experiment)) == []


def test_each_setting_is_named():
    experiment = EXPERIMENTS["table7"]
    found = differences(
        experiment,
        runs(experiment, width=8, rule="fa", rate=0.5, seed=3, epochs_asked=2, batch=10,
             train_points=50, test_points=40, split=40, variant="written", precision="float64"),
    )  # fmt: skip
    assert found == [
        "widths 8; the paper: 8, 16, 32, 64, 128, 256, 512.",
        "rules fa; the paper: normal, align-ada, align-zero, fa, dfa, last-layer.",
        "rates 0.5; the paper: 1, 2, 5.",
        "seeds 3; the paper: 99.",
        "epochs 2; the paper: 100.",
        "batches of 10; the paper: 100.",
        "training points 50; the paper: 55000.",
        "test points 40; the paper: 5000.",
        "images before those that are trained on 40; the paper: 5000.",
        "rules as written; the paper: published.",
        "precision float64; the paper: float32.",
    ]


def test_series_that_differ_alike_are_told_once_and_others_by_their_names():
    experiment = EXPERIMENTS["table10"]
    labels = [series.label for series in experiment.series]
    assert differences(experiment, runs(experiment, test_points=40)) == [
        "test points 40; the paper: 5000."
    ]
    assert differences(experiment, runs(experiment, epochs_asked=1)) == [
        f"{labels[0]}: epochs 1; the paper: 150."
    ]
    assert differences(experiment, runs(experiment, *labels[1:])) == [f"not trained: {labels[0]}."]
    # as many are missing as differ
    found = differences(experiment, runs(experiment, labels[0], epochs_asked=2))
    assert found == ["epochs 2; the paper: 150.", f"not trained: {labels[1]}, {labels[2]}."]


def test_runs_that_ended_early_are_counted():
    experiment = EXPERIMENTS["table8"]
    table = runs(experiment)
    table.loc[3, ["status", "epochs"]] = ["diverged in epoch 20, step 2", 20]
    assert differences(experiment, table) == [
        "1 of 40 runs ended early: diverged in epoch 20, step 2, say."
    ]


def test_runs_that_are_missing_are_named():
    experiment = EXPERIMENTS["table8"]
    table = runs(experiment)
    rest = table[(table["width"] != 4096) | ~table["rule"].isin(["normal", "last-layer"])]
    assert differences(experiment, rest) == [
        "2 of 40 runs are missing: ×4096 last-layer η=0.001 seed 99, ×4096 normal η=0.001 seed 99."
    ]


def test_how_is_said_by_the_runs():
    table = runs(EXPERIMENTS["table9"], "45")
    assert how(table) == "Rules as published, float32."
    both = pd.concat([table, table.assign(variant="written")])
    assert how(both) == "Rules as published or written, float32."
    assert how(table.assign(variant=None)) == ""
