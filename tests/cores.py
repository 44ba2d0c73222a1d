"""Whether numbers depend on how many cores there are, or how many threads BLAS takes.

    python -m tests.cores --widths 64,256

measures the networks of a sweep in processes that may use one core, and all; and with BLAS told to
take one thread, and three. It says which numbers differ; there must be none. Two minutes on two
cores. (Before sums over all entries were NumPy's it found one of 570 numbers at width 256.)
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

SURROUNDINGS: dict[str, dict[str, str]] = {
    "one core": {"CORES": "1"},
    "all cores": {},
    "BLAS in one thread": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "BLAS in three threads": {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"},
}
LEFT_OUT = ("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR")
"""Of the tests: what others compiled, and how, is not to be used here."""


def printed(code: str, *asked: str, **variables: str) -> Any:
    """What Python code prints as JSON in a process of its own, on as many cores as CORES says.

    Args:
        code: to run, with ``asked`` in ``sys.argv``.
        asked: its arguments.
        variables: of the environment, beside our own.

    Returns:
        The value.
    """
    pin = (
        "import os\nif os.environ.get('CORES') == '1':\n"
        "    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    )
    kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    environment = kept | {"JAX_PLATFORMS": "cpu"} | variables
    out = subprocess.run(
        [sys.executable, "-c", pin + code, *asked], env=environment, check=True,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return json.loads(out.stdout.splitlines()[-1])


NETWORKS = """
import json, sys
from functools import partial
from ntkalign.cells.cell import Cell
from ntkalign.cells.work import measured
from ntkalign.data import catalogue
from ntkalign.runs.schedulers.base import Job
from ntkalign.runs.schedulers.threads import InThreads
from ntkalign.runs.settings import Settings
from ntkalign.runs.suite import THEORY
from ntkalign.runs.sweep import needed, specify

network, widths = sys.argv[1], [int(width) for width in sys.argv[2].split(",")]
settings = Settings(network=network, time=3.0)
data = catalogue.load(
    settings.data, points=settings.points, held_out=THEORY.held_out, inputs=None,
    outputs=None, directory=None, network=settings.kind.points, steps=settings.steps,
)
needs = needed(THEORY.ask(settings, ()), settings.rules)["main"]
measure = THEORY.prepare(settings, data)
jobs = [
    Job(f"{width} {seed}", partial(measured, measure,
        specify(settings, THEORY.name, data, Cell("main", width, seed)), needs))
    for width in widths for seed in (0, 1)
]
with InThreads() as scheduler:
    rows = [list(map(str, row)) for done in scheduler.run(jobs) for row in done.result]
print(json.dumps(sorted(rows)))
"""


def main() -> int:
    """Measure in each of the surroundings, and tell; 1 if a number differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="mlp")
    parser.add_argument("--widths", default="64,256")
    asked = parser.parse_args()
    first, differ = None, 0
    for name, variables in SURROUNDINGS.items():
        found = printed(NETWORKS, asked.network, asked.widths, **variables)
        first = first or found
        others = [row for row in found if row not in first]
        print(f"{name}: {len(found)} numbers, {len(others)} differ", *others[:10], sep="\n  ")
        differ += len(others)
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())
