"""The page of experiments: the paper's numbers beside ours, for people and for programs."""

from __future__ import annotations

import json
import re

import pytest

from ntkalign.cli.main import main
from ntkalign.experiments.catalogue import EXPERIMENTS
from ntkalign.report.experiment_page import sections_of, write_page
from ntkalign.runs.environment import Environment

CONFIG = {"scale": "small"}
KEYS = "experiment,network,width,rule,rate,seed,epoch"
HISTORY = f"""{KEYS},train_loss,test_loss,test_accuracy,seconds
table6,cnn,8,normal,1.0,99,1,0.5,0.5,0.5,1.0
table6,cnn,16,normal,1.0,99,1,0.5,0.5,0.7,1.0
table6,cnn,8,align-ada,1.0,99,1,0.5,0.5,0.6,1.0
table6,cnn,8,align-ada,2.0,99,1,nan,nan,,1.0
table2,cnn,256,fa,1.0,100,1,0.5,0.5,0.4,1.0
table2,cnn,256,fa,1.0,101,1,0.5,0.5,0.6,1.0
table8,rnn,8,normal,0.001,99,1,0.5,1.25,,1.0
"""
AFTER = f"""{KEYS},train_loss_after
table8,rnn,8,normal,0.001,99,1,1.5
"""

RUNS = """experiment,network,width,rule,rate,seed,status,epochs,epochs_asked,batch,\
train_points,test_points,variant,precision,scale
table6,cnn,8,normal,1.0,99,trained,1,1,100,1000,500,published,float32,small
table6,cnn,16,normal,1.0,99,trained,1,1,100,1000,500,published,float32,small
table6,cnn,8,align-ada,1.0,99,trained,1,1,100,1000,500,published,float32,small
table6,cnn,8,align-ada,2.0,99,"diverged in epoch 1, step 3",1,1,100,1000,500,published,float32,small
table2,cnn,256,fa,1.0,100,trained,1,1,100,1000,500,published,float32,small
table2,cnn,256,fa,1.0,101,trained,1,1,100,1000,500,published,float32,small
table8,rnn,8,normal,0.001,99,trained,1,1,50,300,100,published,float32,small
"""


@pytest.fixture
def page(tmp_path):
    (tmp_path / "runs.csv").write_text(RUNS)
    (tmp_path / "history.csv").write_text(HISTORY)
    (tmp_path / "train_after.csv").write_text(AFTER)
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "table6.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    chosen = [EXPERIMENTS[name] for name in ("table6", "table2", "table8")]
    write_page(tmp_path, sections_of(tmp_path, chosen), CONFIG, Environment())
    return tmp_path


def test_cells_have_the_papers_number_ours_and_the_deviation(page):
    text = (page / "report.md").read_text()
    assert "| Normal | 50.0 (paper 54.8, -4.8) | 70.0 (paper 61.0, +9.0) |" in text
    assert "| FA | 50.0 ± 14.1 (paper 46.1, +3.9) |" in text
    assert "| Normal | 1.250 (paper 1.133, +10.33 %) |" in text
    assert "| Normal | 1.500 (paper 1.168, +28.42 %) |" in text
    html = (page / "report.html").read_text()
    assert '<td>50.0<span class="paper">54.8 (-4.8)</span></td>' in html


def test_statements_of_the_paper_have_verdicts_and_deviations_are_listed(page):
    text = (page / "report.md").read_text()
    assert "- trends are those of Table 6: FA stays" not in text
    assert (
        "- **too few runs to say**: Align-zero improves with network width "
        "(no two cells of it were trained)." in text
    )
    assert "the official test files are not used" in text


def test_where_a_run_is_not_the_papers_is_said(page):
    for name in ("report.md", "report.html"):
        text = (page / name).read_text()
        assert "widths 8, 16; the paper: 8, 16, 32, 64, 128, 256, 512." in text
        assert "epochs 1; the paper: 150." in text
        assert "training points 1000; the paper: 45000." in text
        assert "1 of 4 runs ended early: diverged in epoch 1, step 3, say." in text
        assert "seeds 100, 101; the paper: 100, 101, 102, 103, 104." in text
        assert "Of 3 numbers of the paper's ours are within 1 % of 0, 5 % of 0, 10 % of 1." in text
    stored = json.loads((page / "report.json").read_text())["experiments"]
    assert "batches of" not in " ".join(stored[0]["differences"])
    assert stored[2]["remark"].startswith("Always answering 0.5 has a loss of 9.358542 on the")


def test_what_is_shortened_by_flags_is_said_first_too(page):
    chosen = [EXPERIMENTS["table6"]]
    (page / "runs.csv").write_text(RUNS.replace("small", "paper"))
    write_page(page, sections_of(page, chosen), CONFIG, Environment())
    for name in ("report.md", "report.html"):
        text = (page / name).read_text()
        assert text.index("Not at the paper's settings") < text.index("Rules as published")


def test_the_small_scale_is_said_first(page):
    for name in ("report.md", "report.html"):
        text = (page / name).read_text()
        assert text.index("Small scale") < text.index("Rules as published")


def test_the_page_is_self_contained(page):
    html = (page / "report.html").read_text()
    assert "data:image/svg+xml;base64," in html
    assert "http" not in html.replace("<!doctype html>", "")
    assert "![CIFAR-10: best test accuracy of six methods](plots/table6.svg)" in (
        (page / "report.md").read_text()
    )


def test_programs_read_the_same(page):
    report = json.loads((page / "report.json").read_text())
    assert report["schema"] == 1
    first = report["cells"][0]
    assert first == {
        "experiment": "table6", "rule": "align-ada", "width": 8, "quantity": "test_accuracy",
        "paper": 0.337, "ours": 0.6, "deviation": pytest.approx(0.263), "spread": None,
        "trials": 1,
    }  # fmt: skip
    assert [e["name"] for e in report["experiments"]] == ["table6", "table2", "table8"]
    assert report["experiments"][0]["trends"][0].keys() == {
        "statement",
        "verdict",
        "reason",
        "of_the_papers_own",
    }


def test_a_page_is_rebuilt_from_its_tables(page, capsys):
    before = {name: (page / name).read_text() for name in ("report.md", "report.json")}
    for name in before:
        if name != "report.json":
            (page / name).unlink()
    assert main(["report", str(page)]) == 0
    assert {name: (page / name).read_text() for name in before} == before
    assert "too few runs to say: Align-zero improves" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda page: (page / "report.json").unlink(), r"got no report\.json"),
        (lambda page: (page / "report.json").write_text("{"), r"got a damaged one \(JSONDecode"),
        (lambda page: (page / "report.json").write_text('{"schema": 9}'), r"got another schema"),
        (lambda page: (page / "report.json").write_text('{"schema": 1}'), r"damaged one \(KeyErr"),
        (lambda page: (page / "history.csv").write_text("a,b\n1,2\n"), r"got a damaged one"),
        (lambda page: (page / "runs.csv").unlink(), r"got no runs\.csv"),
    ],
)
def test_what_cannot_be_rebuilt_is_one_line(page, break_it, message, capsys):
    break_it(page)
    assert main(["report", str(page)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(message, err)
