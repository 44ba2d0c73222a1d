"""The points of a plan, wherever its runs are trained: read there once, and sent with none of them.

The process that plans has read the points. A run that travels to another process takes along where
they come from; what unpacks it there reads them, sees whether they are the same, and keeps them for
the runs of the same plan that come after it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any

from ntkalign.data.decoded import Decoded
from ntkalign.data.training_sets import Part, Points, TrainingSet
from ntkalign.errors import InputError
from ntkalign.experiments.task import Task
from ntkalign.training.feed import Feed, Fetched, batches_of_a_stretch, in_memory

_reading = Lock()


@dataclass(frozen=True)
class Origin:
    """Where points come from.

    Attributes:
        task: whose they are.
        folder: where images lie, themselves or in a folder of the set's name.
        train: so many are trained on; all if None.
        test: so many are measured on; the paper's number if None.
        precision: of the numbers.
        cut: whether no more of them are measured on than are trained on.
    """

    task: Task
    folder: Path | None
    train: int | None
    test: int | None
    precision: str
    cut: bool = False

    def read(self) -> TrainingSet:
        """Read them.

        Returns:
            Both parts.

        Raises:
            InputError: if there are none, or fewer than asked for.
        """
        points = self.task.load(self.folder, self.train, self.test, self.precision)
        return points.cut() if self.cut else points


class Supply:
    """What feeds the runs of a plan. In another process it arrives as that process's own.

    Args:
        origin: of the points.
        points: those that were read from there.
        batch: points of a minibatch.

    Attributes:
        digest: the name of the points.
    """

    def __init__(self, origin: Origin, points: TrainingSet, batch: int):
        self.digest = digest(points)
        self._origin, self._batch = origin, batch
        self._train, self._test = (feeding(part, batch) for part in (points.train, points.test))

    def feeds(self, seed: int) -> tuple[Feed, Feed]:
        """The points that a run of this seed is trained on, and those that it is measured on."""
        return self._train(seed), self._test(seed)

    def __reduce__(self) -> tuple[Any, ...]:
        folder = self._origin.folder
        origin = replace(self._origin, folder=folder and folder.absolute())
        return _here, (origin, self._batch, self.digest)


def _here(origin: Origin, batch: int, name: str) -> Supply:
    """What feeds runs in this process.

    Returns:
        The same for all runs of a plan.

    Raises:
        InputError: if they are not the same.
    """
    with _reading:
        supply = _read(origin, batch)
    if supply.digest != name:
        raise InputError(
            "data_dir", origin.folder, must="hold the same points for all workers",
            got="others on one of them", because="runs are kept by the name of their points",
            do="give all machines the same folder",
        )  # fmt: skip
    return supply


@lru_cache(maxsize=1)
def _read(origin: Origin, batch: int) -> Supply:
    return Supply(origin, origin.read(), batch)


def feeding(points: Points, batch: int) -> Callable[[int], Feed]:
    """``seed -> feed``: the same one for all seeds where the points do not depend on it."""
    if isinstance(points, Part):
        feed = in_memory(points.x, points.y, batch)
        return lambda seed: feed
    assert isinstance(points, Decoded)
    batches = batches_of_a_stretch(batch, points.point_bytes)
    return lambda seed: Fetched(partial(points.fetch, seed), batches, os.cpu_count() or 1)


def digest(points: TrainingSet) -> str:
    """A name for the points of a set."""
    found = hashlib.sha256()
    for part in (points.train, points.test):
        for piece in part.identity():
            found.update(piece)
    return found.hexdigest()
