"""The list of claims lines up in a narrow terminal and leaves nothing out."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.console import Console

from ntkalign.claims.catalogue import CLAIMS, register
from ntkalign.claims.claim import Claim, Kind
from ntkalign.report.claim_list import print_claims

pytestmark = pytest.mark.usefixtures("own_records")


HEADINGS = {
    "ntkalign verify": ("verify", "mlp"),
    "ntkalign verify --network rnn": ("verify", "rnn"),
    "ntkalign verify --network cnn": ("verify", "cnn"),
    "ntkalign kernels": ("kernels", "mlp"),
    "ntkalign proof": ("proof", "mlp"),
}


def firsts(lines):
    """What stands in the first column, heading by heading."""
    column = lines[0].index("equation")
    found: dict[str, list[str]] = {}
    for line in lines[1:]:
        if line.startswith("ntkalign "):
            found[line.strip()] = own = []
        elif line[:column].strip():
            own.append(line[:column].strip())
    return found


@pytest.mark.parametrize("width", [80, 120])
def test_every_claim_is_on_a_line_of_its_own(width, capsys):
    register(
        Claim("mine [bold]", "[1]", "of [red] things", "divergence", Kind.BOUND, -0.5),
        Claim("of steps", "[2]", "another", "divergence", Kind.BOUND, -0.5, network="rnn"),
    )
    print_claims(Console(width=width))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert lines[0].split() == ["claim", "equation", "statement", "rate"]
    found = firsts(lines)
    assert list(found) == list(HEADINGS)
    for heading, (command, network) in HEADINGS.items():
        entries = [e for e in CLAIMS.values() if (e.command, e.network) == (command, network)]
        assert found[heading] == [e.name for e in entries for _ in e.claims], heading
    assert "mine [bold]" in found["ntkalign verify"]
    assert "of steps" in found["ntkalign verify --network rnn"]
    assert sum(map(len, found.values())) == sum(len(e.claims) for e in CLAIMS.values())
    text = "".join("".join(lines).split())
    for claim in (claim for entry in CLAIMS.values() for claim in entry.claims):
        if width == 120:
            assert claim.statement.replace(" ", "") in text
    assert "…" not in text


@pytest.mark.parametrize(("network", "prefix"), [("rnn", "appendix-e/"), ("cnn", "cnn/")])
def test_claims_about_tied_weights_stand_under_their_network(network, prefix, capsys):
    print_claims(Console(width=120))
    found = firsts(capsys.readouterr().out.splitlines())
    for heading, ids in found.items():
        right = heading == f"ntkalign verify --network {network}"
        assert right == any(id.startswith(prefix) for id in ids)
        assert not right or all(id.startswith(prefix) for id in ids)
