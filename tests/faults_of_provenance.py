"""Faults to plant in what is told of runs, and in how they are compared: rows for mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

TREE, HERE = ("runs/test_source_tree",), ("runs/test_environment",)
AGAIN, ASKED = ("runs/test_reproduction",), ("cli/test_reproduce",)

ROWS = (
    ("source tree: another project's commit is told", "runs/source_tree.py",
     "or not _is_own(root):", "or _is_own(root) is None:", TREE),
    ("source tree: a module that git does not know is no change", "runs/source_tree.py",
     "is_clean=not changed and not modules", "is_clean=not changed", TREE),
    ("source tree: a package that is not committed is", "runs/source_tree.py",
     'if not _git(root, "ls-files", "--", f"{folder.name}/__init__.py"):', "if False:", TREE),
    ("source tree: git listens to somebody else's variables", "runs/source_tree.py",
     "if name not in about_others", "if name", TREE),
    ("environment: variables are told as they are", "runs/environment.py",
     "return {name: placeless(value) for", "return {name: value for", HERE),
    ("environment: a file is known by its points alone", "runs/environment.py",
     'found | {"file": file_digest(file)}', "found", HERE),
    ("values: a path is told as typed", "values.py",
     "return Path(os.path.abspath(path)).name", "return str(path)", ("test_values",)),
    ("values: addresses are told", "values.py",
     r"|[a-z][\w.-]*:\d", "", ("test_values",)),
    ("reproduction: what moved by more than one error is within both", "runs/reproduction.py",
     'stated = rows["error"] + rows["error_new"]', 'stated = 3 * rows["error"]', AGAIN),
    ("reproduction: a number whose error moved is equal", "runs/reproduction.py",
     "how[same & same_error] = EQUAL", "how[same] = EQUAL", AGAIN),
    ("reproduction: another status goes unnoticed", "runs/reproduction.py",
     '(rows["status"] != rows["status_new"]) |', "", AGAIN),
    ("reproduction: what is gone is forgotten", "runs/reproduction.py",
     'how="outer", suffixes', 'how="inner", suffixes', AGAIN),
    ("reproduce: another file of data is taken", "cli/reproduce.py",
     "if got != known:", "if got is None:", ASKED),
    ("reproduce: networks of before are reused", "cli/reproduce.py",
     "fresh=not flags.resume,", "fresh=flags.fresh,", ASKED),
    ("reproduce: everything may be spent at the last look", "cli/reproduce.py",
     "spent=(report.conduct.looks, report.conduct.spend)", "spent=(report.conduct.looks, 1.0)",
     ASKED),
    ("reproduce: a changed plugin is taken", "cli/reproduce.py",
     "for lacking in not_loaded(report.environment.plugins):", "for lacking in ():", ASKED),
)  # fmt: skip
