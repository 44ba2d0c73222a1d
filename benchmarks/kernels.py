"""Empirical kernels: the layerwise identity beside neural-tangents' own.

    python benchmarks/kernels.py compare --widths 256,1024
    python benchmarks/kernels.py large --points 1000 --width 4096

``compare`` runs both on the same network and points in turn, each in a process of its own, so that
the memory shown is what it takes; ``large`` runs ours alone. "Floor" is how many times longer ours
takes than its products alone would at the speed of a large float64 product, measured beside it.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import resource
import subprocess
import sys
import time
from typing import Annotated

import tyro

DEPTH, INPUTS, OUTPUTS = 4, 64, 2


@dataclasses.dataclass(frozen=True)
class Compare:
    """Ours, Jacobian contraction and NTK-vector products, side by side."""

    widths: str = "256,1024"
    """hidden units m"""
    points: int = 16
    """P"""


@dataclasses.dataclass(frozen=True)
class Large:
    """Ours alone."""

    width: int = 4096
    """hidden units m"""
    points: int = 1000
    """P"""
    batch: int = 512
    """points held at once"""


@dataclasses.dataclass(frozen=True)
class One:
    """One measurement, in a process of its own; prints JSON."""

    method: str
    width: int
    points: int
    batch: int


def one(job: One) -> None:
    """Seconds with and without compilation, peak memory, and a checksum."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import numpy as np

    from ntkalign.kernels import nt
    from ntkalign.kernels.empirical import empirical
    from ntkalign.networks.activations import lookup as activation
    from ntkalign.networks.family import Family

    network = Family(DEPTH, activation("tanh")).network(job.width, (INPUTS,), OUTPUTS)
    start = network.initialise(jax.random.key(0))
    x = jax.numpy.asarray(np.random.default_rng(0).standard_normal((job.points, INPUTS)))
    if job.method == "ours":

        def work() -> np.ndarray:
            return empirical(network, start, x, batch=job.batch).ntk
    else:
        number = {"jacobian": 1, "products": 2}[job.method]
        function = jax.jit(
            nt.empirical_ntk_fn(
                lambda p, x: network.forward(p, x).output, trace_axes=(),
                implementation=nt.NtkImplementation(number),
            ),
            static_argnums=1,
        )  # fmt: skip

        def work() -> np.ndarray:
            return np.asarray(function(x, None, start))

    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - began)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        json.dumps(
            {
                "first": seconds[0],
                "seconds": min(seconds[1:]),
                "gib": memory,
                "sum": float(np.abs(found).sum()),
                "floor": operations(network.widths, job.points) * per_operation(),
            }
        )
    )


def operations(widths: tuple[int, ...], points: int) -> float:
    """Multiplications and additions: forward, backward for every output, half the Gram matrices."""
    weights = [m * k for m, k in itertools.pairwise(widths)]
    rows = points * widths[-1]
    passes = points * sum(weights) + rows * sum(weights[1:])
    grams = points**2 * sum(widths[:-1]) + rows**2 * sum(widths[1:])
    return 2.0 * passes + grams


def per_operation(size: int = 3072) -> float:
    """Seconds, at the best of three large float64 products."""
    import jax.numpy as jnp

    a, seconds = jnp.ones((size, size)), []
    for _ in range(4):
        began = time.perf_counter()
        (a @ a).block_until_ready()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:]) / (2 * size**3)


def measured(method: str, width: int, points: int, batch: int = 512) -> dict[str, float] | None:
    """The measurement in its own process; None if it did not end well."""
    flags = [f"--{k}={v}" for k, v in (("width", width), ("points", points), ("batch", batch))]
    done = subprocess.run(
        [sys.executable, __file__, "one", f"--method={method}", *flags],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def show(method: str, width: int, points: int, found: dict[str, float] | None) -> None:
    """One row of Markdown."""
    cells = [method, str(width), str(points)]
    if found is None:
        cells += ["failed (out of memory?)", "", "", "", ""]
    else:
        cells += [f"{found[k]:.3g}" for k in ("first", "seconds", "gib")]
        ours = method == "ours"
        cells += [
            f"{found['seconds'] / found['floor']:.2g}" if ours else "",
            f"{found['sum']:.12g}",
        ]
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Run what is asked."""
    kind = Annotated[Compare, tyro.conf.subcommand("compare")] | Annotated[
        Large, tyro.conf.subcommand("large")
    ] | Annotated[One, tyro.conf.subcommand("one")]  # fmt: skip
    job: Compare | Large | One = tyro.cli(kind, description=__doc__)
    if isinstance(job, One):
        one(job)
        return
    print("| method | width | points | first s | s | GiB | floor | Σ|Θ| |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    if isinstance(job, Large):
        show("ours", job.width, job.points, measured("ours", job.width, job.points, job.batch))
        return
    for width in (int(m) for m in job.widths.split(",")):
        for method in ("ours", "jacobian", "products"):
            show(method, width, job.points, measured(method, width, job.points))


if __name__ == "__main__":
    main()
