"""``--reproduce report.json``: a report's settings run again, or refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ntkalign import plugins
from ntkalign.cells.cell import OK, Cell, Name, labelled
from ntkalign.claims.claim import MAIN
from ntkalign.claims.theory import PROPOSITION_2
from ntkalign.cli import reproduce
from ntkalign.cli.main import main, script
from ntkalign.report import write_report
from ntkalign.report.reproduced import DIFFERENCES
from ntkalign.runs.environment import file_digest
from ntkalign.runs.record import Conduct
from tests.report import made_up

pytestmark = pytest.mark.usefixtures("own_records", "undrawn")


@pytest.fixture
def undrawn(monkeypatch):
    """Plots and pages take seconds, and are not looked at."""
    made_up.leave_pages_empty(monkeypatch)


def report(folder, *, conduct=None, environment=None, command=None, **settings):
    """The folder of a report that nobody measured; returns its JSON file."""
    question = made_up.ask(PROPOSITION_2, rule="align-ada")
    made = made_up.run((question, -0.5), conduct=conduct, **settings)
    made = replace(
        made, environment=replace(made.environment, **(environment or {})),
        command={"out": "x"} | (command or {}),
    )  # fmt: skip
    write_report(made, folder)
    return folder / "report.json"


@pytest.fixture
def asked(monkeypatch):
    """What would be run; a copy of the report's own numbers stands in for it."""
    calls = []

    def stand_in(flags, settings, **how):
        calls.append((flags, settings, how))
        write_report(made_up.run((made_up.ask(PROPOSITION_2, rule="align-ada"), -0.5)), flags.out)
        return 0

    monkeypatch.setattr(reproduce, "run_verification", stand_in)
    return calls


@pytest.mark.parametrize(
    ("factor", "end", "status"),
    [(1.0, "0 within their stated errors, 0 beyond them; 0 of 2 verdicts changed: reproduced", 0),
     (1 + 2**-52, "1 within their stated errors, 0 beyond them", 0),
     (1 + 1e-3, "0 within their stated errors, 1 beyond them", 1)],
)  # fmt: skip
def test_a_run_is_reproduced_and_what_is_planted_is_found(
    factor, end, status, tmp_path, capsys, monkeypatch
):
    """From the command to the comparison; a power law stands in for the networks."""
    planted = 1.0

    def measure(one, needs):
        noise = np.random.default_rng(one.cell.seed).uniform(0.9, 1.1)
        value = one.cell.width**-0.5 * noise
        value *= planted if one.cell == Cell(MAIN, 12, 1) else 1
        return labelled(one.cell, "normal", {Name(None, "nngp-gap"): (value, 1e-9, OK)})

    monkeypatch.setattr("ntkalign.runs.suite._prepare_kernels", lambda settings, data: measure)
    small = ["--points", "3", "--depth", "2", "--widths", "6,12,24", "--seeds", "2", "--time", "1",
             "--held-out", "2", "--claims", "kernels/nngp", "--data", "sphere", "--inputs", "3",
             "--outputs", "1"]  # fmt: skip
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["kernels", *small, "--out", str(first)]) == 0
    planted = factor
    again = ["--reproduce", str(first / "report.json"), "--out", str(second)]
    assert main(["verify", *again, "--strict"]) == status  # whatever command: the report has it
    out = capsys.readouterr().out
    assert "computed by the same code, packages and device" in out
    assert end in out
    one, two = (json.loads((f / "report.json").read_text()) for f in (first, second))
    assert one["config"]["held_out"] == two["config"]["held_out"] == 2
    assert (one["claims"] == two["claims"]) is (factor == 1)
    assert two["environment"]["networks_reused"] == 0
    assert (second / DIFFERENCES).exists() is (factor != 1)


def test_settings_claims_and_the_look_are_those_of_the_report(tmp_path, asked):
    path = report(
        tmp_path / "old", conduct=Conduct(until_decided=True, looks=3, spend=0.125), depth=4,
        bias_std=0.1, bottleneck=2, command={"preset": "deep"},
    )  # fmt: skip
    assert main(["verify", "--reproduce", str(path), "--out", str(tmp_path / "new")]) == 0
    ((flags, settings, how),) = asked
    assert (settings.depth, settings.bias_std) == (4, 0.1)
    assert (settings.bottleneck, settings.time, settings.seeds) == (2, 1.0, 8)
    assert (settings.inputs, settings.outputs) == (None, 1)  # digits have their inputs
    assert how["spent"] == (3, 0.125)
    assert how["suite"].name == "theory"
    assert (flags.claims, flags.preset, flags.fresh) == ("proposition-2", "deep", True)


def test_a_number_that_is_another_is_found_and_strict_says_so(tmp_path, asked, capsys):
    path = report(tmp_path / "old", data="sphere")
    table = tmp_path / "old" / "measurements.csv"
    made = made_up.run((made_up.ask(PROPOSITION_2, rule="align-ada"), -0.5), data="sphere")
    other = made.table.copy()
    other.loc[7, "value"] *= 1.01
    write_report(replace(made, table=other), table.parent)
    words = ["verify", "--reproduce", str(path), "--out", str(tmp_path / "new")]
    assert main(words) == 0
    assert main([*words, "--strict"]) == 1
    assert "1 beyond them; the largest change is 9.9e-03" in capsys.readouterr().out
    assert (tmp_path / "new" / DIFFERENCES).is_file()


def refused(words, capsys):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


OTHER_SETTINGS = (
    ["--widths", "8,16,32"], ["--seeds", "3"], ["--claims", "lemma-1"], ["--preset", "quick"],
    ["--until-decided"], ["--budget", "1"], ["--data", "sphere"], ["--data-dir", "here"],
)  # fmt: skip


@pytest.mark.parametrize("words", OTHER_SETTINGS, ids=" ".join)
def test_other_settings_are_refused(words, tmp_path, asked, capsys):
    path = report(tmp_path / "old")
    said = refused(["verify", "--reproduce", str(path), *words], capsys)
    assert f"must be given without other settings; got {words[0]}; because a report has" in said
    assert asked == []


def test_held_out_points_are_the_reports(tmp_path, asked, capsys):
    path = report(tmp_path / "old")
    said = refused(["kernels", "--reproduce", str(path), "--held-out", "3"], capsys)
    assert "got --held-out" in said
    assert asked == []


def test_the_plan_is_shown_and_nothing_is_compared(tmp_path, capsys, monkeypatch):
    path = report(tmp_path / "old")
    monkeypatch.setattr(reproduce, "run_verification", lambda *given, **how: print("plan") or 0)
    words = ["--reproduce", str(path), "--dry-run", "--out", str(tmp_path / "new")]
    assert main(["verify", *words]) == 0
    assert capsys.readouterr().out == "plan\n"
    assert not (tmp_path / "new").exists()


def test_a_script_reproduces_the_claims_of_the_report(tmp_path, asked):
    path = report(tmp_path / "old")
    words = ["--reproduce", str(path), "--out", str(tmp_path / "new")]
    assert script("one claim", ["lemma-1"], "figures/one", words) == 0
    assert asked[0][0].claims == "proposition-2"


@pytest.mark.parametrize(
    ("what", "got"),
    [("nothing", "no such file"), ("another name", "another file"), ("a part", "part of a run"),
     ("an empty folder", "another file")],
)  # fmt: skip
def test_what_is_no_whole_report_is_refused(what, got, tmp_path, asked, capsys):
    path = report(tmp_path / "old")
    if what == "nothing":
        path = tmp_path / "none" / "report.json"
    elif what == "another name":
        path = path.rename(path.with_name("copy.json"))
    elif what == "a part":
        stored = json.loads(path.read_text())
        part = {"reason": "stopped", "finished": 1, "wanted": 2, "missing": [], "in_short": []}
        path.write_text(json.dumps(stored | {"partial": part}))
    else:
        path = tmp_path / "empty"
        path.mkdir()
    said = refused(["verify", "--reproduce", str(path), "--out", str(tmp_path / "new")], capsys)
    assert f"got {got}" in said or got in said
    assert asked == []
    assert not (tmp_path / "new").exists()


def test_the_reports_own_folder_is_not_written_into(tmp_path, asked, capsys):
    path = report(tmp_path / "old")
    before = path.read_bytes()
    said = refused(["verify", "--reproduce", str(path), "--out", str(path.parent)], capsys)
    assert "--out" in said
    assert "must be another folder than the report's" in said
    assert (asked, path.read_bytes()) == ([], before)


def test_plugins_must_be_there_and_unchanged(tmp_path, asked, capsys):
    file = tmp_path / "mine.py"
    file.write_text(
        "from ntkalign import Activation, register\nregister(Activation('mine', lambda z: z))\n"
    )
    plugins.load(file)
    (plugin,) = (p.as_json() for p in plugins.loaded())
    path = report(tmp_path / "old", activation="mine", environment={"plugins": (plugin,)})
    words = ["verify", "--reproduce", str(path), "--out", str(tmp_path / "new")]
    assert main([*words, "--plugin", str(file)]) == 0
    assert asked[0][1].activation.name == "mine"
    file.write_text(file.read_text() + "\n# changed\n")
    said = refused([*words, "--plugin", str(file)], capsys)
    assert "--plugin (mine.py) must be given, with the text that it had then" in said
    assert "has changed since" in said
    assert len(asked) == 1


def test_a_plugin_that_is_not_given_and_a_rule_that_nobody_has_are_refused(tmp_path, asked, capsys):
    lost = {"file": "mine.py", "digest": "0" * 20, "parts": ["rule mine"]}
    path = report(tmp_path / "old", environment={"plugins": (lost,)})
    words = ["verify", "--reproduce", str(path), "--out", str(tmp_path / "new")]
    assert "mine.py, which registered rule mine, is not given" in refused(words, capsys)
    stored = json.loads(path.read_text())
    stored["environment"]["plugins"] = []
    stored["config"]["rules"] = ["mine"]
    path.write_text(json.dumps(stored))
    assert "(mine) must be a rule or an activation that is registered" in refused(words, capsys)
    assert asked == []


def test_a_file_of_data_must_be_the_one_that_it_was(tmp_path, asked, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, size in (("mine.npz", 8), ("other.npz", 9)):
        np.savez(name, x=rng.standard_normal((size, 2)), y=rng.standard_normal((size, 1)))
    known = {"file": file_digest(tmp_path / "mine.npz")}
    path = report(tmp_path / "old", data=str(tmp_path / "mine.npz"), environment={"data": known})
    assert str(tmp_path) not in path.read_text()
    words = ["verify", "--reproduce", str(path), "--out", str(tmp_path / "new")]
    assert main(words) == 0  # found by its name
    assert (asked[0][1].inputs, asked[0][1].outputs) == (None, None)
    (tmp_path / "mine.npz").rename(tmp_path / "moved.npz")
    assert "must be the report's mine.npz; got no such file" in refused(words, capsys)
    said = refused([*words, "--data", "other.npz"], capsys)
    assert "--data (other.npz) must be the report's mine.npz; got another content" in said
    assert main([*words, "--data", "moved.npz"]) == 0
    assert asked[1][1].data == "moved.npz"
