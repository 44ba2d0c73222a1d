"""The report of experiments: the paper's numbers beside ours, its statements tested, deviations."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ntkalign.errors import InputError
from ntkalign.experiments.comparison import Cell, compare, source
from ntkalign.experiments.experiment import EXPERIMENTS, Experiment
from ntkalign.experiments.judged_trends import Tested, judge_trend
from ntkalign.experiments.tables import AFTER, ALIGNMENT, HISTORY, KEYS
from ntkalign.report.files import HTML, JSON, MARKDOWN, SCHEMA
from ntkalign.report.pages import embedded, templates
from ntkalign.report.width_curves import line_of, width_curves
from ntkalign.runs.record import Environment

NAMES = {
    "test_accuracy": "test accuracy (%)", "test_loss": "test loss", "train_loss": "train loss",
    "score": "alignment score",
}  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """Cells of one quantity as a table: a row for each rule, a column for each width.

    Attributes:
        title: what they are.
        widths: the columns.
        rows: for each rule, its title and its cells, None where there is none.
        accuracy: whether the numbers are shares, shown in percent.
    """

    title: str
    widths: tuple[int, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    accuracy: bool


@dataclass(frozen=True)
class Section:
    """What a report says of one experiment.

    Attributes:
        experiment: which.
        cells: the paper's numbers and ours.
        trends: the paper's statements, tested.
        plots: paths of its plots.
    """

    experiment: Experiment
    cells: tuple[Cell, ...]
    trends: tuple[Tested, ...]
    plots: tuple[Path, ...]

    @property
    def grids(self) -> list[Grid]:
        """The cells as tables."""
        found: dict[str, list[Cell]] = {}
        for cell in self.cells:
            rest = [str(v) for k, v in cell.key.items() if k not in ("rule", "layer", "width")]
            title = ", ".join([NAMES.get(cell.quantity, cell.quantity), *rest])
            found.setdefault(title, []).append(cell)
        return [_grid(title, cells) for title, cells in found.items()]

    @property
    def paper(self) -> str:
        """Where the paper's numbers stand."""
        tables = dict.fromkeys(s.paper for s in self.experiment.series if s.paper)
        return "; ".join(map(source, tables))


def _grid(title: str, cells: Sequence[Cell]) -> Grid:
    widths = tuple(sorted({int(c.key["width"]) for c in cells}))
    by_place = {(line_of(c), int(c.key["width"])): c for c in cells}
    names = dict.fromkeys(map(line_of, cells))
    rows = tuple((name, tuple(by_place.get((name, width)) for width in widths)) for name in names)
    return Grid(title, widths, rows, cells[0].quantity == "test_accuracy")


def number(value: float | None, accuracy: bool) -> str:
    """A number as the paper prints it."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{100 * value:.1f}" if accuracy else f"{value:.3f}"


def signed(value: float | None, accuracy: bool) -> str:
    """A deviation."""
    if value is None:
        return ""
    return f"{100 * value:+.1f}" if accuracy else f"{value:+.3f}"


def epochs_of(folder: Path) -> pd.DataFrame:
    """A row for each epoch, and for each layer that was scored after one, as tables have them."""
    table = pd.read_csv(folder / HISTORY)
    after, scores = folder / AFTER, folder / ALIGNMENT
    if after.is_file():
        table = table.merge(pd.read_csv(after), how="left", on=[*KEYS, "epoch"])
    parts = [table, pd.read_csv(scores)] if scores.is_file() else [table]
    wanted = [*KEYS, "epoch", "test_loss", "test_accuracy", "train_loss_after", "layer", "score"]
    return pd.concat(parts).reindex(columns=wanted)


def sections_of(folder: Path, experiments: Sequence[Experiment]) -> list[Section]:
    """What the tables of a folder say of experiments.

    Args:
        folder: of the results.
        experiments: those that are reported.

    Returns:
        A section for each.
    """
    epochs = epochs_of(folder)
    found = []
    for experiment in experiments:
        cells = compare(experiment, epochs)
        trends = tuple(judge_trend(trend, cells) for trend in experiment.trends)
        drawn = folder / "plots" / f"{experiment.name}-widths"
        width_curves(cells, experiment.title, drawn)
        names = [experiment.name_of(s).replace("/", "-") for s in experiment.series]
        plots = (folder / "plots" / f"{name}.svg" for name in (drawn.name, *names))
        found.append(
            Section(experiment, tuple(cells), trends, tuple(p for p in plots if p.is_file()))
        )
    return found


def write_page(
    folder: Path, sections: Sequence[Section], config: Mapping[str, Any], environment: Environment
) -> Path:
    """Write the report.

    Args:
        folder: of the results.
        sections: one for each experiment.
        config: all flags of the command.
        environment: where it ran and what it took.

    Returns:
        The path of the HTML page.
    """
    stored = {
        "schema": SCHEMA, "config": dict(config), "environment": environment.as_json(),
        "claims": [],
        "experiments": [
            {
                "name": s.experiment.name, "title": s.experiment.title, "paper": s.paper,
                "cells": [cell.as_json() for cell in s.cells],
                "trends": [trend.as_json() for trend in s.trends],
                "deviations": list(s.experiment.deviations),
            }
            for s in sections
        ],
        "cells": [
            {"experiment": s.experiment.name} | cell.as_json() for s in sections for cell in s.cells
        ],
    }  # fmt: skip
    (folder / JSON).write_text(json.dumps(stored, indent=1, allow_nan=False) + "\n")
    pages = templates()
    pages.filters |= {"number": number, "signed": signed}
    view = {
        "sections": sections, "config": config, "environment": environment,
        "plots": {path: (path.relative_to(folder), embedded(path)) for s in sections
                  for path in s.plots},
    }  # fmt: skip
    for name, template in ((HTML, "experiment.html.j2"), (MARKDOWN, "experiment.md.j2")):
        text = pages.get_template(template).render(view)
        (folder / name).write_text(text, encoding="utf-8")
    return folder / HTML


def rebuild_page(folder: Path) -> tuple[Path, list[Section]]:
    """Write the report of experiments anew from the tables that their runs left.

    Args:
        folder: of the results.

    Returns:
        The path of the HTML page, and what it says.

    Raises:
        InputError: if the folder has no such report, or one that cannot be read.
    """

    def bad(got: str) -> InputError:
        return InputError(
            "DIR", folder, must=f"hold {JSON} and {HISTORY} of schema {SCHEMA}", got=got,
            because="a report is rebuilt from stored results",
            do="let ntkalign experiment write into it first",
        )  # fmt: skip

    try:
        stored = json.loads((folder / JSON).read_text())
        if stored["schema"] != SCHEMA:
            raise bad("another schema")
        chosen = [EXPERIMENTS.lookup(entry["name"], "NAME") for entry in stored["experiments"]]
        sections = sections_of(folder, chosen)
        page = write_page(
            folder, sections, stored["config"], Environment.from_json(stored["environment"])
        )
    except FileNotFoundError as error:
        raise bad(f"no {Path(str(error.filename)).name}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise bad(f"a damaged one ({type(error).__name__}: {str(error)[:80]})") from None
    return page, sections
