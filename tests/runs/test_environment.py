"""What a report says of where a run took place: all that decides numbers, and no names."""

from __future__ import annotations

import getpass
import json
import socket
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ntkalign.data import catalogue
from ntkalign.runs.environment import Environment, Flows, digests, processor
from ntkalign.runs.schedulers.threads import InThreads
from ntkalign.values import HIDDEN

FIGURES = Path(__file__).parents[2] / "figures"


@pytest.fixture(scope="module")
def here():
    return Environment.here(InThreads().context(), {"points": "0"}).ended(
        seconds=1.23, flows=Flows(spectral=3), measured=2, reused=1
    )


def test_everything_that_decides_numbers_is_told(here):
    assert {"ntkalign", "python", "jax", "jaxlib", "numpy", "scipy", "diffrax"} <= set(
        here.versions
    )
    assert len(here.code) == 64
    assert here.cores >= 1
    assert here.system
    assert any("openblas" in library or "mkl" in library for library in here.libraries)
    assert here.switches["jax_enable_x64"] == "True"  # as those who measure have it
    begun = datetime.strptime(here.date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - begun) < timedelta(hours=1)
    assert (here.seconds, here.networks_measured, here.networks_reused) == (1.2, 2, 1)
    assert here.peak_memory_mib > 50


def test_an_environment_comes_back_as_it_was(here):
    stored = json.loads(json.dumps(here.as_json()))
    assert Environment.from_json(stored) == here
    assert set(stored) == {f.name for f in fields(Environment)}


def test_no_host_no_user_and_no_folder_is_named(monkeypatch):
    flags = "--xla_cpu_enable_fast_math=false --xla_dump_to=/home/somebody/dump"
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    found = Environment.here(InThreads().context(), {})
    assert found.variables["XLA_FLAGS"] == (
        f"--xla_cpu_enable_fast_math=false --xla_dump_to={HIDDEN}"
    )
    assert found.variables["OMP_NUM_THREADS"] == "2"
    text = json.dumps(found.as_json())
    names = [socket.gethostname(), getpass.getuser(), str(Path.home()), str(Path.cwd()), "somebody"]
    assert not [n for n in names if len(n) > 4 and n in text]
    assert "/" not in text


def test_the_processor_is_named_as_it_names_itself(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Other\n")
    assert processor(file) == "Some CPU @ 2 GHz"
    assert processor(tmp_path / "none") != "Some CPU @ 2 GHz"


def test_data_are_known_by_their_content(tmp_path):
    def load(name, x):
        path = tmp_path / name
        np.savez(path, x=x, y=np.arange(8.0).reshape(4, 2))
        return digests(catalogue.load(str(path), points=4), path)

    x = np.random.default_rng(0).standard_normal((4, 3))
    one, same, other = (
        load("one.npz", x),
        load("same.npz", x),
        load("one.npz", x + 1e-16 + x * 1e-9),
    )
    assert one == same
    assert set(one) == {"points", "file"}
    assert one["points"] != other["points"]
    assert one["file"] != other["file"]


WRONG = {
    "versions": [3, [], {"jax": 3}], "device": [3], "seconds": ["long", True],
    "git_revision": [3], "tree_is_clean": ["yes"], "libraries": ["openblas", [3]],
    "switches": [[]], "data": ["x"], "cores": ["two"], "date": [2026],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in WRONG.items() for v in vs])
def test_what_is_of_another_kind_is_refused(here, name, value):
    stored = json.loads(json.dumps(here.as_json()))
    with pytest.raises(ValueError, match=f"an environment whose {name} is"):
        Environment.from_json(stored | {name: value})


@pytest.mark.parametrize(
    "path", sorted(FIGURES.rglob("report.json")), ids=lambda path: path.parent.name
)
def test_reports_of_before_can_be_read(path):
    stored = json.loads(path.read_text())["environment"]
    found = Environment.from_json(stored)
    assert found.versions == stored["versions"]
    assert found.git_revision == stored["git_revision"]
