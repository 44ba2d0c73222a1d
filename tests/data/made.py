"""Files of image sets with few images, made here in the formats of the real ones."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
from PIL import Image

COUNT = 20


def some(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def labels(count: int = COUNT) -> np.ndarray:
    return (np.arange(count) * 7 % 10).astype(np.uint8)


def idx_bytes(array: np.ndarray, magic: int, count: int | None = None) -> bytes:
    lengths = (len(array) if count is None else count, *array.shape[1:])
    return struct.pack(f">{1 + len(lengths)}I", magic, *lengths) + array.tobytes()


def kmnist(
    folder: Path, *, part: str = "train", dot: str = "-", packed: bool = True, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Both idx files of a part; gives their images and labels."""
    images = some((COUNT, 28, 28), seed)
    for name, raw in (
        (f"{part}-images{dot}idx3-ubyte", idx_bytes(images, 2051)),
        (f"{part}-labels{dot}idx1-ubyte", idx_bytes(labels(), 2049)),
    ):
        (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(raw) if packed else raw)
    return images, labels()


def kmnist_npz(folder: Path, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    images = some((COUNT, 28, 28), 1)
    np.savez_compressed(folder / f"kmnist-{part}-imgs.npz", images)
    np.savez_compressed(folder / f"kmnist-{part}-labels.npz", labels())
    return images, labels()


def planes(count: int = COUNT, seed: int = 2) -> np.ndarray:
    return some((count, 3072), seed)


def cifar_bin(path: Path, count: int = COUNT, seed: int = 2) -> np.ndarray:
    """A file of the binary version; gives its images, height × width × channel."""
    rows = planes(count, seed)
    path.write_bytes(np.concatenate([labels(count)[:, None], rows], axis=1).tobytes())
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def batch(count: int = COUNT, seed: int = 2) -> dict[str, object]:
    """What a file of the Python version holds."""
    return {
        "batch_label": "training batch 1 of 5", "labels": labels(count).tolist(),
        "data": planes(count, seed), "filenames": ["a.png"] * count,
    }  # fmt: skip


def cifar_python2(count: int = COUNT, seed: int = 2) -> bytes:
    """A batch as Python 2 wrote the official ones: protocol 2, and bytes as old strings."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    rows = planes(count, seed)
    raw = b"T" + struct.pack("<I", rows.size) + rows.tobytes()
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + (
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )  # fmt: skip
    shape = b"M" + struct.pack("<H", count) + b"M\x00\x0c\x86"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        b"(K\x01" + shape + dtype + b"\x89" + raw + b"tb"
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels(count)) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + b"u."


def image_folder(folder: Path, classes: str = "abc", train: int = 4, val: int = 2) -> Path:
    """Small pictures in ``train/CLASS`` and ``val/CLASS``, so many of each class; each its own."""
    for part, count, first in (("train", train, 0), ("val", val, 100)):
        for number, name in enumerate(classes):
            place = folder / part / name
            place.mkdir(parents=True)
            for i in range(count):
                pixels = some((24 + i, 30, 3), seed=first + 10 * number + i)
                Image.fromarray(pixels).save(place / f"{i}.png")
    return folder


def pickled(content: object, protocol: int = 2) -> bytes:
    return pickle.dumps(content, protocol=protocol)
