"""The tables that an experiment leaves behind: tidy, one row for each thing that was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ntkalign.experiments.execute import Result
from ntkalign.files import Content, write_together
from ntkalign.training.trainer import TRAINED

KEYS = ("experiment", "network", "width", "rule", "rate", "seed")
HISTORY, STEPS, UPDATES, RUNS, AFTER, ALIGNMENT, CURVE = (
    "history.csv", "steps.csv", "updates.csv", "runs.csv", "train_after.csv", "alignment.csv",
    "curve.csv",
)  # fmt: skip
COLUMNS = {
    HISTORY: (*KEYS, "epoch", "train_loss", "test_loss", "test_accuracy", "seconds"),
    STEPS: (*KEYS, "step", "train_loss"),
    UPDATES: (*KEYS, "step", "layer", "update_norm"),
    RUNS: (
        *KEYS, "status", "epochs", "lowest_train_loss", "lowest_test_loss", "best_test_accuracy",
        "best_epoch", "seconds", "epochs_asked", "batch", "train_points", "test_points", "split",
        "variant", "precision", "scale",
    ),
    AFTER: (*KEYS, "epoch", "train_loss_after"),
    ALIGNMENT: (
        *KEYS, "epoch", "layer", "score", "score_sampled", "standard_error", "score_permuted",
    ),
    CURVE: (*KEYS, "step", "train_loss"),
}  # fmt: skip
"""Columns by file. In RUNS the lowest training loss is that of AFTER where the experiment has one:
on all training points, after an epoch; "split" counts the images before the first one that is
trained on, empty where the set has parts of its own. Steps of CURVE count those taken, and its loss
is the mean over those since the row before."""


def keys(result: Result) -> tuple[Any, ...]:
    """What tells a run from the others."""
    item = result.item
    network = item.series.task.network
    return (item.name, network, item.width, item.rule, item.run.rate, item.run.seed)


def write_tables(results: Sequence[Result], folder: Path, *, complete: bool = True) -> None:
    """Write them all; those that would be empty are not written.

    Rows of other experiments that are there already stay; so do, before a command is complete, rows
    of the same experiment's other runs.

    Args:
        results: what was trained.
        folder: of the tables.
        complete: whether this is all that was asked for.

    Raises:
        CannotWriteError: if the folder cannot be written; the tables there are as they were.
    """
    contents: dict[Path, Content] = {}
    empty: list[Path] = []
    for name, rows in {
        HISTORY: history_rows(results), STEPS: step_rows(results), UPDATES: update_rows(results),
        RUNS: map(run_row, results), AFTER: after_rows(results),
        ALIGNMENT: alignment_rows(results), CURVE: curve_rows(results),
    }.items():  # fmt: skip
        # objects, so that whole numbers stay whole beside a gap
        table = pd.DataFrame(list(rows), columns=list(COLUMNS[name]), dtype=object)
        others = _rows_of_others(folder / name, results, complete)
        if table.empty and others.empty:
            empty.append(folder / name)
        else:
            both = pd.concat([others, table])
            contents[folder / name] = both.to_csv(index=False, na_rep="", lineterminator="\n")
    write_together(contents)
    for path in empty:
        path.unlink(missing_ok=True)


def _rows_of_others(path: Path, results: Iterable[Result], complete: bool) -> pd.DataFrame:
    """What a table holds of what was not run, as text, which is kept as it is."""
    try:
        stored = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError):  # none, or none that can be read
        return pd.DataFrame()
    if list(stored.columns) != list(COLUMNS[path.name]):
        return pd.DataFrame()
    if complete:
        return stored[~stored["experiment"].isin({r.item.name for r in results})]
    ours = {tuple(map(str, keys(r))) for r in results}
    if path.name == ALIGNMENT:  # whose rows are of the network that drives W*
        ours = {(*key[:3], "normal", *key[4:]) for key in ours}
    return stored[[key not in ours for key in stored[list(KEYS)].itertuples(index=False)]]


def history_rows(results: Iterable[Result]) -> Iterator[tuple[Any, ...]]:
    """A row for each epoch."""
    for result in results:
        for e in result.history.epochs:
            yield (
                *keys(result), e.epoch, _told(e.train_loss), _told(e.test_loss),
                e.test_accuracy, round(e.seconds, 3),
            )  # fmt: skip


def after_rows(results: Iterable[Result]) -> Iterator[tuple[Any, ...]]:
    """A row for each epoch that was followed by an evaluation on the training points."""
    for result in results:
        if result.item.run.order.evaluates_train:
            for e in result.history.epochs:
                yield (*keys(result), e.epoch, _told(e.train_loss_after))


def alignment_rows(results: Iterable[Result]) -> Iterator[tuple[Any, ...]]:
    """A row for each layer and epoch with a score, of the network that drives W*: ``normal``."""
    for result in results:
        name, network, width, _, *rest = keys(result)
        for epoch, score in result.history.scores:
            values = (_told(v) for v in score[1:])
            yield (name, network, width, "normal", *rest, epoch, score.layer, *values)


def curve_rows(results: Iterable[Result]) -> Iterator[tuple[Any, ...]]:
    """A row for each part of an epoch whose mean loss was kept."""
    for result in results:
        for step, loss in result.history.curve:
            yield (*keys(result), step, _told(loss))


def step_rows(results: Iterable[Result]) -> Iterator[tuple[Any, ...]]:
    """A row for each of the first minibatches."""
    for result in results:
        for step, loss in enumerate(result.history.losses):
            yield (*keys(result), step, _told(loss))


def update_rows(results: Iterable[Result]) -> Iterator[tuple[Any, ...]]:
    """A row for each layer with weights, and each of the first minibatches."""
    for result in results:
        for step, norms in enumerate(result.history.update_norms):
            for layer, norm in enumerate(norms, start=1):
                yield (*keys(result), step, layer, _told(norm))


def run_row(result: Result) -> tuple[Any, ...]:
    """How a run ended, and its best epoch: by accuracy, or by the loss where there is none."""
    item, epochs, order = result.item, result.history.epochs, result.item.run.order
    after = order.evaluates_train
    trained = [e.train_loss_after if after else e.train_loss for e in epochs]
    accuracy = [e.test_accuracy for e in epochs]
    scores = accuracy if result.item.run.learner.loss.classifies else [-e.test_loss for e in epochs]
    finite = [n for n, score in enumerate(scores) if math.isfinite(score)]
    best = max(finite, key=lambda n: scores[n]) if finite else None
    return (
        *keys(result), result.history.status, len(epochs), _lowest(trained),
        _lowest([e.test_loss for e in epochs]),
        math.nan if best is None else accuracy[best],
        None if best is None else epochs[best].epoch, round(sum(e.seconds for e in epochs), 3),
        item.run.epochs, order.batch, order.train, order.test,
        item.options.test if item.series.task.images and not item.series.task.streamed else None,
        item.options.variant, item.run.precision, item.options.scale,
    )  # fmt: skip


def _lowest(values: Iterable[float]) -> float:
    return min((v for v in values if math.isfinite(v)), default=math.nan)


def _told(value: float) -> float | str:
    """A number as it is; "nan" where there should be one: an empty field says there is none."""
    return "nan" if math.isnan(value) else value


def failed(results: Iterable[Result]) -> list[Result]:
    """Runs whose loss was no longer finite."""
    return [result for result in results if result.history.status != TRAINED]


def read_rows(folder: Path) -> pd.DataFrame:
    """What the tables of a folder tell, for :func:`ntkalign.experiments.comparison.compare`.

    Args:
        folder: of the results.

    Returns:
        A row for each "epoch", for each "layer" that was scored after one, and for each "step" of
        the curve.

    Raises:
        OSError: if there are none.
    """
    runs = read_runs(folder)
    epochs = _read(folder, HISTORY).merge(runs[[*KEYS, "test_points"]], how="left", on=list(KEYS))
    if stored(folder, AFTER):
        epochs = epochs.merge(_read(folder, AFTER), how="left", on=[*KEYS, "epoch"])
    parts = {"epoch": epochs}
    for row, name in (("layer", ALIGNMENT), ("step", CURVE)):
        if stored(folder, name):
            parts[row] = _read(folder, name)
    told = pd.concat([part.assign(row=name) for name, part in parts.items()])
    columns = {c for names in COLUMNS.values() for c in names}
    return told.reindex(columns=[*sorted(columns | {"row"})])


def read_runs(folder: Path) -> pd.DataFrame:
    """The table of runs.

    Args:
        folder: of the results.

    Returns:
        A row for each; columns that were not written are empty.

    Raises:
        OSError: if there is none.
    """
    return _read(folder, RUNS).reindex(columns=list(COLUMNS[RUNS]))


def stored(folder: Path, name: str) -> Path | None:
    """The file of a table, which may be packed as NAME.gz; None if there is none."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def _read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(stored(folder, name) or folder / name)
