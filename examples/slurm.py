"""A whole run on a SLURM cluster: dask-jobqueue asks for workers, and they measure the networks.

    pip install 'ntkalign[cluster]' dask-jobqueue
    python examples/slurm.py --partition normal --workers 8

Stopped at any moment, the same command goes on: finished networks are kept in the output folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from ntkalign import Settings, verify
from ntkalign.report import print_verdicts, write_report
from ntkalign.runs.schedulers.cluster import Cluster


def main() -> None:
    """Ask for workers, measure on those that have come, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--partition", required=True, help="the queue, as sinfo names it")
    parser.add_argument("--workers", type=int, default=8, help="how many are asked for")
    parser.add_argument("--cores", type=int, default=4, help="of each worker")
    parser.add_argument("--memory", default="16GiB", help="of each worker")
    parser.add_argument("--hours", type=int, default=12, help="for which each worker is asked for")
    parser.add_argument("--gpu", action="store_true", help="one GPU for each worker")
    parser.add_argument("--out", type=Path, default=Path("slurm-run"), help="the report's folder")
    asked = parser.parse_args()

    from dask_jobqueue import SLURMCluster

    with SLURMCluster(
        queue=asked.partition,
        processes=1,  # one worker a job: one that dies costs one network
        cores=1,  # one network at a time in each
        job_cpu=asked.cores,  # which its matrix products use
        memory=asked.memory,
        walltime=f"{asked.hours}:00:00",
        # leave between two networks rather than be ended in the middle of one
        worker_extra_args=["--lifetime", f"{asked.hours * 60 - 20}m", "--lifetime-stagger", "10m"],
        job_extra_directives=["--gpus=1"] if asked.gpu else [],
    ) as slurm:
        slurm.scale(asked.workers)
        slurm.wait_for_workers(1)  # however long the queue is
        with Cluster(slurm.scheduler_address) as scheduler:
            result = verify(Settings(), cells=asked.out, scheduler=scheduler)
    page = write_report(result, asked.out)
    print_verdicts(result, Console())
    print(f"report: {page}")


if __name__ == "__main__":
    main()
