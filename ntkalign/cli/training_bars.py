"""Bars on stderr while networks are trained: one for all runs, one for each that is under way here.

Runs that other processes train are not heard of before they end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rich import progress as rich
from rich.console import Console

from ntkalign.experiments.plan import Item
from ntkalign.training.trainer import Moment


class Bars:
    """The bars of a command.

    Args:
        screen: where they are.
        runs: how many there are.
    """

    def __init__(self, screen: rich.Progress, runs: int):
        self._screen = screen
        self._runs = screen.add_task("runs", total=runs)
        self._under_way: dict[Item, rich.TaskID] = {}
        self._lock = Lock()

    def tell(self, item: Item, moment: Moment) -> None:
        """A run has come to a moment; from any thread."""
        text = f"{item}  loss {moment.loss:.4f}"
        if math.isfinite(moment.accuracy):
            text += f"  accuracy {100 * moment.accuracy:.1f} %"
        done = (moment.epoch - 1) * moment.steps + moment.step
        with self._lock:
            if item not in self._under_way:
                total = item.run.epochs * moment.steps
                self._under_way[item] = self._screen.add_task(str(item), total=total)
            self._screen.update(self._under_way[item], completed=done, description=text)

    def ended(self, item: Item) -> None:
        """A run has ended, however it did."""
        with self._lock:
            if item in self._under_way:
                self._screen.remove_task(self._under_way.pop(item))
            self._screen.advance(self._runs)


@contextmanager
def progress(runs: int) -> Iterator[Bars]:
    """Show bars.

    Args:
        runs: how many there are.

    Yields:
        The bars.
    """
    columns = (
        rich.TextColumn("{task.description}", markup=False), rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(), rich.TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with rich.Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as screen:
        yield Bars(screen, runs)
