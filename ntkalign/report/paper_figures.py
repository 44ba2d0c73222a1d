"""The paper's figures of experiments redrawn in its layout: our lines, the paper's points beside.

What runs along the axis, what colours and kinds of lines tell, and what makes panels is declared
with the experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, ScalarFormatter

from ntkalign.experiments.comparison import Cell
from ntkalign.experiments.experiment import Experiment, Shown
from ntkalign.experiments.quantities import QUANTITIES
from ntkalign.report.style import STYLE, colour_of, forget, save, scaling_axis
from ntkalign.rules import RULES

AXES = {
    "width": "width $m$", "rate": "learning rate $\\eta$", "train": "training images",
    "epoch": "epoch", "step": "training step",
}  # fmt: skip
MARKS = "os^D"
"""The paper's points, by the kind of line."""
DASHES = ("-", "--", ":", "-.")
FEW_POINTS = 30
"""Lines of no more than so many points have marks at them."""
_TURNED = 8
_COLUMNS = 4


def paper_figure(experiment: Experiment, cells: Sequence[Cell], path: Path) -> Path | None:
    """Draw an experiment's numbers.

    Args:
        experiment: which.
        cells: its numbers.
        path: of the plot, without a suffix.

    Returns:
        The path of the SVG; None if there is nothing to draw.
    """
    drawn = _drawn(experiment.shown, cells)
    if not any(cell.ours is not None for cell in drawn):
        forget(path)
        return None
    panels: dict[str, list[Cell]] = {}
    for cell in drawn:
        panels.setdefault(_panel_of(experiment.shown, cell), []).append(cell)
    with matplotlib.rc_context(STYLE):
        columns = min(_COLUMNS, len(panels))
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(3.0 * columns + 1.6, 2.7 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        legend = _Legend(experiment.shown, drawn)
        for axis, (name, own) in zip(axes, panels.items(), strict=False):
            _panel(axis, own, experiment.shown, legend)
            axis.set_title(name)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        figure.legend(handles=legend.handles(), loc="outside right center", handlelength=2.4)
        figure.suptitle(experiment.title, fontsize=9)
        save(figure, path)
    return path.with_name(f"{path.name}.svg")


def line_of(cell: Cell) -> str:
    """The rule's title, or the layer."""
    return RULES[cell.key["rule"]].title if "rule" in cell.key else f"layer {cell.key['layer']}"


def said(key: str, value: Any) -> str:
    """A key's value as a reader would say it."""
    if key == "width":
        return f"×{value}"
    if key == "train":
        return f"{value} images"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _drawn(shown: Shown, cells: Sequence[Cell]) -> list[Cell]:
    if not shown.ends:
        return list(cells)
    widths = [cell.key["width"] for cell in cells if cell.ours is not None] or [0]
    return [cell for cell in cells if cell.key["width"] in (min(widths), max(widths))]


def _panel_of(shown: Shown, cell: Cell) -> str:
    apart = {shown.x, shown.dashed, "rule", "layer"}
    return ", ".join(said(k, v) for k, v in cell.key.items() if k not in apart)


def _kind(shown: Shown, cell: Cell) -> Any:
    """What the kind of line tells."""
    if shown.dashed == "quantity":
        return cell.quantity
    return cell.key[shown.dashed] if shown.dashed else ""


class _Legend:
    """Which colour and which kind of line means what."""

    def __init__(self, shown: Shown, cells: Sequence[Cell]):
        self.shown = shown
        self.lines = list(dict.fromkeys(line_of(cell) for cell in cells))
        kinds = list(dict.fromkeys(_kind(shown, cell) for cell in cells))
        self.kinds = kinds if shown.dashed == "quantity" else sorted(kinds, reverse=True)
        self.paper = any(cell.paper is not None for cell in cells)

    def colour(self, line: str) -> str:
        return colour_of(line, self.lines)

    def mark(self, kind: Any) -> str:
        return MARKS[self.kinds.index(kind) % len(MARKS)]

    def dash(self, kind: Any) -> Any:
        return DASHES[self.kinds.index(kind) % len(DASHES)]

    def handles(self) -> list[Line2D]:
        """What the legend shows."""
        found = [Line2D([], [], color=self.colour(line), label=line) for line in self.lines]
        if len(self.kinds) > 1:
            found += [
                Line2D([], [], color="0.3", linestyle=self.dash(kind), label=self._said(kind))
                for kind in self.kinds
            ]
        if self.paper:
            several = len(self.kinds) > 1
            found += [
                Line2D([], [], color="0.3", linestyle="", marker=self.mark(kind), fillstyle="none",
                       label="the paper's" + f", {self._said(kind)}" * several)
                for kind in self.kinds
            ]  # fmt: skip
        return found

    def _said(self, kind: Any) -> str:
        if self.shown.dashed == "quantity":
            return QUANTITIES[kind].title
        return said(self.shown.dashed, kind)


def _panel(axis: Axes, cells: Sequence[Cell], shown: Shown, legend: _Legend) -> None:
    lines: dict[tuple[str, Any], list[Cell]] = {}
    for cell in cells:
        lines.setdefault((line_of(cell), _kind(shown, cell)), []).append(cell)
    for (line, kind), own in lines.items():
        own = sorted(own, key=lambda cell: cell.key[shown.x])
        look = {"color": legend.colour(line), "linestyle": legend.dash(kind)}
        _line(axis, own, shown.x, look, legend.mark(kind))
    values = np.array(sorted({cell.key[shown.x] for cell in cells}))
    _scale(axis, shown.x, values)
    quantity = QUANTITIES[cells[0].quantity]
    if quantity.logarithmic:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(ScalarFormatter())
    names = dict.fromkeys(QUANTITIES[cell.quantity].title for cell in cells)
    axis.set_ylabel(_common(list(names)))


def _common(titles: list[str]) -> str:
    """The axis' name: that of the one quantity, or what the titles of several share."""
    if len(titles) == 1:
        return titles[0]
    return " ".join(w for w in titles[0].split() if all(w in t.split() for t in titles[1:]))


def _line(axis: Axes, cells: Sequence[Cell], x: str, look: dict[str, Any], mark: str) -> None:
    measured = [cell for cell in cells if cell.ours is not None]
    quantity = QUANTITIES[cells[0].quantity]
    ours = np.array([quantity.as_plotted(cell.ours or 0) for cell in measured])
    axis.plot(
        [cell.key[x] for cell in measured], ours, **look, linewidth=1.2,
        marker="." if len(measured) <= FEW_POINTS else "", markersize=4,
    )  # fmt: skip
    if any(cell.spread is not None for cell in measured):
        error = np.array([quantity.as_plotted(cell.error) for cell in measured])
        axis.errorbar([c.key[x] for c in measured], ours, error, color=look["color"], linestyle="",
                      linewidth=0.8, capsize=2)  # fmt: skip
    stated = [cell for cell in cells if cell.paper is not None]
    axis.plot(
        [cell.key[x] for cell in stated],
        [quantity.as_plotted(cell.paper or 0) for cell in stated],
        color=look["color"], linestyle="", marker=mark, fillstyle="none", markersize=6,
        markeredgewidth=0.8,
    )  # fmt: skip


def _scale(axis: Axes, x: str, values: np.ndarray) -> None:
    if x == "width":
        scaling_axis(axis, values)
    elif x in ("rate", "train"):
        axis.set_xscale("log")
        axis.set_xticks(values, [f"{float(value):g}" for value in values])
        axis.xaxis.set_minor_locator(NullLocator())
    else:
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.set_xlabel(AXES[x])
    if x in ("width", "rate", "train") and (len(values) > _TURNED or max(values) > 9999):
        axis.tick_params(axis="x", labelrotation=90)
