"""A table of measurements belongs to one report: is this the one, and is all of it there?

A report has the digest of its table. A table of before there were digests, and one that was
changed together with its report, must still be of the widths and seeds that the settings ask for,
each once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ntkalign.cells.cell import Row
from ntkalign.claims.claim import MAIN
from ntkalign.quantities.catalogue import BOOKKEEPING, TOLERANCE
from ntkalign.runs.sweep import networks_of

_KEY = list(Row._fields[: Row._fields.index("value")])
_SERIES = ["family", "width", "rule", "layer", "quantity"]


def told_of(content: bytes, table: pd.DataFrame) -> dict[str, Any]:
    """What a report says of its table.

    Args:
        content: of the table's file.
        table: the same.

    Returns:
        The SHA-256 of the content, and the number of rows.
    """
    return {"digest": hashlib.sha256(content).hexdigest(), "rows": len(table)}


def other_table(stored: Mapping[str, Any], content: bytes, table: pd.DataFrame) -> str | None:
    """Why a table is not that of a report; None if it is.

    Args:
        stored: the report.
        content: of the table's file.
        table: the same.

    Returns:
        A few words.
    """
    told = stored.get("table")
    if told is not None and told != told_of(content, table):
        return f"{len(table)} rows that are not those it was written with"
    config = stored["config"]
    return _doubled(table) or _unasked(table, config) or (
        None if stored.get("partial") else _missing(table, config)
    )  # fmt: skip


def _doubled(table: pd.DataFrame) -> str | None:
    doubled = int(table.duplicated(_KEY).sum())
    return f"{doubled} rows that are there twice" if doubled else None


def _unasked(table: pd.DataFrame, config: Mapping[str, Any]) -> str | None:
    """Networks that the settings do not ask for."""
    first = config.get("first_seed", 0)
    for family, width, seed in _networks(table):
        seeds = range(first, first + networks_of(family, config["seeds"]))
        if width not in config["widths"] or seed not in seeds:
            return f"a {family} network of width {width}, seed {seed}, which was not asked for"
    return None


def _missing(table: pd.DataFrame, config: Mapping[str, Any]) -> str | None:
    """Networks that the settings ask for, and numbers that other seeds have."""
    first, there = config.get("first_seed", 0), set(_networks(table))
    widths = {(MAIN, width) for width in config["widths"]} | {n[:2] for n in there}
    for family, width in sorted(widths):
        for seed in range(first, first + networks_of(family, config["seeds"])):
            if (family, width, seed) not in there:
                return f"no {family} network of width {width}, seed {seed}"
    beside = table["quantity"].isin(BOOKKEEPING) | table["quantity"].str.endswith(TOLERANCE)
    measured = table[table["time"].isna() & ~beside]
    counts = measured.groupby(_SERIES, dropna=False)["seed"].nunique().reset_index()
    for family, width, rule, layer, quantity, count in counts.itertuples(index=False):
        if count < networks_of(family, config["seeds"]):
            place = "" if pd.isna(layer) else f" of layer {layer}"
            return f"{quantity}{place} by {rule} at width {width} of {count} networks only"
    return None


def _networks(table: pd.DataFrame) -> list[tuple[str, int, int]]:
    found = table[["family", "width", "seed"]].drop_duplicates()
    return [(family, int(width), int(seed)) for family, width, seed in found.to_numpy()]
