"""The script for SLURM asks for workers, measures on them, and writes the report."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "slurm.py"


class Queue:
    """Stands for dask-jobqueue's cluster; says what it was asked for."""

    scheduler_address = "tcp://10.0.0.1:8786"

    def __init__(self, **asked):
        self.said = [asked]
        made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.said.append("left")

    def scale(self, count):
        self.said.append(("scale", count))

    def wait_for_workers(self, count):
        self.said.append(("wait", count))


class Workers:
    """Stands for the scheduler that measures."""

    def __init__(self, address):
        self.address = address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        made[0].said.append("closed")


made: list[Queue] = []


@pytest.mark.parametrize("gpu", [False, True])
def test_it_measures_on_the_workers_that_it_asks_for(monkeypatch, tmp_path, capsys, gpu):
    made.clear()

    def verify(settings, *, cells, scheduler):
        assert cells == tmp_path
        made[0].said.append(("verify", scheduler.address))
        return "result"

    monkeypatch.setitem(sys.modules, "dask_jobqueue", SimpleNamespace(SLURMCluster=Queue))
    monkeypatch.setattr("ntkalign.runs.schedulers.cluster.Cluster", Workers)
    monkeypatch.setattr("ntkalign.verify", verify)
    monkeypatch.setattr("ntkalign.report.write_report", lambda result, out: out / "report.html")
    monkeypatch.setattr("ntkalign.report.print_verdicts", lambda result, console: None)
    words = ["--partition", "normal", "--workers", "3", "--out", str(tmp_path), *["--gpu"] * gpu]
    monkeypatch.setattr(sys, "argv", ["slurm.py", *words])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    ((asked, *then),) = (queue.said for queue in made)
    assert asked["queue"] == "normal"
    assert (asked["processes"], asked["cores"]) == (1, 1)
    assert asked["job_extra_directives"] == ["--gpus=1"] * gpu
    assert then == [
        ("scale", 3), ("wait", 1), ("verify", "tcp://10.0.0.1:8786"), "closed", "left",
    ]  # fmt: skip
    assert capsys.readouterr().out == f"report: {tmp_path / 'report.html'}\n"
