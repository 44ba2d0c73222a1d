"""What this machine has: memory, cores, and the speed at which it multiplies matrices.

Nothing here says which machine it is.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from ntkalign.devices import devices
from ntkalign.precision import scope

_PEAK_SIZE = 1024


def cores() -> int:
    """How many the process may use, which may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def product_speed(precision: str = "float64") -> float:
    """Operations a second of a large matrix product, measured."""
    with scope(precision):
        a = jnp.ones((_PEAK_SIZE, _PEAK_SIZE), precision)
        multiply = jax.jit(jnp.matmul)
        multiply(a, a).block_until_ready()
        took = math.inf
        for _ in range(5):
            began = time.perf_counter()
            multiply(a, a).block_until_ready()
            took = min(took, time.perf_counter() - began)
    return 2 * _PEAK_SIZE**3 / took


def in_gib(size: int) -> str:
    """Bytes as a number of GiB with three digits."""
    many = size / 2**30
    return f"{many:,.0f}" if many >= 100 else f"{many:.3g}"


def available_bytes() -> int | None:
    """What there is on the device in use; None if nobody says so."""
    device = devices()[0]
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit")
    return host_bytes()


def host_bytes(root: Path = Path("/")) -> int | None:
    """What the system has left, or what the process may take if that is less.

    Args:
        root: of the file system.

    Returns:
        Bytes, as Linux tells them; None elsewhere.
    """
    return min([*_left(root), *_allowed(root)], default=None)


def _left(root: Path) -> list[int]:
    lines = _lines(root / "proc/meminfo")
    return [int(line.split()[1]) * 2**10 for line in lines if line.startswith("MemAvailable:")]


def _allowed(root: Path) -> list[int]:
    """Limits of the control groups that the process is in, and of those above them."""
    places = {(root / "sys/fs/cgroup", "memory.max")}
    places.add((root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"))
    for line in _lines(root / "proc/self/cgroup"):
        number, kinds, own = line.split(":", 2)
        for group in (Path(own), *Path(own).parents):
            below = group.relative_to("/")
            if number == "0":
                places.add((root / "sys/fs/cgroup" / below, "memory.max"))
            elif "memory" in kinds.split(","):
                places.add((root / "sys/fs/cgroup/memory" / below, "memory.limit_in_bytes"))
    said = [line for folder, name in places for line in _lines(folder / name)]
    return [int(line) for line in said if line.isdigit()]  # "max" is no limit


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def peak_memory() -> int:
    """The most memory that this process has held, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 2**10
