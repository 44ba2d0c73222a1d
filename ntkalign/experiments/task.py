"""What is trained: a data set, and the network of each width that learns it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ntkalign.data.add_task import STEPS, add_task
from ntkalign.data.training_sets import Part, TrainingSet, image_training_set
from ntkalign.errors import InputError
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.base import Network
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.recurrent import Recurrent
from ntkalign.training.losses import MEAN_SQUARE, SQUARE_OVER_TIME, Loss

Build = Callable[[int, int], Network]
"""``(width, batch) -> network``."""


@dataclass(frozen=True)
class Task:
    """A data set and its networks.

    Args:
        name: of the data set.
        network: what kind of network learns it: "cnn" or "rnn".
        build: the network of a width, for batches of so many points.
        loss: what is minimised.
        images: whether the data are images, which are read from a folder.
        train: points of the paper's training part.
        test: points of the part that is measured on.
        optimiser: what moves the parameters.
        evaluates_train: whether an epoch ends with an evaluation on the training part.
    """

    name: str
    network: str
    build: Build
    loss: Loss
    images: bool
    train: int
    test: int
    optimiser: str = "sgd"
    evaluates_train: bool = False

    def load(
        self, folder: Path | None, train: int | None, test: int | None, precision: str
    ) -> TrainingSet:
        """The data.

        Args:
            folder: where images lie, themselves or in a folder of the set's name.
            train: so many points of the training part; all of them if None.
            test: so many points are measured on; the paper's number if None.
            precision: of the numbers.

        Returns:
            Both parts.

        Raises:
            InputError: if there are none, or fewer than asked for.
        """
        if self.images:
            inner = folder / self.name if folder is not None else None
            folder = inner if inner is not None and inner.is_dir() else folder
            wanted = self.test if test is None else test
            return image_training_set(self.name, folder, train=train, test=wanted, dtype=precision)
        points = add_task(dtype=precision)
        for name, asked, part in (("train", train, points.train), ("test", test, points.test)):
            if asked is not None and asked > len(part):
                raise InputError(
                    name, asked, must=f"be at most {len(part)}", got=str(asked),
                    because="the Add task has no more sequences", do=f"pass {len(part)} or less",
                )  # fmt: skip
        parts = (
            Part(part.x[:asked], part.y[:asked])
            for part, asked in ((points.train, train), (points.test, test))
        )
        return TrainingSet(self.name, *parts)


RELU = ACTIVATIONS["relu"]
CIFAR10_STRIDES, KMNIST_STRIDES = (1, 1, 1, 2, 1, 2, 1), (1, 2, 2)


def _cifar10(width: int, batch: int) -> Network:
    filters = (width,) * len(CIFAR10_STRIDES)
    return Convolutional((32, 32, 3), filters, CIFAR10_STRIDES, 10, RELU)


def _cifar10_tanh(width: int, batch: int) -> Network:
    filters = (width,) * len(CIFAR10_STRIDES)
    return Convolutional((32, 32, 3), filters, CIFAR10_STRIDES, 10, ACTIVATIONS["tanh"])


def _cifar10_standard(width: int, batch: int) -> Network:
    filters = (width,) * len(CIFAR10_STRIDES)
    return Convolutional((32, 32, 3), filters, CIFAR10_STRIDES, 10, RELU, form="standard")


def _kmnist(width: int, batch: int) -> Network:
    filters = (width,) * len(KMNIST_STRIDES)
    return Convolutional((28, 28, 1), filters, KMNIST_STRIDES, 10, RELU)


def _add(width: int, batch: int) -> Network:
    return Recurrent(width, STEPS, RELU, slots=batch)


CIFAR10 = Task("cifar10", "cnn", _cifar10, MEAN_SQUARE, images=True, train=45000, test=5000)
CIFAR10_STANDARD = replace(CIFAR10, build=_cifar10_standard, optimiser="adam")
CIFAR10_TANH = replace(CIFAR10, build=_cifar10_tanh)
KMNIST = Task("kmnist", "cnn", _kmnist, MEAN_SQUARE, images=True, train=55000, test=5000)
ADD = Task(
    "add", "rnn", _add, SQUARE_OVER_TIME, images=False, train=300, test=100, evaluates_train=True
)
IMAGENET = replace(CIFAR10, name="imagenet")
