"""Measuring every network of a sweep: one cell is one (family, width, seed).

A finished network is stored at once, so an interrupted or enlarged run repeats nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
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
from ntkalign.runs.partial import SoFar
from ntkalign.runs.schedulers.base import Cost, Done, Job, Scheduler
from ntkalign.runs.settings import MIN_SEEDS, MIN_WIDTHS, Settings
from ntkalign.runs.store import Store

BASELINES = ("score-permuted",)
"""Quantities that cost as much as an m × m product of matrices: they say what chance gives."""
CONTROL_WIDTH = 1024
"""Controls, which fail at any width, are not run above this one if there are enough below."""

Progress = Callable[[Cell, int, int], None]
"""Called when a network is finished, with it, how many are done and how many there are."""


def quiet(cell: Cell, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Plan:
    """What all networks of a sweep have in common.

    Attributes:
        settings: what is run, the time included.
        experiment: what is measured, such as "theory".
        data: the training points, then those held out.
        times: when flows are looked at, T the last.
        asked: the questions, which decide what is measured of which rules.
        measure: how a network is measured.
        store: where it is looked for first.
        baselines: quantities of gradient descent that are measured beside what is asked.
        so_far: what is finished, for whoever stops the sweep.
    """

    settings: Settings
    experiment: str
    data: Data
    times: tuple[float, ...]
    asked: tuple[Question, ...]
    measure: Measure
    store: Store
    baselines: tuple[str, ...] = ()
    so_far: SoFar = field(default_factory=SoFar)

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
    plan.so_far.begin(network.cell for network in networks)
    waiting: dict[Job[list[Row]], Network] = {}
    done = 0

    def finished(network: Network) -> None:
        nonlocal done
        done += 1
        plan.so_far.add(network.cell, plan.store.rows(network.specification, network.needs))
        progress(network.cell, done, len(networks))

    for network in networks:
        missing = plan.store.missing(network.specification, network.needs)
        if missing:
            waiting[_job(plan, network, missing)] = network
        else:
            finished(network)
    with closing(scheduler.run([*waiting])) as ending:
        for ended in ending:
            network = waiting[ended.job]
            if isinstance(ended, Done):
                rows = ended.result
            else:
                missing = plan.store.missing(network.specification, network.needs)
                rows = not_measured(network.specification, missing, ended.reason)
            plan.store.add(network.specification, rows)
            finished(network)
    return plan.so_far.table()


def _job(plan: Plan, network: Network, missing: Needs) -> Job[list[Row]]:
    work = partial(measured, plan.measure, network.specification, missing)
    return Job(str(network.cell), work, cost(network.specification, missing))


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


def cost(specification: Specification, needs: Needs) -> Cost:
    """What a network is expected to take."""
    width = specification.cell.width
    return Cost(seconds=1e-6 * width**2 * len(needs), bytes=64 * width**2)
