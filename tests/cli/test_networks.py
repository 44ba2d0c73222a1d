"""Recurrent and convolutional networks through the command: verdicts, files, refusals."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ntkalign import Outcome, Settings
from ntkalign.cells.cell import Cell, Row, with_companions
from ntkalign.cells.flow import Trial
from ntkalign.claims.claim import BOTTLENECK, MAIN
from ntkalign.claims.questions import questions
from ntkalign.cli.flags import VerifyFlags, parse
from ntkalign.cli.main import main
from ntkalign.data.catalogue import load
from ntkalign.kernels.training_time import saved_times
from ntkalign.quantities.catalogue import BOOKKEEPING, QUANTITIES, over_time
from ntkalign.rules import CONTROLS, NORMAL
from ntkalign.runs import suite as suites
from ntkalign.runs.sweep import specify
from tests.cases import needs_dense

SMALL = [
    "verify", "--points", "4", "--widths", "4,6,8", "--seeds", "2", "--time", "0.5", "--rules",
    "align-ada", "--tolerance", "1e-4",
]  # fmt: skip
NETWORKS = {
    "rnn": ["--network", "rnn", "--steps", "3"],
    "cnn": ["--network", "cnn", "--data", "sphere", "--outputs", "1", "--strides", "2,3"],
}
DATA = {
    "rnn": "add (4 points, 3 steps of 1 inputs, 1 outputs)",
    "cnn": "sphere (4 points, images, 1 outputs)",
}
ARCHITECTURE = {
    "rnn": "recurrent, depth 3, tanh, widths 4, 6, 8",
    "cnn": "convolutional, depth 3, tanh, strides 2, 3, widths 4, 6, 8",
}


@contextlib.contextmanager
def undrawn(*names):
    """Without these plots, which take seconds and which other tests look at."""
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(f"ntkalign.report.files.{name}", lambda found, folder: None)
        patch.setattr("ntkalign.report.files.scaling_plots", lambda findings, folder: {})
        yield


@pytest.fixture(scope="module", params=NETWORKS)
def run(request, tmp_path_factory):
    """One run end to end: its flags, folder and report, and what it printed."""
    folder, printed = tmp_path_factory.mktemp(request.param), io.StringIO()
    flags = [*SMALL, *NETWORKS[request.param]]
    with undrawn(), contextlib.redirect_stdout(printed):
        assert main([*flags, "--out", str(folder)]) == 0
    return SimpleNamespace(
        network=request.param,
        flags=flags,
        folder=folder,
        printed=printed.getvalue(),
        settings=parse(VerifyFlags, flags[1:], "trial").settings(),
        report=json.loads((folder / "report.json").read_text()),
        table=pd.read_csv(folder / "measurements.csv"),
    )


def test_every_question_has_an_answer(run):
    asked = questions(run.settings.family, run.settings.rules, controls=CONTROLS)
    for kind, control in (("claims", False), ("controls", True)):
        assert [(c["id"], c["family"], c["rule"], c["layer"]) for c in run.report[kind]] == [
            (q.claim.id, q.family, q.rule, q.layer) for q in asked if q.control == control
        ]
    layers = {"rnn": {2, None}, "cnn": {1, 2, None}}[run.network]
    assert {c["layer"] for c in run.report["claims"]} == layers
    assert {c["rule"] for c in run.report["controls"]} >= {"fa", "dfa", "last-layer", "normal"}
    for finding in run.report["claims"] + run.report["controls"]:
        values = np.array(finding["values"], float)
        assert values.shape == (3, 2)
        assert np.isfinite(values).all()
        assert finding["verdict"] in ("holds", "refuted", "undecided")
        assert finding["widths"] == [4, 6, 8]
        assert finding["assumptions_met"] == (finding["family"] == MAIN)


def test_the_settings_are_stored_with_what_the_data_turned_out_to_have(run):
    config = run.report["config"]
    own = {"rnn": {"data": "add", "steps": 3, "inputs": 1, "outputs": 1, "strides": []},
           "cnn": {"data": "sphere", "steps": None, "inputs": None, "outputs": 1,
                   "strides": [2, 3]}}[run.network]  # fmt: skip
    expected = own | {"network": run.network, "norm": "none", "readout": "scaled", "time": 0.5}
    assert {name: config[name] for name in expected} == expected
    assert run.report["schema"] == 1
    limit = run.report["infinite_width_loss"]  # of a recurrent network it is not known
    assert (limit is None) == (run.network == "rnn")
    assert run.report["regime"]["widths"] == [4, 6, 8]
    assert run.report["environment"]["flows"]["dense"] == 0


def test_the_table_is_tidy(run):
    table = run.table
    key = ["family", "width", "seed", "rule", "layer", "quantity", "time"]
    assert not table.duplicated(key).any()
    assert set(table["status"]) == {"ok"}
    assert table["error"].ge(0).all()
    assert table["value"].notna().all()
    assert set(table["quantity"]) <= {*QUANTITIES, *BOOKKEEPING}
    assert set(table["family"]) == {MAIN, BOTTLENECK}
    assert {*table["layer"].dropna()} == {1, 2, 3}
    drift = table[table["quantity"] == "kernel-drift"]
    assert (len(drift), set(drift["rule"])) == (12, {"normal"})
    gap = table[table["quantity"] == "kernel-gap"]
    assert len(gap) == (12 if run.network == "cnn" else 0)


def test_the_largest_value_over_time_is_the_number(run):
    table, place = run.table, ["family", "width", "seed", "rule", "layer"]
    times = np.sort(table[table["quantity"] == "loss"]["time"].unique())
    assert times[-1] == 0.5
    for name in (record.name for record in QUANTITIES.values() if record.over_time):
        rows = table[table["quantity"] == over_time(name)]
        numbers = table[table["quantity"] == name]
        assert numbers["time"].isna().all()
        assert rows.groupby(place, dropna=False)["time"].apply(list).map(list(times).__eq__).all()
        largest = rows.groupby(place, dropna=False)["value"].max()
        both = largest.reset_index().merge(numbers, on=place)
        assert len(both) == len(largest) == len(numbers) > 0
        assert (both["value_x"] == both["value_y"]).all()


def test_shuffled_scores_are_a_baseline_of_gradient_descent_alone(run):
    shuffled = run.table[run.table["quantity"] == "score-permuted"]
    assert set(shuffled["rule"]) == {"normal"}
    assert set(shuffled["family"]) == {MAIN}
    assert len(shuffled) == 3 * 2 * 3
    assert shuffled["value"].between(0, 1 + 1e-12).all()


def test_the_report_names_the_network_and_shows_what_goes_on_over_training(run):
    markdown = (run.folder / "report.md").read_text()
    page = (run.folder / "report.html").read_text()
    words = (f"Data {DATA[run.network]}", ARCHITECTURE[run.network],
             "2 seeds", "Over training")  # fmt: skip
    for text in (markdown, page):
        for word in words:
            assert word in text
        for finding in run.report["claims"]:
            assert finding["id"] in text
        assert "outside its assumptions" not in text
    assert re.search(
        r"!\[Against time, at the end and in the worst layer: 1 minus the alignment score "
        r"[\d.e-]+ at width \d+ and [\d.e-]+ at width \d+; .*\]\(plots/over-training.svg\)",
        markdown,
    )
    assert '<figure id="over-training">' in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    plots = {path.name for path in (run.folder / "plots").iterdir()}
    assert {"over-training.svg", "over-training.png"} <= plots
    ElementTree.parse(run.folder / "plots" / "over-training.svg")
    assert f"4 points, {ARCHITECTURE[run.network]}" in run.printed
    assert f"report: {run.folder / 'report.html'}" in run.printed


def test_a_report_is_rebuilt_to_the_same_findings(run, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run.folder, folder)
    (folder / "report.html").unlink()
    shutil.rmtree(folder / "plots")
    with undrawn("training_curve"):
        assert main(["report", str(folder)]) == 0
    assert json.loads((folder / "report.json").read_text()) == run.report
    assert (folder / "plots" / "over-training.svg").is_file()
    for name in ("report.html", "report.md", "measurements.csv"):
        there, again = ((f / name).read_bytes() for f in (run.folder, folder))
        curve = rb"!\[Loss of gradient descent[^\n]*\]\(plots/training-curve.svg\)\n\n"
        assert name == "report.html" or again == re.sub(curve, b"", there)


def test_a_second_run_reuses_every_network_and_strict_says_what_is_undecided(run, capsys):
    before = (run.folder / "measurements.csv").read_bytes()
    with undrawn("training_curve", "over_training"):
        assert main([*run.flags, "--out", str(run.folder), "--strict"]) == 1
    assert "12 networks reused" in capsys.readouterr().out
    assert (run.folder / "measurements.csv").read_bytes() == before


# --- without training -----------------------------------------------------------------------


def made_up(specification, needs, *, limit=None):
    """What might have been measured: everything falls like m^-½."""
    cell, depth = specification.cell, specification.family.depth
    noise = np.random.default_rng([cell.width, cell.seed])
    return [
        Row(*vars(cell).values(), rule.name, layer, name, None,
            float(cell.width**-0.5 * noise.uniform(0.2, 0.21)), 1e-9, "ok")
        for rule, quantities in needs.items()
        for name in sorted(with_companions(quantities))
        for layer in QUANTITIES[name].layers.of(depth)
    ]  # fmt: skip


@pytest.fixture
def untrained(monkeypatch):
    """Reports on networks that nobody trained, without plots."""
    monkeypatch.setattr(suites, "measure_cell", made_up)
    monkeypatch.setattr(suites, "convolutional_kernels", lambda *given: None)
    monkeypatch.setattr(suites, "predictions", lambda *given: None)
    monkeypatch.setattr(
        "ntkalign.runs.verify._timed", lambda s, data, times: (s, saved_times(s.time), 1.0)
    )
    with undrawn("training_curve", "over_training"):
        yield


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--network", "rnn", "--activation", "relu"], "recurrent, depth 3, relu, widths"),
        (["--network", "rnn", "--readout", "unscaled"],
         "recurrent, depth 3, tanh, readout without its factor 1/√m, widths"),
        (["--network", "cnn", "--norm", "position"],
         "convolutional, depth 3, tanh, batch norm per position, widths"),
        (["--network", "cnn", "--norm", "channel", "--activation", "relu"],
         "convolutional, depth 3, relu, batch norm per channel, widths"),
    ],
    ids=lambda given: " ".join(given[2:]) if isinstance(given, list) else None,
)  # fmt: skip
def test_what_is_outside_the_assumptions_is_said_to_be(flags, words, tmp_path, capsys):
    assert main([*SMALL, *flags, "--out", str(tmp_path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "outside its assumptions" in out
    report = json.loads((tmp_path / "report.json").read_text())
    assert not any(finding["assumptions_met"] for finding in report["claims"])
    count = len(report["claims"])
    assert f"; {count} outside the paper's assumptions" in out
    for name in ("report.md", "report.html"):
        text = (tmp_path / name).read_text()
        assert words in text
        assert "outside its assumptions" in text


@pytest.mark.usefixtures("untrained")
def test_depth_multipliers_and_channels_of_images_are_named(tmp_path, capsys):
    flags = ["--network", "cnn", "--depth", "4", "--multipliers", "2,1,1", "--data", "digits"]
    assert main([*SMALL, *flags, "--out", str(tmp_path)]) == 0
    assert "convolutional, depth 4, tanh, widths 4, 6, 8 × (2, 1, 1)" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert {c["layer"] for c in report["claims"]} == {1, 2, 3, None}
    assert "Data digits (4 points, images, 10 outputs)" in (tmp_path / "report.md").read_text()


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("network", NETWORKS)
def test_what_cannot_run_is_labelled_rows_and_status_3(network, tmp_path, capsys, monkeypatch):
    def fail_at_width_6(one, needs, **more):
        if one.cell.width == 6:
            raise MemoryError
        return made_up(one, needs)

    monkeypatch.setattr(suites, "measure_cell", fail_at_width_6)
    assert main([*SMALL, *NETWORKS[network], "--out", str(tmp_path)]) == 3
    assert re.search(r"main network, width 6, seed 0, rule normal: could not run: out of memory",
                     one_line(capsys))  # fmt: skip
    table = pd.read_csv(tmp_path / "measurements.csv")
    failed = table[table["status"] != "ok"]
    assert set(failed["width"]) == {6}
    assert failed["value"].isna().all()
    assert {*failed[failed["quantity"] == "score-permuted"]["layer"]} == {1, 2, 3}
    report = json.loads((tmp_path / "report.json").read_text())
    assert {c["verdict"] for c in report["claims"]} == {"undecided"}


def one_line(capsys):
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    return text


BAD = [
    (["--network", "lstm"], r"--network \(lstm\) must be one of mlp, rnn, cnn; got 'lstm'"),
    (["--network", "rn"], r"--network \(rn\) must be one of .* did you mean 'rnn'\?"),
    (["--network", ""], r"--network \(\) must be one of mlp, rnn, cnn"),
    (["--network", "cnn", "--steps", "3"],
     r"--steps \(3\) must be left out for this network; .* because only rnn has it"),
    (["--steps", "3"], r"--steps \(3\) must be left out for this network; got it for network mlp"),
    (["--network", "rnn", "--data", "digits"],
     r"--data \(digits\) must be one of add, sphere, FILE\.npz for the network rnn"),
    (["--network", "rnn", "--depth", "4"], r"--depth \(4\) must be 3 for network rnn; got 4"),
    (["--network", "cnn", "--data", "add"],
     r"--data \(add\) must be one of .* for the network cnn; .* its points are sequences"),
    (["--network", "cnn", "--depth", "4", "--strides", "2"],
     r"--strides \(2\) must be 3 numbers, one per convolution; got 1; because the depth is 4"),
    (["--network", "cnn", "--strides", "2,0"], r"--strides \(0\) must be at least 1"),
    (["--network", "cnn", "--strides", "2,x"], r"--strides \(x\) must be a whole number"),
    (["--network", "rnn", "--strides", "2,2"], r"--strides \(2,2\) must be left out .* only cnn"),
    (["--network", "rnn", "--norm", "position"], r"--norm \(position\) must be left out .* only c"),
    (["--network", "cnn", "--norm", "batch"], r"--norm \(batch\) must be one of none, position"),
    (["--network", "cnn", "--readout", "unscaled"],
     r"--readout \(unscaled\) must be left out .* only rnn has it"),
    (["--network", "rnn", "--readout", "none"], r"--readout \(none\) must be one of scaled, unsc"),
    (["--network", "rnn", "--multipliers", "1,1"],
     r"--multipliers \(1,1\) must be left out .* only mlp and cnn have it"),
    (["--network", "rnn", "--widths", "4,8"], r"--widths \(4,8\) must be at least 3 widths; got 2"),
    (["--network", "cnn", "--widths", "8"], r"--widths \(8\) must be at least 3 widths; got 1"),
    (["--network", "rnn", "--steps", "0"], r"--steps \(0\) must be at least 1; got 0"),
    (["--network", "rnn", "--steps", "-1"], r"--steps \(-1\) must be at least 1"),
    (["--network", "rnn", "--steps", "1e9"], r"--steps \(1e9\) must be a whole number; got '1e9'"),
    (["--network", "rnn", "--steps", "1000000000"], r"--steps \(1000000000\) must be at most 1000"),
    (["--network", "rnn", "--steps", "2"], r"--steps \(2\) must be at least 3; .* every answer is"),
    (["--network", "rnn", "--steps", "3", "--points", "9"],
     r"--points \(9\) must be at most 8; .* the Add task of 3 steps"),
    (["--network", "cnn", "--data", "sphere", "--inputs", "9"],
     r"--inputs \(9\) must be left out for these data; .* its images are 8 × 8"),
    (["--network", "rnn", "--inputs", "2"], r"--inputs \(2\) must be left out .* one coin a step"),
    (["--network", "rnn", "--data", "absent.npz"], r"--data \(absent\.npz\) .* got no such file"),
    (["--network", "rnn", "--claims", "cnn/weights"],
     r"--claims \(cnn/weights\) must speak of network rnn; got one about cnn"),
    (["--claims", "appendix-e/weights"],
     r"--claims \(appendix-e/weights\) must speak of network mlp; .* pass network rnn"),
    (["--network", "cnn", "--preset", "fast"], r"--preset \(fast\) must be one of quick"),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "message"), BAD, ids=[" ".join(flags) for flags, _ in BAD])
def test_bad_flags_give_one_line_and_status_2(tmp_path, capsys, flags, message):
    assert main(["verify", "--out", str(tmp_path / "out"), *flags]) == 2
    line = one_line(capsys)
    assert line.startswith("ntkalign verify: --")
    assert re.search(message, line)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("untrained")
def test_a_file_with_too_many_steps_is_refused_before_anything_is_trained(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("ntkalign.runs.settings.MOST_STEPS", 4)
    rng = np.random.default_rng(0)
    path, calls = tmp_path / "long.npz", []
    np.savez(path, x=rng.standard_normal((4, 5)), y=rng.standard_normal((4, 5)))
    monkeypatch.setattr(suites, "measure_cell", lambda *given: calls.append(given))
    flags = [*SMALL, "--network", "rnn", "--data", str(path), "--out", str(tmp_path / "out")]
    assert main(flags) == 2
    assert re.search(r"--steps \(5\) must be at most 4; got 5", one_line(capsys))
    assert not calls
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("network", NETWORKS)
def test_kernels_are_those_of_fully_connected_networks(network, tmp_path, capsys):
    assert main(["kernels", "--network", network, "--out", str(tmp_path / "out")]) == 2
    line = one_line(capsys)
    assert f"--network ({network}) must be mlp; got '{network}'" in line
    assert "pass it to ntkalign verify" in line
    assert not (tmp_path / "out").exists()


# --- what is outside of the theory runs, too ------------------------------------------------


def specified(**changes):
    """One network of a small sweep, and its data."""
    settings = Settings(points=3, widths=(2, 3, 4), time=0.5, tolerance=1e-4, **changes)
    data = load(settings.data, points=3, network=settings.network, steps=settings.steps)
    return specify(settings, "theory", data, Cell(MAIN, 4, 0), (0.25, 0.5))


@needs_dense
@pytest.mark.parametrize(
    ("changes", "engine"),
    [
        ({"network": "cnn", "data": "sphere", "norm": "position", "depth": 2}, "dense"),
        ({"network": "rnn", "steps": 3, "readout": "unscaled"}, "spectral"),
    ],
    ids=["batch norm", "readout as printed"],
)
def test_what_is_outside_of_the_theory_is_trained(changes, engine):
    """A batch norm, which couples points, by the dense engine."""
    fine, coarse = Trial.of(specified(**changes)).pair(NORMAL)
    assert {flow.outcome for flow in (fine, coarse)} == {Outcome.REACHED}
    assert fine.effort.engine == coarse.effort.engine == engine
    apart = np.abs(np.asarray(fine.output) - np.asarray(coarse.output)).max()
    assert apart < 0.05 * np.abs(np.asarray(fine.output) - fine.initial.output).max()
