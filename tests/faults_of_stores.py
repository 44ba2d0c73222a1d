"""Faults to plant in what keeps runs: rows for the mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

FILES = ("test_files",)
DATABASE = ("runs/test_database",)
HOLD = ("runs/test_hold",)
STORE = ("runs/test_store",)
TRAINED = ("cells/test_trained",)
TABLES = ("report/test_belonging",)

ROWS = (
    ("files: written in place", "files.py",
     "unfinished[path] = _begin(path)",
     "unfinished[path] = (path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))", FILES),
    ("files: what others are writing is removed", "files.py",
     "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass", FILES),
    ("store: digests are not checked", "runs/database.py",
     "    if digest != _digest(*record[:4]):", "    if False:", DATABASE),
    ("store: a damaged file is overwritten", "databases.py",
     "path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))",
     "path.with_name(path.name + suffix).unlink()", DATABASE),
    ("store: no transaction", "databases.py",
     'connection.execute("BEGIN IMMEDIATE")', "pass", DATABASE),
    ("store: a newer version is read all the same", "runs/database.py",
     "if version > len(MIGRATIONS):", "if False:", DATABASE),
    ("store: two runs in one folder", "runs/hold.py",
     "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass", HOLD),
    ("store: numbers by code of the user's own are kept", "runs/store.py",
     "return built_in and not own and not", "return built_in and not", STORE),
    ("report: another run's table is judged", "report/belonging.py",
     "if told is not None and told != told_of(content, table):", "if False:", TABLES),
    ("report: a seed may be missing", "report/belonging.py",
     "            if (family, width, seed) not in there:", "            if False:", TABLES),
    ("trained: damage is not noticed", "cells/trained.py",
     "if digest != _digest(name, text, contents):", "if False:", TRAINED),
    ("trained: other code's networks are measured", "cells/trained.py",
     "[plain, str(which), self.context]", "[plain, str(which)]", TRAINED),
    ("trained: the history of panels is forgotten", "cells/trained.py",
     'base=replace(relaxation.first, history=get(panel["history"])),',
     "base=relaxation.first,", TRAINED),
)  # fmt: skip
