"""What is known of each network: in memory for the run, and in a folder from one run to the next.

A network's file holds what was ever measured of it, rule by rule, so that asking for one more
claim trains only the rules of which something is missing. It is written in whole or not at all, and
says what it should contain: a damaged one is no file. Rules and quantities of the user's own stay
in memory, and so does all of a network with an activation of the user's own.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ntkalign.cells.cell import Cell, Needs, Row, with_companions
from ntkalign.cells.specification import Specification
from ntkalign.cells.work import COULD_NOT_RUN
from ntkalign.quantities.catalogue import BOOKKEEPING, EXPANSION, EXPANSION_OVER_TIME, QUANTITIES
from ntkalign.rules import RULES, Rule
from ntkalign.runs.fingerprint import fingerprint

Rows = dict[tuple[Any, ...], Row]
"""Rows by all that is not a measured number."""


class Store:
    """Measured networks.

    Args:
        folder: where they are stored and looked for; None stores nothing.
        fresh: ignore what is stored there.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        fresh: bool = False,
        context: Callable[[], dict[str, Any]],
    ):
        self.folder, self.fresh = folder, fresh
        self._computed_by = context
        self.measured: set[str] = set()
        self._known: dict[str, Rows] = {}

    @cached_property
    def _context(self) -> dict[str, Any]:
        return self._computed_by()

    def missing(self, specification: Specification, needs: Needs) -> dict[Rule, frozenset[str]]:
        """What is needed of a network and not known: of a rule all that is needed, or nothing."""
        known = self._look_up(specification, needs).values()
        return {
            rule: quantities
            for rule, quantities in needs.items()
            if not quantities <= {row.quantity for row in known if row.rule == rule.name}
        }

    def add(self, specification: Specification, rows: Iterable[Row]) -> None:
        """What was measured of a network."""
        name = fingerprint(specification, self._context)
        self.measured.add(name)
        self._known[name] = self._known.get(name, {}) | _keyed(rows)
        lasting = [row for row in self._known[name].values() if _lasts(row)]
        path = self.folder / f"{name}.json" if self.folder and specification.built_in else None
        if path and lasting:
            _write(path, specification, lasting)

    def rows(self, specification: Specification, needs: Needs) -> list[Row]:
        """What is needed of a network, all of it known by now."""
        known = self._look_up(specification, needs)
        return [row for rule, asked in needs.items() for row in _select(known, rule, asked)]

    def _look_up(self, specification: Specification, needs: Needs) -> Rows:
        name = fingerprint(specification, self._context)
        path = self.folder / f"{name}.json" if self.folder and specification.built_in else None
        if name not in self._known:
            stored = _read(path, specification.cell) if path and not self.fresh else {}
            self._known[name] = {key: row for key, row in stored.items() if _lasts(row)}
        return self._known[name]


def _lasts(row: Row) -> bool:
    """Whether a row is made by this package's code alone, and so may be kept for another run."""
    record = QUANTITIES.get(row.quantity)
    built_in = row.quantity in BOOKKEEPING or QUANTITIES.is_built_in(record)
    rule = RULES.get(row.rule)
    return built_in and RULES.is_built_in(rule) and not row.status.startswith(COULD_NOT_RUN)


def _keyed(rows: Iterable[Row]) -> Rows:
    return {row[:7]: row for row in rows}


def _select(known: Rows, rule: Rule, asked: frozenset[str]) -> list[Row]:
    """The rows of a rule that somebody who asks for these quantities gets."""
    wanted = with_companions(asked) | BOOKKEEPING
    if EXPANSION[-1] not in wanted:
        wanted -= {EXPANSION_OVER_TIME}
    rows = [row for row in known.values() if row.rule == rule.name and row.quantity in wanted]
    return sorted(rows, key=lambda row: (row.quantity, row.layer or 0, row.time or 0.0))


def _read(path: Path, cell: Cell) -> Rows:
    """What is stored of a network, if its file is there and whole."""
    try:
        stored = json.loads(path.read_bytes())
        rows = [Row(*values) for values in stored["rows"]]
        whole = stored["digest"] == _digest(stored["rows"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    mine = all(row[:3] == (cell.family, cell.width, cell.seed) for row in rows)
    return _keyed(rows) if whole and mine else {}


def _write(path: Path, specification: Specification, rows: list[Row]) -> None:
    content = {
        "specification": specification.as_json(), "columns": Row._fields,
        "digest": _digest(rows), "rows": rows,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{secrets.token_hex(4)}.part")  # two runs may share a folder
    try:
        unfinished.write_text(json.dumps(content), encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _digest(rows: Sequence[Sequence[Any]]) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
