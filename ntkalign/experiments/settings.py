"""Where runs differ from the paper's settings, in sentences: read from the tables that they left.

A report that shows a number beside the paper's says with them whether it was made as the paper's.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from ntkalign.experiments.experiment import Experiment, Series


def differences(experiment: Experiment, runs: pd.DataFrame) -> list[str]:
    """What was trained otherwise than the paper's experiment has it.

    Args:
        experiment: which.
        runs: the table of runs.

    Returns:
        A sentence for each setting; those of several series together where they agree.
    """
    own = {s: runs[runs["experiment"] == experiment.name_of(s)] for s in experiment.series}
    trained = [series for series in own if not own[series].empty]
    found: dict[str, list[str]] = {}
    for series in trained:
        for sentence in _of_series(series, own[series]):
            found.setdefault(sentence, []).append(series.label)
    told = [
        sentence if len(labels) == len(trained) else f"{', '.join(labels)}: {sentence}"
        for sentence, labels in found.items()
    ]
    missing = [series.label or experiment.name for series in own if series not in trained]
    return [*told, f"not trained: {', '.join(missing)}."] if missing else told


def _of_series(series: Series, runs: pd.DataFrame) -> Iterable[str]:
    for name, column, papers in (
        ("widths", "width", series.widths), ("rules", "rule", series.rules),
        ("rates", "rate", series.rates), ("seeds", "seed", series.seed),
        ("batches of", "batch", (series.batch,)),
        ("training points", "train_points", (series.train or series.task.train,)),
        ("test points", "test_points", (series.test or series.task.test,)),
    ):  # fmt: skip
        ours = runs[column].dropna().drop_duplicates().tolist()
        if ours and set(ours) != set(papers):
            yield f"{name} {_listed(ours)}; the paper: {_listed(papers)}."
    epochs = int(runs["epochs"].max())
    if epochs != series.epochs:
        yield f"epochs {epochs}; the paper: {series.epochs}."
    lost = runs[runs["status"] != "trained"]
    if len(lost):
        yield f"{len(lost)} of {len(runs)} runs ended early: {lost['status'].iloc[0]}, say."


def _listed(values: Iterable[object]) -> str:
    told = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return ", ".join(told)
