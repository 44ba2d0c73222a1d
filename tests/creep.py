"""Whether memory creeps: many small networks of one architecture in one process.

    python -m tests.creep --networks 500

measures them as a sweep does, in two threads, and compares what the process holds after 50 with
the most that it holds afterwards. ``--keep`` leaves out what forgets programs: the control. 500
networks take some five minutes on two cores.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from functools import partial

from ntkalign import programs
from ntkalign.cells.cell import Cell
from ntkalign.cells.work import measured
from ntkalign.data import catalogue
from ntkalign.runs.schedulers.base import Job
from ntkalign.runs.schedulers.threads import InThreads
from ntkalign.runs.settings import Settings
from ntkalign.runs.suite import THEORY
from ntkalign.runs.sweep import needed, specify
from tests.memory import resident

FIRST = 50
"""Networks that may take what they need."""
ALLOWED = 300
"""MiB that the others may add."""


def held(networks: int, width: int) -> list[int]:
    """MiB in use after each network from the 50th on."""
    settings = Settings(
        points=4, outputs=2, depth=2, widths=(width, 2 * width, 4 * width), time=1.0, tolerance=1e-5
    )
    data = catalogue.load(
        settings.data, points=4, held_out=THEORY.held_out, inputs=None, outputs=2, directory=None,
        network=settings.kind.points, steps=None,
    )  # fmt: skip
    needs = needed(THEORY.ask(settings, ()), settings.rules)["main"]
    measure = THEORY.prepare(settings, data)
    jobs = [
        Job(str(seed), partial(measured, measure, one, needs))
        for seed in range(networks)
        for one in [specify(settings, THEORY.name, data, Cell("main", width, seed))]
    ]
    found = []
    with InThreads() as scheduler, closing(scheduler.run(jobs)) as ended:
        for number, _ in enumerate(ended, start=1):
            if number >= FIRST:
                found.append(resident() >> 20)
            if number >= FIRST and number % FIRST == 0:
                print(f"{number} networks: {found[-1]} MiB", flush=True)
    return found


def main() -> int:
    """Measure and tell; 1 if memory creeps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    if asked.keep:
        programs.MANY = sys.maxsize
    first, *others = held(asked.networks, asked.width)
    more = max(others) - first
    print(f"{more} MiB more than after {FIRST} networks; {ALLOWED} are allowed")
    return int(more > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
