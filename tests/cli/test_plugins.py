"""``--plugin``: parts of one's own by name on the command line, and reports that say so."""

from __future__ import annotations

import contextlib
import json

import pandas as pd
import pytest

from ntkalign import plugins
from ntkalign.cli import experiment as command
from ntkalign.cli.main import main
from ntkalign.experiments import work
from ntkalign.rules import RULES
from ntkalign.runs.database import FILE, Database

pytestmark = pytest.mark.usefixtures("own_records")

SMALL = [
    "verify", "--points", "4", "--depth", "2", "--widths", "6,12,24", "--seeds", "2", "--time", "1",
    "--tolerance", "1e-4",
]  # fmt: skip
RULE = """
from ntkalign import Rule, backpropagate, current_activity, register

def old_slopes(now, start, fixed, e):
    return backpropagate(weights=now, slopes=start, error=e)

register(Rule("old-slopes", old_slopes, current_activity))
"""
REST = """
import jax.numpy as jnp
import numpy as np
from ntkalign import Activation, Claim, Kind, Layers, PointSet, Quantity, register
from ntkalign.quantities.series import ROUNDING

def points(count):
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 3)), rng.standard_normal((count, 2))

def largest_output(seen):
    sizes = np.abs(np.asarray(seen.flow.output)).max(axis=(1, 2))
    return {(None, "largest-output"): (sizes, ROUNDING * sizes)}

register(
    PointSet("mine", points),
    Activation("softsign", lambda z: z / (1 + jnp.abs(z)), bounded_first=True),
    Quantity("largest-output", "$f$", Layers.WHOLE, largest_output),
    Claim("outputs-stay", "", "outputs stay", "largest-output", Kind.PERSISTS),
)
"""


@pytest.fixture
def files(tmp_path):
    """Two files in a folder whose name must not get into reports."""
    folder = tmp_path / "secret-folder"
    folder.mkdir()
    for name, text in (("rule.py", RULE), ("rest.py", REST)):
        (folder / name).write_text(text)
    return [str(folder / name) for name in ("rule.py", "rest.py")]


@pytest.fixture
def undrawn(monkeypatch):
    """Plots take seconds, and are not looked at."""
    monkeypatch.setattr("ntkalign.report.files.scaling_plots", lambda findings, folder: {})
    for name in ("training_curve", "over_training"):
        monkeypatch.setattr(f"ntkalign.report.files.{name}", lambda result, folder: None)


def given(files):
    return [word for file in files for word in ("--plugin", file)]


@pytest.mark.usefixtures("undrawn")
def test_all_of_a_run_may_be_ones_own(files, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    command = [
        *SMALL, *given(files), "--rules", "old-slopes", "--data", "mine", "--claims",
        "outputs-stay,proposition-2", "--out", str(out),
    ]  # fmt: skip
    assert main(command) == 0
    report = json.loads((out / "report.json").read_text())
    assert {claim["id"] for claim in report["claims"]} == {"outputs-stay", "proposition-2"}
    assert {claim["rule"] for claim in report["claims"]} == {"normal", "old-slopes"}
    assert report["config"]["plugin"] == ["rule.py", "rest.py"]
    kept = report["environment"]["plugins"]
    assert [plugin["file"] for plugin in kept] == ["rule.py", "rest.py"]
    assert kept[1]["parts"] == [
        "activation softsign", "data mine", "quantity largest-output", "claim outputs-stay",
    ]  # fmt: skip
    assert "secret-folder" not in "".join(p.read_text() for p in out.glob("report.*"))

    def rebuilt(*words):
        capsys.readouterr()
        assert main(["report", str(out), *words]) == 0
        again = json.loads((out / "report.json").read_text())
        assert again == report
        return capsys.readouterr().out

    assert "plugin" not in rebuilt(*given(files))
    for registry in plugins.REGISTRIES:  # a colleague has the report alone
        registry.forget(registry)
    monkeypatch.setattr(plugins, "_LOADED", {})
    said = rebuilt()
    assert "plugin rule.py, which registered rule old-slopes, is not given: what is stored" in said
    assert "plugin rest.py, which registered activation softsign, data mine" in said


@pytest.mark.usefixtures("undrawn")
def test_what_is_measured_by_a_rule_of_ones_own_is_not_stored(files, tmp_path):
    command = [*SMALL, "--claims", "proposition-2", "--data", "sphere", "--out", str(tmp_path)]
    assert main([*command, *given(files[:1]), "--rules", "align-ada,old-slopes"]) == 0
    with contextlib.closing(Database(tmp_path / FILE)) as database:
        rules = {rule for network in database.networks() for rule in network.rows}
    assert "align-ada" in rules
    assert "old-slopes" not in rules
    table = pd.read_csv(tmp_path / "measurements.csv")
    assert "old-slopes" in set(table["rule"])


def test_claims_of_ones_own_are_listed(files, capsys):
    assert main(["claims", *given(files)]) == 0
    assert "outputs-stay" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["verify", "kernels", "experiment", "report", "claims"])
def test_a_bad_file_is_one_line_before_anything_is_done(command, tmp_path, capsys):
    bad = tmp_path / "bad.py"
    bad.write_text("import numpy\n\n1 / 0\n")
    out = tmp_path / "out"
    words = {"report": [str(tmp_path)], "claims": [], "experiment": ["list"]}
    more = words.get(command, ["--out", str(out)])
    assert main([command, *more, "--plugin", str(bad)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"ntkalign {command}: --plugin (")
    assert "must run to its end; got line 3: ZeroDivisionError: division by zero; because" in told
    assert told.count("\n") == 1
    assert not out.exists()


def test_names_of_a_file_that_is_not_given_are_unknown(tmp_path, capsys):
    assert main([*SMALL, "--rules", "old-slopes", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(
        "ntkalign verify: --rules (old-slopes) must be one of"
    )


def test_experiments_train_by_a_rule_of_ones_own_and_anew(files, tmp_path, monkeypatch):
    reused = []
    original = work.Training.__call__

    def train(self):
        outcome = original(self)
        reused.append((self.run.learner.rule.name, outcome.reused))
        return outcome

    monkeypatch.setattr(work.Training, "__call__", train)
    monkeypatch.setattr(command, "product_speed", lambda precision: 1e9)
    monkeypatch.setattr(command, "accuracy_curves", lambda results, folder: None)
    words = ["experiment", "table8", "--widths", "2", "--epochs", "1", "--rates", "1"]
    words += ["--rules", "normal,old-slopes", *given(files[:1]), "--out", str(tmp_path)]
    for _ in range(2):
        assert main(words) == 0
    assert sorted(reused) == [("normal", 0), ("normal", 1), ("old-slopes", 0), ("old-slopes", 0)]
    assert not RULES.is_built_in(RULES["old-slopes"])
