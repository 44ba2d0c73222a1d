"""One network of a sweep: drawn, trained by every rule that is asked for, and measured.

What a quantity's number is does not depend on what else is asked for: a flow starts from nothing or
from gradient descent's, whichever other rules run, and the dense engine compiles all rules together
whichever are needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.cells.cell import (
    LOSS,
    OK,
    UNDEFINED,
    Measured,
    Name,
    Needs,
    Row,
    labelled,
    lost,
    with_companions,
    with_status,
)  # fmt: skip
from ntkalign.cells.specification import Specification
from ntkalign.devices import drawing, shard
from ntkalign.flow.gradient_flow import Flow, Outcome, Work, gradient_flow
from ntkalign.flow.initial_state import Origin
from ntkalign.flow.spectral.spectral_flow import SpectralFlow
from ntkalign.networks.randomness import of_network, of_shared_outputs
from ntkalign.networks.shared_outputs import share_outputs
from ntkalign.quantities import theory as measure
from ntkalign.quantities.theory import Series
from ntkalign.rules import LINEARISED, NORMAL, RULES, Rule

SAVED_TIMES = 8
COARSER = 30.0
"""The companion flow, which the error is estimated with, is looser by this factor."""
SAMPLES = 100
"""Gaussian vectors of the sampled alignment score, as in the paper."""
COMPARED = {"divergence": NORMAL, "linearisation-gap": LINEARISED}
"""The rule whose flow a quantity compares with."""

Pair = tuple[Flow, Flow]
"""A flow, and the looser one that its error is estimated with."""


def saved_times(time: float) -> Float[np.ndarray, " n"]:
    """When flows are looked at: more often at first, where they are fast."""
    return time * (np.arange(1, SAVED_TIMES + 1) / SAVED_TIMES) ** 2


@dataclass(frozen=True, eq=False)
class Trial:
    """A network of a sweep at its start, ready to be trained.

    Attributes:
        specification: of the network.
        origin: the network at time 0.
        y: what it learns.
        times: saved times.
        key: of the network.
        among: rules for the dense engine to compile together.
    """

    specification: Specification
    origin: Origin
    y: Array
    times: np.ndarray
    key: Array
    among: tuple[Rule, ...]
    _references: dict[Rule, Pair] = field(default_factory=dict)

    @classmethod
    def of(cls, specification: Specification, among: tuple[Rule, ...] = ()) -> Trial:
        """Draw the network that is specified."""
        cell, data = specification.cell, specification.data
        network = specification.family.network(cell.width, data.x.shape[1], data.y.shape[1])
        x, y = jnp.asarray(data.x), jnp.asarray(data.y)
        with drawing():
            key = of_network(cell.seed, cell.width)
            start = network.initialise(key, jnp.float32)
            if specification.initial_outputs == "shared":
                start = share_outputs(
                    network, start, jnp.asarray(data.x), of_shared_outputs(cell.seed)
                )
        origin = Origin.of(network, shard(start), x)
        if specification.initial_outputs == "zero":  # f − f⁰ learns y as f learns y + f⁰
            y = y + origin.first.output
        return cls(specification, origin, y, saved_times(specification.time), key, among)

    def run(self, rule: Rule, guess: Flow | None = None) -> Pair:
        """Train by a rule, twice: at the tolerance and at a looser one."""
        asked = self.specification
        flow = partial(
            gradient_flow, self.origin.network, rule, self.origin.start, self.origin.x, self.y,
            self.times, key=self.key, origin=self.origin,
            among=self.among if rule in self.among else (rule,),
        )  # fmt: skip
        coarse = flow(engine=asked.engine, tolerance=COARSER * asked.tolerance, guess=guess)
        # both by one engine: the difference of two engines' errors is not an error estimate
        engine = asked.engine if isinstance(coarse, SpectralFlow) else "dense"
        fine = flow(engine=engine, tolerance=asked.tolerance, guess=coarse)
        if type(fine) is not type(coarse):
            coarse = flow(engine="dense", tolerance=COARSER * asked.tolerance)
        return fine, coarse

    def reference(self, rule: Rule) -> Pair:
        """The same for a rule that others are compared with: trained once and kept."""
        if rule not in self._references:
            self._references[rule] = self.run(rule)
        return self._references[rule]

    def train(self, rule: Rule) -> Pair:
        """By any rule; those that should end near gradient descent start from it."""
        if rule in COMPARED.values():
            return self.reference(rule)
        return self.run(rule, None if rule.control else self.reference(NORMAL)[1])


def measure_cell(specification: Specification, needs: Needs) -> list[Row]:
    """What is needed of one network, and what it took."""
    trial = Trial.of(specification, tuple(RULES.values()))
    cell = specification.cell
    return [
        row
        for rule, quantities in needs.items()
        for row in labelled(cell, rule.name, _of_rule(trial, rule, with_companions(quantities)))
    ]


def _of_rule(trial: Trial, rule: Rule, wanted: frozenset[str]) -> Measured:
    """The wanted quantities of one rule, or why there are none."""
    pair, depth = trial.train(rule), trial.specification.family.depth
    measured = what_it_took(pair[0].work)
    failure = why_not(pair)
    if rule is NORMAL:
        measured |= _losses(pair[0], failure)
    if failure is not None:
        return measured | lost(wanted, depth, f"{rule.name} {failure}")
    compared = {q: trial.reference(other) for q, other in COMPARED.items() if q in wanted}
    for quantity, reference in compared.items():
        failure = why_not(reference)
        if failure is not None:
            both = with_companions({quantity})
            measured |= lost(both, depth, f"{COMPARED[quantity].name} {failure}")
            wanted -= both
    return measured | _measured(pair, compared, wanted, trial.specification.cell.seed)


def why_not(pair: Pair) -> str | None:
    """Why one of two flows has no numbers; None if both have."""
    bad = next((flow for flow in pair if flow.outcome is not Outcome.REACHED), None)
    return None if bad is None else bad.outcome.value


def what_it_took(work: Work) -> Measured:
    """Steps or iterations, and what the flow says of its error."""
    rows: Measured = {Name(None, f"{work.engine}-steps"): (float(work.steps), 0.0, OK)}
    if work.estimate is not None:
        rows[Name(None, "panels")] = float(work.panels), 0.0, OK
        rows[Name(None, "estimated-error")] = work.estimate, 0.0, OK
    return rows


def _losses(flow: Flow, failure: str | None) -> Measured:
    """½‖e‖² averaged over points, at the saved times."""
    rows: Measured = {}
    for time, output in zip(flow.times, flow.output, strict=True):
        value = float(np.sum((flow.y - output) ** 2)) / (2 * len(output))
        error = 2 * value * (flow.work.estimate or 0.0)
        rows[Name(None, LOSS, float(time))] = (
            (value, error, OK)
            if failure is None
            else (np.nan, np.nan, f"{flow.rule.name} {failure}")
        )
    return rows


def _measured(
    pair: Pair, compared: Mapping[str, Pair], wanted: frozenset[str], seed: int
) -> Measured:
    """The wanted quantities of one rule's flows, which have numbers."""
    series: tuple[Series, Series] = ({}, {})
    for i, found in enumerate(series):
        found |= _series(pair[i], wanted, error_too=i == 1)
        for quantity in wanted & set(compared):
            flow, other = pair[i], compared[quantity][i]
            if quantity == "divergence":  # relative to how far gradient descent moved
                flow, other = other, flow
            output0 = np.asarray(flow.origin.first.output)
            found |= measure.divergence(quantity, flow, other, output0)
    measured = with_status(measure.supremum(*series, pair[0].work.estimate))
    if "score" in wanted:
        measured |= _scores(pair[0], seed)
    return measured


def _series(flow: Flow, wanted: frozenset[str], *, error_too: bool) -> Series:
    """What is measured of one flow by itself; ``error_too`` for the looser one."""
    series: Series = {}
    initial = flow.origin.trace
    if "weight-drift" in wanted:
        series |= measure.weight_drift(flow)
    if wanted & {"activation-drift", "jacobian-drift"}:
        # the spectral engine knows its error: no second set of Jacobians is needed for it
        jacobians = "jacobian-drift" in wanted and not (
            error_too and flow.work.estimate is not None
        )
        now = flow.trace(jacobians=jacobians)
        if "activation-drift" in wanted:
            series |= measure.activation_drift(initial, now)
        if jacobians:
            series |= measure.jacobian_drift(initial, now)
    if "alignment-gap" in wanted:
        series |= measure.alignment(flow)
    return series


def _scores(flow: Flow, seed: int) -> Measured:
    """The alignment score of every layer, exactly, and how far the sampled one is from it."""
    rows: Measured = {}
    for layer in range(1, flow.network.depth + 1):
        exact, sampled, error = measure.sampled_score(flow, layer, samples=SAMPLES, seed=seed)
        status = OK if np.isfinite(sampled - exact + error) else UNDEFINED
        rows[Name(layer, "sampled-score-error")] = sampled - exact, error, status
        rows[Name(layer, "score")] = exact, 0.0, status
    return rows
