"""Image sets as they are in their files: pixels as bytes, labels as whole numbers.

Every reader of an image set is here, and each gives the images in the order of the files. What
becomes of them is decided elsewhere: ``catalogue`` makes points of them for the theory's claims,
``training_sets`` makes sets to train on in minibatches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Int64, UInt8

from ntkalign.data.formats import (
    IDX_IMAGES,
    IDX_LABELS,
    Unreadable,
    cifar_records,
    idx,
    npz_array,
)  # fmt: skip
from ntkalign.data.pickles import cifar_batch
from ntkalign.errors import InputError, unknown_name
from ntkalign.values import folder as a_folder

CLASSES = 10
"""Of each of these sets."""
KMNIST_SIDE = 28
KMNIST_PARTS = {"train": ("train",), "t10k": ("test", "t10k")}
"""How the parts are called in idx files and in npz files; the first that is there is read."""
UNPACKED = ("cifar-10-batches-bin", "cifar-10-batches-py")
"""What CIFAR-10's archives unpack to; the folder above it will do."""


@dataclass(frozen=True)
class Images:
    """Labelled images of one set.

    Attributes:
        name: of the set.
        pixels: bytes, image × height × width × channel.
        labels: the class of each.
        classes: how many there are, which may be more than occur.
        white: the largest value that a pixel can have.
    """

    name: str
    pixels: UInt8[np.ndarray, "n H W c"]
    labels: Int64[np.ndarray, " n"]
    classes: int
    white: int = 255

    def __post_init__(self) -> None:
        fault = ""
        if not len(self.pixels) or not self.pixels.size:
            fault = "no images"
        elif len(self.pixels) != len(self.labels):
            fault = f"{len(self.pixels)} images and {len(self.labels)} labels"
        fault = fault or label_fault(self.labels, self.classes)
        if fault:
            raise InputError(
                "images", self.name, must="be images with a label each", got=fault,
                because="they are trained on", do="mend the set",
            )  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    def flat(self, chosen: Int[np.ndarray, " k"]) -> Float[np.ndarray, "k d"]:
        """Some images, each a row of pixels from 0 to 1, one channel after another as in files."""
        pixels = self.pixels[chosen].transpose(0, 3, 1, 2)
        return pixels.reshape(len(chosen), -1) / float(self.white)

    def counts(self) -> list[int]:
        """How many images there are of each class."""
        return np.bincount(self.labels, minlength=self.classes).tolist()


@dataclass(frozen=True)
class Content:
    """What one file holds: images, labels, or both."""

    pixels: UInt8[np.ndarray, "n H W c"] | None
    labels: UInt8[np.ndarray, " n"] | None


def read(name: str, directory: Path | None) -> Images:
    """All images of a set that may be trained on, in file order.

    Args:
        name: ``digits`` (bundled with scikit-learn), ``cifar10`` or ``kmnist``.
        directory: where the files of the last two lie.

    Returns:
        The images. Of ``cifar10``, those of the training files; of ``kmnist``, those of the
        training files, or of the test files where only these are there.

    Raises:
        InputError: if there is no such set, or its files cannot be read.
    """
    if name not in IMAGE_SETS:
        raise unknown_name("data", name, IMAGE_SETS, "only these are image sets")
    return IMAGE_SETS[name](directory)


def read_file(path: Path) -> Content:
    """One file of ``cifar10`` or ``kmnist``, by its name.

    Args:
        path: the file.

    Returns:
        Its images, its labels, or both.

    Raises:
        Unreadable: if it is not such a file.
    """
    pixels = labels = None
    side = (KMNIST_SIDE, KMNIST_SIDE)
    if re.fullmatch(r"(data|test)_batch(_\d+)?\.bin", path.name):
        pixels, labels = cifar_records(path)
    elif re.fullmatch(r"(data|test)_batch(_\d+)?", path.name):
        pixels, labels = cifar_batch(path)
    elif "images" in path.name:
        pixels = idx(path, IDX_IMAGES, side)[..., None]
    elif "labels" in path.name and path.suffix != ".npz":
        labels = idx(path, IDX_LABELS, ())
    elif "imgs" in path.name:
        pixels = npz_array(path, side)[..., None]
    elif "labels" in path.name:
        labels = npz_array(path, ())
    else:
        raise Unreadable(path, "no name of a file of an image set")
    if labels is not None and (fault := label_fault(labels.astype(np.int64), CLASSES)):
        raise Unreadable(path, fault)
    return Content(pixels, labels)


def label_fault(labels: Int64[np.ndarray, " n"], classes: int) -> str:
    """The first label that is no class, in words; nothing if there is none."""
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if not len(outside):
        return ""
    first = int(outside[0])
    return f"the label {labels[first]} of image {first}, not 0 to {classes - 1}"


def cifar10_files(folder: Path) -> list[Path]:
    """CIFAR-10's training files in numeric order: the binary version, or else the Python one."""
    for suffix in (r"\.bin", ""):
        for place in (folder, *(folder / name for name in UNPACKED)):
            files = {
                int(found[1]): path
                for path in sorted(place.glob("data_batch_*"))
                if path.is_file()
                and (found := re.fullmatch(rf"data_batch_(\d+){suffix}", path.name))
            }
            if files:
                return [files[number] for number in sorted(files)]
    return []


def kmnist_files(folder: Path, part: str) -> tuple[Path | None, Path | None]:
    """The files of the images and of the labels of a part: ``train`` or ``t10k``."""
    found: list[Path | None] = []
    for idx_name, npz_name in (("images{}idx3", "imgs"), ("labels{}idx1", "labels")):
        names = [
            f"{part}-{idx_name.format(dot)}-ubyte{packed}" for packed in (".gz", "") for dot in "-."
        ] + [f"kmnist-{called}-{npz_name}.npz" for called in KMNIST_PARTS[part]]
        found.append(_first(folder / name for name in names))
    return found[0], found[1]


def check_folder(name: str, directory: Path | None) -> Path:
    """The folder of a set's files.

    Args:
        name: of the set.
        directory: what was given for it.

    Returns:
        It.

    Raises:
        InputError: if none was given, or there is none.
    """
    directory = a_folder("data_dir", directory) if directory is not None else None
    if directory is None or not directory.is_dir():
        raise InputError(
            "data_dir", directory, must=f"be the folder of the {name} files",
            got="nothing" if directory is None else "no such folder",
            because="these images are not bundled", do="give the folder, or use the data digits",
        )  # fmt: skip
    return directory


def unreadable(name: str, folder: Path, why: str) -> InputError:
    """The error for a folder in which something is wrong, in one line."""
    return InputError(
        "data_dir", folder, must=f"hold the original {name} files", got=why,
        because="the images are read from them", do=f"see ntkalign data where {name}",
    )  # fmt: skip


def _digits(directory: Path | None) -> Images:
    from sklearn.datasets import load_digits  # takes a second, in every worker

    found = load_digits()
    pixels = found.images.astype(np.uint8)[..., None]
    return Images("digits", pixels, found.target.astype(np.int64), CLASSES, white=16)


def _kmnist(directory: Path | None) -> Images:
    folder = check_folder("kmnist", directory)
    for part in KMNIST_PARTS:
        images, labels = kmnist_files(folder, part)
        if images and labels:
            return _joined("kmnist", folder, [images, labels])
        if images or labels:
            kind = "labels-idx1" if images else "images-idx3"
            there = (images or labels or folder).name
            raise unreadable(
                "kmnist", folder, f"no file named {part}-{kind}-ubyte[.gz] beside {there}"
            )
    raise unreadable("kmnist", folder, "no file named train-images-idx3-ubyte[.gz]")


def _cifar10(directory: Path | None) -> Images:
    folder = check_folder("cifar10", directory)
    files = cifar10_files(folder)
    packed = _first(folder / f"cifar-10-{form}.tar.gz" for form in ("binary", "python"))
    if not files and packed:
        raise unreadable("cifar10", folder, f"{packed.name}, which is still packed")
    if not files:
        raise unreadable("cifar10", folder, "no file named data_batch_*.bin or data_batch_*")
    return _joined("cifar10", folder, files)


def _joined(name: str, folder: Path, files: list[Path]) -> Images:
    """The content of some files, one after another."""
    try:
        contents = [read_file(path) for path in files]
    except Unreadable as error:
        raise unreadable(name, folder, str(error)) from error
    pixels = np.concatenate(
        [np.ascontiguousarray(c.pixels) for c in contents if c.pixels is not None]
    )
    labels = np.concatenate([c.labels for c in contents if c.labels is not None])
    if len(pixels) != len(labels):
        raise unreadable(name, folder, f"{len(pixels)} images and {len(labels)} labels")
    return Images(name, pixels, labels.astype(np.int64), CLASSES)


def _first(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


IMAGE_SETS: dict[str, Callable[[Path | None], Images]] = {
    "digits": _digits,
    "cifar10": _cifar10,
    "kmnist": _kmnist,
}
"""The sets whose images all fit in memory, in the order in which errors list them."""
