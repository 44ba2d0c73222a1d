"""What is installed is the whole package: a wheel holds every module, template and type marker."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def source(tmp_path) -> Path:
    """A copy of what a wheel is built from; building leaves folders behind."""
    source = tmp_path / "source"
    shutil.copytree(
        ROOT / "ntkalign", source / "ntkalign", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    return source


def missing(source: Path) -> set[str]:
    """The files of the package that a wheel built from that folder does not hold."""
    build = source.parent / "wheels"
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--disable-pip-version-check", "--wheel-dir", str(build), str(source)],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = build.glob("ntkalign-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        archive.extractall(build)
    package = (path for path in (source / "ntkalign").rglob("*") if path.is_file())
    return {path.relative_to(source).as_posix() for path in package} - held


def test_a_wheel_holds_every_file_of_the_package(source):
    assert missing(source) == set()
    (metadata,) = (source.parent / "wheels").glob("*.dist-info")
    (script,) = PathDistribution(metadata).entry_points.select(group="console_scripts")
    module = source.parent / "wheels" / f"{script.module.replace('.', '/')}.py"
    assert f"def {script.attr}(" in module.read_text()


def test_a_folder_that_is_not_named_would_be_missed(source):
    """The control: packages are found, folders and all, and not listed."""
    project = source / "pyproject.toml"
    found = project.read_text()
    assert '"ntkalign*"' in found
    project.write_text(found.replace('"ntkalign*"', '"ntkalign"'))
    assert "ntkalign/cells/flow.py" in missing(source)


def test_every_folder_is_a_package_and_none_is_hidden_from_git():
    for root in (ROOT / "ntkalign", ROOT / "tests"):
        folders = {path.parent for path in root.rglob("*.py")}
        assert {folder for folder in folders if not (folder / "__init__.py").is_file()} == set()
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    ignored = subprocess.run(
        ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "ntkalign", "tests"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    assert [path for path in ignored if path.endswith((".py", ".j2", ".typed"))] == []
