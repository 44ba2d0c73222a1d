"""Jobs in threads of this process: what compiles, compiles once, and nothing travels.

While one architecture compiles on one core another network is trained. What a thread does cannot be
ended from outside: whoever interrupts waits for the jobs that are under way, which are told.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Semaphore
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from ntkalign.precision import float64
from ntkalign.runs.fingerprint import DECIDING, computed_by
from ntkalign.runs.schedulers.base import Cost, Done, Job, Lost, Scheduler
from ntkalign.runs.schedulers.room import Room

T = TypeVar("T")

THREADS = 2
"""More of them only wait for each other: each product already uses all cores."""


class InThreads(Scheduler):
    """Threads of this process.

    Args:
        workers: how many.
        bytes: how much memory all jobs together may take; None if nobody knows.
    """

    def __init__(self, workers: int = THREADS, bytes: int | None = None):
        self.workers, self.bytes = workers, bytes

    def context(self, deciding: Sequence[str] | None = None) -> dict[str, Any]:
        """What computes here."""
        return computed_here(deciding)

    def at_once(self, costs: Sequence[Cost]) -> int:
        """One in each thread."""
        return self.workers

    def run(self, jobs: Sequence[Job[T]]) -> Generator[Done[T] | Lost[T], None, None]:
        """Do all jobs; none is lost, for nothing dies that is not this process."""
        room = Room(jobs, self.bytes)
        ended: SimpleQueue[Done[T] | BaseException] = SimpleQueue()
        taken = Semaphore(0)  # a result is stored before its thread begins another job

        def work() -> None:
            while (job := room.next()) is not None:
                try:
                    ended.put(Done(job, job.work()))
                except BaseException as error:
                    ended.put(error)
                finally:
                    room.leave(job)
                taken.acquire()

        # NumPy's matrices are small here: its BLAS threads would only wait for those of the others
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(self.workers) as pool:
            for _ in range(self.workers):
                pool.submit(work)
            try:
                for _ in jobs:
                    outcome = ended.get()
                    if isinstance(outcome, BaseException):
                        raise outcome
                    yield outcome
                    taken.release()
            finally:
                room.close()
                taken.release(self.workers)
                for job in jobs:
                    job.given_up()

    def close(self) -> None:
        """Threads end with :meth:`run`."""


def computed_here(deciding: Sequence[str] | None = None) -> dict[str, Any]:
    """What computes in this process, in the scope in which networks are measured."""
    with float64():
        return computed_by(DECIDING if deciding is None else deciding)
