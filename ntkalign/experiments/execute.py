"""Training what a plan asks for, so that nothing is trained twice and nothing is lost.

Every run has a checkpoint under a name that is made of all that decides its numbers: its settings,
its points, the code. A run that was interrupted goes on from it; one that is finished is read from
it; one that is asked for more epochs goes on where it ended. By a rule of the user's own, whose
code is not known, every command trains anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import jax

from ntkalign.data.decoded import Decoded
from ntkalign.data.imagenet import UnreadableImageError
from ntkalign.data.training_sets import Part, Points, TrainingSet
from ntkalign.experiments.plan import Item, Plan
from ntkalign.rules import RULES
from ntkalign.runs.fingerprint import DECIDING_TRAINING, computed_by
from ntkalign.training.feed import Feed, Fetched, batches_of_a_stretch, in_memory
from ntkalign.training.trainer import History, Keeping, Moment, Run, train

FAILED = "failed"
"""How the status of a run begins that could not be trained."""
CHECKPOINTS = "runs"
"""The folder of the checkpoints, in that of the results."""


@dataclass(frozen=True)
class Result:
    """A run that has ended.

    Attributes:
        item: what was trained.
        history: what it left behind.
        seconds: since the command began with it; what was read took next to none.
        reused: epochs that were trained by an earlier command.
    """

    item: Item
    history: History
    seconds: float
    reused: int


class StoppedError(Exception):
    """Somebody interrupted the command."""


Telling = Callable[[Item, Moment], None]


@dataclass(frozen=True)
class Executor:
    """How runs are trained.

    Args:
        folder: of the results.
        workers: runs side by side.
        fresh: whether what is stored is ignored.
        tell: called with progress, from any thread.
        begun: what this command has begun itself, which is not ignored.
    """

    folder: Path
    workers: int
    fresh: bool
    tell: Telling
    begun: set[Path] = field(default_factory=set)

    def run(self, plan: Plan) -> Generator[Result, None, None]:
        """Train all of a plan.

        Args:
            plan: the runs.

        Yields:
            Results, as runs end. Whoever stops listening stops the others, whose places are
            written down.
        """
        points, batch = plan.points, plan.items[0].run.order.batch
        data, context = digest(points), computed_by(DECIDING_TRAINING)
        training, test = (feeding(part, batch) for part in (points.train, points.test))
        stop = Event()

        def one(item: Item) -> Result:
            path = self.folder / CHECKPOINTS / f"{name_of(item.run, data, context)}.npz"
            return self._train(item, (training(item.run.seed), test(item.run.seed)), path, stop)

        with ThreadPoolExecutor(self.workers) as pool:
            waiting = [pool.submit(one, item) for item in plan.items]
            try:
                for done in as_completed(waiting):
                    yield done.result()
            finally:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)

    def _train(self, item: Item, feeds: tuple[Feed, Feed], path: Path, stop: Event) -> Result:
        if stop.is_set():
            raise StoppedError
        began, reused, done = time.monotonic(), 0, 0
        own = not RULES.is_built_in(RULES[item.rule])  # its code is not in the name of the run
        if (self.fresh or own) and path not in self.begun:
            path.unlink(missing_ok=True)
        self.begun.add(path)

        def tell(moment: Moment) -> None:
            nonlocal done
            done = moment.epoch - (moment.step < moment.steps)
            if stop.is_set():
                raise StoppedError
            self.tell(item, moment)

        def found(epochs: int) -> None:
            nonlocal reused, done
            reused = done = epochs

        try:
            history, _ = train(item.run, *feeds, Keeping(path, found=found), tell)
        except (MemoryError, jax.errors.JaxRuntimeError) as error:  # the others go on
            text = str(error).splitlines()[0] if str(error) else "out of memory"
            history = History(status=f"{FAILED}: {text[:200]}")
        except UnreadableImageError as error:  # the place is written down: epochs are read from it
            history = History()
            if done:
                history, _ = train(replace(item.run, epochs=done), *feeds, Keeping(path))
            history.status = f"{FAILED}: {error}"
        return Result(item, history, time.monotonic() - began, reused)


def feeding(points: Points, batch: int) -> Callable[[int], Feed]:
    """``seed -> feed``: the same one for all seeds where the points do not depend on it."""
    if isinstance(points, Part):
        feed = in_memory(points.x, points.y, batch)
        return lambda seed: feed
    assert isinstance(points, Decoded)
    batches = batches_of_a_stretch(batch, points.point_bytes)
    return lambda seed: Fetched(partial(points.fetch, seed), batches, os.cpu_count() or 1)


def distinct(plans: Sequence[Plan]) -> list[Item]:
    """The runs of several plans, each once: of those that differ in epochs only, the longest."""
    found: dict[str, Item] = {}
    names = {
        id(points): digest(points) for points in {id(p.points): p.points for p in plans}.values()
    }
    for plan in plans:
        data = names[id(plan.points)]
        for item in plan.items:
            name = name_of(item.run, data, {})
            if name not in found or found[name].run.epochs < item.run.epochs:
                found[name] = item
    return list(found.values())


def digest(points: TrainingSet) -> str:
    """A name for the points of a set."""
    found = hashlib.sha256()
    for part in (points.train, points.test):
        for piece in part.identity():
            found.update(piece)
    return found.hexdigest()


def name_of(run: Run, data: str, context: dict[str, Any]) -> str:
    """A name for a run's numbers, whatever the number of its epochs, and what is told of them.

    Args:
        run: all that decides them, but for the points.
        data: the name of the points.
        context: what computes.

    Returns:
        20 hexadecimal digits.
    """
    settings = as_plain(run)
    for told in ("epochs", "scored"):
        del settings[told]
    text = json.dumps([settings, data, context], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def as_plain(thing: Any) -> Any:
    """A setting as plain values: a dataclass by its fields, a function by its name."""
    if is_dataclass(thing) and not isinstance(thing, type):
        own = {f.name: as_plain(getattr(thing, f.name)) for f in fields(thing)}
        return {"kind": type(thing).__name__} | own
    if isinstance(thing, Enum):
        return thing.value
    if isinstance(thing, tuple | list):
        return [as_plain(item) for item in thing]
    if callable(thing):
        return f"{thing.__module__}.{thing.__qualname__}"
    return thing
