"""The paper's statements about its numbers, tested on ours.

A statement is about pairs of cells: in each, one should not be below the other. Where a cell has an
error (several seeds, or an accuracy, which is a share of so many points) a difference must be
larger than its own to count. A statement

- *does not hold* if a pair contradicts it by more than chance would, at 1 % for all its pairs;
- *holds* if all pairs agree with it, and together by more than chance would;
- else there are *too few runs to say*, or there is no pair of which both were trained.

The two accuracies of a pair are taken as independent, although they are of the same points, which
makes errors too large rather than too small. A handful of seeds is judged by Student's t. Numbers
of one seed that are no shares have no known error: there the sign decides, and few pairs that fail
by little may be a matter of chance. A run that diverged is worse than any that did not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from scipy.special import stdtrit

from ntkalign.experiments.comparison import Cell
from ntkalign.experiments.quantities import QUANTITIES
from ntkalign.experiments.trends import FIRST, LAST, Ahead, Bound, Least, Nearer, Trend, Where

HOLDS, DOES_NOT, TOO_FEW = "holds", "does not hold", "too few runs to say"
NO_PAIR = "no two cells of it were trained"
CHANCE = 0.01
"""Of a statement that is true and said not to hold, and of one about nothing that is said to."""
_NAMED = 4
"""Pairs that a reason names."""


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

    @property
    def of_any(self) -> bool:
        """Whether there was a pair to test it on."""
        return self.reason != NO_PAIR

    def as_json(self) -> dict[str, str]:
        """As plain values."""
        return {"statement": self.statement, "verdict": self.verdict, "reason": self.reason}


class Value(NamedTuple):
    """A number, its standard error, 0 if none is known, and how well that is known."""

    number: float
    error: float
    freedom: float = math.inf  # degrees of freedom


class Pair(NamedTuple):
    """By how much one number is as it should be beside another; below 0 if it is not."""

    where: str
    ahead: float
    error: float
    freedom: float = math.inf


def _combined(terms: Iterable[Value | Pair]) -> tuple[float, float]:
    """Standard error of a sum, and its degrees of freedom (Welch and Satterthwaite)."""
    terms = list(terms)
    error = math.sqrt(sum(term.error**2 for term in terms))
    spread = sum(term.error**4 / term.freedom for term in terms)
    return error, error**4 / spread if spread > 0 else math.inf


def judge_trend(trend: Trend, cells: Sequence[Cell]) -> Tested:
    """Test a statement.

    Args:
        trend: the statement.
        cells: our numbers.

    Returns:
        What became of it.
    """
    found = _PAIRS[type(trend)](trend, [_flat(cell) for cell in cells])
    pairs = [pair for pair in found if not math.isnan(pair.ahead)]  # of which both diverged
    if not pairs:
        return Tested(trend.statement, TOO_FEW, NO_PAIR)
    clear = [
        pair for pair in pairs
        if pair.ahead < stdtrit(pair.freedom, CHANCE / len(pairs)) * pair.error
    ]  # fmt: skip
    behind = [pair for pair in pairs if pair.ahead < 0]
    reason = f"in {len(pairs) - len(behind)} of {len(pairs)} pairs" + _named(behind)
    if getattr(trend, "generally", False):
        verdict = HOLDS if 2 * len(behind) < len(pairs) else DOES_NOT
        return Tested(trend.statement, verdict, reason)
    if clear:
        return Tested(trend.statement, DOES_NOT, reason)
    error, freedom = _combined(pairs)
    if behind or sum(pair.ahead for pair in pairs) < -stdtrit(freedom, CHANCE) * error:
        return Tested(trend.statement, TOO_FEW, f"{reason}, no more than chance would make")
    return Tested(trend.statement, HOLDS, reason)


def _named(pairs: Sequence[Pair]) -> str:
    if not pairs:
        return ""
    told = "; ".join(
        f"{pair.where}, where it diverged"
        if math.isinf(pair.ahead)
        else f"{pair.where} by {-pair.ahead:.3g}" + f" ± {pair.error:.2g}" * (pair.error > 0)
        for pair in pairs[:_NAMED]
    )
    return f"; not at {told}" + f" and {len(pairs) - _NAMED} more" * (len(pairs) > _NAMED)


Flat = tuple[dict[str, Any], Value]
"""A cell: its keys, the quantity among them, and its number. A spread is a key that is no column,
so that pairs are not told by it."""
_SPREAD = "spread over seeds"


def _flat(cell: Cell) -> Flat:
    key = cell.key | {"quantity": cell.quantity, _SPREAD: cell.spread}
    if cell.ours is None:
        return key, Value(-math.inf if QUANTITIES[cell.quantity].higher else math.inf, 0.0)
    freedom = cell.trials - 1 if cell.spread is not None else math.inf
    return key, Value(cell.ours, cell.error, freedom)


def _chosen(cells: Iterable[Flat], where: Where) -> list[Flat]:
    """Those that a statement means; the smallest and largest value among cells that are else alike.

    Returns:
        The cells, in their order.
    """
    found = list(cells)
    for name, wanted in where:
        have = [(key, value) for key, value in found if name in key]
        if wanted in (FIRST, LAST):
            ends: dict[Any, Any] = {}
            pick = min if wanted == FIRST else max
            for key, _ in have:
                rest = _rest(key, {name})
                ends[rest] = pick(ends.get(rest, key[name]), key[name])
            several = {_rest(k, {name}) for k, _ in have if k[name] != ends[_rest(k, {name})]}
            found = [
                (k, v) for k, v in have
                if (rest := _rest(k, {name})) in several and k[name] == ends[rest]
            ]  # fmt: skip
        elif isinstance(wanted, Least):
            found = [(key, value) for key, value in have if key[name] >= wanted.value]
        else:
            found = [(key, value) for key, value in have if key[name] == wanted]
    return found


def _rest(key: dict[str, Any], told: Iterable[str]) -> tuple[tuple[str, Any], ...]:
    """A cell's keys without some."""
    names = {*told, _SPREAD}
    return tuple((name, value) for name, value in key.items() if name not in names)


def _pairs(
    ahead: list[Flat], behind: list[Flat], told: Iterable[str], higher: Callable[[Any], bool]
) -> Iterator[Pair]:
    """Numbers whose other keys agree."""
    others = {_rest(key, told): value for key, value in behind}
    for key, own in ahead:
        other = others.get(_rest(key, told))
        if other is not None:
            sign = 1.0 if higher(key) else -1.0
            error, freedom = _combined((own, other))
            lead = sign * (own.number - other.number)
            yield Pair(_place(key, {*told}), lead, error, freedom)


def _higher(key: dict[str, Any]) -> bool:
    return QUANTITIES[key["quantity"]].higher


def _of(cells: Iterable[Flat], quantity: str, where: Where) -> list[Flat]:
    return _chosen([(k, v) for k, v in cells if k["quantity"] == quantity], where)


def _ahead(trend: Ahead, cells: list[Flat]) -> Iterator[Pair]:
    told = dict((*trend.ahead, *trend.behind))
    if "quantity" not in told:
        cells = [cell for cell in cells if cell[0]["quantity"] == trend.quantity]
    own = _chosen(cells, trend.among)
    yield from _pairs(_chosen(own, trend.ahead), _chosen(own, trend.behind), told, _higher)


def _nearer(trend: Nearer, cells: list[Flat]) -> Iterator[Pair]:
    own = _of(cells, trend.quantity, trend.among)
    near, far = (
        [(key, gap._replace(number=abs(gap.number))) for key, gap in _differences(own, rules)]
        for rules in (trend.rules, trend.than or trend.rules)
    )
    told = dict((*trend.near, *trend.far))
    yield from _pairs(_chosen(near, trend.near), _chosen(far, trend.far), told, lambda key: False)


def _differences(cells: list[Flat], rules: Sequence[str], ratio: bool = False) -> list[Flat]:
    """The first rule's number less the second's, or over it, wherever both have one."""
    one, two = ({_rest(k, {"rule"}): v for k, v in cells if k["rule"] == rule} for rule in rules)
    found = []
    for key in (key for key in one if key in two):
        a, b = one[key], two[key]
        if ratio:
            if b.number == 0:
                continue
            over = a.number / b.number
            a = Value(over, a.error / b.number, a.freedom)
            b = Value(0.0, over * b.error / b.number if b.error else 0.0, b.freedom)
        found.append((dict(key), Value(a.number - b.number, *_combined((a, b)))))
    return found


def _bound(trend: Bound, cells: list[Flat]) -> Iterator[Pair]:
    own = _of(cells, trend.quantity, trend.among)
    if trend.of == "spread":  # whose own error is a matter of a handful of seeds: not known here
        own = [(key, Value(key[_SPREAD], 0.0)) for key, _ in own if key[_SPREAD] is not None]
    elif trend.of in ("gap", "ratio"):
        own = _differences(own, trend.rules, ratio=trend.of == "ratio")
    for key, (number, error, freedom) in own:
        inside = min(number - trend.low, trend.high - number)
        yield Pair(_place(key, set()), inside, error, freedom)


_PAIRS: dict[type, Callable[[Any, list[Flat]], Iterator[Pair]]] = {
    Ahead: _ahead, Nearer: _nearer, Bound: _bound,
}  # fmt: skip


def _place(key: dict[str, Any], told: set[str]) -> str:
    """A pair by what both have; the width in any case: of two, the one that is the better one's."""
    kept = {k: v for k, v in key.items() if k not in {"quantity", _SPREAD} | (told - {"width"})}
    signs = {"width": "×", "rule": "", "data": "", "setting": ""}
    return " ".join(f"{signs.get(name, f'{name} ')}{value}" for name, value in kept.items())
