"""The time scales of training: T when it is not given, and when a flow is looked at.

In the infinite-width limit the error follows ė = −(η/P) Θ e with the kernel of time 0,

    Θ(x, x′) = Σ_l Γ_l(x, x′) ⊙ (σ(z_{l−1}(x))·σ(z_{l−1}(x′))/m_{l−1} + 1),

so one wide network at initialisation says how long the loss takes to fall by a given factor, and
how fast the fastest part of the error relaxes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.sparse.linalg import eigsh

from ntkalign.data.catalogue import Data
from ntkalign.devices import drawing
from ntkalign.errors import InputError
from ntkalign.kernels.empirical import empirical, flat
from ntkalign.networks.family import NetworkFamily
from ntkalign.precision import in_float64

LOSS_FALL = 10.0
SAVED_TIMES = 8
EARLIER = 4.0
"""By this factor each look at a transient is earlier than the next."""
MOST_EARLIER = 16
"""No more looks than this are added: T is then 1e11 times the fastest relaxation."""
SMALL = 500
_SEED = 2**31 - 1  # no network of a sweep is drawn from it


@dataclass(frozen=True, eq=False)
class TimeScales:
    """How fast the linearised error of one wide network falls.

    Attributes:
        kernel: (η/P) Θ, whose eigenvalues are the rates.
        error: at time 0.
    """

    kernel: Float[np.ndarray, "PC PC"]
    error: Float[np.ndarray, " PC"]

    @classmethod
    @in_float64
    def of(cls, family: NetworkFamily, data: Data) -> TimeScales:
        """Those of a family of networks on the training points.

        Args:
            family: the networks.
            data: the training points.

        Returns:
            Kernel and error of a network of the family's wide width.

        Raises:
            InputError: if outputs or kernel are not finite.
        """
        network = family.network(family.wide, data.x.shape[1:], data.y.shape[1])
        with drawing():
            start = network.initialise(jax.random.key(_SEED))
        theta = flat(empirical(network, start, data.x).ntk)
        output = network.forward(start, jnp.asarray(data.x)).output
        error = data.y.ravel() - np.asarray(output).ravel()
        if not (np.isfinite(theta).all() and np.isfinite(error).all()):
            raise InputError(
                "activation", family.activation.name, must="have finite values and slopes",
                got="a network whose output or kernel is not finite",
                because="the time is chosen from them", do="choose another, or give a time",
            )  # fmt: skip
        return cls(network.rate * theta / len(data.x), error)

    @cached_property
    def fastest(self) -> float:
        """The shortest relaxation time, to two significant digits."""
        if len(self.kernel) < SMALL:
            largest = np.linalg.eigvalsh(self.kernel)[-1]
        else:  # by Lanczos' method: of many points all rates take too long
            largest = eigsh(self.kernel, 1, v0=np.ones(len(self.kernel)), tol=1e-6,
                            return_eigenvectors=False)[0]  # fmt: skip
        return float(f"{1 / largest:.2g}")

    def until(self, fall: float = LOSS_FALL) -> float:
        """The time at which the loss is 1/``fall`` of that at time 0.

        Returns:
            T to two significant digits, since only its size matters.

        Raises:
            InputError: if the kernel is singular on the error: the loss never falls so far.
        """
        rates, modes = np.linalg.eigh(self.kernel)
        rates, shares = np.maximum(rates, 0.0), (modes.T @ self.error) ** 2
        shares /= shares.sum()

        def log_loss(log_time: float) -> float:
            share = shares @ np.exp(-2 * rates * np.exp(log_time))
            return float(np.log(max(share, 1e-300)) + np.log(fall))

        longest = np.log(1e9 / rates.max())
        if log_loss(longest) > 0:
            raise InputError(
                "time", None, must="be given for these data", got="nothing",
                because=f"the kernel is (nearly) singular on them: the loss never falls {fall:g}-"
                "fold", do="give a time, 10 say, or other data",
            )  # fmt: skip
        return float(f"{np.exp(brentq(log_loss, np.log(1e-9 / rates.max()), longest)):.2g}")


def choose_time(family: NetworkFamily, data: Data, fall: float = LOSS_FALL) -> float:
    """The time T (η = 1) at which the linearised loss of one wide network is 1/``fall``.

    Args:
        family: the networks.
        data: the training points.
        fall: by what factor the loss falls.

    Returns:
        T to two significant digits.

    Raises:
        InputError: if outputs or kernel are not finite, or the loss never falls so far.
    """
    return TimeScales.of(family, data).until(fall)


def saved_times(time: float, fastest: float | None = None) -> tuple[float, ...]:
    """When flows are looked at, so that none of what happens between is much larger.

    Eight times T (k/8)². If the fastest relaxation is over before the first of them, earlier ones
    are added, each four times earlier than the next, until one lies within it.

    Args:
        time: T.
        fastest: the shortest relaxation time, if it is known.

    Returns:
        Increasing times, T the last.
    """
    first, steps = time / SAVED_TIMES**2, 0
    if fastest is not None and 0 < fastest < first:
        steps = math.ceil((math.log(first) - math.log(fastest)) / math.log(EARLIER) - 1e-9)
        steps = min(steps, MOST_EARLIER)
    earlier = tuple(first / EARLIER**k for k in range(steps, 0, -1))
    return earlier + tuple(time * (k / SAVED_TIMES) ** 2 for k in range(1, SAVED_TIMES + 1))
