"""Where a command's networks are computed, from its flags."""

from __future__ import annotations

from typing import Any

from ntkalign.devices import devices
from ntkalign.errors import InputError
from ntkalign.machine import available_bytes, cores
from ntkalign.runs.estimate import IDLE_BYTES
from ntkalign.runs.schedulers.automatic import Automatic
from ntkalign.runs.schedulers.base import Scheduler
from ntkalign.runs.schedulers.processes import InProcesses
from ntkalign.runs.schedulers.threads import InThreads
from ntkalign.values import optional, whole

MOST_WORKERS = 1024
_WORKERS = optional(whole(1, "somebody has to measure", "pass 2, or leave it out"))


def chosen(workers: Any, address: Any) -> Scheduler:
    """What does the work.

    Args:
        workers: how many processes, as somebody gave it; None: as many as there are cores.
        address: of a dask scheduler, or "local"; None: this machine, without one.

    Returns:
        A scheduler, which the caller closes.

    Raises:
        InputError: if there is none of this kind, or no such number of processes.
    """
    count = worker_count(workers)
    if address is None:
        free = available_bytes()
        if count is None:
            return Automatic(cores(), free)
        return InProcesses(count, None if free is None else free - count * IDLE_BYTES)
    from ntkalign.runs.schedulers.cluster import LOCAL, Cluster  # an extra

    if count is not None and address != LOCAL:
        raise InputError(
            "workers", count, must="not be given with the address of a scheduler", got="both",
            because="its workers are started where it is", do="leave one of them out",
        )  # fmt: skip
    return Cluster(address, workers=count)


def for_training(workers: Any, address: Any) -> Scheduler:
    """What trains on minibatches: one run at a time, in this process, if nobody says otherwise.

    Args:
        workers: how many runs side by side, as somebody gave it; None: one.
        address: of a dask scheduler, or "local"; None: this machine, without one.

    Returns:
        A scheduler, which the caller closes. Each worker is a process; but where a GPU computes
        they are threads of this one, for the first process takes most of its memory.

    Raises:
        InputError: if there is none of this kind, or no such number of workers.
    """
    count = worker_count(workers)
    if address is None and (count in (None, 1) or devices()[0].platform != "cpu"):
        return InThreads(count or 1, available_bytes())
    return chosen(workers, address)


def worker_count(given: Any) -> int | None:
    """How many processes, as somebody gave it.

    Returns:
        A number; None if it is left to the run.

    Raises:
        InputError: if it is no such number.
    """
    count: int | None = _WORKERS("workers", given)
    if count is not None and count > MOST_WORKERS:
        raise InputError(
            "workers", count, must=f"be at most {MOST_WORKERS}", got="more",
            because=f"this machine has {cores()} cores", do="pass fewer, or leave it out",
        )  # fmt: skip
    return count
