"""One network of a sweep: drawn, trained by every rule that is asked for, and measured.

Random keys are fold_in(fold_in(root, seed), width): adding a width or a seed changes no other cell.
What the networks of one seed share has the key fold_in(fold_in(root, seed), 0).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.claims.claim import BOTTLENECK
from ntkalign.data.catalogue import Data
from ntkalign.devices import drawing, shard
from ntkalign.flow.gradient_flow import Flow, Outcome, Work, gradient_flow
from ntkalign.flow.initial_state import Origin
from ntkalign.flow.spectral.spectral_flow import SpectralFlow
from ntkalign.networks.shared_outputs import share_outputs
from ntkalign.precision import in_float64
from ntkalign.quantities import theory as measure
from ntkalign.quantities.theory import Series
from ntkalign.rules import LINEARISED, NORMAL, RULES, Rule
from ntkalign.runs.settings import Settings

SAVED_TIMES = 8
COARSER = 30.0
"""The companion flow, which the error is estimated with, is looser by this factor."""
NO_WIDTH = 0
LOSS = "loss-at-"
"""Quantities of this name, and the number of a saved time, are points of the training curve."""
SAMPLES = 100
"""Gaussian vectors of the sampled alignment score, as in the paper."""

HIDDEN_LAYERS = {"activation-drift", "gamma-gap"}
EVERY_LAYER = {
    "weight-drift", "discrepancy", "alignment-gap", "delta-norm", "sigma-norm", "misalignment",
    "sampled-score-error", "q-gap", "spectrum-gap",
}  # fmt: skip
"""Which quantities there are for one layer; the others are of the whole network."""
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
        origin: the network at time 0.
        y: what it learns.
        times: saved times.
        key: of the network.
        among: rules for the dense engine to compile together.
    """

    settings: Settings
    origin: Origin
    y: Array
    times: np.ndarray
    key: Array
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
        x, y = jnp.asarray(data.x), jnp.asarray(data.y)
        origin = Origin.of(network, shard(start), x)
        if settings.initial_outputs == "zero":  # f − f⁰ learns y as f learns y + f⁰
            y = y + origin.first.output
        return cls(settings, origin, y, saved_times(time), key, among)

    @in_float64
    def run(self, rule: Rule, guess: Flow | None = None) -> tuple[Flow, Flow]:
        """The flow, and the looser one that its error is estimated with."""
        tolerance = self.settings.tolerance
        flow = partial(
            gradient_flow, self.origin.network, rule, self.origin.start, self.origin.x, self.y,
            self.times, key=self.key, among=self.among, origin=self.origin,
        )  # fmt: skip
        coarse = flow(engine=self.settings.engine, tolerance=COARSER * tolerance, guess=guess)
        # both by one engine: the difference of two engines' errors is not an error estimate
        engine = self.settings.engine if isinstance(coarse, SpectralFlow) else "dense"
        fine = flow(engine=engine, tolerance=tolerance, guess=coarse)
        if type(fine) is not type(coarse):
            coarse = flow(engine="dense", tolerance=COARSER * tolerance)
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
    for name in (NORMAL.name, LINEARISED.name):
        if any(r.name == name for r in rules):
            references[name] = trial.run(RULES[name])
    rows: list[Row] = []
    for rule in rules:
        if rule.name not in needs:
            continue
        near = None if rule.control else references[NORMAL.name][1]
        pair = references.get(rule.name) or trial.run(rule, near)
        wanted = set(needs[rule.name])
        for other, quantity in (
            (rule.name, None), (NORMAL.name, "divergence"), (LINEARISED.name, "linearisation-gap"),
        ):  # fmt: skip
            flows = pair if quantity is None else references.get(other, ())
            lost = wanted if quantity is None else wanted & {quantity}
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


def what_it_took(work: Work) -> Measured:
    """Steps or iterations, and what the flow says of its error."""
    rows: Measured = {(None, f"{work.engine}-steps"): (float(work.steps), 0.0, "ok")}
    if work.estimate is not None:
        rows[None, "panels"] = float(work.panels), 0.0, "ok"
        rows[None, "estimated-error"] = work.estimate, 0.0, "ok"
    return rows


def with_status(found: Mapping[tuple[int | None, str], tuple[float, float]]) -> Measured:
    """Values and errors with "ok", or why there is none."""
    return {
        name: (value, error, "ok" if np.isfinite(value + error) else UNDEFINED)
        for name, (value, error) in found.items()
    }


def _rules_to_run(settings: Settings, needs: Needs) -> tuple[Rule, ...]:
    own = {rule.name: rule for rule in settings.rules}
    rules = [NORMAL, *(own.get(n) or RULES[n] for n in needs if n != NORMAL.name)]
    if any("linearisation-gap" in quantities for quantities in needs.values()):
        rules.append(LINEARISED)
    return tuple(dict.fromkeys(rules))


def _measure(
    pair: tuple[Flow, Flow],
    references: dict[str, tuple[Flow, Flow]],
    wanted: set[str],
    cell: Cell,
) -> Measured:
    """The wanted quantities of one rule's flow."""
    origin = pair[0].origin
    initial, depth = origin.trace, origin.network.depth
    output0 = np.asarray(origin.first.output)
    fine: Series = {}
    coarse: Series = {}
    for i, (flow, series) in enumerate(zip(pair, (fine, coarse), strict=True)):
        if wanted & {"activation-drift", "weight-drift", "jacobian-drift", "feedback-drift"}:
            # the spectral engine knows its error: no second set of Jacobians is needed for it
            estimate = flow.work.estimate
            now = flow.trace(jacobians=i == 0 or estimate is None)
            if "weight-drift" in wanted:
                series |= measure.weight_drift(flow)
            if "activation-drift" in wanted:
                series |= measure.activation_drift(initial, now)
            if now.jacobian:
                series |= measure.jacobian_drift(initial, now)
        if wanted & {"discrepancy", "alignment-gap", "delta-norm", "sigma-norm", "misalignment"}:
            series |= measure.alignment(flow)
        if "divergence" in wanted:
            normal = references[NORMAL.name][i]
            series |= measure.divergence("divergence", normal, flow, output0)
        if "linearisation-gap" in wanted:
            linear = references[LINEARISED.name][i]
            series |= measure.divergence("linearisation-gap", flow, linear, output0)
    work = pair[0].work
    measured = with_status(measure.supremum(fine, coarse, work.estimate))
    measured |= what_it_took(work)
    if pair[0].rule is NORMAL:
        for i, f in enumerate(pair[0].output, start=1):
            value, slack = (float(np.sum((pair[0].y - f) ** 2)) / (2 * len(f)), pair[0].work)
            measured[None, f"{LOSS}{i}"] = value, 2 * value * (slack.estimate or 0.0), "ok"
    if "sampled-score-error" in wanted:
        for layer in range(1, depth + 1):
            exact, sampled, error = measure.sampled_score(
                pair[0], layer, samples=SAMPLES, seed=cell.seed
            )
            status = "ok" if np.isfinite(sampled - exact + error) else UNDEFINED
            measured[layer, "sampled-score-error"] = sampled - exact, error, status
            measured[layer, "score"] = exact, 0.0, status
    return measured


def failed(cell: Cell, needs: Needs, depth: int, status: str) -> list[Row]:
    """Labelled rows for all that could not be measured."""
    return [
        (cell.family, cell.width, cell.seed, rule, layer, quantity, np.nan, np.nan, status)
        for rule, quantities in needs.items()
        for quantity in sorted(quantities)
        for layer in _layers(quantity, depth)
    ]


def _layers(quantity: str, depth: int) -> Iterable[int | None]:
    if quantity in HIDDEN_LAYERS:
        return range(1, depth)
    return range(1, depth + 1) if quantity in EVERY_LAYER else (None,)
