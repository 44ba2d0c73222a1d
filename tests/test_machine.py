"""What the machine has: what the system says, what a GPU says, and something plausible here."""

from __future__ import annotations

import pytest

from ntkalign import machine
from ntkalign.machine import cores, host_bytes, in_gib, product_speed

GIB = 2**30


def system(root, files):
    for name, text in files.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal:       24684084 kB\nMemAvailable:   22150860 kB\nFoo: 1 kB\n"}
LEFT = 22150860 * 1024


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, None),
        (MEMINFO, LEFT),
        (MEMINFO | {"sys/fs/cgroup/memory.max": "max\n"}, LEFT),
        (MEMINFO | {"sys/fs/cgroup/memory.max": "1000000\n"}, 1000000),
        (MEMINFO | {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, LEFT),
        (MEMINFO | {"sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000\n"}, 2000000),
        (
            MEMINFO | {
                "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n",
                "sys/fs/cgroup/a/memory.max": "3000000\n",
            }, 3000000,
        ),
        (
            MEMINFO | {
                "proc/self/cgroup": "5:cpu:/c\n4:cpuacct,memory:/a/b\n0::/\n",
                "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "4000000\n",
                "sys/fs/cgroup/memory/c/memory.limit_in_bytes": "1\n",
            }, 4000000,
        ),
        ({"sys/fs/cgroup/memory.max": "5000000\n"}, 5000000),
    ],
)  # fmt: skip
def test_what_there_is_is_the_least_of_what_the_system_says(tmp_path, files, wanted):
    assert host_bytes(system(tmp_path, files)) == wanted


def test_a_gpu_says_itself_what_there_is(monkeypatch):
    class Device:
        platform = "gpu"

        def memory_stats(self):
            return {"bytes_limit": 7 * GIB}

    monkeypatch.setattr(machine, "devices", lambda: [Device()])
    assert machine.available_bytes() == 7 * GIB
    Device.memory_stats = lambda self: None
    assert machine.available_bytes() is None


def test_this_machine_says_something_plausible():
    found = machine.available_bytes()
    assert found is None or 2**27 < found < 2**50


def test_the_speed_of_a_product_is_that_of_a_computer():
    assert 1e8 < product_speed("float32") < 1e17


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
    assert cores() == 3
    monkeypatch.delattr(machine.os, "sched_getaffinity")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 6)
    assert cores() == 6


@pytest.mark.parametrize(
    ("size", "text"), [(GIB // 8, "0.125"), (234 * GIB // 10, "23.4"), (14902 * GIB, "14,902")]
)
def test_bytes_are_told_with_three_digits(size, text):
    assert in_gib(size) == text
