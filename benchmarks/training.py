"""What training a network costs: against Normal, against plain JAX, against the floor, by width.

    python benchmarks/training.py rules --cnn 16,32,64 --rnn 64,256,1024
    python benchmarks/training.py plain --cnn 8,16,32,64 --kmnist 8,16,32,64 --rnn 64,128,256,1024
    python benchmarks/training.py convolutions --cnn 8,16,32,64
    python benchmarks/training.py scale --cnn 8,16,32,64,128 --rnn 64,128,256,512,1024,2048

Networks, losses, optimisers and batches are those of the paper's experiments; images are noise.
``rules`` divides a step by each rule by a step of Normal: operations, as XLA counts them, and time
in the compiled loop over minibatches. ``plain`` divides an epoch by one of the same network in
JAX and optax as they are usually written, after comparing the losses of both. ``convolutions``
trains the CIFAR-10 network by ``jax.grad`` with the convolution in several forms and layouts.
``scale`` has a process of its own for each width and rule, and fits exponents. What one table
compares is run in turn, round by round; a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from rich.console import Console
from rich.table import Table

from ntkalign.experiments.catalogue import TABLE6, TABLE7, TABLE8
from ntkalign.experiments.experiment import Series
from ntkalign.machine import product_speed
from ntkalign.networks.convolution import convolve
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.normalisation import EPSILON
from ntkalign.networks.recurrent import Recurrent
from ntkalign.rules import NORMAL, RULES, Rule, variant
from ntkalign.training.learner import Learner
from ntkalign.training.loop import Points, Told, train_steps
from ntkalign.training.optimisers import OPTIMISERS

PROGRESS = Console(stderr=True)  # not among what is kept of a benchmark
SERIES = {"cnn": TABLE6.series[0], "kmnist": TABLE7.series[0], "rnn": TABLE8.series[0]}
ROUND_SECONDS = 0.5
"""A round takes as many steps as this is enough for, epoch by epoch."""
SLOW_SECONDS, VERY_SLOW_SECONDS = 5.0, 10.0
"""A form of the convolution whose step takes longer is timed once, or as it is compiled."""
Work = Callable[[int], Any]
"""Takes so many steps, and returns when they are done."""


def rules_of(names: str) -> dict[str, Rule]:
    """Rules by their names: as published, and as written where that is another."""
    found: dict[str, Rule] = {}
    for name in names.split(","):
        rule = RULES[name]
        if rule.published is not None:
            found |= {f"{name}, {form}": variant(rule, form) for form in ("published", "written")}
        else:
            found[name] = rule
    return found


def learner_of(series: Series, width: int, rule: Rule) -> Learner:
    """What the series trains."""
    task = series.task
    network = task.build(width, series.batch, task.inputs, task.outputs)
    return Learner(network, rule, task.loss, OPTIMISERS[task.optimiser])


def steps_of(series: Series) -> int:
    """Steps of an epoch."""
    return series.task.train // series.batch


@functools.cache
def points_of(series: Series, batches: int) -> Points:
    """Sequences of the Add task, or noise in the shape of images with as noisy targets."""
    count = series.batch * batches
    if not series.task.images:
        part = series.task.load(None, None, None, "float32").train
        return Points(jnp.asarray(part.x[:count]), jnp.asarray(part.y[:count]))
    task, rng = series.task, np.random.default_rng(0)
    network = task.build(1, series.batch, task.inputs, task.outputs)
    shapes = (count, *network.image), (count, network.classes)
    return Points(*(jnp.asarray(rng.standard_normal(s).astype("float32")) for s in shapes))


class Ours:
    """A learner in the compiled loop, as ``ntkalign experiment`` runs it."""

    batches = 6

    def __init__(self, series: Series, width: int, rule: Rule) -> None:
        self.points = points_of(series, self.batches)
        self.learner = learner_of(series, width, rule)
        self.state, self.frozen = self.learner.start(0, jnp.float32)
        self.steps, self.rate = steps_of(series), series.rates[0]
        self.order = jnp.arange(len(self.points.x)).reshape(-1, series.batch)
        self.order = jnp.tile(self.order, (-(-self.steps // self.batches), 1))[: self.steps]
        layers = sum(layer.weight is not None for layer in self.state.parameters)
        self.told = Told.blank(self.steps, 0, layers, jnp.float32)

    def arguments(self, steps: int) -> tuple[Any, ...]:
        """Of the compiled program."""
        rate, span = jnp.float32(self.rate), jnp.array([0, 0, steps])
        return (self.learner, self.state, self.told, self.frozen, rate, self.points, self.order,
                span)  # fmt: skip

    def __call__(self, steps: int) -> None:
        """Go on with the first batches of an epoch."""
        self.state, self.told = train_steps(*self.arguments(steps))
        jax.block_until_ready(self.state)

    def operations(self) -> float:
        """Of one step, as XLA counts them, which counts a loop's body once: unrolled here."""
        x, y = (values[self.order[0]] for values in self.points)
        unrolled = mock.patch.object(jax.lax, "scan", functools.partial(jax.lax.scan, unroll=True))
        with unrolled:
            step = jax.jit(lambda *given: self.learner.step(*given))
            compiled = step.lower(self.state, self.frozen, jnp.float32(self.rate), x, y).compile()
        return compiled.cost_analysis()["flops"]


def in_turn(works: dict[str, Work], rounds: int, most: int) -> dict[str, list[float]]:
    """Seconds a step in each round, at most so many steps a call; the first are not timed."""
    counts: dict[str, tuple[int, int]] = {}
    for name, work in works.items():
        work(1)
        steps = min(2, most)
        began = time.perf_counter()
        work(steps)
        affordable = ROUND_SECONDS * steps / (time.perf_counter() - began)
        steps = max(1, min(most, int(affordable)))
        counts[name] = steps, max(1, int(affordable / steps))
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            steps, times = counts[name]
            began = time.perf_counter()
            for _ in range(times):
                work(steps)
            seconds[name].append((time.perf_counter() - began) / (steps * times))
    return seconds


def ratio(these: Iterable[float], those: Iterable[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(these, those, strict=True))


# --- rules ----------------------------------------------------------------------------------


def rules(flags: Flags, console: Console) -> None:
    """Each rule against Normal."""
    table = Table(title="one step against Normal's")
    for heading in ("network", "width", "rule", "operations", "products", "× Normal", "ms",
                    "× Normal"):  # fmt: skip
        table.add_column(heading, justify="right")
    chosen = {"normal": NORMAL} | rules_of(flags.rules)
    for kind, width in flags.networks("cnn", "rnn"):
        series = SERIES[kind]
        works = {name: Ours(series, width, rule) for name, rule in chosen.items()}
        seconds = in_turn(works, flags.rounds, steps_of(series))
        counted = {name: counting(kind, width, rule) for name, rule in chosen.items()}
        for name in chosen:
            operations, products = counted[name]
            table.add_row(
                kind, str(width), name, f"{operations:.2e}", f"{products:.2f}",
                f"{operations / counted['normal'][0]:.2f}",
                f"{1e3 * statistics.median(seconds[name]):.1f}",
                f"{ratio(seconds[name], seconds['normal']):.2f}",
            )  # fmt: skip
        PROGRESS.print(f"[dim]{kind} {width} done", highlight=False)
    console.print(table)


COUNTED_STEPS = 10
"""Steps of the sequences whose operations are counted: unrolled programs compile slowly."""


def counting(kind: str, width: int, rule: Rule) -> tuple[float, float]:
    """Operations of one step, and how many forward passes have as many products."""
    ours = Ours(SERIES[kind], width, rule)
    network = ours.learner.network
    if isinstance(network, Recurrent):
        network = dataclasses.replace(network, steps=COUNTED_STEPS)
        ours.learner = dataclasses.replace(ours.learner, network=network)
        ours.points = Points(*(values[:, :COUNTED_STEPS] for values in ours.points))
    operations = ours.operations()
    return operations, operations / (network.operations * SERIES[kind].batch)


# --- plain ----------------------------------------------------------------------------------


def plain_convolutional(network: Convolutional, parameters: Any, x: jax.Array) -> jax.Array:
    """The same network in the layout that libraries take, points first and channels last."""
    *hidden, last = parameters
    h = x
    for (kernel, bias), stride in zip(hidden, network.strides, strict=True):
        u = jax.lax.conv_general_dilated(
            h, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        u = u / math.sqrt(kernel[..., 0].size) + bias
        u = (u - jnp.mean(u, 0)) * jax.lax.rsqrt(jnp.var(u, 0) + EPSILON)
        h = jax.nn.relu(u)
    return jnp.mean(h, (1, 2)) @ last.weight.T / math.sqrt(h.shape[-1]) + last.bias


def plain_recurrent(network: Recurrent, parameters: Any, x: jax.Array) -> jax.Array:
    """The same network by a scan over steps."""
    state, into, again, out = parameters
    root = math.sqrt(network.width)

    def step(h: jax.Array, now: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = jax.nn.relu(now @ into.weight.T + h @ again.weight.T / root + again.bias)
        return h, h @ out.weight.T / root + out.bias

    _, y = jax.lax.scan(step, state.bias, jnp.moveaxis(x, 1, 0))
    return jnp.moveaxis(y, 0, 1)


class Plain:
    """The same training in JAX and optax: one compiled step, a minibatch at a time."""

    def __init__(self, ours: Ours) -> None:
        network, loss = ours.learner.network, ours.learner.loss.function
        forward = plain_recurrent if isinstance(network, Recurrent) else plain_convolutional
        optimiser = optax.sgd(ours.rate)

        def objective(parameters: Any, x: jax.Array, y: jax.Array) -> jax.Array:
            return loss(forward(network, parameters, x), y)

        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def step(parameters: Any, state: Any, x: jax.Array, y: jax.Array) -> tuple[Any, ...]:
            value, gradient = jax.value_and_grad(objective)(parameters, x, y)
            moves, state = optimiser.update(gradient, state, parameters)
            return optax.apply_updates(parameters, moves), state, value

        self.step, self.parameters = step, jax.tree.map(jnp.copy, ours.state.parameters)
        self.state = optimiser.init(self.parameters)
        self.x, self.y = map(np.asarray, ours.points)
        self.order = np.asarray(ours.order)
        self.losses: list[jax.Array] = []

    def __call__(self, steps: int) -> None:
        """Go on with the first batches of an epoch."""
        self.losses = []
        for batch in self.order[:steps]:
            self.parameters, self.state, loss = self.step(
                self.parameters, self.state, self.x[batch], self.y[batch]
            )
            self.losses.append(loss)
        jax.block_until_ready(self.parameters)


def plain(flags: Flags, console: Console) -> None:
    """Normal against the same in plain JAX."""
    table = Table(title="seconds an epoch, Normal")
    for heading in ("network", "width", "ours", "plain JAX", "ours / plain", "losses differ by"):
        table.add_column(heading, justify="right")
    for kind, width in flags.networks("cnn", "kmnist", "rnn"):
        series = SERIES[kind]
        ours = Ours(series, width, NORMAL)
        theirs = Plain(ours)
        for work in (ours, theirs):
            work(3)
        losses = np.array(ours.told.losses[:3]), np.array(theirs.losses)
        apart = np.abs(losses[0] / losses[1] - 1).max()
        seconds = in_turn({"ours": ours, "plain": theirs}, flags.rounds, steps_of(series))
        epoch = {name: steps_of(series) * statistics.median(s) for name, s in seconds.items()}
        table.add_row(
            kind, str(width), f"{epoch['ours']:.3g}", f"{epoch['plain']:.3g}",
            f"{ratio(seconds['ours'], seconds['plain']):.2f}", f"{apart:.0e}",
        )  # fmt: skip
        PROGRESS.print(f"[dim]{kind} {width} done", highlight=False)
    console.print(table)


# --- convolutions ---------------------------------------------------------------------------

Form = Callable[[jax.Array, jax.Array, int], jax.Array]
"""``(h, kernel, stride) -> u`` in some layout."""


def library(layout: str) -> Form:
    """XLA's own convolution."""
    return lambda h, kernel, stride: jax.lax.conv_general_dilated(
        h, kernel, (stride, stride), "SAME", dimension_numbers=(layout, "HWIO", layout)
    )


def windows(layout: str) -> Form:
    """One product with all windows side by side; channels last."""

    def form(h: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
        columns = jnp.concatenate(shifted(h, stride, layout), -1)
        u = columns.reshape(-1, columns.shape[-1]) @ kernel.reshape(-1, kernel.shape[-1])
        return u.reshape(*columns.shape[:3], -1)

    return form


def shifts(layout: str) -> Form:
    """The sum of nine products, one for each shift; channels last."""

    def form(h: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
        taps = kernel.reshape(-1, *kernel.shape[2:])
        return sum(
            (part.reshape(-1, part.shape[-1]) @ tap).reshape(*part.shape[:3], -1)
            for part, tap in zip(shifted(h, stride, layout), taps, strict=True)
        )

    return form


def shifted(h: jax.Array, stride: int, layout: str) -> list[jax.Array]:
    """What every window of 3 × 3 has at each of its places."""
    rows, columns = layout.index("H"), layout.index("W")
    places, pads = [1] * 4, [(0, 0)] * 4
    for axis in (rows, columns):
        places[axis] = -(-h.shape[axis] // stride)
        zeros = max((places[axis] - 1) * stride + 3 - h.shape[axis], 0)
        pads[axis] = (zeros // 2, zeros - zeros // 2)
    padded, found = jnp.pad(h, pads), []
    for first, second in itertools.product(range(3), repeat=2):
        start, end, step = [0] * 4, list(padded.shape), [1] * 4
        for axis, at in ((rows, first), (columns, second)):
            start[axis], step[axis] = at, stride
            end[axis] = at + (places[axis] - 1) * stride + 1
        found.append(jax.lax.slice(padded, start, end, step))
    return found


def packaged(form: str) -> Form:
    """What the package has."""
    return lambda h, kernel, stride: convolve(h, kernel, stride, form)


FORMS: dict[str, tuple[str, Form]] = {
    "NHWC library": ("NHWC", library("NHWC")),
    "NCHW library": ("NCHW", library("NCHW")),
    "HWNC library": ("HWNC", library("HWNC")),
    "CHWN library": ("CHWN", packaged("library")),
    "NHWC windows": ("NHWC", windows("NHWC")),
    "HWNC windows": ("HWNC", windows("HWNC")),
    "CHWN windows": ("CHWN", packaged("windows")),
    "NHWC shifts": ("NHWC", shifts("NHWC")),
    "HWNC shifts": ("HWNC", shifts("HWNC")),
    "CHWN shifts": ("CHWN", packaged("shifts")),
}


class Formed:
    """The CIFAR-10 network with a form of the convolution, by ``jax.grad``, in a compiled loop."""

    def __init__(self, ours: Ours, layout: str, form: Form) -> None:
        network, loss = ours.learner.network, ours.learner.loss.function
        points, places = layout.index("N"), (layout.index("H"), layout.index("W"))
        along = [1] * 4
        along[layout.index("C")] = -1

        def forward(parameters: Any, x: jax.Array) -> jax.Array:
            *hidden, last = parameters
            h = x
            for (kernel, bias), stride in zip(hidden, network.strides, strict=True):
                u = form(h, kernel, stride) / math.sqrt(kernel[..., 0].size) + bias.reshape(along)
                u = u - jnp.mean(u, points, keepdims=True)
                variance = jnp.mean(u**2, points, keepdims=True)
                h = jax.nn.relu(u / jnp.sqrt(variance + EPSILON))
            pooled = jnp.mean(h, places)
            pooled = pooled if layout.index("N") < layout.index("C") else pooled.T
            return pooled @ last.weight.T / math.sqrt(pooled.shape[1]) + last.bias

        def body(_: int, carried: tuple[Any, Any]) -> tuple[Any, Any]:
            parameters, _ = carried
            value, gradient = jax.value_and_grad(lambda p: loss(forward(p, x), y))(parameters)
            return jax.tree.map(lambda p, g: p - ours.rate * g, parameters, gradient), value

        x, y = ours.points.x[ours.order[0]], ours.points.y[ours.order[0]]
        x = jnp.transpose(x, ["NHWC".index(axis) for axis in layout])
        self.carried = (jax.tree.map(jnp.copy, ours.state.parameters), jnp.float32(0))
        self.run = jax.jit(lambda carried, k: jax.lax.fori_loop(0, k, body, carried))

    def __call__(self, steps: int) -> None:
        """Go on."""
        self.carried = jax.block_until_ready(self.run(self.carried, steps))


def convolutions(flags: Flags, console: Console) -> None:
    """Forms and layouts, and how far above the floor."""
    speed, operations = product_speed("float32"), {}
    seconds: dict[int, dict[str, float]] = {}
    for width in flags.widths("cnn"):
        ours = Ours(SERIES["cnn"], width, NORMAL)
        works: dict[str, Work] = {"one NHWC step a call": Plain(ours)}
        works |= {name: Formed(ours, *form) for name, form in FORMS.items()}
        once: dict[str, float] = {}
        for name, work in works.items():
            for _ in range(2):
                began = time.perf_counter()
                work(1)
                once[name] = time.perf_counter() - began
                if once[name] > VERY_SLOW_SECONDS:
                    break
            PROGRESS.print(f"[dim]{width} {name}: {1e3 * once[name]:.0f} ms", highlight=False)
        quick = {name: work for name, work in works.items() if once[name] <= SLOW_SECONDS}
        found = in_turn(quick, flags.rounds, steps_of(SERIES["cnn"]))
        seconds[width] = once | {name: statistics.median(s) for name, s in found.items()}
        operations[width] = 3 * ours.learner.network.operations * SERIES["cnn"].batch
        speed = max(speed, product_speed("float32"))
    table = Table(
        title=f"ms a step in a compiled loop (× floor, at {speed / 1e9:.0f} GFLOP/s)", min_width=72
    )
    table.add_column("form")
    for width in seconds:
        table.add_column(f"width {width}", justify="right")
    for name in next(iter(seconds.values())):
        cells = (
            f"{1e3 * seconds[width][name]:.0f} ({seconds[width][name] * speed / work:.1f})"
            for width, work in operations.items()
        )
        table.add_row(name, *cells)
    table.add_row("floor", *(f"{1e3 * work / speed:.1f}" for work in operations.values()))
    console.print(table)


# --- scale ----------------------------------------------------------------------------------


def alone(flags: Flags) -> None:
    """One network and rule in this very process; prints a line of JSON."""
    ((kind, width),) = flags.networks("cnn", "kmnist", "rnn")
    ours = Ours(SERIES[kind], width, variant(RULES[flags.rules], "published"))
    jax.block_until_ready((ours.state, ours.points))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    began = time.perf_counter()
    compiled = train_steps.lower(*ours.arguments(1)).compile()
    took = time.perf_counter() - began
    memory = compiled.memory_analysis()
    seconds = in_turn({"": ours}, flags.rounds, steps_of(SERIES[kind]))[""]
    print(json.dumps({
        "width": width, "compile": took, "before": before,
        "seconds": statistics.median(seconds), "work": memory.temp_size_in_bytes,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }))  # fmt: skip


def scale(flags: Flags, console: Console) -> None:
    """Time and memory against width."""
    table = Table(title="one step, one process each")
    for heading in ("network", "rule", "width", "compiling [s]", "ms a step", "peak [GiB]",
                    "for training [GiB]", "XLA's work space [GiB]"):  # fmt: skip
        table.add_column(heading, justify="right")
    fitted = []
    for kind, name in itertools.product(("cnn", "rnn"), ("normal", "align-ada")):
        rows = []
        for width in flags.widths(kind):
            others = itertools.chain(*((f"--{k}", "") for k in SERIES if k != kind))
            command = [sys.executable, __file__, "scale", "--alone", f"--{kind}", str(width),
                       *others, "--rules", name, "--rounds", str(flags.rounds)]  # fmt: skip
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            row = json.loads(done.stdout)
            row["training"] = row["peak"] - row["before"]
            rows.append(row)
            table.add_row(
                kind, name, str(width), f"{row['compile']:.1f}", f"{1e3 * row['seconds']:.1f}",
                *(f"{row[part] / 2**30:.2f}" for part in ("peak", "training", "work")),
            )  # fmt: skip
            PROGRESS.print(f"[dim]{kind} {name} {width} done", highlight=False)
        if len(rows) > 1:
            logs = np.log([row["width"] for row in rows])
            slopes = {
                part: np.polyfit(logs, np.log([row[part] for row in rows]), 1)[0]
                for part in ("seconds", "peak", "work")
            }
            told = ", ".join(f"{part} ∝ n^{slope:.2f}" for part, slope in slopes.items())
            fitted.append(f"{kind} {name}: {told}")
    console.print(table)
    for line in fitted:
        console.print(line, highlight=False)


@dataclasses.dataclass(frozen=True)
class Flags:
    """Which benchmark, and of what."""

    what: tyro.conf.Positional[str]
    """rules, plain, convolutions or scale"""
    cnn: str = "16,32"
    """comma-separated filters of the CIFAR-10 network; none if empty"""
    kmnist: str = "16,32"
    """comma-separated filters of the KMNIST network; none if empty"""
    rnn: str = "64,256"
    """comma-separated hidden units of the Add task's network; none if empty"""
    rules: str = "align-zero,align-ada,align-prop"
    """comma-separated rules that are compared with Normal"""
    rounds: int = 5
    """how often each is timed"""
    alone: bool = False
    """print the figures of one network and rule as JSON, from this very process (scale)"""

    def widths(self, kind: str) -> list[int]:
        """Of one kind of network."""
        return [int(width) for width in getattr(self, kind).split(",") if width]

    def networks(self, *kinds: str) -> list[tuple[str, int]]:
        """Kinds and widths."""
        return [(kind, width) for kind in kinds for width in self.widths(kind)]


WHAT = {"rules": rules, "plain": plain, "convolutions": convolutions, "scale": scale}


def main() -> None:
    """Run one of the benchmarks."""
    flags = tyro.cli(Flags, description=__doc__)
    if flags.alone:
        return alone(flags)
    console = Console(width=110)
    device = jax.devices()[0]
    console.print(f"{device.device_kind}, {os.cpu_count()} cores, jax {jax.__version__}")
    return WHAT[flags.what](flags, console)


if __name__ == "__main__":
    main()
