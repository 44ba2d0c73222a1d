"""The networks of a run, computed by the workers of a dask cluster, on this machine or many.

    with Cluster("tcp://10.0.0.1:8786") as scheduler:   # or Cluster("local")
        for ended in scheduler.run(jobs):
            ...

Dask starts workers, reaches them, watches them and restarts them. Which worker takes which job is
decided here (:mod:`ntkalign.runs.schedulers.workers`): each job is sent to one worker, the longest
first, and a worker gets no more than it can begin at once. So a job whose worker died is known, and
is tried once more alone, however often the cluster itself would try; a worker that joins late gets
the next job; and none is sent to a worker before that has said what computes there. One that has
other code, other packages or other plugins gets nothing.

A connection that is lost comes back by itself within PATIENCE; the jobs in flight are then asked
for again, of the workers that have them or have just done them. When it does not, or no worker is
left, the run ends with :class:`SchedulerLostError`; what had ended was yielded before.

Dask's protocol pickles: whoever can reach its scheduler can run code on its workers. It belongs on
a network that is trusted, or behind TLS, which dask is told of in its own configuration.
"""

from __future__ import annotations

import logging
import pickle
import secrets
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from functools import partial
from threading import Event
from time import monotonic
from typing import Any

from ntkalign.devices import use
from ntkalign.errors import InputError
from ntkalign.runs.fingerprint import DECIDING
from ntkalign.runs.schedulers import errand
from ntkalign.runs.schedulers.base import (
    TRIES,
    Cost,
    Done,
    Job,
    Lost,
    Scheduler,
    SchedulerLostError,
    T,
    longest_first,
)  # fmt: skip
from ntkalign.runs.schedulers.parcel import Parcel
from ntkalign.runs.schedulers.switches import Switches
from ntkalign.runs.schedulers.threads import computed_here
from ntkalign.runs.schedulers.workers import Errand, Worker, who_takes

LOCAL = "local"
"""Instead of an address: workers of this machine, for as long as the scheduler is open."""
PATIENCE = 30.0
"""Seconds for which a scheduler may be out of reach, or without any worker."""
LOOK = 0.5
"""Seconds from one look at the cluster's workers to the next."""
SHARED = "sources", "packages"
"""What must be the same here and there; the rest must be the same for all workers."""


class Cluster(Scheduler):
    """Workers of a dask cluster.

    Args:
        address: of its scheduler, such as ``tcp://10.0.0.1:8786``; "local" starts one here.
        workers: how many are started if it is "local"; one for each core if None.
        patience: seconds for which it may be out of reach, or without any worker.

    Attributes:
        refused: workers that get nothing, with the reason.

    Raises:
        InputError: if dask is not installed, or no scheduler answers there.
    """

    def __init__(self, address: str, *, workers: int | None = None, patience: float = PATIENCE):
        self.address, self.patience = address, patience
        self.refused: dict[str, str] = {}
        self._workers: dict[str, Worker] = {}
        self._deciding: tuple[str, ...] | None = None
        self._agreed: dict[str, Any] | None = None
        self._looked = self._manned = monotonic()
        self._woken = Event()
        self._closed = False
        self._log = _Silence("distributed")
        self._cluster: Any = None
        try:
            self._cluster = _local(workers) if address == LOCAL else None
            where = self._cluster.scheduler_address if self._cluster else address
            self._client = _connect(where, patience)
        except BaseException:
            self._log.end()
            if self._cluster is not None:
                _kill(self._cluster)
            raise

    def context(self, deciding: Sequence[str] | None = None) -> dict[str, Any]:
        """What computes on the workers; waits for the first of them.

        Args:
            deciding: files and folders of the package that take part; those of networks in
                continuous time if None.

        Returns:
            Names and versions, the same for all workers that get jobs.

        Raises:
            InputError: if no worker has the code and the packages of this process.
        """
        asked = DECIDING if deciding is None else tuple(deciding)
        if asked != self._deciding:
            self._deciding, self._agreed = asked, None
            self._workers.clear()  # all are asked anew
            self.refused.clear()
        while self._agreed is None or any(w.check is not None for w in self._workers.values()):
            self._look()
            if self._workers and len(self.refused) == len(self._workers):
                address, reason = next(iter(self.refused.items()))
                raise InputError(
                    "scheduler", self.address,
                    must="have workers with the code and the packages of this process",
                    got=f"{address}: {reason}", because="numbers are those of what computes them",
                    do="install the same for this process and for all workers",
                )  # fmt: skip
            self._wait()
        return self._agreed

    def at_once(self, costs: Sequence[Cost]) -> int:
        """One in each thread of the workers that are there."""
        return max(1, sum(w.threads for w in self._workers.values() if w.accepted))

    def run(self, jobs: Sequence[Job[T]]) -> Generator[Done[T] | Lost[T], None, None]:
        """Do all jobs, the longest first.

        Args:
            jobs: what is done.

        Yields:
            Each job once, as they end.
        """
        self.context(self._deciding)
        run = f"ntkalign-{secrets.token_hex(8)}"
        waiting = [Errand(job, f"{run}-{i}") for i, job in enumerate(longest_first(jobs))]
        sent: list[Errand] = []
        try:
            while waiting or sent:
                self._woken.clear()
                self._look()
                for one in list(sent):
                    ended = self._ended(one)
                    if ended is None and one.future is not None:
                        continue
                    sent.remove(one)
                    if ended is None:
                        waiting.insert(0, one)
                    else:
                        yield ended
                for one in list(waiting):
                    if (worker := who_takes(one, self._workers.values())) is not None:
                        waiting.remove(one)
                        sent.append(self._send(one, worker))
                self._wait()
        finally:
            self._give_up(sent)

    def remarks(self) -> list[str]:
        """Which workers got nothing, and why."""
        return [f"worker {where} was not used: {why}" for where, why in self.refused.items()]

    def close(self) -> None:
        """End what was started, and leave the cluster as it was found, but for its open jobs.

        A worker of somebody's cluster ends the network that it is in the middle of; those that were
        started here are killed.
        """
        if self._closed:
            return
        self._closed = True
        with suppress(Exception):  # of a connection that may be lost
            self._client.close(timeout=1)
        if self._cluster is not None:
            _kill(self._cluster)
        self._log.end()

    # one job

    def _send(self, one: Errand, worker: Worker) -> Errand:
        """Let a worker do it."""
        one.future = self._submit(one.job.work, one.key, worker)
        one.worker = worker
        worker.doing.append(one)
        return one

    def _submit(self, work: Callable[[], Any], key: str, worker: Worker) -> Any:
        import dask
        from distributed.client import ClosedClientError

        device = Switches.here().device
        if device is not None and self._cluster is None:
            work = partial(_on, device, work)
        packed = pickle.dumps(Parcel.of(work))
        try:
            with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
                future = self._client.submit(
                    errand.do, key, packed, key=key, workers=[worker.address], pure=False
                )
        except ClosedClientError:
            raise self._lost("does not answer") from None
        future.add_done_callback(lambda _: self._woken.set())
        return future

    def _ended(self, one: Errand) -> Done[Any] | Lost[Any] | None:
        """How a job ended.

        Returns:
            That, if it has; one that must be sent again has no future then.

        Raises:
            Exception: what the job raised.
        """
        assert one.worker is not None
        died = one.worker.gone
        status = one.future.status
        if status == "finished" and not died:
            with suppress(OSError, TimeoutError, *_cancelled()):  # if its result is lost
                result = one.future.result(timeout=self.patience)
                self._give_up([one])
                return Done(one.job, result)
        elif status == "error":
            error = one.future.exception(timeout=self.patience)
            if not _is_death(error):
                one.future.result(timeout=self.patience)
                raise error
            died = True
        if died:
            self._give_up([one])
            one.worker, one.deaths = None, one.deaths + 1
            if one.deaths >= TRIES:
                return Lost(one.job, f"{one.deaths} workers died of it (killed, or out of memory)")
        elif status == "cancelled":  # by a lost connection
            one.worker.doing.remove(one)
            one.future = None
        return None

    def _give_up(self, errands: Iterable[Errand]) -> None:
        """Want nothing more of them."""
        for one in errands:
            if one.worker is not None:
                one.worker.doing.remove(one)
            with suppress(Exception):  # of a connection that may be lost
                one.future.release()
            one.future = None

    # the cluster

    def _wait(self) -> None:
        """Until something ends, or it is time to look again."""
        self._woken.wait(max(0.0, self._looked + LOOK - monotonic()))
        self._woken.clear()

    def _look(self) -> None:
        """See which workers have come or gone, and what those say that were asked.

        Raises:
            SchedulerLostError: if the cluster is out of reach, or without any worker, for too long.
        """
        if self._workers and monotonic() < self._looked + LOOK:
            return self._hear()
        found = self._identity()["workers"]
        self._looked = monotonic()
        for address in self._workers.keys() - found.keys():
            self._workers.pop(address).gone = True
            self.refused.pop(address, None)
        for address, told in found.items():
            if address not in self._workers:
                worker = Worker(address, told["nthreads"], told["memory_limit"] or 0)
                self._workers[address] = worker
                self._ask(worker)
            self._workers[address].awake = told["status"] == "running"
        self._hear()
        if any(w.check is not None or (w.accepted and w.awake) for w in self._workers.values()):
            self._manned = self._looked
        elif self._looked > self._manned + self.patience:
            reasons = [f"{address}: {reason}" for address, reason in self.refused.items()]
            reasons += [f"{w.address}: paused" for w in self._workers.values() if not w.awake]
            raise self._lost(f"has no worker that can be used ({reasons[0]})" if reasons
                             else "has no worker")  # fmt: skip
        return None

    def _identity(self) -> dict[str, Any]:
        """What the scheduler says of itself; waits for one that is out of reach."""
        until = monotonic() + self.patience
        while self._client.status != "closed" and (remote := self._client.scheduler) is not None:
            left = until - monotonic()
            if left <= 0:
                break
            with suppress(OSError, TimeoutError, *_cancelled()):
                told = self._client.sync(remote.identity, n_workers=-1, callback_timeout=left)
                if self._client.status == "running":
                    return dict(told)
            self._woken.wait(min(0.1, left))
        raise self._lost("does not answer")

    def _lost(self, what: str) -> SchedulerLostError:
        return SchedulerLostError(
            f"scheduler {self.address} {what} for {self.patience:g} s; finished networks are kept: "
            "start it again and run the same command to go on"
        )

    def _ask(self, worker: Worker) -> None:
        """Ask a worker what computes there."""
        key = f"ntkalign-check-{secrets.token_hex(8)}"
        ours = self._cluster
        switches = None if ours is None else Switches.here(max(1, len(ours.workers)))
        worker.check = self._submit(partial(_told, self._deciding, switches), key, worker)

    def _hear(self) -> None:
        """What those workers say that were asked."""
        for worker in self._workers.values():
            status = worker.check.status if worker.check is not None else "pending"
            if status == "cancelled":
                self._ask(worker)
            elif status == "error":
                error, worker.check = worker.check.exception(timeout=self.patience), None
                said = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
                self.refused[worker.address] = said + " ".join(str(error).split())
            elif status == "finished":
                with suppress(OSError, TimeoutError, *_cancelled()):
                    told = worker.check.result(timeout=self.patience)
                    worker.check = None
                    self._judge(worker, told)

    def _judge(self, worker: Worker, told: dict[str, Any]) -> None:
        """Accept a worker that computes what the others do, and refuse any other."""
        expected = self._agreed
        if expected is None:
            here = computed_here(self._deciding)
            expected = told | {name: here[name] for name in SHARED}
        reason = _difference(told, expected)
        if reason:
            self.refused[worker.address] = reason
        else:
            worker.accepted, self._agreed = True, expected


def _told(deciding: Sequence[str] | None, switches: Switches | None) -> dict[str, Any]:
    """What a worker is asked before it gets any job; one that was started here is set up first."""
    if switches is not None:
        switches.apply()
    return computed_here(deciding)


def _on(device: str, work: Callable[[], Any]) -> Any:
    """Work on the device that this run was told to use."""
    with use(device):
        return work()


def _difference(told: dict[str, Any], expected: dict[str, Any]) -> str:
    """What is other, in a few words; nothing if all is the same."""
    for part in expected:
        ours, theirs = expected[part], told[part]
        if ours == theirs:
            continue
        if part == "sources":
            return "its ntkalign is another version of the code"
        if isinstance(ours, dict):
            name = next(n for n in sorted({*ours, *theirs}) if ours.get(n) != theirs.get(n))
            part, ours, theirs = name, ours.get(name, "none"), theirs.get(name, "none")
        return f"{part} is {theirs} instead of {ours}"
    return ""


def _local(workers: int | None) -> Any:
    """A cluster of this machine's processes."""
    distributed = _dask(LOCAL)
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None,
        silence_logs=logging.CRITICAL,
    )  # fmt: skip


def _kill(cluster: Any) -> None:
    """End its processes at once, in the middle of something or not."""

    async def kill() -> None:
        for nanny in cluster.workers.values():
            with suppress(Exception):
                await nanny.close(timeout=0.1)

    with suppress(Exception):
        cluster.sync(kill, callback_timeout=5)
    with suppress(Exception):
        cluster.close(timeout=1)


def _connect(address: str, patience: float) -> Any:
    """Reach a scheduler.

    Returns:
        Dask's client of it.

    Raises:
        InputError: if none answers.
    """
    distributed = _dask(address)
    try:
        _, location = distributed.comm.parse_address(address, strict=False)
        distributed.comm.parse_host_port(location)
        return distributed.Client(address, timeout=patience, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        said = " ".join(str(error).split())
        raise InputError(
            "scheduler", address, must="be local, or the address of a dask scheduler that runs",
            got=said or f"no answer for {patience:g} s", because="its workers compute the networks",
            do="run dask scheduler, and pass the address that it prints, tcp://HOST:8786, say",
        ) from None  # fmt: skip


def _dask(address: str) -> Any:
    """Dask's library.

    Returns:
        The module, where it is installed.

    Raises:
        InputError: where it is not.
    """
    try:
        import distributed
    except ImportError:
        raise InputError(
            "scheduler", address, must="be left out where dask is not installed",
            got="no package called distributed", because="it reaches the workers",
            do="pip install 'ntkalign[cluster]'",
        ) from None  # fmt: skip
    return distributed


def _is_death(error: BaseException) -> bool:
    """Whether a worker died, as the cluster itself noticed."""
    from distributed import KilledWorker

    return isinstance(error, KilledWorker)


def _cancelled() -> tuple[type[BaseException], ...]:
    """What waiting for a task raises that a lost connection has cancelled."""
    from distributed import CancelledError

    return (CancelledError,)


class _Silence:
    """A library's log is silent until the end: what matters of it is raised, in one line."""

    def __init__(self, name: str):
        self._log = logging.getLogger(name)
        self._before = self._log.level
        self._log.setLevel(logging.CRITICAL + 1)

    def end(self) -> None:
        """Let it speak as before."""
        self._log.setLevel(self._before)
