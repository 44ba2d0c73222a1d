"""The paper's statements about its tables, tested on our numbers.

A statement is about pairs of cells: in each, one should not be below the other. It *holds* if it
holds in every pair, *does not* if it fails in one, and there are *too few runs to say* if no pair
was trained. The pairs it fails in are named, and by how much: with one seed a difference has no
error bar, so that few that fail by little may be a matter of chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ntkalign.experiments.comparison import Cell
from ntkalign.experiments.trends import Ahead, Closes, Grows, Trend

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


def judge_trend(trend: Trend, cells: Sequence[Cell]) -> Tested:
    """Test a statement.

    Args:
        trend: the statement.
        cells: our numbers.

    Returns:
        What became of it.
    """
    own = [c for c in cells if c.quantity == trend.quantity and c.ours is not None]
    pairs = list(_PAIRS[type(trend)](trend, own))
    sign = -1.0 if "loss" in trend.quantity or isinstance(trend, Closes) else 1.0
    wrong = [(where, sign * (b - a)) for where, a, b in pairs if sign * (a - b) < 0]
    if not pairs:
        return Tested(trend.statement, TOO_FEW, "no two cells of it were trained")
    if not wrong:
        return Tested(trend.statement, HOLDS, f"in {len(pairs)} of {len(pairs)} pairs")
    named = "; ".join(f"{where} by {by:.3g}" for where, by in wrong[:4])
    more = f" and {len(wrong) - 4} more" * (len(wrong) > 4)
    right = f"in {len(pairs) - len(wrong)} of {len(pairs)} pairs; not at {named}{more}"
    return Tested(trend.statement, DOES_NOT, right)


Pairs = Iterator[tuple[str, float, float]]
"""Where; what should be at least as good; as what."""


def _ahead(trend: Ahead, cells: Sequence[Cell]) -> Pairs:
    others = {_place(c): c.ours for c in cells if c.key["rule"] == trend.behind}
    for cell in (c for c in cells if c.key["rule"] == trend.ahead):
        meant = all(str(cell.key.get(name)) == str(value) for name, value in trend.among)
        other = others.get(_place(cell))
        if meant and _width(cell) >= trend.widths and other is not None and cell.ours is not None:
            yield _place(cell), cell.ours, other


def _grows(trend: Grows, cells: Sequence[Cell]) -> Pairs:
    for place, values in _by_width(c for c in cells if c.key.get("rule") == trend.rule).items():
        narrow, wide = min(values), max(values)
        if narrow < wide:
            yield f"×{wide} {place}".strip(), values[wide], values[narrow]


def _closes(trend: Closes, cells: Sequence[Cell]) -> Pairs:
    """Gaps, which should be smaller."""
    own, other = (
        _by_width(c for c in cells if c.key.get("rule") == rule) for rule in (trend.rule, trend.to)
    )
    for place in own.keys() & other.keys():
        widths = own[place].keys() & other[place].keys()
        gaps = {m: abs(own[place][m] - other[place][m]) for m in widths}
        if len(gaps) > 1:
            yield f"×{max(gaps)} {place}".strip(), gaps[max(gaps)], gaps[min(gaps)]


_PAIRS: dict[type, Callable[[Any, Sequence[Cell]], Pairs]] = {
    Ahead: _ahead, Grows: _grows, Closes: _closes,
}  # fmt: skip


def _by_width(cells: Iterable[Cell]) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for cell in cells:
        if cell.ours is not None:
            found.setdefault(_rest(cell), {})[_width(cell)] = cell.ours
    return found


def _width(cell: Cell) -> int:
    return int(cell.key["width"])


def _rest(cell: Cell) -> str:
    """The cell without its rule and its width."""
    return " ".join(f"{k} {v}" for k, v in cell.key.items() if k not in ("rule", "width"))


def _place(cell: Cell) -> str:
    """The cell without its rule."""
    return f"×{_width(cell)} {_rest(cell)}".strip()
