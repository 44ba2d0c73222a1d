"""What a store holds, told and cleared: its networks by kind, as a table, as JSON; what is pruned.

Reading never disturbs a run that is writing; pruning needs the folder for itself, as a run does.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ntkalign.cells.cell import Row
from ntkalign.runs.database import FILE, Database, Network
from ntkalign.runs.fingerprint import package, sources
from ntkalign.runs.hold import Hold
from ntkalign.runs.table import table_of

SCHEMA = 1
THIS, OTHER, UNKNOWN = "this", "another", "unknown"
"""Whether the code that measured a network is the one that is installed."""


class Group(NamedTuple):
    """Networks of one kind and size."""

    experiment: str
    kind: str
    family: str
    width: int
    networks: int
    rows: int
    code: str
    last: str  # measured, ISO 8601 in UTC


def stored(folder: Path) -> list[Network]:
    """All networks in a store.

    Args:
        folder: of a run.

    Returns:
        They, with what of them is damaged.

    Raises:
        InputError: if there is no store, or one that is damaged.
    """
    with contextlib.closing(Database(folder / FILE)) as database:
        return list(database.networks())


def groups(networks: Iterable[Network]) -> list[Group]:
    """Networks counted by kind, size and code; without those whose specification is damaged."""
    code = Code()
    found: dict[tuple[str, str, str, int, str], list[Network]] = {}
    for network in networks:
        if network.specification:
            cell = network.specification["cell"]
            key = (
                network.specification["experiment"], network.specification["family"]["kind"],
                cell["family"], cell["width"], code.of(network),
            )  # fmt: skip
            found.setdefault(key, []).append(network)
    return [_group(key, own) for key, own in sorted(found.items())]


def _group(key: tuple[str, str, str, int, str], own: Sequence[Network]) -> Group:
    rows = sum(len(rows) for network in own for rows in network.rows.values())
    last = max((when for network in own for when in network.measured.values()), default="")
    return Group(*key[:4], len(own), rows, key[4], last)


class Code:
    """The code that is installed."""

    def __init__(self) -> None:
        self.sources = sources(package())

    def of(self, network: Network) -> str:
        """Whether it measured a network: THIS, OTHER or UNKNOWN."""
        if network.context is None:
            return UNKNOWN
        return THIS if network.context.get("sources") == self.sources else OTHER


def as_csv(networks: Iterable[Network]) -> str:
    """One tidy table of all rows, each with its network's fingerprint and what was measured."""
    named = [
        (network.name, network.specification.get("experiment", ""), row)
        for network in networks
        for rows in network.rows.values()
        for row in rows
    ]
    table = table_of(row for _, _, row in named)
    table.insert(0, "experiment", [experiment for _, experiment, _ in named])
    table.insert(0, "network", [name for name, _, _ in named])
    return table.to_csv(index=False, lineterminator="\n")


def as_json(networks: Iterable[Network]) -> str:
    """All of each network; a number that there is not is null, and its status says why."""
    whole = {
        "schema": SCHEMA,
        "columns": Row._fields,
        "networks": [
            {
                "name": n.name, "specification": n.specification, "context": n.context,
                "measured": n.measured,
                "rows": [[_plain(v) for v in row] for rows in n.rows.values() for row in rows],
            }
            for n in networks
        ],
    }  # fmt: skip
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


class Pruned(NamedTuple):
    """What was removed."""

    networks: int
    records: int  # of networks that stay
    bytes: int


def prune(
    folder: Path, *, days: float | None = None, other_code: bool = False, damaged: bool = False
) -> Pruned:
    """Remove networks from a store.

    Args:
        folder: of a run.
        days: those of which nothing was measured in so many days; None: of any age.
        other_code: those that other code has measured; not those of which nobody knows.
        damaged: records that are damaged.

    Returns:
        What was removed.

    Raises:
        InputError: if there is no store, or a run holds the folder.
        CannotWriteError: if it cannot be written; what was there is as it was.
    """
    Database(folder / FILE).close()  # nothing is made where there is none
    with Hold(folder), contextlib.closing(Database(folder / FILE, writable=True)) as database:
        networks, code, size = list(database.networks()), Code(), database.path.stat().st_size
        names = {
            n.name
            for n in networks
            if (days is not None and _older(n, days)) or (other_code and code.of(n) == OTHER)
        }
        records = [*_damaged_records(networks)] if damaged else []
        names |= {n.name for n in networks if damaged and _is_unknown(n)}
        database.remove(names, records)
        kept = [record for record in records if record[0] not in names]
    return Pruned(len(names), len(kept), size - (folder / FILE).stat().st_size)


def _damaged_records(networks: Iterable[Network]) -> Iterator[tuple[str, str]]:
    for network in networks:
        for fault in network.faults:
            if fault.startswith("rule "):
                yield network.name, fault.removeprefix("rule ")


def _is_unknown(network: Network) -> bool:
    """Whether what a network is, or what computed it, is damaged: no record of it can be told."""
    return any(not fault.startswith("rule ") for fault in network.faults)


def _older(network: Network, days: float) -> bool:
    """Whether nothing of it was measured in so many days; damaged times count as old."""
    now = datetime.datetime.now(datetime.UTC)
    last = max(network.measured.values(), default="0001-01-01T00:00:00+00:00")
    return (now - datetime.datetime.fromisoformat(last)).total_seconds() > days * 86400


def faults(networks: Sequence[Network]) -> list[str]:
    """One line for each part of a network that is damaged."""
    return [f"network {n.name}, {fault}" for n in networks for fault in n.faults]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
