"""Measuring every network of a sweep: one cell is one (family, width, seed).

A finished cell is stored at once, so an interrupted or enlarged run repeats nothing.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import jax
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ntkalign.cells.flow import LOSS, SAVED_TIMES, Cell, Needs, Row, failed, measure_cell
from ntkalign.claims.claim import BOTTLENECK, MAIN, Question
from ntkalign.data.catalogue import Data
from ntkalign.devices import devices
from ntkalign.errors import InputError
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.precision import in_float64
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.rules import CONTROLS, RULES
from ntkalign.runs.settings import MIN_SEEDS, MIN_WIDTHS, Settings

THREADS = 2
"""One architecture compiles on one core while another is trained."""
LARGE = 8192
"""Networks from this width on are trained one at a time: they fill the memory and all cores."""
CONTROL_WIDTH = 1024
"""Controls, which fail at any width, are not run above this one if there are enough below."""

Measure = Callable[[Settings, Data, float, Cell, Needs], list[Row]]
COLUMNS = [
    "family", "width", "seed", "rule", "layer", "quantity", "value", "error", "status",
]  # fmt: skip


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

    @in_float64
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


def losses(table: pd.DataFrame) -> pd.DataFrame:
    """Of gradient descent's networks: ½‖e‖² averaged over points, one column per saved time."""
    names = [f"{LOSS}{i}" for i in range(1, SAVED_TIMES + 1)]
    chosen = table[(table["family"] == MAIN) & table["quantity"].isin(names)]
    return chosen.pivot_table(index=["width", "seed"], columns="quantity", values="value")


def _store(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    table.to_csv(unfinished, index=False)
    unfinished.replace(path)


def _digest(settings: Settings, data: Data, time: float, cell: Cell, needs: Needs) -> str:
    """A name for everything that decides a cell's numbers, the package's own code included."""
    built_in = (
        ACTIVATIONS.get(settings.activation.name) is settings.activation
        and all(RULES.get(r.name) is r for r in settings.rules)
        and all(QUANTITIES[q].built_in for wanted in needs.values() for q in wanted)
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
    digest.update(repr([device.device_kind for device in devices()]).encode())
    for package in ("jax", "jaxlib", "diffrax", "neural-tangents", "numpy"):
        digest.update(importlib.metadata.version(package).encode())
    for array in (data.x, data.y):
        digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:20]
