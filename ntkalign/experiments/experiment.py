"""What an experiment is: the runs of a table or a figure, and what is shown of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ntkalign.experiments.task import Task
from ntkalign.experiments.trends import Trend

SCALES = ("small", "paper")


@dataclass(frozen=True)
class Series:
    """Runs of one task with the same points, by every rule, width, rate and seed.

    Args:
        task: what is trained.
        rules: by which rules.
        widths: of which widths.
        rates: with which learning rates, as the code's.
        epochs: for how long.
        batch: points of a minibatch.
        label: what tells it from the others of its experiment; as the paper's table has it.
        train: training points; all of them if None.
        test: points before those that are trained on; the task's number if None.
        cut: whether no more of them are measured on than are trained on.
        seed: of weights and of the order of minibatches, one run each.
        paper: the name of the table that has the paper's numbers, if one has.
        scored: whether alignment scores are measured after each epoch.
        fixed: settings by which it differs from the others of its experiment: no option changes
            them.
        curve: how many means of the minibatches' losses are kept an epoch.
        small: what the small scale has instead: what two cores do in minutes; None if it is left
            out there.
    """

    task: Task
    rules: tuple[str, ...]
    widths: tuple[int, ...]
    rates: tuple[float, ...]
    epochs: int
    batch: int
    label: str = ""
    train: int | None = None
    test: int | None = None
    cut: bool = False
    seed: tuple[int, ...] = (99,)
    paper: str | None = None
    scored: bool = False
    fixed: tuple[str, ...] = ()
    curve: int = 0
    small: dict[str, Any] | None = field(default_factory=dict, hash=False)

    @property
    def runs(self) -> int:
        """How many there are."""
        return math.prod(map(len, (self.rules, self.widths, self.rates, self.seed)))


COLUMNS = frozenset({"rule", "width", "layer", "rate", "epoch", "step"})
"""Columns of runs' tables that may tell a number from another."""


@dataclass(frozen=True)
class Shown:
    """What is shown of an experiment's runs, and how its figure is laid out.

    Args:
        quantities: names of QUANTITIES.
        keys: what tells a number from the others: COLUMNS, and at most one name of what the labels
            of series are.
        x: the key along the axis.
        dashed: the key, or "quantity", whose largest or first value is drawn solid, others dashed.
        ends: whether only the narrowest and the widest network are drawn.
    """

    quantities: tuple[str, ...] = ("test_accuracy",)
    keys: tuple[str, ...] = ("rule", "width")
    x: str = "width"
    dashed: str = ""
    ends: bool = False

    @property
    def label(self) -> str:
        """What the labels of series are, such as "train" or "data"; empty if there is one."""
        return next((key for key in self.keys if key not in COLUMNS), "")


@dataclass(frozen=True)
class Experiment:
    """What one table or figure needs.

    Args:
        name: what commands call it.
        title: what it shows.
        series: what is trained for it.
        shown: what is shown of them.
        deviations: where the paper's text and its code differ, in sentences.
        trends: what the paper's text says about the numbers.
        remark: computes a sentence that helps to read them.
    """

    name: str
    title: str
    series: tuple[Series, ...]
    shown: Shown = Shown()
    deviations: tuple[str, ...] = ()
    trends: tuple[Trend, ...] = ()
    remark: Callable[[], str] | None = None

    def name_of(self, series: Series) -> str:
        """What tables call one of its series."""
        return f"{self.name}/{series.label}" if series.label else self.name

    @property
    def runs(self) -> int:
        """How many there are."""
        return sum(series.runs for series in self.series)
