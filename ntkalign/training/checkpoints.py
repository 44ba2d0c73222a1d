"""Where a training run stands, on disk: arrays and plain values, nothing that runs when it is read.

A checkpoint is NumPy's archive of the state's arrays, in the order of its structure, a text in
JSON, and the digest of both. It is written in whole or not at all. The structure itself is not
stored: whoever reads a checkpoint makes the state of time 0 first, and a file that does not fit it,
or is damaged, is no checkpoint.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkalign.files import write

_TEXT, _DIGEST = "text", "digest"


class Checkpoint(NamedTuple):
    """A state and what belongs to it."""

    state: Any  # arrays in any structure
    text: dict[str, Any]  # plain values


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in the place of an older one.

    Raises:
        CannotWriteError: if it cannot be written; the older one is as it was.
    """
    leaves = jax.tree.leaves(checkpoint.state)
    arrays = {f"array-{number}": np.asarray(leaf) for number, leaf in enumerate(leaves)}
    arrays[_TEXT] = np.frombuffer(json.dumps(checkpoint.text).encode(), np.uint8)
    archive = io.BytesIO()
    np.savez(archive, allow_pickle=False, **arrays, **{_DIGEST: _digest(arrays)})
    write(path, archive.getbuffer())


def load(path: Path, like: Any) -> Checkpoint | None:
    """Read a checkpoint.

    Args:
        path: where it is, perhaps.
        like: a state of the same structure.

    Returns:
        The checkpoint; None if there is none, or none that is whole and fits.
    """
    leaves, structure = jax.tree.flatten(like)
    try:
        with path.open("rb") as raw, zipfile.ZipFile(raw):
            raw.seek(0)
            file = dict(np.load(raw, allow_pickle=False))
        digest = file.pop(_DIGEST)
        if len(file) != len(leaves) + 1 or not np.array_equal(digest, _digest(file)):
            return None
        text = json.loads(file[_TEXT].tobytes())
        arrays = [file[f"array-{number}"] for number in range(len(leaves))]
    except (OSError, EOFError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile):
        return None  # RuntimeError: a flag says encrypted, or packed in an unknown way
    for array, leaf in zip(arrays, leaves, strict=True):
        if array.shape != leaf.shape or array.dtype != leaf.dtype:
            return None
    return Checkpoint(jax.tree.unflatten(structure, map(jnp.array, arrays)), text)


def _digest(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The SHA-256 of arrays and their names, types and shapes."""
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        found.update(repr((name, array.dtype.str, array.shape)).encode())
        found.update(np.ascontiguousarray(array).data)
    return np.frombuffer(found.digest(), np.uint8)
