"""One run at a time holds a folder, and no run that has died does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from ntkalign import InputError
from ntkalign.files import CannotWriteError
from ntkalign.runs import hold
from ntkalign.runs.hold import HELD, Hold

HOLDER = """
import sys
from pathlib import Path
from ntkalign.runs.hold import Hold
hold = Hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_run_is_told_who_holds_it_until_that_one_is_killed(tmp_path, holder):
    with pytest.raises(InputError) as raised:
        Hold(tmp_path)
    assert str(raised.value).startswith(
        f"out ({tmp_path}) must be written by one run at a time; got one that process "
        f"{holder.pid}, since 2"
    )
    assert "UTC writes into; because two runs" in str(raised.value)
    holder.send_signal(signal.SIGKILL)
    holder.wait(timeout=60)
    assert (tmp_path / HELD).exists()  # it had no time to tidy
    with Hold(tmp_path):
        assert f"process {os.getpid()}," in (tmp_path / HELD).read_text()
    assert not list(tmp_path.iterdir())


def test_this_process_too_holds_it_once(tmp_path):
    first = Hold(tmp_path)
    with pytest.raises(InputError, match=rf"one that process {os.getpid()}, since"):
        Hold(tmp_path)
    first.release()
    first.release()
    with Hold(tmp_path):  # the control
        pass


def test_folders_that_were_made_and_are_empty_are_removed(tmp_path):
    folder = tmp_path / "a" / "b"
    with Hold(folder):
        assert folder.is_dir()
    assert not list(tmp_path.iterdir())
    with Hold(folder):
        (folder / "result").write_text("")
    assert [path.name for path in folder.iterdir()] == ["result"]


def test_one_that_lets_go_while_another_opens_its_file_is_waited_for(tmp_path, monkeypatch):
    lock, calls = hold.fcntl.flock, []

    def late(descriptor, how):
        calls.append(how)
        if len(calls) == 1:  # the holder removes the file just now
            (tmp_path / HELD).unlink()
        return lock(descriptor, how)

    monkeypatch.setattr(hold.fcntl, "flock", late)
    with Hold(tmp_path), pytest.raises(InputError, match="one run at a time"):
        Hold(tmp_path)


def test_a_link_is_not_followed_and_a_file_is_no_folder(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / HELD).symlink_to(precious)
    with pytest.raises(CannotWriteError, match="cannot be written"):
        Hold(tmp_path)
    assert precious.read_text() == "precious"
    for path in (precious, precious / "below"):
        with pytest.raises(CannotWriteError, match="cannot be written"):
            Hold(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", HELD]


def test_what_killed_runs_left_is_removed(tmp_path):
    left = tmp_path / f".report.json.{'0' * 32}.part"
    left.write_text("")
    with Hold(tmp_path):
        assert not left.exists()


def test_a_system_without_locks_takes_runs_at_their_word(tmp_path, monkeypatch):
    def unsupported(descriptor, how):
        raise OSError("no locks here")

    monkeypatch.setattr(hold.fcntl, "flock", unsupported)
    with Hold(tmp_path):
        assert (tmp_path / HELD).exists()
