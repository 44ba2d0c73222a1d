"""A file is there in whole or not at all, and what a killed process left goes with the next."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import stat
import subprocess
import sys

import pytest

from ntkalign import files
from ntkalign.files import CannotWriteError, abandon, remove_left_over, write, write_together


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_there_and_nothing_else(tmp_path):
    path = tmp_path / "folders" / "that are not there" / "é.txt"
    for content in ("first é", b"\xff\0" * 100_000, ""):
        write(path, content)
        expected = content.encode() if isinstance(content, str) else content
        assert path.read_bytes() == expected
        assert names(path.parent) == [path.name]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask  # as any other file of this user


def test_a_link_in_the_place_of_a_file_is_replaced_and_never_followed(tmp_path):
    precious, place = tmp_path / "precious", tmp_path / "report.json"
    precious.write_text("precious")
    for target in (precious, tmp_path / "nothing", tmp_path):
        place.unlink(missing_ok=True)
        place.symlink_to(target)
        write(place, "new")
        assert (place.read_text(), place.is_symlink()) == ("new", False)
    assert precious.read_text() == "precious"
    place.unlink()
    place.symlink_to(precious)
    place.write_text("new")  # the control
    assert precious.read_text() == "new"


FAILURES = [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt(), MemoryError()]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_failure_while_writing_leaves_all_older_ones(tmp_path, monkeypatch, error, at):
    paths = [tmp_path / "one", tmp_path / "sub" / "two", tmp_path / "three"]
    write_together(dict.fromkeys(paths, "old"))
    calls, write_some = [], os.write

    def fail(descriptor, content):
        calls.append(content)
        if len(calls) == at + 1:
            write_some(descriptor, content[:1])
            raise error
        return write_some(descriptor, content)

    monkeypatch.setattr(files.os, "write", fail)
    kind = CannotWriteError if isinstance(error, OSError) else type(error)
    with pytest.raises(kind) as raised:
        write_together(dict.fromkeys(paths, "new"))
    if kind is CannotWriteError:
        assert str(raised.value) == (
            f"{paths[at]} cannot be written (No space left on device); what was there before is "
            "as it was; make room, or choose another folder, and run again"
        )
        assert raised.value.errno == errno.ENOSPC
    assert [path.read_text() for path in paths] == ["old"] * 3
    assert names(tmp_path) == ["one", "sub", "three"]
    assert names(tmp_path / "sub") == ["two"]
    monkeypatch.undo()
    write_together(dict.fromkeys(paths, "new"))
    assert [path.read_text() for path in paths] == ["new"] * 3


def test_a_short_write_is_gone_on_with(tmp_path, monkeypatch):
    write_some = os.write
    monkeypatch.setattr(files.os, "write", lambda d, content: write_some(d, content[:3]))
    write(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_folder_in_the_place_of_a_file_or_a_file_in_that_of_a_folder_is_said(tmp_path):
    (tmp_path / "folder").mkdir()
    write(tmp_path / "other", "old")
    with pytest.raises(CannotWriteError, match=r"folder cannot be written \(Is a directory\)"):
        write_together({tmp_path / "other": "new", tmp_path / "folder": ""})
    assert (tmp_path / "other").read_text() == "old"
    with pytest.raises(CannotWriteError, match=r"other cannot be written \(File exists\)"):
        write(tmp_path / "other" / "file", "")
    assert names(tmp_path) == ["folder", "other"]


KILLED = """
import os, signal, sys
from pathlib import Path
from ntkalign import files
files.os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
files.write(Path(sys.argv[1]), "new")
"""


def test_what_could_not_be_written_is_told_by_a_worker_as_it_is(tmp_path):
    """An error that does not travel would end as a traceback in the process that commands."""
    error = CannotWriteError(tmp_path / "x", OSError(errno.ENOSPC, "No space left on device"))
    told = pickle.loads(pickle.dumps(error))
    assert type(told) is CannotWriteError
    assert (told.errno, told.filename, str(told)) == (errno.ENOSPC, error.filename, str(error))


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "file"
    write(path, "old")
    done = subprocess.run([sys.executable, "-c", KILLED, path], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 2  # the control: it does leave one
    assert path.read_text() == "old"
    write(tmp_path / "another", "")
    assert names(tmp_path) == ["another", "file"]


def test_what_somebody_is_writing_is_not_removed_and_neither_are_other_files(tmp_path):
    part, descriptor = files._begin(tmp_path / "file")
    (tmp_path / ".mine.part").write_text("")
    linked = tmp_path / f".link.{'0' * 32}.part"
    linked.symlink_to(tmp_path / ".mine.part")
    remove_left_over(tmp_path)
    assert part.exists()
    assert {".mine.part", linked.name} < set(names(tmp_path))
    os.close(descriptor)  # as when its process ends
    remove_left_over(tmp_path)
    assert not part.exists()
    files._of_this_process.discard(part)


def test_a_process_that_ends_removes_its_own(tmp_path):
    part, descriptor = files._begin(tmp_path / "file")
    abandon()
    assert names(tmp_path) == []
    os.close(descriptor)
    assert part not in files._of_this_process


def test_one_that_was_taken_for_left_over_is_begun_again(tmp_path, monkeypatch):
    lock, calls = files.fcntl.flock, []

    def late(descriptor, how):
        calls.append(how)
        if len(calls) == 1:
            for path in tmp_path.iterdir():
                path.unlink()
        return lock(descriptor, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    write(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
    assert len(calls) == 2
