"""The scripts run, one claim at a time, and the README's example does what it says."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLAGS = [
    "--points", "4", "--outputs", "2", "--depth", "2", "--widths", "6,12,24", "--seeds", "2",
    "--time", "1", "--tolerance", "1e-4",
]  # fmt: skip
WIDTHS = "widths=(64, 256, 1024)"


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "verification" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["lemma1", "proposition1", "proposition2", "alignment_score"])
def test_a_script_measures_its_claims(name, tmp_path, capsys):
    module = load(name)
    assert module.main([*FLAGS, "--rules", "align-zero", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for claim in module.CLAIMS:
        assert claim in out
    assert list((tmp_path / "plots").glob("*.png"))


@pytest.mark.parametrize(("name", "network"), [("recurrent", "rnn"), ("convolutional", "cnn")])
def test_a_script_of_another_network_asks_all_of_its_claims(name, network, monkeypatch):
    """What such a run measures and leaves is tested in tests/cli/test_networks.py."""
    asked = []
    monkeypatch.setattr(
        "ntkalign.cli.main.run_verification", lambda flags: asked.append(flags) or 0
    )
    load(name).main(["--widths", "4,6,9"])
    (flags,) = asked
    settings = flags.settings()
    assert (settings.network, settings.widths) == (network, (4, 6, 9))
    assert (flags.claims, flags.out) == ("", Path("figures", name))


def test_the_assumptions_script_draws_every_condition(tmp_path, capsys):
    module = load("assumptions")
    assert module.main([*FLAGS, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "assumptions.png").stat().st_size > 20_000
    for condition in ("tanh", "relu", "unequal-widths", "mean-field"):
        assert (tmp_path / condition / "report.json").is_file()
    assert "feedback-x1.1" in (tmp_path / "tanh" / "report.md").read_text()


def test_a_script_refuses_bad_flags_in_one_line(capsys):
    assert load("lemma1").main(["--seeds", "1"]) == 2
    assert capsys.readouterr().err.startswith("lemma1: --seeds (1) must be at least 2")


def made_small(code):
    assert WIDTHS in code
    return code.replace(WIDTHS, "widths=(6, 12, 24), seeds=2, points=4, time=1.0, tolerance=1e-4")


def test_the_readmes_examples_run():
    text = (ROOT / "README.md").read_text()
    code, rate = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    exec(compile(rate, "README.md", "exec"), {})
    code = made_small(code)
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    (finding,) = [f for f in names["result"].claims if f.question.claim.id == "proposition-2"]
    assert finding.question.rule == "old-slopes"


def test_the_example_of_training_runs(capsys):
    text = (ROOT / "docs" / "experiments.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    exec(compile(code, "experiments.md", "exec"), {})
    assert 0 <= float(capsys.readouterr().out) <= 1


def test_the_example_of_a_claim_of_ones_own_runs(tmp_path):
    """In a process of its own: it registers names."""
    text = (ROOT / "docs" / "your_own.md").read_text()
    (code,) = [b for b in re.findall(r"```python\n(.*?)```", text, flags=re.S) if "Claim(" in b]
    said = "print(*{f.question.claim.id for f in result.claims})"
    run = subprocess.run(
        [sys.executable, "-c", made_small(code) + said],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["outputs-stay"]
