"""Stores of before version 1: a folder with a file for each network, which are taken over.

They have no record of what computed the numbers but the fingerprint that is the file's name; a
network is found by that, if this code still gives it. Their files stay where they are.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ntkalign.cells.cell import Row
from ntkalign.runs.database import Database

FOLDER = "cells"
_NAME = re.compile(r"[0-9a-f]{20}\.json")

log = logging.getLogger(__name__)


def take_over(folder: Path, database: Database) -> None:
    """Put all networks of such a store into a database.

    Args:
        folder: of a run: the files are there, or in a folder of their own.
        database: a new one.

    Raises:
        CannotWriteError: if it cannot be written.
    """
    taken = 0
    for name, specification, rows in _networks(folder):
        database.put(name, specification, None, rows)
        taken += 1
    if taken:
        log.warning("%s: %d networks of an earlier version are taken over", database.path, taken)


def _networks(folder: Path) -> Iterator[tuple[str, dict[str, Any], list[Row]]]:
    for path in sorted([*folder.glob("*.json"), *(folder / FOLDER).glob("*.json")]):
        if not _NAME.fullmatch(path.name):
            continue
        try:
            stored = json.loads(path.read_bytes())
            cell, rows = stored["specification"]["cell"], [Row(*r) for r in stored["rows"]]
            whole = stored["digest"] == _digest(stored["rows"])
            mine = all(row[:3] == (cell["family"], cell["width"], cell["seed"]) for row in rows)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            whole = mine = False
        if whole and mine:
            yield path.stem, stored["specification"], rows
        else:
            log.warning("%s is damaged: its network is measured again", path)


def _digest(rows: Any) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
