"""Where a command's networks are computed, from its flags."""

from __future__ import annotations

import os
from typing import Any

from ntkalign.errors import InputError
from ntkalign.runs.schedulers.automatic import Automatic
from ntkalign.runs.schedulers.base import Scheduler
from ntkalign.runs.schedulers.processes import InProcesses
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
    count = _WORKERS("workers", workers)
    if count is not None and count > MOST_WORKERS:
        raise InputError(
            "workers", count, must=f"be at most {MOST_WORKERS}", got="more",
            because=f"this machine has {os.cpu_count()} cores", do="pass fewer, or leave it out",
        )  # fmt: skip
    if address is None:
        return Automatic(os.cpu_count() or 1) if count is None else InProcesses(count)
    from ntkalign.runs.schedulers.cluster import LOCAL, Cluster  # an extra

    if count is not None and address != LOCAL:
        raise InputError(
            "workers", count, must="not be given with the address of a scheduler", got="both",
            because="its workers are started where it is", do="leave one of them out",
        )  # fmt: skip
    return Cluster(address, workers=count)
