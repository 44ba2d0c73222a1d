"""The workers of a cluster as a run sees them: what each can take, and which one takes a job.

A worker takes as many jobs at a time as it has threads, as long as what they are expected to need
fits into its memory; one that does nothing takes any job, for an estimate may be wrong. A job whose
worker died is done alone: then whatever kills its worker again is that job's doing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ntkalign.runs.schedulers.base import Job


@dataclass(eq=False)
class Errand:
    """A job of a run, and where it is.

    Attributes:
        job: what is done.
        name: one for each job of all runs.
        deaths: how many workers died that had it.
        worker: the one that has it, or had it when the connection was lost.
        future: dask's handle; None while no worker has it.
    """

    job: Job[Any]
    name: str
    deaths: int = 0
    worker: Worker | None = None
    future: Any = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """What the cluster calls it: sent again after a lost connection it is the same task."""
        return f"{self.name}-{self.deaths}"

    @property
    def alone(self) -> bool:
        """Whether nothing else may be done beside it."""
        return self.deaths > 0


@dataclass(eq=False)
class Worker:
    """A worker of a cluster.

    Attributes:
        address: where it answers.
        threads: how many jobs it does at a time.
        memory: in bytes, above which it is killed; 0 if there is no such bound.
        check: dask's handle of the question what computes there; None once it is answered.
        accepted: whether it computes what the others do.
        awake: whether it takes jobs; the cluster lets it pause when its memory is nearly full.
        gone: whether it has left the cluster.
        doing: the errands that it has.
    """

    address: str
    threads: int
    memory: int
    check: Any = field(default=None, repr=False)
    accepted: bool = False
    awake: bool = True
    gone: bool = False
    doing: list[Errand] = field(default_factory=list, repr=False)

    def takes(self, errand: Errand) -> bool:
        """Whether it can begin with an errand now."""
        if not self.accepted or self.gone or not self.awake:
            return False
        if not self.doing:
            return True
        if errand.alone or any(other.alone for other in self.doing):
            return False
        fits = not self.memory or errand.job.cost.bytes <= self.free
        return fits and len(self.doing) < self.threads

    @property
    def free(self) -> int:
        """Bytes that its jobs leave, as they are expected to."""
        return self.memory - sum(errand.job.cost.bytes for errand in self.doing)


def who_takes(errand: Errand, workers: Iterable[Worker]) -> Worker | None:
    """The worker that begins with an errand now.

    Args:
        errand: which one.
        workers: those of the cluster.

    Returns:
        The worker that has it already if it can, so that nothing is begun twice; else one that has
        memory for it, and of these the one with the fewest jobs. None if it has to wait, be it for
        a worker with more memory that is busy now.
    """
    workers = [worker for worker in workers if worker.accepted and not worker.gone]
    if errand.worker in workers:
        return errand.worker
    large = [w for w in workers if not w.memory or w.memory >= errand.job.cost.bytes]
    able = [worker for worker in large or workers if worker.takes(errand)]
    return min(able, key=lambda worker: len(worker.doing), default=None)
