"""Files that are there in whole or not at all: the one way in which this package writes any.

A file is written under a name that nobody can guess, beside the place where it belongs, and is
moved there when all of it is on the disk. So whoever is killed, or finds the disk full, leaves what
was there before; and a link that lies in the place of a file is replaced, never followed.

A process holds a lock on what it has not finished. What bears such a name and is held by nobody is
left over from a process that was killed; the next who writes into that folder removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Content = bytes | memoryview | str
"""Of a file; text is written as UTF-8."""

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}\.part")
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC
_of_this_process: set[Path] = set()


class CannotWriteError(OSError):
    """A file could not be written; what was there before is as it was."""

    def __init__(self, path: Path, error: OSError):
        reason = error.strerror or str(error)
        super().__init__(error.errno or errno.EIO, reason, str(path))

    def __reduce__(self) -> tuple[Any, ...]:
        """From a worker to the process that commands it, it travels as what it was made of."""
        return type(self), (Path(self.filename), OSError(self.errno, self.strerror))

    def __str__(self) -> str:
        return (
            f"{self.filename} cannot be written ({self.strerror}); what was there before is as it "
            "was; make room, or choose another folder, and run again"
        )


def write(path: Path, content: Content) -> None:
    """Write a file in the place of an older one.

    Args:
        path: where it belongs; folders that are not there are made.
        content: all of it.

    Raises:
        CannotWriteError: if it cannot be written; the older one is as it was.
    """
    write_together({path: content})


def write_together(contents: Mapping[Path, Content]) -> None:
    """Write files that belong together: all are on the disk before the first takes its place.

    Args:
        contents: of each file by its path. They take their places in this order, at once, but a
            process can be killed between two: the last should be the one that names the others.

    Raises:
        CannotWriteError: if one cannot be written; the older ones are as they were.
    """
    unfinished: dict[Path, tuple[Path, int]] = {}
    folders = dict.fromkeys(path.parent for path in contents)
    try:
        for path in folders:
            path.mkdir(parents=True, exist_ok=True)
            remove_left_over(path)
        for path, content in contents.items():
            if path.is_dir() and not path.is_symlink():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            unfinished[path] = _begin(path)
            _fill(unfinished[path][1], content.encode() if isinstance(content, str) else content)
        for path, (part, _) in unfinished.items():
            part.replace(path)
            _of_this_process.discard(part)
    except OSError as error:
        raise CannotWriteError(path, error) from error
    finally:
        for part, descriptor in unfinished.values():
            _remove(part)
            os.close(descriptor)
    for folder in folders:
        _settle(folder)


def remove_left_over(folder: Path) -> None:
    """Remove what processes that were killed have left of files in a folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _UNFINISHED.fullmatch(entry.name):
                _remove_if_nobody_holds(Path(entry.path))


def abandon() -> None:
    """Remove what this process has not finished: the last thing that it does before it ends."""
    for part in tuple(_of_this_process):
        _remove(part)


def _begin(path: Path) -> tuple[Path, int]:
    """A new file beside the place, held by this process; its path and what it is written by."""
    while True:
        part = path.with_name(f".{path.name[:180]}.{secrets.token_hex(16)}.part")
        _of_this_process.add(part)
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o666)
        except FileExistsError:
            continue
        except BaseException:
            _of_this_process.discard(part)
            raise
        with contextlib.suppress(OSError):  # a file system without locks: nothing is ever removed
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # waits for one who removes it, at most
        if os.fstat(descriptor).st_nlink:
            return part, descriptor
        os.close(descriptor)  # taken for left over, just before it was held
        _of_this_process.discard(part)


def _fill(descriptor: int, content: bytes | memoryview) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _settle(folder: Path) -> None:
    """Let the names in a folder outlast a loss of power, where that can be asked for."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_if_nobody_holds(part: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(part, os.O_RDONLY | _OPEN)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()
        finally:
            os.close(descriptor)


def _remove(part: Path) -> None:
    """Remove what is not finished; what has taken its place is not there any more."""
    if part in _of_this_process:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        _of_this_process.discard(part)
