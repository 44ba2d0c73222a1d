"""Where runs differ from the paper's settings, in sentences: read from the tables that they left.

A report that shows a number beside the paper's says with them whether it was made as the paper's.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import pandas as pd

from ntkalign.experiments.experiment import Experiment, Series
from ntkalign.experiments.options import Options

_NAMED = 4
"""Runs that a sentence names."""


def how(runs: pd.DataFrame) -> str:
    """By which reading of the rules, and in which precision.

    Args:
        runs: the table of runs.

    Returns:
        A few words; empty if the table does not say.
    """
    said = [" or ".join(dict.fromkeys(runs[c].dropna())) for c in ("variant", "precision")]
    return f"Rules as {said[0]}, {said[1]}." if all(said) else ""


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
    task = series.task
    train, split = series.train or task.train, series.test or task.test
    for name, column, papers in (
        ("widths", "width", series.widths), ("rules", "rule", series.rules),
        ("rates", "rate", series.rates), ("seeds", "seed", series.seed),
        ("epochs", "epochs_asked", (series.epochs,)), ("batches of", "batch", (series.batch,)),
        ("training points", "train_points", (train,)),
        ("test points", "test_points", (min(train, split) if series.cut else split,)),
        ("images before those that are trained on", "split", (split,)),
        ("rules as", "variant", (Options.variant,)), ("precision", "precision", ("float32",)),
    ):  # fmt: skip
        ours = runs[column].dropna().drop_duplicates().tolist()
        if ours and set(ours) != set(papers):
            yield f"{name} {_listed(ours)}; the paper: {_listed(papers)}."
    yield from _missing(runs)
    lost = runs[runs["status"] != "trained"]
    if len(lost):
        yield f"{len(lost)} of {len(runs)} runs ended early: {lost['status'].iloc[0]}, say."


def _missing(runs: pd.DataFrame) -> Iterable[str]:
    """Combinations of what was trained that were not."""
    names = ["width", "rule", "rate", "seed"]
    have = set(runs[names].itertuples(index=False, name=None))
    wanted = list(product(*(runs[name].drop_duplicates() for name in names)))
    lacking = [key for key in wanted if key not in have]
    if lacking:
        named = (f"×{w} {rule} η={rate:g} seed {s}" for w, rule, rate, s in lacking[:_NAMED])
        told = ", ".join(named)
        more = f" and {len(lacking) - _NAMED} more" * (len(lacking) > _NAMED)
        yield f"{len(lacking)} of {len(wanted)} runs are missing: {told}{more}."


def _listed(values: Iterable[object]) -> str:
    """Whole numbers as they are, though a column with a gap holds them as floats."""
    told = (int(v) if isinstance(v, float) and v.is_integer() else v for v in values)
    return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in told)
