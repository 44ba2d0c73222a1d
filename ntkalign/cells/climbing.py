"""As accurate as needed: what is not known well enough is measured of a more accurate flow.

The tolerances that flows are solved at are the rungs of a ladder, loosest first. A flow's error is
told by its companion one rung below, so that the first numbers are those of the second rung. Every
group of quantities climbs by itself, until all its numbers are known well enough, or the ladder
ends. A rung on which there is no flow is passed over. In the end a number is the last that was
found, with the error that it has. So it does not depend on what else was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ntkalign.quantities.measuring import Group, Measurements

FIRST = 1
"""The rung of the first numbers."""


class Reached(NamedTuple):
    """What is known of a group, and from which rung."""

    measurements: Measurements
    rung: int


Look = Callable[[tuple[Group, ...], int], Mapping[Group, Measurements]]
"""Measures groups on a rung; those of which there is no flow there are left out."""


def climb(groups: Iterable[Group], look: Look, rungs: int) -> dict[Group, Reached]:
    """Measure every group on the lowest rung that is high enough for it.

    Args:
        groups: what is wanted.
        look: measures some of them on a rung; it is called rung by rung.
        rungs: of the ladder.

    Returns:
        What was found of each; a group is missing if there was no flow on any rung.
    """
    found: dict[Group, Reached] = {}
    waiting = tuple(groups)
    for rung in range(FIRST, rungs):
        if not waiting:
            break
        seen = look(waiting, rung)
        found |= {group: Reached(seen[group], rung) for group in seen}
        waiting = tuple(g for g in waiting if g not in seen or not seen[g].well_enough)
    return found
