"""Which commit the running code is of, if it runs from its own source tree, and what its text is.

A package that is installed lies in a folder of environments, which often lies in the repository of
another project: that one's commit says nothing about this code. So a revision is told only where
the repository is this package's own: the package lies at its root, beside a ``pyproject.toml`` that
names it, and is committed there. The digest of the code's text is told in any case.
"""

from __future__ import annotations

import os
import subprocess
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import all_suffixes
from pathlib import Path

from ntkalign.runs.fingerprint import package, sources

NAME = "ntkalign"
EVERYTHING = (".",)
CHANGED = "+"
"""Stands behind a revision whose tree was changed since."""


@dataclass(frozen=True)
class SourceTree:
    """A commit of the package's own repository.

    Attributes:
        commit: all 40 digits.
        is_clean: whether nothing was changed since: no file of the repository, and no module that
            it does not know lies in the package.
    """

    commit: str
    is_clean: bool

    def __str__(self) -> str:
        return self.commit + CHANGED * (not self.is_clean)


@lru_cache(maxsize=1)
def running() -> SourceTree | None:
    """The tree that the running code is of, as it was when this was first asked."""
    return source_tree(package())


@lru_cache(maxsize=1)
def text_digest() -> str:
    """A hash of all modules of the running code."""
    return sources(package(), EVERYTHING)


def source_tree(folder: Path) -> SourceTree | None:
    """The commit that a package is of.

    Args:
        folder: of the package.

    Returns:
        It; None if the package lies in no repository of its own, or nobody can say.
    """
    folder = folder.resolve()
    root = folder.parent
    top = _git(root, "rev-parse", "--show-toplevel")
    if not top or not Path(top.strip()).samefile(root) or not _is_own(root):
        return None
    if not _git(root, "ls-files", "--", f"{folder.name}/__init__.py"):
        return None
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    unknown = _git(root, "ls-files", "--others", "-z", "--", folder.name)
    if not commit or changed is None or unknown is None:
        return None
    modules = [name for name in unknown.split("\0") if _is_module(name)]
    return SourceTree(commit.strip(), is_clean=not changed and not modules)


def _is_own(root: Path) -> bool:
    try:
        stated = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    project = stated.get("project")
    return isinstance(project, dict) and project.get("name") == NAME


def _is_module(name: str) -> bool:
    """Could an import find it? What Python itself has compiled is made of other files."""
    return name.endswith(tuple(all_suffixes())) and "__pycache__" not in Path(name).parts


def _git(root: Path, *words: str) -> str | None:
    """What git says about a repository; None if it has nothing to say."""
    about_others = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(root), *words],
            capture_output=True, text=True, encoding="utf-8", errors="surrogateescape",
            check=False, timeout=10, stdin=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name not in about_others},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
