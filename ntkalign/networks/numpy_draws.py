"""The paper's random numbers, bit for bit: NumPy's legacy generator, in the released code's order.

One stream draws layer by layer, and a rule's constants in between: feedback alignment draws F_l
after each W_l, direct feedback B_l after each hidden W_l. So the weights of time 0 are those of the
other rules for the first layer only. A convolution's draw has shape (c_l, k² c_{l−1}), rows and
columns of the kernel before channels; a dense one has the shape of W_l; a map B_l is drawn as
(C, m_l), places before channels. The recurrent weights are drawn for row vectors (h W_h): ours is
the transpose.

The code has neither feedback alignment nor direct feedback for the recurrent network; there they
are drawn in the same order.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

import numpy as np
from jaxtyping import Float

from ntkalign.networks.base import Network
from ntkalign.networks.layers import Layer, LayerMap, Parameters, Shape
from ntkalign.networks.recurrent import Recurrent

SEED = 99
"""The released code's seed."""


class Between(Enum):
    """What is drawn between the weights."""

    NOTHING = "nothing"
    WEIGHTS = "weights"
    PROJECTIONS = "projections"
    SHARED_PROJECTIONS = "shared projections"


def draw(network: Network, seed: int = SEED, between: Between = Between.NOTHING) -> Drawn:
    """Parameters of time 0, and a rule's constants.

    Args:
        network: whose shapes they have.
        seed: of the generator.
        between: what a rule draws.

    Returns:
        Parameters, weights N(0, s_l²) and biases zero, and the constants, both float64 in NumPy.
    """
    stream = np.random.RandomState(seed)
    projected = between in (Between.PROJECTIONS, Between.SHARED_PROJECTIONS)
    shapes = network.projection_shapes(shared=between is Between.SHARED_PROJECTIONS)
    sizes = network.projection_sizes
    parameters: list[Layer] = []
    constants: list[Any] = []
    recurrent = isinstance(network, Recurrent)
    for number, layer in enumerate(network.maps, start=1):
        like = layer.parameters
        weight = None if like.weight is None else _weight(stream, layer, recurrent)
        bias = None if like.bias is None else np.zeros(like.bias.shape)
        parameters.append(Layer(weight, bias))
        if between is Between.WEIGHTS:
            constants.append(None if weight is None else _weight(stream, layer, recurrent))
        elif projected and not recurrent and number < network.depth:
            constants.append(_projection(stream, shapes[number - 1], sizes[number - 1]))
    if projected and recurrent:
        constants = [_projection(stream, shapes[0], sizes[0])]
    return tuple(parameters), tuple(constants)


Drawn = tuple[Parameters, tuple[Any, ...]]


def _weight(stream: np.random.RandomState, layer: LayerMap, recurrent: bool) -> np.ndarray:
    shape = layer.parameters.weight.shape
    if len(shape) == 2:
        drawn = stream.normal(size=shape[::-1]).T if recurrent else stream.normal(size=shape)
    else:
        *window, channels, filters = shape
        flat = stream.normal(size=(filters, math.prod(window) * channels))
        drawn = flat.T.reshape(*window, channels, filters)
    return layer.initial_std * drawn


def _projection(stream: np.random.RandomState, shape: Shape, size: int) -> Float[np.ndarray, ...]:
    """B_l, with entries N(0, 1/size)."""
    outputs = shape[-1]
    flat = stream.normal(size=(outputs, math.prod(shape[:-1]))).T / math.sqrt(size)
    if len(shape) != 4:  # no image
        return flat.reshape(shape)
    channels, *places, _ = shape
    return np.moveaxis(flat.reshape(*places, channels, outputs), 2, 0)
