"""What a claim is: a statement about how one measured quantity goes with the width.

A claim names its quantity, says at which rate it is stated to decay, and of which learning rules
it speaks; of which layers follows from the quantity. A *question* puts it to one family of
networks, one rule and one layer. A control is a question whose answer must be no: of a rule, or
of a family with a bottleneck, of which the claim would be wrong.

Declarations only: nothing here imports what trains or measures networks. The paper's claims are in
:mod:`ntkalign.claims.theory`, those about kernels in :mod:`ntkalign.claims.kernels`; how a verdict
is reached is in :mod:`ntkalign.claims.verdicts`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from ntkalign.errors import unknown_name
from ntkalign.networks.kinds import Size, size_of
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.quantity import Layers
from ntkalign.registry import check_legal
from ntkalign.statistics.judgement import Bound
from ntkalign.statistics.judgement import Kind as Kind

MAIN, BOTTLENECK = "main", "bottleneck"
"""The family under test, and the same with one hidden layer that does not grow."""
COMPARED, CONTROLS = "<compared>", "<controls>"
"""Stand for the rules that a run compares with gradient descent, and for its control rules."""


class Place(Enum):
    """Of which layers a control is asked."""

    HIDDEN = "the hidden layers"
    NECK = "the bottleneck"
    ABOVE_NECK = "the layer that sees the bottleneck"


@dataclass(frozen=True)
class Control:
    """Of what a claim must be found wrong.

    Args:
        family: MAIN or BOTTLENECK.
        rules: names of rules; COMPARED and CONTROLS stand for several.
        place: of which layers, if the quantity is one of layers.
    """

    family: str
    rules: tuple[str, ...]
    place: Place = Place.HIDDEN

    def __post_init__(self) -> None:
        if self.family not in (MAIN, BOTTLENECK):
            raise unknown_name("family", self.family, (MAIN, BOTTLENECK), "only these are run")


@dataclass(frozen=True)
class Claim:
    """One statement about one measured quantity.

    Args:
        id: how commands and reports call it.
        equation: where it is stated.
        statement: in words and symbols, for people.
        quantity: the name of what it is about, see :mod:`ntkalign.quantities.catalogue`.
        kind: what is stated.
        stated_exponent: p of a bound O(m^p).
        rules: names of the rules that it speaks of; COMPARED stands for several.
        controls: of what it must be found wrong.
        companion: the same quantity relative to what it is a part of; its record's if None.
        symbol: how plots write the quantity; as its record does if empty.
        layers: of which layers it speaks, if not of all that its quantity is one of.
        network: of which kind of network it speaks.
        formula: the statement for a page that typesets it, in LaTeX between dollars; pages show
            the plain statement if empty.
        if_refuted: what follows for the theory if it is found wrong, as a sentence.

    Raises:
        InputError: if the id cannot be stored, or kind and exponent do not go together.
    """

    id: str
    equation: str
    statement: str
    quantity: str
    kind: Kind
    stated_exponent: float | None = None
    rules: tuple[str, ...] = ("normal",)
    controls: tuple[Control, ...] = ()
    companion: str | None = None
    symbol: str = ""
    layers: Layers | None = None
    network: str = "mlp"
    formula: str = ""
    if_refuted: str = ""

    def __post_init__(self) -> None:
        check_legal("claim", self.id)
        Bound(self.kind, self.stated_exponent)  # refuses a bound without a rate, say
        record = QUANTITIES.get(self.quantity)
        if record is not None:
            object.__setattr__(self, "companion", self.companion or record.relative)
            object.__setattr__(self, "symbol", self.symbol or record.symbol)
            object.__setattr__(self, "layers", self.layers or record.layers)

    def says_the_same_as(self, other: Claim) -> bool:
        """Whether both are one statement, whatever it is asked of and however it is typeset."""
        where = ("rules", "controls", "layers", "network", "formula", "if_refuted")
        return replace(self, **{name: getattr(other, name) for name in where}) == other

    @property
    def stated(self) -> str:
        """The stated rate as text."""
        if self.stated_exponent is None:
            return self.kind.value
        return f"O({self.size.power(self.stated_exponent)})"

    @property
    def size(self) -> Size:
        """What the networks that it speaks of differ in."""
        return size_of(self.network)


@dataclass(frozen=True)
class Question:
    """A claim put to one network family, rule and layer. A control is expected not to hold."""

    claim: Claim
    family: str
    rule: str
    layer: int | None = None
    control: bool = False
