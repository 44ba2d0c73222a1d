"""Running ``verify`` and ``kernels``: progress, report, verdicts, exit status."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich import progress as bars
from rich.console import Console
from rich.text import Text

from ntkalign.cells.cell import Cell
from ntkalign.cells.trained import FILE
from ntkalign.cli.flags import KernelsFlags, VerifyFlags
from ntkalign.cli.outlook import duration, foresee, say_outlook
from ntkalign.cli.scheduling import chosen, worker_count
from ntkalign.devices import use
from ntkalign.errors import IncompleteRunError, InputError
from ntkalign.report import print_verdicts, write_report
from ntkalign.report.files import prepare
from ntkalign.report.partial_page import write_partial
from ntkalign.report.proof_map import is_proof, print_proof
from ntkalign.report.terminal import partial_line, regime, summary
from ntkalign.runs.last_words import last_words
from ntkalign.runs.partial import SoFar
from ntkalign.runs.record import Verification
from ntkalign.runs.schedulers.base import Scheduler, SchedulerLostError
from ntkalign.runs.settings import Settings
from ntkalign.runs.suite import THEORY, Suite, check_held_out, kernel_suite
from ntkalign.runs.sweep import Progress
from ntkalign.runs.verify import check_budget, outline, verify


def run_verification(
    flags: VerifyFlags,
    settings: Settings | None = None,
    *,
    suite: Suite = THEORY,
    spent: tuple[int, float] = (1, 1.0),
) -> int:
    """Verify, print the verdicts and write the report.

    Args:
        flags: where to and how.
        settings: what to run; by default what the flags say.
        suite: what is asked; the paper's claims by default.
        spent: of the look that is repeated, see :func:`ntkalign.runs.verify.verify`.

    Returns:
        The exit status: with ``--strict`` 1 if a claim does not hold or a control passes, else 0.

    Raises:
        InputError: if the settings, the data or the output folder cannot be used.
        IncompleteRunError: if a flow failed; the report is written all the same.
    """
    console = terminal()
    settings = settings or flags.settings()
    claims = tuple(part.strip() for part in flags.claims.split(",") if part.strip())
    if flags.dry_run:
        with use(flags.device):
            sweep, _ = outline(settings, suite, claims)
            say_outlook(foresee(sweep, worker_count(flags.workers)), not flags.fresh, console)
        return 0
    prepare(flags.out)
    _refuse_far_disks(flags)
    so_far = SoFar()
    with (
        use(flags.device),
        chosen(flags.workers, flags.scheduler) as scheduler,
        last_words(partial(_ended, scheduler)),
        last_words(partial(keep_partial, so_far, flags)),  # said first
    ):
        try:
            result = with_progress(
                lambda progress: verify(
                    settings,
                    suite=suite,
                    claims=claims,
                    cells=flags.out,
                    fresh=flags.fresh,
                    keep_trained=flags.keep_trained,
                    until_decided=flags.until_decided,
                    budget=check_budget(flags.budget),
                    spent=spent,
                    scheduler=scheduler,
                    progress=progress,
                    so_far=so_far,
                )
            )
        except SchedulerLostError:
            keep_partial(so_far, flags)
            raise
        result = dataclasses.replace(result, command=flags.command)
        with Console(stderr=True).status("drawing the plots"):
            page = write_report(result, flags.out)
    print_result(result, console)
    for remark in scheduler.remarks():
        console.print(remark, highlight=False, markup=False, soft_wrap=True)
    say_where(console, result, page)
    if flags.keep_trained:
        size = (flags.out / FILE).stat().st_size if (flags.out / FILE).exists() else 0
        console.print(f"trained networks: {flags.out / FILE}, {size:,} bytes", soft_wrap=True,
                      highlight=False, markup=False)  # fmt: skip
    if result.failures:
        raise IncompleteRunError(
            f"{len(result.failures)} flows failed, first: {result.failures[0]}; "
            f"what is done is kept in {flags.out}"
        )
    undone = [f for f in result.claims if f.verdict != "holds"]
    return 1 if flags.strict and (undone or result.passed_controls) else 0


def _ended(scheduler: Scheduler) -> str:
    """No worker outlives the command."""
    scheduler.close()
    return ""


def _refuse_far_disks(flags: VerifyFlags) -> None:
    """Trained networks are written by the workers themselves."""
    if flags.keep_trained and flags.scheduler not in (None, "local"):
        raise InputError(
            "keep_trained", True, must="be given for workers of this machine only",
            got="it with the address of a scheduler",
            because="workers write trained networks to a disk of their own machine",
            do="leave one of them out",
        )  # fmt: skip


def run_kernels(flags: KernelsFlags) -> int:
    """The same for kernels."""
    return run_verification(flags, suite=kernel_suite(check_held_out(flags.held_out)))


def keep_partial(so_far: SoFar, flags: VerifyFlags) -> str:
    """The report of a run that is stopped.

    Args:
        so_far: what is known of it.
        flags: of the command.

    Returns:
        What to tell; nothing if no network was wanted yet.
    """
    if so_far.result is None or not so_far.begun:
        return ""
    result = dataclasses.replace(so_far.result("stopped"), command=flags.command)
    write_partial(result, flags.out)
    assert result.partial is not None
    return (
        f"{result.partial.finished} of {result.partial.wanted} networks are finished and kept, with"
        f" a partial report, in {flags.out}; run again to go on"
    )


def print_result(result: Verification, console: Console) -> None:
    """The verdicts; of a run about the proofs, each step instead. What is partial says so first."""
    if result.partial is not None:
        console.print(Text(partial_line(result), style="bold red"))
    if is_proof(result):
        print_proof(result, console)
        console.print(Text(f"{regime(result)}\n{summary(result)}"), highlight=False)
    else:
        print_verdicts(result, console)


def terminal() -> Console:
    """The terminal, or 120 columns where there is none (a pipe, a log).

    Returns:
        It; names of the user's own are printed as they are, brackets and colons too.
    """
    width = None if sys.stdout.isatty() else 120
    return Console(width=width, markup=False, emoji=False)


def with_progress(work: Callable[[Progress], Verification]) -> Verification:
    """Show a progress bar (on stderr, so that output can be piped) while ``work`` runs."""
    columns = (
        bars.TextColumn("{task.description}", markup=False), bars.BarColumn(),
        bars.MofNCompleteColumn(), bars.TimeElapsedColumn(),
        bars.TextColumn("{task.fields[left]}"),
    )  # fmt: skip
    screen = Console(stderr=True)
    with bars.Progress(
        *columns, console=screen, transient=True, disable=not screen.is_terminal
    ) as bar:
        task = bar.add_task("choosing the time", total=None, left="")

        def stop() -> str:
            bar.stop()  # the cursor is seen again
            return ""

        def progress(cell: Cell, done: int, total: int, left: float) -> None:
            bar.update(
                task, description=str(cell), completed=done, total=total,
                left=f"about {duration(left)} left",
            )  # fmt: skip

        with last_words(stop):
            return work(progress)


def say_where(console: Console, result: Verification, page: Path) -> None:
    """Where the report is, and what the run took."""
    took = result.environment
    reused = took.networks_reused
    note = f" ({reused} networks reused from an earlier run; --fresh repeats them)" * bool(reused)
    console.print(
        f"report: {page}{note}; {took.seconds} s, {took.peak_memory_mib} MiB",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
