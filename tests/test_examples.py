"""The examples of parts of one's own load, pass their checks, and run."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from ntkalign import RULES
from ntkalign.cli.main import main
from ntkalign.plugins import load
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.testing import check_quantity, check_rule

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = [
    "verify", "--data", "sphere", "--points", "4", "--inputs", "5", "--depth", "2", "--widths",
    "6,12,24", "--seeds", "2", "--time", "1", "--tolerance", "1e-4",
]  # fmt: skip
PARTS = {
    "sign_symmetry": ["--rules", "sign-symmetry", "--claims", "proposition-2"],
    "hebbian": ["--rules", "align-ada,hebbian", "--claims", "proposition-2"],
    "ntk_spectrum": ["--claims", "ntk-smallest-eigenvalue"],
    "leaky_relu": ["--activation", "leaky-relu-0.2", "--claims", "lemma-1/weights"],
}
LINES = 20

pytestmark = pytest.mark.usefixtures("own_records")


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_short_and_says_how_it_is_run(name):
    text = (EXAMPLES / f"{name}.py").read_text()
    tree = ast.parse(text)
    said = ast.get_docstring(tree)
    for word in (f"ntkalign verify --plugin examples/{name}.py", "run", *PARTS[name][1::2]):
        assert word in " ".join(said.split()) or name in ("ntk_spectrum", "leaky_relu")
    parts = [n for n in tree.body if not isinstance(n, ast.Import | ast.ImportFrom | ast.Expr)]
    lines = sum(n.end_lineno - n.lineno + 1 for n in parts)
    assert lines < LINES + len(parts)  # docstrings are of each function


@pytest.mark.parametrize("name", PARTS)
def test_it_runs(name, tmp_path, monkeypatch):
    monkeypatch.setattr("ntkalign.report.files.scaling_plots", lambda findings, folder: {})
    for drawn in ("training_curve", "over_training"):
        monkeypatch.setattr(f"ntkalign.report.files.{drawn}", lambda result, folder: None)
    plugin = ["--plugin", str(EXAMPLES / f"{name}.py")]
    assert main([*SMALL, *plugin, *PARTS[name], "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["config"]["plugin"] == [f"{name}.py"]
    assert {entry["id"] for entry in report["claims"]} == {PARTS[name][-1]}
    own = [entry["rule"] for entry in report["controls"] if entry["rule"] == "hebbian"]
    assert bool(own) == (name == "hebbian")
    met = {entry["assumptions_met"] for entry in report["claims"]}
    assert met == {name != "leaky_relu"}


@pytest.mark.parametrize("kind", ["mlp", "rnn", "cnn"])
def test_rules_of_the_examples_are_rules(kind):
    load(EXAMPLES / "sign_symmetry.py")
    load(EXAMPLES / "hebbian.py")
    ((name, reason),) = check_rule(RULES["sign-symmetry"], networks=(kind,)).skipped
    assert name == f"both engines agree ({kind})"
    assert "weights other than by @" in reason
    assert len(check_rule(RULES["hebbian"], networks=(kind,), engines=kind == "mlp").passed) >= 8


def test_the_quantity_of_the_examples_is_one():
    load(EXAMPLES / "ntk_spectrum.py")
    found = check_quantity(QUANTITIES["ntk-eigenvalue"])
    assert "errors cover differences" in found.passed
