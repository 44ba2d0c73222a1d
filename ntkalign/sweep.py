"""Measuring every network of a sweep: one cell is one (family, width, seed).

A finished cell is stored at once, so an interrupted or enlarged run repeats nothing. Random keys
are fold_in(fold_in(root, seed), width): adding a width or a seed changes no other cell.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from ntkalign import measurements as measure
from ntkalign.activations import ACTIVATIONS
from ntkalign.claims import BOTTLENECK, MAIN, Question
from ntkalign.data import Data
from ntkalign.flow import Flow, Outcome, gradient_flow
from ntkalign.measurements import Series, Trace
from ntkalign.networks import Network
from ntkalign.rules import LINEARISED, NORMAL, RULES, Rule
from ntkalign.settings import Settings

SAVED_TIMES = 8
COARSER = 30.0
"""The companion flow, which the error is estimated with, is looser by this factor."""
SAMPLES = 100
"""Gaussian vectors of the sampled alignment score, as in the paper."""

COLUMNS = [
    "family", "width", "seed", "rule", "layer", "quantity", "value", "error", "status",
]  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One network to train by every rule and measure."""

    family: str
    width: int
    seed: int

    def __str__(self) -> str:
        return f"{self.family} network, width {self.width}, seed {self.seed}"


@dataclass(frozen=True)
class Sweep:
    """A table of measurements and where its cells came from."""

    table: pd.DataFrame
    measured: int
    reused: int


def run_sweep(
    settings: Settings,
    data: Data,
    time: float,
    questions: Iterable[Question],
    folder: Path | None = None,
    *,
    fresh: bool = False,
    progress: Callable[[Cell, int, int], None] = lambda cell, done, total: None,
) -> Sweep:
    """Measure what the questions need, at every width and seed.

    Args:
        settings: checked settings.
        data: the training points.
        time: T.
        questions: decide which rules run and what is measured.
        folder: where cells are stored and looked for; None stores nothing.
        fresh: ignore stored cells.
        progress: called before each cell with it and how many are done, and once at the end.
    """
    needs = _needs(questions)
    cells = [
        Cell(family, width, settings.first_seed + s)
        for width in settings.widths
        for family in needs
        for s in range(settings.seeds)
    ]
    tables, reused = [], 0
    for done, cell in enumerate(cells):
        progress(cell, done, len(cells))
        path = folder and folder / f"{_digest(settings, data, time, cell, needs[cell.family])}.csv"
        if path and path.is_file() and not fresh:
            tables.append(pd.read_csv(path, dtype={"layer": "Int64"}))
            reused += 1
            continue
        rows = measure_cell(settings, data, time, cell, needs[cell.family])
        table = pd.DataFrame(rows, columns=COLUMNS).astype({"layer": "Int64"})
        if path:
            _store(table, path)
        tables.append(table)
    progress(cells[-1], len(cells), len(cells))
    return Sweep(pd.concat(tables, ignore_index=True), len(cells) - reused, reused)


def _needs(questions: Iterable[Question]) -> dict[str, dict[str, frozenset[str]]]:
    """Family → rule → quantities; the main family first."""
    needs: dict[str, dict[str, set[str]]] = {MAIN: {}, BOTTLENECK: {}}
    for q in questions:
        needs[q.family].setdefault(q.rule, set()).add(q.claim.quantity)
    return {
        family: {rule: frozenset(quantities) for rule, quantities in rules.items()}
        for family, rules in needs.items()
        if rules
    }


def measure_cell(
    settings: Settings, data: Data, time: float, cell: Cell, needs: dict[str, frozenset[str]]
) -> list[tuple[object, ...]]:
    """All rows of one cell: flows at the tolerance and at a looser one, then measurements."""
    family = settings.family
    if cell.family == BOTTLENECK:
        family = replace(family, bottleneck=settings.bottleneck)
    network = family.network(cell.width, data.x.shape[1], data.y.shape[1])
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), cell.seed), cell.width)
    rules = _rules_to_run(settings, needs)
    x, y = jnp.asarray(data.x), jnp.asarray(data.y)
    start = network.initialise(key)
    times = time * (np.arange(1, SAVED_TIMES + 1) / SAVED_TIMES) ** 2  # denser where change is fast

    def run(rule: Rule, tolerance: float) -> Flow:
        return gradient_flow(
            network, rule, start, x, y, times, tolerance=tolerance, key=key, among=rules
        )

    initial = measure.initial_trace(network, start, x)
    references = {
        name: (run(RULES[name], settings.tolerance), run(RULES[name], COARSER * settings.tolerance))
        for name in (NORMAL.name, LINEARISED.name)
        if any(r.name == name for r in rules)
    }
    rows: list[tuple[object, ...]] = []
    for rule in rules:
        if rule.name not in needs:
            continue
        pair = references.get(rule.name) or (
            run(rule, settings.tolerance),
            run(rule, COARSER * settings.tolerance),
        )
        wanted = needs[rule.name]
        measured = _measure(pair, references, initial, wanted, network, rules, cell)
        for (layer, quantity), (value, error, status) in measured.items():
            rows.append(
                (
                    cell.family,
                    cell.width,
                    cell.seed,
                    rule.name,
                    layer,
                    quantity,
                    value,
                    error,
                    status,
                )
            )
    return rows


def _rules_to_run(settings: Settings, needs: dict[str, frozenset[str]]) -> tuple[Rule, ...]:
    own = {rule.name: rule for rule in settings.rules}
    rules = [NORMAL, *(own.get(n) or RULES[n] for n in needs if n != NORMAL.name)]
    if any("linearisation-gap" in quantities for quantities in needs.values()):
        rules.append(LINEARISED)
    return tuple(dict.fromkeys(rules))


Measured = dict[tuple[int | None, str], tuple[float, float, str]]


def _measure(
    pair: tuple[Flow, Flow],
    references: dict[str, tuple[Flow, Flow]],
    initial: Trace,
    wanted: frozenset[str],
    network: Network,
    rules: tuple[Rule, ...],
    cell: Cell,
) -> Measured:
    """The wanted quantities of one rule's flow, or labelled rows that say why there are none."""
    depth = network.depth
    involved = [*pair, *(references[NORMAL.name] if "divergence" in wanted else ())]
    involved += references.get(LINEARISED.name, ()) if "linearisation-gap" in wanted else ()
    for flow in involved:
        if flow.outcome is not Outcome.REACHED:
            status = f"{flow.rule.name} {flow.outcome.value}"
            return {
                (layer, quantity): (np.nan, np.nan, status)
                for quantity in sorted(wanted)
                for layer in _layers(quantity, depth)
            }
    output0 = network.output_scale * initial.preactivations[-1][0]
    fine: Series = {}
    coarse: Series = {}
    for i, (flow, series) in enumerate(zip(pair, (fine, coarse), strict=True)):
        if wanted & {"activation-drift", "weight-drift", "jacobian-drift", "feedback-drift"}:
            now = measure.trace(flow, rules)
            if "weight-drift" in wanted:
                series |= measure.weight_drift(flow)
            if "activation-drift" in wanted:
                series |= measure.activation_drift(initial, now)
            series |= measure.jacobian_drift(initial, now)
        if wanted & {"discrepancy", "alignment-gap", "delta-norm", "sigma-norm", "misalignment"}:
            series |= measure.alignment(flow, initial)
        if "divergence" in wanted:
            normal = references[NORMAL.name][i]
            series |= measure.divergence("divergence", normal, flow, output0)
        if "linearisation-gap" in wanted:
            linear = references[LINEARISED.name][i]
            series |= measure.divergence("linearisation-gap", flow, linear, output0)
    measured: Measured = {
        name: (value, error, "ok")
        for name, (value, error) in measure.supremum(fine, coarse).items()
    }
    if "sampled-score-error" in wanted:
        for layer in range(1, depth + 1):
            exact, sampled, error = measure.sampled_score(
                pair[0], initial, layer, samples=SAMPLES, seed=cell.seed
            )
            measured[layer, "sampled-score-error"] = sampled - exact, error, "ok"
            measured[layer, "score"] = exact, 0.0, "ok"
    return measured


def _layers(quantity: str, depth: int) -> Iterable[int | None]:
    if quantity in ("jacobian-drift", "feedback-drift", "divergence", "linearisation-gap"):
        return (None,)
    return range(1, depth if quantity == "activation-drift" else depth + 1)


def _store(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    table.to_csv(unfinished, index=False)
    unfinished.replace(path)


def _digest(
    settings: Settings, data: Data, time: float, cell: Cell, needs: dict[str, frozenset[str]]
) -> str:
    """A name for everything that decides a cell's numbers, the package's own code included."""
    built_in = ACTIVATIONS.get(settings.activation.name) is settings.activation and all(
        RULES.get(r.name) is r for r in settings.rules
    )
    text = json.dumps(
        [
            [settings.depth, settings.multipliers, settings.bias_std, settings.output_exponent],
            [settings.bottleneck, settings.tolerance, settings.activation.name, time],
            [cell.family, cell.width, cell.seed],
            sorted((rule, sorted(quantities)) for rule, quantities in needs.items()),
            "" if built_in else secrets.token_hex(),  # code of one's own is never looked up
        ]
    )
    digest = hashlib.sha256(text.encode())
    digest.update(np.ascontiguousarray(data.x).tobytes() + np.ascontiguousarray(data.y).tobytes())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:20]
