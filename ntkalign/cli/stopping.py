"""Ending a command at once, and in order, when it is stopped (SIGINT, SIGTERM, SIGHUP).

Python tells the main thread of a signal when that comes back from whatever it is in, which may be
minutes of a compilation. So a thread of its own hears of each signal at once: it has the last words
of the run said (:mod:`ntkalign.runs.last_words`) while ``KeyboardInterrupt`` unwinds the main
thread, prints one line, and ends the process within two seconds, whatever is still computing. That
is safe because what is on the disk is whole at every instant.

Nothing here imports anything that takes time: signals are heard from the first moment on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType, TracebackType

from ntkalign import files
from ntkalign.runs.last_words import saying

GRACE = 0.8
"""Seconds in which the main thread may end by itself; it is then ended."""
DEADLINE = 1.6
"""Seconds after which nothing is waited for."""
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
REASON = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
KEPT = "finished networks are kept, run again to go on"

_heard: list[signal.Signals] = []


def stopped() -> bool:
    """Whether this process is being ended."""
    return bool(_heard)


def told(program: str, reason: str, words: list[str]) -> str:
    """The line that a stopped command ends with.

    Args:
        program: what was stopped.
        reason: in one word.
        words: the last ones of its runs.

    Returns:
        One line.
    """
    return f"{program}: {reason}; {'; '.join(words) or KEPT}"


class Stopping:
    """While this is open, a signal ends the process. It is for processes of our own.

    Args:
        program: what the line says was stopped.
    """

    def __init__(self, program: str):
        self._program = program
        self._unwound = threading.Event()
        self._own: list[signal.Signals] = []

    def __enter__(self) -> None:
        """Listen; what was ignored before (``nohup``, a shell's background) still is."""
        self._ear, mouth = socket.socketpair()
        mouth.setblocking(False)
        self._mouth = mouth
        signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, name="stopping", daemon=True).start()
        for number in STATUS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _unwind)
                self._own.append(number)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The command is over: from here on nothing stops it, and it ends with its own status."""
        with contextlib.suppress(KeyboardInterrupt):
            for number in self._own:
                signal.signal(number, signal.SIG_IGN)
        if _heard:
            self._unwound.set()
            _wait()

    def _listen(self) -> None:
        number = next(n for n in iter(lambda: self._ear.recv(1)[0], None) if n in STATUS)
        heard = signal.Signals(number)
        _heard.append(heard)
        deadline = time.monotonic() + DEADLINE
        words: list[str] = []
        speaker = threading.Thread(target=lambda: words.extend(saying()), daemon=True)
        speaker.start()
        self._unwound.wait(GRACE)
        speaker.join(max(0.0, deadline - time.monotonic()))
        if speaker.is_alive() and not words:
            words = [f"{KEPT}; there was no time for a report"]
        files.abandon()
        _print(told(self._program, REASON[heard], words))
        os._exit(STATUS[heard])


def _unwind(number: int, frame: FrameType | None) -> None:
    """In the main thread: end, once; what is destroyed on the way has nothing to say."""
    first = sys.unraisablehook is not _silent
    sys.unraisablehook = threading.excepthook = _silent
    sys.excepthook = _wait
    _heard.append(signal.Signals(number))
    if first:
        raise KeyboardInterrupt


def _silent(*args: object) -> None:
    """Nothing."""


def _wait(*args: object) -> None:
    """Nothing more happens here: a signal that came while listening began, or ended, went past it.

    The other thread ends the process.
    """
    threading.Event().wait()


def _print(line: str) -> None:
    """On standard error, whoever else is in the middle of printing."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode(encoding, "backslashreplace"))
