"""How fast the spectral engine is, how far above its floor, and how much memory it takes.

    python benchmarks/flow.py speed --widths 512,1024,2048
    python benchmarks/flow.py floor --widths 4096,8192
    python benchmarks/flow.py scale --widths 2048,4096,8192,16384
    python benchmarks/flow.py rules --widths 4096,16384
    python benchmarks/flow.py points --widths 2048 --points 8,16,50,100,200 --tolerance 1e-6

``speed`` runs the Normal rule at depth 4, P = 16, C = 2 beside what a JAX user would write today:
diffrax on the parameters as a pytree, jitted, the best of Tsit5, Dopri5 and Dopri8; each, and ours,
at the loosest tolerance that reaches an error of 1e-8 in the output at width 512. ``floor`` divides
the time by that of the products that were needed at the measured rate of a float64 matrix product.
``scale`` fits exponents of time and memory against width, one process per width; ``rules`` does it
for all rules and everything that claims need. ``points`` has one process for each number of
training points, and sets its time against the products that cannot be avoided: with W(0), and what
the weights' motion takes in the form that was chosen, in float32.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from ntkalign import ACTIVATIONS, Family, FlowOptions, FullyConnected, Outcome, gradient_flow
from ntkalign.cells.cell import Cell
from ntkalign.cells.flow import measure_cell
from ntkalign.claims.claim import MAIN
from ntkalign.claims.questions import questions
from ntkalign.data.catalogue import load
from ntkalign.flow.problem import Problem
from ntkalign.flow.spectral.spectral_flow import SpectralFlow
from ntkalign.kernels.training_time import choose_time
from ntkalign.rules import NORMAL
from ntkalign.runs.settings import Settings
from ntkalign.runs.sweep import needed, specify

jax.config.update("jax_enable_x64", True)  # plain JAX, too, is timed in float64

PROGRESS = Console(stderr=True)  # not among what is kept of a benchmark
DEPTH, POINTS, OUTPUTS = 4, 16, 2
ERROR = 1e-8
ONCE = 4096
"""From this width on only the quickest of the dense methods runs, once, in a process of its own."""
SOLVERS = {"Tsit5": diffrax.Tsit5(), "Dopri5": diffrax.Dopri5(), "Dopri8": diffrax.Dopri8()}


@dataclasses.dataclass(frozen=True)
class Setting:
    """Depth 4, 16 points on the sphere, 2 outputs, the time that ``verify`` would choose."""

    width: int
    depth: int = DEPTH
    seed: int = 0
    points: int = POINTS

    @property
    def network(self) -> FullyConnected:
        """The architecture."""
        hidden = (self.width,) * (self.depth - 1)
        return FullyConnected((32, *hidden, OUTPUTS), ACTIVATIONS["tanh"])

    def data(self) -> tuple[jax.Array, jax.Array, float]:
        """Inputs, targets and T."""
        data = load("sphere", points=self.points, outputs=OUTPUTS)
        final = choose_time(Family(self.depth, ACTIVATIONS["tanh"]), data)
        return jnp.asarray(data.x), jnp.asarray(data.y), final

    def start(self, dtype: Any) -> Any:
        """Parameters at time 0."""
        return self.network.initialise(jax.random.key(self.seed), dtype)


Known = tuple[jax.Array, jax.Array, float]


def spectral(
    setting: Setting, tolerance: float, data: Known | None = None
) -> tuple[SpectralFlow, float]:
    """A flow from scratch, the pass and Jacobian at time 0 included, and its seconds."""
    x, y, final = data or setting.data()
    start = jax.block_until_ready(setting.start(jnp.float32))
    began = time.perf_counter()
    problem = Problem.of(setting.network, start, x, y, np.array([final]))
    flow = gradient_flow(problem, NORMAL, FlowOptions("spectral", tolerance))
    assert isinstance(flow, SpectralFlow)
    assert flow.outcome is Outcome.REACHED, flow.outcome.value
    return flow, time.perf_counter() - began


def plain_jax(
    setting: Setting, solver: Any, tolerance: float, runs: int = 2
) -> tuple[np.ndarray, float, float]:
    """Gradient flow by automatic differentiation and diffrax: output, first and last seconds."""
    network, (x, y, final) = setting.network, setting.data()

    def loss(parameters: Any) -> jax.Array:
        return 0.5 * jnp.mean(jnp.sum((y - network.forward(parameters, x).output) ** 2, axis=1))

    @jax.jit
    def train(parameters: Any) -> jax.Array:
        field = diffrax.ODETerm(lambda t, p, args: jax.tree.map(jnp.negative, jax.grad(loss)(p)))
        solution = diffrax.diffeqsolve(
            field, solver, 0.0, final, None, parameters, max_steps=100_000,
            stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
        )  # fmt: skip
        return network.forward(jax.tree.map(lambda a: a[-1], solution.ys), x).output

    seconds = []
    for _ in range(runs):
        start = jax.block_until_ready(setting.start(jnp.float64))
        began = time.perf_counter()
        output = np.asarray(train(start))
        seconds.append(time.perf_counter() - began)
    return output, seconds[0], seconds[-1]


def apart(setting: Setting, name: str, tolerance: float) -> tuple[np.ndarray, float, float]:
    """One run of :func:`plain_jax` in a process of its own: it needs the memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(plain_jax, setting, SOLVERS[name], tolerance, 1).result()


def loosest(solved: Callable[[float], np.ndarray], truth: np.ndarray) -> float:
    """The loosest tolerance, by powers of √10, with which a method reaches the error."""
    for half_decades in range(12, 26):
        tolerance = 10 ** (-half_decades / 2)
        if np.abs(solved(tolerance) - truth).max() <= ERROR:
            return tolerance
    raise RuntimeError("no tolerance reaches the error")


def speed(widths: list[int], console: Console) -> None:
    """Against diffrax. Tolerances are found at width 512; the errors at each width are shown."""
    small = Setting(512)
    tight = plain_jax(small, SOLVERS["Dopri8"], 1e-13)[0]
    tolerances = {
        name: loosest(lambda tolerance, s=solver: plain_jax(small, s, tolerance)[0], tight)
        for name, solver in SOLVERS.items()
    }
    ours = loosest(lambda tolerance: spectral(small, tolerance)[0].output[-1], tight)
    table = Table(title=f"Normal, depth {DEPTH}, P = {POINTS}, C = {OUTPUTS}; seconds")
    for heading in ("width", "method", "error", "with compilation", "without", "× spectral"):
        table.add_column(heading, justify="right")
    chosen = list(SOLVERS)
    for width in widths:
        setting, took = Setting(width), dict[str, float]()
        truth = spectral(setting, 1e-11)[0].output[-1]
        (_, first), (flow, second) = spectral(setting, ours), spectral(setting, ours)
        error = np.abs(flow.output[-1] - truth).max()
        table.add_row(str(width), "spectral", f"{error:.0e}", f"{first:.2f}", f"{second:.2f}", "1")
        once = width >= ONCE
        for name in chosen[:1] if once else chosen:
            output, cold, warm = (
                apart(setting, name, tolerances[name]) if once
                else plain_jax(setting, SOLVERS[name], tolerances[name])
            )  # fmt: skip
            took[name] = warm
            table.add_row(
                "", name, f"{np.abs(output - truth).max():.0e}",
                f"{cold:.2f}", "" if once else f"{warm:.2f}", f"{warm / second:.0f}",
            )  # fmt: skip
            PROGRESS.print(f"[dim]width {width}: {name} done", highlight=False)
        chosen = sorted(took, key=lambda name: took[name])
        large, pairs = (part / 1e9 for part in operations(flow))
        console.print(
            f"width {width}: {flow.effort}, {[p.panel.nodes for p in flow.solution.panels]} nodes;"
            f" GFLOP with W(0) {large:.0f}, of rows with rows {pairs:.0f}", highlight=False,
        )  # fmt: skip
    console.print(table)


def product_rate(width: int, dtype: Any = jnp.float64, rows: int = 128) -> float:
    """Floating-point operations a second of a product of the shape that is used most."""
    multiply = jax.jit(lambda a, b: a @ b.T)
    a, b = jnp.ones((rows, width), dtype), jnp.ones((width, width), dtype)
    best = math.inf
    for _ in range(5):
        began = time.perf_counter()
        jax.block_until_ready(multiply(a, b))
        best = min(best, time.perf_counter() - began)
    return 2 * a.size * width / best


def operations(flow: SpectralFlow) -> tuple[float, float]:
    """Operations of the products that the flow needed: with W(0), and for the motion."""
    width, solution = flow.network.widths[1], flow.solution
    known = POINTS * (1 + OUTPUTS) * (flow.network.depth - 2)  # activities, Jacobian at time 0
    large = 2.0 * width**2 * (solution.columns + known)
    rows = max(p.panel.nodes for p in solution.panels) * POINTS
    per_iteration = 2 * (flow.network.depth - 1) * 2 * 2 * rows**2 * width  # both ways, two each
    return large, solution.iterations * per_iteration


def floor(widths: list[int], console: Console) -> None:
    """Time over that of the needed products at the float64 rate."""
    table = Table(title="time over the floor: needed products at the measured float64 rate")
    for heading in ("width", "seconds", "iterations", "operations", "GFLOP/s", "time / floor"):
        table.add_column(heading, justify="right")
    for width in widths:
        setting = Setting(width)
        spectral(setting, 1e-6)
        rate = product_rate(width)
        flow, seconds = min((spectral(setting, 1e-6) for _ in range(3)), key=lambda pair: pair[1])
        rate = max(rate, product_rate(width))
        work = sum(operations(flow))
        table.add_row(
            str(width), f"{seconds:.2f}", str(flow.effort.steps), f"{work:.1e}",
            f"{rate / 1e9:.0f}", f"{seconds / (work / rate):.2f}",
        )  # fmt: skip
    console.print(table)


def one(width: int, depth: int) -> dict[str, float]:
    """Gradient descent at one width."""
    setting = Setting(width, depth)
    began = time.perf_counter()
    jax.block_until_ready(setting.start(jnp.float32))
    drawn = time.perf_counter() - began
    spectral(setting, 1e-6)  # compiles
    flow, seconds = spectral(setting, 1e-6)
    rows = sum(p.panel.nodes for p in flow.solution.panels) * POINTS
    return {
        "draw": drawn, "seconds": seconds, "iterations": flow.effort.steps,
        "trajectory": 8 * rows * width * (depth - 1),
    }  # fmt: skip


def rules(width: int, depth: int) -> dict[str, float]:
    """One seed by all rules but the controls, with all that claims need; two flows for each."""
    settings = Settings(depth=depth, points=POINTS)
    data = load("sphere", points=POINTS, outputs=OUTPUTS)
    every = questions(settings.family, settings.rules, controls=())
    asked = [q for q in every if not q.control]
    final = choose_time(settings.family, data)
    one = specify(dataclasses.replace(settings, time=final), "theory", data, Cell(MAIN, width, 0))
    began = time.perf_counter()
    rows = measure_cell(one, needed(asked, settings.rules)[MAIN])
    seconds = time.perf_counter() - began
    assert all(row.status == "ok" for row in rows)
    iterations = sum(row.value for row in rows if row.quantity == "spectral-steps")
    return {"seconds": seconds, "iterations": iterations}


def unavoidable(flow: SpectralFlow) -> float:
    """Operations of products with W(0), and of the weights' motion, each part as it is cheaper.

    An iteration takes each hidden matrix up and down. The first part of a motion meets the rows of
    a moment with those of time 0; the second all rows with all, or the matrices of all moments.
    Iterations of panels that were given up count like those of the largest that was not.

    Returns:
        How many additions and multiplications.
    """
    width, points = flow.network.widths[1], len(flow.y)
    known = points * (1 + OUTPUTS) * (flow.network.depth - 2)
    n = max(panel.panel.nodes for panel in flow.solution.panels)
    rows, hidden = n * points, flow.network.depth - 2
    first = 2 * 2 * rows * points * width
    pairs = 2 * 2 * rows**2 * width
    matrices = width**2 * (3 * rows + n**2)  # formed once, used up and down
    motion = hidden * (2 * first + min(2 * pairs, 2 * matrices))
    return 2.0 * width**2 * (flow.solution.columns + known) + flow.effort.steps * motion


def many(width: int, points: int, tolerance: float) -> dict[str, Any]:
    """Gradient descent on many points: from a cold start, as a user meets it."""
    setting = Setting(width, points=points)
    x, y, final = setting.data()
    jax.block_until_ready(setting.start(jnp.float32))
    cpu = time.process_time()
    flow, seconds = spectral(setting, tolerance, (x, y, final))
    cpu = time.process_time() - cpu
    work = unavoidable(flow)
    rate = product_rate(width, jnp.float32, 1024)
    return {
        "points": points, "time": final, "seconds": seconds, "cpu": cpu,
        "iterations": flow.effort.steps,
        "nodes": [panel.panel.nodes for panel in flow.solution.panels],
        "estimate": flow.effort.estimate, "operations": work, "floor": work / rate,
    }  # fmt: skip


def more_points(widths: list[int], counts: list[int], tolerance: float, console: Console) -> None:
    """Time and memory against the number of training points, one process each."""
    table = Table(title=f"Normal, depth {DEPTH}, C = {OUTPUTS}, tolerance {tolerance:g}")
    for heading in ("width", "P", "T", "seconds", "CPU s", "iterations", "nodes", "stated error",
                    "peak [GiB]", "operations", "time / floor"):  # fmt: skip
        table.add_column(heading, justify="right")
    for width, points in itertools.product(widths, counts):
        command = [sys.executable, __file__, "points", "--alone", "--widths", str(width)]
        command += ["--points", str(points), "--tolerance", str(tolerance)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        row = json.loads(done.stdout)
        table.add_row(
            str(width), str(points), f"{row['time']:g}", f"{row['seconds']:.1f}",
            f"{row['cpu']:.0f}", str(row["iterations"]), " + ".join(map(str, row["nodes"])),
            f"{row['estimate']:.0e}", f"{row['peak'] / 2**30:.2f}", f"{row['operations']:.1e}",
            f"{row['seconds'] / row['floor']:.1f}",
        )  # fmt: skip
        PROGRESS.print(f"[dim]width {width}, {points} points done", highlight=False)
    console.print(table)


def alone(flags: Flags) -> None:
    """The first width and number of points, in this process; prints a line of JSON."""
    row: dict[str, Any]
    width, points = int(flags.widths.split(",")[0]), int(flags.points.split(",")[0])
    if flags.what == "points":
        row = many(width, points, flags.tolerance)
    else:
        row = (one if flags.what == "scale" else rules)(width, flags.depth)
    weights = Setting(width, flags.depth).network.widths
    row["weights"] = sum(a * b for a, b in itertools.pairwise(weights))
    row["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"width": width, **row}))


def scale(what: str, widths: list[int], depth: int, console: Console) -> None:
    """Time and memory against width, with fitted exponents."""
    rows = []
    for width in widths:
        command = [sys.executable, __file__, what, "--alone", "--depth", str(depth)]
        done = subprocess.run(
            [*command, "--widths", str(width)], stdout=subprocess.PIPE, text=True, check=True
        )
        rows.append(json.loads(done.stdout))
        PROGRESS.print(f"[dim]width {width} done", highlight=False)
    title = "Normal" if what == "scale" else "all rules and claims"
    table = Table(title=f"{title}, depth {depth}, P = {POINTS}, C = {OUTPUTS}")
    shown = {"draw": "drawing [s]", "seconds": "seconds", "iterations": "iterations"}
    shown = {name: heading for name, heading in shown.items() if name in rows[0]}
    for heading in ("width", *shown.values(), "peak [GiB]", "bytes a weight"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            f"{row['width']:.0f}", *(f"{row[name]:.4g}" for name in shown),
            f"{row['peak'] / 2**30:.2f}", f"{row['peak'] / row['weights']:.1f}",
        )  # fmt: skip
    console.print(table)
    logs = np.log([row["width"] for row in rows])
    for name in ("seconds", "peak", "trajectory"):
        if name in rows[0] and len(rows) > 1:
            slope = np.polyfit(logs, np.log([row[name] for row in rows]), 1)[0]
            console.print(f"{name} ∝ m^{slope:.2f}")


@dataclasses.dataclass(frozen=True)
class Flags:
    """Which benchmark, and where."""

    what: tyro.conf.Positional[str]
    """speed, floor, scale, rules or points"""
    widths: str = "512,1024"
    """comma-separated hidden widths"""
    depth: int = DEPTH
    """number of weight layers (scale, rules)"""
    points: str = str(POINTS)
    """comma-separated numbers of training points (points)"""
    tolerance: float = 1e-6
    """the flow's tolerance (points)"""
    alone: bool = False
    """print one width's figures as JSON, from this very process (scale, rules, points)"""


def main() -> None:
    """Run one of the benchmarks."""
    flags = tyro.cli(Flags, description=__doc__)
    widths = [int(w) for w in flags.widths.split(",")]
    counts = [int(p) for p in flags.points.split(",")]
    console = Console(width=120)
    if flags.alone:
        return alone(flags)
    device = jax.devices()[0]
    console.print(f"{device.device_kind}, {os.cpu_count()} cores, jax {jax.__version__}")
    if flags.what == "speed":
        return speed(widths, console)
    if flags.what == "floor":
        return floor(widths, console)
    if flags.what == "points":
        return more_points(widths, counts, flags.tolerance, console)
    return scale(flags.what, widths, flags.depth, console)


if __name__ == "__main__":
    main()
