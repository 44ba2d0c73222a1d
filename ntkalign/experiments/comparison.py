"""An experiment's numbers beside the paper's, cell by cell.

The paper's numbers are files of this package, one a table, with the columns that tell a cell (rule,
width, layer, a setting) and the values. Ours are read from the tables that runs leave, so that a
report is made from what is stored. Where there are several seeds, ours is their mean.
"""

from __future__ import annotations

import importlib.resources
import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ntkalign.experiments.experiment import COLUMNS, Experiment, Series
from ntkalign.experiments.quantities import QUANTITIES, Quantity

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Cell:
    """A number of the paper's, and ours.

    Attributes:
        key: what tells it, by column.
        quantity: the name of what it is.
        paper: the paper's; None where it has none.
        ours: ours; None where every run diverged.
        spread: standard deviation over seeds, or other trials, where there are several.
        trials: how many there are.
        points: of the part it was measured on, if it is a share of them.
    """

    key: dict[str, Any]
    quantity: str
    paper: float | None
    ours: float | None
    spread: float | None = None
    trials: int = 1
    points: int | None = None

    @property
    def deviation(self) -> float | None:
        """Ours minus the paper's."""
        return None if self.paper is None or self.ours is None else self.ours - self.paper

    @property
    def error(self) -> float:
        """The standard error of ours: over trials, or of a share of so many points; else 0."""
        if self.spread is not None:
            return self.spread / math.sqrt(self.trials)
        if self.points is not None and self.ours is not None:
            return math.sqrt(self.ours * (1 - self.ours) / self.points)
        return 0.0

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return self.key | {
            "quantity": self.quantity, "paper": self.paper, "ours": self.ours,
            "deviation": self.deviation, "spread": self.spread, "trials": self.trials,
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


def compare(experiment: Experiment, rows: pd.DataFrame) -> list[Cell]:
    """Cells for which something was trained, and the paper's numbers for them.

    Args:
        experiment: which.
        rows: of its runs' tables: one for each epoch, layer or step, with ``row`` saying which, and
            ``test_points``.

    Returns:
        Cells, series by series and quantity by quantity: those of the paper in its order, then ours
        that it lacks.
    """
    found: list[Cell] = []
    for series in experiment.series:
        own = rows[rows["experiment"] == experiment.name_of(series)]
        for name in experiment.shown.quantities:
            paper = paper_numbers(experiment, series, name)
            ours = _ours(experiment, series, own, QUANTITIES[name])
            for key in [
                *(key for key in paper if key in ours),
                *(k for k in ours if k not in paper),
            ]:
                found.append(_cell(experiment, key, name, paper.get(key), ours[key]))
    return found


def paper_cells(experiment: Experiment) -> list[Cell]:
    """The paper's numbers as if they were ours, to test on them what it says.

    Args:
        experiment: which.

    Returns:
        A cell for each, with the deviation over seeds that the paper gives, if any.
    """
    return [
        Cell(
            dict(zip(experiment.shown.keys, key, strict=True)), name, number, number,
            spreads.get(key), len(series.seed),
        )
        for series in experiment.series
        for name in experiment.shown.quantities
        for spreads in [paper_numbers(experiment, series, "standard_deviation")]
        for key, number in paper_numbers(experiment, series, name).items()
    ]  # fmt: skip


def paper_numbers(experiment: Experiment, series: Series, quantity: str) -> dict[Key, float]:
    """The paper's numbers of a series: by the values of the experiment's keys."""
    if series.paper is None:
        return {}
    table = paper_table(series.paper)
    if quantity not in table:
        return {}
    shown = experiment.shown
    if shown.label in table:
        table = table[table[shown.label].astype(str) == series.label]
    said = table.to_dict("records")
    return {
        tuple(as_key(name, row.get(name, series.label)) for name in shown.keys): row[quantity]
        for row in said
    }


def _ours(
    experiment: Experiment, series: Series, rows: pd.DataFrame, quantity: Quantity
) -> dict[Key, tuple[list[float], int | None]]:
    """Values by key, one a seed or trial, and the points they were measured on."""
    shown = experiment.shown
    names = [name for name in shown.keys if name in COLUMNS]
    told = rows[rows["row"] == quantity.row]
    if quantity.row == "layer":  # the paper scores no dense layer
        told = told[told["layer"] <= series.task.convolutions]
    found: dict[Key, tuple[list[float], int | None]] = {}
    for values, group in told.groupby([*names, "seed"], sort=False):
        said = dict(zip(names, values, strict=False))
        key = tuple(as_key(name, said.get(name, series.label)) for name in shown.keys)
        points = group["test_points"].iloc[0] if quantity.percent else math.nan
        column = pd.to_numeric(group[quantity.column], errors="coerce")
        kept, _ = found.setdefault(key, ([], None if math.isnan(points) else int(points)))
        kept += quantity.taken(column)
    return found


def as_key(name: str, value: Any) -> Any:
    """A key's value: a rule or a label is text, a rate a number, all others count something."""
    if name == "rate":
        return float(value)
    if name in COLUMNS - {"rule"} or str(value).isdigit():
        return int(float(value))
    return str(value)


def _cell(
    experiment: Experiment, key: Key, quantity: str, paper: float | None,
    ours: tuple[list[float], int | None],
) -> Cell:  # fmt: skip
    values, points = ours
    finite = [value for value in values if math.isfinite(value)]
    mean = sum(finite) / len(finite) if finite else None
    spread = float(pd.Series(finite).std()) if len(finite) > 1 else None
    told = dict(zip(experiment.shown.keys, key, strict=True))
    return Cell(told, quantity, paper, mean, spread, len(finite), points)
