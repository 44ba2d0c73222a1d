"""The numbers that experiments show: what they are called, and what is taken of a run's many.

As in the paper, an accuracy is the best over rates and epochs, and a loss the lowest over epochs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ntkalign.registry import Registry

Taken = Callable[[pd.Series], list[float]]


def highest(values: pd.Series) -> list[float]:
    """The best over whatever a cell does not tell apart."""
    return [float(values.max())]


def lowest(values: pd.Series) -> list[float]:
    """The best of numbers that should be small."""
    return [float(values.min())]


def last(values: pd.Series) -> list[float]:
    """What stands at the end."""
    return [float(values.iloc[-1])]


def each(values: pd.Series) -> list[float]:
    """All of them, as trials of the same."""
    return values.astype(float).tolist()


@dataclass(frozen=True)
class Quantity:
    """A number of a run.

    Args:
        name: what cells call it.
        title: above tables and beside axes.
        row: what its rows are: an "epoch" of HISTORY, a "layer" of ALIGNMENT, a "step" of CURVE.
        column: which one holds it.
        taken: what is made of the values of one seed.
        higher: whether more is better.
        percent: whether it is a share, shown in percent.
        logarithmic: whether its axis is.
    """

    name: str
    title: str
    row: str
    column: str
    taken: Taken
    higher: bool = False
    percent: bool = False
    logarithmic: bool = False

    def number(self, value: float) -> str:
        """A value as the paper prints it."""
        return f"{100 * value:.1f}" if self.percent else f"{value:.3f}"

    def deviation(self, ours: float, paper: float) -> str:
        """Our number beside the paper's: in percent of it where axes are logarithmic."""
        if self.logarithmic:
            return f"{100 * (ours / paper - 1):+.2f} %"
        return f"{100 * (ours - paper):+.1f}" if self.percent else f"{ours - paper:+.3f}"

    def as_plotted(self, value: float) -> float:
        """A value in the axis' unit."""
        return 100 * value if self.percent else value


_LOSS: dict[str, Any] = {"taken": lowest, "logarithmic": True}
QUANTITIES: Registry[Quantity] = Registry(
    "quantity of an experiment",
    (
        Quantity(
            "test_accuracy", "best test accuracy (%)", "epoch", "test_accuracy", highest,
            higher=True, percent=True,
        ),
        Quantity("test_loss", "lowest test loss", "epoch", "test_loss", **_LOSS),
        Quantity("train_loss", "lowest training loss", "epoch", "train_loss_after", **_LOSS),
        Quantity(
            "minibatch_loss", "loss of minibatches", "step", "train_loss", last
        ),
        Quantity("seconds", "seconds an epoch", "epoch", "seconds", each, logarithmic=True),
        Quantity("score", "alignment score", "layer", "score", last, higher=True),
        Quantity(
            "score_permuted", "alignment score of shuffled weights", "layer", "score_permuted",
            last, higher=True,
        ),
    ),
)  # fmt: skip
