"""The list of claims lines up in a narrow terminal and leaves nothing out."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.console import Console

from ntkalign.claims.catalogue import CLAIMS, register
from ntkalign.claims.claim import Claim, Kind
from ntkalign.report.claim_list import print_claims

pytestmark = pytest.mark.usefixtures("own_records")


@pytest.mark.parametrize("width", [80, 120])
def test_every_claim_is_on_a_line_of_its_own(width, capsys):
    register(Claim("mine [bold]", "[1]", "of [red] things", "divergence", Kind.BOUND, -0.5))
    print_claims(Console(width=width))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert lines[0].split() == ["claim", "equation", "statement", "rate"]
    column = lines[0].index("equation")
    firsts = [line[:column].strip() for line in lines[1:] if line[:column].strip()]
    of = {
        command: [e.name for e in CLAIMS.values() if e.command == command for _ in e.claims]
        for command in ("verify", "kernels")
    }
    assert firsts == ["ntkalign verify", *of["verify"], "ntkalign kernels", *of["kernels"]]
    text = "".join("".join(lines).split())
    for claim in (claim for entry in CLAIMS.values() for claim in entry.claims):
        if width == 120:
            assert claim.statement.replace(" ", "") in text
    assert "…" not in text
