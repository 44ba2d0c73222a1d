"""The terminal prints names as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from ntkalign.claims.claim import Claim, Kind
from ntkalign.report import print_verdicts
from tests.report.test_files import finding, result, table


@pytest.mark.parametrize("name", ["a [bold] name", "[/]", "[red]", ":smile:"])
def test_brackets_are_no_markup(name, capsys):
    claim = Claim(name, "", "", "mine", Kind.VANISHES)
    written = result(finding(claim, name), finding(claim, name, control=True), data=table(claim))
    written = replace(written, settings=replace(written.settings, data=f"{name}.npz"))
    print_verdicts(written, Console(width=200))
    out = capsys.readouterr().out
    assert f"{name}.npz: 8 points" in out
    assert out.count(name) >= 5
