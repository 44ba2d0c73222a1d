"""One sweep on 1, 2 and 4 worker processes: are the numbers the same, and what does it take?

    python benchmarks/workers.py [--widths 64,128,256,512,1024] [--seeds 4] [--workers 1,2,4]

Every run measures anew, in processes of its own. The first one fills the compilation cache in a
folder of its own that the others read, and is run again at the end, so that all seconds but its
first are with a warm cache. Numbers must be the same to the last bit.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TABLE = "measurements.csv"


def seconds_of(arguments: list[str], out: Path, cache: Path) -> float:
    """Run ``ntkalign verify`` into a folder; the seconds that it took."""
    command = [sys.executable, "-m", "ntkalign", "verify", *arguments, "--out", str(out)]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache),
                                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}  # fmt: skip
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Run the same sweep on each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", default="64,128,256,512,1024")
    parser.add_argument("--seeds", default="4")
    parser.add_argument("--workers", default="1,2,4")
    given = parser.parse_args()
    sweep = ["--widths", given.widths, "--seeds", given.seeds]
    print(f"{os.cpu_count()} cores; ntkalign verify {' '.join(sweep)}")
    with tempfile.TemporaryDirectory() as folder:
        first: bytes | None = None
        ways = [("1, cold cache", "1"), *((n, n) for n in given.workers.split(","))]
        for name, workers in ways:
            out = Path(folder) / name.replace(", ", "-")
            took = seconds_of([*sweep, "--workers", workers], out, Path(folder) / "cache")
            table = (out / TABLE).read_bytes()
            first = first or table
            same = "the same bits" if table == first else "OTHER NUMBERS"
            print(f"workers {name:14} {took:7.1f} s  {table.count(bytes([10])) - 1} rows, {same}")


if __name__ == "__main__":
    main()
