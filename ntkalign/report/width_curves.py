"""The paper's figures of experiments, redrawn: numbers against width, the paper's points beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

from ntkalign.experiments.comparison import Cell
from ntkalign.report.style import PALETTE, STYLE, save, scaling_axis
from ntkalign.rules import RULES


def width_curves(cells: Sequence[Cell], title: str, path: Path) -> Path | None:
    """A panel for each setting: our numbers as lines, the paper's as open circles.

    Losses are drawn solid on the test part and dashed on the training part.

    Args:
        cells: of one experiment.
        title: above the panels.
        path: of the plot, without a suffix.

    Returns:
        The path of the SVG; None if there is nothing to draw.
    """
    panels: dict[str, list[Cell]] = {}
    for cell in cells:
        rest = [str(v) for k, v in cell.key.items() if k not in ("rule", "layer", "width")]
        panels.setdefault(", ".join(rest), []).append(cell)
    if not any(cell.ours is not None for cell in cells):
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        columns = min(4, len(panels))
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(3.0 * columns + 1.6, 2.7 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        rules = list(dict.fromkeys(line_of(cell) for cell in cells))
        for axis, (name, own) in zip(axes, panels.items(), strict=False):
            _panel(axis, own, rules)
            axis.set_title(f"{name} images" if name.isdigit() else name)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        handles = [Line2D([], [], color=_colour(rules, rule), label=rule) for rule in rules]
        paper = Line2D([], [], color="0.3", linestyle="", marker="o", fillstyle="none",
                       label="the paper's")  # fmt: skip
        figure.legend(handles=[*handles, paper], loc="outside right center")
        figure.suptitle(title, fontsize=9)
        figure.draw_without_rendering()  # which lays it out
        save(figure, path)
    return path.with_name(f"{path.name}.svg")


def _panel(axis: Axes, cells: Sequence[Cell], rules: Sequence[str]) -> None:
    widths = sorted({int(cell.key["width"]) for cell in cells})
    for quantity in dict.fromkeys(cell.quantity for cell in cells):
        scale = 100 if quantity == "test_accuracy" else 1
        for rule in rules:
            own = sorted(
                (c for c in cells if (line_of(c), c.quantity) == (rule, quantity)),
                key=lambda c: int(c.key["width"]),
            )
            colour = _colour(rules, rule)
            line = "--" if quantity == "train_loss" else "-"
            measured = [c for c in own if c.ours is not None]
            axis.plot(
                [int(c.key["width"]) for c in measured], [scale * (c.ours or 0) for c in measured],
                color=colour, linestyle=line, linewidth=1.2, marker=".", markersize=4,
            )  # fmt: skip
            stated = [c for c in own if c.paper is not None]
            axis.plot(
                [int(c.key["width"]) for c in stated], [scale * (c.paper or 0) for c in stated],
                color=colour, linestyle="", marker="o", fillstyle="none", markersize=6,
                markeredgewidth=0.8,
            )  # fmt: skip
    scaling_axis(axis, np.array(widths))
    axis.tick_params(axis="x", labelrotation=90 if len(widths) > 8 else 0)
    if any("loss" in cell.quantity for cell in cells):
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.set_ylabel("lowest loss (dashed: training)")
    else:
        score = any(cell.quantity == "score" for cell in cells)
        axis.set_ylabel("alignment score" if score else "best test accuracy (%)")


def line_of(cell: Cell) -> str:
    """The rule's title, or the layer."""
    return RULES[cell.key["rule"]].title if "rule" in cell.key else f"layer {cell.key['layer']}"


def _colour(rules: Sequence[str], rule: str) -> str:
    return PALETTE[rules.index(rule) % len(PALETTE)]
