"""What cannot fit into memory is refused before anything is done, and told what would fit.

First what the settings alone say: a depth, or a number of seeds or points, may be so large that to
list what is asked would already fill the memory. Then, where the networks are known, each width by
its estimate (:mod:`ntkalign.runs.estimate`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ntkalign.errors import InputError
from ntkalign.machine import available_bytes, cores, in_gib
from ntkalign.runs.estimate import IDLE_BYTES, cost
from ntkalign.runs.schedulers.base import Cost
from ntkalign.runs.settings import Settings
from ntkalign.runs.sweep import Network

LAYER_BYTES = 2**20
"""Of each layer of weights, at each width: its programs, what is asked of it, its rows."""
NETWORK_BYTES = 20 * 2**10
"""Of the rows of each network."""
_LESS = {
    "depth": "a smaller depth", "seeds": "fewer seeds", "points": "fewer points",
    "inputs": "fewer inputs", "outputs": "fewer outputs", "widths": "smaller widths",
}  # fmt: skip
KERNELS = 4
"""So many matrices of P C rows are held where the time is chosen, and one more for each layer."""


def refuse_hopeless(
    settings: Settings, points: int, outputs: int | None = None, available: int | None = None
) -> None:
    """Refuse what cannot fit, whatever the networks are.

    Args:
        settings: of the run.
        points: on which networks are looked at, those held out included.
        outputs: of a point, all steps together; None where data are not known yet.
        available: bytes that there are; those of the device in use if None.

    Raises:
        InputError: for a depth, or a number of seeds, points, inputs or outputs that cannot fit.
    """
    free = available_bytes() if available is None else available
    if free is None:
        return
    widths, d = len(settings.widths), settings.inputs or 1
    c = outputs or (settings.outputs or 1) * (settings.steps or 1)

    def of_points(p: int, d: int, c: int) -> int:
        """Their numbers, and the kernels of time 0."""
        return 8 * (p * (d + c) + (KERNELS + settings.depth) * (p * c) ** 2)

    _check("depth", settings.depth, lambda n: LAYER_BYTES * widths * n, "its layers", free)
    _check("seeds", settings.seeds, lambda n: NETWORK_BYTES * widths * n, "their table", free)
    if d > points * c:
        _check("inputs", d, lambda n: of_points(points, n, c), "the points", free)
    elif c > points and settings.outputs is not None:
        each = max(1, c // settings.outputs)
        _check("outputs", c // each, lambda n: of_points(points, d, n * each), "kernels", free)
    else:
        beside = points - settings.points
        _check("points", settings.points, lambda n: of_points(n + beside, d, c), "kernels", free)


def refuse_too_wide(networks: Sequence[Network], available: int | None = None) -> None:
    """Refuse widths of which not even one network fits.

    Args:
        networks: of the run.
        available: bytes that there are; those of the device in use if None.

    Raises:
        InputError: for the first width that cannot fit, with the largest that would.
    """
    free = available_bytes() if available is None else available
    if free is None:
        return
    seen: set[tuple[str, int]] = set()
    for network in networks:
        cell = network.cell
        if (cell.family, cell.width) in seen:
            continue
        seen.add((cell.family, cell.width))
        needed = cost(network.specification, network.needs).bytes
        if needed > free:
            widths = tuple(sorted({n.cell.width for n in networks}))
            most = largest(partial(_at_most, free, network), cell.width)
            raise _refusal("widths", widths, cell.width, most, f"a network of {cell.width}",
                           needed, free)  # fmt: skip


def fits(networks: Sequence[Network]) -> bool:
    """Whether each of them does by itself, as far as anybody knows."""
    try:
        refuse_too_wide(networks)
    except InputError:
        return False
    return True


def default_workers(costs: Sequence[Cost], available: int | None = None) -> int:
    """How many worker processes a run gets that asks for no number.

    Args:
        costs: of its networks.
        available: bytes that there are; those of the device in use if None.

    Returns:
        As many as there are cores, networks, and room for the largest side by side; at least one.
    """
    free = available_bytes() if available is None else available
    count = max(1, min(cores(), len(costs)))
    if free is None:
        return count
    sizes = sorted((cost.bytes for cost in costs), reverse=True)
    while count > 1 and sum(sizes[:count]) + count * IDLE_BYTES > free:
        count -= 1
    return count


def largest(good: Callable[[int], bool], bad: int) -> int:
    """The largest number below a bad one that is good, where all below a good one are.

    Args:
        good: what is asked of a number.
        bad: a number that is not good.

    Returns:
        A number from 0; 0 is not asked about.
    """
    low = 0
    while bad - low > 1:
        middle = (low + bad) // 2
        low, bad = (middle, bad) if good(middle) else (low, middle)
    return low


def _at_most(free: int, network: Network, width: int) -> bool:
    """Whether such a network of another width would fit."""
    one = network.specification
    return cost(replace(one, cell=replace(one.cell, width=width)), network.needs).bytes <= free


def _check(name: str, given: int, needed: Callable[[int], int], what: str, free: int) -> None:
    if needed(given) > free:
        most = largest(lambda n: needed(n) <= free, given)
        raise _refusal(name, given, given, most, what, needed(given), free)


def _refusal(
    name: str, value: object, got: int, most: int, what: str, needed: int, free: int
) -> InputError:
    must = f"be at most {most}" if most else "be smaller, for none fits"
    return InputError(
        name, value, must=must, got=str(got),
        because=f"{what} would take {in_gib(needed)} GiB of memory and {in_gib(free)} are free",
        do=f"pass {_LESS[name]}",
    )  # fmt: skip
