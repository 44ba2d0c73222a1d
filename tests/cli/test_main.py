"""The commands as a user runs them: exit status, messages, files, resuming."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from functools import partial
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from ntkalign import InputError, Settings, verify
from ntkalign.claims.claim import BOTTLENECK, MAIN
from ntkalign.cli.flags import Asked, VerifyFlags, parse
from ntkalign.cli.main import main
from ntkalign.data.catalogue import NETWORKS
from ntkalign.rules import ALIGN_ADA, FEEDBACK_ALIGNMENT, NORMAL
from ntkalign.runs import suite as suites
from ntkalign.runs import sweep as sweep_module
from ntkalign.runs.database import FILE, Database
from ntkalign.runs.settings import preset

SMALL = [
    "verify", "--points", "4", "--outputs", "2", "--depth", "2", "--widths", "8,16,32",
    "--seeds", "2", "--time", "1", "--rules", "align-zero,align-ada", "--tolerance", "1e-5",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run end to end, with its folder and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("rich.console.Console.print", lambda self, *a, **k: printed.append(a))
        assert main([*SMALL, "--out", str(folder)]) == 0
    return folder, printed


@pytest.fixture
def undrawn(monkeypatch):
    """Plots take seconds, and only some tests look at them."""
    monkeypatch.setattr("ntkalign.report.files.scaling_plots", lambda findings, folder: {})
    for name in ("training_curve", "over_training"):
        monkeypatch.setattr(f"ntkalign.report.files.{name}", lambda result, folder: None)


def stored_networks(folder):
    """What a run has stored."""
    with contextlib.closing(Database(folder / FILE)) as database:
        return list(database.networks())


def test_a_run_leaves_its_files(run):
    folder, _ = run
    assert {p.name for p in folder.iterdir()} == {
        "measurements.csv", "plots", "report.html", "report.json", "report.md", "store.sqlite",
    }  # fmt: skip


def test_the_json_keeps_its_schema(run):
    report = json.loads((run[0] / "report.json").read_text())
    assert report["schema"] == 1
    assert set(report) == {
        "schema", "config", "environment", "regime", "infinite_width_loss", "claims", "controls",
        "proof", "table",
    }  # fmt: skip
    assert report["regime"]["widths"] == [8, 16, 32]
    assert set(report["regime"]["inside"]) <= {8, 16, 32}
    assert report["config"]["widths"] == [8, 16, 32]
    assert report["config"]["preset"] == "standard"
    assert {"versions", "device", "precision", "git_revision", "seconds"} <= set(
        report["environment"]
    )
    assert report["environment"]["precision"] == "float64"
    for claim in report["claims"] + report["controls"]:
        assert {
            "id", "layer", "rule", "equation", "statement", "assumptions_met", "stated_exponent",
            "exponent", "interval", "verdict", "tightness", "reason", "error_share", "widths",
            "values",
        } <= set(claim)  # fmt: skip
        assert claim["verdict"] in ("holds", "refuted", "undecided")
        assert claim["tightness"] in ("sharp", "loose", None)
        assert np.shape(claim["values"]) == (3, 2)
        assert claim["reason"]
    ids = {claim["id"] for claim in report["claims"]}
    assert len(ids) == 11
    assert {c["rule"] for c in report["controls"]} >= {"fa", "dfa", "last-layer"}


def test_the_table_is_tidy(run):
    table = pd.read_csv(run[0] / "measurements.csv")
    key = ["family", "width", "seed", "rule", "layer", "quantity", "time"]
    assert not table.duplicated(key).any()
    assert set(table["status"]) == {"ok"}
    assert table["error"].ge(0).all()
    drift = table[table["quantity"] == "weight-drift"]
    assert set(drift["layer"]) == {1, 2}


def test_every_claim_has_a_plot_in_two_formats(run):
    folder, _ = run
    plots = {p.stem for p in (folder / "plots").iterdir()}
    assert len(plots) == 12 + 2  # and the training curve, and what goes on over training
    assert {"training-curve", "over-training"} <= plots
    for name in plots:
        ElementTree.parse(folder / "plots" / f"{name}.svg")
        pixels = matplotlib.image.imread(folder / "plots" / f"{name}.png")
        assert min(pixels.shape[:2]) > 300
        assert pixels[..., :3].std() > 0.05  # something is drawn


def test_the_page_is_self_contained_and_shows_every_claim(run):
    page = (run[0] / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert page.count('src="data:image/svg+xml;base64,') == 12 + 2  # and curves over training
    markdown = (run[0] / "report.md").read_text()
    for text in (page, markdown):
        for name in ("lemma-1/weights", "proposition-1", "proposition-2", "appendix-d"):
            assert name in text
        assert "controls, which must not hold" in text
        assert text.index("Regime: training moves activities by ") < text.index(
            "Claims, one by one"
        )


def test_the_terminal_shows_verdicts_and_the_reports_path(run):
    folder, printed = run
    words = " ".join(str(part) for args in printed for part in args)
    assert "statements (one per rule and layer)" in words
    assert "Regime: training moves activities by " in words
    assert f"report: {folder / 'report.html'}" in words


@pytest.mark.usefixtures("undrawn")
def test_a_second_run_reuses_every_network_and_a_fresh_one_none(run, capsys, monkeypatch):
    folder, _ = run
    before = (folder / "measurements.csv").read_bytes()
    measured = []
    original = suites.measure_cell
    monkeypatch.setattr(
        suites, "measure_cell", lambda one, needs: measured.append(one.cell) or original(one, needs)
    )
    assert main([*SMALL, "--out", str(folder)]) == 0
    assert not measured
    assert (folder / "measurements.csv").read_bytes() == before
    assert "12 networks reused" in capsys.readouterr().out
    assert main([*SMALL, "--out", str(folder), "--seeds", "6"]) == 0
    assert {(c.family, c.seed) for c in measured} == {
        ("main", 2), ("main", 3), ("main", 4), ("main", 5), ("bottleneck", 2),
    }  # fmt: skip
    assert main([*SMALL, "--out", str(folder), "--fresh"]) == 0
    assert len(measured) == 12 + 3 + 12
    assert (folder / "measurements.csv").read_bytes() == before


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_stored_network_is_measured_again(run, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run[0], folder)
    (folder / FILE).write_text("no database")
    before = (folder / "measurements.csv").read_bytes()
    assert main([*SMALL, "--out", str(folder)]) == 0
    assert (folder / "store.damaged-1.sqlite").read_text() == "no database"
    assert len(stored_networks(folder)) == 12
    assert (folder / "measurements.csv").read_bytes() == before


def test_a_report_is_rebuilt_from_stored_results(run, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(run[0], folder)
    before = json.loads((folder / "report.json").read_text())
    (folder / "report.html").unlink()
    shutil.rmtree(folder / "plots")
    assert main(["report", str(folder)]) == 0
    assert (folder / "report.html").is_file()
    assert json.loads((folder / "report.json").read_text()) == before


@pytest.mark.usefixtures("undrawn")
def test_strict_turns_an_undecided_claim_into_status_1(run):
    assert main([*SMALL, "--out", str(run[0]), "--strict"]) == 1


def stderr_line(capsys):
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    return text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--widths", "64,x"], r"--widths \(x\) must be a whole number; got 'x'"),
        (["--widths", ""], r"--widths \(\) must be at least 3 widths; got 0"),
        (["--points", "1.5"], r"--points \(1\.5\) must be a whole number; got '1\.5'; because"),
        (["--seeds", ""], r"--seeds \(\) must be a whole number; got ''; because intervals come"),
        (["--tolerance", "tight"], r"--tolerance \(tight\) must be a number; got 'tight'"),
        (["--time", "nan"], r"--time \(nan\) must be positive and finite"),
        (["--budget", "long", "--until-decided"], r"--budget \(long\) must be a number"),
        (["--budget", "5"], r"--budget \(5\.0\) must be given with until_decided"),
        (["--claims", "proposition-3"], r"--claims \(proposition-3\) .* mean 'proposition-2'\?"),
        (["--widths", "64,32,16"], r"--widths \(64,32,16\) must increase"),
        (["--seeds", "1"], r"--seeds \(1\) must be at least 2"),
        (["--depth", "1"], r"--depth \(1\) must be at least 2"),
        (["--depth", "deep"], r"--depth \(deep\) must be a whole number; got 'deep'; because"),
        (["--dept", "3"], r"FLAGS .* got .*--dept.* see ntkalign verify --help"),
        (["--time", "-1"], r"--time \(-1\.0\) must be positive"),
        (["--bias-std", "-1"], r"--bias-std \(-1\.0\) must be at least 0"),
        (["--activation", "thanh"], r"--activation \(thanh\) .* did you mean 'tanh'\?"),
        (["--rules", "align"], r"--rules \(align\) must be one of"),
        (["--data", "digit"], r"--data \(digit\) .* did you mean 'digits'\?"),
        (["--data", "absent.npz"], r"--data \(absent\.npz\) .* got no such file"),
        (["--data", "kmnist"], r"--data-dir \(None\) must be the folder of the kmnist files"),
        (["--preset", "fast"], r"--preset \(fast\) must be one of quick, standard, deep"),
        (["--resume", "--fresh"], r"--fresh \(True\) must not be given with --resume"),
        (["--multipliers", "1,2,3"], r"--multipliers \(1,2,3\) must be 2 numbers"),
    ],
)
def test_bad_flags_give_one_line_and_status_2(tmp_path, capsys, flags, message):
    assert main(["verify", "--out", str(tmp_path / "out"), *flags]) == 2
    line = stderr_line(capsys)
    assert re.search(message, line)
    assert line.startswith("ntkalign verify: ")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_computed(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([*SMALL, "--out", str(tmp_path / "file")]) == 2
    assert re.search(r"--out .* must be a folder that can be written", stderr_line(capsys))


def test_an_unknown_command_is_refused(capsys):
    assert main(["verfy"]) == 2
    said = stderr_line(capsys)
    assert "COMMAND (verfy) must be one of verify, kernels, proof, claims, report" in said


@pytest.mark.parametrize("content", [None, "{", '{"schema": 2}', '{"schema": 1}'])
def test_a_folder_without_a_whole_report_is_refused(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "report.json").write_text(content)
        (tmp_path / "measurements.csv").write_text("a,layer\n1,2\n")
    assert main(["report", str(tmp_path)]) == 2
    assert "must hold report.json and measurements.csv of schema 1" in stderr_line(capsys)


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"ntkalign \d+\.\d+\.\d+\n", capsys.readouterr().out)
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 0
    assert "verify" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["verify", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for flag in ("--widths", "--tolerance", "--strict", "--fresh", "--bias-std", "--first-seed",
                 "--network", "--steps", "--strides", "--norm", "--readout"):  # fmt: skip
        assert flag in text


def test_flags_are_the_settings_with_their_defaults_and_a_preset_yields_to_flags():
    plain = parse(VerifyFlags, [], "trial")
    assert plain.settings() == Settings()
    deep = parse(VerifyFlags, ["--preset", "deep", "--seeds", "3", "--time", "None"], "trial")
    assert deep.settings() == Settings(**preset("deep", "mlp") | {"seeds": 3})
    for network in NETWORKS:
        own = parse(VerifyFlags, ["--network", network, "--preset", "quick"], "trial")
        assert own.settings() == Settings(network=network, **preset("quick", network))
        own = parse(VerifyFlags, ["--network", network, "--widths", "4,6,8"], "trial")
        assert own.settings() == Settings(network=network, widths=(4, 6, 8))
    every = {
        "data": "sphere", "data_dir": Path("here"), "points": 5, "inputs": 3, "outputs": 2,
        "depth": 3, "activation": "erf", "widths": (4, 8, 16), "multipliers": (1, 2), "seeds": 3,
        "first_seed": 7, "time": 2.5, "rules": ("align-ada", "w-star"), "bias_std": 0.25,
        "initial_outputs": "zero", "engine": "dense", "tolerance": 1e-4, "confidence": 0.9,
    }  # fmt: skip
    sequences = {"network": "rnn", "steps": 5, "readout": "unscaled"}
    images = {"network": "cnn", "strides": (1, 3), "norm": "channel"}
    off = {f.name for f in dataclasses.fields(Settings)} - set(every | sequences | images)
    assert off == {"output_exponent", "bottleneck"}
    for asked in (every, sequences, images):
        argv = []
        for name, value in asked.items():
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            argv += [f"--{name.replace('_', '-')}", text]
        assert parse(VerifyFlags, argv, "trial").settings() == Settings(**asked)
    base = VerifyFlags(run=Asked(base={"rules": ("align-ada",)}), out=Path("there"))
    changed = parse(VerifyFlags, ["--points", "5"], "trial", default=base)
    assert changed.settings() == Settings(rules=("align-ada",), points=5)
    assert changed.out == Path("there")


def test_kernels_has_no_flag_that_would_change_nothing(capsys):
    assert main(["kernels", "--rules", "align-ada"]) == 2
    assert re.search(r"Unrecognized .*--rules", stderr_line(capsys))


@pytest.mark.usefixtures("undrawn")
def test_claims_can_be_chosen(tmp_path):
    flags = [*SMALL, "--claims", "lemma-1/weights, proposition-2", "--out", str(tmp_path)]
    assert main(flags) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert {c["id"] for c in report["claims"]} == {"lemma-1/weights", "proposition-2"}


@pytest.mark.usefixtures("undrawn")
def test_an_interrupt_keeps_what_is_finished(tmp_path, capsys, monkeypatch):
    original, calls = suites.measure_cell, []

    def interrupt_the_third(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(suites, "measure_cell", interrupt_the_third)
    flags = [*SMALL, "--out", str(tmp_path)]
    assert main(flags) == 130
    assert "of 12 networks are finished and kept, with a partial report" in stderr_line(capsys)
    kept = len(stored_networks(tmp_path))
    assert 1 <= kept <= 4
    monkeypatch.setattr(suites, "measure_cell", original)
    assert main(flags) == 0
    assert f"{kept} networks reused" in capsys.readouterr().out


def ascending(now, start, fixed, e):
    return tuple(-50.0 * s for s in ALIGN_ADA.feedback(now, start, fixed, e))


@pytest.mark.usefixtures("undrawn")
def test_a_flow_that_diverges_ends_as_labelled_rows_and_status_3(tmp_path, capsys, monkeypatch):
    bad = ALIGN_ADA.__class__("align-ada", ascending, ALIGN_ADA.activity)
    monkeypatch.setattr("ntkalign.rules.lookup", lambda name: bad)
    flags = [*SMALL, "--out", str(tmp_path), "--rules", "align-ada", "--activation", "linear",
             "--time", "20", "--engine", "dense"]  # fmt: skip
    assert main(flags) == 3
    line = stderr_line(capsys)
    assert re.search(r"\d+ flows failed, first: .* rule align-ada: align-ada diverged: ", line)
    assert "what is done is kept in" in line
    table = pd.read_csv(tmp_path / "measurements.csv")
    failed = table[table["status"] != "ok"]
    assert set(failed["rule"]) == {"align-ada"}
    assert failed["value"].isna().all()
    report = json.loads((tmp_path / "report.json").read_text())
    verdicts = {c["rule"]: c for c in report["claims"] if c["id"] == "proposition-2"}
    assert verdicts["align-ada"]["verdict"] == "undecided"
    assert "flows failed" in verdicts["align-ada"]["reason"]


@pytest.mark.usefixtures("undrawn")
def test_a_cell_that_runs_out_of_memory_is_a_labelled_row(tmp_path, capsys, monkeypatch):
    original = suites.measure_cell

    def fail_at_width_16(one, needs):
        if one.cell.width == 16:
            raise MemoryError
        return original(one, needs)

    monkeypatch.setattr(suites, "measure_cell", fail_at_width_16)
    assert main([*SMALL, "--out", str(tmp_path)]) == 3
    assert "width 16, seed 0, rule normal: could not run: out of memory" in stderr_line(capsys)


def test_a_run_that_asks_about_nothing_is_refused():
    settings = Settings(points=4, time=1.0, rules=("align-ada",))
    with pytest.raises(InputError, match=r"rules .* must include one that is asked about"):
        verify(settings, claims=["appendix-d"])


def test_controls_are_left_out_of_the_largest_widths_if_there_are_enough():
    settings = Settings(widths=(64, 256, 1024, 4096))
    needs = {NORMAL: frozenset({"divergence"}), FEEDBACK_ALIGNMENT: frozenset({"divergence"})}
    at = partial(sweep_module.at_width, needs, settings=settings)
    assert at(MAIN, 1024) == at(BOTTLENECK, 1024) == needs
    assert at(MAIN, 4096) == {NORMAL: needs[NORMAL]}
    assert at(BOTTLENECK, 4096) == {}
    wide = Settings(widths=(2048, 4096, 8192))
    assert sweep_module.at_width(needs, BOTTLENECK, 8192, wide) == needs


def test_the_table_says_what_each_flow_took(run):
    table = pd.read_csv(run[0] / "measurements.csv")
    flows = table[(table["quantity"] == "spectral-steps") | (table["quantity"] == "dense-steps")]
    assert (flows["value"] >= 1).all()
    assert set(flows["rule"]) == set(table["rule"])
    stated = table[table["quantity"] == "estimated-error"]
    assert (stated["value"] < 1e-3).all()


def test_dead_layers_are_labelled():
    """One ReLU unit per hidden layer: some networks never pass a signal."""
    settings = Settings(
        points=4, outputs=2, depth=3, widths=(1, 2, 3), seeds=3, time=1.0, activation="relu",
        engine="dense", tolerance=1e-4,
    )  # fmt: skip
    result = verify(settings, claims=["alignment-score"])
    assert any("undefined: nothing moves there" in line for line in result.failures)
    assert not any(finding.assumptions_met for finding in result.findings)
    dead = result.table[result.table["status"] != "ok"]
    assert dead["value"].isna().all()
    assert {f.verdict for f in result.claims if f.question.layer == 1} == {"undecided"}
