"""Sets to train on in minibatches: a part that is trained on and a part that is measured on.

As in the paper's experiments: pixels from 0 to 1, not normalised, labels one-hot minus 1/C, and the
first images of the training files are the part that is measured on (the official test files are
never used). The training images follow in the order of the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from ntkalign.data.images import Images, read
from ntkalign.errors import InputError
from ntkalign.values import optional, whole

PRECISIONS = ("float32", "float64")
TEST_IMAGES = 5000
"""The paper's test part."""

_WHY = "as many of the training files' images"
_a_train = optional(whole(1, _WHY + " are trained on", "leave it out for all of them"))
_a_test = whole(1, _WHY + " are measured on", f"pass {TEST_IMAGES}, the paper's number")


Shape = tuple[int, ...]


@runtime_checkable
class Points(Protocol):
    """Inputs and targets of the same number, in order, wherever they are."""

    def __len__(self) -> int: ...

    @property
    def inputs(self) -> Shape:
        """Shape of a point's x."""
        ...

    @property
    def targets(self) -> Shape:
        """Shape of a point's y."""
        ...

    def identity(self) -> Iterator[Any]:
        """What tells them from other points, as bytes."""
        ...


@dataclass(frozen=True)
class Part:
    """Points in memory."""

    x: Float[np.ndarray, "n ..."]
    y: Float[np.ndarray, "n ..."]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def inputs(self) -> Shape:
        """Shape of a point's x."""
        return self.x.shape[1:]

    @property
    def targets(self) -> Shape:
        """Shape of a point's y."""
        return self.y.shape[1:]

    def identity(self) -> Iterator[Any]:
        """All their numbers."""
        for array in (self.x, self.y):
            yield f"{array.dtype} {array.shape}\n".encode()
            yield np.ascontiguousarray(array).data


@dataclass(frozen=True)
class TrainingSet:
    """What is trained on, and what is measured on."""

    name: str
    train: Points
    test: Points

    def cut(self) -> TrainingSet:
        """The same, measured on no more points than it is trained on: the first of them."""
        if not isinstance(self.test, Part):
            raise TypeError("only points in memory are cut")
        many = len(self.train)
        return replace(self, test=Part(self.test.x[:many], self.test.y[:many]))


def image_training_set(
    name: str,
    directory: Path | None,
    *,
    train: int | None = None,
    test: int = TEST_IMAGES,
    dtype: Any = np.float32,
) -> TrainingSet:
    """Images of a set to train on.

    Args:
        name: ``cifar10``, ``kmnist`` or ``digits``.
        directory: where the files of the first two lie.
        train: so many images after the first ``test`` are trained on; all of them if None.
        test: so many images at the beginning of the training files are measured on.
        dtype: float32 or float64. Pixels are rounded to float32 first, as in the paper's code.

    Returns:
        Both parts: ``x`` is (n, height, width, channels), ``y`` is (n, classes).

    Raises:
        InputError: if the images cannot be read, or are fewer than asked for.
    """
    train, test, kind = _a_train("train", train), _a_test("test", test), precision(dtype)
    images = read(name, directory)
    available = len(images)
    if test >= available:
        raise InputError(
            "test", test, must=f"be less than {available}", got=repr(test),
            because=f"{name} has {available} images here and some must be left to train on",
            do=f"pass {max(1, available // 10)}, say",
        )  # fmt: skip
    left = available - test
    if train is not None and train > left:
        raise InputError(
            "train", train, must=f"be at most {left}", got=repr(train),
            because=f"{name} has {available} images here and the first {test} are measured on",
            do=f"pass {left} or less, or leave it out",
        )  # fmt: skip
    end = test + (left if train is None else train)
    return TrainingSet(
        name,
        train=_part(images, slice(test, end), kind),
        test=_part(images, slice(0, test), kind),
    )


def precision(dtype: Any) -> np.dtype:
    """The type of a set's numbers.

    Args:
        dtype: what was given for it: a name, NumPy's or JAX's type.

    Returns:
        NumPy's type.

    Raises:
        InputError: if it is neither float32 nor float64.
    """
    try:
        kind = np.dtype(dtype)
        known = kind.name in PRECISIONS and dtype is not None
    except TypeError:
        known = False
    if not known:
        raise InputError(
            "dtype", dtype, must=f"be {' or '.join(PRECISIONS)}", got=repr(dtype),
            because="networks are trained in one of them", do="pass 'float32', say",
        )  # fmt: skip
    return kind


def scaled(name: str, white: int) -> Float[np.ndarray, " levels"]:
    """What each value of a byte becomes, rounded to float32 as in the paper's code.

    Args:
        name: of the set; CIFAR-10 is scaled in another order than the others.
        white: the value that becomes 1.

    Returns:
        The numbers for 0 … 255, float32.
    """
    values = np.arange(256)
    if name == "cifar10":
        return (values / white - 0.5).astype(np.float32) + np.float32(0.5)
    return values.astype(np.float32) / np.float32(white)


def _part(images: Images, chosen: slice, kind: np.dtype) -> Part:
    levels = scaled(images.name, images.white).astype(kind)
    one_hot = (np.eye(images.classes) - 1 / images.classes).astype(kind)
    return Part(levels[images.pixels[chosen]], one_hot[images.labels[chosen]])
