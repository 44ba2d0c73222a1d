"""Measuring every network of a sweep: one cell is one (family, width, seed).

A finished cell is stored at once, so an interrupted or enlarged run repeats nothing. Random keys
are fold_in(fold_in(root, seed), width): adding a width or a seed changes no other cell. What the
networks of one seed share has the key fold_in(fold_in(root, seed), 0).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float
from threadpoolctl import threadpool_limits

from ntkalign import measurements as measure
from ntkalign.activations import ACTIVATIONS
from ntkalign.claims import BOTTLENECK, MAIN, Question
from ntkalign.data import Data
from ntkalign.devices import shard
from ntkalign.errors import InputError
from ntkalign.flow import Flow, Outcome, gradient_flow
from ntkalign.measurements import Series
from ntkalign.origin import Origin
from ntkalign.pairing import share_outputs
from ntkalign.rules import CONTROLS, LINEARISED, NORMAL, RULES, Rule
from ntkalign.settings import MIN_SEEDS, MIN_WIDTHS, Settings
from ntkalign.spectral import SpectralFlow

SAVED_TIMES = 8
COARSER = 30.0
"""The companion flow, which the error is estimated with, is looser by this factor."""
THREADS = 2
"""One architecture compiles on one core while another is trained."""
LARGE = 8192
"""Networks from this width on are trained one at a time: they fill the memory and all cores."""
CONTROL_WIDTH = 1024
"""Controls, which fail at any width, are not run above this one if there are enough below."""
NO_WIDTH = 0
LOSS = "loss-at-"
"""Quantities of this name, and the number of a saved time, are points of the training curve."""
SAMPLES = 100
"""Gaussian vectors of the sampled alignment score, as in the paper."""

HIDDEN_LAYERS = {"activation-drift", "gamma-gap"}
EVERY_LAYER = {
    "weight-drift", "discrepancy", "alignment-gap", "delta-norm", "sigma-norm", "misalignment",
    "sampled-score-error", "spectrum-gap",
}  # fmt: skip
"""Which quantities there are for one layer; the others are of the whole network."""
UNDEFINED = "undefined: nothing moves there (dead units?), so it has no share or direction"

Needs = dict[str, frozenset[str]]
"""Rule → quantities."""
Row = tuple[str, int, int, str, int | None, str, float, float, str]
Measure = Callable[[Settings, Data, float, "Cell", Needs], list[Row]]
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
    measure: Measure | None = None,
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
        measure: of one cell; :func:`measure_cell` if None.
        fresh: ignore stored cells.
        progress: called when a cell is finished, with it, how many are done and how many there are.

    Raises:
        InputError: if nothing is asked for.
    """
    needs = _needs(questions)
    if not needs:
        raise InputError(
            "rules", tuple(r.name for r in settings.rules), must="include one that is asked about",
            got="none of them", because="no claim is left to measure",
            do="add align-zero, or ask for other claims",
        )  # fmt: skip
    groups = [
        [Cell(family, width, settings.first_seed + s) for s in range(_count(family, settings))]
        for width in settings.widths
        for family in needs
        if _wanted(needs[family], family, width, settings)
    ]
    alone = Lock()

    def work(cell: Cell) -> tuple[pd.DataFrame, bool]:
        """One cell's table, and whether it was stored before."""
        wanted = _wanted(needs[cell.family], cell.family, cell.width, settings)
        path = folder and folder / f"{_digest(settings, data, time, cell, wanted)}.csv"
        stored = _stored(path) if path and not fresh else None
        if stored is not None:
            return stored, True
        try:
            with alone if cell.width >= LARGE else nullcontext():
                rows = (measure or measure_cell)(settings, data, time, cell, wanted)
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            reason = f"could not run: {' '.join(str(error).split())[:120] or 'out of memory'}"
            return _table(failed(cell, wanted, settings.depth, reason)), False
        table = _table(rows)
        if path:
            _store(table, path)
        return table, False

    # NumPy's matrices are small here: its BLAS threads would only wait for those of the others
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(THREADS) as pool:
        futures = {cell: pool.submit(work, cell) for cell in _staggered(groups)}
        names = {future: cell for cell, future in futures.items()}
        try:
            for done, future in enumerate(as_completed(names), start=1):
                future.result()
                progress(names[future], done, len(names))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    results = [futures[cell].result() for group in groups for cell in group]
    reused = sum(was_stored for _, was_stored in results)
    table = pd.concat([t for t, _ in results], ignore_index=True)
    return Sweep(table, len(results) - reused, reused)


def _count(family: str, settings: Settings) -> int:
    """Networks per width; a control that must fail by a wide margin needs fewer."""
    return settings.seeds if family == MAIN else max(MIN_SEEDS, settings.seeds // 2)


def _wanted(needs: Needs, family: str, width: int, settings: Settings) -> Needs:
    """What is measured at one width: controls are left out of the largest."""
    if width <= max(CONTROL_WIDTH, settings.widths[MIN_WIDTHS - 1]):
        return needs
    if family == BOTTLENECK:
        return {}
    controls = {r.name for r in (*CONTROLS, *settings.rules) if r.control}
    return {rule: quantities for rule, quantities in needs.items() if rule not in controls}


def _staggered(groups: list[list[Cell]]) -> list[Cell]:
    """Start each architecture (and so its compilation) while the one before still runs."""
    order = groups[0][:1]
    for group, following in zip(groups, [*groups[1:], []], strict=True):
        order += following[:1] + group[1:]
    return order


def read_table(path: Path) -> pd.DataFrame:
    """A table of measurements."""
    return pd.read_csv(path, dtype={"layer": "Int64"})


def _table(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS).astype({"layer": "Int64"})


def _stored(path: Path) -> pd.DataFrame | None:
    """A cell measured before, if its file is there and whole."""
    try:
        table = read_table(path)
    except (OSError, ValueError):
        return None
    return table if list(table.columns) == COLUMNS and len(table) else None


def failed(cell: Cell, needs: Needs, depth: int, status: str) -> list[Row]:
    """Labelled rows for all that could not be measured."""
    return [
        (cell.family, cell.width, cell.seed, rule, layer, quantity, np.nan, np.nan, status)
        for rule, quantities in needs.items()
        for quantity in sorted(quantities)
        for layer in _layers(quantity, depth)
    ]


def _needs(questions: Iterable[Question]) -> dict[str, Needs]:
    """Family → rule → quantities; the main family first."""
    needs: dict[str, dict[str, set[str]]] = {MAIN: {}, BOTTLENECK: {}}
    for q in questions:
        needs[q.family].setdefault(q.rule, set()).add(q.claim.quantity)
    return {
        family: {rule: frozenset(quantities) for rule, quantities in rules.items()}
        for family, rules in needs.items()
        if rules
    }


def saved_times(time: float) -> Float[np.ndarray, " n"]:
    """When flows are looked at: more often at first, where they are fast."""
    return time * (np.arange(1, SAVED_TIMES + 1) / SAVED_TIMES) ** 2


def losses(table: pd.DataFrame) -> pd.DataFrame:
    """Of gradient descent's networks: ½‖e‖² averaged over points, one column per saved time."""
    names = [f"{LOSS}{i}" for i in range(1, SAVED_TIMES + 1)]
    chosen = table[(table["family"] == MAIN) & table["quantity"].isin(names)]
    return chosen.pivot_table(index=["width", "seed"], columns="quantity", values="value")


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
    def of(
        cls, settings: Settings, data: Data, time: float, cell: Cell, among: tuple[Rule, ...] = ()
    ) -> Trial:
        """Draw the network of a cell."""
        family = settings.family
        if cell.family == BOTTLENECK:
            family = replace(family, bottleneck=settings.bottleneck)
        network = family.network(cell.width, data.x.shape[1], data.y.shape[1])
        of_seed = jax.random.fold_in(jax.random.key(0), cell.seed)
        key = jax.random.fold_in(of_seed, cell.width)
        x, y = jnp.asarray(data.x), jnp.asarray(data.y)
        start = network.initialise(key, jnp.float32)
        if settings.initial_outputs == "shared":
            start = share_outputs(network, start, x, jax.random.fold_in(of_seed, NO_WIDTH))
        origin = Origin.of(network, shard(start), x)
        if settings.initial_outputs == "zero":  # f − f⁰ learns y as f learns y + f⁰
            y = y + origin.first.output
        return cls(settings, origin, y, saved_times(time), key, among)

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


def _rules_to_run(settings: Settings, needs: Needs) -> tuple[Rule, ...]:
    own = {rule.name: rule for rule in settings.rules}
    rules = [NORMAL, *(own.get(n) or RULES[n] for n in needs if n != NORMAL.name)]
    if any("linearisation-gap" in quantities for quantities in needs.values()):
        rules.append(LINEARISED)
    return tuple(dict.fromkeys(rules))


Measured = dict[tuple[int | None, str], tuple[float, float, str]]


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
    measured: Measured = {
        name: (value, error, "ok" if np.isfinite(value + error) else UNDEFINED)
        for name, (value, error) in measure.supremum(fine, coarse, work.estimate).items()
    }
    measured[None, f"{work.engine}-steps"] = float(work.steps), 0.0, "ok"
    if work.estimate is not None:
        measured[None, "panels"] = float(work.panels), 0.0, "ok"
        measured[None, "estimated-error"] = work.estimate, 0.0, "ok"
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


def _layers(quantity: str, depth: int) -> Iterable[int | None]:
    if quantity in HIDDEN_LAYERS:
        return range(1, depth)
    return range(1, depth + 1) if quantity in EVERY_LAYER else (None,)


def _store(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    table.to_csv(unfinished, index=False)
    unfinished.replace(path)


def _digest(settings: Settings, data: Data, time: float, cell: Cell, needs: Needs) -> str:
    """A name for everything that decides a cell's numbers, the package's own code included."""
    built_in = ACTIVATIONS.get(settings.activation.name) is settings.activation and all(
        RULES.get(r.name) is r for r in settings.rules
    )
    text = json.dumps(
        [
            [settings.depth, settings.multipliers, settings.bias_std, settings.output_exponent],
            [settings.bottleneck, settings.tolerance, settings.activation.name, time],
            settings.points,
            [settings.engine, settings.initial_outputs],
            [cell.family, cell.width, cell.seed],
            sorted((rule, sorted(quantities)) for rule, quantities in needs.items()),
            "" if built_in else secrets.token_hex(),  # code of one's own is never looked up
        ]
    )
    digest = hashlib.sha256(text.encode())
    for package in ("jax", "jaxlib", "diffrax", "numpy"):
        digest.update(importlib.metadata.version(package).encode())
    for array in (data.x, data.y):
        digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:20]
