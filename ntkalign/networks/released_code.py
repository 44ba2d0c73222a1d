"""What the authors' released code does where the paper's equations say something else.

Two learning rules differ, and each architecture differs in its own way. The functions here stand
for feedback (:mod:`ntkalign.rules`); a rule names them as what was *published*.

*Align-ada.* By (16) the signal of layer l is the error carried back by the Jacobian of time 0, all
of it. The code carries it only down to the preactivation *after* the batch norm, and applies the
layer's own batch norm as it is now; at the last hidden layer the slope of the activation is the
current one, too. In the recurrent network the signal of step k is what *later* steps say to h_k,
times the current slope: the error of step k itself is left out.

*Readout only.* In the recurrent network the state h_{−1} is trained beside the readout.
"""

from __future__ import annotations

from functools import singledispatch
from itertools import pairwise

import jax.numpy as jnp
from jaxtyping import Array

from ntkalign.networks.base import Network, Pass, Signals, backpropagate
from ntkalign.networks.recurrent import Recurrent


@singledispatch
def align_ada(network: Network, now: Pass, start: Pass, e: Array) -> Signals:
    """The signals of Align-ada, for a chain of layers.

    Args:
        network: decides which.
        now: the pass of the network being trained.
        start: the pass of the frozen network.
        e: the error.

    Returns:
        One signal per layer.
    """
    frozen = backpropagate(weights=start, slopes=start, error=e)
    signals: list[Array] = []
    last = network.depth - 2
    for at, (layer, above) in enumerate(pairwise(network.maps)):
        back = above.through_weight(start.weights[at + 1], frozen[at + 1])
        back = layer.through_activation((now if at == last else start).slopes[at], back)
        signals.append(layer.through_norm(now.slopes[at], back))
    return (*signals, e)


@align_ada.register
def _(network: Recurrent, now: Pass, start: Pass, e: Array) -> Signals:
    frozen = backpropagate(weights=start, slopes=start, error=e)
    later = network.carried_back(start.weights[-2], frozen)
    s = network.maps[-2].through_slope(now.slopes[0], later)
    return (*frozen[:-3], s, s, e)


@singledispatch
def last_layer(network: Network, now: Pass, e: Array) -> Signals:
    """The signals where only the last layer is trained: zero in every other."""
    return (*(jnp.zeros_like(u) for u in now.preactivations[:-1]), e)


@last_layer.register
def _(network: Recurrent, now: Pass, e: Array) -> Signals:
    exact = backpropagate(weights=now, slopes=now, error=e)
    zero = jnp.zeros_like(exact[-2])
    return (*exact[:-3], zero, zero, e)
