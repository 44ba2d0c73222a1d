"""One run's training as a job, for whatever process does it: it goes on from its checkpoint.

Whoever waits for runs puts a file into the folder of their checkpoints, and removes it when he
waits no more. A run that no longer finds it writes its place down and ends, on whatever machine it
is. Progress is told in the process that commands; from others nothing is heard before a run ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax

from ntkalign.data.imagenet import UnreadableImageError
from ntkalign.errors import InputError
from ntkalign.experiments.supply import Supply
from ntkalign.programs import tidy
from ntkalign.training.trainer import History, Keeping, Moment, Run, tell_nobody, train

FAILED = "failed"
"""How the status of a run begins that could not be trained."""


class Outcome(NamedTuple):
    """What a run leaves behind."""

    history: History
    seconds: float  # since it was begun
    reused: int  # epochs that were trained before


class StoppedError(Exception):
    """Nobody waits for the run any more."""


class Heard:
    """Progress that is heard in this process; in another one nobody listens.

    Args:
        listener: called with each moment.
    """

    def __init__(self, listener: Callable[[Moment], None]):
        self._listener = listener

    def __call__(self, moment: Moment) -> None:
        """Tell of a moment."""
        self._listener(moment)

    def __reduce__(self) -> tuple[Any, ...]:
        return Heard, (tell_nobody,)


@dataclass(frozen=True)
class Training:
    """What a job does.

    Attributes:
        run: what is trained.
        supply: of its points.
        checkpoint: where its place is written down.
        awaited: a file that is there as long as somebody waits.
        tell: called with progress.
    """

    run: Run
    supply: Supply
    checkpoint: Path
    awaited: Path
    tell: Heard

    def __call__(self) -> Outcome:
        """Train it, from where it was left.

        Returns:
            What it leaves behind; with a status that says so if it could not be trained.

        Raises:
            StoppedError: if nobody waits any more; its place is written down.
            InputError: if this machine does not see the folder that all share.
            CannotWriteError: if its place cannot be written down.
        """
        if not self.awaited.exists():
            folder = self.awaited.parent
            raise InputError(
                "out", folder.parent, must="be a folder that all workers share",
                got="one that a worker does not see", because="workers keep checkpoints there",
                do="choose a folder on a disk that all machines have under the same path",
            )  # fmt: skip
        began, reused, done = time.monotonic(), 0, 0

        def tell(moment: Moment) -> None:
            nonlocal done
            done = moment.epoch - (moment.step < moment.steps)
            if not self.awaited.exists():
                raise StoppedError
            self.tell(moment)

        def found(epochs: int) -> None:
            nonlocal reused, done
            reused = done = epochs

        feeds = self.supply.feeds(self.run.seed)
        try:
            history, _ = train(self.run, *feeds, Keeping(self.checkpoint, found=found), tell)
        except (MemoryError, jax.errors.JaxRuntimeError) as error:  # the others go on
            text = str(error).splitlines()[0] if str(error) else "out of memory"
            history = History(status=f"{FAILED}: {text[:200]}")
        except UnreadableImageError as error:  # the place is written down: epochs are read from it
            history = History()
            if done:
                short = replace(self.run, epochs=done)
                history, _ = train(short, *feeds, Keeping(self.checkpoint))
            history.status = f"{FAILED}: {error}"
        finally:
            tidy()
        return Outcome(history, time.monotonic() - began, reused)
