"""The tidy table of measurements: one row per network, rule, layer, quantity and time.

A table that is written and read again is the same table, to the last bit, whatever rules are
called: only numbers may be missing, and a rule called NA or 1 keeps its name.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable

import pandas as pd

from ntkalign.cells.cell import OK, Row
from ntkalign.claims.claim import MAIN
from ntkalign.quantities.catalogue import LOSS
from ntkalign.rules import NORMAL

NUMBERS = {
    "width": "int64", "seed": "int64", "layer": "Int64", "time": "float64", "value": "float64",
    "error": "float64",
}  # fmt: skip
TYPES = {column: NUMBERS.get(column, "str") for column in Row._fields}


def table_of(rows: Iterable[Row]) -> pd.DataFrame:
    """The table of these rows."""
    return pd.DataFrame(list(rows), columns=list(Row._fields)).astype(TYPES)


def table_file(table: pd.DataFrame) -> bytes:
    """The content of a table's file: comma-separated values."""
    return table.to_csv(index=False, lineterminator="\n").encode()


def read_table(content: bytes) -> pd.DataFrame:
    """A table that was written.

    Args:
        content: of its file.

    Returns:
        One row per measurement, with the columns of ``Row``; a number that is missing is NaN.

    Raises:
        ValueError: if it holds no table of this kind.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            table = pd.read_csv(
                io.BytesIO(content), dtype=TYPES, keep_default_na=False,
                na_values={column: [""] for column in NUMBERS}, encoding="utf-8",
            )  # fmt: skip
    # a layer of 1.5, a width of twenty digits
    except (TypeError, OverflowError, RuntimeWarning) as error:
        raise ValueError(f"numbers that are none of their column's: {error}") from None
    if list(table.columns) != list(Row._fields):
        raise ValueError(f"columns {', '.join(table.columns)}, not {', '.join(Row._fields)}")
    return table


def losses(table: pd.DataFrame) -> pd.DataFrame:
    """Of gradient descent's networks: ½‖e‖² averaged over points, one column per saved time."""
    chosen = table[
        (table["family"] == MAIN)
        & (table["rule"] == NORMAL.name)
        & (table["quantity"] == LOSS)
        & (table["status"] == OK)
    ]
    return chosen.pivot(index=["width", "seed"], columns="time", values="value")
