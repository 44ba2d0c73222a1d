"""How many jobs are under way at once: as many as there is memory for, by what each should take.

The longest come first, and none overtakes another: a large job that waits for memory would wait
for ever behind small ones that still fit.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from threading import Condition
from typing import Generic, TypeVar

from ntkalign.runs.schedulers.base import Job, longest_first

T = TypeVar("T")


class Room(Generic[T]):
    """Jobs that wait for their turn, and the memory of those that have it.

    Args:
        jobs: what is to be done.
        bytes: how much memory all jobs together may take; None if nobody knows.
    """

    def __init__(self, jobs: Sequence[Job[T]], bytes: int | None = None):
        self._waiting = deque(longest_first(jobs))
        self._free = math.inf if bytes is None else float(bytes)
        self._under_way = self._alone = 0
        self._changed = Condition()
        self._closed = False

    def next(self) -> Job[T] | None:
        """Wait for the first job that there is room for; it must be given back by :meth:`leave`.

        Returns:
            The job; None if none is left, or none is to be begun any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._waiting or self._fits())
            if self._closed or not self._waiting:
                return None
            job = self._waiting.popleft()
            self._enter(job)
            self._changed.notify_all()
            return job

    def leave(self, job: Job[T], *, alone: bool = False) -> None:
        """A job is over, or is not under way for now.

        Args:
            job: which one.
            alone: whether it was the only one.
        """
        with self._changed:
            self._free += job.cost.bytes
            self._under_way -= 1
            self._alone -= alone
            self._changed.notify_all()

    def alone(self, job: Job[T]) -> bool:
        """Wait until no other job is under way; none begins before :meth:`leave`.

        Returns:
            Whether the job may begin; False if none is to be begun any more.
        """
        with self._changed:
            self._alone += 1
            self._changed.wait_for(lambda: self._closed or not self._under_way)
            if not self._closed:
                self._enter(job)
            return not self._closed

    def close(self) -> None:
        """No job is begun any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self) -> bool:
        if self._alone:
            return False
        return not self._under_way or self._waiting[0].cost.bytes <= self._free

    def _enter(self, job: Job[T]) -> None:
        self._free -= job.cost.bytes
        self._under_way += 1
