"""The contract of layers holds, and an import that breaks it is found.

Each planted import stands in a copy of the package: at the end of a module of a lower layer, one
of the layer above it; and for every other contract, one that it forbids.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = SETTINGS["contracts"]
LAYERS = [tuple(layer.split(" | ")) for layer in CONTRACTS[0]["layers"]]
BREAKS = [
    *((below[0], above[0]) for above, below in itertools.pairwise(LAYERS)),
    *((layer[0], other) for layer in LAYERS for other in layer[1:]),
    *((other, layer[0]) for layer in LAYERS for other in layer[1:]),
]
"""Lower module, upper module: each layer and the one above it, and neighbours in a layer."""
FORBIDDEN = {
    "The package imports its modules, and none imports the package": ("rules", "ntkalign"),
    "Statistics know nothing of networks": ("statistics.rates", "jax"),
    "Declarations import no engine": ("flow.options", "ntkalign.flow.dense"),
    "Settings are read without an engine": ("runs.settings", "ntkalign.flow.spectral.march"),
    "The dense engine judges the spectral one": ("flow.dense", "ntkalign.flow.spectral.modes"),
}


@pytest.fixture
def package(tmp_path) -> Path:
    """A copy of the package and of the contract."""
    shutil.copytree(ROOT / "ntkalign", tmp_path / "ntkalign")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> tuple[int, str]:
    """Exit status and output of import-linter in that folder."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()",
         "--no-cache", "--no-logo"],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "300"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def plant(folder: Path, module: str, imported: str) -> None:
    path = folder / "ntkalign" / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    path.write_text(f"{path.read_text()}\nimport {imported}\n")


def test_the_package_keeps_every_contract(package):
    status, output = lint(package)
    assert status == 0, output
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken" in output


@pytest.mark.parametrize(("lower", "upper"), BREAKS, ids=["-imports-".join(b) for b in BREAKS])
def test_an_import_from_below_is_found(package, lower, upper):
    plant(package, lower, f"ntkalign.{upper}")
    status, output = lint(package)
    assert status == 1
    assert f"ntkalign.{lower} is not allowed to import ntkalign.{upper}" in output


@pytest.mark.parametrize("name", [contract["name"] for contract in CONTRACTS[1:]])
def test_each_further_contract_finds_what_it_forbids(package, name):
    plant(package, *FORBIDDEN[name])
    status, output = lint(package)
    assert status == 1
    assert f"{name} BROKEN" in output
    module, imported = FORBIDDEN[name]
    assert f"ntkalign.{module} -> {imported}" in output


def test_a_new_folder_must_take_its_place(package):
    (package / "ntkalign" / "annex").mkdir()
    (package / "ntkalign" / "annex" / "__init__.py").write_text('"""An annex."""\n')
    status, output = lint(package)
    assert status == 1
    assert "ntkalign.annex" in output
