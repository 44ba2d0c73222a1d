"""How long a run still takes, from what its networks should take and how fast it has been so far.

At the beginning there are only estimates. What has ended since says by what factor they are off on
this machine, and so how far those are that are under way. Estimates thus only need to be right
beside one another.

    left = TimeLeft(jobs, workers)
    left.ended(job, elapsed)
    left.seconds(elapsed)
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from ntkalign.runs.schedulers.base import Job, longest_first


class TimeLeft:
    """Of one sweep.

    Args:
        jobs: all of its networks that are not stored.
        workers: how many are under way at once.
    """

    def __init__(self, jobs: Iterable[Job[Any]], workers: int):
        self._workers = workers
        self._waiting = dict.fromkeys(longest_first([*jobs]))
        self._begun = dict.fromkeys(islice(self._waiting, workers), 0.0)
        self._ended = self._took = 0.0

    def ended(self, job: Job[Any], elapsed: float) -> None:
        """A network has ended, and the next one begins.

        Args:
            job: which one.
            elapsed: seconds since the first one began.
        """
        del self._waiting[job]
        self._ended += job.cost.seconds
        self._took += elapsed - self._begun.pop(job, 0.0)
        for following in islice(self._waiting, self._workers):
            self._begun.setdefault(following, elapsed)

    def seconds(self, elapsed: float) -> float:
        """Until the last network ends.

        Args:
            elapsed: since the first one began.

        Returns:
            Seconds; before the first has ended as the estimates have it.
        """
        waiting = sum(job.cost.seconds for job in self._waiting)
        if not self._ended:
            return max(waiting / self._workers - elapsed, 0.0)
        slower = self._took / self._ended
        under_way = sum(
            min(job.cost.seconds, (elapsed - begun) / slower) if slower else 0.0
            for job, begun in self._begun.items()
        )
        return elapsed * (waiting - under_way) / (self._ended + under_way)
