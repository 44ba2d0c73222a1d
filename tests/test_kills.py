"""A short run of the harness that kills commands: ``make test-kills`` is the long one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kills import Command, Found, judge

ROOT = Path(__file__).parents[1]


def test_a_sweep_that_is_killed_goes_on_and_loses_only_what_was_in_flight():
    words = ["verify", "--made-up", "--kills", "3", "--seed", "5"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.kills", *words], cwd=ROOT, capture_output=True, text=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, found["wrong"], found["kills"]) == (0, [], 3)


def folder(place, name, events, rows=("8,0.5",), more=()):
    """A folder as a command leaves it, and what it wrote down."""
    command = Command((), place / name)
    command.folder.mkdir()
    table = "\n".join(["width,value", *rows])
    for path, text in [("measurements.csv", table), *((name, "") for name in more)]:
        (command.folder / path).write_text(text)
    command.log.write_text("".join(f"{event}\n" for event in events))
    return command


WHOLE = ["begun a", "stored a", "begun b", "stored b", "begun c", "begun d", "stored c", "stored d"]


@pytest.mark.parametrize(
    ("what", "events", "more"),
    [
        ("done twice", ["begun a", "stored a", "kill .", *WHOLE], {}),
        ("3 lost at once", ["begun a", "begun b", "begun c", "kill .", *WHOLE], {}),
        ("began", WHOLE[:-3], {}),
        ("measurements.csv differs", WHOLE, {"rows": ("8,0.5000000000000001",)}),
        ("left {'x.part'}", WHOLE, {"more": ("x.part",)}),
    ],
)
def test_the_harness_finds_each_fault(what, events, more, tmp_path):
    unbroken, found = folder(tmp_path, "unbroken", WHOLE), Found()
    judge(folder(tmp_path, "killed", events, **more), unbroken, found)
    assert any(what in wrong for wrong in found.wrong)


def test_what_was_in_flight_may_be_lost_and_is_counted(tmp_path):
    unbroken, found = folder(tmp_path, "unbroken", WHOLE), Found()
    lives = ["begun a", "begun b", "stored b", "kill .", "begun a", "stored a", *WHOLE[4:]]
    judge(folder(tmp_path, "killed", lives), unbroken, found)
    assert (found.wrong, found.lost) == ([], 1)
