"""Weights over several devices, by JAX's own sharding."""

from __future__ import annotations

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ntkalign.networks import Parameters


def shard(parameters: Parameters) -> Parameters:
    """The same parameters, each weight matrix split by rows over all devices where that divides.

    Every product in the spectral engine then runs on all devices; XLA moves what must be moved.
    """
    devices = jax.devices()
    if len(devices) == 1:
        return parameters
    mesh = Mesh(np.array(devices), ("units",))
    rows = NamedSharding(mesh, PartitionSpec("units", None))  # type: ignore[no-untyped-call]
    return tuple(
        layer._replace(weight=jax.device_put(layer.weight, rows))
        if layer.weight.shape[0] % len(devices) == 0
        else layer
        for layer in parameters
    )
