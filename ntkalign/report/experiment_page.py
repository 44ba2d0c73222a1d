"""The report of experiments: the paper's numbers beside ours, its statements tested, deviations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ntkalign.errors import InputError
from ntkalign.experiments.catalogue import EXPERIMENTS
from ntkalign.experiments.comparison import Cell, compare, paper_cells, source
from ntkalign.experiments.experiment import Experiment
from ntkalign.experiments.judged_trends import Tested, judge_trend
from ntkalign.experiments.quantities import QUANTITIES, Quantity
from ntkalign.experiments.settings import differences, how
from ntkalign.experiments.tables import HISTORY, read_rows, read_runs
from ntkalign.files import write_together
from ntkalign.report.accuracy_curves import file_name
from ntkalign.report.files import HTML, JSON, MARKDOWN, SCHEMA
from ntkalign.report.pages import embedded, templates
from ntkalign.report.paper_figures import line_of, paper_figure, said
from ntkalign.report.provenance import facts
from ntkalign.runs.environment import Environment
from ntkalign.runs.partial import Partial

COLUMNS_SHOWN = 10
"""Of a table over epochs or steps, which has hundreds; the first and the last are among them."""


@dataclass(frozen=True)
class Grid:
    """Cells of one quantity as a table: a row for each rule or layer, a column for each width.

    Attributes:
        title: what they are.
        columns: what stands above them.
        rows: for each, what it is and its cells, None where there is none.
        quantity: how numbers are written.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    quantity: Quantity


@dataclass(frozen=True)
class Section:
    """What a report says of one experiment.

    Attributes:
        experiment: which.
        cells: the paper's numbers and ours.
        trends: the paper's statements, tested on our numbers, and on the paper's own.
        how: by which reading of the rules, and in which precision.
        small: whether some were trained at the small scale.
        differences: where the runs are not the paper's, in sentences.
        remark: what helps to read the numbers; empty if there is nothing.
        plots: paths of its plots.
    """

    experiment: Experiment
    cells: tuple[Cell, ...]
    trends: tuple[tuple[Tested, Tested], ...] = ()
    how: str = ""
    small: bool = False
    differences: tuple[str, ...] = ()
    remark: str = ""
    plots: tuple[Path, ...] = ()

    @property
    def grids(self) -> list[Grid]:
        """The cells as tables."""
        shown = self.experiment.shown
        column = "width" if shown.x == "train" else shown.x
        apart = {"rule", "layer", "width", column}
        found: dict[str, list[Cell]] = {}
        for cell in self.cells:
            rest = [said(k, v) for k, v in cell.key.items() if k not in apart]
            title = ", ".join([QUANTITIES[cell.quantity].title, *rest])
            found.setdefault(title, []).append(cell)
        return [_grid(title, cells, column) for title, cells in found.items()]

    @property
    def paper(self) -> str:
        """Where the paper's numbers stand."""
        tables = dict.fromkeys(s.paper for s in self.experiment.series if s.paper)
        return "; ".join(map(source, tables))

    @property
    def near(self) -> dict[float, int]:
        """Of the paper's numbers that we have, how many are within 1, 5 and 10 % of ours."""
        known = [c for c in self.cells if c.paper and c.ours is not None]
        shares = [abs(c.ours - c.paper) / c.paper for c in known if c.ours is not None and c.paper]
        return {share: sum(s <= share for s in shares) for share in SHARES} if known else {}

    @property
    def spread(self) -> bool:
        """Whether there are trials of the same."""
        return any(cell.spread is not None for cell in self.cells)

    @property
    def known(self) -> int:
        """How many of the paper's numbers we have."""
        return sum(c.paper is not None and c.ours is not None for c in self.cells)


SHARES = (0.01, 0.05, 0.1)


def _own(experiment: Experiment, runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["experiment"].isin([experiment.name_of(s) for s in experiment.series])]


def _grid(title: str, cells: Sequence[Cell], column: str) -> Grid:
    values = sorted({cell.key[column] for cell in cells})
    if len(values) > COLUMNS_SHOWN and column in ("epoch", "step"):
        at = np.linspace(0, len(values) - 1, COLUMNS_SHOWN).round().astype(int)
        values = [values[n] for n in at]
    several = len({cell.key.get("width") for cell in cells}) > 1 and column != "width"

    def row_of(cell: Cell) -> str:
        return line_of(cell) + (f" ×{cell.key['width']}" if several else "")

    by_place = {(row_of(c), c.key[column]): c for c in cells}
    rows = tuple(
        (name, tuple(by_place.get((name, value)) for value in values))
        for name in dict.fromkeys(map(row_of, cells))
    )
    above = tuple(f"×{v}" if column == "width" else f"{column} {v:g}" for v in values)
    return Grid(title, above, rows, QUANTITIES[cells[0].quantity])


def sections_of(folder: Path, experiments: Sequence[Experiment]) -> list[Section]:
    """What the tables of a folder say of experiments.

    Args:
        folder: of the results.
        experiments: those that are reported.

    Returns:
        A section for each.
    """
    rows, runs = read_rows(folder), read_runs(folder)
    found = []
    for experiment in experiments:
        cells = compare(experiment, rows)
        papers, own = paper_cells(experiment), _own(experiment, runs)
        trends = tuple(
            (judge_trend(trend, cells), judge_trend(trend, papers)) for trend in experiment.trends
        )
        drawn = folder / "plots" / f"{experiment.name}-paper"
        paper_figure(experiment, cells, drawn)
        names = [file_name(experiment.name_of(s)) for s in experiment.series]
        plots = (folder / "plots" / f"{name}.svg" for name in (drawn.name, *names))
        found.append(
            Section(
                experiment, tuple(cells), trends, how(own), "small" in set(own["scale"]),
                tuple(differences(experiment, runs)),
                experiment.remark() if experiment.remark else "",
                tuple(path for path in plots if path.is_file()),
            )
        )  # fmt: skip
    return found


def write_page(
    folder: Path,
    sections: Sequence[Section],
    config: Mapping[str, Any],
    environment: Environment,
    partial: Partial | None = None,
) -> Path:
    """Write the report.

    Args:
        folder: of the results.
        sections: one for each experiment.
        config: all flags of the command.
        environment: where it ran and what it took.
        partial: what is missing, if the command was stopped.

    Returns:
        The path of the HTML page.
    """
    stored = head(config, environment, partial) | {
        "claims": [],
        "experiments": [
            {
                "name": s.experiment.name, "title": s.experiment.title, "paper": s.paper,
                "cells": [cell.as_json() for cell in s.cells],
                "trends": [
                    ours.as_json()
                    | {"of_the_papers_own": papers.verdict if papers.of_any else None}
                    for ours, papers in s.trends
                ],
                "deviations": list(s.experiment.deviations),
                "differences": list(s.differences), "remark": s.remark,
            }
            for s in sections
        ],
        "cells": [
            {"experiment": s.experiment.name} | cell.as_json() for s in sections for cell in s.cells
        ],
    }  # fmt: skip
    pages = templates()
    view = {
        "sections": sections, "config": config,
        "facts": facts(environment, "runs"), "partial": str(partial) if partial else "",
        "plots": {path: (path.relative_to(folder), embedded(path)) for s in sections
                  for path in s.plots},
    }  # fmt: skip
    templated = ((HTML, "experiment.html.j2"), (MARKDOWN, "experiment.md.j2"))
    write_together(
        {folder / name: pages.get_template(template).render(view) for name, template in templated}
        | {folder / JSON: json.dumps(stored, indent=1, allow_nan=False) + "\n"}
    )
    return folder / HTML


def head(
    config: Mapping[str, Any], environment: Environment, partial: Partial | None
) -> dict[str, Any]:
    """What a report begins with, as plain values."""
    told = {"partial": partial.as_json()} if partial else {}
    return {
        "schema": SCHEMA, **told, "config": dict(config), "environment": environment.as_json(),
    }  # fmt: skip


def rebuild_page(folder: Path) -> tuple[Path, list[Section], Partial | None]:
    """Write the report of experiments anew from the tables that their runs left.

    Args:
        folder: of the results.

    Returns:
        The path of the HTML page, what it says, and what is missing, if anything is.

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
        stored = json.loads((folder / JSON).read_text(encoding="utf-8"))
        if stored["schema"] != SCHEMA:
            raise bad("another schema")
        chosen = [EXPERIMENTS.lookup(entry["name"], "NAME") for entry in stored["experiments"]]
        sections = sections_of(folder, chosen)
        environment = Environment.from_json(stored["environment"])
        partial = Partial.from_json(stored.get("partial"))
        page = write_page(folder, sections, stored["config"], environment, partial)
    except FileNotFoundError as error:
        raise bad(f"no {Path(str(error.filename)).name}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise bad(f"a damaged one ({type(error).__name__}: {str(error)[:80]})") from None
    return page, sections, partial
