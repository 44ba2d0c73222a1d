"""Where jobs are done if nobody says: small runs here, others in processes of their own.

A process takes seconds to begin and compiles what others have compiled, but one that dies costs
only its network, and what it does can be ended at once.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from ntkalign.runs.guard import default_workers
from ntkalign.runs.schedulers.base import Cost, Done, Job, Lost, Scheduler
from ntkalign.runs.schedulers.processes import InProcesses
from ntkalign.runs.schedulers.threads import InThreads, computed_here

T = TypeVar("T")

SMALL = 60.0
"""Seconds of work, by its estimate, for which no process is begun."""


class Automatic(Scheduler):
    """Threads or processes, chosen for the jobs.

    Args:
        workers: how many processes there are at most.
        bytes: how much memory all jobs together may take; None if nobody knows.
    """

    def __init__(self, workers: int, bytes: int | None = None):
        self._threads = InThreads(bytes=bytes)
        self._processes = InProcesses(workers, bytes)
        self._bytes = bytes

    def context(self, deciding: Sequence[str] | None = None) -> dict[str, Any]:
        """What computes here."""
        return computed_here(deciding)

    def at_once(self, costs: Sequence[Cost]) -> int:
        """As many as are chosen for jobs of such costs."""
        if _is_small(costs):
            return self._threads.workers
        return min(self._processes.workers, default_workers(costs, self._bytes))

    def run(self, jobs: Sequence[Job[T]]) -> Generator[Done[T] | Lost[T], None, None]:
        """Do all jobs."""
        costs = [job.cost for job in jobs]
        if _is_small(costs):
            yield from self._threads.run(jobs)
            return
        self._processes.workers = self.at_once(costs)
        yield from self._processes.run(jobs)

    def peak_bytes(self) -> int:
        """Of the processes; threads are this one's."""
        return self._processes.peak_bytes()

    def close(self) -> None:
        """Kill all workers."""
        self._processes.close()


def _is_small(costs: Sequence[Cost]) -> bool:
    return sum(cost.seconds for cost in costs) < SMALL
