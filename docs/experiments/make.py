"""Keep the pages of experiments true to what is declared and to what was run.

A page is words written by hand, then between two comments what this script makes of it: commands
and cost, settings, the paper's numbers and ours, statements, deviations. Ours are those of the
reports in ``figures/experiments/``. The index in ``docs/experiments.md`` is made as well.

    python docs/experiments/make.py            # writes what is made anew, in place
    python docs/experiments/make.py --check    # fails if that would change a page, and says which
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jinja2

from ntkalign.cli.experiment import duration
from ntkalign.experiments.catalogue import EXPERIMENTS
from ntkalign.experiments.comparison import Cell, as_key, paper_cells
from ntkalign.experiments.experiment import SCALES, Experiment, Series
from ntkalign.experiments.judged_trends import HOLDS, judge_trend
from ntkalign.experiments.plan import nominal_operations
from ntkalign.experiments.quantities import Quantity
from ntkalign.experiments.trends import Trend
from ntkalign.report.experiment_page import Grid, Section
from ntkalign.report.pages import templates

DOCS = Path(__file__).resolve().parents[1]
RUNS = DOCS.parent / "figures" / "experiments"
PAGES, INDEX = "experiments", "experiments.md"
BEGIN, END = "<!-- made by docs/experiments/make.py -->", "<!-- end of what is made -->"
THE_PAPER = "the paper"
NETWORKS = {"cnn": "convolutional", "rnn": "recurrent"}
Place = tuple[Any, ...]
"""What tells a number from the others of its experiment: quantity and keys."""


class UnwritableError(Exception):
    """A page that has no place for what is made."""


@dataclass(frozen=True)
class Run:
    """What a report that is kept here says of an experiment.

    Attributes:
        folder: it lies in.
        report: all of it.
        entry: what it says of this experiment.
        cells: its numbers, beside those that the paper has now.
    """

    folder: Path
    report: Mapping[str, Any]
    entry: Mapping[str, Any]
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """What rows call it."""
        return self.folder.name

    @property
    def small(self) -> bool:
        """Whether its numbers are not to be compared with the paper's."""
        return self.report["config"].get("scale") == "small"

    def told(self, statement: str) -> str:
        """What became of a statement; empty if the report does not have it."""
        found = (t for t in self.entry.get("trends", ()) if t["statement"] == statement)
        return next((f"{t['verdict']}: {t['reason']}" for t in found), "")

    @property
    def took(self) -> str:
        """How long it took, and on what."""
        environment = self.report["environment"]
        return f"{duration(environment['seconds'])} on {environment['device']}"

    def plots(self, name: str) -> list[Path]:
        """Those of the experiment."""
        return [p for p in sorted((self.folder / "plots").glob("*.svg"))
                if p.stem == name or p.stem.startswith(f"{name}-")]  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Numbers of one quantity, line by line.

    Attributes:
        title: what they are.
        columns: what stands above them.
        rows: the line (empty if it is that of the row above), whose numbers they are, the numbers.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...]], ...]

    @property
    def whose(self) -> str:
        """Whose they are, if all are of one; else empty."""
        found = {whose for _, whose, _ in self.rows}
        return found.pop() if len(found) == 1 else ""


# --- what is committed ----------------------------------------------------------------------


def place(cell: Cell) -> Place:
    """Where a number stands."""
    return (cell.quantity, *cell.key.items())


def runs_of(experiment: Experiment, folder: Path = RUNS) -> list[Run]:
    """Runs of an experiment that are kept.

    Args:
        experiment: which.
        folder: where reports lie, each in a folder.

    Returns:
        Those of the paper's scale first.
    """
    papers = {place(cell): cell.paper for cell in paper_cells(experiment)}
    found = []
    for path in sorted(folder.glob("*/report.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        for entry in report["experiments"]:
            if entry["name"] == experiment.name:
                cells = [_stored(experiment, told) for told in entry["cells"]]
                known = tuple(replace(cell, paper=papers.get(place(cell))) for cell in cells)
                found.append(Run(path.parent, report, entry, known))
    return sorted(found, key=lambda run: run.small)


def _stored(experiment: Experiment, told: Mapping[str, Any]) -> Cell:
    key = {name: as_key(name, told[name]) for name in experiment.shown.keys}
    return Cell(
        key, told["quantity"], None, told["ours"], told.get("spread"), told.get("trials") or 1
    )


def section_of(experiment: Experiment, cells: Iterable[Cell]) -> Section:
    """A section of a report that has these numbers alone."""
    return Section(experiment, tuple(cells))


def elsewhere(experiment: Experiment, runs: Sequence[Run]) -> list[str]:
    """Pages that have all the paper's numbers of a figure, if there is nothing to put beside."""
    found = dict.fromkeys(s.paper for s in experiment.series if s.paper)
    return [] if runs or experiment.name in found else list(found)


def tables(experiment: Experiment, runs: Sequence[Run]) -> list[Table]:
    """The paper's numbers, and below each line those of the runs.

    What goes on in time has a table for each run, whose columns are some of its epochs or steps.

    Args:
        experiment: which.
        runs: of it.

    Returns:
        One for each quantity and setting.
    """
    paper = [] if elsewhere(experiment, runs) else paper_cells(experiment)
    if experiment.shown.x not in ("epoch", "step"):
        return _tables(experiment, paper, runs)
    return [table for run in runs for table in _tables(experiment, paper, [run])]


def _tables(experiment: Experiment, paper: list[Cell], runs: Sequence[Run]) -> list[Table]:
    every = {place(c): c for c in (*paper, *(cell for run in runs for cell in run.cells))}
    shares: list[tuple[str, bool, dict[Place, Cell]]] = [
        (THE_PAPER, False, {place(cell): cell for cell in paper}),
        *((run.name, not run.small, {place(cell): cell for cell in run.cells}) for run in runs),
    ]
    return [
        Table(grid.title, grid.columns, tuple(_rows(grid, shares)))
        for grid in section_of(experiment, every.values()).grids
    ]


def _rows(
    grid: Grid, shares: list[tuple[str, bool, dict[Place, Cell]]]
) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    for line, cells in grid.rows:
        for whose, compared, own in shares:
            found = [own.get(place(cell)) if cell else None for cell in cells]
            if any(found):
                texts = (_text(grid.quantity, cell, whose, compared) for cell in found)
                yield line, whose, tuple(texts)
                line = ""


def _text(quantity: Quantity, cell: Cell | None, whose: str, compared: bool) -> str:
    if cell is None:
        return ""
    if whose == THE_PAPER:
        return quantity.number(cell.paper) if cell.paper is not None else ""
    if cell.ours is None:
        return "diverged"
    text = quantity.number(cell.ours)
    if cell.spread is not None:
        text += f" ± {quantity.number(cell.spread)}"
    if compared and cell.deviation is not None:
        text += f" ({quantity.deviation(cell.ours, cell.paper)})"
    return text


# --- what is declared -----------------------------------------------------------------------


def of_scale(experiment: Experiment, scale: str) -> dict[str, Series]:
    """Its series by label, as a scale has them."""
    if scale == "paper":
        return {series.label: series for series in experiment.series}
    kept = [series for series in experiment.series if series.small is not None]
    return {series.label: replace(series, **series.small) for series in kept}


def settings(experiment: Experiment) -> list[tuple[str, str, str]]:
    """Each setting at the paper's scale, and at the small one if it differs there."""
    paper, small = of_scale(experiment, "paper"), of_scale(experiment, "small")
    found = []
    for title, read in {
        "data": lambda s: s.task.name,
        "network": lambda s: NETWORKS[s.task.network],
        "optimiser": lambda s: s.task.optimiser,
        "rules": lambda s: ", ".join(f"`{rule}`" for rule in s.rules),
        "widths": lambda s: _listed(s.widths),
        "rates": lambda s: _listed(s.rates),
        "epochs": lambda s: str(s.epochs),
        "batch": lambda s: str(s.batch),
        "training points": lambda s: str(s.train or s.task.train),
        "test points": lambda s: str(s.test or s.task.test),
        "seeds": lambda s: _listed(s.seed),
    }.items():
        own = {label: read(series) for label, series in paper.items()}
        other = {label: read(series) for label, series in small.items()}
        same = all(own[label] == value for label, value in other.items())
        found.append((title, _by_label(own), "" if same else _by_label(other)))
    left_out = [label for label in paper if label not in small]
    if left_out:
        found.append(("left out", "", ", ".join(left_out)))
    return found


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _by_label(told: Mapping[str, str]) -> str:
    """One value if all series have it; else each with the labels of those that do."""
    labels: dict[str, list[str]] = {}
    for label, value in told.items():
        labels.setdefault(value, []).append(label)
    if len(labels) == 1:
        return next(iter(labels))
    if all(label == value for label, value in told.items()):
        return ", ".join(told)
    return "; ".join(f"{', '.join(having)}: {value}" for value, having in labels.items())


def of_the_papers_own(cells: Sequence[Cell], trend: Trend) -> str:
    """What becomes of a statement on the paper's own numbers, if it does not hold there."""
    found = judge_trend(trend, cells)
    if not found.of_any or found.verdict == HOLDS:
        return ""
    return f" (of the paper's own numbers: {found.verdict}, {found.reason})"


@cache
def operations(series: Series, scale: str) -> float:
    """What a series costs; several experiments have the same."""
    return nominal_operations(series, scale)


def cost(experiment: Experiment, scale: str) -> tuple[int, str]:
    """Runs of an experiment, and operations of all, rounded; empty if they are not known."""
    runs = sum(series.runs for series in of_scale(experiment, scale).values())
    needed = sum(operations(series, scale) for series in experiment.series)
    return runs, f"{needed:.1e}" if needed else ""


def measured_seconds(name: str) -> str:
    """What an experiment took at small scale, if somebody has measured it."""
    path = DOCS / PAGES / "costs.csv"
    with path.open(encoding="utf-8", newline="") as file:
        told = {row["name"]: float(row["seconds"]) for row in csv.DictReader(file)}
    return duration(told[name]) if name in told else ""


# --- pages ----------------------------------------------------------------------------------


def _pages() -> jinja2.Environment:
    return templates().overlay(loader=jinja2.FileSystemLoader(Path(__file__).parent))


def made_page(experiment: Experiment, runs: Sequence[Run]) -> str:
    """What is made of an experiment's page.

    Args:
        experiment: which.
        runs: of it, that are kept.

    Returns:
        Markdown.
    """
    command = f"ntkalign experiment {experiment.name}"
    if any(series.task.images for series in experiment.series):
        command += " --data-dir DIR"
    full = [run for run in runs if not run.small]
    view = {
        "experiment": experiment, "command": command,
        "own": partial(of_the_papers_own, paper_cells(experiment)),
        "costs": [(scale, *cost(experiment, scale)) for scale in reversed(SCALES)],
        "seconds": measured_seconds(experiment.name), "settings": settings(experiment),
        "runs": runs, "tables": tables(experiment, runs),
        "elsewhere": elsewhere(experiment, runs),
        "near": [(run, s) for run in full if (s := section_of(experiment, run.cells)).known],
        "source": section_of(experiment, ()).paper,
        "spread": any(cell.spread is not None for run in runs for cell in run.cells),
        "remark": experiment.remark() if experiment.remark else "",
        "up": "../../figures/experiments",
    }  # fmt: skip
    text = _pages().get_template("page.md.j2").render(view)
    return re.sub(r"\n{3,}", "\n\n", text)


def made_index() -> str:
    """The table of all experiments."""
    rows = []
    for experiment in EXPERIMENTS.values():
        data = dict.fromkeys(series.task.name for series in experiment.series)
        epochs = dict.fromkeys(str(series.epochs) for series in experiment.series)
        told = (experiment.title, ", ".join(data), str(experiment.runs), ", ".join(epochs))
        link = f"[`{experiment.name}`]({PAGES}/{experiment.name}.md)"
        rows.append((link, *told, cost(experiment, "paper")[1]))
    return _pages().get_template("index.md.j2").render(rows=rows)


def made_parts() -> dict[str, str]:
    """What is made, by the page's path in docs/."""
    parts = {INDEX: made_index()}
    for name, experiment in EXPERIMENTS.items():
        parts[f"{PAGES}/{name}.md"] = made_page(experiment, runs_of(experiment))
    return parts


def with_part(text: str, part: str) -> str:
    """A page with what is made put in its place.

    Args:
        text: of the page.
        part: what is made of it.

    Returns:
        The new text.

    Raises:
        UnwritableError: if the page does not have the two comments once, in their order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise UnwritableError(f"needs one line {BEGIN} and one line {END} below it")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n\n{part.strip()}\n\n{END}{after}"


def stale(parts: Mapping[str, str], docs: Path = DOCS) -> list[str]:
    """Pages that are missing, or do not have what is made.

    Args:
        parts: what is made, by path.
        docs: the folder of pages.

    Returns:
        Their paths.
    """
    found = []
    for name, part in parts.items():
        try:
            text = (docs / name).read_text(encoding="utf-8")
            if text != with_part(text, part):
                found.append(name)
        except (FileNotFoundError, UnwritableError):
            found.append(name)
    return found


def write(parts: Mapping[str, str], docs: Path = DOCS) -> None:
    """Put what is made into the pages.

    Args:
        parts: what is made, by path.
        docs: the folder of pages.

    Raises:
        UnwritableError: if a page is missing or has no place for it.
    """
    for name, part in parts.items():
        path = docs / name
        if not path.is_file():
            raise UnwritableError(f"{name}: missing; its first words are written by hand")
        text = path.read_text(encoding="utf-8")
        try:
            path.write_text(with_part(text, part), encoding="utf-8")
        except UnwritableError as error:
            raise UnwritableError(f"{name}: {error}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check.

    Args:
        arguments: of the command line.

    Returns:
        The exit status: 1 if a page is stale or cannot be written.
    """
    parser = argparse.ArgumentParser(description=re.split(r"\n\n", __doc__ or "")[0])
    parser.add_argument("--check", action="store_true", help="only say which pages are stale")
    asked = parser.parse_args(arguments)
    parts = made_parts()
    if not asked.check:
        try:
            write(parts)
        except UnwritableError as error:
            print(f"make.py: {error}", file=sys.stderr)
            return 1
        return 0
    found = stale(parts)
    if found:
        told = ", ".join(f"docs/{name}" for name in found)
        print(f"stale: {told}; do: python docs/experiments/make.py", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
