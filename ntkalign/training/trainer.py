"""A training run from time 0, or from where it was left, to its last epoch.

After each epoch the network is evaluated. The run's place is written down now and then, and after
each epoch unless writing would take much of the time; so a run that was killed at any step goes on
from there, with the numbers of one that was not. A loss that is no longer finite ends the run: that
is a result, with a status that says when.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkalign.data.batches import BatchOrder, EpochOrder, Order
from ntkalign.networks.randomness import of_seed
from ntkalign.precision import scope
from ntkalign.training import checkpoints
from ntkalign.training.alignment import Score, alignment_scores
from ntkalign.training.checkpoints import Checkpoint
from ntkalign.training.feed import Feed, Stretch
from ntkalign.training.learner import Learner, State
from ntkalign.training.loop import Told, evaluate, train_steps

TRAINED = "trained"
EPOCH_SHARE = 0.05
"""Of the time, at most, that goes into writing the place down after epochs."""
PART_SECONDS = 1.0
"""How long a part of an epoch takes, about, before progress is told."""


@dataclass(frozen=True)
class Run:
    """All that decides the numbers of a training run, but for the points.

    Args:
        learner: what is trained, and how.
        rate: the learning rate, as the code's: see :mod:`ntkalign.training.losses`.
        epochs: how many.
        order: of the minibatches.
        seed: of what is drawn at time 0.
        precision: of everything.
        log_steps: of so many first steps losses and update norms are kept.
        legacy: draw as the paper's code does, in NumPy; else by JAX's keys.
        scored: epochs after which alignment scores are measured: of the network whose error drives
            W*, which is the network that the rule ``w-star`` trains.
        curve: so many times an epoch the mean training loss since the last time is kept; each
            is over an equal share of the epoch's steps, as nearly as whole steps can be.
    """

    learner: Learner
    rate: float
    epochs: int
    order: BatchOrder
    seed: int
    precision: str = "float32"
    log_steps: int = 0
    legacy: bool = True
    scored: tuple[int, ...] = ()
    curve: int = 0


class Epoch(NamedTuple):
    """What an epoch leaves behind."""

    epoch: int  # from 1
    train_loss: float  # mean over its minibatches, each before its update
    test_loss: float
    test_accuracy: float  # NaN where there is none
    train_loss_after: float  # on all training points after the epoch; NaN where nobody asks
    seconds: float  # of training; compilation and evaluation are no part of it


@dataclass
class History:
    """What a run leaves behind.

    Attributes:
        epochs: those that were trained.
        losses: of the first steps.
        update_norms: of the first steps, layer by layer.
        status: how it ended.
        scores: after an epoch, of each layer.
        curve: steps taken since time 0, and the mean loss of the last of them, each before its
            update.
    """

    epochs: list[Epoch] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    update_norms: list[list[float]] = field(default_factory=list)
    status: str = TRAINED
    scores: list[tuple[int, Score]] = field(default_factory=list)
    curve: list[tuple[int, float]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As plain values; NaN and infinities are JSON's usual extensions."""
        return {
            "epochs": [list(epoch) for epoch in self.epochs], "losses": self.losses,
            "update_norms": self.update_norms, "status": self.status,
            "scores": [[epoch, *score] for epoch, score in self.scores],
            "curve": [list(point) for point in self.curve],
        }  # fmt: skip

    def until(self, run: Run) -> History:
        """What a run of so many epochs and logged steps leaves behind."""
        epochs = self.epochs[: run.epochs]
        status = self.status if len(epochs) == len(self.epochs) else TRAINED
        steps = min(run.log_steps, run.epochs * run.order.steps)
        scores = [s for s in self.scores if s[0] <= run.epochs and s[0] in run.scored]
        last = run.epochs * run.order.steps if run.curve else 0
        curve = [point for point in self.curve if point[0] <= last]
        return History(
            epochs, self.losses[:steps], self.update_norms[:steps], status, scores, curve
        )

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> History:
        """The same again."""
        epochs = [Epoch(*values) for values in stored["epochs"]]
        scores = [(int(epoch), Score(*values)) for epoch, *values in stored["scores"]]
        curve = [(int(step), float(loss)) for step, loss in stored["curve"]]
        return cls(
            epochs, stored["losses"], stored["update_norms"], stored["status"], scores, curve
        )


@dataclass(frozen=True)
class Moment:
    """Where a run stands: what a progress bar shows."""

    epoch: int  # from 1
    step: int  # steps taken in it
    steps: int  # in an epoch
    loss: float  # the last minibatch's
    accuracy: float  # after the last epoch


@dataclass(frozen=True)
class Keeping:
    """Where a run's place is written down.

    Args:
        path: of the checkpoint.
        every: seconds from one to the next, within an epoch too; 0 writes one whenever progress is
            told.
        found: called with the number of epochs that an earlier run of the same has finished.
    """

    path: Path
    every: float = 30.0
    found: Callable[[int], None] = lambda epochs: None


Telling = Callable[[Moment], None]


def tell_nobody(moment: Moment) -> None:
    """Progress that nobody looks at."""


def train(
    run: Run, train: Feed, test: Feed, keeping: Keeping | None = None, tell: Telling = tell_nobody
) -> tuple[History, State]:
    """Train a network.

    Args:
        run: what is trained, and how.
        train: the training points, in the run's precision.
        test: the points it is evaluated on.
        keeping: where its place is written down, and read if it was begun before.
        tell: called about once a second, and after each epoch.

    Returns:
        What it leaves behind, and its last state. A run that had gone on for longer leaves what it
        had left by then, and a later state.
    """
    with scope(run.precision):
        return _Training(run, train, test, keeping, tell).finish()


def windows(steps: int, many: int) -> Iterator[tuple[int, int]]:
    """Equal shares of the steps of an epoch, as nearly as they can be: first step, and end."""
    ends = [number * steps // many for number in range(many + 1)] if many else []
    return ((start, end) for start, end in pairwise(ends) if start < end)


class _Training:
    """A run under way."""

    def __init__(
        self, run: Run, train: Feed, test: Feed, keeping: Keeping | None, tell: Telling
    ) -> None:
        self.run, self.train, self.test, self.keeping, self.tell = run, train, test, keeping, tell
        self.dtype = jnp.dtype(run.precision)
        self.state, self.frozen = run.learner.start(run.seed, self.dtype, legacy=run.legacy)
        self.layers = sum(layer.weight is not None for layer in self.state.parameters)
        self.history = History()
        self.told = self._blank(1)
        self.step, self.seconds, self.pace = 0, 0.0, 1
        self.written, self.writing = time.monotonic(), 0.0
        self._go_on()

    def finish(self) -> tuple[History, State]:
        """Train what is left."""
        begun = len(self.history.epochs)
        epochs = self.run.order.epochs(begun)
        left = max(0, self.run.epochs - begun)
        for number, order in enumerate(islice(epochs, left), begun + 1):
            if self.history.status != TRAINED:
                break
            self._train_epoch(number, order)
        self._write_down(ended=len(self.history.epochs) > begun)
        return self.history.until(self.run), self.state

    def _train_epoch(self, number: int, order: EpochOrder) -> None:
        compiled = 0
        with closing(self._stretches(self.train, number, order.train, self.step)) as parts:
            for part in parts:
                if len(part.order) != compiled:  # no steps: this compiles, and trains nothing
                    self._take(part, part.first, part.first)
                    jax.block_until_ready(self.state)
                    compiled = len(part.order)
                last = part.first + len(part.order)
                while self.step < last:
                    self._advance(number, part, min(last, self.step + self.pace))
        losses = np.asarray(self.told.losses, float)
        self._log(losses)
        begun = (number - 1) * len(losses)
        self.history.curve += [
            (begun + end, float(losses[start:end].mean()))
            for start, end in windows(len(losses), self.run.curve)
        ]
        loss = float(losses.mean())
        test_loss = accuracy = after = math.nan
        if math.isfinite(loss):
            test_loss, accuracy = self._evaluate(number, self.test, order.test)
            if order.train_again is not None:
                after, _ = self._evaluate(number, self.train, order.train_again)
            if not math.isfinite(test_loss):
                self.history.status = f"diverged in epoch {number}, by its last step"
                accuracy = math.nan  # that of the largest of numbers that are none
        else:
            step = int(np.flatnonzero(~np.isfinite(losses))[0])
            self.history.status = f"diverged in epoch {number}, step {step}"
        if number in self.run.scored and self.history.status == TRAINED:
            self._score(number)
        self.history.epochs.append(Epoch(number, loss, test_loss, accuracy, after, self.seconds))
        self.step, self.seconds, self.told = 0, 0.0, self._blank(number + 1)
        self._tell(Moment(number, self.run.order.steps, self.run.order.steps, loss, accuracy))

    def _stretches(
        self, feed: Feed, number: int, order: Order, first: int
    ) -> Generator[Stretch, None, None]:
        """The points of an epoch; if they cannot be had, the place so far is written down."""
        try:
            yield from feed.stretches(number, order, first)
        except Exception:
            self._write_down(ended=True)
            raise

    def _score(self, number: int) -> None:
        """Alignment scores of the network that drives W*."""
        key = jax.random.fold_in(of_seed(self.run.seed), number)
        scores = alignment_scores(
            self.run.learner.network, self.frozen.start, self.state.teacher.parameters,
            self.state.parameters, key,
        )  # fmt: skip
        self.history.scores += [(number, score) for score in scores]

    def _advance(self, number: int, part: Stretch, last: int) -> None:
        """A few steps, and what they took."""
        first, began = self.step, time.monotonic()
        self._take(part, first, last)
        jax.block_until_ready(self.state)
        took = time.monotonic() - began
        self.step, self.seconds = last, self.seconds + took
        self.pace = max(1, min(int((last - first) * PART_SECONDS / max(took, 1e-6)), 4 * self.pace))
        if last < self.run.order.steps:
            accuracy = self.history.epochs[-1].test_accuracy if self.history.epochs else math.nan
            loss = float(self.told.losses[last - 1])
            self._tell(Moment(number, last, self.run.order.steps, loss, accuracy))

    def _take(self, part: Stretch, first: int, last: int) -> None:
        run = self.run
        rate, span = jnp.asarray(run.rate, self.dtype), jnp.array([part.first, first, last])
        self.state, self.told = train_steps(
            run.learner, self.state, self.told, self.frozen, rate, part.points, part.order, span
        )

    def _evaluate(self, number: int, feed: Feed, order: Order) -> tuple[float, float]:
        with closing(self._stretches(feed, number, order, 0)) as parts:
            found = [
                evaluate(self.run.learner, self.state, self.frozen, *part[1:]) for part in parts
            ]
        losses, right = (np.concatenate(parts).astype(float) for parts in zip(*found, strict=True))
        return float(losses.mean()), float(right.mean())

    def _blank(self, epoch: int) -> Told:
        steps = self.run.order.steps
        logged = min(steps, max(0, self.run.log_steps - (epoch - 1) * steps))
        return Told.blank(steps, logged, self.layers, self.dtype)

    def _log(self, losses: np.ndarray) -> None:
        norms = np.asarray(self.told.update_norms, float)
        self.history.losses += losses[: len(norms)].tolist()
        self.history.update_norms += norms.tolist()

    def _tell(self, moment: Moment) -> None:
        try:
            self.tell(moment)
        except BaseException:
            self._write_down(ended=True)
            raise
        self._write_down()

    def _write_down(self, *, ended: bool = False) -> None:
        keeping, since = self.keeping, time.monotonic() - self.written
        if keeping is None:
            return
        between = self.step == 0 and len(self.history.epochs) < self.run.epochs
        cheap = between and self.writing <= EPOCH_SHARE * since
        if not (ended or cheap or since >= keeping.every):
            return
        text = {
            "step": self.step, "seconds": self.seconds, "history": self.history.as_json(),
            "log_steps": self.run.log_steps, "scored": self.run.scored,
            "curve": self.run.curve,
            "told": [np.asarray(values, float).tolist() for values in self.told],
        }  # fmt: skip
        began = time.monotonic()
        checkpoints.save(keeping.path, Checkpoint(self.state, text))
        self.written = time.monotonic()
        self.writing = self.written - began

    def _go_on(self) -> None:
        """From where an earlier run of the same was left."""
        if self.keeping is None:
            return
        found = checkpoints.load(self.keeping.path, self.state)
        if found is None:
            return
        state, text = found
        history = History.from_json(text["history"])
        begun = len(history.epochs) * self.run.order.steps + text["step"]
        if text["log_steps"] < min(self.run.log_steps, begun):  # they are not to be had again
            return
        epochs = range(1, len(history.epochs) + 1)
        if set(self.run.scored).intersection(epochs) - set(text["scored"]):
            return
        if history.epochs and self.run.curve not in (0, text["curve"]):
            return
        self.state, self.history = state, history
        self.step, self.seconds = text["step"], text["seconds"]
        self.keeping.found(len(history.epochs))
        losses, norms = (np.array(values, self.dtype) for values in text["told"])
        logged = np.array(self._blank(len(history.epochs) + 1).update_norms)
        kept = min(len(norms), len(logged))
        if kept:
            logged[:kept] = norms[:kept]
        self.told = Told(jnp.asarray(losses), jnp.asarray(logged))
