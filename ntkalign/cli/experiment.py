"""``ntkalign experiment``: the plan and its cost, the training with its progress, what it left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ntkalign.cli.flags import ExperimentFlags
from ntkalign.cli.outlook import duration
from ntkalign.cli.scheduling import for_training, worker_count
from ntkalign.cli.trained import Trained
from ntkalign.cli.training_bars import progress
from ntkalign.cli.verify import terminal
from ntkalign.devices import use
from ntkalign.errors import IncompleteRunError
from ntkalign.experiments.catalogue import EXPERIMENTS
from ntkalign.experiments.comparison import Cell
from ntkalign.experiments.execute import Executor, Result, distinct
from ntkalign.experiments.experiment import SCALES
from ntkalign.experiments.plan import (
    Loaded,
    Plan,
    make_plans,
    nominal_operations,
    refuse_too_wide,
)  # fmt: skip
from ntkalign.experiments.supply import digest
from ntkalign.experiments.tables import failed
from ntkalign.experiments.work import FAILED
from ntkalign.machine import product_speed
from ntkalign.precision import scope
from ntkalign.report.accuracy_curves import accuracy_curves, file_name
from ntkalign.report.experiment_page import Grid, Section, sections_of, write_page
from ntkalign.report.files import prepare
from ntkalign.report.style import forget
from ntkalign.runs.environment import Environment
from ntkalign.runs.fingerprint import DECIDING_TRAINING, switches
from ntkalign.runs.hold import Hold
from ntkalign.runs.last_words import last_words
from ntkalign.runs.schedulers.base import Scheduler
from ntkalign.runs.schedulers.cluster import LOCAL

LIST = "list"


def run_experiments(flags: ExperimentFlags) -> int:
    """Plan, train and tell.

    Args:
        flags: what to do.

    Returns:
        The exit status, 0: a loss that is not finite is a result.

    Raises:
        InputError: if something cannot be used; nothing is trained then.
        IncompleteRunError: if a run could not be trained, for want of memory, say.
        SchedulerLostError: if what trains is gone; what is done is kept.
    """
    console = terminal()
    if flags.names in ((), (LIST,)):
        console.print(list_of_experiments(product_speed("float32")))
        console.print("times are guesses for this machine, within a factor of three", style="dim")
        return 0
    options = flags.options()
    chosen = [EXPERIMENTS.lookup(name, "NAME") for name in dict.fromkeys(flags.names)]
    prepare(flags.out)
    count = worker_count(flags.workers)
    began = time.monotonic()
    with use(flags.device):
        loaded: Loaded = {}
        plans = [plan for asked in chosen for plan in make_plans(asked, options, loaded)]
        if not flags.dry_run and flags.scheduler in (None, LOCAL):
            refuse_too_wide(plans)
        say_plans(plans, product_speed(options.precision), console)
        if flags.dry_run:
            return 0
        with Hold(flags.out), for_training(count, flags.scheduler) as scheduler:
            context = scheduler.context(DECIDING_TRAINING)
            with scope(options.precision):
                here = Environment.here(
                    context | {"jax": switches()}, data_of(plans), options.precision
                )
            trained = Trained(plans, flags, here, began)
            with last_words(trained.keep_partial):
                train_plans(trained, scheduler)
                results = trained.in_order()
                draw_curves(plans, results, flags.out)
                sections = sections_of(flags.out, chosen)
                page = write_page(flags.out, sections, flags.command, trained.environment())
    for section in sections:
        say_section(section, console)
    say_end(results, page, console)
    broken = [result for result in results if result.history.status.startswith(FAILED)]
    if broken:
        raise IncompleteRunError(
            f"{len(broken)} runs failed, first: {broken[0].item}, {broken[0].history.status}; "
            f"what is done is kept in {flags.out}"
        )
    return 0


def train_plans(trained: Trained, scheduler: Scheduler) -> None:
    """Train what is planned; whatever ends it, the tables hold what is finished.

    Args:
        trained: what is planned, which holds what has ended.
        scheduler: what trains.
    """
    flags = trained.flags
    with progress(len(trained.items)) as bars:
        executor = Executor(flags.out, scheduler, flags.fresh, bars.tell)
        try:
            for plan in trained.plans:
                with closing(executor.run(plan)) as results:
                    for result in results:
                        trained.add(result)
                        bars.ended(result.item)
        except KeyboardInterrupt:
            raise  # they are among the last words
        except BaseException:
            trained.write()
            raise
        trained.write()


def draw_curves(plans: Sequence[Plan], results: Sequence[Result], folder: Path) -> None:
    """The accuracy over epochs, of each series that has any.

    Args:
        plans: of each series.
        results: of all of them.
        folder: of the results.
    """
    for plan in plans:
        own = [result for result in results if result.item.name == plan.name]
        if plan.options.epochs == 1 or plan.series.scored:  # W* is not what is shown of those
            forget(folder / "plots" / file_name(plan.name))
        else:
            accuracy_curves(own, folder / "plots")


def data_of(plans: Sequence[Plan]) -> dict[str, str]:
    """Digests of the points that are trained and measured on, by what they are called."""
    every = {id(plan.points): plan.points for plan in plans}.values()
    return {f"{p.name} ({len(p.train)} + {len(p.test)} points)": digest(p) for p in every}


def list_of_experiments(speed: float) -> Table:
    """What there is, and what each costs.

    Args:
        speed: operations a second.

    Returns:
        A row for each.
    """
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("what it shows", no_wrap=True, overflow="ellipsis")
    table.add_column("data")
    for column in ("runs", "epochs", *(f"{scale} scale" for scale in reversed(SCALES))):
        table.add_column(column, justify="right")
    for experiment in EXPERIMENTS.values():
        tasks = dict.fromkeys(series.task.name for series in experiment.series)
        epochs = dict.fromkeys(str(series.epochs) for series in experiment.series)
        costs = (
            sum(nominal_operations(series, scale) for series in experiment.series)
            for scale in reversed(SCALES)
        )
        table.add_row(
            experiment.name, experiment.title, ", ".join(tasks), str(experiment.runs),
            ", ".join(epochs), *(duration(cost / speed) for cost in costs),
        )  # fmt: skip
    return table


def say_plans(plans: Sequence[Plan], speed: float, console: Console) -> None:
    """The plan of each series, notes of each experiment, and what they cost together."""
    for plan in plans:
        say_plan(plan, speed, console)
    for deviation in dict.fromkeys(d for plan in plans for d in plan.experiment.deviations):
        console.print(f"note: {deviation}", highlight=False, style="dim")
    if len(plans) > 1:
        items = distinct(plans)
        total = sum(item.operations for item in items)
        console.print(
            f"together: {sum(len(plan.items) for plan in plans)} runs, {len(items)} of them "
            f"different: {total:.1e} operations, about {duration(total / speed)}",
            highlight=False,
        )


def say_plan(plan: Plan, speed: float, console: Console) -> None:
    """The plan of a series, and its cost."""
    asked, points = plan.options, plan.points
    train, test = len(points.train), len(points.test)
    seeds = ", ".join(map(str, asked.seed or ()))
    sizes = [f"{len(getattr(asked, name))} {name}" for name in ("widths", "rules", "rates")]
    sizes += [f"{len(asked.seed or ())} seeds"] * (len(asked.seed or ()) > 1)
    console.print(
        f"{plan.name}: {plan.experiment.title}\n{len(plan.items)} runs: {' × '.join(sizes)}, "
        f"{asked.epochs} epochs of {plan.items[0].run.order.steps} steps, batches of {asked.batch};"
        f" {train} training and {test} test points; rules as {asked.variant}, seed {seeds}, "
        f"{asked.precision}",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False)
    for column in ("width", "runs", "operations", "time (a guess)", "memory of a run"):
        table.add_column(column, justify="right")
    groups = {f"×{w}": [i for i in plan.items if i.width == w] for w in asked.widths or ()}
    for name, own in (groups | {"all": list(plan.items)}).items():
        needed, memory = sum(item.operations for item in own), max(item.bytes for item in own)
        table.add_row(
            name, str(len(own)), f"{needed:.1e}", duration(needed / speed),
            f"{memory / 2**30:.1f} GiB",
        )  # fmt: skip
    console.print(table)


def say_section(section: Section, console: Console) -> None:
    """Our numbers, the paper's below, how far they are apart, and what became of its statements."""
    for grid in section.grids:
        console.print(f"{section.experiment.name}: {grid.title}", highlight=False)
        table = Table()
        table.add_column("ours; the paper's" if section.known else "ours")
        for column in grid.columns:
            table.add_column(column, justify="right")
        for name, cells in grid.rows:
            table.add_row(name, *(_told(grid, cell) for cell in cells))
        console.print(table)
    if section.known:
        near = ", ".join(f"{many} within {100 * s:g} %" for s, many in section.near.items())
        console.print(f"{section.known} numbers of the paper's: {near}", highlight=False)
    if section.remark:
        console.print(section.remark, highlight=False)
    for difference in section.differences:
        console.print(f"this run: {difference}", highlight=False, style="dim")
    for trend, _ in section.trends:
        console.print(f"{trend.verdict}: {trend.statement} ({trend.reason})", highlight=False)


def _told(grid: Grid, cell: Cell | None) -> str:
    if cell is None:
        return ""
    ours = "diverged" if cell.ours is None else grid.quantity.number(cell.ours)
    return ours + ("" if cell.paper is None else f"; {grid.quantity.number(cell.paper)}")


def say_end(results: Sequence[Result], page: Path, console: Console) -> None:
    """What did not end well, and where everything is."""
    for result in failed(results):
        console.print(f"{result.item}: {result.history.status}", highlight=False)
    reused = sum(result.reused >= len(result.history.epochs) for result in results)
    note = f" ({reused} runs reused; --fresh trains them again)" * bool(reused)
    console.print(f"report: {page}{note}", highlight=False, soft_wrap=True)
