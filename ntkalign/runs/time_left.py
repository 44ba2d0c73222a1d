"""How long a run still takes, from what its networks should take and how fast it has been so far.

At the beginning there are only estimates. What has ended since says by what factor they are off on
this machine: half of what is under way counts as done. Estimates thus only need to be right beside
one another.

    left = TimeLeft(jobs, cores())
    left.ended(job)
    left.seconds(elapsed)
"""

from __future__ import annotations

from collections.abc import Iterable
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
        self._ended = 0.0

    def ended(self, job: Job[Any]) -> None:
        """A network has ended."""
        del self._waiting[job]
        self._ended += job.cost.seconds

    def seconds(self, elapsed: float) -> float:
        """Until the last network ends.

        Args:
            elapsed: since the first one began.

        Returns:
            Seconds; before the first has ended as the estimates have it.
        """
        waiting = [job.cost.seconds for job in self._waiting]
        under_way = 0.5 * sum(waiting[: self._workers])
        if not self._ended:
            return max(sum(waiting) / self._workers - elapsed, 0.0)
        return elapsed * (sum(waiting) - under_way) / (self._ended + under_way)
