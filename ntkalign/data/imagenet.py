"""ImageNet: a folder of folders of images, decoded while they are trained on.

Over a million images do not fit in memory: their paths do. An image is read, cropped and scaled
when it is asked for, in threads, a few minibatches ahead of the training. What chance decides of an
image is decided by the seed, the epoch and the image's number alone, so that neither the order nor
the number of threads changes anything.
"""

from __future__ import annotations

import collections
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int
from PIL import Image, UnidentifiedImageError

from ntkalign.data.crops import centre, random_crop
from ntkalign.errors import InputError, unknown_name
from ntkalign.values import folder as a_folder
from ntkalign.values import whole

PARTS = ("train", "val")
ENDINGS = frozenset({".jpeg", ".jpg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff", ".gif"})
MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"})
"""How the pixels of an image may be kept; those that are left out have more than 8 bits."""
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
AHEAD = 2
"""Minibatches that are decoded before they are asked for."""

Numbers = Sequence[int] | Int[np.ndarray, " n"]
Pixels = Float32[np.ndarray, "H W 3"]
Batch = tuple[Float32[np.ndarray, "B H W 3"], Float32[np.ndarray, "B C"]]

_size = whole(8, "it is the side of an image in pixels", "pass 224, the paper's")
_a_number = whole(0, "seeds and epochs count from 0", "pass 0")
_a_count = whole(1, "it is a number of images or threads", "pass 100, or leave it out")


class UnreadableImageError(InputError):
    """An image that was listed and cannot be read."""


class ImageFolder:
    """The images of one part of a folder with ``train/CLASS/IMAGE`` and ``val/CLASS/IMAGE``.

    Args:
        directory: the folder with ``train`` and ``val`` in it.
        part: ``train`` (random crops, flipped half of the time) or ``val`` (centre crops).
        size: the side of a crop in pixels.

    Attributes:
        classes: the names of the folders, sorted: the classes in their order.
        files: the paths of the images, sorted within each class.
        labels: the class of each.

    Raises:
        InputError: if there is no such folder, or anything but images of classes in it.
    """

    def __init__(self, directory: Path, part: str, size: int = 224):
        self.directory = a_folder("data_dir", directory)
        if part not in PARTS:
            raise unknown_name("part", part, PARTS, "images are trained on or measured on")
        self.part, self.size = part, _size("size", size)
        self.classes = self._classes(part)
        other = PARTS[1 - PARTS.index(part)]
        if (self.directory / other).is_dir() and self._classes(other) != self.classes:
            odd = sorted(set(self._classes(other)) ^ set(self.classes))[0]
            raise self._wrong(f"{odd} in only one of train and val")
        files = [self._files(name) for name in self.classes]
        self.files = [path for paths in files for path in paths]
        self.labels = np.repeat(np.arange(len(files)), [len(paths) for paths in files])

    def __len__(self) -> int:
        return len(self.files)

    def image(self, index: int, seed: int = 0, epoch: int = 0) -> Pixels:
        """One image, cropped, scaled and normalised.

        Args:
            index: its number.
            seed: with the epoch and the index, what decides where it is cropped and if flipped.
            epoch: which time the images are gone through.

        Returns:
            Its pixels, of mean 0 and deviation 1 over ImageNet.

        Raises:
            UnreadableImageError: if the file is no image that can be read.
        """
        picture = self._decoded(self.files[index])
        if self.part == "train":
            rng = np.random.default_rng([seed, epoch, index])
            picture = random_crop(picture, self.size, rng)
        else:
            picture = centre(picture, self.size)
        return (np.asarray(picture, np.float32) / np.float32(255) - MEAN) / STD

    def batch(self, indices: Numbers, seed: int = 0, epoch: int = 0) -> Batch:
        """Some images with their classes, plain one-hot.

        Args:
            indices: their numbers.
            seed: what decides the crops, with the epoch and each image's number.
            epoch: which time the images are gone through.

        Returns:
            ``x`` (B, size, size, 3) and ``y`` (B, classes), float32.

        Raises:
            InputError: if there is no such image, or it cannot be read.
        """
        seed, epoch = _a_number("seed", seed), _a_number("epoch", epoch)
        numbers = self._numbers(indices)
        return self._stacked(numbers, [self.image(i, seed, epoch) for i in numbers])

    def batches(
        self,
        order: Numbers,
        size: int,
        seed: int = 0,
        epoch: int = 0,
        threads: int | None = None,
    ) -> Iterator[Batch]:
        """Minibatches one after another, decoded ahead in threads.

        Never more than three of them are held: the one that is given, and the next two.

        Args:
            order: the numbers of the images in the order of training.
            size: images in a minibatch; what is left at the end is left out, as in the paper.
            seed: what decides the crops, with the epoch and each image's number.
            epoch: which time the images are gone through.
            threads: how many decode; as many as there are processors if None.

        Returns:
            The minibatches, each as ``batch`` gives it.

        Raises:
            InputError: if a number is wrong; and while they are given, if an image is.
        """
        size, numbers = _a_count("batch", size), self._numbers(order)
        seed, epoch = _a_number("seed", seed), _a_number("epoch", epoch)
        workers = os.cpu_count() or 1 if threads is None else _a_count("threads", threads)
        chunks = [numbers[i : i + size] for i in range(0, len(numbers) - size + 1, size)]
        return self._ahead(chunks, seed, epoch, workers)

    def _ahead(
        self, chunks: list[list[int]], seed: int, epoch: int, workers: int
    ) -> Iterator[Batch]:
        waiting: collections.deque[tuple[list[int], list[Future[Pixels]]]] = collections.deque()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="images")
        try:
            for chunk in [*chunks, *[[]] * AHEAD]:
                waiting.append((chunk, [pool.submit(self.image, i, seed, epoch) for i in chunk]))
                if len(waiting) > AHEAD:
                    yield self._collected(*waiting.popleft())  # and keep nothing of it here
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _collected(self, numbers: list[int], futures: list[Future[Pixels]]) -> Batch:
        return self._stacked(numbers, [future.result() for future in futures])

    def _stacked(self, numbers: list[int], images: list[Pixels]) -> Batch:
        one_hot = np.eye(len(self.classes), dtype=np.float32)[self.labels[numbers]]
        return np.stack(images), one_hot

    def _numbers(self, given: Numbers) -> list[int]:
        numbers = np.asarray(given)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise InputError(
                "indices", given, must="be numbers of images", got=repr(given),
                because="a minibatch has at least one", do="pass whole numbers",
            )  # fmt: skip
        outside = (numbers < 0) | (numbers >= len(self))
        if outside.any():
            first = int(numbers[outside][0])
            raise InputError(
                "indices", first, must=f"be from 0 to {len(self) - 1}", got=repr(first),
                because=f"there are {len(self)} images", do="pass numbers of images",
            )  # fmt: skip
        return numbers.tolist()

    def _classes(self, part: str) -> tuple[str, ...]:
        """The folders of a part, sorted by name."""
        place = self.directory / part
        if not place.is_dir():
            raise self._wrong(f"no folder {part}/")
        found = tuple(sorted(e.name for e in os.scandir(place) if e.is_dir() and _seen(e.name)))
        if not found:
            raise self._wrong(f"no folder of a class in {part}/")
        return found

    def _files(self, name: str) -> list[str]:
        """The images of a class, sorted by name."""
        place = f"{self.part}/{name}"
        names = sorted(e.name for e in os.scandir(self.directory / place) if _seen(e.name))
        for file in names:
            if os.path.splitext(file)[1].lower() not in ENDINGS:
                raise self._wrong(f"{place}/{file}, which has no name of an image")
        if not names:
            raise self._wrong(f"no image in {place}/")
        return [f"{place}/{file}" for file in names]

    def _decoded(self, file: str) -> Image.Image:
        """An image as RGB; Pillow fails in a dozen ways."""
        try:
            with Image.open(self.directory / file) as picture:
                if picture.mode not in MODES:
                    raise ValueError(f"pixels of the kind {picture.mode}, not 8 bits a channel")
                if picture.mode in ("P", "PA"):  # a palette with transparency warns otherwise
                    return picture.convert("RGBA").convert("RGB")
                return picture.convert("RGB")
        except Exception as error:
            why = "no image" if isinstance(error, UnidentifiedImageError) else str(error)
            got = f"{file}: {why[:60] or type(error).__name__}"
            raise self._wrong(got, UnreadableImageError) from error

    def _wrong(self, got: str, kind: type[InputError] = InputError) -> InputError:
        got = got.encode("ascii", "replace").decode()
        return kind(
            "data_dir", self.directory, must="hold train/CLASS/IMAGE and val/CLASS/IMAGE",
            got=got if len(got) <= 110 else "..." + got[-107:],
            because="the images are read from them", do="see ntkalign data where imagenet",
        )  # fmt: skip


def _seen(name: str) -> bool:
    """Whether a name is none that systems leave behind."""
    return not name.startswith(".") and name != "Thumbs.db"
