"""Kinds of input from the field, each with what it must do; no file beside the repository."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ntkalign import Settings
from ntkalign.cells.cell import could_not_run
from ntkalign.cli.main import main
from ntkalign.cli.verify import terminal
from ntkalign.runs import suite as suites
from tests.fuzz import TINY, Accepted, no_training

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((6, 4)), RNG.standard_normal((6, 2))
FIELD = Path(__file__).parents[3] / "shared" / "cases" / "make.py"


def claim(rows):
    """A file that says it holds so many rows."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (rows, 4)}
    )
    return header.getvalue() + bytes(32)


def archive(path, x):
    stored = io.BytesIO()
    np.save(stored, Y)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("x.npy", x)
        packed.writestr("y.npy", stored.getvalue())


def flipped(path):
    np.savez_compressed(path, x=np.round(X, 1).repeat(40, 1), y=Y)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"x.npy") + 25
    raw[at : at + 6] = bytes(b ^ 255 for b in raw[at : at + 6])
    path.write_bytes(raw)


FILES = {
    **{f"inputs-{s:g}": (lambda path, s=s: np.savez(path, x=X * s, y=Y),
                         "entries of order one in x; got a largest entry of .*; do: divide x by")
       for s in (1e10, 1e155, 1e-300)},
    **{f"targets-{s:g}": (lambda path, s=s: np.savez(path, x=X, y=Y * s),
                          "entries of order one in y; got a largest entry of .*; do: divide y by")
       for s in (1e30, 1e155)},
    "flipped": (flipped, "got a damaged archive: "),
    "text": (lambda path: archive(path, b"hello"), "got an x that is no NumPy array"),
    "empty": (lambda path: archive(path, b""), "got an x that is no NumPy array"),
    "2^70 rows": (lambda path: archive(path, claim(2**70)), "a header that claims 118059162"),
    "10^9 rows": (lambda path: archive(path, claim(10**9)), "a header that claims 1000000000"),
    "sorted": (lambda path: np.savez(path, x=RNG.standard_normal((20, 4)),
                                     y=np.eye(2)[np.repeat([0, 1], 10)] - 0.5),
               "got the same y for the first 4 of 20 rows; .*shuffle the rows"),
    "labels": (lambda path: np.savez(path, x=X, y=np.array([0, 1, 2, 0, 1, 2])),
               r"got labels y .* y = \(y\[:, None\] == numpy.unique\(y\)\) - 1/3"),
    "objects": (lambda path: np.savez(path, x=X.astype(object), y=Y), "pickled objects, which are"),
}  # fmt: skip


def refused(capsys, words):
    """The line that these words end with; nothing may be left."""
    with no_training():
        assert main(words) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert len(line) <= 300 + len("\n")
    assert not Path("out").exists()
    return line


def words(*more):
    few = [word for word in TINY if word != "--outputs"]
    few.remove("2")
    return ["verify", *few, "--out", "out", *more]


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_lies_is_refused(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    make, message = FILES[kind]
    make(Path("mine.npz"))
    assert re.search(message, refused(capsys, words("--data", "mine.npz")))


def test_one_target_is_a_column_and_what_is_odd_is_remarked_upon(tmp_path, monkeypatch):
    from ntkalign.data.catalogue import load

    monkeypatch.chdir(tmp_path)
    np.savez("one.npz", x=X, y=Y[:, 0])
    assert load("one.npz", points=6).y.tolist() == Y[:, :1].tolist()
    assert load("one.npz", points=6).remarks == ()
    (said,) = load("one.npz", points=4).remarks
    assert said == "only the first 4 of the 6 rows of one.npz are used"
    np.savez("pixels.npz", x=RNG.integers(0, 256, (6, 16)).astype(np.uint8), y=Y)
    (said,) = load("pixels.npz", points=6).remarks
    assert re.search(r"the inputs of pixels.npz are of size 1\d\d .*: divide x by 1\d\d", said)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--depth", "100000000"], r"--depth \(100000000\) must be at most 1000"),
        (["--seeds", "4000000000"], r"--seeds \(4000000000\) must be at most 100000"),
        (
            ["--data", "sphere", "--inputs", "10000001"],
            r"--inputs \(10000001\) must be at most 100",
        ),
        (["--time", "1e-300"], r"--time \(1e-300\) must be positive and finite, from 1e-09"),
        (["--time", "1e300"], r"--time \(1e\+300\) must be positive"),
        (["--bias-std", "1e300"], r"--bias-std \(1e\+300\) must be at least 0 and at most 1e\+06"),
        (["--confidence", "0.99999999999999999999"], r"--confidence \(1\.0\) must lie between"),
        (["--tolerance", "1e-300"], r"--tolerance \(1e-300\) must lie between 1e-14 and 0\.01"),
        (["--out", "x" * 50_000], r"File name too long: 'xxx"),
        (["--data", "x" * 50_000], r"--data \(xxx[x]*…\) must be one of"),
    ],
)
def test_extremes_are_refused(tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    with no_training():
        assert main(words(*flags)) == 2
    line = capsys.readouterr().err
    assert re.search(message, line)
    assert line.count("\n") == 1
    assert len(line) < 1100
    assert not list(tmp_path.iterdir())


@pytest.fixture
def nothing_runs(monkeypatch):
    """Every network fails."""

    def fail(one, needs, **rest):
        return could_not_run(one.cell, needs, one.family.depth, "could not run: planted")

    monkeypatch.setattr(suites, "measure_cell", fail)


@pytest.mark.usefixtures("nothing_runs")
def test_where_every_flow_fails_there_is_a_report_all_the_same(tmp_path, capsys):
    out = tmp_path / "run [lr=0.1]"
    run = ["verify", *TINY, "--claims", "proposition-1,lemma-1/weights", "--rules", "align-zero"]
    assert main([*run, "--out", str(out)]) == 3
    said = capsys.readouterr()
    assert re.search("flows failed, first: .*could not run: planted", said.err)
    assert f"report: {out}/report.html" in said.out
    assert {"report.html", "report.json", "plots"} <= {path.name for path in out.iterdir()}
    stored = json.loads((out / "report.json").read_text())
    assert {claim["verdict"] for claim in stored["claims"]} == {"undecided"}
    assert main(["report", str(out)]) == 0
    assert "could not run: planted" in capsys.readouterr().out


def test_names_are_printed_as_they_are(capsys):
    terminal().print("run [lr=0.1]/k [bold]x[/bold] :smile:")
    assert capsys.readouterr().out == "run [lr=0.1]/k [bold]x[/bold] :smile:\n"


def test_what_can_be_printed_is():
    code = "from ntkalign.cli.main import main; raise SystemExit(main(['claims']))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False,
        env={"PYTHONIOENCODING": "latin-1", "PATH": "", "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"proposition-1" in done.stdout
    assert b"?" in done.stdout


def test_plain_values_may_be_numpys(tmp_path):
    odd = Settings(seeds=np.int64(2), widths=np.array([8, 16, 32]), data=Path("digits"))
    assert odd == Settings(seeds=2, widths=(8, 16, 32), data="digits")
    json.dumps(odd.as_json())


@pytest.mark.skipif(not FIELD.exists(), reason="no inputs from the field beside the repository")
def test_inputs_from_the_field(tmp_path, monkeypatch, capsys):
    subprocess.run([sys.executable, str(FIELD), str(tmp_path / "cases")], check=True,
                   capture_output=True)  # fmt: skip
    monkeypatch.chdir(tmp_path)
    good = {"pixels-0-255.npz", "one-target.npz", "whole.npz", "idx-whole", "idx-other-names",
            "kmnist-npz", "cifar-whole"}  # fmt: skip
    for path in sorted((tmp_path / "cases").iterdir()):
        if path.is_dir():
            name = "cifar10" if "cifar" in path.name else "kmnist"
            given = words("--data", name, "--data-dir", str(path.relative_to(tmp_path)))
        else:
            given = words("--data", str(path.relative_to(tmp_path)))
        if path.name in good:
            with no_training(), pytest.raises(Accepted):
                main(given)
        else:
            refused(capsys, given)
