"""How accurate the numbers of a run were to be, and how accurate they are, in a sentence.

What was asked for is an error, as a share of every number, or a tolerance of the flows. What was
reached is read off the table: errors of all numbers that rest on flows, and the tolerances that
these were solved at. Errors that the measuring states itself, such as those of sampling, are no
matter of flows.
"""

from __future__ import annotations

import pandas as pd

from ntkalign.cells.cell import OK
from ntkalign.quantities.catalogue import BOOKKEEPING, QUANTITIES, TOLERANCE
from ntkalign.quantities.quantity import ErrorFrom
from ntkalign.quantities.series import NEEDED, ZERO, ZERO_ERROR
from ntkalign.runs.record import Verification


def accuracy(result: Verification) -> str:
    """What was asked for, and what was reached.

    Args:
        result: of a run.

    Returns:
        A sentence without its full stop; nothing if no number rests on a flow.
    """
    table, asked = result.table, result.settings.tolerance
    numbers = _of_flows(table)
    if numbers.empty:
        return ""
    told = f"flows at tolerance {asked:g}" if asked else f"errors up to {NEEDED:.2%} of each number"
    text = f"asked for {told}; "
    missed = numbers[numbers["missed"]]
    if missed.empty:
        text += f"all {len(numbers)} numbers are known to {NEEDED:.2%}"
    else:
        text += f"{len(missed)} of {len(numbers)} numbers are known less well than {NEEDED:.2%}"
        nothing = missed["value"].abs() <= missed["error"]
        if nothing.any():
            text += f", {nothing.sum()} of them cannot be told from 0"
    known = numbers[numbers["value"].abs() > numbers["error"]]
    if not known.empty:
        worst = known.sort_values("share").iloc[-1]
        text += f"; where it can be told from 0, a number is off by {worst['share']:.1e} of itself "
        text += f"at most ({_named(worst)})"
    return result.settings.kind.size.say(text) + _tolerances(table)


def _of_flows(table: pd.DataFrame) -> pd.DataFrame:
    """The numbers that rest on flows, with their errors as shares of them."""
    records = {name: QUANTITIES.get(name) for name in table["quantity"].unique()}
    own = [
        name
        for name, record in records.items()
        if name not in BOOKKEEPING and not name.endswith(TOLERANCE)
        and (record is None or (record.trained and record.error_from is not ErrorFrom.MEASURING))
    ]  # fmt: skip
    rows = table[
        table["time"].isna() & (table["status"] == OK) & table["quantity"].isin(own)
    ].reset_index(drop=True)
    value, error = (pd.to_numeric(rows[name], errors="coerce") for name in ("value", "error"))
    least = rows["quantity"].map({n: r.size if r is not None else 0.0 for n, r in records.items()})
    size = value.abs().clip(lower=least.astype(float))
    zero = (value.abs() <= ZERO) & (error <= ZERO_ERROR)
    share = (error / size.where(size > 0)).fillna(0.0)
    return rows.assign(
        value=value, error=error, share=share, missed=~zero & (error > NEEDED * size)
    )


def _named(row: pd.Series) -> str:
    layer = "" if pd.isna(row["layer"]) else f" of layer {int(row['layer'])}"
    return (
        f"{row['quantity']}{layer} by {row['rule']}, {row['family']} network, "
        f"width {row['width']}, seed {row['seed']}"
    )


def _tolerances(table: pd.DataFrame) -> str:
    """At which flows were solved where that was to follow from need, and for how much each did."""
    used = table["value"][table["quantity"].str.endswith(TOLERANCE)]
    counts = used.value_counts().sort_index(ascending=False)
    parts = [f"{tolerance:g} for {count} of them" for tolerance, count in counts.items()]
    return f"; measured {counts.sum()} times, at tolerance {', '.join(parts)}" if parts else ""
