"""Common random numbers: networks of one seed that start from the same random outputs.

A network's initial outputs on the training points are random at every width, and so is all that
learning then does: the error e = y − f⁰ is what drives it. Networks of different widths can share
that randomness without changing the law of any of them. With H = σ(z_{N−1}) at time 0, (P, m), and
Hᵀ = Q R (Q with orthonormal columns, R's diagonal positive),

    f⁰ = H W_Nᵀ/√m = Rᵀ ξᵀ/√m,   ξ = W_N Q,

where ξ has independent N(0, 1) entries whatever H is, because W_N is independent of it. So ξ may
be drawn from the seed alone, W_N ← W_N + (ξ − W_N Q) Qᵀ, and W_N still has independent N(0, 1)
entries. RᵀR/m tends to the limit's covariance, so outputs of one seed agree ever better as
widths grow, and what they do to a measured quantity cancels in its exponent. The last bias, which
is part of f⁰ where β > 0, is drawn from the seed too. H has a row for whatever meets the last
layer's weights: for every point, and in a recurrent network for every step of it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ntkalign.networks.base import Network
from ntkalign.networks.layers import Layer, Parameters
from ntkalign.networks.randomness import shared_bias, shared_weights
from ntkalign.precision import in_float64

INITIAL_OUTPUTS = ("shared", "independent", "zero")
"""How f⁰ is drawn: from the seed, by each network itself, or not at all (subtracted)."""


@in_float64
def share_outputs(
    network: Network, parameters: Parameters, x: Float[Array, "P ..."], key: Key[Array, ""]
) -> Parameters:
    """The parameters with a last layer whose randomness, as the data see it, comes from ``key``.

    Args:
        network: the architecture.
        parameters: as drawn for this network alone.
        x: the data.
        key: of the seed, the same at every width.

    Returns:
        The parameters given, with another W_N and b_N.
    """
    narrow = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (parameters, x))
    met = network.maps[-1].activity_rows(network.forward(*narrow).activities[-1])
    h = np.asarray(met, np.float64)
    q, r = np.linalg.qr(h.T)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    last = parameters[-1]
    weight = np.asarray(last.weight, np.float64)
    shared = np.asarray(shared_weights(key, len(weight), len(h)))[:, : q.shape[1]]
    weight = weight + (shared - weight @ q) @ q.T
    bias = network.bias_std * shared_bias(key, len(last.bias))
    return (*parameters[:-1], Layer(jnp.asarray(weight, last.weight.dtype), bias))
