"""One network of a sweep: drawn, trained by every rule that is asked for, and measured.

What a quantity's number is does not depend on what else is asked for: a flow starts from the one a
rung below, the loosest from nothing or from gradient descent's, whichever other rules run; every
group of quantities climbs by itself (:mod:`ntkalign.cells.climbing`); and the dense engine compiles
all rules together whichever are needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

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
from ntkalign.cells.climbing import FIRST, climb
from ntkalign.cells.specification import Specification
from ntkalign.cells.trained import Trained, Which
from ntkalign.devices import drawing, shard
from ntkalign.flow.gradient_flow import gradient_flow
from ntkalign.flow.options import FlowOptions
from ntkalign.flow.problem import Problem
from ntkalign.flow.trajectory import AtRest, Effort, Flow, Outcome
from ntkalign.networks.randomness import of_network, of_shared_outputs
from ntkalign.networks.shared_outputs import share_outputs
from ntkalign.precision import in_float64
from ntkalign.programs import hand_back
from ntkalign.quantities.catalogue import (
    AT_THE_KINK,
    EXPANSION,
    EXPANSION_OVER_TIME,
    LOSS,
    QUANTITIES,
    tolerance_of,
)  # fmt: skip
from ntkalign.quantities.measuring import (
    Group,
    Measurements,
    expansion,
    groups_of,
    measure,
    measure_groups,
    references_of,
    together,
)
from ntkalign.quantities.observed import Limit, Observed
from ntkalign.quantities.series import ESTIMATE_FACTOR
from ntkalign.rules import LINEARISED, NORMAL, RULES, Rule

Pair = tuple[Flow, Flow]
"""A flow, and the looser one that its error is estimated with."""
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
        descent: gradient descent, as it is here; rules that should end near it start from its flow.
    """

    specification: Specification
    problem: Problem
    among: tuple[Rule, ...] = ()
    trained: Trained | None = None
    descent: Rule = NORMAL
    _shared: set[Rule] = field(default_factory=set)
    _made: dict[Which, Flow] = field(default_factory=dict)

    @classmethod
    @in_float64
    def of(
        cls,
        specification: Specification,
        among: tuple[Rule, ...] = (),
        trained: Trained | None = None,
        descent: Rule = NORMAL,
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
        return cls(specification, problem, among, trained, descent, {descent})

    def pair(self, rule: Rule, rung: int = FIRST) -> Pair:
        """A rule's flow on a rung of the ladder, and its companion, from a rung below."""
        coarse, fine = self._below(rule, rung), self._flow(rule, rung)
        if fine.effort.engine != coarse.effort.engine:
            # both by one engine: the difference of two engines' errors is not an error estimate
            coarse = self._once(self._which(rule, rung - 1, instead=True), "dense", None)
        return fine, coarse

    def begin(self, rule: Rule, later: Iterable[Rule]) -> None:
        """Turn to a rule; only its flows and those of rules that are looked at later are kept."""
        self._shared.clear()
        self._shared.update((self.descent, *later))
        for which in [w for w in self._made if w.rule not in (rule, *self._shared)]:
            del self._made[which]
        hand_back()

    def leave(self, rule: Rule, rung: int) -> None:
        """Forget the flows of a rule below a rung, unless they are looked at later."""
        if rule not in self._shared:
            for below in range(rung):
                for instead in (False, True):
                    self._made.pop(self._which(rule, below, instead=instead), None)

    def solve(self, which: Which, engine: str, guess: Flow | None) -> Flow:
        """Train by a rule, at a tolerance."""
        among = self.among if which.rule in self.among else (which.rule,)
        options = FlowOptions(engine, which.ladder[-1])
        return gradient_flow(self.problem, which.rule, options, guess=guess, among=among)

    def _which(self, rule: Rule, rung: int, *, instead: bool = False) -> Which:
        return Which(rule, self.specification.ladder[: rung + 1], instead)

    def _flow(self, rule: Rule, rung: int) -> Flow:
        """The flow on a rung; it starts from the one below, and above the first has its engine."""
        which = self._which(rule, rung)
        if (found := self._known(which)) is not None:
            return found
        engine, guess = self.specification.engine, None
        if rung:
            guess = self._below(rule, rung)
            if rung > FIRST and guess.outcome not in (Outcome.REACHED, Outcome.NOT_CONVERGED):
                return guess  # what diverged, or took too many steps, would do so again
            if guess.effort.engine == "dense" or rung > FIRST:
                engine = guess.effort.engine  # no more accurate flow is worth another engine
        elif not (rule in FROM_NOTHING or rule.control or rule is self.descent):
            _, guess = self.pair(self.descent)  # they should end near it
        return self._once(which, engine, guess)

    def _below(self, rule: Rule, rung: int) -> Flow:
        """The flow of the rung below, or of one further down if the iteration stalled there."""
        nearest = self._flow(rule, rung - 1)
        downwards = (self._flow(rule, below) for below in range(rung - 1, -1, -1))
        return next((f for f in downwards if f.outcome is not Outcome.NOT_CONVERGED), nearest)

    def _known(self, which: Which) -> Flow | None:
        """A flow that was made or kept before."""
        if which not in self._made and self.trained is not None:
            found = self.trained.find(self.specification, self.problem, which, self.among)
            if found is not None:
                self._made[which] = found
        return self._made.get(which)

    @in_float64
    def _once(self, which: Which, engine: str, guess: Flow | None) -> Flow:
        found = self._known(which)
        if found is None:
            found = self._made[which] = self.solve(which, engine, guess)
            if self.trained is not None:
                self.trained.keep(self.specification, which, found)
        return found


@dataclass(eq=False)
class Climber:
    """Looks at the flows of one rule, rung by rung.

    Attributes:
        trial: the network.
        rule: the rule.
        limit: the kernels of the infinitely wide network, where a quantity needs them.
        points: so many points are learnt, the others held out; None for all.
        expansion: how far gradient descent moves the network at each saved time, if that is among
            what is measured; of the first rung.
        failures: of this rule and of those it is compared with, on the first rung.
    """

    trial: Trial
    rule: Rule
    limit: Limit | None = None
    points: int | None = None
    expansion: Measured = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    _last: Observed | None = None

    def measured(self, wanted: frozenset[str]) -> Measured:
        """The wanted quantities, each from the rung that it needs, or why there are none.

        Args:
            wanted: names of quantities.

        Returns:
            Values with their errors, and which tolerances were reached if none was asked for.
        """
        specification, depth = self.trial.specification, self.trial.problem.initial.network.depth
        groups = groups_of(wanted)
        reached = climb(groups, self.look, len(specification.ladder))
        found = together({group: known.measurements for group, known in reached.items()})
        measured = with_status(found.numbers) | at_times(found.over_time, specification.times)
        measured |= self.expansion
        for group in groups:
            if group not in reached:
                looked_at = (self.rule.name, *_references([group]))
                why = next(self.failures[name] for name in looked_at if name in self.failures)
                measured |= lost((record.name for record in group), depth, why)
            elif specification.tolerance is None:
                tolerance = specification.ladder[reached[group].rung]
                measured[Name(None, tolerance_of(group[0].name))] = tolerance, 0.0, OK
        return measured

    def look(self, groups: tuple[Group, ...], rung: int) -> Mapping[Group, Measurements]:
        """Measure some groups on a rung; those that need a flow that failed are left out."""
        pair = self.trial.pair(self.rule, rung)
        failed = _failures({self.rule.name: pair})
        others: dict[str, Pair] = {}
        if not failed:
            others = {name: self.trial.pair(RULES[name], rung) for name in _references(groups)}
            failed = _failures(others)
        if rung == FIRST:
            self.failures = failed
        if self.rule.name in failed:
            return {}
        able = [group for group in groups if failed.keys().isdisjoint(_references([group]))]
        fine, coarse = (
            self._observed(flow, {n: other[i] for n, other in others.items() if n not in failed})
            for i, flow in enumerate(pair)
        )
        found = measure_groups(able, fine, coarse)
        if rung == FIRST:
            names = frozenset(record.name for group in able for record in group)
            self.expansion = expansion_over_time(self.rule, names, fine, coarse)
        self._last = fine  # the companion of the next rung: what was measured of it is known
        for rule in (self.rule, *(RULES[name] for name in others if name not in failed)):
            self.trial.leave(rule, rung)
        return found

    def _observed(self, flow: Flow, others: dict[str, Flow]) -> Observed:
        last = self._last
        if last and last.flow is flow and all(last.references.get(n) is others[n] for n in others):
            return last
        seed = self.trial.specification.cell.seed
        return Observed(flow, others, seed, self.points, self.limit)


def _failures(pairs: Mapping[str, Pair]) -> dict[str, str]:
    """Of those flows that failed, which and why."""
    found = {name: why_not(pair) for name, pair in pairs.items()}
    return {name: f"{name} {failure}" for name, failure in found.items() if failure is not None}


def _references(groups: Iterable[Group]) -> tuple[str, ...]:
    return references_of(record.name for group in groups for record in group)


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
    trial, rows = Trial.of(specification, RULES.built_in, trained), []
    to_come = {rule: with_companions(quantities) for rule, quantities in needs.items()}
    for rule in needs:
        wanted = to_come.pop(rule)
        trial.begin(rule, _looked_at(to_come))
        rows += labelled(specification.cell, rule.name, _of_rule(trial, rule, wanted, limit))
    return rows


def _looked_at(to_come: Mapping[Rule, frozenset[str]]) -> set[Rule]:
    """The rules whose flows are looked at when others, or they themselves, are measured."""
    wanted = frozenset().union(*to_come.values())
    return {*to_come, *(RULES[name] for name in references_of(wanted))}


def _of_rule(trial: Trial, rule: Rule, wanted: frozenset[str], limit: Limit | None) -> Measured:
    """The wanted quantities of one rule, or why there are none."""
    if not any(QUANTITIES[name].trained for name in wanted):
        return _untrained(trial, rule, wanted, limit)
    return _of_flow(trial, rule) | Climber(trial, rule, limit).measured(wanted)


def _of_flow(trial: Trial, rule: Rule) -> Measured:
    """What is said of every flow, whatever is wanted of it: of that on the first rung."""
    pair = trial.pair(rule)
    measured = what_it_took(pair[0].effort)
    if rule is NORMAL:
        measured |= _losses(*pair)
        if not trial.specification.family.activation.meets_assumptions:
            measured |= _at_the_kink(pair[0])
    return measured


def _untrained(trial: Trial, rule: Rule, wanted: frozenset[str], limit: Limit | None) -> Measured:
    """What is of networks at time 0 alone: nothing is trained for it."""
    seen = Observed(AtRest.of(trial.problem, rule), {}, trial.specification.cell.seed, limit=limit)
    return with_status(measure(wanted, seen, seen).numbers)


def expansion_over_time(
    rule: Rule, wanted: frozenset[str], seen: Observed, looser: Observed
) -> Measured:
    """At each saved time, how far gradient descent has moved the network, if it is measured."""
    if rule.name != NORMAL.name or EXPANSION[-1] not in wanted:
        return {}
    values, effort = expansion(seen), seen.flow.effort
    errors = ESTIMATE_FACTOR * effort.share * values
    if effort.estimate is None:
        errors = errors + np.abs(values - expansion(looser))
    return {
        Name(None, EXPANSION_OVER_TIME, float(t)): (float(v), float(error), OK)
        for t, v, error in zip(seen.flow.times, values, errors, strict=True)
        if np.isfinite(v)
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


def _losses(flow: Flow, looser: Flow) -> Measured:
    """½‖e‖² averaged over points, at the saved times."""
    if (failure := why_not((flow, looser))) is not None:
        lost = np.nan, np.nan, f"{flow.rule.name} {failure}"
        return {Name(None, LOSS, float(time)): lost for time in flow.times}
    values, others = (
        np.sum((f.y - f.output) ** 2, axis=(1, 2)) / (2 * len(f.y)) for f in (flow, looser)
    )
    errors = 2 * values * flow.effort.share
    if flow.effort.estimate is None:
        errors = errors + np.abs(values - others)
    return {
        Name(None, LOSS, float(time)): (float(value), float(error), OK)
        for time, value, error in zip(flow.times, values, errors, strict=True)
    }
