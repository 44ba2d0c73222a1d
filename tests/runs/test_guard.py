"""What cannot fit is refused before anything is done, and what would fit is told."""

from __future__ import annotations

import re
import time

import pytest

from ntkalign import InputError, Settings
from ntkalign.cli.main import main
from ntkalign.runs import guard
from ntkalign.runs.estimate import IDLE_BYTES, cost
from ntkalign.runs.guard import (
    default_workers,
    fits,
    largest,
    refuse_hopeless,
    refuse_too_wide,
)  # fmt: skip
from ntkalign.runs.schedulers.base import Cost
from ntkalign.runs.suite import kernel_suite
from ntkalign.runs.verify import outline, verify
from tests.runs.test_estimate import sweep_of

GIB = 2**30
SPHERE = ["verify", "--data", "sphere", "--time", "1"]


@pytest.fixture
def sixteen(monkeypatch):
    """A machine that has 16 GiB left."""
    monkeypatch.setattr(guard, "available_bytes", lambda: 16 * GIB)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--widths", "64,256,1000000"],
         r"--widths \(64,256,1000000\) must be at most (\d+); got 1000000; because a network of "
         r"1000000 would take [\d,]+ GiB of memory and 16 are free; do: pass smaller widths"),
        (["--widths", "1000000,2000000,3000000"], r"--widths .* at most (\d+); got 1000000;"),
        (["--points", "1000000"],
         r"--points \(1000000\) must be at most (\d+); got 1000000; because kernels would "
         r"take [\d,]+ GiB of memory and 16 are free; do: pass fewer points"),
        (["--outputs", "10000000"], r"--outputs .* must be at most (\d+); got 10000000; "),
        (["--network", "rnn", "--outputs", "1000000", "--steps", "1000"],
         r"--outputs .* must be at most (\d+); got 1000000; "),
        (["--network", "cnn", "--widths", "8,16,1000000"], r"--widths .* at most (\d+); got 10"),
        (["--network", "rnn", "--widths", "8,16,1000000"], r"--widths .* at most (\d+); got 10"),
    ],
)  # fmt: skip
def test_what_cannot_fit_is_refused_at_once_with_the_largest_that_does(
    flags, said, sixteen, capsys, tmp_path
):
    began = time.process_time()
    assert main([*SPHERE, *flags, "--out", str(tmp_path / "out")]) == 2
    assert time.process_time() - began < 10
    (line,) = capsys.readouterr().err.splitlines()
    found = re.search(said, line)
    assert found, line
    assert len(line) < 300
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flag", "value", "because"),
    [
        ("depth", "1000", "its layers would take 3.91 GiB of memory and 0.0312 are free; "
         "do: pass a smaller depth"),
        ("seeds", "100000", "their table would take 7.63 GiB of memory and 0.0312 are free; "
         "do: pass fewer seeds"),
        ("inputs", "9000000", "the points would take 0.536 GiB of memory and 0.0312 are free; "
         "do: pass fewer inputs"),
    ],
)  # fmt: skip
def test_a_small_machine_refuses_what_settings_allow(flag, value, because, capsys, monkeypatch):
    monkeypatch.setattr(guard, "available_bytes", lambda: GIB // 32)
    assert main([*SPHERE, f"--{flag}", value]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(rf"--{flag} \({value}\) must be at most \d+; got {value}; because", line)
    assert line.endswith(because), line


@pytest.mark.parametrize("command", ["kernels", "proof"])
def test_other_commands_refuse_it_too(command, sixteen, capsys, tmp_path):
    flags = ["--data", "sphere", "--widths", "8,16,1000000", "--time", "1"]
    assert main([command, *flags, "--out", str(tmp_path / "out")]) == 2
    assert "--widths (8,16,1000000) must be at most" in capsys.readouterr().err


def test_the_width_that_is_told_is_the_largest_that_fits():
    networks = sweep_of(Settings(data="sphere", widths=(8, 16, 10**6), seeds=2)).networks()
    with pytest.raises(InputError) as caught:
        refuse_too_wide(networks, 16 * GIB)
    told = int(re.search(r"at most (\d+)", str(caught.value))[1])

    def at(width):
        sweep = sweep_of(Settings(data="sphere", widths=(8, 16, width), seeds=2))
        return max(cost(n.specification, n.needs).bytes for n in sweep.networks())

    assert at(told) <= 16 * GIB < at(told + 1)


def test_the_depth_that_is_told_is_the_largest_that_fits():
    def refused(depth):
        try:
            refuse_hopeless(Settings(data="sphere", depth=depth), 8, available=GIB // 8)
        except InputError as error:
            return int(re.search(r"at most (\d+)", str(error))[1])
        return None

    told = refused(1000)
    assert refused(told) is None
    assert refused(told + 1) == told


def test_where_none_fits_it_says_so():
    networks = sweep_of(Settings(data="sphere", widths=(8, 16, 32), seeds=2)).networks()
    with pytest.raises(InputError, match=r"widths \(8,16,32\) must be smaller, for none fits; "):
        refuse_too_wide(networks, 2**20)


def test_what_fits_is_not_refused_and_where_nobody_knows_nothing_is(monkeypatch):
    settings = Settings(data="sphere", widths=(64, 256, 4096), depth=100, seeds=1000, points=64)
    refuse_hopeless(settings, 72, 2, 16 * GIB)
    refuse_too_wide(sweep_of(Settings()).networks(), 16 * GIB)
    monkeypatch.setattr(guard, "available_bytes", lambda: None)
    huge = Settings(data="sphere", widths=(8, 16, 10**8), seeds=2, depth=1000)
    refuse_hopeless(huge, 10**6)
    networks = sweep_of(Settings(data="sphere", widths=(8, 16, 10**8), seeds=2)).networks()
    assert fits(networks)
    monkeypatch.setattr(guard, "available_bytes", lambda: 16 * GIB)
    assert not fits(networks)


def test_points_held_out_count():
    settings = Settings(data="sphere")
    refuse_hopeless(settings, 8, available=GIB)
    with pytest.raises(InputError, match=r"points \(8\) must be smaller, for none fits; got 8"):
        refuse_hopeless(settings, 8 + 10**6, available=GIB)


def test_a_program_that_asks_for_what_cannot_fit_is_refused_too(sixteen):
    settings = Settings(data="sphere", widths=(8, 16, 10**7), seeds=2, time=1.0)
    with pytest.raises(InputError, match=r"widths .* must be at most"):
        verify(settings)
    with pytest.raises(InputError, match=r"widths .* must be at most"):
        outline(settings, kernel_suite(2))


def test_the_outputs_of_data_are_looked_at_where_they_are_known(sixteen):
    with pytest.raises(InputError, match=r"points .* must be at most"):
        refuse_hopeless(Settings(points=3000), 3000, 100)
    refuse_hopeless(Settings(points=3000), 3000, 1)


@pytest.mark.parametrize(
    ("count", "each", "free", "wanted"),
    [
        (9, GIB, None, 4),
        (3, GIB, None, 3),
        (0, GIB, None, 1),
        (9, GIB, 100 * GIB, 4),
        (9, GIB, 2 * GIB + 2 * IDLE_BYTES, 2),
        (9, GIB, 2 * GIB + 2 * IDLE_BYTES - 1, 1),
        (9, 50 * GIB, GIB, 1),
    ],
)
def test_workers_are_as_many_as_cores_networks_and_memory_allow(
    count, each, free, wanted, monkeypatch
):
    monkeypatch.setattr(guard, "cores", lambda: 4)
    monkeypatch.setattr(guard, "available_bytes", lambda: free)
    costs = [Cost(1.0, 10), *[Cost(1.0, each)] * count][1 if count else 0 :][:count]
    assert default_workers(costs) == wanted


@pytest.mark.parametrize("limit", [1, 2, 3, 100, 12345])
def test_the_largest_good_number_is_found(limit):
    assert largest(lambda n: n <= limit, 10**6) == limit
    assert largest(lambda n: n <= limit, limit + 1) == limit
    assert largest(lambda n: False, limit) == 0
