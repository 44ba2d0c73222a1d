"""What a run is asked to do, checked before anything is computed."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ntkalign import rules
from ntkalign.errors import InputError, unknown_name
from ntkalign.flow.options import ENGINES
from ntkalign.networks.activations import Activation
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.family import Family
from ntkalign.networks.shared_outputs import INITIAL_OUTPUTS
from ntkalign.rules import NORMAL, Rule

MIN_WIDTHS, MIN_SEEDS = 3, 2
MAX_TOLERANCE = 0.01
SEEDS_END = 2**32  # what a random key can be folded with


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers of a run.

    Args:
        data: a name or file for :func:`ntkalign.data.catalogue.load`.
        data_dir: where the two image sets lie.
        points: P, number of training points.
        inputs: d, for generated data.
        outputs: C, for generated data; number of classes kept of an image set.
        depth: N, number of weight layers.
        activation: name, :class:`Activation` or elementwise callable.
        widths: smallest hidden width m of each network; increasing.
        multipliers: hidden widths relative to one another; empty means all equal.
        seeds: networks per width.
        first_seed: seeds run from here.
        time: T in units where the rate η is 1; None chooses it from the data.
        rules: the rules compared with gradient descent (names or :class:`Rule`).
        bias_std: standard deviation of the biases at initialisation.
        initial_outputs: "shared" by the networks of one seed, see
            :mod:`ntkalign.networks.shared_outputs` (the law of each is unchanged, and exponents are
            less noisy), "independent", or "zero": subtracted, which the paper does not do.
        engine: of the flow: auto, spectral or dense, see :mod:`ntkalign.flow.gradient_flow`.
        tolerance: of the flow, see :func:`ntkalign.flow.gradient_flow`.
        confidence: of the intervals.
        output_exponent: output scale m^output_exponent, see :class:`Family` (0 in the theory).
        bottleneck: width kept by the middle hidden layer of the control family.

    Raises:
        InputError: by :meth:`checked`, for anything that cannot be run.
    """

    data: str = "digits"
    data_dir: Path | None = None
    points: int = 8
    inputs: int | None = None
    outputs: int | None = None
    depth: int = 3
    activation: Any = "tanh"
    widths: tuple[int, ...] = (64, 256, 1024, 4096)
    multipliers: tuple[int, ...] = ()
    seeds: int = 16
    first_seed: int = 0
    time: float | None = None
    rules: tuple[Any, ...] = ("align-zero", "align-ada", "align-prop")
    bias_std: float = 0.0
    initial_outputs: str = "shared"
    engine: str = "auto"
    tolerance: float = 1e-6
    confidence: float = 0.95
    output_exponent: float = 0.0
    bottleneck: int = 4

    def checked(self) -> Settings:
        """The same settings with names looked up, or the first problem found.

        Raises:
            InputError: one line that says what was given, what is allowed and what to do.
        """
        resolved = replace(
            self,
            activation=activation(self.activation),
            rules=tuple(dict.fromkeys(rules.lookup(r) for r in self.rules)),
        )
        names = [r.name for r in resolved.rules]
        if not names or names == [NORMAL.name]:
            raise InputError(
                "rules", tuple(names), must="name a rule other than normal",
                got=",".join(names) or "none",
                because="rules are compared with gradient descent, which always runs",
                do="pass align-zero,align-ada,align-prop",
            )  # fmt: skip
        if len(set(names)) < len(names):
            raise InputError(
                "rules", tuple(names), must="have distinct names", got="a name twice",
                because="results are kept by name", do="rename one of them",
            )  # fmt: skip
        _check_widths(self.widths)
        _at_least("depth", self.depth, 2, "a network needs a hidden layer", "pass 3, say")
        _at_least("seeds", self.seeds, MIN_SEEDS, "intervals come from seeds", "pass 8, say")
        _at_least("first_seed", self.first_seed, 0, "seeds count from 0", "pass 0")
        if self.first_seed + self.seeds > SEEDS_END:
            raise InputError(
                "first_seed", self.first_seed, must=f"be at most {SEEDS_END - self.seeds}",
                got=repr(self.first_seed), because="seeds are 32-bit numbers", do="pass 0",
            )  # fmt: skip
        _at_least("bottleneck", self.bottleneck, 1, "it is a number of units", "pass 4")
        if self.multipliers:
            if len(self.multipliers) != self.depth - 1:
                raise InputError(
                    "multipliers", self.multipliers,
                    must=f"be {self.depth - 1} numbers, one per hidden layer",
                    got=f"{len(self.multipliers)}", because=f"the depth is {self.depth}",
                    do=f"pass {','.join(['1'] * (self.depth - 1))}, or change --depth",
                )  # fmt: skip
            for multiplier in self.multipliers:
                _at_least("multipliers", multiplier, 1, "they scale widths", "pass 4,1,2, say")
        if self.time is not None:
            _positive("time", self.time, "training runs forward from 0", "pass 10, or leave it out")
        if not (math.isfinite(self.bias_std) and self.bias_std >= 0):
            raise InputError(
                "bias_std", self.bias_std, must="be at least 0", got=repr(self.bias_std),
                because="it is a standard deviation", do="pass 0 or 0.1, say",
            )  # fmt: skip
        if self.initial_outputs not in INITIAL_OUTPUTS:
            raise unknown_name(
                "initial_outputs", self.initial_outputs, INITIAL_OUTPUTS, "only these are defined"
            )
        if self.engine not in ENGINES:
            raise unknown_name("engine", self.engine, ENGINES, "only these are built in")
        if not 0 < self.tolerance <= MAX_TOLERANCE:
            raise InputError(
                "tolerance", self.tolerance, must=f"be above 0 and at most {MAX_TOLERANCE:g}",
                got=repr(self.tolerance), because="the quantities measured are smaller than one",
                do="pass 1e-6, say",
            )  # fmt: skip
        if not 0 < self.confidence < 1:
            raise InputError(
                "confidence", self.confidence, must="be between 0 and 1",
                got=repr(self.confidence), because="it is a share", do="pass 0.95, say",
            )  # fmt: skip
        return resolved

    @property
    def paired(self) -> bool:
        """Whether networks of one seed share noise across widths."""
        return self.initial_outputs == "shared"

    @property
    def family(self) -> Family:
        """The networks under test (of checked settings)."""
        return Family(
            depth=self.depth,
            activation=self.activation,
            multipliers=self.multipliers,
            bias_std=self.bias_std,
            output_exponent=self.output_exponent,
        )

    def as_json(self) -> dict[str, object]:
        """All settings as plain values."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"widths": (64, 256, 1024), "seeds": 6},
    "standard": {},
    "deep": {"widths": (64, 256, 1024, 4096, 16384)},
}
"""What each preset changes about the defaults of :class:`Settings`."""


def _check_widths(widths: tuple[int, ...]) -> None:
    for width in widths:
        _at_least("widths", width, 1, "a layer has at least one unit", "pass 64,128,256, say")
    if any(b <= a for a, b in itertools.pairwise(widths)):
        raise InputError(
            "widths", widths, must="increase", got="one that does not exceed the one before",
            because="an exponent is read off growing widths", do="sort them and drop repeats",
        )  # fmt: skip
    if len(widths) < MIN_WIDTHS:
        raise InputError(
            "widths", widths, must=f"be at least {MIN_WIDTHS} widths", got=str(len(widths)),
            because="two points lie on any power law", do="pass 64,128,256, say",
        )  # fmt: skip


def _at_least(name: str, value: int, least: int, because: str, do: str) -> None:
    if value < least:
        raise InputError(
            name, value, must=f"be at least {least}", got=repr(value), because=because, do=do
        )


def _positive(name: str, value: float, because: str, do: str) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(
            name, value, must="be positive and finite", got=repr(value), because=because, do=do
        )


def _plain(value: object) -> object:
    if isinstance(value, Activation | Rule):
        return value.name
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value
