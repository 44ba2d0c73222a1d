"""The list of claims: what each is called, where it is stated, what it says and at which rate."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ntkalign.claims.catalogue import CLAIMS
from ntkalign.quantities.quantity import KERNELS, PROOF, VERIFY

COMMANDS = (VERIFY, KERNELS, PROOF)


def print_claims(console: Console) -> None:
    """Print every registered claim, under the command and the network that it is asked with."""
    table = Table(box=None, pad_edge=False)
    table.add_column("claim", no_wrap=True)
    table.add_column("equation", max_width=9)
    table.add_column("statement", overflow="fold")
    table.add_column("rate", max_width=9)
    for command in COMMANDS:
        entries = [entry for entry in CLAIMS.values() if entry.command == command]
        for network in dict.fromkeys(entry.network for entry in entries):
            asked = "" if network == "mlp" else f" --network {network}"
            table.add_row(Text(f"ntkalign {command}{asked}", style="bold"))
            own = (entry for entry in entries if entry.network == network)
            for claim in (claim for entry in own for claim in entry.claims):
                texts = (claim.id, claim.equation, claim.statement, claim.stated)
                table.add_row(*map(Text, texts))
    console.print(table)
