"""From records to numbers: the wanted quantities of a flow and of its looser companion.

Quantities that name the same measuring function are a *group*: they are measured together, each
group once a flow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ntkalign.errors import InputError
from ntkalign.quantities.catalogue import EXPANSION, QUANTITIES, companions
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.quantity import ErrorFrom, Measure, Quantity
from ntkalign.quantities.series import (
    ESTIMATE_FACTOR,
    Name,
    Numbers,
    Series,
    supremum,
    well_enough,
)

Group = tuple[Quantity, ...]
"""All that name one measuring function, in the catalogue's order."""


def references_of(wanted: Iterable[str]) -> tuple[str, ...]:
    """The rules whose flows some of these quantities are compared with."""
    return tuple(dict.fromkeys(r for name in wanted for r in _record(name).references))


@dataclass(frozen=True)
class Measurements:
    """What was measured of a flow.

    Attributes:
        numbers: the largest value over time and its error, for each layer and quantity.
        over_time: values and errors at each saved time, of those whose records ask for it.
        well_enough: whether no more accurate flow is needed.
    """

    numbers: Numbers
    over_time: Series
    well_enough: bool = True


def groups_of(wanted: Iterable[str]) -> tuple[Group, ...]:
    """The wanted quantities with those measured along with them, in the catalogue's order.

    Args:
        wanted: names of quantities.

    Returns:
        A group for each measuring function; a user's records are never mixed with the package's.

    Raises:
        InputError: if a name is not registered.
    """
    asked = {record.name for name in wanted for record in companions(name)}
    groups: dict[tuple[str | Measure, bool], list[Quantity]] = {}
    for record in QUANTITIES.values():
        if record.name in asked:
            own = record.measure, QUANTITIES.is_built_in(record)
            groups.setdefault(own, []).append(record)
    return tuple(map(tuple, groups.values()))


def measure_groups(
    groups: Iterable[Group], fine: Observed, coarse: Observed
) -> dict[Group, Measurements]:
    """Some groups of a flow, as they are found quickest.

    Args:
        groups: what is measured.
        fine: the flow.
        coarse: the one at a looser tolerance.

    Returns:
        What was measured of each.

    Raises:
        InputError: if a function does not return what its record says.
    """
    # what needs Jacobians first: the others then find the passes that came with them
    costly = sorted(groups, key=lambda group: group[0].error_from is not ErrorFrom.ESTIMATE)
    return {group: measure_group(group, fine, coarse) for group in costly}


def together(found: Mapping[Group, Measurements]) -> Measurements:
    """All groups as one, in the order of the catalogue.

    Args:
        found: what was measured, by group.

    Returns:
        Numbers and series of all.
    """
    order = {name: place for place, name in enumerate(QUANTITIES)}
    every = [found[group] for group in sorted(found, key=lambda group: order[group[0].name])]
    return Measurements(
        {name: number for own in every for name, number in own.numbers.items()},
        {name: series for own in every for name, series in own.over_time.items()},
        all(own.well_enough for own in every),
    )


def measure(wanted: Iterable[str], fine: Observed, coarse: Observed) -> Measurements:
    """The wanted quantities, and those measured along with them, in the catalogue's order.

    Args:
        wanted: names of quantities.
        fine: the flow.
        coarse: the one at a looser tolerance.

    Returns:
        One number for each layer and quantity, and some at every saved time.

    Raises:
        InputError: if a name is not registered, or a function does not return what its record says.
    """
    return together(measure_groups(groups_of(wanted), fine, coarse))


def measure_group(records: Sequence[Quantity], fine: Observed, coarse: Observed) -> Measurements:
    """All quantities of one measuring function.

    Args:
        records: those that name it.
        fine: the flow.
        coarse: the one at a looser tolerance.

    Returns:
        What was measured.

    Raises:
        InputError: if the function does not return what the records say.
    """
    estimate = fine.flow.effort.estimate
    sources = {record.name: record.error_from for record in records}
    known = values = _known(records, fine)
    if unsettled := fine.flow.effort.unsettled:
        values = {
            name: (v, b if sources[name[1]] is ErrorFrom.MEASURING else b + unsettled * np.abs(v))
            for name, (v, b) in known.items()
        }
    twice = ErrorFrom.LOOSER_FLOW in sources.values() or (
        ErrorFrom.ESTIMATE in sources.values() and estimate is None
    )
    looser = _known(records, coarse) if twice else {}
    result: Numbers = {}
    for name, series in values.items():
        if sources[name[1]] is ErrorFrom.MEASURING:
            result[name] = float(series[0].max()), float(series[1].max())
        else:
            result |= supremum({name: series}, looser, estimate)
    shown = {record.name for record in records if record.over_time}
    sizes = {record.name: record.size for record in records}
    enough = all(
        well_enough(*result[name], float(bounds.max()), sizes[name[1]])
        for name, (_, bounds) in known.items()
    )
    return Measurements(result, _over_time(values, looser, estimate, shown), enough)


def expansion(seen: Observed) -> np.ndarray:
    """How far the network is moved as a share of it, the largest of EXPANSION, at each time."""
    every = [_known(group, seen) for group in groups_of(EXPANSION)]
    return np.max(
        [values for series in every for (_, name), (values, _) in series.items()
         if name in EXPANSION], axis=0,
    )  # fmt: skip


def _known(records: Sequence[Quantity], seen: Observed) -> Series:
    """Measured once a flow: what was the fine one is the companion of the next."""
    names = tuple(record.name for record in records)
    if names not in seen.measured:
        seen.measured[names] = checked_series(records, seen)
    return seen.measured[names]


def _over_time(
    fine: Series, coarse: Series, estimate: float | None, shown: Collection[str]
) -> Series:
    """Each value with what the flow's error and the measuring may do to it."""
    found: Series = {}
    for name, (values, bounds) in fine.items():
        if name[1] in shown:
            error = ESTIMATE_FACTOR * (estimate or 0.0) * np.abs(values) + bounds
            if name in coarse:
                error = error + np.abs(values - coarse[name][0])
            found[name] = values, error
    return found


def checked_series(records: Sequence[Quantity], seen: Observed) -> Series:
    """What a measuring function returns: exactly what its records declare.

    Args:
        records: those that name it.
        seen: the flow.

    Returns:
        Values and bounds at the saved times.

    Raises:
        InputError: if it returns something else.
    """
    series = records[0].function(seen)
    declared: set[Name] = {
        (layer, record.name) for record in records for layer in record.layers.of(seen.network.depth)
    }
    if series.keys() != declared:
        odd = sorted(map(_described, series.keys() ^ declared))
        raise InputError(
            "quantity", records[0].name, must="be measured for the layers that its record names",
            got=f"more or less than that: {', '.join(odd[:3])}",
            because="what is not measured cannot be judged, and nothing else may be replaced",
            do="return one series for each (layer, quantity), layer None for the whole network",
        )  # fmt: skip
    for name, (values, bounds) in series.items():
        if np.ndim(values) != 1 or np.shape(values) != np.shape(bounds) or not np.size(values):
            raise InputError(
                "quantity", name[1], must="be given as values and bounds of shape (times,)",
                got=f"shapes {np.shape(values)} and {np.shape(bounds)}",
                because="claims are about the largest value over time", do="return two such arrays",
            )  # fmt: skip
    return {name: (np.asarray(v, float), np.asarray(e, float)) for name, (v, e) in series.items()}


def _described(name: Name) -> str:
    layer, quantity = name
    return quantity if layer is None else f"{quantity} of layer {layer}"


def _record(name: str) -> Quantity:
    return QUANTITIES.lookup(name, "quantity")
