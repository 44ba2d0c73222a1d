"""Kinds of network, each declared once: what a run calls it, and what its networks grow by.

A scaling law needs networks that differ in one number, their *size*. Of the built-in kinds it is
the width m. It may be something else: the factor α on the output of networks of one width, or the
depth. A kind says what its size is called, which family of networks settings ask for, and what
holds if nothing else is asked:

    FAMILIES.register(
        NetworkKind("lazy", LazyFamily.of, Usual(widths=(1, 4, 16, 64)),
                    size=Size("output scale", "α", kept="output scale kept"))
    )

Then ``lazy`` is a network like any other. The column of tables is called "width" for all of them.
Declarations only: nothing here imports what draws or trains a network.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ntkalign.registry import Registry, check_legal


@dataclass(frozen=True)
class Size:
    """What the networks of a family differ in.

    Args:
        name: in words, such as "width"; its plural has an s.
        symbol: as sentences and plots write it.
        kept: what is said of the control family, in which it does not count, or not everywhere.
        is_depth: whether larger networks have more layers; claims about a layer are then refused.
        largest: no run adds a larger one by itself.
    """

    name: str = "width"
    symbol: str = "m"
    kept: str = "bottleneck"
    is_depth: bool = False
    largest: int = 16384

    def say(self, text: str) -> str:
        """A sentence about widths, said of these sizes."""
        return re.sub(r"(?<![\w-])width(?=s?\b)", self.name, text)

    def power(self, exponent: float) -> str:
        """The symbol to a power, as text."""
        return f"{self.symbol}^{exponent:g}"


@dataclass(frozen=True)
class Usual:
    """What holds for a kind of network if nothing else is asked for.

    Args:
        widths: the sizes; of built-in kinds what five minutes on two cores allow.
        data: what is learnt.
        seeds: networks per size.
        tolerance: of the flow; None if it is to follow from need.
        quick: the sizes of the preset of that name, if they are others.
        deep: the same.
    """

    widths: tuple[int, ...]
    data: str = "digits"
    seeds: int = 16
    tolerance: float | None = None
    quick: tuple[int, ...] = ()
    deep: tuple[int, ...] = ()

    def of_preset(self, name: str) -> tuple[int, ...]:
        """The sizes of a preset."""
        return {"quick": self.quick, "deep": self.deep}.get(name, ()) or self.widths


@dataclass(frozen=True)
class NetworkKind:
    """A kind of network that runs can be about.

    Args:
        name: as settings, claims and the families of networks call it.
        family: takes the settings of a run and returns a family of that kind
            (:class:`~ntkalign.networks.family.NetworkFamily`); a built-in one is named as
            ``module:function`` and imported when it is first used.
        usual: what holds if nothing else is asked for.
        points: what one learns: what the built-in kind of that name does, such as "mlp" (vectors).
        takes: of the settings that not all kinds have those that it has.
        size: what its networks differ in.
        title: what reports call such networks.

    Raises:
        InputError: if the name cannot be stored.
    """

    name: str
    family: str | Callable[[Any], Any]
    usual: Usual
    points: str = "mlp"
    takes: tuple[str, ...] = ()
    size: Size = field(default_factory=Size)
    title: str = ""

    def __post_init__(self) -> None:
        check_legal("network", self.name)

    def of(self, settings: Any) -> Any:
        """The family that settings ask for."""
        make = pkgutil.resolve_name(self.family) if isinstance(self.family, str) else self.family
        return make(settings)


OF_MOST = ("depth", "activation", "bias_std", "output_exponent")
"""Settings that all built-in kinds have."""
FAMILY = "ntkalign.networks.family:"

FAMILIES: Registry[NetworkKind] = Registry(
    "network",
    (
        NetworkKind(
            "mlp",
            FAMILY + "Family.of",
            Usual(
                (64, 256, 1024, 4096),
                quick=(64, 256, 1024),
                deep=(64, 256, 1024, 4096, 16384),
            ),
            takes=(*OF_MOST, "multipliers"),
        ),
        NetworkKind(
            "rnn",
            FAMILY + "RecurrentFamily.of",
            Usual(
                (32, 100, 320, 1024),
                data="add",
                quick=(32, 100, 320),
                deep=(32, 100, 320, 1024, 2048, 4096),
            ),
            points="rnn",
            takes=(*OF_MOST, "steps", "readout"),
            title="recurrent",
        ),
        NetworkKind(
            "cnn",
            FAMILY + "ConvolutionalFamily.of",
            Usual(
                (16, 40, 100, 256),
                seeds=10,
                quick=(16, 40, 100),
                deep=(16, 40, 100, 256, 512, 1024),
            ),
            points="cnn",
            takes=(*OF_MOST, "strides", "norm", "multipliers"),
            title="convolutional",
        ),
    ),
)
WIDTH = Size()


def size_of(network: str) -> Size:
    """What networks of a kind differ in; the width if the kind is not registered here."""
    kind = FAMILIES.get(network)
    return WIDTH if kind is None else kind.size
