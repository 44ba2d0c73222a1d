"""Points for an epoch: all of them on the device, or so many batches at a time.

Whoever trains asks for the steps of an epoch from some step on, and gets stretches: points on the
device, and which of them each step takes. Where all points fit there is one an epoch and they
are moved once; else one holds the points of the next few batches, gathered or decoded while
earlier ones are trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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


class Stretch(NamedTuple):
    """Some steps of an epoch, and their points."""

    first: int  # the step of the epoch that the first row belongs to
    points: Points
    order: Any  # numbers of points in ``points``, a row for each step


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

    def stretches(self, epoch: int, order: Order, first: int = 0) -> Iterator[Stretch]:
        """One stretch: the epoch, from its first step."""
        yield Stretch(0, self.points, jnp.asarray(order))


Fetch = Callable[[int, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Fetched:
    """Points that are fetched batch by batch, one stretch ahead.

    Args:
        fetch: ``(epoch, numbers) -> (x, y)`` of these points.
        batches: of a stretch.
    """

    fetch: Fetch
    batches: int

    def stretches(self, epoch: int, order: Order, first: int = 0) -> Iterator[Stretch]:
        """So many batches each."""
        starts = list(range(first, len(order), self.batches))

        def rows(start: int) -> Order:
            return order[start : start + self.batches]

        def get(start: int) -> tuple[np.ndarray, np.ndarray]:
            return self.fetch(epoch, rows(start).ravel())

        with ThreadPoolExecutor(1) as ahead:
            coming = [ahead.submit(get, start) for start in starts[:1]]
            for number, start in enumerate(starts):
                x, y = coming.pop().result()
                coming = [ahead.submit(get, later) for later in starts[number + 1 : number + 2]]
                local = np.arange(rows(start).size).reshape(rows(start).shape)
                # here and not ahead: that thread is not in the scope of this one's precision
                yield Stretch(start, Points(jnp.asarray(x), jnp.asarray(y)), jnp.asarray(local))


def in_memory(x: np.ndarray, y: np.ndarray, batch: int) -> Feed:
    """Points that are there: on the device if they fit, else so many batches at a time."""
    if x.nbytes + y.nbytes <= RESIDENT_BYTES:
        return Resident(x, y)
    batches = max(1, STRETCH_BYTES // (batch * (x[:1].nbytes + y[:1].nbytes)))
    return Fetched(lambda epoch, rows: (x[rows], y[rows]), batches)
