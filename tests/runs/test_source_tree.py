"""A revision is told of the package's own tree alone; modules that git does not know count."""

from __future__ import annotations

import os
import subprocess

import pytest

from ntkalign.runs.source_tree import source_tree

OWN, OTHERS = '[project]\nname = "ntkalign"\n', '[project]\nname = "other"\n'


def git(root, *words):
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", root, *who, *words], check=True, capture_output=True, text=True,
        env={n: v for n, v in os.environ.items() if not n.startswith("GIT_")},
    )  # fmt: skip
    return done.stdout.strip()


def tree(root, stated=OWN, place="ntkalign", committed=True):
    """A repository with a package in it; returns the package's folder."""
    package = root / place
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (root / "pyproject.toml").write_text(stated)
    (root / ".gitignore").write_text("secret.py\n.venv\n")
    git(root, "init", "-q")
    git(root, "add", "pyproject.toml", ".gitignore", *([package] if committed else []))
    git(root, "commit", "-q", "-m", "all")
    return package


CHANGES = {
    "nothing": (None, True),
    "a module": ("ntkalign/__init__.py", False),
    "another file of the repository": ("pyproject.toml", False),
    "a module that git does not know": ("ntkalign/new.py", False),
    "one deeper down": ("ntkalign/new/module.py", False),
    "a module that git ignores": ("ntkalign/secret.py", False),
    "a compiled module": ("ntkalign/fast.so", False),
    "what Python compiles": ("ntkalign/__pycache__/new.cpython-311.pyc", True),
    "a file that is no module": ("ntkalign/notes.txt", True),
    "a script beside the package": ("run.py", True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_since_the_commit(change, tmp_path):
    package = tree(tmp_path)
    path, clean = CHANGES[change]
    if path is not None:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(OWN + "# changed\n")
    found = source_tree(package)
    assert found.commit == git(tmp_path, "rev-parse", "HEAD")
    assert found.is_clean is clean
    assert str(found) == found.commit + "+" * (not clean)


ELSEWHERE = {
    "installed in another project's environment": (OTHERS, ".venv/site-packages/ntkalign", False),
    "installed where that project ignores nothing": (OTHERS, "lib/ntkalign", False),
    "a copy that another project keeps": (OTHERS, "ntkalign", True),
    "a copy deeper down": (OTHERS, "third_party/ntkalign", True),
    "installed in an environment within the package's own tree": (OWN, "lib/ntkalign", False),
    "not committed": (OWN, "ntkalign", False),
    "no name": ("[project]\n", "ntkalign", True),
    "something else": ("project = 3\n", "ntkalign", True),
    "damaged": ("[", "ntkalign", True),
}


@pytest.mark.parametrize("case", ELSEWHERE)
def test_another_projects_commit_is_not_told(case, tmp_path):
    stated, place, committed = ELSEWHERE[case]
    assert source_tree(tree(tmp_path, stated, place, committed)) is None


def test_no_repository_no_revision(tmp_path):
    (tmp_path / "ntkalign").mkdir()
    (tmp_path / "ntkalign" / "__init__.py").write_text("")
    assert source_tree(tmp_path / "ntkalign") is None


def test_nobody_is_asked_about_another_repository(tmp_path, monkeypatch):
    mine, other = tree(tmp_path / "mine"), tree(tmp_path / "other", OTHERS)
    monkeypatch.setenv("GIT_DIR", str(other.parent / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.parent))
    assert source_tree(mine).commit == git(mine.parent, "rev-parse", "HEAD")


def test_without_git_nothing_is_told(tmp_path, monkeypatch):
    package = tree(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_tree(package) is None
