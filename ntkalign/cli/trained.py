"""The runs of an experiment that have ended, and what is left of the command if it is stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from ntkalign.cli.flags import ExperimentFlags
from ntkalign.experiments.execute import Result
from ntkalign.experiments.plan import Item, Plan
from ntkalign.experiments.tables import write_tables
from ntkalign.files import write_together
from ntkalign.report.experiment_page import head
from ntkalign.report.partial_page import PartialPage
from ntkalign.runs.environment import Environment, Flows
from ntkalign.runs.partial import Partial, some


@dataclass(frozen=True)
class Trained:
    """What a command has trained by now.

    Args:
        plans: all that it is to train.
        flags: where to and how.
        here: where they are trained.
        began: when, by the monotonic clock.
    """

    plans: Sequence[Plan]
    flags: ExperimentFlags
    here: Environment
    began: float
    _results: dict[Item, Result] = field(default_factory=dict)
    _writing: Lock = field(default_factory=Lock)

    def add(self, result: Result) -> None:
        """A run has ended."""
        self._results[result.item] = result

    @property
    def items(self) -> list[Item]:
        """What is to be trained, in the order of the plans."""
        return [item for plan in self.plans for item in plan.items]

    def in_order(self) -> list[Result]:
        """What has ended, in the same order."""
        results = dict(self._results)
        return [results[item] for item in self.items if item in results]

    def write(self) -> None:
        """Write the tables of what has ended, if anything has."""
        with self._writing:
            results = self.in_order()
            if results:
                complete = len(results) == len(self.items)
                write_tables(results, self.flags.out, complete=complete)

    def environment(self) -> Environment:
        """Where it runs and what it took."""
        results = self.in_order()
        return self.here.ended(
            seconds=time.monotonic() - self.began, flows=Flows(),
            measured=sum(r.reused == 0 for r in results),
            reused=sum(r.reused > 0 for r in results),
        )  # fmt: skip

    def keep_partial(self) -> str:
        """The report of a command that is stopped, and its tables.

        Returns:
            What to tell.
        """
        self.write()
        results = self.in_order()
        ended = {result.item for result in results}
        missing = [str(item) for item in self.items if item not in ended]
        partial = Partial(
            "stopped", len(results), tuple(missing), (some(missing),) if missing else ()
        )
        names = list(dict.fromkeys(plan.experiment.name for plan in self.plans))
        page = PartialPage(
            f"{', '.join(names)}: the paper's numbers and ours",
            "; ".join(dict.fromkeys(plan.experiment.title for plan in self.plans)),
            f"Tables of {len(results)} runs are beside this page",
            str(partial),
            self.environment(),
        )
        stored = head(self.flags.command, page.environment, partial)
        stored |= {"claims": [], "experiments": [{"name": name} for name in names], "cells": []}
        write_together(page.files(Path(self.flags.out), stored))
        return (
            f"{partial.finished} of {partial.wanted} runs are finished and kept, with a partial "
            f"report, in {self.flags.out}; run again to go on"
        )
