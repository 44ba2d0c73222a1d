"""What the tests of schedulers have done: functions that other processes can import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import jax


def square(n: int) -> int:
    return n * n


def fail(text: str) -> None:
    raise ValueError(text)


class OddError(Exception):
    """One that does not travel."""

    def __init__(self, one: int, two: int):
        super().__init__(f"{one} and {two}")


def fail_oddly() -> None:
    raise OddError(1, 2)


def process() -> int:
    return os.getpid()


def switch(name: str) -> object:
    return jax.config.values[name]


def product_threads() -> int:
    """How many threads of this process multiply matrices for JAX."""
    ones = jax.numpy.ones((300, 300))
    (ones @ ones).block_until_ready()
    names = (task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm"))
    return sum(name == "tf_XLAEigen" for name in names)


def die(begun: Path, times: int, how: int = signal.SIGKILL) -> int:
    """Kill the process that does it, so many times; each start is a file in a folder."""
    begun.mkdir(exist_ok=True)
    count = len(list(begun.iterdir()))
    (begun / f"{count}-{os.getpid()}").touch()
    if count < times:
        os.kill(os.getpid(), how)
        time.sleep(60)
    return os.getpid()


def wait_for(file: Path, begun: Path) -> None:
    """Say that it has begun, and go on when a file is there."""
    begun.write_text(str(os.getpid()))
    until = time.monotonic() + 60
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.01)
