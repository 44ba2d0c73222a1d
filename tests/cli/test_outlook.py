"""``--dry-run``: the plan is printed, nothing is measured and nothing written."""

from __future__ import annotations

import re

import pytest

from ntkalign.cli.main import main
from ntkalign.cli.outlook import duration, foresee
from ntkalign.runs import guard
from ntkalign.runs import outlook as outlooks
from ntkalign.runs.estimate import REFERENCE_SPEED
from ntkalign.runs.settings import Settings
from tests.runs.test_estimate import sweep_of

GIB = 2**30
SMALL = ["--data", "sphere", "--points", "4", "--widths", "8,16,32", "--seeds", "4", "--time", "1"]


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Four cores of the speed that estimates are for, and 16 GiB."""
    monkeypatch.setattr(outlooks, "product_speed", lambda: REFERENCE_SPEED)
    monkeypatch.setattr(guard, "cores", lambda: 4)
    for module in ("ntkalign.cli.outlook", "ntkalign.runs.guard"):
        monkeypatch.setattr(f"{module}.available_bytes", lambda: 16 * GIB)


@pytest.mark.parametrize("command", ["verify", "kernels", "proof"])
def test_the_plan_is_printed_and_nothing_is_done(command, capsys, tmp_path, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("a network was drawn")

    monkeypatch.setattr("ntkalign.cells.flow.Trial.of", never)
    monkeypatch.chdir(tmp_path)
    assert main([command, *SMALL, "--dry-run", "--out", "out"]) == 0
    assert not [*tmp_path.iterdir()]
    out = capsys.readouterr().out
    found = re.findall(r"^(main|control: bottleneck) +(\d+) +(\d+) +([\d.]+) +(\d+ s)$", out, re.M)
    assert [int(width) for name, width, *_ in found if name == "main"] == [8, 16, 32]
    assert {seeds for name, _, seeds, *_ in found if name == "main"} == {"4"}
    total = sum(int(seeds) for _, _, seeds, *_ in found)
    assert re.search(
        rf"^{total} networks by \d workers: about \d+ (s|min), less where some are stored, "
        r"[\d.]+ GiB of memory of 16 GiB that are free, \d+ MiB of disk\. Estimates, .*; "
        r"nothing was measured or written\.$", out, re.M,
    )  # fmt: skip


def test_what_cannot_fit_or_makes_no_sense_is_refused_as_in_a_run(capsys, tmp_path):
    for flags, said in (
        (["--widths", "8,16,10000000"], "--widths (8,16,10000000) must be at most "),
        (["--workers", "0"], "--workers (0) must be at least 1; "),
        (["--claims", "nothing"], "(nothing) must be one of "),
    ):
        assert main(["verify", *SMALL, *flags, "--dry-run", "--out", str(tmp_path / "out")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    assert not (tmp_path / "out").exists()


def test_more_workers_take_less_time_and_more_memory():
    sweep = sweep_of(Settings(data="sphere", widths=(8, 16, 32), seeds=2))
    one, two, four = (foresee(sweep, workers) for workers in (1, 2, 4))
    assert one.seconds > two.seconds > four.seconds
    assert one.bytes < two.bytes < four.bytes
    assert foresee(sweep, None).workers == 4


def test_a_slower_machine_takes_longer(monkeypatch):
    sweep = sweep_of(Settings(data="sphere", widths=(8, 16, 32), seeds=2))
    here = foresee(sweep, 2).seconds
    monkeypatch.setattr(outlooks, "product_speed", lambda: REFERENCE_SPEED / 8)
    assert foresee(sweep, 2).seconds == pytest.approx(8 * here)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.1, "1 s"),
        (119.0, "119 s"),
        (120.0, "2 min"),
        (7199.0, "120 min"),
        (1e4, "3 h"),
        (1e6, "12 d"),
    ],
)
def test_a_time_is_told_in_one_unit(seconds, text):
    assert duration(seconds) == text
