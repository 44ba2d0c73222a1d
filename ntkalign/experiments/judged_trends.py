"""The paper's statements about its tables, tested on our numbers.

A statement is about pairs of cells: in each, one should not be below the other. It *holds* if it
holds in every pair, *does not* if it fails in one, and there are *too few runs to say* if no pair
was trained. The pairs it fails in are named, and by how much: with one seed a difference has no
error bar, so that few that fail by little may be a matter of chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ntkalign.experiments.comparison import Cell
from ntkalign.experiments.trends import Ahead, Grows

HOLDS, DOES_NOT, TOO_FEW = "holds", "does not hold", "too few runs to say"


@dataclass(frozen=True)
class Tested:
    """A statement and what became of it.

    Attributes:
        statement: what the paper says.
        verdict: HOLDS, DOES_NOT or TOO_FEW.
        reason: in how many pairs, and where not.
    """

    statement: str
    verdict: str
    reason: str

    def as_json(self) -> dict[str, str]:
        """As plain values."""
        return {"statement": self.statement, "verdict": self.verdict, "reason": self.reason}


def judge_trend(trend: Ahead | Grows, cells: Sequence[Cell]) -> Tested:
    """Test a statement.

    Args:
        trend: the statement.
        cells: our numbers.

    Returns:
        What became of it.
    """
    sign = -1.0 if "loss" in trend.quantity else 1.0
    pairs = list(_pairs(trend, cells))
    wrong = [(where, sign * (b - a)) for where, a, b in pairs if sign * (a - b) < 0]
    if not pairs:
        return Tested(trend.statement, TOO_FEW, "no two cells of it were trained")
    if not wrong:
        return Tested(trend.statement, HOLDS, f"in {len(pairs)} of {len(pairs)} pairs")
    named = "; ".join(f"{where} by {by:.3g}" for where, by in wrong[:4])
    more = f" and {len(wrong) - 4} more" * (len(wrong) > 4)
    right = f"in {len(pairs) - len(wrong)} of {len(pairs)} pairs; not at {named}{more}"
    return Tested(trend.statement, DOES_NOT, right)


def _pairs(trend: Ahead | Grows, cells: Sequence[Cell]) -> Iterator[tuple[str, float, float]]:
    """Where, what should not be below, and below what."""
    own = [c for c in cells if c.quantity == trend.quantity and c.ours is not None]
    if isinstance(trend, Grows):
        mine = sorted(
            (c for c in own if c.key.get("rule") == trend.rule), key=lambda c: int(c.key["width"])
        )
        for narrow, wide in pairwise(mine):
            assert narrow.ours is not None
            assert wide.ours is not None
            yield _place(wide), wide.ours, narrow.ours
        return
    others = {_place(c): c.ours for c in own if c.key["rule"] == trend.behind}
    for cell in (c for c in own if c.key["rule"] == trend.ahead):
        meant = all(str(cell.key.get(name)) == str(value) for name, value in trend.among)
        other = others.get(_place(cell))
        if meant and int(cell.key["width"]) >= trend.widths and other is not None:
            assert cell.ours is not None
            yield _place(cell), cell.ours, other


def _place(cell: Cell) -> str:
    """The cell without its rule."""
    rest = [f"{k} {v}" for k, v in cell.key.items() if k not in ("rule", "width")]
    return " ".join([f"×{cell.key['width']}", *rest])
