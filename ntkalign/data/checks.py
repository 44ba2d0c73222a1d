"""Whether a folder holds a data set: the whole official one, a part that can be read, or neither.

Each file is read by the reader that training uses, and compared with what is published of it. What
is not whole may still be used, and how many images there are is said; what cannot be read is said
in the line that a run would end with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ntkalign.data.formats import Unreadable
from ntkalign.data.imagenet import PARTS, ImageFolder
from ntkalign.data.images import (
    KMNIST_PARTS,
    UNPACKED,
    cifar10_files,
    kmnist_files,
    read,
    read_file,
)
from ntkalign.data.sets import FILES, SETS, DataSet, SourceFile
from ntkalign.errors import InputError
from ntkalign.values import folder

WHOLE, READABLE, BROKEN, ABSENT = "whole", "readable", "broken", "absent"
IMAGENET_VAL = 50_000


@dataclass(frozen=True)
class FileCheck:
    """A file: its name, how it is (whole, readable, broken or absent), and what it holds."""

    file: str
    status: str
    detail: str


@dataclass(frozen=True)
class Checked:
    """What a folder holds of a set.

    Attributes:
        name: of the set.
        files: the official files of the forms that are there, and others that are used.
        counts: how many images there are to train on, class by class; empty if it is broken.
        status: whole, readable or broken.
        fault: the line that a run with this folder would end with, if it is broken.
    """

    name: str
    files: tuple[FileCheck, ...]
    counts: tuple[int, ...]
    status: str
    fault: InputError | None = None

    @property
    def images(self) -> int:
        """How many there are to train on."""
        return sum(self.counts)

    @property
    def labels(self) -> tuple[int, int]:
        """The smallest and the largest class that occurs."""
        present = np.flatnonzero(self.counts)
        return int(present[0]), int(present[-1])


def check(name: str, directory: Path) -> Checked:
    """Look at everything in a folder that belongs to a set.

    Args:
        name: of a set that is read from files: ``cifar10``, ``kmnist`` or ``imagenet``.
        directory: the folder.

    Returns:
        What is there. A folder that cannot be used is no error here, but its ``fault``.

    Raises:
        InputError: if there is no such set, or it is not read from files.
    """
    entry, directory = SETS.lookup(name), folder("data_dir", directory)
    if entry.source != FILES:
        raise InputError(
            "name", name, must="be a set that is read from files", got=repr(name),
            because=f"{name} is {entry.source}", do="name cifar10, kmnist or imagenet",
        )  # fmt: skip
    look = _imagenet if name == "imagenet" else _in_memory
    return look(entry, directory)


def _in_memory(entry: DataSet, directory: Path) -> Checked:
    used = [path for path in USED[entry.name](directory) if path is not None]
    files = tuple(_files(entry, directory, used))
    try:
        images = read(entry.name, directory)
    except InputError as error:
        return Checked(entry.name, files, (), BROKEN, error)
    counts = tuple(images.counts())
    official = {source.name for source in entry.files if source.trains}
    whole = (
        {row.status for row in files if Path(row.file).name in official} == {WHOLE}
        and {path.name for path in used} <= {source.name for source in entry.files}
        and set(counts) == {entry.images // entry.classes}
    )
    return Checked(entry.name, files, counts, WHOLE if whole else READABLE)


def _files(entry: DataSet, directory: Path, used: list[Path]) -> Iterator[FileCheck]:
    """A row for each official file of a form that is there, and for others that are used."""
    found = {source: _place(directory, source.name) for source in entry.files}
    forms = {source.form for source, path in found.items() if path}
    for source, path in found.items():
        if path:
            name = path.relative_to(directory).as_posix()
            yield FileCheck(name, *(_archive if not source.holds else _content)(path, source))
        elif source.form in forms and source.holds:
            yield FileCheck(source.name, ABSENT, f"{source.holds} in the official file")
    for path in used:
        if path not in found.values():
            yield FileCheck(path.relative_to(directory).as_posix(), *_content(path, None))


def _place(directory: Path, name: str) -> Path | None:
    places = (directory / name, *(directory / folder / name for folder in UNPACKED))
    return next((path for path in places if path.is_file()), None)


def _content(path: Path, source: SourceFile | None) -> tuple[str, str]:
    """How a file of images or labels is, and what is in it."""
    try:
        content = read_file(path)
    except Unreadable as error:
        return BROKEN, str(error).removeprefix(f"{path.name}: ")
    what = "labels" if content.pixels is None else "images"
    held = content.labels if content.pixels is None else content.pixels
    count = 0 if held is None else len(held)
    detail = f"{count} {what}"
    if source is None:
        return READABLE, f"{detail}, under another name than the official file"
    if count != source.holds:
        return READABLE, f"{detail} of {source.holds}"
    status, same = _as_published(path, source)
    return status, f"{detail}, {same}"


def _archive(path: Path, source: SourceFile) -> tuple[str, str]:
    status, same = _as_published(path, source)
    return status, f"packed, {same}; not read"


def _as_published(path: Path, source: SourceFile) -> tuple[str, str]:
    """Whether size and checksum are those that are published."""
    size = path.stat().st_size
    if source.size is not None and size != source.size:
        return READABLE, f"{size} bytes where {source.size} are published"
    if source.md5 is not None:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
        if found.hexdigest() != source.md5:
            return READABLE, "not the published checksum"
        return WHOLE, "the published checksum"
    return WHOLE, "no checksum is published"


def _imagenet(entry: DataSet, directory: Path) -> Checked:
    """Both parts are listed, and one image of each class is decoded; all would take hours."""
    rows: list[FileCheck] = []
    counts: tuple[int, ...] = ()
    fault = None
    for part, official in zip(PARTS, (entry.images, IMAGENET_VAL), strict=True):
        if part != PARTS[0] and not (directory / part).is_dir():
            rows.append(FileCheck(f"{part}/", ABSENT, "nothing to measure on"))
            continue
        try:
            images = ImageFolder(directory, part)
            firsts = np.unique(images.labels, return_index=True)[1]
            for first in firsts:
                images.image(int(first))
        except InputError as error:
            rows.append(FileCheck(f"{part}/", BROKEN, error.detail))
            fault = fault or error
            continue
        classes = len(images.classes)
        whole = (len(images), classes) == (official, entry.classes)
        detail = f"{len(images)} images of {classes} classes, one of each decoded"
        rows.append(FileCheck(f"{part}/", WHOLE if whole else READABLE, detail))
        if part == PARTS[0]:
            counts = tuple(np.bincount(images.labels, minlength=classes).tolist())
    if fault:
        return Checked(entry.name, tuple(rows), (), BROKEN, fault)
    whole = {row.status for row in rows} == {WHOLE}
    return Checked(entry.name, tuple(rows), counts, WHOLE if whole else READABLE)


def _kmnist_used(directory: Path) -> list[Path | None]:
    return [path for part in KMNIST_PARTS for path in kmnist_files(directory, part)]


USED: dict[str, Callable[[Path], list[Path | None]]] = {
    "cifar10": lambda directory: [*cifar10_files(directory)],
    "kmnist": _kmnist_used,
}
"""The files that are read, or would be."""
