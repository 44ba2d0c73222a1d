"""Compiled programs are forgotten when they have become many: they are what makes a long run grow.

JAX keeps every program that it has compiled, one for each shape, and each holds one to two MiB. A
sweep compiles some two hundred for its first network of an architecture; further networks add a few
now and then (another number of nodes in time, another rank), and another architecture adds as many
again. So whoever does many jobs in one process calls :func:`tidy` after each:

    rows = measure(network)
    tidy()

It forgets all programs of the process, also those of others, which are compiled again when they are
needed; numbers do not change. That is done only if many were compiled, and not again before many
jobs have been done, so that what is compiled twice stays a small part of the work.
"""

from __future__ import annotations

import ctypes
from threading import Lock

import jax
import jax.monitoring

MANY = 250
"""Programs, of one to two MiB each."""
SELDOM = 50
"""Jobs that are done at least before programs are forgotten again."""

_COMPILED = "/jax/core/compile/backend_compile_duration"


class Programs:
    """Counts the programs that this process compiles, from the first use on."""

    def __init__(self) -> None:
        self.compiled = self.jobs = 0
        self._listening = False
        self._lock = Lock()

    def tidy(self) -> bool:
        """Hand freed memory back, and forget all programs if they have become many.

        Returns:
            Whether they were.
        """
        with self._lock:
            if not self._listening:
                jax.monitoring.register_event_duration_secs_listener(self._notice)
                self._listening = True
            self.jobs += 1
            hand_back()
            if self.compiled <= MANY or self.jobs < SELDOM:
                return False
            self.compiled = self.jobs = 0
        forget()
        return True

    def _notice(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        self.compiled += event == _COMPILED


def forget() -> None:
    """Forget all programs now, and hand the freed memory back."""
    jax.clear_caches()  # type: ignore[no-untyped-call]
    hand_back()


def hand_back() -> None:
    """Hand freed memory back to the system: the C library would keep most of it."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


tidy = Programs().tidy
"""Called after a job; see above."""
