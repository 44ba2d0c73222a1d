"""What a person is told of a report whose settings were run again: what differs, by how much."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ntkalign import files
from ntkalign.report.files import JSON, load_report
from ntkalign.runs.reproduction import (
    EQUAL,
    WITHIN,
    Comparison,
    changed_conditions,
    changed_verdicts,
    compare,
)  # fmt: skip

DIFFERENCES = "differences.csv"
"""In the folder of the second run: a row for each number that is not equal to the last bit."""
MOST_LINES = 20
"""Of a list, in the terminal."""


@dataclass(frozen=True)
class Reproduction:
    """Two reports of the same settings, the older one first.

    Attributes:
        numbers: of both, one by one.
        verdicts: a line for each that is another one.
        judged: how many verdicts there were.
        conditions: what differs between the places: of each what it is, was and is now.
    """

    numbers: Comparison
    verdicts: Sequence[str]
    judged: int
    conditions: Sequence[tuple[str, str, str]]

    @classmethod
    def of(cls, old: Path, new: Path) -> Reproduction:
        """Compare two reports.

        Args:
            old: the folder of one.
            new: that of the other.

        Returns:
            What differs.

        Raises:
            InputError: if a folder holds no whole report.
        """
        before, after = load_report(old), load_report(new)
        stored = [json.loads((folder / JSON).read_text(encoding="utf-8")) for folder in (old, new)]
        return cls(
            compare(before.table, after.table),
            tuple(changed_verdicts(*stored)),
            len(before.findings),
            changed_conditions(before.environment, after.environment),
        )

    @property
    def holds(self) -> bool:
        """Whether every number is there again, as far as it is stated, and every verdict."""
        return self.numbers.reproduced and not self.verdicts

    def write(self, folder: Path) -> Path | None:
        """Write the numbers that differ.

        Args:
            folder: where to.

        Returns:
            The file; None if no number differs, and then none is left there.
        """
        path, changed = folder / DIFFERENCES, self.numbers.changed
        if changed.empty:
            path.unlink(missing_ok=True)
            return None
        files.write(path, changed.to_csv(index=False))
        return path


def print_reproduction(found: Reproduction, console: Console) -> None:
    """Print what differs, and one line that sums up."""
    if found.conditions:
        table = _table("Computed otherwise", "what", "then", "now")
        for row in found.conditions[:MOST_LINES]:
            table.add_row(*map(Text, row))
        console.print(table)
        _say_rest(len(found.conditions), console)
    else:
        _say("computed by the same code, packages and device, as far as the report tells", console)
    if not found.numbers.changed.empty:
        console.print(_by_quantity(found.numbers))
    for line in found.verdicts[:MOST_LINES]:
        _say(line, console, style="bold red")
    _say_rest(len(found.verdicts), console)
    _say(in_short(found), console, style="green" if found.holds else "bold red")


def in_short(found: Reproduction) -> str:
    """One line for everything."""
    count = found.numbers.count
    words = {EQUAL: "equal to the last bit", WITHIN: "within their stated errors"}
    words |= {"beyond": "beyond them"}
    parts = ", ".join(f"{many} {words.get(kind, kind)}" for kind, many in count.items())
    worst = found.numbers.worst
    if worst is not None:
        parts += (
            f"; the largest change is {worst['share']:.1e} of {worst['quantity']} (width "
            f"{worst['width']}, seed {worst['seed']}, {worst['rule']})"
        )
    verdicts = f"{len(found.verdicts)} of {found.judged} verdicts changed"
    end = "reproduced" if found.holds else "not reproduced"
    return f"{len(found.numbers.rows)} numbers: {parts}; {verdicts}: {end}"


def _by_quantity(numbers: Comparison) -> Table:
    """A row for each quantity of which some number is not equal, the most changed first."""
    kinds = list(numbers.count)
    table = _table("Numbers that differ", "quantity", "numbers", *kinds, "largest change")
    own = numbers.rows[numbers.rows["quantity"].isin(set(numbers.changed["quantity"]))]
    groups = sorted(own.groupby("quantity"), key=lambda pair: -pair[1]["share"].max())
    for quantity, rows in groups:
        count, share = rows["how"].value_counts(), rows["share"].max()
        table.add_row(
            Text(str(quantity)), str(len(rows)), *(str(count.get(kind, 0)) for kind in kinds),
            "-" if share != share else f"{share:.1e}",
        )  # fmt: skip
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False, box=None)
    for heading in headings:
        table.add_column(heading)
    return table


def _say(text: str, console: Console, style: str = "") -> None:
    console.print(Text(text, style=style), soft_wrap=True)


def _say_rest(many: int, console: Console) -> None:
    if many > MOST_LINES:
        _say(f"… and {many - MOST_LINES} more", console)
