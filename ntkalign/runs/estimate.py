"""What a network will take, before it is drawn: seconds of one core, and bytes at the peak.

A flow is kept as rows: one for each data point, place and moment, as long as a layer is wide. A
moment is a node in time, or one output's Jacobian at a saved time. So what a network takes follows
from how many rows there are, how long they are, and how many flows are trained:

    seconds = of each flow + of entries of rows + of products of rows with weights + …
    bytes   = of what is compiled + of weights + of rows + of kernels

What cannot be known before is how many panels a flow needs, whether it ends on the dense engine,
and how far quantities climb (:mod:`ntkalign.cells.climbing`): long times in narrow networks take
some times what is said here, and so do quantities that need more than the first rung.

The constants were fitted to what networks took on two cores of an AMD EPYC, and
``benchmarks/estimates.py`` compares them with what runs took.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from ntkalign.cells.cell import Needs, with_companions
from ntkalign.cells.specification import Specification
from ntkalign.networks.base import Network
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.measuring import references_of
from ntkalign.quantities.quantity import PROOF
from ntkalign.rules import NORMAL, Rule
from ntkalign.runs.schedulers.base import Cost

REFERENCE_SPEED = 1e11
"""Operations a second of a float64 product where seconds were measured, on all cores there."""
COMPILING = 12.0
"""Seconds that the first network of an architecture takes beyond the others; what it compiles the
other workers find in the place where programs are kept."""
LOADING = 3.5
"""Seconds that their first one takes beyond the others."""
IDLE_BYTES = 450 * 2**20
"""What a worker holds that has imported everything and measured nothing."""
COMPILED_BYTES = 260 * 2**20
"""What is compiled for an architecture, and stays."""
NODES = 16
"""Of a flow: twelve to twenty-four on each panel."""
KINKED_MOMENTS = 180
"""Where σ′ jumps: some fifty iterations on a dozen short panels of a few nodes count as this."""
NARROW = 8
"""Units of a layer through which a flow takes two panels, fewer more."""
PERMUTED = "score-permuted"
"""The quantity for which the weights' change is formed as whole matrices."""
BOOKKEPT = 3
"""Rows of each flow that say what it took; of gradient descent about as many at every time."""

SECONDS_OF_A_FLOW = 0.06
SECONDS_OF_KINKS = 0.8
SECONDS_OF_AN_ENTRY = 6e-7
SECONDS_OF_A_PRODUCT = 3e-11
SECONDS_OF_A_PAIR = 1e-9
SECONDS_OF_WHOLE_MATRICES = 5e-12
SECONDS_OF_KERNELS = 2e-8
SECONDS_OF_CONVOLUTIONS = 0.45
SECONDS_OF_THEIR_JACOBIANS = 6e-8
SECONDS_OF_A_STEP = 0.007
SECONDS_OF_ITS_JACOBIANS = 3.1e-9
"""Of each flow, more of it (times panels) if units cross kinks, of an entry of a row, of a product
of one with a weight or with another row, of whole matrices, of kernels; more of each flow and entry
of a Jacobian if there are convolutions; of each function that measures what proofs speak of, at
each time, and of Jacobians there."""
WEIGHTS_HELD = 1.5
ROWS_HELD = 14
KERNELS_HELD = 8
CHANGES_HELD = 1.5
"""So many times they are in memory at the peak."""


@dataclass(frozen=True)
class Size:
    """What is counted of a network on P points.

    Attributes:
        weights: numbers in all weight matrices.
        largest: numbers in the largest of them.
        entries: numbers in the rows of one moment: of all layers, of either side.
        products: multiplications of the rows of one moment with all weights.
        pairs: multiplications of the rows of one moment with those of another, or, where that is
            less, with a change of the weights.
        whole: multiplications of all weight matrices with themselves.
        outputs: C, of all steps together.
        kernel: P C, the side of a kernel.
        panels: of a flow, as far as it can be told from the narrowest layer.
        convolutions: whether weights meet a point at several places at once.
    """

    weights: int
    largest: int
    entries: int
    products: int
    pairs: int
    whole: int
    outputs: int
    kernel: int
    panels: float
    convolutions: bool


@lru_cache(maxsize=256)
def size_of(network: Network, points: int) -> Size:
    """Count a network; nothing is drawn."""
    layers = [layer for layer in network.maps if layer.parameters.weight is not None]
    shapes = [layer.matrix_shape for layer in layers]
    rows = [points * layer.places for layer in layers]
    narrowest = min((fan_in for _, fan_in in shapes[1:]), default=NARROW)
    return Size(
        weights=sum(units * fan_in for units, fan_in in shapes),
        largest=max((units * fan_in for units, fan_in in shapes), default=0),
        entries=sum(r * (units + fan_in) for r, (units, fan_in) in zip(rows, shapes, strict=True)),
        products=sum(r * units * fan_in for r, (units, fan_in) in zip(rows, shapes, strict=True)),
        pairs=sum(
            min(r * r * (units + fan_in), r * units * fan_in)
            for r, (units, fan_in) in zip(rows, shapes, strict=True)
        ),
        whole=sum(units * fan_in * min(units, fan_in) for units, fan_in in shapes),
        outputs=network.flat_outputs,
        kernel=points * network.flat_outputs,
        panels=1 + NARROW / narrowest,
        convolutions=any(layer.places_at_once > 1 for layer in layers),
    )


@dataclass(frozen=True)
class Asked:
    """What is counted of what is wanted of a network.

    Attributes:
        flows: pairs of flows, fine and coarse, that are trained.
        proofs: how often one is measured by what the proofs speak of.
        permuted: whether whole matrices are formed.
        rows: of the table.
    """

    flows: int
    proofs: int
    permuted: bool
    rows: int


@lru_cache(maxsize=256)
def _asked(needs: tuple[tuple[Rule, frozenset[str]], ...], depth: int, times: int) -> Asked:
    """Count what is wanted, by rule, of a network that is looked at so many times."""
    trained: set[str] = set()
    every: set[str] = set()
    rows = proofs = 0
    for rule, quantities in needs:
        wanted = with_companions(quantities)
        records = [QUANTITIES.lookup(name) for name in wanted]
        if any(record.trained for record in records):
            trained |= {NORMAL.name, rule.name, *references_of(wanted)}
            rows += BOOKKEPT * (times if rule.name == NORMAL.name else 1)
        proofs += len({record.measure for record in records if record.command == PROOF})
        for record in records:
            rows += len(record.layers.of(depth)) * (1 + times * record.over_time)
        every |= wanted
    return Asked(len(trained), proofs, PERMUTED in every, rows)


def cost(specification: Specification, needs: Needs) -> Cost:
    """What a network will take, by itself, in a worker that has compiled nothing.

    Args:
        specification: of the network.
        needs: quantities by rule.

    Returns:
        Seconds of one core, without those of compilation; bytes at the peak beside those of an
        idle worker.
    """
    size, asked, times = _counted(specification, needs)
    seen = times * size.outputs
    kinked = bool(specification.family.activation.kinks)
    nodes = KINKED_MOMENTS if kinked else NODES * size.panels
    moments = nodes + seen
    seconds = (
        SECONDS_OF_A_FLOW
        + SECONDS_OF_KINKS * kinked * size.panels
        + SECONDS_OF_AN_ENTRY * size.entries * nodes
        + SECONDS_OF_A_PRODUCT * size.products * moments
        + SECONDS_OF_A_PAIR * size.pairs * NODES**2 * size.panels
        + SECONDS_OF_KERNELS * size.kernel**3
    ) * asked.flows
    if size.convolutions:
        more = SECONDS_OF_CONVOLUTIONS + SECONDS_OF_THEIR_JACOBIANS * size.entries * seen
        seconds += more * asked.flows
    of_proofs = SECONDS_OF_A_STEP + SECONDS_OF_ITS_JACOBIANS * size.entries * seen
    seconds += of_proofs * times * asked.proofs
    held = WEIGHTS_HELD * 4 * size.weights + KERNELS_HELD * 8 * size.kernel**2
    if asked.flows:
        held += ROWS_HELD * 8 * size.entries * moments
    if asked.permuted:
        seconds += SECONDS_OF_WHOLE_MATRICES * times * size.whole
        held += CHANGES_HELD * 8 * times * size.largest
    return Cost(seconds, COMPILED_BYTES + round(held))


def table_rows(specification: Specification, needs: Needs) -> int:
    """How many rows of the table a network has, nearly."""
    return _counted(specification, needs)[1].rows


def _counted(specification: Specification, needs: Needs) -> tuple[Size, Asked, int]:
    data, times = specification.data, len(specification.times)
    network = specification.family.network(
        specification.cell.width, data.x.shape[1:], data.y.shape[1]
    )
    return size_of(network, len(data.x)), _asked(tuple(needs.items()), network.depth, times), times


def costs(networks: Iterable[tuple[Specification, Needs]], workers: int = 1) -> list[Cost]:
    """What the networks of a run will take, the first of each architecture with its compilation.

    So the first ones mostly count as the longest, which are begun first: workers then compile
    different programs, where they would all compile the same ones at the same time.

    Args:
        networks: in the order in which they are begun.
        workers: each loads what the first one compiled.

    Returns:
        A cost for each.
    """
    begun: dict[tuple[str, int], int] = {}
    found = []
    for specification, needs in networks:
        one, cell = cost(specification, needs), specification.cell
        which = cell.family, cell.width
        begun[which] = begun.get(which, 0) + 1
        if begun[which] <= workers:
            more = COMPILING if begun[which] == 1 else LOADING
            one = replace(one, seconds=one.seconds + more)
        found.append(one)
    return found
