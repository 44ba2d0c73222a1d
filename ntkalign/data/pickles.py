"""CIFAR-10's Python version: pickles, read without running anything that they contain.

A pickle is a small program that may call any function. This reader knows the few names that stand
in a pickled array, and for each it puts down what was called with what, and calls nothing; a pickle
with any other name is refused. The array is put together afterwards from what was put down.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ntkalign.data.formats import CIFAR_RECORD, Records, Unreadable, from_planes, reading

RECONSTRUCT, FROM_BUFFER, ENCODE = "_reconstruct", "_frombuffer", "encode"
KNOWN = frozenset(
    {
        ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", ENCODE),
        *((f"numpy.{core}.multiarray", RECONSTRUCT) for core in ("core", "_core")),
        *((f"numpy.{core}.numeric", FROM_BUFFER) for core in ("core", "_core")),
    }
)  # fmt: skip
"""Names that a pickled array holds, in NumPy 1 and 2 and in the protocols 0 to 5."""


class _Call:
    """What was called with what, and the state it was given: nothing is run."""

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: str, arguments: tuple[Any, ...]):
        self.name, self.arguments, self.state = name, arguments, ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Name:
    """The stand-in of a name in a pickle; a new one each time, so that none can be changed."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    def __call__(self, *arguments: Any) -> _Call:
        return _Call(self.name, arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a name that is changed")


class _Reader(pickle._Unpickler):
    """The reader written in Python: that in C reserves memory at a damaged pickle's word."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"a pickle that calls {module}.{name}, which is not done")
        return _Name(name)


def cifar_batch(path: Path) -> Records:
    """A batch of CIFAR-10's Python version.

    Args:
        path: the file: a pickled dictionary with ``data`` (n, 3072) of bytes and ``labels``.

    Returns:
        The images, height × width × channel, and their labels.

    Raises:
        Unreadable: if it is anything else.
    """
    with reading(path):
        content = _Reader(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    if not isinstance(content, dict):
        raise Unreadable(path, "a pickle that is no dictionary")
    named = {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in content.items()}
    rows, labels = _bytes(path, named.get("data")), named.get("labels")
    if (
        not isinstance(labels, list)
        or len(labels) != len(rows)
        or not all(type(label) is int and 0 <= label < 256 for label in labels)
    ):
        raise Unreadable(path, f"no list of {len(rows)} labels beside as many images")
    return from_planes(rows), np.array(labels, np.uint8)


def _bytes(path: Path, made: object) -> UInt8[np.ndarray, "n 3072"]:
    """The array that was described, if it is of bytes with the pixels of an image a row."""
    parts: tuple[Any, ...] = ()
    if isinstance(made, _Call) and made.name == RECONSTRUCT and isinstance(made.state, tuple):
        parts = made.state[1:]  # after the version: shape, type, order, bytes
    elif isinstance(made, _Call) and made.name == FROM_BUFFER and len(made.arguments) == 4:
        raw, kind, shape, order = made.arguments
        parts = (shape, kind, order != "C", raw)
    width = CIFAR_RECORD - 1
    if len(parts) == 4:
        shape, kind, fortran, raw = parts
        raw = _encoded(raw)
        if (
            isinstance(kind, _Call)
            and kind.name == "dtype"
            and kind.arguments[:1] in (("u1",), (b"u1",))
            and not fortran
            and isinstance(raw, bytes | bytearray)
            and len(raw) >= width
            and shape == (len(raw) // width, width)
            and len(raw) % width == 0
        ):
            return np.frombuffer(raw, np.uint8).reshape(-1, width)
    raise Unreadable(path, f"no array called data of bytes (n, {width})")


def _encoded(raw: object) -> object:
    """Bytes, where old protocols keep them as text."""
    if isinstance(raw, _Call) and raw.name == ENCODE and raw.arguments[1:] == ("latin1",):
        raw = raw.arguments[0]
    if isinstance(raw, str):
        try:
            return raw.encode("latin1")
        except UnicodeEncodeError:
            return None
    return raw
