"""What the paper's text says about its numbers, as statements that ours can contradict.

A statement is about cells. Which are meant is said by the values of their keys: a value, one from
some number on, or the smallest or largest of those that were measured. What one statement does not
name, such as the width, is the same in both of the cells that it compares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple


class Least(NamedTuple):
    """Values from this one on."""

    value: float


FIRST, LAST = "first", "last"
"""The smallest and the largest value that was measured."""
Where = tuple[tuple[str, Any], ...]
"""Keys of cells, and the values they should have."""


def at(**values: Any) -> Where:
    """Cells with these values."""
    return tuple(values.items())


@dataclass(frozen=True)
class Ahead:
    """Numbers at least as good as others, pair by pair.

    Args:
        statement: what the paper says.
        ahead: those that should be at least as good.
        behind: as these.
        quantity: of both; "quantity" may be a key of theirs instead.
        among: of these cells only.
        generally: whether the paper says so: it holds then if it does in most pairs.
    """

    statement: str
    ahead: Where
    behind: Where
    quantity: str = "test_accuracy"
    among: Where = ()
    generally: bool = False


@dataclass(frozen=True)
class Nearer:
    """A rule closer to another in some cells than in others, or than a third rule is.

    Args:
        statement: what the paper says.
        rules: the two.
        near: where their difference should be smaller.
        far: than here.
        quantity: of which they differ.
        among: of these cells only.
        than: the two rules whose difference should be larger; the same two if None.
    """

    statement: str
    rules: tuple[str, str]
    near: Where
    far: Where
    quantity: str = "test_accuracy"
    among: Where = ()
    than: tuple[str, str] | None = None


@dataclass(frozen=True)
class Bound:
    """Numbers, or differences of two rules, or spreads, between bounds.

    Args:
        statement: what the paper says.
        low: the smallest.
        high: the largest.
        of: "ours", "spread" over seeds, or "gap" or "ratio" of two rules.
        rules: the two: the first one's number less the second's, or over it.
        quantity: which.
        among: of these cells only.
    """

    statement: str
    low: float = -math.inf
    high: float = math.inf
    of: str = "ours"
    rules: tuple[str, ...] = ()
    quantity: str = "test_accuracy"
    among: Where = ()


Trend = Ahead | Nearer | Bound


def rule_ahead(
    statement: str, ahead: str, behind: str, quantity: str = "test_accuracy", **among: Any
) -> Ahead:
    """One rule at least as good as another."""
    return Ahead(statement, at(rule=ahead), at(rule=behind), quantity, at(**among))


def grows(statement: str, key: str, quantity: str, **among: Any) -> Ahead:
    """Better at the largest value of a key than at the smallest; in between nothing is said.

    (The paper ascribes what is not monotonic in width to statistical fluctuations.)

    Returns:
        The statement.
    """
    return Ahead(statement, at(**{key: LAST}), at(**{key: FIRST}), quantity, at(**among))


def falls(statement: str, key: str, quantity: str, **among: Any) -> Ahead:
    """Better at the smallest value of a key than at the largest."""
    return Ahead(statement, at(**{key: FIRST}), at(**{key: LAST}), quantity, at(**among))


def closes(
    statement: str, rule: str, to: str, quantity: str = "test_accuracy", **among: Any
) -> Nearer:
    """A rule closer to another at the widest network than at the narrowest."""
    return Nearer(statement, (rule, to), at(width=LAST), at(width=FIRST), quantity, at(**among))
