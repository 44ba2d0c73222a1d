"""``ntkalign proof``: what it prints and leaves, and what it refuses."""

from __future__ import annotations

import json

import pytest

from ntkalign.claims.proof_steps import STEPS_OF_THE_PAPER
from ntkalign.cli.main import main

TINY = [
    *("--points", "3", "--outputs", "2", "--depth", "2", "--widths", "8,16,32"),
    *("--seeds", "2", "--time", "1", "--tolerance", "1e-5"),
]


@pytest.mark.parametrize("network", ["rnn", "cnn"])
def test_other_networks_are_refused_in_one_line(network, capsys, tmp_path):
    assert main(["proof", "--network", network, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"ntkalign proof: --network ({network}) must be mlp")
    assert "the proofs are written for fully connected networks" in said
    assert "\n" not in said
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Of three steps only, with one that is false on purpose."""
    out = tmp_path_factory.mktemp("proof")
    asked = "proof/41-1,proof/44,proof/44-without-first-term,proof/55"
    rules = ("--rules", "align-zero")
    assert main(["proof", *TINY, *rules, "--claims", asked, "--out", str(out)]) == 0
    return out


def test_a_run_prints_and_writes_the_argument(written, capsys):
    stored = json.loads((written / "report.json").read_text())["proof"]
    assert len(stored["steps"]) == len(STEPS_OF_THE_PAPER)
    by_equation = {s["equation"]: s for s in stored["steps"]}
    assert by_equation["(44)"]["computed_by"] == "ntkalign.quantities.proof.measure_chain"
    assert {line["layers"] for line in by_equation["(44)"]["measured"]} == {"layer 1", "layer 2"}
    assert by_equation["(44)"]["verdict"] == by_equation["(55)"]["verdict"] == "holds"
    assert by_equation["(50), (54)"]["verdict"] == "holds"  # measured with (55)
    assert len(stored["errata"]) == 8
    assert any("refuted on" in line for line in stored["controls"])
    page, text = ((written / name).read_text() for name in ("report.html", "report.md"))
    for document in (page, text):
        assert "The argument, step by step" in document
        assert "outside the paper" not in document
    measured = [step for step in stored["steps"] if step["measured"]]
    assert page.count('class="formula"') >= len(measured) > 0
    report = json.loads((written / "report.json").read_text())
    report["config"]["activation"] = "relu"
    (written / "report.json").write_text(json.dumps(report))
    assert main(["report", str(written)]) == 0
    said = capsys.readouterr().out
    assert "outside the paper's assumptions" in said
    assert "Steps that are false on purpose" in said
    assert "Errors in printed equations" in said
    for step in STEPS_OF_THE_PAPER:
        assert step.equation in said
