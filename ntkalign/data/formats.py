"""The files that image sets come in, one at a time: CIFAR-10's records, idx files, npz files.

What a file says of itself is compared with what it holds, and no memory is reserved on its word.
A file that is not what it should be is ``Unreadable``: its name and what is wrong with it.
"""

from __future__ import annotations

import ast
import contextlib
import gzip
import math
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

CIFAR_SIDE = 32
CIFAR_RECORD = 1 + 3 * CIFAR_SIDE**2
IDX_IMAGES, IDX_LABELS = 2051, 2049
LARGEST = 2**30
"""Bytes of an array; a file that claims more is no image set of this kind."""
LONGEST = 110
"""Characters of what is said of a file: libraries quote what is in it."""
_PIECE = 2**20

Records = tuple[UInt8[np.ndarray, "n H W c"], UInt8[np.ndarray, " n"]]


class Unreadable(Exception):  # noqa: N818
    """A file is not what its name says: which file, and in few words why."""

    def __init__(self, path: Path, why: str):
        text = f"{path.name}: {why}".encode("ascii", "replace").decode()
        super().__init__(text if len(text) <= LONGEST else text[: LONGEST - 3] + "...")


def cifar_records(path: Path) -> Records:
    """A file of CIFAR-10's binary version: records of a label and the planes R, G, B.

    Args:
        path: the file; it may hold any number of records.

    Returns:
        The images, height × width × channel, and their labels.

    Raises:
        Unreadable: if it holds none, or a part of one.
    """
    with reading(path):
        raw = path.read_bytes()
    if not raw:
        raise Unreadable(path, "an empty file")
    if len(raw) % CIFAR_RECORD:
        raise Unreadable(path, f"a size ({len(raw)}) that is no multiple of {CIFAR_RECORD} bytes")
    records = np.frombuffer(raw, np.uint8).reshape(-1, CIFAR_RECORD)
    return from_planes(records[:, 1:]), records[:, 0]


def from_planes(rows: UInt8[np.ndarray, "n d"]) -> UInt8[np.ndarray, "n H W c"]:
    """CIFAR-10's rows, which are the planes R, G, B, as height × width × channel."""
    return rows.reshape(-1, 3, CIFAR_SIDE, CIFAR_SIDE).transpose(0, 2, 3, 1)


def idx(path: Path, magic: int, each: tuple[int, ...]) -> UInt8[np.ndarray, "n ..."]:
    """An idx file of bytes, compressed if its name ends in .gz.

    Args:
        path: the file.
        magic: the number that it must begin with, which says what is in it.
        each: the shape of one of the things in it: (28, 28) for an image, () for a label.

    Returns:
        All of them.

    Raises:
        Unreadable: if the header and the content are not such a file.
    """
    with reading(path), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        words = 2 + len(each)
        header = file.read(4 * words)
        if len(header) < 4 * words:
            raise Unreadable(path, f"{len(header)} bytes, less than a header")
        found, count, *shape = struct.unpack(f">{words}I", header)
        if found != magic:
            raise Unreadable(path, f"the magic number {found}, which should be {magic}")
        if tuple(shape) != each:
            raise Unreadable(path, f"images of {_product(shape)} pixels, not {_product(each)}")
        return _array(path, file.read, Header("|u1", (count, *each), False))


def npz_array(path: Path, each: tuple[int, ...]) -> UInt8[np.ndarray, "n ..."]:
    """The array ``arr_0`` of an npz file; only bytes are read, never objects.

    Args:
        path: the file.
        each: the shape of one of the things in it.

    Returns:
        All of them.

    Raises:
        Unreadable: if the archive holds no such array.
    """

    def fault(header: Header) -> str:
        kind, shape = header.kind, header.shape
        if kind == "|u1" and not header.fortran and shape and shape[1:] == each:
            return ""
        wanted = "(n" + "".join(f", {length}" for length in each) + ")"
        return f"{kind} {shape}, where bytes |u1 {wanted} should be"

    return npz_member(path, "arr_0", fault)


@dataclass(frozen=True)
class Header:
    """What an array says of itself: its numbers' kind, its shape, its order."""

    kind: str
    shape: tuple[int, ...]
    fortran: bool


def npz_member(path: Path, name: str, fault: Callable[[Header], str]) -> np.ndarray:
    """An array of an npz file; numbers and text are read, never objects.

    Args:
        path: the file.
        name: of the array.
        fault: what is wrong with a header, in few words; nothing if it may be read.

    Returns:
        The array.

    Raises:
        Unreadable: if the archive holds no such array.
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        found = archive.namelist().count(f"{name}.npy")
        if found != 1:
            how = f"{found} arrays called {name}" if found else f"without the array {name}"
            raise Unreadable(path, f"an archive {'with ' * bool(found)}{how}")
        with archive.open(f"{name}.npy") as file:
            start = file.read(10)
            if start[:6] != b"\x93NUMPY" or len(start) < 10:
                raise Unreadable(path, f"an {name} that is no NumPy array")
            if start[6] != 1:
                raise Unreadable(path, f"an array in version {start[6]} of NumPy's format, not 1")
            said = ast.literal_eval(file.read(struct.unpack("<H", start[8:])[0]).decode("ascii"))
            header = Header(str(said["descr"]), tuple(said["shape"]), bool(said["fortran_order"]))
            if why := fault(header):
                raise Unreadable(path, why)
            return _array(path, file.read, header)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of any failure to read which file it was; archives fail in a dozen ways.

    Args:
        path: the file.

    Yields:
        Nothing.

    Raises:
        Unreadable: for whatever goes wrong.
    """
    try:
        yield
    except Unreadable:
        raise
    except Exception as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Unreadable(path, f"{why.strip() or type(error).__name__}") from error


def _array(path: Path, read: Callable[[int], bytes], header: Header) -> np.ndarray:
    """The rest of a file, which must be so many bytes and no more."""
    kind, shape = np.dtype(header.kind), header.shape
    size = math.prod(shape) * kind.itemsize
    if (
        kind.hasobject
        or not all(isinstance(length, int) and length >= 0 for length in shape)
        or size > LARGEST
    ):
        claim = f"{shape[0]} of them" if shape else header.kind
        raise Unreadable(path, f"a header that claims {claim}")
    raw = bytearray()
    while len(raw) <= size and (piece := read(min(_PIECE, size + 1 - len(raw)))):
        raw += piece
    if len(raw) != size:
        held = f"only {len(raw)} bytes, and" if len(raw) < size else "more bytes than the"
        raise Unreadable(path, f"{held} {size} that its header says")
    if not size:
        raise Unreadable(path, "a header and nothing after it")
    return np.frombuffer(raw, kind).reshape(shape, order="F" if header.fortran else "C")


def _product(lengths: tuple[int, ...] | list[int]) -> str:
    return "x".join(map(str, lengths))
