"""One run at a time writes into a folder; the system lets go of it, however that run ends.

Whoever holds a folder has a lock on a small file there, which says who that is. The file is removed
at the end; one that a killed run has left is held by nobody, and the next run takes it.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
from pathlib import Path
from types import TracebackType

from ntkalign.errors import InputError
from ntkalign.files import CannotWriteError, remove_left_over

HELD = "run.lock"
"""The file's name."""


class Hold:
    """A folder that nobody else writes into. A context manager, which lets go at its end.

    Args:
        folder: is made if it is not there; one that was made and is empty in the end is removed.
            What killed runs have left of unfinished files in it is removed.

    Raises:
        InputError: if another run holds it; says which.
        CannotWriteError: if it cannot be written.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._made = [p for p in (folder, *folder.parents) if not p.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = self._take()
            remove_left_over(folder)
        except OSError as error:
            self._remove_made()
            raise CannotWriteError(folder, error) from error

    def _take(self) -> int:
        path, flags = self.folder / HELD, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        while True:
            descriptor = os.open(path, flags, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                who = os.read(descriptor, 200).decode(errors="replace").strip()
                os.close(descriptor)
                raise _held(self.folder, who or "another process") from None
            except OSError:
                pass  # a file system without locks: runs are on their word there
            if os.fstat(descriptor).st_nlink:
                break
            os.close(descriptor)  # its holder has let go, and removed it, since it was opened
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()}, since {now}\n".encode())
        return descriptor

    def release(self) -> None:
        """Let go of it. Idempotent."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                (self.folder / HELD).unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1
            self._remove_made()

    def _remove_made(self) -> None:
        with contextlib.suppress(OSError):  # the first that is not empty, or not there
            for path in self._made:
                path.rmdir()

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _held(folder: Path, who: str) -> InputError:
    return InputError(
        "out", folder, must="be written by one run at a time", got=f"one that {who} writes into",
        because="two runs would do the same work twice",
        do="wait for that run or end it, or choose another folder",
    )  # fmt: skip
