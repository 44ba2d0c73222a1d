"""One network of a sweep: drawn, trained by every rule that is asked for, and measured.

Random keys are fold_in(fold_in(root, seed), width): adding a width or a seed changes no other cell.
What the networks of one seed share has the key fold_in(fold_in(root, seed), 0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ntkalign.claims.claim import BOTTLENECK
from ntkalign.data.catalogue import Data
from ntkalign.devices import drawing, shard
from ntkalign.flow.gradient_flow import gradient_flow
from ntkalign.flow.options import FlowOptions
from ntkalign.flow.problem import Problem
from ntkalign.flow.trajectory import Effort, Flow, Outcome
from ntkalign.networks.shared_outputs import share_outputs
from ntkalign.precision import in_float64
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.measuring import measure, references_of
from ntkalign.quantities.observed import Observed
from ntkalign.rules import NORMAL, RULES, Rule
from ntkalign.runs.settings import Settings

SAVED_TIMES = 8
COARSER = 30.0
"""The companion flow, which the error is estimated with, is looser by this factor."""
NO_WIDTH = 0
LOSS = "loss-at-"
"""Quantities of this name, and the number of a saved time, are points of the training curve."""
UNDEFINED = "undefined: nothing moves there (dead units?), so it has no share or direction"

Needs = dict[str, frozenset[str]]
"""Rule → quantities."""
Measured = dict[tuple[int | None, str], tuple[float, float, str]]
"""(layer, quantity) → value, error, status."""
Row = tuple[str, int, int, str, int | None, str, float, float, str]


@dataclass(frozen=True)
class Cell:
    """One network to train by every rule and measure."""

    family: str
    width: int
    seed: int

    def __str__(self) -> str:
        return f"{self.family} network, width {self.width}, seed {self.seed}"


def saved_times(time: float) -> Float[np.ndarray, " n"]:
    """When flows are looked at: more often at first, where they are fast."""
    return time * (np.arange(1, SAVED_TIMES + 1) / SAVED_TIMES) ** 2


@dataclass(frozen=True, eq=False)
class Trial:
    """A network of a sweep at its start, ready to be trained.

    Attributes:
        settings: checked settings.
        problem: the network at time 0, what it learns, and the saved times.
        among: rules for the dense engine to compile together.
    """

    settings: Settings
    problem: Problem
    among: tuple[Rule, ...] = ()

    @classmethod
    @in_float64
    def of(
        cls, settings: Settings, data: Data, time: float, cell: Cell, among: tuple[Rule, ...] = ()
    ) -> Trial:
        """Draw the network of a cell."""
        family = settings.family
        if cell.family == BOTTLENECK:
            family = replace(family, bottleneck=settings.bottleneck)
        network = family.network(cell.width, data.x.shape[1], data.y.shape[1])
        with drawing():
            of_seed = jax.random.fold_in(jax.random.key(0), cell.seed)
            key = jax.random.fold_in(of_seed, cell.width)
            start = network.initialise(key, jnp.float32)
            if settings.initial_outputs == "shared":
                of_outputs = jax.random.fold_in(of_seed, NO_WIDTH)
                start = share_outputs(network, start, jnp.asarray(data.x), of_outputs)
        problem = Problem.of(network, shard(start), data.x, data.y, saved_times(time), key)
        if settings.initial_outputs == "zero":  # f − f⁰ learns y as f learns y + f⁰
            output = np.asarray(problem.initial.first.output)
            problem = replace(problem, y=problem.y + output)
        return cls(settings, problem, among)

    @in_float64
    def run(self, rule: Rule, guess: Flow | None = None) -> tuple[Flow, Flow]:
        """The flow, and the looser one that its error is estimated with."""
        solve = partial(gradient_flow, self.problem, rule, among=self.among)
        options = FlowOptions(self.settings.engine, self.settings.tolerance)
        looser = replace(options, tolerance=COARSER * options.tolerance)
        coarse = solve(looser, guess=guess)
        # both by one engine: the difference of two engines' errors is not an error estimate
        if coarse.effort.engine == "dense":
            options = replace(options, engine="dense")
        fine = solve(options, guess=coarse)
        if fine.effort.engine != coarse.effort.engine:
            coarse = solve(replace(looser, engine="dense"))
        return fine, coarse


@in_float64
def measure_cell(
    settings: Settings, data: Data, time: float, cell: Cell, needs: Needs
) -> list[Row]:
    """All rows of one cell: flows at the tolerance and at a looser one, then measurements."""
    rules = _rules_to_run(settings, needs)
    trial = Trial.of(settings, data, time, cell, rules)
    depth = settings.depth
    references: dict[str, tuple[Flow, Flow]] = {}
    for name in _references(needs):
        references[name] = trial.run(RULES[name])
    rows: list[Row] = []
    for rule in rules:
        if rule.name not in needs:
            continue
        near = None if rule.control else references[NORMAL.name][1]
        pair = references.get(rule.name) or trial.run(rule, near)
        wanted = set(needs[rule.name])
        for other in (rule.name, *references_of(sorted(wanted))):
            flows = pair if other == rule.name else references[other]
            lost = {q for q in wanted if other in (rule.name, *references_of([q]))}
            bad = next((f for f in flows if f.outcome is not Outcome.REACHED), None)
            if lost and bad is not None:
                status = f"{other} {bad.outcome.value}"
                rows += failed(cell, {rule.name: frozenset(lost)}, depth, status)
                wanted = wanted - lost
        measured = _measure(pair, references, wanted, cell)
        rows += labelled(cell, rule.name, measured)
    return rows


def labelled(cell: Cell, rule: str, measured: Measured) -> list[Row]:
    """What was measured of one rule, as rows of the table."""
    return [
        (cell.family, cell.width, cell.seed, rule, layer, quantity, *found)
        for (layer, quantity), found in measured.items()
    ]


def what_it_took(effort: Effort) -> Measured:
    """Steps or iterations, and what the flow says of its error."""
    rows: Measured = {(None, f"{effort.engine}-steps"): (float(effort.steps), 0.0, "ok")}
    if effort.estimate is not None:
        rows[None, "panels"] = float(effort.panels), 0.0, "ok"
        rows[None, "estimated-error"] = effort.estimate, 0.0, "ok"
    return rows


def with_status(found: Mapping[tuple[int | None, str], tuple[float, float]]) -> Measured:
    """Values and errors with "ok", or why there is none."""
    return {
        name: (value, error, "ok" if np.isfinite(value + error) else UNDEFINED)
        for name, (value, error) in found.items()
    }


def _references(needs: Needs) -> tuple[str, ...]:
    """Gradient descent, and the other rules that wanted quantities are compared with."""
    wanted = sorted(set().union(*needs.values()))
    return tuple(dict.fromkeys((NORMAL.name, *references_of(wanted))))


def _rules_to_run(settings: Settings, needs: Needs) -> tuple[Rule, ...]:
    own = {rule.name: rule for rule in settings.rules}
    rules = [NORMAL, *(own.get(n) or RULES[n] for n in needs if n != NORMAL.name)]
    return tuple(dict.fromkeys((*rules, *(RULES[name] for name in _references(needs)))))


def _measure(
    pair: tuple[Flow, Flow],
    references: dict[str, tuple[Flow, Flow]],
    wanted: set[str],
    cell: Cell,
) -> Measured:
    """The wanted quantities of one rule's flow."""
    fine, coarse = (
        Observed(flow, {name: flows[i] for name, flows in references.items()}, cell.seed)
        for i, flow in enumerate(pair)
    )
    flow = pair[0]
    measured = with_status(measure(wanted, fine, coarse)) | what_it_took(flow.effort)
    if flow.rule is NORMAL:
        for i, f in enumerate(flow.output, start=1):
            value = float(np.sum((flow.y - f) ** 2)) / (2 * len(f))
            measured[None, f"{LOSS}{i}"] = value, 2 * value * (flow.effort.estimate or 0.0), "ok"
    return measured


def failed(cell: Cell, needs: Needs, depth: int, status: str) -> list[Row]:
    """Labelled rows for all that could not be measured."""
    return [
        (cell.family, cell.width, cell.seed, rule, layer, quantity, np.nan, np.nan, status)
        for rule, quantities in needs.items()
        for quantity in sorted(quantities)
        for layer in QUANTITIES.lookup(quantity).layers.of(depth)
    ]
