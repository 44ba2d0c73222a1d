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
from ntkalign.networks.base import Network
from ntkalign.networks.layers import Parameters
from ntkalign.networks.randomness import of_rules
from ntkalign.precision import in_float64
from ntkalign.rules import Rule


@dataclass(frozen=True, eq=False)
class Problem:
    """Train a network in continuous time on ½‖y − f‖², averaged over points, by whatever rule.

    Args:
        initial: the network at time 0, and its inputs.
        y: targets, (P, C); those of all steps of a recurrent network side by side.
        times: saved times, in units where the rate η is 1; the last one is T.
        key: randomness of the rules' fixed constants (feedback alignment's weights).

    Raises:
        InputError: if the times make no sense, there are not as many targets as inputs, or data
            are not finite.
    """

    initial: InitialState
    y: Float[np.ndarray, "P C"]
    times: Float[np.ndarray, " n"]
    key: Key[Array, ""] | None = None
    _constants: dict[Rule, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for name, array in (("x", self.initial.x), ("y", self.y)):
            if not np.isfinite(np.asarray(array)).all():
                raise InputError(
                    name,
                    f"of shape {array.shape}",
                    must="be finite",
                    got="NaN or infinity",
                    because="a flow from it is not defined",
                    do="remove or mend those points",
                )
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
        wanted = (len(self.initial.x), self.initial.network.flat_outputs)
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
        """From a network and its parameters at time 0; weights in float32 save memory and time.

        Returns:
            The problem, its network evaluated at time 0.

        Raises:
            InputError: if the data are not the network's, or the times make no sense.
        """
        inputs = network.input_shape
        if np.shape(x)[1:] != inputs or not len(x):
            raise InputError(
                "x",
                f"of shape {np.shape(x)}",
                must=f"be points of shape {inputs}",
                got=f"{np.shape(x)}",
                because="the network reads them",
                do="pass one row for each point",
            )
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
