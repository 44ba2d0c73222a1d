"""``ntkalign experiment``: the plan and its cost, the training with its progress, what it left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

from rich import progress as bars
from rich.console import Console
from rich.table import Table

from ntkalign.cli.flags import ExperimentFlags
from ntkalign.cli.verify import terminal
from ntkalign.devices import use
from ntkalign.errors import IncompleteRunError
from ntkalign.experiments.execute import FAILED, Executor, Result
from ntkalign.experiments.experiment import EXPERIMENTS
from ntkalign.experiments.plan import Item, Plan, make_plans, product_speed
from ntkalign.experiments.tables import failed, run_row, write_tables
from ntkalign.report.accuracy_curves import accuracy_curves
from ntkalign.report.experiment_page import Section, sections_of, write_page
from ntkalign.report.files import prepare
from ntkalign.rules import RULES
from ntkalign.runs.record import Environment, Flows
from ntkalign.training.trainer import Moment

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
    """
    console = terminal()
    if flags.names in ((), (LIST,)):
        console.print(list_of_experiments())
        return 0
    options = flags.options()
    chosen = [EXPERIMENTS.lookup(name, "NAME") for name in dict.fromkeys(flags.names)]
    prepare(flags.out)
    began = time.monotonic()
    with use(flags.device):
        plans = [plan for experiment in chosen for plan in make_plans(experiment, options)]
        speed = product_speed(options.precision)
        for plan in plans:
            say_plan(plan, speed, console)
        if flags.dry_run:
            return 0
        results = train_plans(plans, flags)
    for plan in plans:
        own = [result for result in results if result.item.name == plan.name]
        accuracy_curves(own, flags.out / "plots")
        console.print(table_of(own))
    sections = sections_of(flags.out, chosen)
    for section in sections:
        say_trends(section, console)
    took = Environment.here(
        seconds=time.monotonic() - began, flows=Flows(),
        measured=sum(r.reused == 0 for r in results), reused=sum(r.reused > 0 for r in results),
    )  # fmt: skip
    took = replace(took, precision=options.precision)
    page = write_page(flags.out, sections, flags.command, took)
    say_end(results, page, console)
    broken = [result for result in results if result.history.status.startswith(FAILED)]
    if broken:
        raise IncompleteRunError(
            f"{len(broken)} runs failed, first: {broken[0].item}, {broken[0].history.status}; "
            f"what is done is kept in {flags.out}"
        )
    return 0


def train_plans(plans: Sequence[Plan], flags: ExperimentFlags) -> list[Result]:
    """Train what is planned; if somebody interrupts, the tables hold what is finished.

    Args:
        plans: of each experiment.
        flags: where to and how.

    Returns:
        Results in the order of the plans.
    """
    items = [item for plan in plans for item in plan.items]
    finished: dict[Item, Result] = {}

    def in_order() -> list[Result]:
        return [finished[item] for item in items if item in finished]

    with progress(len(items)) as tell:
        executor = Executor(flags.out, plans[0].options.workers, flags.fresh, tell)
        try:
            for plan in plans:
                with closing(executor.run(plan)) as results:
                    for result in results:
                        finished[result.item] = result
        finally:
            if finished:
                write_tables(in_order(), flags.out)
    return in_order()


def list_of_experiments() -> Table:
    """What there is."""
    table = Table(box=None, pad_edge=False)
    for column in ("name", "what it shows", "data", "runs", "epochs"):
        table.add_column(column)
    for experiment in EXPERIMENTS.values():
        tasks = dict.fromkeys(series.task.name for series in experiment.series)
        epochs = dict.fromkeys(str(series.epochs) for series in experiment.series)
        table.add_row(
            experiment.name, experiment.title, ", ".join(tasks), str(experiment.runs),
            ", ".join(epochs),
        )  # fmt: skip
    return table


def say_plan(plan: Plan, speed: float, console: Console) -> None:
    """The plan of an experiment, and its cost."""
    asked, points = plan.options, plan.points
    train, test = len(points.train), len(points.test)
    seeds = ", ".join(map(str, asked.seed or ()))
    console.print(
        f"{plan.name}: {plan.experiment.title}\n{len(plan.items)} runs: "
        f"{len(asked.widths or ())} widths × {len(asked.rules or ())} rules × "
        f"{len(asked.rates or ())} rates, {asked.epochs} epochs of "
        f"{plan.items[0].run.order.steps} steps, batches of {asked.batch}; {train} training and "
        f"{test} test points; rules as {asked.variant}, seed {seeds}, {asked.precision}",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False)
    for column in ("width", "runs", "operations", "time (a guess)"):
        table.add_column(column, justify="right")
    for width in asked.widths or ():
        own = [item for item in plan.items if item.width == width]
        needed = sum(item.operations for item in own)
        table.add_row(f"×{width}", str(len(own)), f"{needed:.1e}", duration(needed / speed))
    table.add_row(
        "all", str(len(plan.items)), f"{plan.operations:.1e}", duration(plan.operations / speed)
    )
    console.print(table)
    for deviation in plan.experiment.deviations:
        console.print(f"note: {deviation}", highlight=False, style="dim")


def duration(seconds: float) -> str:
    """A time in one unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1, round(seconds))} s"


def table_of(results: Sequence[Result]) -> Table:
    """The best of each rule and width, over rates and epochs."""
    classifies = results[0].item.run.learner.loss.classifies
    what = "best test accuracy" if classifies else "lowest loss, training / test"
    table = Table(title=f"{results[0].item.name}: {what}", title_justify="left")
    widths = list(dict.fromkeys(r.item.width for r in results))
    table.add_column("rule")
    for width in widths:
        table.add_column(f"×{width}", justify="right")
    for rule in dict.fromkeys(r.item.rule for r in results):
        cells = []
        for width in widths:
            rows = [run_row(r) for r in results if (r.item.rule, r.item.width) == (rule, width)]
            cells.append(_best(rows, classifies))
        table.add_row(RULES[rule].title, *cells)
    return table


def _best(rows: Sequence[tuple[Any, ...]], classifies: bool) -> str:
    train, test, accuracy = (
        [row[at] for row in rows if math.isfinite(row[at])] for at in (8, 9, 10)
    )
    if classifies:
        return f"{100 * max(accuracy):.1f} %" if accuracy else "diverged"
    return f"{min(train):.3f} / {min(test):.3f}" if train and test else "diverged"


def say_trends(section: Section, console: Console) -> None:
    """How far our numbers are from the paper's, and what became of its statements."""
    shares = [abs(c.deviation / c.paper) for c in section.cells if c.deviation and c.paper]
    known = [c for c in section.cells if c.paper is not None and c.ours is not None]
    if known:
        near = {share: len(known) - sum(s > share for s in shares) for share in (0.01, 0.05, 0.1)}
        said = ", ".join(f"{many} within {100 * share:g} %" for share, many in near.items())
        console.print(f"{len(known)} cells of the paper's: {said}", highlight=False)
    for trend in section.trends:
        console.print(f"{trend.verdict}: {trend.statement} ({trend.reason})", highlight=False)


def say_end(results: Sequence[Result], page: Path, console: Console) -> None:
    """What did not end well, and where everything is."""
    for result in failed(results):
        console.print(f"{result.item}: {result.history.status}", highlight=False)
    reused = sum(result.reused >= len(result.history.epochs) for result in results)
    note = f" ({reused} runs reused; --fresh trains them again)" * bool(reused)
    console.print(f"report: {page}{note}", highlight=False, soft_wrap=True)


@contextmanager
def progress(runs: int) -> Iterator[Callable[[Item, Moment], None]]:
    """Bars on stderr: one for all runs, one for each that is under way.

    Args:
        runs: how many there are.

    Yields:
        What is told of each moment.
    """
    columns = (
        bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(), bars.TimeRemainingColumn(),
    )  # fmt: skip
    screen = Console(stderr=True)
    with bars.Progress(
        *columns, console=screen, transient=True, disable=not screen.is_terminal
    ) as bar:
        everything = bar.add_task("runs", total=runs)
        under_way: dict[Item, bars.TaskID] = {}
        lock = Lock()

        def tell(item: Item, moment: Moment) -> None:
            run = item.run
            total = run.epochs * moment.steps
            done = (moment.epoch - 1) * moment.steps + moment.step
            with lock:
                if item not in under_way:
                    under_way[item] = bar.add_task(str(item), total=total)
                text = f"{item}  loss {moment.loss:.4f}"
                if math.isfinite(moment.accuracy):
                    text += f"  accuracy {100 * moment.accuracy:.1f} %"
                bar.update(under_way[item], completed=done, description=text)
                if done >= total or not math.isfinite(moment.loss):
                    bar.remove_task(under_way.pop(item))
                    bar.advance(everything)

        yield tell
