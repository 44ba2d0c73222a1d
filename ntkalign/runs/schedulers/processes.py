"""Jobs in processes of their own: one that dies costs only the job that it was doing.

Each worker has a connection of its own and nothing that it shares with the others, so that whenever
one is killed (by somebody, or by the system for want of memory) the others do not notice. (The
pools of the standard library give up all jobs then.) A worker ends when the run ends, however that
ends: it watches the process that began it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
from collections.abc import Generator, Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from threading import Lock, Semaphore, Thread
from typing import Any, TypeVar

from ntkalign.machine import peak_memory
from ntkalign.runs.schedulers.base import Cost, Done, Job, Lost, Scheduler, SchedulerLostError
from ntkalign.runs.schedulers.parcel import Parcel
from ntkalign.runs.schedulers.room import Room
from ntkalign.runs.schedulers.switches import Switches
from ntkalign.runs.schedulers.threads import computed_here

T = TypeVar("T")


_READY = b"ready"


class WorkerDiedError(Exception):
    """A worker is gone; the text says how."""


class InProcesses(Scheduler):
    """Worker processes on this machine, which live until the scheduler is closed.

    Args:
        workers: how many.
        bytes: how much memory all jobs together may take; None if nobody knows.
    """

    def __init__(self, workers: int, bytes: int | None = None):
        self.workers, self.bytes = workers, bytes
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._lock = Lock()
        self._closed = False
        self._peak = 0

    def peak_bytes(self) -> int:
        """Of all workers together, as they said when they ended a job."""
        return self._peak

    def context(self, deciding: Sequence[str] | None = None) -> dict[str, Any]:
        """What computes here: workers have this process's switches."""
        return computed_here(deciding)

    def at_once(self, costs: Sequence[Cost]) -> int:
        """One in each process."""
        return self.workers

    def run(self, jobs: Sequence[Job[T]]) -> Generator[Done[T] | Lost[T], None, None]:
        """Do all jobs, each in one of the workers."""
        parcels = {job: pickle.dumps(Parcel.of(job.work)) for job in jobs}
        room = Room(jobs, self.bytes)
        ended: SimpleQueue[Done[T] | Lost[T] | BaseException] = SimpleQueue()
        taken = Semaphore(0)  # a result is stored before its worker gets another job

        def serve() -> None:
            while (job := room.next()) is not None:
                try:
                    ended.put(self._do(job, parcels.pop(job), room))
                except BaseException as error:
                    ended.put(error)
                taken.acquire()

        threads = [Thread(target=serve, daemon=True) for _ in range(min(self.workers, len(jobs)))]
        for thread in threads:
            thread.start()
        finished = False
        try:
            for _ in jobs:
                outcome = ended.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                yield outcome
                taken.release()
            finished = True
        finally:
            room.close()
            taken.release(self.workers)
            if not finished:
                self.close()
            for thread in threads:
                thread.join()

    def close(self) -> None:
        """Kill all workers."""
        with self._lock:
            self._closed = True
            for worker in (*self._idle, *self._busy):
                worker.kill()
            self._idle.clear()

    def _do(self, job: Job[T], parcel: bytes, room: Room[T]) -> Done[T] | Lost[T]:
        """A job in any worker; a second time in a new one, with nothing beside it."""
        try:
            return Done(job, self._try(parcel, new=False))
        except WorkerDiedError as died:
            reason = str(died)
        finally:
            room.leave(job)
        if not room.alone(job):
            return Lost(job, reason)
        try:
            return Done(job, self._try(parcel, new=True))
        except WorkerDiedError as died:
            return Lost(job, f"{died}, twice")
        finally:
            room.leave(job, alone=True)

    def _try(self, parcel: bytes, *, new: bool) -> Any:
        worker = self._worker(new=new)
        try:
            result = worker.do(parcel)
        except WorkerDiedError:
            worker.kill()
            raise
        finally:
            with self._lock:
                self._peak = max(self._peak, sum(w.peak for w in (*self._idle, *self._busy)))
                self._busy.discard(worker)
        with self._lock:
            if not self._closed:
                self._idle.append(worker)
        return result

    def _worker(self, *, new: bool) -> _Worker:
        """One that is idle, or a new one; whoever closes the workers waits for no start."""
        with self._lock:
            self._refuse_if_closed()
            idle = self._idle.pop() if self._idle and not new else None
            if idle is not None:
                self._busy.add(idle)
                return idle
        worker = _Worker(Switches.here(self.workers))
        with self._lock:
            if self._closed:
                worker.kill()
            self._refuse_if_closed()
            self._busy.add(worker)
        return worker

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise WorkerDiedError("the workers were closed")


class _Worker:
    """One process, and the connection to it."""

    def __init__(self, switches: Switches) -> None:
        self.peak = 0  # bytes of memory, as it said last
        self._ready = False
        self._connection, theirs = get_context("spawn").Pipe()
        self._process = get_context("spawn").Process(
            target=_serve, args=(theirs, switches), daemon=True
        )
        # what is typed at the terminal is for the process that commands: it ends its workers
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        except OSError as error:
            raise WorkerDiedError(f"no process could be started ({error.strerror})") from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def do(self, parcel: bytes) -> Any:
        """Do a job there.

        Returns:
            What it returned.

        Raises:
            WorkerDiedError: if the process is gone.
            SchedulerLostError: if it ended by itself before it could do anything.
        """
        try:
            if not self._ready:
                self._ready = self._heard() == _READY
            self._connection.send_bytes(parcel)
            raised, result, self.peak = pickle.loads(self._heard())
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            if not self._ready and code is not None and code >= 0:
                raise SchedulerLostError(
                    f"a worker process ended with status {code} before it began (what it said is "
                    "above); a program that has workers does its work below "
                    'if __name__ == "__main__":, or asks for none'
                ) from None
            raise WorkerDiedError(_how(code)) from None
        if raised:
            raise result
        return result

    def _heard(self) -> bytes:
        wait([self._connection, self._process.sentinel])
        return self._connection.recv_bytes()

    def kill(self) -> None:
        """End the process, whatever it does."""
        with contextlib.suppress(ValueError):
            self._process.kill()
            self._process.join()


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its process ended with status {code}"
    name = signal.Signals(-code).name
    memory = ", for want of memory perhaps" if -code == signal.SIGKILL else ""
    return f"its process was ended by {name}{memory}"


def _serve(connection: Connection, switches: Switches) -> None:
    """Do jobs until nobody sends any more: the life of a worker."""
    Thread(target=_end_with_parent, daemon=True).start()
    switches.apply()
    connection.send_bytes(_READY)
    while True:
        try:
            parcel = connection.recv_bytes()
        except EOFError:
            return
        connection.send_bytes(_answer(parcel))


def _answer(parcel: bytes) -> bytes:
    """Whether the job raised, what it raised or returned, and the memory that the worker took."""
    try:
        result = pickle.loads(parcel)()
        return pickle.dumps((False, result, peak_memory()))
    except BaseException as error:
        try:
            packed = pickle.dumps((True, error, peak_memory()))
            pickle.loads(packed)
        except Exception:  # of a class that does not travel
            told = RuntimeError(f"{type(error).__name__}: {error}")
            packed = pickle.dumps((True, told, peak_memory()))
        return packed


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
