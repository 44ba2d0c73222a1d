"""An experiment's numbers beside the paper's, cell by cell.

The paper's numbers are files of this package, one a table, with the columns that tell a cell (rule,
width, layer, a setting) and the values. Ours are read from the tables that runs leave, so that a
report is made from what is stored. As in the paper, an accuracy is the best over rates and epochs,
and a loss the lowest over epochs; where there are several seeds, their mean.
"""

from __future__ import annotations

import importlib.resources
import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ntkalign.experiments.experiment import Experiment

KEYS = ("train", "setting", "rule", "layer", "width")
"""Columns of the paper's tables that tell a cell."""


@dataclass(frozen=True)
class Cell:
    """A number of the paper's, and ours.

    Attributes:
        key: what tells it, by column.
        quantity: what it is, such as "test_accuracy".
        paper: the paper's; None where it has none.
        ours: ours; None where nothing was trained for it, or every run diverged.
        spread: standard deviation over seeds, where there are several.
    """

    key: dict[str, Any]
    quantity: str
    paper: float | None
    ours: float | None
    spread: float | None = None

    @property
    def deviation(self) -> float | None:
        """Ours minus the paper's."""
        return None if self.paper is None or self.ours is None else self.ours - self.paper

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return self.key | {
            "quantity": self.quantity, "paper": self.paper, "ours": self.ours,
            "deviation": self.deviation, "spread": self.spread,
        }  # fmt: skip


def paper_table(name: str) -> pd.DataFrame:
    """The paper's numbers of a table."""
    path = importlib.resources.files("ntkalign.experiments") / "paper" / f"{name}.csv"
    with path.open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#")


def source(name: str) -> str:
    """Where they stand."""
    path = importlib.resources.files("ntkalign.experiments") / "paper" / f"{name}.csv"
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


BEST = {
    "test_accuracy": ("test_accuracy", "max"),
    "test_loss": ("test_loss", "min"),
    "train_loss": ("train_loss_after", "min"),
    "score": ("score", "last"),
}
"""By the paper's column: which of ours, and what is taken over rates and epochs."""


def compare(experiment: Experiment, epochs: pd.DataFrame) -> list[Cell]:
    """Cells of the paper's table for which something was trained.

    Args:
        experiment: which.
        epochs: a row for each epoch of its runs, HISTORY with ``train_loss_after`` where there is;
            and for each epoch and layer of ALIGNMENT.

    Returns:
        Cells in the paper's order, then ours that the paper lacks.
    """
    found: list[Cell] = []
    epochs = epochs if "layer" in epochs else epochs.assign(layer=math.nan)
    for name in dict.fromkeys(series.paper for series in experiment.series if series.paper):
        labels = {experiment.name_of(s): s.label for s in experiment.series if s.paper == name}
        own = epochs[epochs["experiment"].isin(list(labels))]
        found += _beside(paper_table(name), own, labels)
    return found


def _beside(paper: pd.DataFrame, epochs: pd.DataFrame, labels: dict[str, str]) -> list[Cell]:
    """One table of the paper's, and our runs for it."""
    keys = [key for key in KEYS if key in paper]
    told = {"train", "setting"}.intersection(keys)  # the table itself tells series apart
    label = "".join(labels.values()) if not told else ""
    extra = {"series": label} if label else {}
    found: list[Cell] = []
    for quantity in (name for name in BEST if name in paper):
        ours = _ours(epochs, labels, quantity, keys)
        for row in paper.to_dict("records"):
            key = {name: row[name] for name in keys}
            values = ours.pop(tuple(map(str, key.values())), None)
            if values is not None:
                found.append(_cell(extra | key, quantity, float(row[quantity]), values))
        for text, values in ours.items():
            key = extra | dict(zip(keys, text, strict=True))
            found.append(_cell(key, quantity, None, values))
    return found


def _ours(
    epochs: pd.DataFrame, labels: dict[str, str], quantity: str, keys: list[str]
) -> dict[tuple[str, ...], list[float]]:
    """Values by key, one a seed."""
    column, best = BEST[quantity]
    found: dict[tuple[str, ...], list[float]] = {}
    told = epochs[epochs["layer"].notna() == (quantity == "score")]
    for (name, rule, width, layer, _), rows in told.groupby(
        ["experiment", "rule", "width", "layer", "seed"], sort=False, dropna=False
    ):
        label = labels[str(name)]
        said = {"rule": str(rule), "width": str(width), "train": label, "setting": label}
        said["layer"] = str(layer).partition(".")[0]
        values = pd.to_numeric(rows[column], errors="coerce")
        value = float(values.iloc[-1] if best == "last" else values.agg(best))
        found.setdefault(tuple(said[key] for key in keys), []).append(value)
    return found


def _cell(key: dict[str, Any], quantity: str, paper: float | None, values: list[float]) -> Cell:
    finite = [value for value in values if math.isfinite(value)]
    ours = sum(finite) / len(finite) if finite else None
    spread = float(pd.Series(finite).std()) if len(finite) > 1 else None
    return Cell(key, quantity, paper, ours, spread)
