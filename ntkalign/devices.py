"""Which device computes, and weights over several of them, by JAX's own sharding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ntkalign.errors import InputError, unknown_name

DEVICES = ("auto", "cpu", "gpu")

T = TypeVar("T")


@contextmanager
def use(device: str) -> Iterator[None]:
    """Compute on a CPU or a GPU meanwhile; "auto" leaves the choice to JAX.

    This holds for the whole process, worker threads too: it is for commands, which own theirs.

    Raises:
        InputError: if JAX has no such device.
    """
    if device not in DEVICES:
        raise unknown_name("device", device, DEVICES, "JAX may have others, which were never tried")
    if device == "auto":
        yield
        return
    try:
        found = jax.devices(device)
    except RuntimeError as error:
        raise InputError(
            "device", device, must="be one that JAX has", got=f"only {jax.default_backend()}",
            because="nothing falls back silently", do="pip install 'ntkalign[gpu]', or pass auto",
        ) from error  # fmt: skip
    before = jax.config.values["jax_default_device"]
    jax.config.update("jax_default_device", found[0])  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        jax.config.update("jax_default_device", before)  # type: ignore[no-untyped-call]


def devices() -> list[jax.Device]:
    """All devices of the kind in use."""
    chosen = jax.config.values["jax_default_device"]  # JAX_DEFAULT_DEVICE is a name
    if chosen is None:
        return jax.devices()
    return jax.devices(chosen if isinstance(chosen, str) else chosen.platform)


@contextmanager
def drawing() -> Iterator[None]:
    """Draw on the CPU whatever device computes: the same network to the last bit on each.

    Raises:
        InputError: if JAX was told to leave the CPU alone.
    """
    try:
        cpu = jax.devices("cpu")[0]
    except RuntimeError as error:
        raise InputError(
            "JAX_PLATFORMS", jax.config.values["jax_platforms"], must="include cpu",
            got="others alone", because="networks are drawn there, the same for every device",
            do="set JAX_PLATFORMS=cuda,cpu, say, or leave it out",
        ) from error  # fmt: skip
    with jax.default_device(cpu):
        yield


def shard(parameters: T) -> T:
    """The same parameters where they are computed with.

    Each weight matrix is split by rows over all devices where that divides. Every product in the
    spectral engine then runs on all devices; XLA moves what must be moved.

    Args:
        parameters: arrays in any structure; those with two axes are weight matrices.

    Returns:
        The same structure.
    """
    every = devices()
    if len(every) == 1:
        return parameters if every[0].platform == "cpu" else jax.device_put(parameters, every[0])
    mesh = Mesh(np.array(every), ("units",))
    rows = NamedSharding(mesh, PartitionSpec("units", None))  # type: ignore[no-untyped-call]

    def split(array: jax.Array) -> jax.Array:
        divides = array.ndim == 2 and len(array) % len(every) == 0
        return jax.device_put(array, rows) if divides else array

    return jax.tree.map(split, parameters)
