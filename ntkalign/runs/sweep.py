"""Measuring every network of a sweep: one cell is one (family, width, seed).

A finished network is stored at once, so an interrupted or enlarged run repeats nothing.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from ntkalign.cells.cell import Cell, Needs, Row
from ntkalign.cells.specification import Measure, Specification
from ntkalign.cells.work import measured, not_measured
from ntkalign.claims.claim import BOTTLENECK, MAIN, Question
from ntkalign.data.catalogue import Data
from ntkalign.errors import InputError
from ntkalign.kernels.training_time import saved_times
from ntkalign.quantities.catalogue import EXPANSION, QUANTITIES
from ntkalign.rules import NORMAL, RULES, Rule
from ntkalign.runs.estimate import costs
from ntkalign.runs.partial import SoFar
from ntkalign.runs.schedulers.base import Cost, Done, Job, Scheduler
from ntkalign.runs.settings import MIN_SEEDS, MIN_WIDTHS, Settings
from ntkalign.runs.store import Store
from ntkalign.runs.time_left import TimeLeft

BASELINES = ("score-permuted",)
"""Quantities that cost as much as an m × m product of matrices: they say what chance gives."""
CONTROL_WIDTH = 1024
"""Controls, which fail at any width, are not run above this one if there are enough below."""

Progress = Callable[[Cell, int, int, float], None]
"""Called when a network is finished, with it, how many are done, how many there are, and about how
many seconds the others take."""


def quiet(cell: Cell, done: int, total: int, left: float) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Sweep:
    """Which networks there are, and what is asked of them.

    Attributes:
        settings: what is run, the time included.
        experiment: what is measured, such as "theory".
        data: the training points, then those held out.
        times: when flows are looked at, T the last.
        asked: the questions, which decide what is measured of which rules.
        baselines: quantities of gradient descent that are measured beside what is asked.
    """

    settings: Settings
    experiment: str
    data: Data
    times: tuple[float, ...]
    asked: tuple[Question, ...]
    baselines: tuple[str, ...]

    def networks(self) -> list[Network]:
        """All networks of the sweep, and what is needed of each.

        Returns:
            Families and widths as they are asked for, then seeds.

        Raises:
            InputError: if nothing is asked for.
        """
        settings, needs = self.settings, needed(self.asked, self.settings.rules, self.baselines)
        if not needs:
            raise InputError(
                "rules", tuple(r.name for r in settings.rules),
                must="include one that is asked about", got="none of them",
                because="no claim is left to measure",
                do="add align-zero, or ask for other claims",
            )  # fmt: skip
        return [
            Network(specify(settings, self.experiment, self.data, cell, self.times), wanted)
            for width in settings.widths
            for family in needs
            if (wanted := at_width(needs[family], family, width, settings))
            for seed in settings.every_seed[: networks_of(family, settings.seeds)]
            for cell in [Cell(family, width, seed)]
        ]


@dataclass(frozen=True)
class Plan(Sweep):
    """A sweep that is ready to be run.

    Attributes:
        measure: how a network is measured.
        store: where it is looked for first.
        so_far: what is finished, for whoever stops the sweep.
    """

    measure: Measure
    store: Store
    so_far: SoFar


@dataclass(frozen=True)
class Network:
    """One network of a sweep, and what is needed of it."""

    specification: Specification
    needs: Needs

    @property
    def cell(self) -> Cell:
        """Which one it is."""
        return self.specification.cell


def specify(
    settings: Settings,
    experiment: str,
    data: Data,
    cell: Cell,
    times: Sequence[float] | None = None,
) -> Specification:
    """One network of a sweep.

    Args:
        settings: of the sweep, the time included.
        experiment: what is measured of it.
        data: the training points, then those held out.
        cell: which network.
        times: when its flow is looked at; eight times up to the settings' time if None.

    Returns:
        All that decides its numbers.
    """
    family = settings.family
    if times is None:
        assert settings.time is not None
        times = saved_times(settings.time)
    if cell.family == BOTTLENECK:
        family = family.narrowed(settings.bottleneck)
    return Specification(
        experiment, cell, family, data, settings.points, tuple(times),
        settings.initial_outputs, settings.engine, settings.tolerance,
    )  # fmt: skip


def run_sweep(plan: Plan, scheduler: Scheduler, progress: Progress = quiet) -> pd.DataFrame:
    """Measure what the questions need, at every width and seed.

    Args:
        plan: what is measured.
        scheduler: what does the work.
        progress: called when a network is finished.

    Returns:
        The table of measurements.

    Raises:
        InputError: if nothing is asked for, or a part of the user's own cannot run.
        SchedulerLostError: if what does the work is gone; what had ended is stored.
    """
    networks = plan.networks()
    missing = [
        replace(network, needs=needs)
        for network in networks
        if (needs := plan.store.missing(network.specification, network.needs))
    ]
    needed_of = [(network.specification, network.needs) for network in missing]
    many = scheduler.at_once(costs(needed_of))
    each = costs(needed_of, many)
    waiting = {_job(plan, *pair): pair[0] for pair in zip(missing, each, strict=True)}
    left, began = TimeLeft(waiting, many), clock.monotonic()
    lacking = {network.cell for network in missing}
    wanted = {network.cell: network for network in networks}
    known = {
        cell: plan.store.rows(network.specification, network.needs)
        for cell, network in wanted.items()
        if cell not in lacking
    }
    plan.so_far.begin(wanted, known)  # at once: whoever stops the run would say that less is known
    with closing(scheduler.run([*waiting])) as ending:
        for ended in ending:
            network = waiting[ended.job]
            if isinstance(ended, Done):
                rows = ended.result
            else:
                rows = not_measured(network.specification, network.needs, ended.reason)
            plan.store.add(network.specification, rows)
            whole = wanted[network.cell]
            plan.so_far.add(whole.cell, plan.store.rows(whole.specification, whole.needs))
            elapsed = clock.monotonic() - began
            left.ended(ended.job, elapsed)
            progress(network.cell, plan.so_far.finished, len(networks), left.seconds(elapsed))
    return plan.so_far.table()


def _job(plan: Plan, network: Network, cost: Cost) -> Job[list[Row]]:
    work = partial(measured, plan.measure, network.specification, network.needs)
    return Job(str(network.cell), work, cost)


def needed(
    asked: Iterable[Question], rules: Iterable[Rule], baselines: Iterable[str] = ()
) -> dict[str, Needs]:
    """What questions need, by family, the main one first.

    Args:
        asked: the questions.
        rules: those of the user's own among them; the others are built in.
        baselines: quantities of gradient descent that are measured in any case.

    Returns:
        For each family that is asked about the names of quantities, by rule.
    """
    named = dict(RULES) | {rule.name: rule for rule in rules}
    found: dict[str, dict[Rule, set[str]]] = {MAIN: {}, BOTTLENECK: {}}
    for q in asked:
        found[q.family].setdefault(named[q.rule], set()).add(q.claim.quantity)
    wanted = {name for by_rule in found.values() for names in by_rule.values() for name in names}
    if any(QUANTITIES[name].trained for name in wanted):
        # how far training moves networks is then always measured
        found[MAIN].setdefault(NORMAL, set()).update(EXPANSION, baselines)
    return {
        family: {rule: frozenset(quantities) for rule, quantities in by_rule.items()}
        for family, by_rule in found.items()
        if by_rule
    }


def at_width(
    needs: Mapping[Rule, frozenset[str]], family: str, width: int, settings: Settings
) -> Needs:
    """What is measured at one width: controls and baselines are left out of the largest."""
    if width <= max(CONTROL_WIDTH, settings.widths[MIN_WIDTHS - 1]):
        return needs
    if family == BOTTLENECK:
        return {}
    return {
        rule: frozenset(q for q in quantities if q not in BASELINES)
        for rule, quantities in needs.items()
        if not rule.control
    }


def networks_of(family: str, seeds: int) -> int:
    """Networks per width; a control that must fail by a wide margin needs fewer."""
    return seeds if family == MAIN else max(MIN_SEEDS, seeds // 2)
