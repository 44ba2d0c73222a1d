"""The scripts run, one claim at a time, and the README's example does what it says."""

from __future__ import annotations

import importlib.util
import re
import runpy
from pathlib import Path

import pytest

from ntkalign.plugins import REGISTRIES

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


@pytest.mark.parametrize("path", sorted((ROOT / "verification").glob("*.py")), ids=lambda p: p.stem)
def test_a_script_can_be_stopped_as_the_command_can(path, monkeypatch):
    begun = []
    monkeypatch.setattr("ntkalign.cli.entry.begin", lambda *words: begun.append(words))
    main = runpy.run_path(str(path), run_name="__main__")["main"]
    assert begun == [(main, path.stem)]


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


YOUR_OWN = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "your_own.md").read_text(), flags=re.S
)
LEFT = {
    "# mine.py": "old-slopes",
    "rules=(mine,)": "proposition-2",
    "softsign": "alignment-score",
    "np.savez": "mine.npz",
    "PointSet(": "xor",
    "Claim(": "outputs-stay",
    "class UnscaledInputs": "checks passed",
    "check_rule(": "checks passed",
    "assert_rate(": "",
}
"""What an example has in it, and what it prints, registers, writes or asks."""


@pytest.mark.usefixtures("own_records")
@pytest.mark.parametrize("code", YOUR_OWN)
def test_every_example_of_things_of_ones_own_runs(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(made_small(code) if WIDTHS in code else code, "your_own.md", "exec"), names)
    left = capsys.readouterr().out.split("\n")[0] + " ".join(p.name for p in tmp_path.iterdir())
    left += " ".join(name for registry in REGISTRIES for name in registry)
    if "result" in names:
        left = " ".join({f.question.claim.id for f in names["result"].claims})
    (wanted,) = {left for part, left in LEFT.items() if part in code}
    assert wanted in left
