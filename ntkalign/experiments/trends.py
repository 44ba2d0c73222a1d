"""What the paper's text says about its tables, as statements about pairs of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ahead:
    """One rule at least as good as another, cell by cell.

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
    """Better at the widest network than at the narrowest; in between nothing is said.

    (The paper ascribes what is not monotonic in width to statistical fluctuations.)

    Args:
        statement: what the paper says.
        rule: whose; None for numbers that belong to no rule, such as a layer's score.
        quantity: an accuracy or a score; a loss should fall.
    """

    statement: str
    rule: str | None = None
    quantity: str = "test_accuracy"


@dataclass(frozen=True)
class Closes:
    """A rule closer to another at the widest network than at the narrowest.

    Args:
        statement: what the paper says.
        rule: whose.
        to: the rule it comes closer to.
        quantity: an accuracy or a loss.
    """

    statement: str
    rule: str
    to: str
    quantity: str = "test_accuracy"


Trend = Ahead | Grows | Closes
