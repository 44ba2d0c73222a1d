"""What ``--dry-run`` prints: the networks of a run, and what they will take here."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ntkalign.claims.claim import MAIN
from ntkalign.machine import available_bytes, in_gib
from ntkalign.runs.estimate import costs
from ntkalign.runs.guard import default_workers
from ntkalign.runs.outlook import Outlook, outlook
from ntkalign.runs.schedulers.automatic import SMALL
from ntkalign.runs.schedulers.threads import THREADS
from ntkalign.runs.sweep import Sweep


def foresee(sweep: Sweep, workers: int | None) -> Outlook:
    """What a sweep will take.

    Args:
        sweep: of the run.
        workers: processes, as they were asked for; None: as many as the run would choose.

    Returns:
        The outlook.
    """
    every = costs([(n.specification, n.needs) for n in sweep.networks()])
    small = workers is None and sum(cost.seconds for cost in every) < SMALL
    count = THREADS if small else workers or default_workers(every)
    return outlook(sweep, count, processes=not small)


def say_outlook(found: Outlook, kept: bool, console: Console) -> None:
    """Print it.

    Args:
        found: the outlook.
        kept: whether networks may be stored that need not be measured again.
        console: where to.
    """
    table = Table(title="What would be measured", title_justify="left", title_style="bold",
                  pad_edge=False, box=None)  # fmt: skip
    for heading in ("networks", "width"):
        table.add_column(heading)
    for heading in ("seeds", "GiB each", "time on one core"):
        table.add_column(heading, justify="right")
    for group in found.groups:
        name = "main" if group.family == MAIN else f"control: {group.family}"
        table.add_row(
            *map(Text, (name, str(group.width), str(group.networks), in_gib(group.bytes),
                        duration(group.seconds))),
        )  # fmt: skip
    console.print(table)
    free = available_bytes()
    room = "" if free is None else f" of {in_gib(free)} GiB that are free"
    stored = ", less where some are stored" * kept
    console.print(
        Text(
            f"{found.networks} networks by {found.workers} workers: about "
            f"{duration(found.seconds)}{stored}, {in_gib(found.bytes)} GiB of memory{room}, "
            f"{found.disk / 2**20:.0f} MiB of disk. Estimates, within a factor of two or three; "
            "nothing was measured or written."
        ),
        soft_wrap=True,
    )


def duration(seconds: float) -> str:
    """A time in one unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1, round(seconds))} s"
