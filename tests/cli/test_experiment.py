"""``ntkalign experiment`` as a user types it: plan, refusals, files, going on."""

from __future__ import annotations

import csv
import json
import re
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ntkalign.cli import experiment as command
from ntkalign.cli.flags import AskedOptions, ExperimentFlags, parse
from ntkalign.cli.main import main
from ntkalign.experiments.catalogue import EXPERIMENTS, FIGURE8
from ntkalign.experiments.options import Options
from ntkalign.runs.hold import Hold
from tests.data import made

ADD = ["table8", "--widths", "2", "--rules", "normal", "--epochs", "2"]
KEYS = ["experiment", "network", "width", "rule", "rate", "seed"]


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """The speed of a product takes a moment to measure, and plots take seconds."""
    monkeypatch.setattr(command, "product_speed", lambda precision: 1e9)
    monkeypatch.setattr(command, "accuracy_curves", lambda results, folder: None)


@pytest.fixture
def images(tmp_path):
    """A folder of sets, with twenty images of KMNIST."""
    folder = tmp_path / "data" / "kmnist"
    folder.mkdir(parents=True)
    made.kmnist(folder)
    return folder.parent


def experiment(*words):
    return main(["experiment", *map(str, words)])


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def untrained(monkeypatch):
    """Nothing may be trained."""

    def run(self, plan):
        raise AssertionError("something was trained")

    monkeypatch.setattr(command.Executor, "run", run)


# --- before anything is trained -------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["list"]])
def test_experiments_are_listed_with_what_they_cost(capsys, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "200")
    assert experiment(*words) == 0
    out, err = capsys.readouterr()
    assert not err
    *lines, last = out.splitlines()
    assert [line.split()[0] for line in lines] == ["name", *EXPERIMENTS]
    (row,) = (line for line in lines if line.startswith("table7 "))
    # 6 rules, 7 widths, 3 rates; a product's speed is 1e9 here
    assert re.search(r"KMNIST.* kmnist +126 +100 +\d+ d +\d+ min$", row.rstrip())
    assert last == "times are guesses for this machine, within a factor of three"


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tabel8"], r"NAME \(tabel8\) must be one of table1, .* did you mean 'table8'\?"),
        (["table8", "table99"], r"NAME \(table99\) must be one of"),
        (["table8", "--rules", "nromal"], r"--rules \(nromal\) .* did you mean 'normal'\?"),
        (["table7"], r"--data-dir \(None\) must be the folder of the kmnist files"),
        (["table7", "--data-dir", "absent"], r"--data-dir \(absent\) must be the folder of the"),
        (["table8", "--train", "301"], r"--train \(301\) must be at most 300; got 301"),
        (["table8", "--test", "101"], r"--test \(101\) must be at most 100"),
        (["table8", "--batch", "101"], r"--batch \(101\) must be at most 100; .* 100 test points"),
        ([*ADD, "--fresh", "--resume"], r"--fresh \(True\) must not be given with --resume"),
        (["table8", "--rates", "nan"], r"--rates \(nan\) must be positive and finite"),
        (["table8", "--rates", "1,0"], r"--rates \(0\.0\) must be positive and finite"),
        (["table8", "--rates", "fast"], r"--rates \(fast\) must be a number; got 'fast'"),
        (["table8", "--widths", "0"], r"--widths \(0\) must be at least 1"),
        (["table8", "--widths", ""], r"--widths \(\) must not be empty; got nothing"),
        (["table8", "--widths", "8,x"], r"--widths \(x\) must be a whole number; got 'x'"),
        (["table8", "--scale", "papre"], r"--scale \(papre\) .* did you mean 'paper'\?"),
        (["table8", "--variant", "both"], r"--variant \(both\) must be one of published, written"),
        (["table8", "--precision", "float16"], r"--precision \(float16\) must be one of float32"),
        (["table8", "--epochs", "0"], r"--epochs \(0\) must be at least 1"),
        (["table8", "--log-steps", "-1"], r"--log-steps \(-1\) must be at least 0"),
        (["table8", "--seed", "99.5"], r"--seed \(99\.5\) must be a whole number"),
        (["table8", "--device", "tpu"], r"--device \(tpu\) must be one of auto, cpu, gpu"),
        (["table8", "--witdhs", "8"], r"FLAGS .*--witdhs.* see ntkalign experiment --help"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_status_2(capsys, tmp_path, words, message):
    assert experiment(*words, "--out", tmp_path / "out") == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    assert err.startswith("ntkalign experiment: ")
    assert re.search(message, err)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--train", "13"], r"--train \(13\) must be at most 12; .* kmnist has 20 images"),
        (["--test", "20"], r"--test \(20\) must be less than 20"),
        (["--batch", "9"], r"--batch \(9\) must be at most 8; .* 8 test points"),
        (["--batch", "4", "--train", "3"], r"--batch \(4\) must be at most 3; .* 3 train points"),
    ],
)
def test_more_images_than_there_are_are_refused(capsys, tmp_path, images, flags, message):
    words = ["table7", "--data-dir", images, "--test", "8", "--batch", "4", *flags]
    assert experiment(*words, "--out", tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(message, err)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("untrained")
def test_a_folder_that_cannot_be_written_is_refused(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert experiment(*ADD, "--out", tmp_path / "file") == 2
    assert re.search(r"--out .* must be a folder that can be written", capsys.readouterr().err)


@pytest.mark.usefixtures("untrained")
def test_a_dry_run_prints_the_plan_and_writes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    words = ["table8", "--widths", "8,64", "--epochs", "10", "--seed", "5", "--dry-run"]
    assert experiment(*words, "--out", tmp_path / "out") == 0
    out, err = capsys.readouterr()
    assert not err
    text = " ".join(out.split())
    assert "8 runs: 2 widths × 4 rules × 1 rates, 10 epochs of 6 steps, batches of 50" in text
    assert "300 training and 100 test points; rules as published, seed 5, float32" in text
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert [rows[name][1] for name in ("×8", "×64", "all")] == ["4", "4", "8"]
    costs = [float(rows[name][2]) for name in ("×8", "×64", "all")]
    assert costs[0] < costs[1]
    assert costs[0] + costs[1] == pytest.approx(costs[2], rel=0.05)
    assert "The paper states 200 epochs; its numbers are the minima over 500" in text
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(("name", "train"), [("table6", 1000), ("table7", 2000)])
def test_real_images_are_planned(capsys, image_files, name, train):
    assert experiment(name, "--scale", "small", "--data-dir", image_files, "--dry-run") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "12 runs: 2 widths × 6 rules × 1 rates, 4 epochs" in text
    assert f"{train // 100} steps, batches of 100; {train} training and 500 test points" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "1 s"), (119.0, "119 s"), (120.0, "2 min"), (7199.0, "120 min"), (7200.0, "2 h"),
     (3 * 86400.0, "3 d")],
)  # fmt: skip
def test_a_guess_of_time_has_one_unit(seconds, text):
    assert command.duration(seconds) == text


def test_flags_are_the_options_with_their_defaults():
    assert parse(ExperimentFlags, [], "trial").options() == Options()
    argv = [
        "table7", "--data-dir", "here", "--widths", "8,16", "--rules", "normal,fa", "--rates",
        "1,0.5", "--epochs", "3", "--train", "9", "--test", "8", "--batch", "7", "--seed", "6",
        "--scale", "small", "--variant", "written", "--log-steps", "5", "--precision", "float64",
    ]  # fmt: skip
    flags = parse(ExperimentFlags, argv, "trial")
    assert flags.names == ("table7",)
    assert flags.options() == Options(
        data_dir="here", widths=(8, 16), rules=("normal", "fa"), rates=(1, 0.5), epochs=3, train=9,
        test=8, batch=7, seed=(6,), scale="small", variant="written", log_steps=5,
        precision="float64",
    )  # fmt: skip
    assert parse(ExperimentFlags, ["--train", "none"], "trial").options() == Options()
    assert flags.run == AskedOptions(given=flags.run.given)


# --- training -------------------------------------------------------------------------------


def test_the_add_task_leaves_its_files_with_fixed_columns(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    words = ["table8", "--widths", "2", "--epochs", "2", "--log-steps", "3", "--out", tmp_path]
    assert experiment(*words) == 0
    out, err = capsys.readouterr()
    assert not err
    assert {p.name for p in tmp_path.iterdir()} == {
        "history.csv", "runs", "runs.csv", "steps.csv", "train_after.csv", "updates.csv",
        "report.html", "report.json", "report.md", "plots",
    }  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["schema"] == 1
    assert (report["config"]["widths"], report["config"]["log_steps"]) == ([2], 3)
    assert {(c["rule"], c["width"], c["paper"]) for c in report["cells"]} == {
        (rule, 2, None) for rule in ("align-ada", "align-zero", "last-layer", "normal")
    }
    tables = {path.name: table(path) for path in tmp_path.glob("*.csv")}
    assert {name: list(rows[0]) for name, rows in tables.items()} == {
        "history.csv": [*KEYS, "epoch", "train_loss", "test_loss", "test_accuracy", "seconds"],
        "steps.csv": [*KEYS, "step", "train_loss"],
        "updates.csv": [*KEYS, "step", "layer", "update_norm"],
        "runs.csv": [*KEYS, "status", "epochs", "lowest_train_loss", "lowest_test_loss",
                     "best_test_accuracy", "best_epoch", "seconds", "epochs_asked", "batch",
                     "train_points", "test_points", "split", "variant", "precision", "scale"],
        "train_after.csv": [*KEYS, "epoch", "train_loss_after"],
    }  # fmt: skip
    rules = ["align-ada", "align-zero", "last-layer", "normal"]
    history = tables["history.csv"]
    assert [(row["rule"], row["epoch"]) for row in history] == [
        (rule, epoch) for rule in rules for epoch in "12"
    ]
    assert {row["test_accuracy"] for row in history} == {""}
    assert all(0 < float(row["test_loss"]) < 1e4 for row in history)
    assert [row["step"] for row in tables["steps.csv"]] == ["0", "1", "2"] * 4
    assert len({row["train_loss"] for row in tables["steps.csv"] if row["step"] == "0"}) == 1
    layers = [(row["step"], row["layer"]) for row in tables["updates.csv"]]
    assert layers == [(s, k) for s in "012" for k in "123"] * 4
    frozen = [float(r["update_norm"]) for r in tables["updates.csv"] if r["rule"] == "last-layer"]
    assert [bool(norm) for norm in frozen] == [False, False, True] * 3
    assert [row["status"] for row in tables["runs.csv"]] == ["trained"] * 4
    assert "table8: lowest test loss\n" in out
    assert "this run: epochs 2; the paper: 200.\n" in out
    assert f"report: {tmp_path / 'report.html'}\n" in out
    before = (tmp_path / "history.csv").read_bytes()
    assert experiment(*words) == 0
    assert "(4 runs reused; --fresh trains them again)" in capsys.readouterr().out
    assert (tmp_path / "history.csv").read_bytes() == before


def test_images_are_trained_on(capsys, tmp_path, images, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    words = [
        "table7", "--data-dir", images, "--test", "8", "--batch", "4", "--widths", "2", "--epochs",
        "2", "--rates", "1,1e30", "--rules", "normal", "--log-steps", "2",
        "--out", tmp_path / "out",
    ]  # fmt: skip
    assert experiment(*words) == 0
    out = capsys.readouterr().out
    rows = table(tmp_path / "out" / "history.csv")
    assert [(r["rate"], r["epoch"]) for r in rows] == [("1.0", "1"), ("1.0", "2"), ("1e+30", "1")]
    assert {r["network"] for r in rows} == {"cnn"}
    assert all(float(row["test_accuracy"]) * 8 in range(9) for row in rows[:2])
    assert (rows[2]["test_loss"], rows[2]["test_accuracy"]) == ("nan", "")
    updates = table(tmp_path / "out" / "updates.csv")
    assert [r["layer"] for r in updates if r["rate"] == "1.0"] == ["1", "2", "3", "4"] * 2
    runs = table(tmp_path / "out" / "runs.csv")
    assert runs[0]["status"] == "trained"
    assert re.fullmatch(r"diverged in epoch 1, step [12]", runs[1]["status"])
    assert f"table7 ×2 normal η=1e+30 seed 99: {runs[1]['status']}\n" in out
    best = 100 * float(runs[0]["best_test_accuracy"])
    assert re.search(rf"Normal\W+{best:.1f}\W", out)
    assert not (tmp_path / "out" / "train_after.csv").exists()


def test_two_experiments_in_one_command(capsys, tmp_path, images):
    """One that is named twice is trained once."""
    words = [
        "table8", "table7", "table8", "--data-dir", images, "--test", "8", "--batch", "4",
        "--widths", "2", "--epochs", "1", "--rates", "0.001", "--rules", "last-layer", "--train",
        "8", "--out", tmp_path / "out",
    ]  # fmt: skip
    assert experiment(*words) == 0
    rows = table(tmp_path / "out" / "history.csv")
    assert [row["experiment"] for row in rows] == ["table8", "table7"]
    out = capsys.readouterr().out
    assert "table7: best test accuracy" in out
    assert "table8: lowest training loss" in out
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 2


def test_a_figure_and_a_table_share_their_runs(capsys, tmp_path, images, monkeypatch):
    """Scores after each epoch are those of Table 4 after the last one."""
    kmnist = replace(FIGURE8, series=FIGURE8.series[1:])  # the other one takes longer
    monkeypatch.setitem(EXPERIMENTS._things, "figure8", kmnist)
    words = [
        "figure8", "table4", "--data-dir", images, "--test", "4", "--batch", "4", "--train", "8",
        "--widths", "2", "--epochs", "2", "--out", tmp_path / "out",
    ]  # fmt: skip
    assert experiment(*words) == 0
    out = capsys.readouterr().out
    assert "together: 2 runs, 1 of them different" in out
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 1
    by_run = {}
    for row in table(tmp_path / "out" / "alignment.csv"):
        by_run.setdefault((row["experiment"], row["epoch"]), []).append(row["score"])
    assert {key: len(scores) for key, scores in by_run.items()} == {
        (name, epoch): 4 for name in ("figure8/KMNIST", "table4") for epoch in "12"
    }
    assert by_run["table4", "2"] == by_run["figure8/KMNIST", "2"]
    assert "table4: alignment score\n" in out
    assert "scores of shuffled weights are low" in out


def test_imagenet_is_trained_on_from_its_folder(capsys, tmp_path):
    """224 × 224 pixels, decoded while they are trained on."""
    made.image_folder(tmp_path / "imagenet")
    words = [
        "figure5", "--data-dir", tmp_path, "--batch", "4", "--widths", "2", "--epochs", "1",
        "--rules", "normal,dfa-shared", "--rates", "0.01", "--out", tmp_path / "out",
    ]  # fmt: skip
    assert experiment(*words) == 0
    out = capsys.readouterr().out
    assert "12 training and 6 test points" in out
    rows = table(tmp_path / "out" / "curve.csv")
    assert [(r["rule"], r["step"]) for r in rows] == [
        (rule, step) for rule in ("normal", "dfa-shared") for step in "123"
    ]
    assert "figure5: loss of minibatches\n" in out
    assert "DFA, shared" in out
    assert re.search(r"too few runs to say: Align-ada comes closer to Normal than FA", out)


@pytest.mark.usefixtures("untrained")
def test_a_width_that_cannot_fit_is_refused_and_a_dry_run_says_what_it_would_take(capsys, tmp_path):
    words = ["table8", "--widths", "8,1000000", "--out", tmp_path / "out"]
    assert experiment(*words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    assert re.search(
        r"--widths \(8,1000000\) must be at most 8; got 1000000; because training ×1000000 by "
        r".* needs about [\d,]+ GiB and there are [\d.]+; do: pass smaller widths",
        err,
    )
    assert experiment(*words, "--dry-run") == 0
    assert re.search(r"×1000000 .* \d+\.\d GiB", capsys.readouterr().out)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_command_goes_on(capsys, tmp_path, monkeypatch):
    assert experiment(*ADD, "--out", tmp_path / "whole") == 0

    @contextmanager
    def interrupted(runs):
        def tell(item, moment):
            if (moment.epoch, moment.step) == (1, moment.steps):
                raise KeyboardInterrupt

        yield SimpleNamespace(tell=tell, ended=lambda item: None)

    with monkeypatch.context() as patch:
        patch.setattr(command, "progress", interrupted)
        assert experiment(*ADD, "--out", tmp_path / "cut") == 130
    err = capsys.readouterr().err
    assert err == (
        "ntkalign experiment: interrupted; 0 of 1 runs are finished and kept, with a partial "
        f"report, in {tmp_path / 'cut'}; run again to go on\n"
    )
    assert not (tmp_path / "cut" / "history.csv").exists()
    assert experiment(*ADD, "--out", tmp_path / "cut") == 0
    assert "reused" not in capsys.readouterr().out
    whole, cut = (table(tmp_path / name / "history.csv") for name in ("whole", "cut"))
    assert [{**row, "seconds": ""} for row in cut] == [{**row, "seconds": ""} for row in whole]


def test_one_command_at_a_time_holds_the_folder(capsys, tmp_path):
    with Hold(tmp_path / "out"):
        assert experiment(*ADD, "--out", tmp_path / "out") == 2
    assert re.search(
        r"--out \(.*\) must be written by one run at a time; got one that process \d+, since",
        capsys.readouterr().err,
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "0"], r"--workers \(0\) must be at least 1"),
        (["--workers", "two"], r"--workers \(two\) must be a whole number"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"],
         r"--workers \(2\) must not be given with the address of a scheduler"),
    ],
)  # fmt: skip
def test_workers_that_there_cannot_be_are_refused(capsys, tmp_path, words, message):
    assert experiment(*ADD, *words, "--out", tmp_path / "out") == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_fresh_trains_again_and_more_epochs_go_on(capsys, tmp_path):
    words = [*ADD, "--out", tmp_path]
    assert experiment(*words) == 0
    short = table(tmp_path / "history.csv")
    assert experiment(*words, "--fresh") == 0
    assert experiment(*words, "--epochs", "3", "--resume") == 0
    assert "reused" not in capsys.readouterr().out
    rows = table(tmp_path / "history.csv")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    names = ("train_loss", "test_loss")
    assert [[r[n] for n in names] for r in rows[:2]] == [[r[n] for n in names] for r in short]
    assert experiment(*words, "--epochs", "1") == 0
    assert "1 runs reused" in capsys.readouterr().out
    assert len(table(tmp_path / "history.csv")) == 1


def test_other_seeds_variants_and_precisions_are_other_runs(capsys, tmp_path):
    words = ["table8", "--widths", "2", "--rules", "align-ada", "--epochs", "1", "--out", tmp_path]
    losses = []
    for flags in ([], ["--seed", "1"], ["--variant", "written"], ["--precision", "float64"]):
        assert experiment(*words, *flags) == 0
        losses.append(float(table(tmp_path / "history.csv")[0]["train_loss"]))
    assert "reused" not in capsys.readouterr().out
    assert len(set(losses)) == 4
    assert len(list((tmp_path / "runs").iterdir())) == 4
    of_seed, of_variant, of_precision = (abs(loss - losses[0]) for loss in losses[1:])
    assert of_precision < 1e-3 < min(of_seed, of_variant)


def test_plots_are_drawn(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(command, "product_speed", lambda precision: 1e9)
    assert experiment(*ADD, "--out", tmp_path) == 0
    assert {p.name for p in (tmp_path / "plots").iterdir()} == {
        "table8.png",
        "table8.svg",
        "table8-paper.png",
        "table8-paper.svg",
    }
