"""What is told of a report whose settings were run again, and what is written of it."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from ntkalign.claims.theory import PROPOSITION_2
from ntkalign.report import write_report
from ntkalign.report.reproduced import DIFFERENCES, MOST_LINES, Reproduction, print_reproduction
from tests.report import made_up


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Plots and pages take seconds, and are not looked at."""
    made_up.leave_pages_empty(monkeypatch)


def run(exponent=-0.5, **environment):
    made = made_up.run((made_up.ask(PROPOSITION_2, rule="align-ada"), exponent))
    return replace(made, environment=replace(made.environment, **environment))


def compared(tmp_path, old, new):
    for name, result in (("old", old), ("new", new)):
        write_report(result, tmp_path / name)
    return Reproduction.of(tmp_path / "old", tmp_path / "new")


def said(found, capsys):
    print_reproduction(found, Console(width=200))
    return capsys.readouterr().out


def test_the_same_numbers_are_reproduced(tmp_path, capsys):
    found = compared(tmp_path, run(), run(seconds=9.0))
    assert found.holds
    text = said(found, capsys)
    assert "computed by the same code, packages and device" in text
    assert "numbers: 48 equal to the last bit, 0 within their stated errors, 0 beyond them" in text
    assert "0 of 1 verdicts changed: reproduced" in text
    assert found.write(tmp_path) is None
    assert not (tmp_path / DIFFERENCES).exists()


def test_a_number_within_its_stated_error_is_reproduced_and_said(tmp_path, capsys):
    old, table = run(), run().table.copy()
    table.loc[3, "value"] += table.loc[3, "error"]
    found = compared(tmp_path, old, replace(old, table=table))
    assert found.holds
    text = said(found, capsys)
    assert "47 equal to the last bit, 1 within their stated errors, 0 beyond" in text
    assert "the largest change is 8.0e-09 of divergence (width 64, seed " in text or (
        "the largest change is" in text
    )
    assert text.rstrip().endswith("reproduced")
    written = pd.read_csv(found.write(tmp_path))
    assert list(written["how"]) == ["within"]
    assert written["value_new"][0] - written["value"][0] == pytest.approx(1e-9, rel=1e-6)


def test_numbers_beyond_their_errors_and_verdicts_are_not_reproduced(tmp_path, capsys):
    """The control: what must be found is planted."""
    found = compared(tmp_path, run(-0.5), run(0.5, device="another", versions={"ntkalign": "1"}))
    assert not found.holds
    text = said(found, capsys)
    assert "verdict was holds, is refuted" in text
    assert text.rstrip().endswith("not reproduced")
    lines = text.splitlines()
    assert any(line.split() == ["device", "cpu", "another"] for line in lines)
    assert any(line.split() == ["ntkalign", "0", "1"] for line in lines)
    assert len(pd.read_csv(found.write(tmp_path))) == found.numbers.count["beyond"] > 40


def test_what_a_folder_held_before_is_removed_where_nothing_differs(tmp_path):
    (tmp_path / DIFFERENCES).write_text("old")
    assert compared(tmp_path, run(), run()).write(tmp_path) is None
    assert not (tmp_path / DIFFERENCES).exists()


def test_long_lists_are_cut_and_names_are_no_markup(tmp_path, capsys):
    found = compared(tmp_path, run(), run())
    many = replace(found, verdicts=[f"[bold]{i}" for i in range(MOST_LINES + 5)])
    text = said(many, capsys)
    assert f"[bold]{MOST_LINES - 1}\n" in text
    assert f"[bold]{MOST_LINES}\n" not in text
    assert "… and 5 more" in text
