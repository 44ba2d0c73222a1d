"""In which order minibatches are taken: the released code's, bit for bit, or one stream an epoch.

The released code seeds NumPy's legacy generator before training and draws everything from that one
stream: each epoch a permutation of the training points, of which floor(n/B) batches are taken, then
one of the test points, in batches of the same size; the Add task then permutes the training points
once more, to evaluate on them after the epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from ntkalign.errors import InputError

Order = Int[np.ndarray, "steps B"]


@dataclass(frozen=True)
class EpochOrder:
    """Numbers of points, batch by batch."""

    train: Order
    test: Int[np.ndarray, "test_steps B"]
    train_again: Order | None  # for an evaluation after the epoch


@dataclass(frozen=True)
class BatchOrder:
    """The order of every epoch.

    Args:
        seed: of the stream.
        batch: B.
        train: number of training points.
        test: number of test points.
        evaluates_train: whether an epoch ends with an evaluation on the training points.
        legacy: as the released code; else every epoch has a stream of its own.

    Raises:
        InputError: if there are fewer points than a batch has.
    """

    seed: int
    batch: int
    train: int
    test: int
    evaluates_train: bool = False
    legacy: bool = True

    def __post_init__(self) -> None:
        for name, points in (("train", self.train), ("test", self.test)):
            if points < self.batch:
                raise InputError(
                    "batch", self.batch, must=f"be at most {points}", got=str(self.batch),
                    because=f"there are {points} {name} points, and only whole batches are taken",
                    do="pass a smaller batch, or ask for more points",
                )  # fmt: skip

    @property
    def steps(self) -> int:
        """Batches of training points in an epoch."""
        return self.train // self.batch

    def epochs(self, first: int = 0) -> Iterator[EpochOrder]:
        """The orders of the epochs from ``first`` on, without end."""
        epoch, stream = 0, np.random.RandomState(self.seed)
        while True:
            if not self.legacy:
                stream = np.random.RandomState([self.seed, epoch])
            order = self._draw(stream)
            if epoch >= first:
                yield order
            epoch += 1

    def _draw(self, stream: np.random.RandomState) -> EpochOrder:
        train, test = self._permuted(stream, self.train), self._permuted(stream, self.test)
        again = self._permuted(stream, self.train) if self.evaluates_train else None
        return EpochOrder(train, test, again)

    def _permuted(self, stream: np.random.RandomState, points: int) -> Order:
        whole = points // self.batch * self.batch
        return stream.permutation(points)[:whole].reshape(-1, self.batch)
