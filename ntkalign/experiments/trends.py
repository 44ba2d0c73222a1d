"""What the paper's text says about its tables, as statements about pairs of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ahead:
    """One rule ahead of another, cell by cell.

    Args:
        statement: what the paper says.
        ahead: the rule that should be at least as good.
        behind: than this one.
        quantity: an accuracy, or a loss, which should be lower.
        widths: from this width on.
        among: other columns of the cells that are meant, by value.
    """

    statement: str
    ahead: str
    behind: str
    quantity: str = "test_accuracy"
    widths: int = 0
    among: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Grows:
    """A quantity of a rule that grows with width, from each width to the next.

    Args:
        statement: what the paper says.
        rule: whose.
        quantity: an accuracy; a loss should fall.
    """

    statement: str
    rule: str
    quantity: str = "test_accuracy"
