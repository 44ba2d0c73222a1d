"""One network of a sweep: drawn, trained by every rule that is asked for, and measured.

What a quantity's number is does not depend on what else is asked for: a flow starts from nothing or
from gradient descent's, whichever other rules run, and the dense engine compiles all rules together
whichever are needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import jax.numpy as jnp
import numpy as np

from ntkalign.cells.cell import (
    OK,
    Measured,
    Name,
    Needs,
    Row,
    at_times,
    labelled,
    lost,
    with_companions,
    with_status,
)  # fmt: skip
from ntkalign.cells.specification import Specification
from ntkalign.cells.trained import Pair, Trained
from ntkalign.devices import drawing, shard
from ntkalign.flow.gradient_flow import gradient_flow
from ntkalign.flow.options import FlowOptions
from ntkalign.flow.problem import Problem
from ntkalign.flow.trajectory import AtRest, Effort, Flow, Outcome
from ntkalign.networks.randomness import of_network, of_shared_outputs
from ntkalign.networks.shared_outputs import share_outputs
from ntkalign.precision import in_float64
from ntkalign.quantities.catalogue import (
    AT_THE_KINK,
    EXPANSION,
    EXPANSION_OVER_TIME,
    LOSS,
    QUANTITIES,
)  # fmt: skip
from ntkalign.quantities.measuring import measure, references_of
from ntkalign.quantities.observed import Limit, Observed
from ntkalign.quantities.series import ESTIMATE_FACTOR
from ntkalign.quantities.theory import expansion
from ntkalign.rules import LINEARISED, NORMAL, RULES, Rule

COARSER = 30.0
"""The companion flow, which the error is estimated with, is looser by this factor."""
FROM_NOTHING = (NORMAL, LINEARISED)
"""These flows start from no other; controls do not either."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A network of a sweep at its start, ready to be trained.

    Attributes:
        specification: of the network.
        problem: the network at time 0, what it learns, and the saved times.
        among: rules for the dense engine to compile together.
        trained: where flows are kept and looked for, if anywhere.
    """

    specification: Specification
    problem: Problem
    among: tuple[Rule, ...] = ()
    trained: Trained | None = None
    _kept: dict[Rule, Pair] = field(default_factory=dict)

    @classmethod
    @in_float64
    def of(
        cls,
        specification: Specification,
        among: tuple[Rule, ...] = (),
        trained: Trained | None = None,
    ) -> Trial:
        """Draw the network that is specified."""
        cell, data = specification.cell, specification.data
        network = specification.family.network(cell.width, data.x.shape[1:], data.y.shape[1])
        with drawing():
            key = of_network(cell.seed, specification.family.drawn_as(cell.width))
            start = network.initialise(key, jnp.float32)
            if specification.initial_outputs == "shared":
                start = share_outputs(
                    network, start, jnp.asarray(data.x), of_shared_outputs(cell.seed)
                )
        times = np.array(specification.times)
        problem = Problem.of(network, shard(start), data.x, data.y, times, key)
        if specification.initial_outputs == "zero":  # f − f⁰ learns y as f learns y + f⁰
            output = problem.initial.output
            problem = replace(problem, y=problem.y + output)
        return cls(specification, problem, among, trained)

    @in_float64
    def run(self, rule: Rule, guess: Flow | None = None) -> Pair:
        """Train by a rule, twice: at the tolerance and at a looser one."""
        among = self.among if rule in self.among else (rule,)
        solve = partial(gradient_flow, self.problem, rule, among=among)
        options = FlowOptions(self.specification.engine, self.specification.tolerance)
        looser = replace(options, tolerance=COARSER * options.tolerance)
        coarse = solve(looser, guess=guess)
        # both by one engine: the difference of two engines' errors is not an error estimate
        if coarse.effort.engine == "dense":
            options = replace(options, engine="dense")
        fine = solve(options, guess=coarse)
        if fine.effort.engine != coarse.effort.engine:
            coarse = solve(replace(looser, engine="dense"))
        return fine, coarse

    def reference(self, rule: Rule) -> Pair:
        """The same for a rule that others are compared with: trained once and kept."""
        if rule not in self._kept:
            self._kept[rule] = self._trained(rule)
        return self._kept[rule]

    def train(self, rule: Rule) -> Pair:
        """By any rule."""
        if rule in FROM_NOTHING or rule in self._kept:
            return self.reference(rule)
        return self._trained(rule)

    def _trained(self, rule: Rule) -> Pair:
        """Rules that should end near gradient descent start from it."""
        if self.trained is not None:
            found = self.trained.find(self.specification, self.problem, rule, self.among)
            if found is not None:
                return found
        alone = rule in FROM_NOTHING or rule.control
        pair = self.run(rule, None if alone else self.reference(NORMAL)[1])
        if self.trained is not None:
            self.trained.keep(self.specification, rule, pair)
        return pair


@in_float64
def measure_cell(
    specification: Specification,
    needs: Needs,
    *,
    limit: Limit | None = None,
    trained: Trained | None = None,
) -> list[Row]:
    """What is needed of one network, and what it took.

    Args:
        specification: of the network.
        needs: the quantities wanted, by rule.
        limit: the kernels of the infinitely wide network, where a quantity needs them.
        trained: where trained networks are kept and looked for; None keeps none.

    Returns:
        Rows, rule by rule; where a flow failed, values are NaN and the status says why.
    """
    trial = Trial.of(specification, RULES.built_in, trained)
    cell = specification.cell
    return [
        row
        for rule, quantities in needs.items()
        for row in labelled(
            cell, rule.name, _of_rule(trial, rule, with_companions(quantities), limit)
        )
    ]


def _of_rule(trial: Trial, rule: Rule, wanted: frozenset[str], limit: Limit | None) -> Measured:
    """The wanted quantities of one rule, or why there are none."""
    if not any(QUANTITIES[name].trained for name in wanted):
        return _untrained(trial, rule, wanted, limit)
    pair, depth = trial.train(rule), trial.problem.initial.network.depth
    measured = what_it_took(pair[0].effort)
    failure = why_not(pair)
    if rule is NORMAL:
        measured |= _losses(pair[0], failure)
        if not trial.specification.family.activation.meets_assumptions:
            measured |= _at_the_kink(pair[0])
    if failure is not None:
        return measured | lost(wanted, depth, f"{rule.name} {failure}")
    references = {name: trial.reference(RULES[name]) for name in references_of(wanted)}
    for name, other in references.items():
        failure = why_not(other)
        if failure is not None:
            both = frozenset(q for q in wanted if name in QUANTITIES[q].references)
            measured |= lost(both, depth, f"{name} {failure}")
            wanted -= both
    seed = trial.specification.cell.seed
    fine, coarse = (
        Observed(flow, {name: flows[i] for name, flows in references.items()}, seed, limit=limit)
        for i, flow in enumerate(pair)
    )
    found = measure(wanted, fine, coarse)
    measured |= with_status(found.numbers) | at_times(found.over_time, fine.flow.times)
    return measured | expansion_over_time(rule, wanted, fine)


def _untrained(trial: Trial, rule: Rule, wanted: frozenset[str], limit: Limit | None) -> Measured:
    """What is of networks at time 0 alone: nothing is trained for it."""
    seen = Observed(AtRest.of(trial.problem, rule), {}, trial.specification.cell.seed, limit=limit)
    return with_status(measure(wanted, seen, seen).numbers)


def expansion_over_time(rule: Rule, wanted: frozenset[str], seen: Observed) -> Measured:
    """At each saved time, how far gradient descent has moved the network, if it is measured."""
    if rule.name != NORMAL.name or EXPANSION[-1] not in wanted:
        return {}
    values, estimate = expansion(seen), seen.flow.effort.estimate or 0.0
    return {
        Name(None, EXPANSION_OVER_TIME, float(t)): row
        for t, row in zip(
            seen.flow.times,
            ((float(v), ESTIMATE_FACTOR * estimate * float(v), OK) for v in values),
            strict=True,
        )
        if np.isfinite(row[0])
    }


def why_not(pair: Pair) -> str | None:
    """Why one of two flows has no numbers; None if both have."""
    bad = next((flow for flow in pair if flow.outcome is not Outcome.REACHED), None)
    return None if bad is None else bad.outcome.value


def what_it_took(effort: Effort) -> Measured:
    """Steps or iterations, and what the flow says of its error."""
    rows: Measured = {Name(None, f"{effort.engine}-steps"): (float(effort.steps), 0.0, OK)}
    if effort.estimate is not None:
        rows[Name(None, "panels")] = float(effort.panels), 0.0, OK
        rows[Name(None, "estimated-error")] = effort.estimate, 0.0, OK
    return rows


def _at_the_kink(flow: Flow) -> Measured:
    """How many hidden units are at 0 exactly, where a rough activation may have its kink.

    With biases and inputs of 0 a unit's preactivation is 0 in every network, however wide. A slope
    that jumps there does so as soon as biases move.

    Returns:
        A share of units and points, or nothing.
    """
    hidden = [np.asarray(z) for z in flow.initial.preactivations[:-1]]
    share = sum(int(np.sum(z == 0)) for z in hidden) / sum(z.size for z in hidden)
    return {Name(None, AT_THE_KINK): (share, 0.0, OK)} if share else {}


def _losses(flow: Flow, failure: str | None) -> Measured:
    """½‖e‖² averaged over points, at the saved times."""
    rows: Measured = {}
    for time, output in zip(flow.times, flow.output, strict=True):
        value = float(np.sum((flow.y - output) ** 2)) / (2 * len(output))
        error = 2 * value * (flow.effort.estimate or 0.0)
        rows[Name(None, LOSS, float(time))] = (
            (value, error, OK)
            if failure is None
            else (np.nan, np.nan, f"{flow.rule.name} {failure}")
        )
    return rows
