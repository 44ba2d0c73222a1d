"""Chizat, Oyallon & Bach 2019, *On Lazy Training in Differentiable Programming*, Theorem 2.2.

A model of *fixed* size becomes lazy when its output is multiplied by a large α. Let h be the model,
h(w_0) = 0, and w_α follow the gradient flow of the loss of α h(w), divided by α². If h has a
locally Lipschitz derivative, then for t ≤ T, as α grows,

    ‖w_α^t − w_0‖ = O(1/α),     ‖w_α^t − w_lin^t‖ = O(1/α²),
    ‖α h(w_α^t) − α h_lin(w_lin^t)‖ = O(1/α),

where h_lin is h linearised at w_0, and w_lin its flow. The size here is α, and the width is fixed:

    ntkalign verify --plugin examples/chizat2019.py --network lazy --initial-outputs zero \
        --out figures/chizat2019

A seed's networks start from the same w_0 at every α; h is the network less its outputs at time 0.
Controls: α stays 4; feedback alignment, which gets lazy too, but is not what is linearised. What
differs here: ‖w‖ is of weights, without biases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ntkalign import Claim, Control, InputError, Kind, Layers, Quantity, register
from ntkalign.networks.activations import Activation
from ntkalign.networks.family import NetworkFamily
from ntkalign.networks.fully_connected import FullyConnected
from ntkalign.networks.kinds import NetworkKind, Size, Usual
from ntkalign.networks.layers import Shape
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.series import ROUNDING, Series

LAZY, WIDTH, NORMAL = "lazy", 64, ("normal",)
KEPT = Control("bottleneck", NORMAL)
OTHER_RULES = Control("main", ("fa",))


@dataclass(frozen=True)
class LazyFamily(NetworkFamily):
    """Fully connected networks of one width whose output is multiplied by α."""

    kind: ClassVar[str] = LAZY
    wide: ClassVar[int] = 1

    depth: int
    activation: Activation
    bias_std: float = 0.0
    bottleneck: int | None = None
    output_exponent: float = 0.0

    @classmethod
    def of(cls, settings: Any) -> LazyFamily:
        """The family that settings ask for."""
        if settings.initial_outputs != "zero":
            raise InputError(
                "initial_outputs", settings.initial_outputs, must="be zero for network lazy",
                got=settings.initial_outputs, because="the theorem is about h(w_0) = 0",
                do="pass zero",
            )  # fmt: skip
        return cls(settings.depth, settings.activation, settings.bias_std)

    @property
    def bottleneck_layer(self) -> int:
        """No layer is narrowed."""
        return 1

    def drawn_as(self, width: int) -> int:
        """The same w_0 for every α."""
        return WIDTH

    def network(self, width: int, inputs: Shape, outputs: int) -> FullyConnected:
        """With α = ``width``, or that of the control; its rate is η = 1/α²."""
        widths = (*inputs, *[WIDTH] * (self.depth - 1), outputs)
        scale = float(self.bottleneck or width)
        return FullyConnected(widths, self.activation, self.bias_std, scale)


def parameters(seen: Observed) -> Series:
    """√Σ_l ‖W_l^t − W_l^0‖_F², and the same of W_l^t − W_l of the linearised network."""
    layers = range(1, seen.network.depth + 1)
    ours = [seen.flow.weight_change(layer) for layer in layers]
    linear = [seen.references["linearised"].weight_change(layer) for layer in layers]
    moved = _norm(ours)
    apart = _norm([a - b for a, b in zip(ours, linear, strict=True)])
    bounds = 10 * ROUNDING * moved
    return {(None, "moved"): (moved, bounds), (None, "apart"): (apart, bounds)}


def _norm(changes: list[np.ndarray]) -> np.ndarray:
    return np.array([math.hypot(*map(np.linalg.norm, both)) for both in zip(*changes, strict=True)])


def claim(id: str, statement: str, quantity: str, exponent: float, **more: Any) -> Claim:
    """A bound of the theorem."""
    return Claim(f"chizat2019/{id}", "Thm 2.2", statement, quantity, Kind.BOUND, exponent,
                 network=LAZY, **more)  # fmt: skip


LINEAR = ("linearised",)
register(
    NetworkKind(
        LAZY, LazyFamily.of, Usual((1, 2, 4, 8, 16, 32), seeds=8, tolerance=1e-7),
        takes=("depth", "activation", "bias_std"),
        size=Size("output scale", "α", kept="output scale kept"),
        title=f"fully connected of width {WIDTH}",
    ),
    Quantity("moved", r"$\|w_α^t-w_0\|$", Layers.WHOLE, parameters, references=LINEAR),
    Quantity("apart", r"$\|w_α^t-w_{\mathrm{lin}}^t\|$", Layers.WHOLE, parameters,
             references=LINEAR),
    claim("parameters", "‖w_α^t − w_0‖ is O(α^-1)", "moved", -1.0, controls=(KEPT,)),
    claim("linearised", "‖w_α^t − w_lin^t‖ is O(α^-2)", "apart", -2.0, controls=(KEPT,)),
    claim("outputs", "max_x ‖α h(w_α^t) − α h_lin(w_lin^t)‖ is O(α^-1)", "linearisation-gap", -1.0,
          controls=(OTHER_RULES, KEPT), symbol=r"$\max_x\|f_α^t-f_{\mathrm{lin}}^t\|$"),
)  # fmt: skip
