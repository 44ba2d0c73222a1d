"""What runs took, beside what they were estimated to take.

    python benchmarks/estimates.py [DIR …] [--here] [--workers 2]

Reads the reports in some folders, by default those of the default runs in ``figures/``, and makes
the estimates of the same settings (:mod:`ntkalign.runs.outlook`). Reports do not say how fast their
machine was: seconds are compared as if it were the one that the estimates were fitted on, and
with ``--here`` by the speed of this one. Only runs that reused nothing are compared.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ntkalign.report import load_report
from ntkalign.report.proof_map import is_proof
from ntkalign.runs.estimate import REFERENCE_SPEED
from ntkalign.runs.outlook import outlook
from ntkalign.runs.record import Verification
from ntkalign.runs.schedulers.threads import THREADS
from ntkalign.runs.suite import PROOF, THEORY, Suite, kernel_suite
from ntkalign.runs.verify import outline

FIGURES = Path(__file__).parents[1] / "figures"
DEFAULT = ("default", "recurrent", "convolutional", "kernels", "proof")


def suite_of(run: Verification) -> Suite:
    """What a report was about."""
    if is_proof(run):
        return PROOF
    return kernel_suite(run.conduct.held_out) if run.conduct.held_out else THEORY


def main() -> None:
    """Compare, and say by what factors estimates are off."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="DIR")
    parser.add_argument("--here", action="store_true", help="the runs took place on this machine")
    parser.add_argument("--workers", type=int, default=THREADS)
    parser.add_argument("--processes", action="store_true", help="workers were processes")
    given = parser.parse_args()
    table = Table(box=None)
    for heading in ("run", "networks", "seconds", "estimated", "ratio",
                    "peak MiB", "estimated", "ratio"):  # fmt: skip
        table.add_column(heading, justify="right")
    for folder in given.folders or [FIGURES / name for name in DEFAULT]:
        run = load_report(folder)
        settings = run.settings
        if settings.data != "sphere":  # they say the dimensions that data turned out to have
            settings = dataclasses.replace(settings, inputs=None, outputs=None)
        sweep, _ = outline(settings, suite_of(run))
        found = outlook(
            sweep, given.workers, processes=given.processes,
            speed=None if given.here else REFERENCE_SPEED,
        )  # fmt: skip
        took = run.environment
        if took.networks_reused:
            continue
        memory = found.bytes / 2**20
        table.add_row(
            folder.name, str(found.networks), f"{took.seconds:.0f}", f"{found.seconds:.0f}",
            f"{found.seconds / took.seconds:.2f}", str(took.peak_memory_mib), f"{memory:.0f}",
            f"{memory / took.peak_memory_mib:.2f}",
        )  # fmt: skip
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
