"""What is known of each network: in memory for the run, and in a folder from one run to the next.

A network's records hold what was ever measured of it, rule by rule, so that asking for one more
claim trains only the rules of which something is missing (:mod:`ntkalign.runs.database`). Rules and
quantities of the user's own stay in memory, and so does all of a network with an activation of the
user's own.

    with Store(folder) as store:
        if lacking := store.missing(specification, needs):
            store.add(specification, measure(specification, lacking))
        rows = store.rows(specification, needs)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from ntkalign.cells.cell import Needs, Row, with_companions
from ntkalign.cells.specification import Specification
from ntkalign.cells.work import COULD_NOT_RUN
from ntkalign.precision import in_float64
from ntkalign.quantities.catalogue import (
    BOOKKEEPING,
    EXPANSION,
    EXPANSION_OVER_TIME,
    QUANTITIES,
    TOLERANCES,
    tolerance_of,
)
from ntkalign.rules import RULES, Rule
from ntkalign.runs.database import FILE, Database
from ntkalign.runs.fingerprint import computed_by, fingerprint
from ntkalign.runs.hold import Hold
from ntkalign.runs.old_store import take_over

Context = dict[str, Any]
"""What computes, see :func:`ntkalign.runs.fingerprint.computed_by`."""
Rows = dict[tuple[Any, ...], Row]
"""Rows by all that is not a measured number."""


class Store:
    """Measured networks; one run at a time has those of a folder. A context manager.

    Args:
        folder: where they are stored and looked for; None stores nothing.
        fresh: ignore what is stored there.
        context: what computes, or how to find out when it is first needed; this process if None.

    Raises:
        InputError: if another run has the folder.
        CannotWriteError: if it cannot be written.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        fresh: bool = False,
        context: Context | Callable[[], Context] | None = None,
    ):
        self.fresh = fresh
        self.measured: set[str] = set()
        """Names of networks of which something was measured."""
        self._given = context if context is not None else here
        self._known: dict[str, Rows] = {}
        self._own: set[str] = set()
        self._lock = threading.RLock()
        self._hold = None if folder is None else Hold(folder)
        self._database = None
        if folder is not None:
            try:
                self._database = Database(folder / FILE, writable=True)
                if self._database.made:
                    take_over(folder, self._database)
            except BaseException:
                self.close()
                raise

    @cached_property
    def _context(self) -> Context:
        return self._given() if callable(self._given) else self._given

    def missing(self, specification: Specification, needs: Needs) -> Needs:
        """What is not known yet; it is to be measured, and added.

        Args:
            specification: of a network.
            needs: quantities by rule.

        Returns:
            Those rules of which something is missing, with all quantities that are needed of them.
        """
        with self._lock:
            self._own |= {rule.name for rule in needs if not RULES.is_built_in(rule)}
            known = self._look_up(specification)
        return {
            rule: quantities
            for rule, quantities in needs.items()
            if not quantities <= {row.quantity for row in known.values() if row.rule == rule.name}
        }

    def add(self, specification: Specification, rows: Iterable[Row]) -> None:
        """Keep what was measured; when this returns, it is on the disk.

        Args:
            specification: of a network.
            rows: its rows.

        Raises:
            CannotWriteError: if they cannot be written; all that was stored before is as it was.
        """
        with self._lock:
            name, before = self._name(specification), self._look_up(specification)
            # a number that is known outlasts an attempt to measure it once more
            added = {r[:7]: r for r in rows if self._lasts(r) or r[:7] not in before}
            self.measured.add(name)
            self._known[name] = before | added
            rules = {row.rule for row in added.values()}
            lasting = self._stored(specification) if self.fresh else {}  # unasked for, it stays
            lasting |= {key: row for key, row in self._known[name].items() if self._lasts(row)}
            written = [row for row in lasting.values() if row.rule in rules]
            if self._database and specification.built_in and written:
                self._database.put(name, specification.as_json(), self._context, written)

    def rows(self, specification: Specification, needs: Needs) -> list[Row]:
        """What is known of what is needed.

        Args:
            specification: of a network.
            needs: quantities by rule.

        Returns:
            Rows in the order of rules in ``needs``, then of quantities, layers and times. They are
            the same whether some of them were known before this run or not.
        """
        with self._lock:
            known = self._look_up(specification)
        return [row for rule, asked in needs.items() for row in _select(known, rule, asked)]

    def close(self) -> None:
        """Let go of the folder; one that was made and holds nothing is removed. Idempotent."""
        if self._database:
            self._database.close()
        if self._hold:
            self._hold.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _name(self, specification: Specification) -> str:
        return fingerprint(specification, self._context)

    def _look_up(self, specification: Specification) -> Rows:
        name = self._name(specification)
        if name not in self._known:
            self._known[name] = {} if self.fresh else self._stored(specification)
        return self._known[name]

    def _stored(self, specification: Specification) -> Rows:
        """What is on the disk."""
        if not (self._database and specification.built_in):
            return {}
        stored = self._database.rows(self._name(specification), specification.as_json())
        return {row[:7]: row for row in stored if self._lasts(row)}

    def _lasts(self, row: Row) -> bool:
        """Whether a row is made by this package's code alone, and would come out the same again."""
        record = QUANTITIES.get(row.quantity)
        built_in = row.quantity in BOOKKEEPING or QUANTITIES.is_built_in(record)
        own = row.rule in self._own or not RULES.is_built_in(RULES.get(row.rule))
        return built_in and not own and not row.status.startswith(COULD_NOT_RUN)


def here() -> Context:
    """This process, in a thread and scope like those that measure: a caller's has its own flags."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(in_float64(computed_by)).result()


def _select(known: Rows, rule: Rule, asked: frozenset[str]) -> list[Row]:
    """The rows of a rule that somebody who asks for these quantities gets."""
    wanted = with_companions(asked) | (BOOKKEEPING - TOLERANCES) | set(map(tolerance_of, asked))
    if EXPANSION[-1] not in wanted:
        wanted -= {EXPANSION_OVER_TIME}
    rows = [row for row in known.values() if row.rule == rule.name and row.quantity in wanted]
    return sorted(rows, key=lambda row: (row.quantity, row.layer or 0, row.time or 0.0))
