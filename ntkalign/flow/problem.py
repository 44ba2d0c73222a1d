"""What a flow solves: a network at its start, data, and the times that are looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from ntkalign.devices import drawing
from ntkalign.errors import InputError
from ntkalign.flow.initial_state import InitialState
from ntkalign.networks.base import Network, Parameters
from ntkalign.networks.randomness import of_rules
from ntkalign.precision import in_float64
from ntkalign.rules import Rule


@dataclass(frozen=True, eq=False)
class Problem:
    """Train a network in continuous time on ½‖y − f‖², averaged over points, by whatever rule.

    Args:
        initial: the network at time 0, and its inputs.
        y: targets, (P, C).
        times: saved times, in units where the rate η is 1; the last one is T.
        key: randomness of the rules' fixed constants (feedback alignment's weights).

    Raises:
        InputError: if the times make no sense, or there are not as many targets as inputs.
    """

    initial: InitialState
    y: Float[np.ndarray, "P C"]
    times: Float[np.ndarray, " n"]
    key: Key[Array, ""] | None = None
    _constants: dict[Rule, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        times = self.times
        if times.ndim != 1 or times.size == 0 or not np.all(np.diff(np.r_[0.0, times]) > 0):
            raise InputError(
                "times",
                tuple(np.ravel(times)),
                must="be positive and increasing",
                got=f"an array of shape {times.shape}",
                because="time 0 is the common start and is not saved",
                do="pass for instance numpy.linspace(0, T, 9)[1:]",
            )
        wanted = (len(self.initial.x), self.initial.network.outputs)
        if self.y.shape != wanted:
            raise InputError(
                "y",
                self.y.shape,
                must=f"have the shape {wanted}",
                got=f"{self.y.shape}",
                because="it is (points, outputs)",
                do="pass one row of targets for each row of x",
            )

    @classmethod
    @in_float64
    def of(
        cls,
        network: Network,
        start: Parameters,
        x: Float[Array | np.ndarray, "P ..."],
        y: Float[Array | np.ndarray, "P C"],
        times: Float[Array | np.ndarray, " n"],
        key: Key[Array, ""] | None = None,
    ) -> Problem:
        """From a network and its parameters at time 0; weights in float32 save memory and time."""
        initial = InitialState.of(network, start, x)
        return cls(initial, np.asarray(y, np.float64), np.asarray(times, np.float64), key)

    @in_float64
    def constants(self, rule: Rule) -> Any:
        """The rule's random constants, drawn once, the same on every device."""
        if rule not in self._constants:
            root = jax.random.key(0) if self.key is None else self.key
            with drawing():
                self._constants[rule] = rule.draw(of_rules(root), self.initial.network)
        return self._constants[rule]
