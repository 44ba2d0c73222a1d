"""Networks of growing width that share everything else: the object of a scaling law."""

from __future__ import annotations

from dataclasses import dataclass

from ntkalign.errors import InputError
from ntkalign.networks.activations import Activation
from ntkalign.networks.fully_connected import FullyConnected
from ntkalign.values import several, whole


@dataclass(frozen=True)
class Family:
    """Fully connected networks whose width m grows.

    Args:
        depth: N ≥ 2, the number of weight layers.
        activation: σ.
        multipliers: hidden widths are m times these, relative to the smallest (which is m).
        bias_std: β of :class:`~ntkalign.networks.fully_connected.FullyConnected`.
        bottleneck: if given, the middle hidden layer keeps this width (a control: the limit
            of the paper then does not apply).
        output_exponent: the output scale is m^output_exponent (0 for neural tangent, −1/2 for
            mean-field scaling, a control).

    Raises:
        InputError: if there are no such networks.
    """

    depth: int
    activation: Activation
    multipliers: tuple[int, ...] = ()
    bias_std: float = 0.0
    bottleneck: int | None = None
    output_exponent: float = 0.0

    def __post_init__(self) -> None:
        whole(2, "a network needs a hidden layer", "pass 3, say")("depth", self.depth)
        scale = whole(1, "they scale widths", "pass (4, 1, 2), say")
        several(scale, "there is one per hidden layer", "leave them out")(
            "multipliers", self.multipliers
        )
        if self.multipliers and len(self.multipliers) != self.depth - 1:
            raise InputError(
                "multipliers", self.multipliers,
                must=f"be {self.depth - 1} numbers, one per hidden layer",
                got=f"{len(self.multipliers)}", because=f"the depth is {self.depth}",
                do=f"pass {','.join(['1'] * (self.depth - 1))}, or change the depth",
            )  # fmt: skip

    @property
    def meets_assumptions(self) -> bool:
        """Whether the assumptions of Lemma 1 and the propositions are met."""
        return (
            self.activation.meets_assumptions
            and self.bottleneck is None
            and self.output_exponent == 0
        )

    @property
    def bottleneck_layer(self) -> int:
        """The hidden layer l that a bottleneck narrows."""
        return self.depth // 2

    def network(self, width: int, inputs: int, outputs: int) -> FullyConnected:
        """The member of the family whose smallest hidden layer (bottleneck aside) is ``width``."""
        multipliers = self.multipliers or (1,) * (self.depth - 1)
        hidden = [width * k // min(multipliers) for k in multipliers]
        if self.bottleneck is not None:
            hidden[self.bottleneck_layer - 1] = self.bottleneck
        return FullyConnected(
            widths=(inputs, *hidden, outputs),
            activation=self.activation,
            bias_std=self.bias_std,
            output_scale=float(width) ** self.output_exponent,
        )
