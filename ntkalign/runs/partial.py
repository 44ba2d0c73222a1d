"""What is known of a run that is not finished: which networks are, what is missing, what to judge.

A verdict needs every seed at every width. So what is judged of a run that was stopped is its
largest part of which that is true: some widths with some seeds, of each family. Everything that was
measured stays in its table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from ntkalign.cells.cell import Cell, Row
from ntkalign.claims.claim import MAIN, Question
from ntkalign.claims.verdicts import Finding, JudgingTerms
from ntkalign.networks.family import NetworkFamily
from ntkalign.runs.table import table_of
from ntkalign.statistics.samples import LEAST_SEEDS, LEAST_WIDTHS

if TYPE_CHECKING:
    from ntkalign.runs.record import Verification

GO_ON = "the same command goes on from here"
UNJUDGED = "the run was stopped before it was judged; ntkalign report judges what is finished"


class SoFar:
    """The networks that a sweep wants, and the rows of those that are finished.

    Attributes:
        result: what the run has found, with what it lacks; None until it has begun. It is called
            with the reason why the run ends.
    """

    def __init__(self) -> None:
        self.result: Callable[[str], Verification] | None = None
        self._wanted: tuple[Cell, ...] = ()
        self._rows: dict[Cell, list[Row]] = {}

    def begin(self, wanted: Iterable[Cell], known: Mapping[Cell, list[Row]] | None = None) -> None:
        """These networks are wanted, and these of them are known already, all others not."""
        self._rows = dict(known or {})
        self._wanted = tuple(wanted)

    def add(self, cell: Cell, rows: Iterable[Row]) -> None:
        """A network is finished."""
        self._rows[cell] = list(rows)

    @property
    def begun(self) -> bool:
        """Whether it is known yet which networks are wanted, and which of them are stored."""
        return bool(self._wanted)

    @property
    def finished(self) -> int:
        """How many networks are."""
        return len(self._rows)

    def table(self) -> pd.DataFrame:
        """The measurements of what is finished, in the order in which networks are wanted."""
        rows = dict(self._rows)
        return table_of(row for cell in self._wanted for row in rows.get(cell, ()))

    def partial(self, reason: str) -> Partial:
        """What is missing now.

        Args:
            reason: why the run ends here.

        Returns:
            That, and what is finished.
        """
        rows = dict(self._rows)
        missing = [cell for cell in self._wanted if cell not in rows]
        return Partial(
            reason, len(self._wanted) - len(missing), tuple(map(str, missing)),
            tuple(_at_each_width(missing)),
        )  # fmt: skip


@dataclass(frozen=True)
class Partial:
    """What a run lacks that was stopped.

    Attributes:
        reason: why it ended, in a word or two.
        finished: how many networks are.
        missing: the names of those that are not.
        in_short: the same in fewer words.
    """

    reason: str
    finished: int
    missing: tuple[str, ...]
    in_short: tuple[str, ...]

    @property
    def wanted(self) -> int:
        """How many networks were asked for."""
        return self.finished + len(self.missing)

    def __str__(self) -> str:
        """One sentence: that it is partial, and what is missing."""
        return (
            f"PARTIAL ({self.reason}): {self.finished} of {self.wanted} networks are finished"
            f"{'; missing: ' * bool(self.missing)}{', '.join(self.in_short)}; {GO_ON}"
        )

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        lists = {"missing": list(self.missing), "in_short": list(self.in_short)}
        return vars(self) | {"wanted": self.wanted} | lists

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> Partial | None:
        """From plain values; None of a run that is whole."""
        if stored is None:
            return None
        names = (tuple(map(str, stored[name])) for name in ("missing", "in_short"))
        return cls(str(stored["reason"]), int(stored["finished"]), *names)


def _at_each_width(missing: Sequence[Cell]) -> Iterator[str]:
    for family, width in dict.fromkeys((cell.family, cell.width) for cell in missing):
        own = [c.seed for c in missing if (c.family, c.width) == (family, width)]
        of = "" if family == MAIN else f"the {family} networks of "
        yield f"{of}width {width} (seed{'s' * (len(own) > 1)} {some(own)})"


def some(things: Sequence[Any]) -> str:
    """The first three, and how many more there are."""
    more = f" and {len(things) - 3} more" * (len(things) > 3)
    return ", ".join(map(str, things[:3])) + more


def unjudged(asked: Iterable[Question], family: NetworkFamily) -> tuple[Finding, ...]:
    """What is said of each question by a run that is stopped, and has no time to judge."""
    met = family.meets_assumptions
    return tuple(
        Finding(q, "undecided", UNJUDGED, None, met and q.family == MAIN, None, (), (), None, None)
        for q in asked
    )


def whole_part(table: pd.DataFrame) -> pd.DataFrame:
    """The largest part of a table that has every seed at every width, family by family.

    Args:
        table: of measurements, in which networks may be missing.

    Returns:
        Its rows; none of a family of which no part is large enough for a verdict.
    """
    kept = pd.Series(False, index=table.index)
    for family in table["family"].unique():
        own = table["family"] == family
        networks = table.loc[own, ["width", "seed"]].drop_duplicates()
        widths, seeds = _rectangle(networks.groupby("width")["seed"].agg(set).to_dict())
        kept |= own & table["width"].isin(widths) & table["seed"].isin(seeds)
    return table[kept]


def terms_of_part(terms: JudgingTerms, part: pd.DataFrame) -> JudgingTerms:
    """What verdicts about a part of a run are judged by: its widths and seeds are all there are."""
    main = part[part["family"] == MAIN]
    widths = tuple(sorted(int(m) for m in main["width"].unique()))
    return replace(terms, widths=widths, seeds=main["seed"].nunique())


def _rectangle(seeds_at: Mapping[int, set[int]]) -> tuple[set[int], set[int]]:
    """Widths and seeds, all of them with all of them: many networks, and rather more widths."""
    best: tuple[set[int], set[int]] = set(), set()
    by_count = sorted(seeds_at, key=lambda width: (-len(seeds_at[width]), width))
    for many in range(LEAST_WIDTHS, len(by_count) + 1):
        widths = set(by_count[:many])
        seeds = set.intersection(*(seeds_at[width] for width in widths))
        if len(seeds) >= LEAST_SEEDS and len(seeds) * many >= len(best[0]) * len(best[1]):
            best = widths, seeds
    return best
