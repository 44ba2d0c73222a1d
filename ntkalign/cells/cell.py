"""One network of a sweep: which one it is, and what a measurement of it looks like in a table.

A table of measurements has one row per (network, rule, layer, quantity, time). The fields of
:class:`Row` are its columns; nothing else lists them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ntkalign.quantities.catalogue import QUANTITIES, companions, over_time
from ntkalign.quantities.series import Series
from ntkalign.rules import Rule

OK = "ok"
UNDEFINED = "undefined: nothing moves there (dead units?), so it has no share or direction"

Needs = Mapping[Rule, frozenset[str]]
"""What is to be measured: quantities by rule."""


@dataclass(frozen=True)
class Cell:
    """One network to train by every rule and measure."""

    family: str
    width: int
    seed: int

    def __str__(self) -> str:
        return f"{self.family} network, width {self.width}, seed {self.seed}"


class Row(NamedTuple):
    """One measurement."""

    family: str
    width: int
    seed: int
    rule: str
    layer: int | None  # None: of the whole network
    quantity: str
    time: float | None  # None: the largest over the saved times, or of no time
    value: float
    error: float
    status: str  # OK, or why there is no value


class Name(NamedTuple):
    """What was measured of one network and rule."""

    layer: int | None
    quantity: str
    time: float | None = None


Measured = dict[Name, tuple[float, float, str]]
"""Value, error and status of each."""


def with_companions(quantities: Iterable[str]) -> frozenset[str]:
    """These quantities, and all that are measured together with one of them.

    Returns:
        Their names.

    Raises:
        InputError: if one is not registered.
    """
    return frozenset(record.name for name in quantities for record in companions(name))


def labelled(cell: Cell, rule: str, measured: Measured) -> list[Row]:
    """What was measured of one rule, as rows of the table."""
    return [
        Row(cell.family, cell.width, cell.seed, rule, *name, *found)
        for name, found in measured.items()
    ]


def with_status(found: Mapping[tuple[int | None, str], tuple[float, float]]) -> Measured:
    """Values and errors with OK, or why there is none."""
    return {
        Name(*name): (value, error, OK if math.isfinite(value + error) else UNDEFINED)
        for name, (value, error) in found.items()
    }


def at_times(found: Series, times: Iterable[float]) -> Measured:
    """What was measured at each saved time; what is undefined there is left out."""
    return {
        Name(layer, over_time(quantity), float(t)): (float(value), float(error), OK)
        for (layer, quantity), (values, errors) in found.items()
        for t, value, error in zip(times, values, errors, strict=True)
        if math.isfinite(value + error)
    }


def lost(quantities: Iterable[str], depth: int, status: str) -> Measured:
    """What could not be measured, and why."""
    return {
        Name(layer, quantity): (math.nan, math.nan, status)
        for quantity in sorted(quantities)
        for layer in QUANTITIES.lookup(quantity).layers.of(depth)
    }


def could_not_run(cell: Cell, needs: Needs, depth: int, status: str) -> list[Row]:
    """Rows for a network of which nothing could be measured."""
    return [
        row
        for rule, quantities in needs.items()
        for row in labelled(cell, rule.name, lost(with_companions(quantities), depth, status))
    ]
