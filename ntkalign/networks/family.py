"""Networks of growing width that share everything else: the object of a scaling law.

A family has a kind of network ("mlp", "rnn", "cnn"), and gives for each width m the network whose
hidden units, or channels, are m in number. A *bottleneck* keeps one of its layers as narrow at
every width: a control, since the limit of the paper does not apply then.

What a family grows by may be another *size* than the width (:mod:`ntkalign.networks.kinds`): then
``width`` is that size here, and a bottleneck whatever keeps it from counting.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ntkalign.errors import InputError
from ntkalign.networks.activations import Activation
from ntkalign.networks.base import Network
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.fully_connected import FullyConnected
from ntkalign.networks.layers import Shape
from ntkalign.networks.normalisation import Norm
from ntkalign.networks.recurrent import Recurrent
from ntkalign.values import several, whole

STRIDE = 2
"""Of each convolution, if nothing else is asked for: a layer has fewer places than the one below,
and weights that are met less often are closer to what theory speaks of."""
RECURRENT_DEPTH = 3
"""Weight layers of a recurrent network: inputs, recurrence, readout."""
SCALED, UNSCALED = "scaled", "unscaled"
"""The readout of a recurrent network, with its factor 1/√m or as (61) is printed."""


class NetworkFamily(abc.ABC):
    """What a scaling law is about.

    Attributes:
        kind: of network, as settings call it.
        wide: a width at which the kernel is close to its limit, and the network not slow.
        depth: N, the number of weight layers.
        activation: σ.
        bias_std: β, the standard deviation of the biases at time 0.
        bottleneck: the width that one layer keeps, if any.
        output_exponent: the output scale is m^output_exponent (0 for neural tangent, −1/2 for
            mean-field scaling, a control).
    """

    kind: ClassVar[str]
    wide: ClassVar[int]
    activation: Activation
    bias_std: float
    bottleneck: int | None
    output_exponent: float

    depth: int

    @property
    def meets_assumptions(self) -> bool:
        """Whether the assumptions of Lemma 1 and the propositions are met."""
        return (
            self.activation.meets_assumptions
            and self.bottleneck is None
            and self.output_exponent == 0
        )

    @property
    @abc.abstractmethod
    def bottleneck_layer(self) -> int:
        """The hidden layer l that a bottleneck narrows."""

    @abc.abstractmethod
    def network(self, width: int, inputs: Shape, outputs: int) -> Network:
        """The member of the family whose smallest hidden layer (bottleneck aside) is ``width``.

        Args:
            width: m.
            inputs: shape of a point.
            outputs: numbers of a point's targets.

        Returns:
            The network.
        """

    def narrowed(self, bottleneck: int) -> NetworkFamily:
        """The same family with a bottleneck."""
        return replace(self, bottleneck=bottleneck)  # type: ignore[type-var]

    def drawn_as(self, width: int) -> int:
        """What a network's random key is made of beside its seed; one number: all start alike."""
        return width

    def output_scale(self, width: int) -> float:
        """α at a width."""
        return float(width) ** self.output_exponent


@dataclass(frozen=True)
class Family(NetworkFamily):
    """Fully connected networks whose width m grows.

    Args:
        depth: N ≥ 2, the number of weight layers.
        activation: σ.
        multipliers: hidden widths are m times these, relative to the smallest (which is m).
        bias_std: β of :class:`~ntkalign.networks.fully_connected.FullyConnected`.
        bottleneck: if given, the middle hidden layer keeps this width.
        output_exponent: the output scale is m^output_exponent.

    Raises:
        InputError: if there are no such networks.
    """

    kind: ClassVar[str] = "mlp"
    wide: ClassVar[int] = 1024

    depth: int
    activation: Activation
    multipliers: tuple[int, ...] = ()
    bias_std: float = 0.0
    bottleneck: int | None = None
    output_exponent: float = 0.0

    def __post_init__(self) -> None:
        _check_depth(self.depth, "a network needs a hidden layer")
        _check_multipliers(self.multipliers, self.depth)

    @classmethod
    def of(cls, settings: Any) -> Family:
        """The family that the settings of a run ask for."""
        return cls(**_taken(settings, "depth", "multipliers"))

    @property
    def bottleneck_layer(self) -> int:
        """The middle one."""
        return self.depth // 2

    def network(self, width: int, inputs: Shape, outputs: int) -> FullyConnected:
        """Points are vectors."""
        (size,) = inputs
        return FullyConnected(
            widths=(size, *_hidden(self, self.multipliers, width), outputs),
            activation=self.activation,
            bias_std=self.bias_std,
            output_scale=self.output_scale(width),
        )


@dataclass(frozen=True)
class RecurrentFamily(NetworkFamily):
    """Recurrent networks with m hidden units (Appendix E).

    Args:
        activation: σ.
        bias_std: β.
        bottleneck: if given, the number of hidden units at every width.
        output_exponent: the output scale is m^output_exponent.
        scaled_readout: whether the readout has its factor 1/√m; (61) as printed has none.
    """

    kind: ClassVar[str] = "rnn"
    wide: ClassVar[int] = 1024

    activation: Activation
    bias_std: float = 0.0
    bottleneck: int | None = None
    output_exponent: float = 0.0
    scaled_readout: bool = True

    @classmethod
    def of(cls, settings: Any) -> RecurrentFamily:
        """The family that the settings of a run ask for.

        Args:
            settings: of the run.

        Returns:
            The family.

        Raises:
            InputError: if they ask for another depth.
        """
        if settings.depth != RECURRENT_DEPTH:
            raise InputError(
                "depth", settings.depth, must=f"be {RECURRENT_DEPTH} for network rnn",
                got=repr(settings.depth),
                because="its weights are of inputs, recurrence and readout", do="leave it out",
            )  # fmt: skip
        return cls(**_taken(settings), scaled_readout=settings.readout == SCALED)

    @property
    def depth(self) -> int:  # type: ignore[override]
        """Inputs, recurrence, readout."""
        return RECURRENT_DEPTH

    @property
    def meets_assumptions(self) -> bool:
        """Without its factor the readout has no neural tangent limit."""
        return super().meets_assumptions and self.scaled_readout

    @property
    def bottleneck_layer(self) -> int:
        """The recurrence: there is no other."""
        return RECURRENT_DEPTH - 1

    def network(self, width: int, inputs: Shape, outputs: int) -> Recurrent:
        """Points are sequences; their targets are those of all steps."""
        steps, features = inputs
        return Recurrent(
            width=width if self.bottleneck is None else self.bottleneck,
            steps=steps,
            activation=self.activation,
            features=features,
            targets=outputs // steps,
            scaled_readout=self.scaled_readout,
            bias_std=self.bias_std,
            output_scale=self.output_scale(width),
        )


@dataclass(frozen=True)
class ConvolutionalFamily(NetworkFamily):
    """Convolutions of 3 × 3 with m channels, global average pooling, a dense layer.

    Args:
        depth: N ≥ 2, the convolutions and the dense layer.
        activation: σ.
        multipliers: channels are m times these, relative to the smallest (which is m).
        strides: of each convolution; STRIDE for all if there are none.
        bias_std: β.
        bottleneck: if given, the middle convolution keeps so many channels.
        output_exponent: the output scale is m^output_exponent.
        norm: which batch norm stands before each activation; it makes points see one another,
            which is outside the theory.

    Raises:
        InputError: if there are no such networks.
    """

    kind: ClassVar[str] = "cnn"
    wide: ClassVar[int] = 256

    depth: int
    activation: Activation
    multipliers: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    bias_std: float = 0.0
    bottleneck: int | None = None
    output_exponent: float = 0.0
    norm: Norm = Norm.NONE

    def __post_init__(self) -> None:
        _check_depth(self.depth, "a convolutional network has a convolution and a dense layer")
        _check_multipliers(self.multipliers, self.depth)
        positive = whole(1, "windows move by it", "pass 2,2, say")
        several(positive, "there is one per convolution", "leave them out")("strides", self.strides)
        if self.strides and len(self.strides) != self.depth - 1:
            raise _one_each("strides", self.strides, self.depth, STRIDE, "convolution")

    @classmethod
    def of(cls, settings: Any) -> ConvolutionalFamily:
        """The family that the settings of a run ask for."""
        own = _taken(settings, "depth", "multipliers", "strides")
        return cls(**own, norm=Norm(settings.norm))

    @property
    def meets_assumptions(self) -> bool:
        """A batch norm is outside of them."""
        return super().meets_assumptions and self.norm is Norm.NONE

    @property
    def every_stride(self) -> tuple[int, ...]:
        """Of each convolution."""
        return self.strides or (STRIDE,) * (self.depth - 1)

    @property
    def bottleneck_layer(self) -> int:
        """The middle one."""
        return self.depth // 2

    def network(self, width: int, inputs: Shape, outputs: int) -> Convolutional:
        """Points are images."""
        return Convolutional(
            image=inputs,
            filters=_hidden(self, self.multipliers, width),
            strides=self.every_stride,
            classes=outputs,
            activation=self.activation,
            norm=self.norm,
            bias_std=self.bias_std,
            output_scale=self.output_scale(width),
        )


def _taken(settings: Any, *more: str) -> dict[str, Any]:
    """What a family takes from settings by the same name."""
    names = ("activation", "bias_std", "output_exponent", *more)
    return {name: getattr(settings, name) for name in names}


def _hidden(family: NetworkFamily, multipliers: tuple[int, ...], width: int) -> tuple[int, ...]:
    """m_1 … m_{N−1}."""
    multipliers = multipliers or (1,) * (family.depth - 1)
    hidden = [width * k // min(multipliers) for k in multipliers]
    if family.bottleneck is not None:
        hidden[family.bottleneck_layer - 1] = family.bottleneck
    return tuple(hidden)


def _check_depth(depth: int, because: str) -> None:
    whole(2, because, "pass 3, say")("depth", depth)


def _check_multipliers(multipliers: tuple[int, ...], depth: int) -> None:
    scale = whole(1, "they scale widths", "pass (4, 1, 2), say")
    several(scale, "there is one per hidden layer", "leave them out")("multipliers", multipliers)
    if multipliers and len(multipliers) != depth - 1:
        raise _one_each("multipliers", multipliers, depth, 1, "hidden layer")


def _one_each(name: str, given: tuple[int, ...], depth: int, usual: int, what: str) -> InputError:
    return InputError(
        name, given, must=f"be {depth - 1} numbers, one per {what}",
        got=f"{len(given)}", because=f"the depth is {depth}",
        do=f"pass {','.join([str(usual)] * (depth - 1))}, or change the depth",
    )  # fmt: skip
