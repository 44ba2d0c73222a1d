"""The file of measured networks: an SQLite database, one record for each network and rule.

A record is there in whole or not at all, at whatever instant a run is killed, and others may read
while a run writes. It has a digest of its content, which is checked whenever it is read: what was
changed since is no record, so that its network is measured again. A file that SQLite finds damaged
is set aside under another name and nothing of it is read.

    networks  name (a fingerprint), specification as JSON, the context that measured it
    contexts  what computed: code, packages, devices, switches, as JSON
    records   network, rule, rows as JSON, when they were measured

The version of this schema is the database's ``user_version``; :data:`MIGRATIONS` lead from each to
the next.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import json
import logging
import os
import sqlite3
import threading
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ntkalign.cells.cell import Row
from ntkalign.databases import SUFFIXES, is_damage, set_aside, transaction
from ntkalign.errors import InputError
from ntkalign.files import CannotWriteError

FILE = "store.sqlite"
MIGRATIONS = (
    """
    CREATE TABLE contexts (digest TEXT PRIMARY KEY, context TEXT NOT NULL);
    CREATE TABLE networks (
        name TEXT PRIMARY KEY, specification TEXT NOT NULL, context TEXT, digest TEXT NOT NULL
    );
    CREATE TABLE records (
        network TEXT NOT NULL, rule TEXT NOT NULL, rows TEXT NOT NULL, measured TEXT NOT NULL,
        digest TEXT NOT NULL, PRIMARY KEY (network, rule)
    );
    """,
)
"""The first makes version 1 of an empty database, the next version 2 of that, and so on."""
_OWN_COLUMNS = Row._fields.index("layer")
"""A record has no columns that say which network and rule it is of."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """What a database has of a network.

    Attributes:
        name: its fingerprint.
        specification: plain values.
        context: what computed it; None if that was not kept (stores of before version 1).
        rows: by rule.
        measured: when, by rule: ISO 8601 in UTC.
        faults: what of it is damaged, and so is not among the rows.
    """

    name: str
    specification: Mapping[str, Any]
    context: Mapping[str, Any] | None
    rows: Mapping[str, list[Row]]
    measured: Mapping[str, str]
    faults: tuple[str, ...]


class Database:
    """Records in a file.

    Args:
        path: of the file.
        writable: else nothing is written, and the file must be there.

    Raises:
        InputError: if a newer version of the package wrote it, it is a symbolic link, or is not
            there, or is damaged and only to be read.
        CannotWriteError: if it cannot be opened.
    """

    def __init__(self, path: Path, *, writable: bool = False):
        self.path, self.writable = path, writable
        self._lock = threading.RLock()
        for suffix in SUFFIXES:
            if path.with_name(path.name + suffix).is_symlink():
                raise _bad(path, "a symbolic link", "remove the link, or choose another folder")
        self.made = not path.exists()
        if self.made and not writable:
            raise _bad(path, "nothing there", "let ntkalign verify or kernels write there first")
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise self._cannot(error) from error
            if not writable:
                raise _bad(path, f"a damaged one ({error})",
                           "run again: it is set aside then, and its networks are measured again",
                ) from None  # fmt: skip
            log.warning(
                "%s is damaged (%s): it is set aside as %s, and its networks are measured again",
                path, error, set_aside(path).name,
            )  # fmt: skip
            self.made = True
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        mode = "rwc" if self.writable else "ro"
        log_there = self.path.with_name(f"{self.path.name}-wal").exists()
        if not (self.writable or log_there or os.access(self.path.parent, os.W_OK)):
            mode = "ro&immutable=1"  # nobody writes, and SQLite's own files could not be made
        place = f"file:{urllib.parse.quote(str(self.path.absolute()))}?mode={mode}"
        connection = sqlite3.connect(
            place, uri=True, isolation_level=None, check_same_thread=False, timeout=30
        )
        try:
            if self.writable:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
            ((found, *_), *_) = connection.execute("PRAGMA quick_check(1)")
            if found != "ok":
                raise sqlite3.DatabaseError(" ".join(str(found).split()))
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        ((version,),) = connection.execute("PRAGMA user_version")
        if version > len(MIGRATIONS):
            raise _bad(
                self.path, f"version {version}, of a newer ntkalign",
                f"install that, or choose another folder (this one reads up to {len(MIGRATIONS)})",
            )  # fmt: skip
        if not self.writable:
            if version < len(MIGRATIONS):
                raise _bad(self.path, f"version {version}, of an older ntkalign",
                           "run again: it is brought up to date then")  # fmt: skip
            return
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            with transaction(connection):
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")

    def rows(self, name: str, specification: Mapping[str, Any]) -> list[Row]:
        """All that is known of a network, damaged records left out with a message.

        Args:
            name: its fingerprint.
            specification: plain values; the stored ones are not looked at.

        Returns:
            Rows, rule by rule.
        """
        with self._lock:
            records = self._ask("SELECT * FROM records WHERE network = ? ORDER BY rule", (name,))
        found: list[Row] = []
        for record in records:
            rows = _rows_of(record, specification)
            if rows is None:
                log.warning("%s: the record of network %s, rule %s, is damaged: it is measured "
                            "again", self.path, name, record[1])  # fmt: skip
            found += rows or []
        return found

    def put(
        self,
        name: str,
        specification: Mapping[str, Any],
        context: Mapping[str, Any] | None,
        rows: Iterable[Row],
        measured: str | None = None,
    ) -> None:
        """Keep rows of a network, in the place of all that was known of their rules.

        Args:
            name: the network's fingerprint.
            specification: plain values.
            context: what computed them.
            rows: of one rule or several.
            measured: when, as ISO 8601 in UTC; now if None.

        Raises:
            CannotWriteError: if they cannot be written; all that was there is as it was.
        """
        by_rule: dict[str, list[Sequence[Any]]] = {}
        for row in rows:
            by_rule.setdefault(row.rule, []).append(row[_OWN_COLUMNS:])
        when = measured or now()
        text = _text(specification)
        made_by = None if context is None else _text(context)
        with self._writing() as connection:
            key = None if made_by is None else _digest(made_by)
            if made_by is not None:
                connection.execute("INSERT OR REPLACE INTO contexts VALUES (?, ?)", (key, made_by))
            connection.execute(
                "INSERT OR REPLACE INTO networks VALUES (?, ?, ?, ?)",
                (name, text, key, _digest(name, text, key)),
            )
            for rule, values in by_rule.items():
                content = (name, rule, json.dumps(values), when)
                connection.execute(
                    "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)",
                    (*content, _digest(*content)),
                )

    def networks(self) -> Iterator[Network]:
        """Everything, as it was when this was called.

        Yields:
            Each network.
        """
        with self._lock:
            contexts = dict(self._ask("SELECT digest, context FROM contexts"))
            networks = {n[0]: n for n in self._ask("SELECT * FROM networks ORDER BY rowid")}
            records: dict[str, list[Sequence[Any]]] = {name: [] for name in networks}
            for record in self._ask("SELECT * FROM records ORDER BY network, rule"):
                records.setdefault(record[0], []).append(record)
        for name, of_network in records.items():
            yield _network(name, networks.get(name), contexts, of_network)

    def remove(self, names: Iterable[str], records: Iterable[tuple[str, str]] = ()) -> None:
        """Forget networks, or records by network and rule, and give their space back.

        Raises:
            CannotWriteError: if that cannot be written.
        """
        with self._writing() as connection:
            connection.executemany(
                "DELETE FROM records WHERE network = ? AND rule = ?", list(records)
            )
            for table, column in (("records", "network"), ("networks", "name")):
                connection.executemany(
                    f"DELETE FROM {table} WHERE {column} = ?", [(name,) for name in names]
                )
            connection.execute(
                "DELETE FROM networks WHERE name NOT IN (SELECT network FROM records)"
            )
            connection.execute(
                "DELETE FROM contexts WHERE digest NOT IN "
                "(SELECT context FROM networks WHERE context IS NOT NULL)"
            )
        with self._lock:
            self._ask("VACUUM")

    def close(self) -> None:
        """Let go of the file; one that was made and holds nothing is removed. Idempotent."""
        empty = False
        with contextlib.suppress(sqlite3.Error):  # it is closed already, or cannot be read
            records = self._connection.execute("SELECT 1 FROM records LIMIT 1").fetchall()
            empty = self.made and not records
        self._connection.close()
        if empty:
            for suffix in SUFFIXES:
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with transaction(self._connection):
                    yield self._connection
            except sqlite3.Error as error:
                raise self._cannot(error) from error

    def _ask(self, question: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._connection.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise self._cannot(error) from error

    def _cannot(self, error: sqlite3.Error) -> CannotWriteError | InputError:
        reason = " ".join(str(error).split())
        if not self.writable:
            return _bad(self.path, f"one that cannot be read ({reason})", "run again, or check it")
        return CannotWriteError(self.path, OSError(errno.EIO, reason))


def now() -> str:
    """The time, in UTC and in whole seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _network(
    name: str,
    stored: Sequence[Any] | None,
    contexts: Mapping[str, str],
    records: Iterable[Sequence[Any]],
) -> Network:
    faults, rows, measured = [], {}, {}
    specification: dict[str, Any] = {}
    context = None
    if stored is None or stored[3] != _digest(*stored[:3]):
        faults.append("what it is")
    else:
        specification = json.loads(stored[1])
        text = contexts.get(stored[2], "")
        if stored[2] is not None and _digest(text) != stored[2]:
            faults.append("what computed it")
        elif stored[2] is not None:
            context = json.loads(text)
    for record in records:
        found = _rows_of(record, specification) if specification else None
        if found is None:
            faults.append(f"rule {record[1]}")
        else:
            rows[record[1]], measured[record[1]] = found, record[3]
    return Network(name, specification, context, rows, measured, tuple(faults))


def _rows_of(record: Sequence[Any], specification: Mapping[str, Any]) -> list[Row] | None:
    """The rows of a record; None if it is not what was written."""
    _, rule, text, _, digest = record
    if digest != _digest(*record[:4]):
        return None
    cell = specification["cell"]
    key = cell["family"], cell["width"], cell["seed"], rule
    return [Row(*key, *values) for values in json.loads(text)]


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)


def _digest(*texts: Any) -> str:
    return hashlib.sha256(json.dumps(texts, default=repr).encode()).hexdigest()


def _bad(path: Path, got: str, do: str) -> InputError:
    return InputError(
        "DIR", path.parent, must=f"hold a store of measured networks, {path.name}", got=got,
        because="finished networks are kept there", do=do,
    )  # fmt: skip
