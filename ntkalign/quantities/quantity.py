r"""What can be measured of a trained network, as a record: all there is to say of it, once.

A record says how the quantity is called and written, of which layers there is one, and which
function measures it. It computes nothing and imports no engine, so that claims, reports and the
command line can read it. The built-in ones are in :mod:`ntkalign.quantities.catalogue`; one of
your own is registered beside them and works in a claim of your own:

    QUANTITIES.register(
        Quantity("largest-output", r"$\max_x|f^t|$", Layers.WHOLE, largest_output)
    )
"""

from __future__ import annotations

import enum
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ntkalign.quantities.series import Series
from ntkalign.registry import check_legal

VERIFY, KERNELS, PROOF = "verify", "kernels", "proof"
"""The commands that measure quantities."""

Measure = Callable[[Any], Series]
"""Of an :class:`ntkalign.quantities.observed.Observed`."""


class Layers(enum.Enum):
    """What a quantity is one of."""

    HIDDEN = "each hidden layer"
    EVERY = "each layer of weights"
    FIRST = "the first layer of weights"
    WHOLE = "the whole network"
    RECURRENCE = "the recurrent weights, below the readout"

    def of(self, depth: int) -> tuple[int | None, ...]:
        """The layers of a network with so many layers of weights; None is the whole of it."""
        if self is Layers.WHOLE:
            return (None,)
        if self is Layers.FIRST:
            return (1,)
        if self is Layers.RECURRENCE:
            return (depth - 1,)
        return tuple(range(1, depth if self is Layers.HIDDEN else depth + 1))


class ErrorFrom(enum.Enum):
    """What tells the error of the flow; what the measuring itself adds is always counted."""

    LOOSER_FLOW = "the difference from a flow at a looser tolerance, and the flow's own estimate"
    ESTIMATE = "the flow's own estimate, if it has one: measuring a second flow costs too much"
    MEASURING = "the measuring, which states the whole error (of sampling, say)"


@dataclass(frozen=True)
class Quantity:
    """One measured quantity.

    Args:
        name: how tables and claims call it.
        symbol: how plots write it, as matplotlib's mathtext.
        layers: of what there is one.
        measure: takes an :class:`ntkalign.quantities.observed.Observed` and returns the quantity
            at the saved times, for all its layers; with it, any others whose records name the
            same function. A built-in one is named as ``module:function`` and imported when it is
            first used.
        equation: where the paper defines it.
        relative: the quantity that is this one over what it is a part of, if there is one.
        signed: whether it may be negative; if not it is drawn on a logarithmic axis.
        references: rules whose flows it is compared with.
        error_from: what tells its error.
        command: which command measures it.
        trained: whether it is of a trained network; one of networks at time 0 is not affected by
            how far training moves them.
        over_time: whether tables have it at every saved time, too, for plots.
        size: what claims compare it with, if it may be far smaller: 1 for the difference of two
            sides of an identity, relative to one of them. Its error need not be small beside
            itself, only beside this.

    Raises:
        InputError: if the name cannot be stored.
    """

    name: str
    symbol: str
    layers: Layers
    measure: str | Measure
    equation: str = ""
    relative: str | None = None
    signed: bool = False
    references: tuple[str, ...] = ()
    error_from: ErrorFrom = ErrorFrom.LOOSER_FLOW
    command: str = VERIFY
    trained: bool = True
    over_time: bool = False
    size: float = 0.0

    def __post_init__(self) -> None:
        check_legal("quantity", self.name)
        object.__setattr__(self, "references", tuple(self.references))

    @property
    def function(self) -> Measure:
        """The measuring function itself."""
        if isinstance(self.measure, str):
            return pkgutil.resolve_name(self.measure)
        return self.measure
