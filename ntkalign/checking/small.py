"""Small networks of each kind, moved a little from their start: what parts are tried on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkalign.errors import unknown_name
from ntkalign.flow.problem import Problem
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.base import Network, Pass
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.fully_connected import FullyConnected
from ntkalign.networks.layers import Parameters
from ntkalign.networks.normalisation import Norm
from ntkalign.networks.recurrent import Recurrent

TANH = ACTIVATIONS["tanh"]
NETWORKS: dict[str, Network] = {
    "mlp": FullyConnected((3, 6, 5, 2), TANH, bias_std=0.3),
    "rnn": Recurrent(5, 3, TANH, features=2, targets=2, bias_std=0.3),
    "cnn": Convolutional((4, 4, 2), (3, 4), (1, 2), 2, TANH, Norm.NONE, bias_std=0.3),
}
"""One of each kind, with biases, and with sizes that differ wherever they may."""
POINTS = 4
TIMES = (0.2, 0.4)
MOVED = 0.3


def network_of(kind: str) -> Network:
    """The network of a kind.

    Returns:
        It.

    Raises:
        InputError: if there is no such kind.
    """
    if kind not in NETWORKS:
        raise unknown_name("networks", kind, NETWORKS, "only these are defined")
    return NETWORKS[kind]


@dataclass(frozen=True, eq=False)
class Example:
    """A network that has moved from its start, points and two errors; float64 throughout.

    Use it inside :func:`ntkalign.precision.float64`.
    """

    network: Network
    points: int = POINTS

    @property
    def key(self) -> Any:
        """Randomness."""
        return jax.random.key(7)

    @cached_property
    def start(self) -> Parameters:
        """Parameters of time 0."""
        return jax.tree.map(
            lambda a: jnp.asarray(a, jnp.float64), self.network.initialise(self.key)
        )

    @cached_property
    def now(self) -> Parameters:
        """Parameters of a later time."""
        rng = np.random.default_rng(1)
        return jax.tree.map(lambda a: a + MOVED * rng.standard_normal(a.shape), self.start)

    def normal(self, seed: int, shape: tuple[int, ...]) -> jax.Array:
        """Random numbers."""
        return jnp.asarray(np.random.default_rng([2, seed]).standard_normal(shape))

    @cached_property
    def x(self) -> jax.Array:
        """Inputs."""
        return self.normal(0, (self.points, *self.network.input_shape))

    def error(self, seed: int) -> jax.Array:
        """e, one of several."""
        return self.normal(1 + seed, (self.points, *self.network.output_shape))

    def passes(self, x: Any = None) -> tuple[Pass, Pass]:
        """The passes of both times, over these points or others."""
        x = self.x if x is None else x
        return self.network.forward(self.now, x), self.network.forward(self.start, x)

    def taken(self, array: Any, points: list[int]) -> np.ndarray:
        """Some points of an array of a pass."""
        return np.take(np.asarray(array), points, self.network.point_axis(array))

    @cached_property
    def problem(self) -> Problem:
        """Its training from the start."""
        y = np.asarray(self.error(9)).reshape(self.points, -1)
        return Problem.of(self.network, self.start, self.x, y, np.array(TIMES), self.key)
