"""Everything that decides the numbers of one network, and nothing else.

Two networks with equal specifications have equal numbers to the last bit, on one machine and
device, with the same packages and code (:mod:`ntkalign.runs.fingerprint`). What is asked of a
network is no part of it: a number does not depend on which others were asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ntkalign.cells.cell import Cell, Needs, Row
from ntkalign.data.catalogue import Data
from ntkalign.errors import unknown_name
from ntkalign.flow.options import ENGINES, ladder
from ntkalign.networks.activations import ACTIVATIONS, Activation
from ntkalign.networks.family import NetworkFamily
from ntkalign.networks.normalisation import Norm
from ntkalign.networks.shared_outputs import INITIAL_OUTPUTS


@dataclass(frozen=True)
class Specification:
    """One network: how it is drawn, trained and measured.

    Args:
        experiment: what is measured of it, such as "theory" or "kernels".
        cell: which network of a sweep it is.
        family: the networks that it is one of, a bottleneck included.
        data: the points that it is trained on, then those that are only looked at.
        points: how many it is trained on.
        times: when its flow is looked at, T the last.
        initial_outputs: one of INITIAL_OUTPUTS.
        engine: of the flow, one of ENGINES.
        tolerance: of the flow; None if it is to follow from need.

    Raises:
        InputError: for an engine or a kind of initial outputs that there is not.
    """

    experiment: str
    cell: Cell
    family: NetworkFamily
    data: Data = field(repr=False)
    points: int
    times: tuple[float, ...]
    initial_outputs: str
    engine: str
    tolerance: float | None

    def __post_init__(self) -> None:
        if self.initial_outputs not in INITIAL_OUTPUTS:
            raise unknown_name(
                "initial_outputs", self.initial_outputs, INITIAL_OUTPUTS, "only these are defined"
            )
        if self.engine not in ENGINES:
            raise unknown_name("engine", self.engine, ENGINES, "only these are built in")

    def as_json(self) -> dict[str, Any]:
        """Plain values for all of it; data by their digest, an activation by its name."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain | {
            "cell": vars(self.cell),
            "family": _plain(self.family),
            "data": digest(self.data),
        }

    @property
    def ladder(self) -> tuple[float, ...]:
        """The tolerances that its flows are solved at, loosest first."""
        return ladder(self.tolerance, kinked=bool(self.family.activation.kinks))

    @property
    def built_in(self) -> bool:
        """Whether the network is made of nothing but this package's parts."""
        own = type(self.family).__module__ == NetworkFamily.__module__
        return own and ACTIVATIONS.is_built_in(self.family.activation)


Measure = Callable[[Specification, Needs], list[Row]]
"""How the quantities that are needed are measured on one network."""


def digest(data: Data) -> str:
    """A name for the numbers of all points."""
    found = hashlib.sha256()
    for array in (data.x, data.y):
        found.update(repr((array.shape, array.dtype.str)).encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _plain(family: NetworkFamily) -> dict[str, Any]:
    values = {f.name: getattr(family, f.name) for f in fields(family)}  # type: ignore[arg-type]
    return {"kind": family.kind} | {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Activation):
        return value.name
    return value.value if isinstance(value, Norm) else value
