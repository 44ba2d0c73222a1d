"""What a run says before it is stopped: its last words, said once, by whoever comes first.

A run that is stopped is either unwound by ``KeyboardInterrupt``, and says them on its way; or it is
in the middle of something that no exception reaches (a compilation, a product of large matrices),
and another thread says them for it before the process ends (:mod:`ntkalign.cli.stopping`).

    with last_words(write_what_is_finished):
        ...  # the run
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock

Saying = Callable[[], str]
"""Does what has to be done, quickly, from any thread; returns what to tell, or nothing."""


class LastWords:
    """Of one run.

    Args:
        saying: what is done, once.
    """

    def __init__(self, saying: Saying):
        self._saying = saying
        self._lock = Lock()
        self._said: str | None = None

    def say(self) -> str:
        """Do it, or wait for whoever is doing it.

        Returns:
            What to tell; what went wrong, if something did: the process ends all the same.
        """
        with self._lock:
            if self._said is None:
                try:
                    self._said = self._saying()
                except Exception as error:
                    self._said = " ".join(f"{type(error).__name__}: {error}".split())
            return self._said


_of_runs: list[LastWords] = []


@contextmanager
def last_words(saying: Saying) -> Iterator[None]:
    """While this is open, whoever stops the run has these words said.

    Args:
        saying: what is done then.

    Yields:
        Nothing.
    """
    words = LastWords(saying)
    _of_runs.append(words)
    try:
        yield
    except KeyboardInterrupt:
        words.say()  # and whoever ends the command takes what was said
        raise
    except BaseException:
        _forget(words)
        raise
    _forget(words)


def saying() -> Iterator[str]:
    """Have all last words said, those of the innermost first, and forget them.

    Yields:
        What each tells, as soon as it is said.
    """
    while _of_runs:
        words = _of_runs[-1]
        text = words.say()
        _forget(words)
        if text:
            yield text


def say_all() -> list[str]:
    """The same, all at once."""
    return list(saying())


def _forget(words: LastWords) -> None:
    with suppress(ValueError):  # somebody else did
        _of_runs.remove(words)
