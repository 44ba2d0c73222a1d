"""Training curves of an experiment: what each rule reaches after each epoch, at each width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkalign.experiments.execute import Result
from ntkalign.report.style import COLOURS, STYLE, colour_of, save
from ntkalign.rules import RULES

DASHES = ("-", "--", ":", "-.")


def file_name(experiment: str) -> str:
    """What the plot of an experiment, or of one of its series, is called."""
    return experiment.replace("/", "-").replace(" ", "-")


def accuracy_curves(results: Sequence[Result], folder: Path) -> Path:
    """One panel a width: test accuracy (or loss) against epochs, each rule at its best rate.

    Args:
        results: of one experiment.
        folder: where the plot goes.

    Returns:
        The path of the SVG.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = file_name(results[0].item.name)
    widths = list(dict.fromkeys(r.item.width for r in results))
    with matplotlib.rc_context(STYLE):
        columns = min(4, len(widths))
        rows = -(-len(widths) // columns)
        figure = Figure(figsize=(2.4 * columns + 1.3, 2.3 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for axis, width in zip(axes, widths, strict=False):
            _panel(axis, [r for r in results if r.item.width == width])
            axis.set_title(f"×{width}")
        for axis in axes[len(widths) :]:
            axis.set_visible(False)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", handlelength=2.4)
        item = results[0].item
        series = f" ({item.series.label})" * bool(item.series.label)
        figure.suptitle(item.experiment.title + series, fontsize=9)
        save(figure, folder / name)
    return folder / f"{name}.svg"


def _panel(axis: Axes, results: Sequence[Result]) -> None:
    classifies = results[0].item.run.learner.loss.classifies
    rules = list(dict.fromkeys(r.item.rule for r in results))
    titles = [RULES[rule].title for rule in rules]
    for number, rule in enumerate(rules):
        own = [r for r in results if r.item.rule == rule]
        curves = [_curve(r, classifies) for r in own]
        best = max(range(len(own)), key=lambda n: _score(curves[n], classifies))
        axis.plot(
            np.arange(1, len(curves[best]) + 1), curves[best],
            color=colour_of(titles[number], titles),
            linestyle=DASHES[number // len(COLOURS) % len(DASHES)],
            linewidth=1.3, marker="o", markersize=2.5 if len(curves[best]) < 12 else 0,
            label=titles[number],
        )  # fmt: skip
    axis.set_xlabel("epoch")
    if classifies:
        axis.set_ylabel("test accuracy (%)")
    else:
        axis.set_yscale("log")
        axis.set_ylabel("test loss")
    axis.label_outer()


def _curve(result: Result, classifies: bool) -> np.ndarray:
    epochs = result.history.epochs
    return np.array([100 * e.test_accuracy if classifies else e.test_loss for e in epochs])


def _score(curve: np.ndarray, classifies: bool) -> float:
    finite = curve[np.isfinite(curve)]
    if not len(finite):
        return -math.inf
    return float(finite.max() if classifies else -finite.min())
