"""The report of a run that is stopped, and what is made of it later."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from rich.console import Console

from ntkalign.claims.catalogue import CLAIMS
from ntkalign.cli.verify import print_result
from ntkalign.report import files
from ntkalign.report.files import load_report, write_report
from ntkalign.report.partial_page import write_partial
from ntkalign.runs.partial import Partial, unjudged
from tests.report.made_up import ask, run

LINE = "PARTIAL (stopped): 23 of 24 networks are finished; missing: width 1024 (seed 7)"


@pytest.fixture
def whole():
    """A run of three widths and eight seeds, of one claim that holds."""
    claim = CLAIMS["lemma-1/weights"].claims[0]
    return run((ask(claim, layer=1), -0.5))


@pytest.fixture
def stopped(whole):
    """The same run, stopped before its last network."""
    table = whole.table[~((whole.table["width"] == 1024) & (whole.table["seed"] == 7))]
    partial = Partial("stopped", 23, ("main network, width 1024, seed 7",),
                      ("width 1024 (seed 7)",))  # fmt: skip
    asked = [f.question for f in whole.findings]
    findings = unjudged(asked, whole.settings.family)
    return replace(whole, table=table, partial=partial, findings=findings)


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(files, "scaling_plots", lambda findings, folder: {})
    for name in ("training_curve", "over_training"):
        monkeypatch.setattr(files, name, lambda result, folder: None)


def first_lines(folder):
    """What a reader sees first of both pages."""
    page = (folder / "report.html").read_text()
    text = re.sub(r"<[^>]*>", "", page[page.index("<body>") :]).strip()
    return text.splitlines()[0], (folder / "report.md").read_text().splitlines()[0]


def test_both_pages_begin_with_what_is_missing(stopped, tmp_path):
    write_partial(stopped, tmp_path)
    page, markdown = first_lines(tmp_path)
    assert page.startswith(LINE)
    assert markdown.replace("\\", "").startswith(f"> **{LINE}")
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["partial"]["missing"] == ["main network, width 1024, seed 7"]
    assert (stored["partial"]["finished"], stored["partial"]["wanted"]) == (23, 24)
    assert {c["verdict"] for c in stored["claims"]} == {"undecided"}
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.usefixtures("undrawn")
def test_a_report_of_it_judges_what_is_finished_and_still_says_so(stopped, whole, tmp_path):
    write_partial(stopped, tmp_path)
    table = (tmp_path / "measurements.csv").read_bytes()
    for _ in range(2):  # the second is made of what the first wrote
        found = load_report(tmp_path)
        (finding,) = found.findings
        assert finding.verdict == whole.findings[0].verdict == "holds"
        assert finding.widths == (64, 256, 1024)
        assert [len(values) for values in finding.values] == [7, 7, 7]
        write_report(found, tmp_path)
        assert (tmp_path / "measurements.csv").read_bytes() == table
        page, markdown = first_lines(tmp_path)
        assert page.startswith(LINE)
        assert markdown.replace("\\", "").startswith(f"> **{LINE}")
    with (tmp_path / "said").open("w") as file:
        print_result(found, Console(file=file, width=300))
    assert (tmp_path / "said").read_text().startswith(LINE)


@pytest.mark.usefixtures("undrawn")
def test_of_too_few_networks_nothing_is_judged(stopped, tmp_path):
    write_partial(replace(stopped, table=stopped.table[stopped.table["width"] == 64]), tmp_path)
    (finding,) = load_report(tmp_path).findings
    assert (finding.verdict, finding.values) == ("undecided", ())
    write_report(load_report(tmp_path), tmp_path)
    assert first_lines(tmp_path)[0].startswith(LINE)


@pytest.mark.usefixtures("undrawn")
def test_a_whole_run_says_nothing_of_the_kind(whole, tmp_path):
    write_report(whole, tmp_path)
    for name in ("report.html", "report.md", "report.json"):
        assert "partial" not in (tmp_path / name).read_text().lower()
    assert load_report(tmp_path).partial is None


def test_what_a_user_named_is_escaped(stopped, tmp_path):
    named = replace(stopped.partial, in_short=("<script>alert(1)</script> [bold]",))
    write_partial(replace(stopped, partial=named), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
