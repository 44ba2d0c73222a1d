"""What a table of measurements says about one question, or why it says nothing.

A verdict needs one value for each network: every width with every seed, once. Whatever stands in
the way of that (no rows, a column that is not there, a cell that cannot be read, a network that is
missing or there twice, a flow that failed) is a *fault*, and with a fault there is no verdict: an
empty selection is not a quantity that is zero.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from ntkalign.claims.claim import Question
from ntkalign.statistics.samples import LEAST_SEEDS, LEAST_WIDTHS

COLUMNS = (
    "family", "width", "seed", "rule", "layer", "quantity", "value", "error", "status",
)  # fmt: skip
OK = "ok"


@dataclass(frozen=True)
class Evidence:
    """The measurements of one quantity, ordered by width and seed.

    Attributes:
        widths: at which there are any.
        values: for each width, those that could be read, and NaN.
        errors: the same of the numerical errors.
        fault: why no verdict can rest on it; None if one can.
    """

    widths: tuple[int, ...] = ()
    values: tuple[tuple[float, ...], ...] = ()
    errors: tuple[tuple[float, ...], ...] = ()
    fault: str | None = None

    @property
    def all_values(self) -> np.ndarray:
        """Of all widths."""
        return np.array([v for row in self.values for v in row])

    @property
    def all_errors(self) -> np.ndarray:
        """Of all widths."""
        return np.array([e for row in self.errors for e in row])


def gather(
    table: pd.DataFrame,
    question: Question,
    quantity: str,
    widths: Sequence[int] = (),
    seeds: int = 0,
) -> Evidence:
    """What is in a table about a question.

    Args:
        table: one row for each network and quantity, with the columns COLUMNS.
        question: whose family, rule and layer are looked up.
        quantity: the claim's, or its companion.
        widths: at which it must have been measured; any if empty.
        seeds: how many networks there must be at each width; any number if 0.

    Returns:
        Values and errors by width and seed; ``fault`` says why no verdict can rest on them.
    """
    for column in COLUMNS:
        if list(table.columns).count(column) != 1:
            return Evidence(fault=f"the table of measurements has no (single) column {column}")
    rows = sorted(_rows(table, question, quantity), key=lambda row: (row.width, row.seed))
    found = [m for m in dict.fromkeys(row.width for row in rows) if math.isfinite(m)]
    groups = [[row for row in rows if row.width == m] for m in found]
    return Evidence(
        tuple(int(m) for m in found),
        tuple(tuple(row.value for row in group) for group in groups),
        tuple(tuple(row.error for row in group) for group in groups),
        _identity_fault(rows, quantity) or _value_fault(rows) or _missing(rows, widths, seeds),
    )


class _Row(NamedTuple):
    """The measurement of one network; what cannot be read is NaN, or no text."""

    width: float
    seed: float
    value: float
    error: float
    status: str

    def __str__(self) -> str:
        return f"width {self.width:.0f} seed {self.seed:.0f}"


def _rows(table: pd.DataFrame, question: Question, quantity: str) -> list[_Row]:
    chosen = table[
        (table["family"] == question.family)
        & (table["rule"] == question.rule)
        & (table["quantity"] == quantity)
    ]
    cells = zip(
        *(chosen[c] for c in ("layer", "width", "seed", "value", "error", "status")), strict=True
    )
    return [
        _Row(
            _whole(width, 1), _whole(seed, 0), _number(value), _number(error),
            status if isinstance(status, str) else "",
        )
        for layer, width, seed, value, error, status in cells
        if _is_layer(layer, question.layer)
    ]  # fmt: skip


def _identity_fault(rows: Sequence[_Row], quantity: str) -> str | None:
    """Whether it is known which networks the rows are of."""
    if not rows:
        return f"no measurement of {quantity} is in the table"
    lost = sum(not (math.isfinite(row.width) and math.isfinite(row.seed)) for row in rows)
    if lost:
        return f"{lost} of {len(rows)} measurements are of no readable width or seed"
    counts = Counter((row.width, row.seed) for row in rows)
    twice = [_Row(*network, 0.0, 0.0, OK) for network, count in counts.items() if count > 1]
    return f"some networks are in the table twice: {_some(twice)}" if twice else None


def _value_fault(rows: Sequence[_Row]) -> str | None:
    """Whether every row has a value and an error."""
    failed = [row for row in rows if row.status not in (OK, "")]
    if failed:
        return f"{len(failed)} of {len(rows)} flows failed ({_some(failed)}): {failed[0].status}"
    unreadable = {
        "status": [row for row in rows if row.status != OK],
        "value": [row for row in rows if not math.isfinite(row.value)],
        "error": [row for row in rows if not 0 <= row.error < math.inf],
    }
    for column, bad in unreadable.items():
        if bad:
            return f"{len(bad)} of {len(rows)} networks have no readable {column} ({_some(bad)})"
    return None


def _missing(rows: Sequence[_Row], widths: Sequence[int], seeds: int) -> str | None:
    """Whether there is one row for each width and seed, and as many as there must be."""
    there = {(row.width, row.seed) for row in rows}
    found = sorted({row.width for row in rows})
    every = sorted({row.seed for row in rows})
    if widths and found != list(widths):
        return f"it was measured at widths {_list(found)}, and not at {_list(widths)}"
    lost = [_Row(m, s, 0.0, 0.0, OK) for m in found for s in every if (m, s) not in there]
    if lost:
        return f"{len(lost)} of {len(found) * len(every)} networks are missing ({_some(lost)})"
    if seeds and len(every) != seeds:
        return f"{len(every)} networks were measured at each width, not {seeds}"
    if len(found) < LEAST_WIDTHS or len(every) < LEAST_SEEDS:
        return (
            f"too few networks (number of seeds: {len(every)}; widths: {_list(found)}): a verdict "
            f"needs {LEAST_WIDTHS} widths and {LEAST_SEEDS} seeds"
        )
    return None


def _some(rows: Sequence[_Row]) -> str:
    """The first three, and how many more there are."""
    more = "" if len(rows) <= 3 else f" and {len(rows) - 3} more"
    return ", ".join(map(str, rows[:3])) + more


def _list(widths: Iterable[int | float]) -> str:
    return ", ".join(f"{m:.0f}" for m in widths)


def _number(cell: object) -> float:
    """A cell as a number; NaN if it is none."""
    if isinstance(cell, bool | np.bool_):
        return math.nan
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _whole(cell: object, least: int) -> float:
    number = _number(cell)
    return number if number.is_integer() and number >= least else math.nan


def _is_layer(cell: object, layer: int | None) -> bool:
    """Whether a row is of that layer; an empty cell is of the whole network."""
    empty = cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell))
    return empty if layer is None else not empty and _number(cell) == layer
