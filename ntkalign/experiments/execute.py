"""Training what a plan asks for, so that nothing is trained twice and nothing is lost.

Every run has a checkpoint under a name that is made of all that decides its numbers: its settings,
its points, the code. A run that was interrupted goes on from it; one that is finished is read from
it; one that is asked for more epochs goes on where it ended. By a rule of the user's own, whose
code is not known, every command trains anew.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from ntkalign.experiments.plan import Item, Plan
from ntkalign.experiments.supply import Supply, digest
from ntkalign.experiments.work import FAILED, Heard, Outcome, Training
from ntkalign.files import write
from ntkalign.rules import RULES
from ntkalign.runs.fingerprint import DECIDING_TRAINING
from ntkalign.runs.schedulers.base import Cost, Done, Job, Scheduler
from ntkalign.training.trainer import History, Moment, Run

CHECKPOINTS = "runs"
"""The folder of the checkpoints, in that of the results."""
AWAITED = "awaited-"
"""How the file there is called that says that somebody waits for runs."""


@dataclass(frozen=True)
class Result:
    """A run that has ended.

    Attributes:
        item: what was trained.
        history: what it left behind.
        seconds: since a worker began with it; what was read took next to none.
        reused: epochs that were trained by an earlier command, or before its worker died.
    """

    item: Item
    history: History
    seconds: float
    reused: int


Telling = Callable[[Item, Moment], None]


def quiet(item: Item, moment: Moment) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Executor:
    """How runs are trained. There is one for a folder at a time.

    Args:
        folder: of the results; all workers see it under this path.
        scheduler: what trains.
        fresh: whether what is stored is ignored.
        tell: called with progress, from any thread, for runs that are trained in this process.
        begun: what this command has begun itself, which is not ignored.
    """

    folder: Path
    scheduler: Scheduler
    fresh: bool = False
    tell: Telling = quiet
    begun: set[Path] = field(default_factory=set)

    def run(self, plan: Plan) -> Generator[Result, None, None]:
        """Train all of a plan, the longest runs first.

        Args:
            plan: the runs.

        Yields:
            Results, as runs end. Whoever stops listening stops the others. Those in threads, and
            those of a cluster, write their place down; those in processes are killed, and lose what
            came after the last place that was written down, an epoch at most as a rule.

        Raises:
            SchedulerLostError: if what trains is gone; checkpoints are kept.
        """
        folder = self.folder.absolute() / CHECKPOINTS
        context = self.scheduler.context(DECIDING_TRAINING)
        supply = Supply(plan.origin, plan.points, plan.items[0].run.order.batch)
        awaited = _awaited(folder)

        def job(item: Item) -> Job[Outcome]:
            checkpoint = folder / f"{name_of(item.run, supply.digest, context)}.npz"
            self._begin(item, checkpoint)
            heard = Heard(partial(self.tell, item))
            return Job(
                str(item), Training(item.run, supply, checkpoint, awaited, heard),
                Cost(item.operations, item.bytes), partial(awaited.unlink, missing_ok=True),
            )  # fmt: skip

        try:
            items = {job(item): item for item in plan.items}
            with closing(self.scheduler.run([*items])) as ending:
                for ended in ending:
                    if isinstance(ended, Done):
                        yield Result(items[ended.job], *ended.result)
                    else:
                        lost = History(status=f"{FAILED}: {ended.reason}")
                        yield Result(items[ended.job], lost, 0.0, 0)
        finally:
            awaited.unlink(missing_ok=True)

    def _begin(self, item: Item, checkpoint: Path) -> None:
        """Forget what is stored, where it is ignored."""
        own = not RULES.is_built_in(RULES[item.rule])  # its code is not in the name of the run
        if (self.fresh or own) and checkpoint not in self.begun:
            checkpoint.unlink(missing_ok=True)
        self.begun.add(checkpoint)


def _awaited(folder: Path) -> Path:
    """A new file that says that somebody waits; one of a command that was killed says so no more.

    Returns:
        Its path.

    Raises:
        CannotWriteError: if it cannot be written.
    """
    for old in folder.glob(f"{AWAITED}*"):
        old.unlink(missing_ok=True)
    path = folder / f"{AWAITED}{secrets.token_hex(8)}"
    write(path, b"")
    return path


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
