"""The training time T, chosen from the data when it is not given.

In the infinite-width limit the error follows ė = −(η/P) Θ e with the kernel of time 0,

    Θ(x, x′) = Σ_l Γ_l(x, x′) ⊙ (σ(z_{l−1}(x))·σ(z_{l−1}(x′))/m_{l−1} + 1),

so one wide network at initialisation says how long the loss takes to fall by a given factor.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

from ntkalign.data.catalogue import Data
from ntkalign.devices import drawing
from ntkalign.errors import InputError
from ntkalign.kernels.empirical import empirical, flat
from ntkalign.networks.family import Family
from ntkalign.precision import in_float64

WIDE = 1024
LOSS_FALL = 10.0
_SEED = 2**31 - 1  # no network of a sweep is drawn from it


@in_float64
def choose_time(family: Family, data: Data, fall: float = LOSS_FALL) -> float:
    """The time T (η = 1) at which the linearised loss of one wide network is 1/``fall``.

    Returns:
        T to two significant digits, since only its size matters.

    Raises:
        InputError: if the kernel is singular on the error, so that the loss never falls so far.
    """
    network = family.network(WIDE, data.x.shape[1], data.y.shape[1])
    with drawing():
        start = network.initialise(jax.random.key(_SEED))
    theta = flat(empirical(network, start, data.x).ntk)
    output = network.forward(start, jnp.asarray(data.x)).output
    error = (data.y - np.asarray(output)).ravel()
    if not (np.isfinite(theta).all() and np.isfinite(error).all()):
        raise InputError(
            "activation", family.activation.name, must="have finite values and slopes",
            got="a network whose output or kernel is not finite",
            because="the time is chosen from them", do="choose another, or give a time",
        )  # fmt: skip
    rates, modes = np.linalg.eigh(network.rate * theta / len(data.x))
    weights = (modes.T @ error) ** 2
    rates = np.maximum(rates, 0.0)

    def log_loss(log_time: float) -> float:
        share = weights @ np.exp(-2 * rates * np.exp(log_time)) / weights.sum()
        return float(np.log(max(share, 1e-300)) + np.log(fall))

    longest = np.log(1e9 / rates.max())
    if log_loss(longest) > 0:
        raise InputError(
            "time", None, must="be given for these data", got="nothing",
            because=f"the kernel is (nearly) singular on them: the loss never falls {fall:g}-fold",
            do="give a time, 10 say, or other data",
        )  # fmt: skip
    time = np.exp(brentq(log_loss, np.log(1e-9 / rates.max()), longest))
    return float(f"{time:.2g}")
