"""What a run will do and take, said before it begins: the plan that a dry run prints."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from ntkalign.machine import product_speed
from ntkalign.runs.estimate import (
    COMPILED_BYTES,
    IDLE_BYTES,
    REFERENCE_SPEED,
    costs,
    table_rows,
)  # fmt: skip
from ntkalign.runs.schedulers.base import Cost
from ntkalign.runs.sweep import Network, Sweep

ROW_BYTES = 300
"""Of a row on the disk: in the table, and in the store of finished networks."""
REPORT_BYTES = 6 * 2**20
"""The pages and the plots of a report."""


@dataclass(frozen=True)
class Group:
    """Networks that differ in their seed alone.

    Attributes:
        family: which they are of.
        width: of each.
        networks: how many.
        seconds: of all together, on one core.
        bytes: of one at its peak.
    """

    family: str
    width: int
    networks: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Outlook:
    """What a run will take.

    Attributes:
        groups: its networks, narrow ones first.
        workers: how many are measured at once.
        seconds: from its beginning to its end, on this machine.
        bytes: of memory at the peak, of all workers together.
        rows: of the table of measurements, nearly.
    """

    groups: tuple[Group, ...]
    workers: int
    seconds: float
    bytes: int
    rows: int

    @property
    def disk(self) -> int:
        """Bytes that it leaves there."""
        return REPORT_BYTES + ROW_BYTES * self.rows

    @property
    def networks(self) -> int:
        """How many there are."""
        return sum(group.networks for group in self.groups)


def outlook(sweep: Sweep, workers: int, *, processes: bool, speed: float | None = None) -> Outlook:
    """What a run will take, by the estimates of :mod:`ntkalign.runs.estimate`.

    Args:
        sweep: of the run; nothing is looked for in a store.
        workers: how many networks are measured at once.
        processes: whether each worker is a process of its own; else all are threads of one.
        speed: operations a second of a float64 product; measured if None.

    Returns:
        The networks and what they take.
    """
    networks = sweep.networks()
    slower = REFERENCE_SPEED / (product_speed() if speed is None else speed)
    every = costs(((n.specification, n.needs) for n in networks), workers)
    groups = []
    for (family, width), pairs in itertools.groupby(zip(networks, every, strict=True), _which):
        of_each = [cost for _, cost in pairs]
        together = slower * sum(cost.seconds for cost in of_each)
        groups.append(Group(family, width, len(of_each), together, of_each[0].bytes))
    seconds = [slower * cost.seconds for cost in every]
    return Outlook(
        groups=tuple(groups),
        workers=workers,
        seconds=max(sum(seconds) / workers, *seconds),
        bytes=_peak(every, len(groups), workers, processes=processes),
        rows=sum(table_rows(n.specification, n.needs) for n in networks),
    )


def _which(pair: tuple[Network, Cost]) -> tuple[str, int]:
    cell = pair[0].cell
    return cell.family, cell.width


def _peak(costs: Sequence[Cost], architectures: int, workers: int, *, processes: bool) -> int:
    """Of the largest networks side by side, where each process keeps what it has compiled."""
    largest = sorted((cost.bytes for cost in costs), reverse=True)[:workers]
    compiling = len(largest) if processes else 1
    return (
        sum(largest)
        - COMPILED_BYTES * len(largest)
        + compiling * (IDLE_BYTES + COMPILED_BYTES * architectures)
        + IDLE_BYTES * processes  # the one that commands
    )
