"""What is trained: a data set, and the network of each width that learns it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ntkalign.data.add_task import STEPS, add_task
from ntkalign.data.decoded import folder_training_set
from ntkalign.data.training_sets import Part, Shape, TrainingSet, image_training_set
from ntkalign.errors import InputError
from ntkalign.networks.activations import ACTIVATIONS, Activation
from ntkalign.networks.base import Network
from ntkalign.networks.convolutional import Convolutional, Parameterisation
from ntkalign.networks.recurrent import Recurrent
from ntkalign.training.losses import MEAN_SQUARE, SQUARE_OVER_TIME, Loss

Build = Callable[[int, int, Shape, int], Network]
"""``(width, batch, shape of an input, outputs) -> network``."""


@dataclass(frozen=True)
class Task:
    """A data set and its networks.

    Args:
        name: of the data set.
        network: what kind of network learns it: "cnn" or "rnn".
        build: the network of a width, for batches of so many points, of inputs of a shape.
        loss: what is minimised.
        images: whether the data are images, which are read from a folder.
        train: points of the paper's training part.
        test: points of the part that is measured on.
        inputs: shape of an input. Images that are streamed are cropped to it.
        outputs: of the network, the paper's; a folder of images may have fewer classes.
        optimiser: what moves the parameters.
        evaluates_train: whether an epoch ends with an evaluation on the training part.
        streamed: whether images are decoded while they are trained on, and all that are measured on
            lie in a folder of their own.
    """

    name: str
    network: str
    build: Build
    loss: Loss
    images: bool
    train: int
    test: int
    inputs: Shape
    outputs: int
    optimiser: str = "sgd"
    evaluates_train: bool = False
    streamed: bool = False

    @property
    def convolutions(self) -> int:
        """How many its networks have."""
        return len(self.build.strides) if isinstance(self.build, Convolutions) else 0

    def load(
        self, folder: Path | None, train: int | None, test: int | None, precision: str
    ) -> TrainingSet:
        """The data.

        Args:
            folder: where images lie, themselves or in a folder of the set's name.
            train: so many points of the training part; all of them if None. Of images that are
                streamed, whose files are sorted by class, those that are evenly spread.
            test: so many points are measured on; the paper's number if None. Of images that are
                streamed: all of their own folder if None.
            precision: of the numbers.

        Returns:
            Both parts.

        Raises:
            InputError: if there are none, or fewer than asked for.
        """
        if self.images:
            inner = folder / self.name if folder is not None else None
            folder = inner if inner is not None and inner.is_dir() else folder
            if self.streamed:
                size = self.inputs[0]
                return folder_training_set(
                    self.name, folder, size, train=train, test=test, dtype=precision
                )
            wanted = self.test if test is None else test
            return image_training_set(self.name, folder, train=train, test=wanted, dtype=precision)
        points, parts = add_task(dtype=precision), list[Part]()
        for name, asked, part in (("train", train, points.train), ("test", test, points.test)):
            assert isinstance(part, Part)
            if asked is not None and asked > len(part):
                raise InputError(
                    name, asked, must=f"be at most {len(part)}", got=str(asked),
                    because="the Add task has no more sequences", do=f"pass {len(part)} or less",
                )  # fmt: skip
            parts.append(Part(part.x[:asked], part.y[:asked]))
        return TrainingSet(self.name, *parts)


RELU, TANH = ACTIVATIONS["relu"], ACTIVATIONS["tanh"]
CIFAR10_STRIDES, KMNIST_STRIDES = (1, 1, 1, 2, 1, 2, 1), (1, 2, 2)
IMAGENET_STRIDES = (4, 2, 1, 2, 1, 2, 1)


@dataclass(frozen=True)
class Convolutions:
    """Convolutions of n filters each, and a dense layer.

    Args:
        strides: of each.
        activation: σ.
        form: of the parameterisation.
    """

    strides: tuple[int, ...]
    activation: Activation = RELU
    form: Parameterisation = "ntk"

    def __call__(self, width: int, batch: int, inputs: Shape, outputs: int) -> Network:
        """The network of a width."""
        filters = (width,) * len(self.strides)
        return Convolutional(
            inputs, filters, self.strides, outputs, self.activation, form=self.form
        )  # fmt: skip


def _recurrent(width: int, batch: int, inputs: Shape, outputs: int) -> Network:
    steps, features = inputs
    return Recurrent(width, steps, RELU, features, outputs, slots=batch)


CIFAR10 = Task(
    "cifar10", "cnn", Convolutions(CIFAR10_STRIDES), MEAN_SQUARE, images=True,
    train=45000, test=5000, inputs=(32, 32, 3), outputs=10,
)  # fmt: skip
CIFAR10_TANH = replace(CIFAR10, build=Convolutions(CIFAR10_STRIDES, TANH))
CIFAR10_STANDARD = replace(
    CIFAR10, build=Convolutions(CIFAR10_STRIDES, form="standard"), optimiser="adam"
)
KMNIST = Task(
    "kmnist", "cnn", Convolutions(KMNIST_STRIDES), MEAN_SQUARE, images=True,
    train=55000, test=5000, inputs=(28, 28, 1), outputs=10,
)  # fmt: skip
IMAGENET = Task(
    "imagenet", "cnn", Convolutions(IMAGENET_STRIDES), MEAN_SQUARE, images=True,
    train=1_281_167, test=50_000, inputs=(224, 224, 3), outputs=1000, streamed=True,
)  # fmt: skip
ADD = Task(
    "add", "rnn", _recurrent, SQUARE_OVER_TIME, images=False, train=300, test=100,
    inputs=(STEPS, 1), outputs=1, evaluates_train=True,
)  # fmt: skip
