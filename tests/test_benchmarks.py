"""The benchmarks can say what they are for: how often verdicts are wrong, what training costs."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ntkalign.claims.catalogue import CLAIMS
from ntkalign.claims.claim import Question
from ntkalign.rules import NORMAL, RULES

ROOT = Path(__file__).parents[1]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


truth, coverage, training = load("truth"), load("coverage"), load("training")
record = load("record")


def test_configurations_are_the_same_each_time_and_two_halves():
    found = list(truth.generated())
    assert found == list(truth.generated())
    assert [c.part for c in found].count("a") == [c.part for c in found].count("b") == 24
    assert len({str(c.options) + str(c.fall) for c in found}) > 40
    for c in found:
        assert c.large == tuple(16 * m for m in c.options["widths"])
    assert {c.options["activation"] for c in found} == set(truth.ACTIVATIONS)


def finding(id, verdict, layer=None, p=1.0):
    question = Question(CLAIMS[id].claims[0], "main", "normal", layer)
    return SimpleNamespace(question=question, verdict=verdict, adjusted_p=p)


@pytest.mark.parametrize(
    ("id", "layer", "true"),
    [
        ("lemma-1/weights", 1, False), ("lemma-1/weights", 2, True),
        ("lemma-1/activations", 1, True), ("proposition-2", None, True),
        ("proposition-1/interpretation", 1, True), ("proposition-1/interpretation", 2, False),
    ],
)  # fmt: skip
def test_a_verdict_against_theory_is_counted_as_wrong(id, layer, true):
    right, wrong = ("holds", "refuted") if true else ("refuted", "holds")
    findings = [finding(id, v, layer) for v in (right, wrong, "undecided")]
    assert truth._wrong(findings) == [findings[1]]


def test_counts_and_contradictions():
    found = (finding("proposition-2", "refuted", p=1e-6), finding("proposition-2", "holds"))
    other = (finding("proposition-2", "holds"), finding("proposition-2", "undecided"))
    one = truth.Judged(1.0, (16, 32, 64), (0.3, 0.2, 0.1), found, other)
    assert one.counts == {
        "verdicts": 2, "decided": 2, "decided, ε unknown": 1, "wrong": 1, "wrong, ε unknown": 0,
        "wrong with p < 1e-4": 1,
    }  # fmt: skip
    assert truth._contradictions(one, truth.Judged(1.0, (), (), other, other)) == 1


def test_planted_laws_have_the_stated_exponent_far_out_and_a_drift_that_falls():
    far = np.array([1e8, 4e8])
    near = np.array([1.0, 4.0, 16.0])
    for law in coverage.strained_laws():
        e = law.expansion(near)
        assert (np.diff(e) < 0).all()
        assert e[0] == pytest.approx(float(law.name.split(":")[0]))
        if "1/(1 + ε log)" not in law.name:  # a logarithm never ends
            assert np.diff(law.bent(far)) == pytest.approx(0, abs=1e-3)


def test_a_summary_is_the_worst_of_its_rows():
    rows = [
        {"law": "x", "design": "standard", "covered": c, "false": f, "false, 1 of 44": 0.0,
         "passed": 0.0, "power": p}
        for c, f, p in ((0.9, 0.0, 0.5), (0.95, 0.02, 0.7))
    ]  # fmt: skip
    (line,) = coverage.summary(rows, ("law",))
    assert line["covered"] == 0.9
    assert line["false"] == 0.02
    assert line["least power, standard"] == 0.5


def test_sweeps_of_a_wrong_claim_are_refuted_and_of_a_true_one_covered():
    row = coverage.case(20, "standard", "normal 0.2", 0, False)
    assert row["power"] == pytest.approx(1.0)
    assert row["covered"] > 0.7
    assert row["false"] == 0.0


@pytest.fixture
def usual():
    """JAX as it is written elsewhere, where arrays of fewer axes are broadcast."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.usefixtures("usual")
@pytest.mark.parametrize("kind", ["kmnist", "rnn"])
def test_training_in_plain_jax_is_the_same_training(kind):
    ours = training.Ours(training.SERIES[kind], 16, NORMAL)
    theirs = training.Plain(ours)
    for work in (ours, theirs):
        work(3)
    assert np.array(theirs.losses) == pytest.approx(np.array(ours.told.losses[:3]), rel=1e-5)
    assert set(training.in_turn({"ours": ours, "plain": theirs}, 2, 2)) == {"ours", "plain"}


@pytest.mark.usefixtures("usual")
def test_every_form_of_the_convolution_trains_the_same_network(monkeypatch):
    monkeypatch.setattr(training.Ours, "batches", 1)  # the same batch again
    ours = training.Ours(training.SERIES["kmnist"], 4, NORMAL)
    losses = []
    for name in ("NCHW library", "HWNC windows", "NHWC shifts", "CHWN windows"):
        formed = training.Formed(ours, *training.FORMS[name])
        formed(2)
        losses.append(formed.carried[1])
    ours(2)
    assert np.array(losses) == pytest.approx(float(ours.told.losses[1]), rel=1e-5)


def test_operations_are_the_products_and_little_more():
    (normal, of_normal), (zero, _) = (
        training.counting("rnn", 64, rule) for rule in (NORMAL, RULES["align-zero"])
    )
    assert 3 < of_normal < 4
    assert zero / normal == pytest.approx(4 / 3, rel=0.05)


PAGE = """Before.

```console
$ python benchmarks/one.py --widths 8
# 2020-01-01, commit abc, 3 s
| old |
```

Between, `python benchmarks/one.py`.

```console
$ python benchmarks/two.py
```

    $ python benchmarks/three.py
"""


def test_what_a_command_prints_takes_the_place_of_its_table_alone():
    assert record.commands(PAGE) == ["python benchmarks/one.py --widths 8",
                                     "python benchmarks/two.py"]  # fmt: skip
    new = record.with_output(
        PAGE, "python benchmarks/one.py --widths 8", "# now\n| \\1 new |  \n\n"
    )
    assert new == PAGE.replace("# 2020-01-01, commit abc, 3 s\n| old |", "# now\n| \\1 new |")
    both = record.with_output(new, "python benchmarks/two.py", "more\n")
    assert both == new.replace("two.py\n", "two.py\nmore\n")
    assert record.commands(both) == record.commands(PAGE)


def test_a_benchmark_that_fails_leaves_its_table_and_the_others_are_run(
    tmp_path, capfd, monkeypatch
):
    page = tmp_path / "README.md"
    page.write_text(PAGE, encoding="utf-8")
    for name, text in (("one", "raise SystemExit(3)"), ("two", "print('| a |')")):
        (tmp_path / "benchmarks").mkdir(exist_ok=True)
        (tmp_path / "benchmarks" / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(record, "ROOT", tmp_path)
    monkeypatch.setattr(record, "_commit", lambda: "abc")
    assert record.main([], page) == 1
    assert "failed with status 3; its table is as it was" in capfd.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "| old |" in text
    assert re.search(r"two\.py\n# 20\d\d-\d\d-\d\d, commit abc, \d+ s\n\| a \|\n```", text)
    assert record.main(["three"], page) == 2
    assert "record: WORD (three) must stand in a command of README.md" in capfd.readouterr().err


def test_every_table_of_the_page_has_a_command_that_is_there():
    page = record.PAGE.read_text(encoding="utf-8")
    for command in record.commands(page):
        assert (ROOT / command.split()[1]).is_file()
    outside = re.sub(r"(?ms)^```console\n.*?^```\n", "", page)
    assert not [line for line in outside.splitlines() if line.startswith(("|", "$"))]
