"""No file is read by what would run code that stands in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ntkalign"
RUNS_CODE = re.compile(
    r"allow_pickle=True|np\.load\((?!.*allow_pickle=False)|read_pickle|joblib|cloudpickle|dill|"
    r"shelve|marshal|yaml\.load|pickle\.(load|Unpickler)\b"
)
"""``pickle.loads`` is for what other processes of a run send one another, never for files."""


def found(text):
    """Lines that read a file so."""
    return [line for line in text.splitlines() if RUNS_CODE.search(line)]


def test_no_module_reads_files_that_run_code():
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 100
    assert {str(file): found(file.read_text()) for file in files if found(file.read_text())} == {}


@pytest.mark.parametrize(
    "line",
    ["np.load(path)", "np.load(path, allow_pickle=True)", "pd.read_pickle(path)",
     "pickle.load(file)", "joblib.load(path)", "yaml.load(file)"],
)  # fmt: skip
def test_what_would_is_found(line):
    assert found(f"x = 1\nx = {line}\n") == [f"x = {line}"]
