"""Points for an epoch: all of them on the device, or so many batches at a time.

Whoever trains asks for the steps of an epoch from some step on, and gets stretches: points on the
device, and which of them each step takes. Where all points fit there is one an epoch and they
are moved once; else one holds the points of the next few batches, gathered or decoded, by several
threads if that takes long, while earlier ones are trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np

from ntkalign.data.batches import Order
from ntkalign.training.loop import Points

RESIDENT_BYTES = 2**31
"""Points that take no more are kept on the device."""
STRETCH_BYTES = 2**28
"""Points of a stretch where they do not."""
PIECES = 4
"""Of a stretch, for each of several threads: few enough to cost nothing, enough to end together."""


class Stretch(NamedTuple):
    """Some steps of an epoch, and their points."""

    first: int  # the step of the epoch that the first row belongs to
    points: Points
    order: Any  # numbers of points in ``points``, a row for each step


Stretches = Generator[Stretch, None, None]


@runtime_checkable
class Feed(Protocol):
    """Where points come from."""

    def stretches(self, epoch: int, order: Order, first: int = 0) -> Iterator[Stretch]:
        """The steps of an epoch from ``first`` on."""
        ...


@dataclass(frozen=True, eq=False)
class Resident:
    """All points on the device.

    Args:
        x: inputs, (n, …).
        y: targets, (n, …).
    """

    x: np.ndarray
    y: np.ndarray

    @cached_property
    def points(self) -> Points:
        """On the device, once."""
        return Points(jnp.asarray(self.x), jnp.asarray(self.y))

    def stretches(self, epoch: int, order: Order, first: int = 0) -> Stretches:
        """One stretch: the epoch, from its first step."""
        yield Stretch(0, self.points, jnp.asarray(order))


Fetch = Callable[[int, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Fetched:
    """Points that are fetched batch by batch, one stretch ahead.

    Args:
        fetch: ``(epoch, numbers) -> (x, y)`` of these points.
        batches: of a stretch.
        threads: that fetch, a piece of a stretch each.
    """

    fetch: Fetch
    batches: int
    threads: int = 1

    def stretches(self, epoch: int, order: Order, first: int = 0) -> Stretches:
        """So many batches each; no thread is left when they end, however they do."""
        # The first may begin before ``first``: stretches are the same wherever an epoch is begun,
        # since a program that is compiled for others would round otherwise.
        begins = first // self.batches * self.batches if first < len(order) else len(order)
        starts = range(begins, len(order), self.batches)
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="points")

        def rows(start: int) -> Order:
            return order[start : start + self.batches]

        def begin(start: int) -> list[Future[Any]]:
            numbers = rows(start).ravel()
            many = 1 if self.threads == 1 else min(len(numbers), PIECES * self.threads)
            pieces = np.array_split(numbers, many)
            return [pool.submit(self.fetch, epoch, piece) for piece in pieces]

        try:
            coming = [begin(start) for start in starts[:1]]
            for number, start in enumerate(starts):
                pieces = [piece.result() for piece in coming.pop()]
                coming = [begin(later) for later in starts[number + 1 : number + 2]]
                local = np.arange(rows(start).size).reshape(rows(start).shape)
                # here and not ahead: those threads are not in the scope of this one's precision
                x, y = (jnp.asarray(_joined(parts)) for parts in zip(*pieces, strict=True))
                del pieces
                yield Stretch(start, Points(x, y), jnp.asarray(local))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _joined(parts: tuple[np.ndarray, ...]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def in_memory(x: np.ndarray, y: np.ndarray, batch: int) -> Feed:
    """Points that are there: on the device if they fit, else so many batches at a time."""
    if x.nbytes + y.nbytes <= RESIDENT_BYTES:
        return Resident(x, y)
    batches = batches_of_a_stretch(batch, x[:1].nbytes + y[:1].nbytes)
    return Fetched(lambda epoch, rows: (x[rows], y[rows]), batches)


def batches_of_a_stretch(batch: int, point_bytes: int) -> int:
    """How many there are, one at least, of so many points of so many bytes each."""
    return max(1, STRETCH_BYTES // (batch * point_bytes))
