"""A folder of images to train on that does not fit in memory: decoded when it is asked for.

What is held are the paths. Crops of the training images depend on the seed of the run, the epoch
and the image's number in the folder; so a run that goes on, or that other threads decode for, sees
what an unbroken one does.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from jaxtyping import Float, Int
from PIL import features

from ntkalign.data.imagenet import PARTS, ImageFolder
from ntkalign.data.images import check_folder
from ntkalign.data.training_sets import Shape, TrainingSet, precision
from ntkalign.errors import InputError
from ntkalign.values import optional, whole

_a_count = optional(whole(1, "so many images are taken", "leave it out for all of them"))


@dataclass(frozen=True, eq=False)
class Decoded:
    """Some images of a part of a folder, in order.

    Args:
        images: the part.
        chosen: numbers of images in it.
        dtype: of what is decoded; pixels are computed in float32 in either case.
    """

    images: ImageFolder
    chosen: Int[np.ndarray, " n"]
    dtype: np.dtype

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def inputs(self) -> Shape:
        """(size, size, 3)."""
        return (self.images.size, self.images.size, 3)

    @property
    def targets(self) -> Shape:
        """(C,)."""
        return (len(self.images.classes),)

    @property
    def point_bytes(self) -> int:
        """What a point takes once it is decoded."""
        return (math.prod(self.inputs) + math.prod(self.targets)) * self.dtype.itemsize

    def identity(self) -> Iterator[bytes]:
        """Names, sizes and labels of the files, and what decodes them; not what is in them."""
        part, jpeg = self.images.part, features.version("libjpeg_turbo")
        yield f"{part} {self.images.size} {self.dtype} {PIL.__version__} {jpeg}\n".encode()
        yield "\n".join((*self.images.classes, "")).encode("utf-8", "surrogateescape")
        for number in self.chosen.tolist():
            file = self.images.files[number]
            size = _bytes_of(self.images.directory / file)
            yield f"{file} {size} {self.images.labels[number]}\n".encode("utf-8", "surrogateescape")

    def fetch(
        self, seed: int, epoch: int, rows: Int[np.ndarray, " k"]
    ) -> tuple[Float[np.ndarray, "k H W 3"], Float[np.ndarray, "k C"]]:
        """Decode some of them.

        Args:
            seed: what decides the crops, with the epoch and each image's number in the folder.
            epoch: which time the images are gone through.
            rows: which.

        Returns:
            Pixels, and classes, plain one-hot.

        Raises:
            UnreadableImageError: if an image cannot be read.
        """
        x, y = self.images.batch(self.chosen[rows], seed, epoch)
        return x.astype(self.dtype, copy=False), y.astype(self.dtype, copy=False)


def folder_training_set(
    name: str,
    directory: Path | None,
    size: int,
    *,
    train: int | None = None,
    test: int | None = None,
    dtype: Any = np.float32,
) -> TrainingSet:
    """Images of a folder with ``train/CLASS/IMAGE`` and ``val/CLASS/IMAGE`` to train on.

    Args:
        name: of the set.
        directory: the folder.
        size: the side of a crop in pixels.
        train: so many images of ``train`` are trained on, all of them if None. The files are sorted
            by class, so that the first ones would be of few classes: those that are taken are
            evenly spread over the sorted files, number ⌊i n/N⌋ of n for i < N.
        test: so many of ``val`` are measured on, chosen in the same way.
        dtype: float32 or float64.

    Returns:
        Both parts; nothing is decoded yet.

    Raises:
        InputError: if there is no such folder, or it has fewer images than asked for.
    """
    kind, folder = precision(dtype), check_folder(name, directory)
    wanted = {"train": _a_count("train", train), "test": _a_count("test", test)}
    parts = []
    for part, (asked, many) in zip(PARTS, wanted.items(), strict=True):
        images = ImageFolder(folder, part, size)
        if many is not None and many > len(images):
            raise InputError(
                asked, many, must=f"be at most {len(images)}", got=repr(many),
                because=f"there are no more images in {part}/",
                do=f"pass {len(images)} or less, or leave it out",
            )  # fmt: skip
        parts.append(Decoded(images, evenly(len(images), many), kind))
    return TrainingSet(name, *parts)


def evenly(many: int, wanted: int | None) -> Int[np.ndarray, " n"]:
    """So many of the numbers below ``many``, evenly spread; all of them if None."""
    count = many if wanted is None else wanted
    return np.arange(count) * many // count


def _bytes_of(path: Path) -> int:
    """Of a file; -1 if it is gone, which whoever decodes it will say."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
