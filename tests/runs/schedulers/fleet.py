"""A dask scheduler and its workers as real processes on loopback, and what is done to them.

They are forked from one process that has imported all they need, so that a test can have many. They
end with the fleet, whatever they are in the middle of.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import jax

DEADLINE = 120.0
"""Seconds for what takes one or two on a machine that is not busy."""
PRELOADED = [
    "distributed.cli.dask_scheduler", "distributed.cli.dask_worker",
    "ntkalign.runs.schedulers.cluster", "ntkalign.cells.flow",
]  # fmt: skip


def wait_for(what: Callable[[], Any], named: str) -> Any:
    """Whatever is true of what it returns, as soon as it is."""
    until = time.monotonic() + DEADLINE
    while not (found := what()):
        assert time.monotonic() < until, f"not within {DEADLINE} s: {named}"
        time.sleep(0.02)
    return found


class Fleet:
    """Processes of a cluster; a context manager that kills them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._processes: list[Any] = []

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.join()

    def scheduler(self) -> str:
        """Start a scheduler; returns its address."""
        file = self.folder / f"scheduler-{len(self._processes)}.json"
        self.head = self._start(
            "scheduler", ["--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                          "--scheduler-file", str(file)],
        )  # fmt: skip

        def address() -> Any:
            with contextlib.suppress(OSError, ValueError):
                return json.loads(file.read_text())["address"]

        return wait_for(address, "the scheduler's file")

    def worker(self, address: str, name: str, variables: Mapping[str, str] | None = None) -> Any:
        """Start a worker with one thread."""
        arguments = [address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--name", name,
                     "--local-directory", str(self.folder), "--memory-limit", "0"]  # fmt: skip
        return self._start("worker", arguments, variables)

    def _start(
        self, kind: str, arguments: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> Any:
        log = self.folder / f"{kind}-{len(self._processes)}.log"
        process = self._context.Process(
            target=_live, args=(kind, arguments, dict(variables or {}), str(log))
        )
        process.start()
        self._processes.append(process)
        return process


def _live(kind: str, arguments: Sequence[str], variables: Mapping[str, str], log: str) -> None:
    """The life of one process."""
    import importlib

    file = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(variables)
    importlib.import_module(f"distributed.cli.dask_{kind}").main(arguments)


class Proxy:
    """A port that leads to another one, until it is cut."""

    def __init__(self, address: str):
        host, port = address.removeprefix("tcp://").split(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._whole = threading.Event()
        self._whole.set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """End all connections; new ones end at once."""
        self._whole.clear()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def mend(self) -> None:
        """Let connections through again."""
        self._whole.set()

    def close(self) -> None:
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if not self._whole.is_set():
                    near.close()
                    continue
                far = socket.create_connection(self._target)
                self._open += near, far
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


class Running:
    """The jobs of a scheduler, done in a thread while the test does something to the cluster."""

    def __init__(self, scheduler: Any, jobs: Sequence[Any]):
        self.ended: list[Any] = []
        self._error: BaseException | None = None

        def run() -> None:
            try:
                for one in scheduler.run(jobs):
                    self.ended.append(one)
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def all(self) -> dict[str, Any]:
        """What became of each job, by name, when all have ended."""
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), f"ended so far: {self.ended}"
        if self._error is not None:
            raise self._error
        names = [one.job.name for one in self.ended]
        assert len(names) == len(set(names))
        return {one.job.name: one for one in self.ended}


# jobs: files say when they begin, and when they may end


def held(folder: str, name: str) -> int:
    """Begin, and wait to be told to end."""
    with open(f"{folder}/{name}.begun", "a") as file:
        file.write(f"{os.getpid()}\n")
    wait_for(lambda: os.path.exists(f"{folder}/{name}.go"), f"{name}.go")
    with open(f"{folder}/{name}.ended", "a"):
        return os.getpid()


def begun(folder: Path, name: str) -> list[int]:
    """The processes that began a job, in order; waits for the first."""
    path = folder / f"{name}.begun"
    return [
        int(line) for line in wait_for(lambda: path.exists() and path.read_text(), name).split()
    ]


def go(folder: Path, *names: str) -> None:
    for name in names:
        (folder / f"{name}.go").touch()


def kills_its_worker(folder: str, name: str, times: int) -> int:
    """Dies the first times, as a job does that needs too much memory."""
    with open(f"{folder}/{name}.begun", "a+") as file:
        file.write(f"{os.getpid()}\n")
        file.flush()
        file.seek(0)
        if len(file.readlines()) <= times:
            os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def chosen_device() -> str:
    return str(jax.config.values["jax_default_device"])


def takes_memory(folder: str) -> None:
    """Take ever more, slowly enough to be seen, as a network that is too large."""
    with open(f"{folder}/greedy.begun", "a") as file:
        file.write(f"{os.getpid()}\n")
    kept = []
    while len(kept) < 64:  # 2 GiB
        kept.append(b"x" * 2**25)
        time.sleep(0.05)
    time.sleep(DEADLINE)
