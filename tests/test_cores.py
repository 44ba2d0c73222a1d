"""What stands in results has the same bits on one core and on all, as far as we sum ourselves."""

from __future__ import annotations

import os

import pytest

from tests.cores import printed

ENGINES_SUMS = """
import hashlib, json
import jax, jax.numpy as jnp, numpy as np
from ntkalign.flow.spectral import relaxation
from ntkalign.flow.spectral.acceleration import Acceleration
from ntkalign.precision import float64

rng = np.random.default_rng(0)
found = {"engine": [], "XLA": []}
square = jax.jit(lambda a: jnp.sum(a**2))
with float64():
    for nodes, rows, units in [(12, 8, 256), (12, 20, 512), (16, 8, 1024), (20, 12, 128)]:
        new, old, z = (jnp.asarray(rng.standard_normal((nodes * rows, units))) for _ in range(3))
        start = z[:rows]
        last = rng.standard_normal((2, nodes))
        found["engine"].append(float(relaxation._change((new, old), (old, new), z, new, start)))
        found["engine"].append(float(relaxation._tails((new, old), (z,), (start,), last)))
        acceleration = Acceleration((0, 1))
        for image in ((new, z), (old, new), (z, old)):
            found["engine"].append(acceleration.next((old, new), image)[1])
        found["XLA"] += [float(square(a)) for a in (new, old, z)]
print(json.dumps({name: [value.hex() for value in values] for name, values in found.items()}))
"""


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores, and a system that lets a process have one of them",
)
def test_the_engine_sums_alike_on_one_core_and_on_all() -> None:
    one, everything = printed(ENGINES_SUMS, CORES="1"), printed(ENGINES_SUMS)
    assert one["engine"] == everything["engine"]
    assert one["XLA"] != everything["XLA"]  # the control: why they are not XLA's
