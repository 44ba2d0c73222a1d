"""A job is one network's work, which can be done anywhere; a scheduler does many of them.

Whatever does the jobs, results are the same to the last bit on one machine: a job depends on
nothing but itself. So a scheduler chooses freely what runs where and when, and begins with the
longest: what is begun last should be short, or all but one core wait for it.

    with InProcesses(2) as scheduler:
        for ended in scheduler.run(jobs):
            ...  # a Done, with a result; or a Lost, with the reason

A job that raises ends the run with what it raised. One whose *worker* dies (killed, out of memory)
is tried once more, alone in a new worker, and then is Lost: the others go on.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S", bound="Scheduler")

TRIES = 2
"""How often a job is begun at most, if the worker that has it dies."""


@dataclass(frozen=True)
class Cost:
    """What a job is expected to take.

    Attributes:
        seconds: of one job beside others on this machine; only their ratios decide the order.
        bytes: of memory at its peak, beside what an idle worker holds.
    """

    seconds: float = 0.0
    bytes: int = 0


@dataclass(frozen=True, eq=False)
class Job(Generic[T]):
    """Work that can be done anywhere.

    Attributes:
        name: what progress and errors call it.
        work: what is done. It is pickled if another process does it: a function that can be
            imported, or a partial of one, with arguments that can be pickled.
        cost: what it is expected to take.
        given_up: called, here, when nobody waits for any job of its run any more: work that can
            end before its time is told so.
    """

    name: str
    work: Callable[[], T] = field(repr=False)
    cost: Cost = Cost()
    given_up: Callable[[], object] = field(default=lambda: None, repr=False)


@dataclass(frozen=True, eq=False)
class Done(Generic[T]):
    """A job that has ended."""

    job: Job[T]
    result: T


@dataclass(frozen=True, eq=False)
class Lost(Generic[T]):
    """A job that could not be done, because its worker died each time.

    Attributes:
        job: which one.
        reason: in a few words.
    """

    job: Job[T]
    reason: str


class SchedulerLostError(RuntimeError):
    """What does the jobs is gone for good; what had ended is kept. The text says what to do."""


class Scheduler(abc.ABC):
    """Does jobs. A context manager: leaving it ends whatever it has started, at once."""

    @abc.abstractmethod
    def context(self, deciding: Sequence[str] | None = None) -> dict[str, Any]:
        """What computes there, see :func:`ntkalign.runs.fingerprint.computed_by`.

        Args:
            deciding: files and folders of the package that take part; those of networks in
                continuous time if None.

        Returns:
            Names and versions, the same for all workers.
        """

    @abc.abstractmethod
    def at_once(self, costs: Sequence[Cost]) -> int:
        """How many jobs are under way at once, where there is memory for them.

        Args:
            costs: of all jobs.

        Returns:
            A number from 1, as it is now: workers of a cluster come and go.
        """

    @abc.abstractmethod
    def run(self, jobs: Sequence[Job[T]]) -> Generator[Done[T] | Lost[T], None, None]:
        """Do all jobs, the longest first.

        Args:
            jobs: what is done.

        Yields:
            Each job once, as they end. Whoever stops listening (``close()``) gives up the others.

        Raises:
            SchedulerLostError: if no worker is left and none will come.
        """

    def peak_bytes(self) -> int:
        """The memory that workers took together at most, beside this process; 0 if nobody says."""
        return 0

    def remarks(self) -> list[str]:
        """What somebody should know of how the jobs were done, a line each."""
        return []

    @abc.abstractmethod
    def close(self) -> None:
        """End what was started: workers that are in the middle of something, too. Idempotent."""

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def longest_first(jobs: Sequence[Job[T]]) -> list[Job[T]]:
    """In the order in which they are begun; jobs of equal cost as they come."""
    return sorted(jobs, key=lambda job: -job.cost.seconds)
