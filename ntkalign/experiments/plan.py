"""The plan of a command: every run it needs, and what they cost.

Costs are counted before anything is trained. A step multiplies each layer's weights with
activities, signals with weights, and signals with activities; rules that also look at the frozen
network pass through it once more. What a step takes beside its products grows with the number of
activities; both are told in operations of a matrix product, whose speed is measured here, so that
the time is a guess within a factor of two or three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from ntkalign.data.batches import BatchOrder
from ntkalign.data.training_sets import TrainingSet
from ntkalign.errors import InputError
from ntkalign.experiments.experiment import Experiment, Series
from ntkalign.experiments.memory import NOT_FROZEN, points_bytes, training_bytes
from ntkalign.experiments.options import OWN, Options
from ntkalign.experiments.supply import Origin
from ntkalign.experiments.task import Task
from ntkalign.machine import available_bytes, in_gib
from ntkalign.networks.base import Network
from ntkalign.rules import RULES, variant
from ntkalign.training.learner import Learner
from ntkalign.training.optimisers import OPTIMISERS
from ntkalign.training.trainer import Run

ACTIVITY_OPERATIONS = 2600
"""What an entry of an activity costs in a step, in operations of a matrix product.

Chosen so that the milliseconds a step that ``benchmarks/training.py scale`` measured for CIFAR-10
on two cores are met within a factor of two; other machines have other ones.
"""


@dataclass(frozen=True)
class Item:
    """One network that is trained, and what it is trained for.

    Attributes:
        experiment: the table or figure.
        series: of the experiment.
        width: of the network.
        rule: the name of its rule.
        run: all that decides its numbers, but for the points.
        options: what was asked for.
    """

    experiment: Experiment
    series: Series
    width: int
    rule: str
    run: Run
    options: Options = field(default_factory=Options)

    def __str__(self) -> str:
        run = self.run
        return f"{self.name} ×{self.width} {self.rule} η={run.rate:g} seed {run.seed}"

    @property
    def name(self) -> str:
        """What tables call the experiment, or the series of it."""
        return self.experiment.name_of(self.series)

    @property
    def operations(self) -> float:
        """Of the whole run, with what is paid for activities."""
        return operations(self.run)

    @property
    def bytes(self) -> int:
        """What it needs at its peak by itself, with its points: a guess."""
        return training_bytes(self.run) + points_bytes(self.run)


@dataclass(frozen=True)
class Plan:
    """The runs of a series, and its points.

    Attributes:
        experiment: what they are for.
        series: which they are.
        options: what was asked, with nothing left open.
        points: what they are trained on.
        items: the runs, narrow networks first.
    """

    experiment: Experiment
    series: Series
    options: Options
    points: TrainingSet
    items: tuple[Item, ...]

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.experiment.name_of(self.series)

    @property
    def origin(self) -> Origin:
        """Where the points come from."""
        return _origin(self.series, self.options)

    @property
    def operations(self) -> float:
        """Of all runs."""
        return sum(item.operations for item in self.items)


Loaded = dict[tuple[str, int | None, int | None, bool], TrainingSet]
"""Points by the set's name, how many were asked for, and whether the test part was cut."""


def make_plans(
    experiment: Experiment, options: Options, loaded: Loaded | None = None
) -> list[Plan]:
    """Plan an experiment: one plan for each of its series.

    Args:
        experiment: which.
        options: what is asked of it. A setting by which its series differ chooses those that have
            it.
        loaded: points that earlier plans hold, so that none is held twice; gets those of these.

    Returns:
        The plans.

    Raises:
        InputError: if points cannot be read, are fewer than a batch has, or no series has as many.
    """
    small = options.scale == "small"
    chosen = [s for s in experiment.series if not small or s.small is not None]
    for name in (n for n in OWN if all(n in s.fixed for s in chosen)):
        chosen = _having(experiment, chosen, name, getattr(options, name))
    held: Loaded = {} if loaded is None else loaded
    return [_make_plan(experiment, series, options, held) for series in chosen]


def _having(experiment: Experiment, series: list[Series], name: str, asked: Any) -> list[Series]:
    """Those with a setting by which series differ, if it is asked for."""
    if asked is None:
        return series
    found = [s for s in series if getattr(s, name) == asked]
    if not found:
        known = ", ".join(dict.fromkeys(_said(getattr(s, name)) for s in series))
        raise InputError(
            name, asked, must=f"be {'one of ' * (', ' in known)}{known}", got=_said(asked),
            because=f"that is what {experiment.name} is about", do="leave it out, or pass that",
        )  # fmt: skip
    return found


def _said(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _make_plan(experiment: Experiment, series: Series, options: Options, loaded: Loaded) -> Plan:
    """Plan a series, and read its points."""
    asked = options.of(series)
    if (series.scored or series.curve) and len(asked.rates or ()) > 1:
        raise InputError(
            "rates", asked.rates, must="be one", got=str(len(asked.rates or ())),
            because=f"{experiment.name} shows what a run leaves at its end, and no best of several",
            do="pass one of them, or none",
        )  # fmt: skip
    which = (series.task.name, asked.train, asked.test, series.cut)
    if which not in loaded:
        loaded[which] = _origin(series, asked).read()
    points = loaded[which]
    shape = _Shape(
        len(points.train), len(points.test), points.train.inputs, points.train.targets[-1]
    )
    items = tuple(
        Item(experiment, series, width, rule, run, asked)
        for width, rule, run in _runs(series, asked, shape)
    )
    return Plan(experiment, series, asked, points, items)


def _origin(series: Series, asked: Options) -> Origin:
    return Origin(
        series.task, asked.data_dir, asked.train, asked.test, asked.precision, series.cut
    )  # fmt: skip


def nominal_operations(series: Series, scale: str) -> float:
    """What a series costs, of the paper's points: nothing is read.

    Args:
        series: of an experiment.
        scale: "paper" or "small".

    Returns:
        Operations of all its runs; 0 if the scale leaves it out.
    """
    if scale == "small" and series.small is None:
        return 0.0
    asked, task = Options(scale=scale).of(series), series.task
    train, test = asked.train or task.train, asked.test or task.test
    test = min(train, test) if series.cut else test
    shape = _Shape(train, test, task.inputs, task.outputs)
    assert asked.rates
    assert asked.seed
    alike = len(asked.rates) * len(asked.seed)  # a rate and a seed cost what another does
    one = replace(asked, rates=asked.rates[:1], seed=asked.seed[:1])
    return alike * sum(operations(run) for _, _, run in _runs(series, one, shape))


class _Shape(NamedTuple):
    """Of the points: how many, and what one of them is."""

    train: int
    test: int
    inputs: tuple[int, ...]
    outputs: int


def _runs(series: Series, asked: Options, shape: _Shape) -> Iterator[tuple[int, str, Run]]:
    """The runs of a series with their width and rule, narrow networks first."""
    task = series.task
    assert asked.batch
    assert asked.widths
    assert asked.rules
    assert asked.rates
    assert asked.epochs
    assert asked.seed
    orders = [
        BatchOrder(seed, asked.batch, shape.train, shape.test, task.evaluates_train)
        for seed in asked.seed
    ]
    for width in asked.widths:
        network = task.build(width, asked.batch, shape.inputs, shape.outputs)
        for rule in asked.rules:
            learner = _learner(task, network, rule, asked.variant)
            for rate in asked.rates:
                for order in orders:
                    yield width, rule, Run(
                        learner, rate, asked.epochs, order, order.seed, asked.precision,
                        asked.log_steps, scored=_scored(series, asked.epochs), curve=series.curve,
                    )  # fmt: skip


def _learner(task: Task, network: Network, rule: str, reading: str) -> Learner:
    return Learner(network, variant(RULES[rule], reading), task.loss, OPTIMISERS[task.optimiser])


def _scored(series: Series, epochs: int) -> tuple[int, ...]:
    return tuple(range(1, epochs + 1)) if series.scored else ()


def refuse_too_wide(plans: Sequence[Plan], available: int | None = None) -> None:
    """Before anything is trained, see whether each run can fit into memory by itself.

    Args:
        plans: all that will be trained.
        available: bytes that there are; those of the device in use if None.

    Raises:
        InputError: if a width cannot fit. Where nobody knows what there is, nothing is refused.
    """
    available = available_bytes() if available is None else available
    if available is None:
        return
    items = [item for plan in plans for item in plan.items]
    widths = sorted({item.width for item in items})
    fits = 0
    for width in widths:
        item = max((i for i in items if i.width == width), key=lambda item: item.bytes)
        if item.bytes > available:
            break
        fits = width
    else:
        return
    raise InputError(
        "widths", tuple(widths),
        must=f"be at most {fits}" if fits else "be smaller, for none of them fits", got=str(width),
        because=f"training ×{width} by {RULES[item.rule].title} needs about "
        f"{in_gib(item.bytes)} GiB and there are {in_gib(available)}",
        do="pass smaller widths, or a smaller batch",
    )  # fmt: skip


def operations(run: Run) -> float:
    """Of a whole run, with what is paid for activities."""
    network, rule = run.learner.network, run.learner.rule
    products = 3 if rule.feedback in NOT_FROZEN else 4
    products += 3 if rule.error == "normal" else 0  # the network that is trained alongside
    points = run.order.batch * run.order.steps
    forward, entries = _of_a_point(network)
    per_point = products * forward + ACTIVITY_OPERATIONS * entries
    tested = run.order.test + (run.order.train if run.order.evaluates_train else 0)
    return float(run.epochs * (points * per_point + tested * forward))


@lru_cache(maxsize=256)
def _of_a_point(network: Network) -> tuple[int, int]:
    """Operations of a forward pass, and activities: many runs are of the same network."""
    return network.operations, network.entries
