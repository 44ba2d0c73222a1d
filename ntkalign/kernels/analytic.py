"""Kernels of the infinitely wide network, layer by layer.

With u, v jointly normal with the covariance K_l of preactivations at two data points,

    K_1 = x xᵀ/d + β²,   H_l = E[σ(u) σ(v)],   K_{l+1} = H_l + β²,   (NNGP: K_N)
    Γ_N = 1,             Γ_l = Γ_{l+1} ⊙ E[σ′(u) σ′(v)],
    Θ = Σ_l Γ_l ⊙ (H_{l−1} + 1),   H_0 = x xᵀ/d,

each times the identity over outputs. The 1 is the bias's own gradient, which is there whatever β is
(neural-tangents' own NTK has β² in its place, because it scales biases and not their variance). The
two expectations are neural-tangents': closed forms where it has them, else its quadrature.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.devices import devices
from ntkalign.errors import InputError
from ntkalign.kernels.adapter import jax_defaults, load
from ntkalign.networks.activations import ACTIVATIONS, Activation
from ntkalign.networks.fully_connected import Family
from ntkalign.precision import in_float64

DEGREE = 128
"""Nodes of the quadrature in each direction."""
CLOSED_FORMS = {
    "erf": "Erf", "sin": "Sin", "gelu": "Gelu", "relu": "Relu", "linear": "Identity",
}  # fmt: skip
"""Activations whose expectations neural-tangents knows, by our name."""


@dataclass(frozen=True, eq=False)
class Limit:
    """Kernels over P data points in the limit of infinite width; item l−1 belongs to layer l.

    Attributes:
        features: H_0 … H_{N−1}, each (P, P).
        forward: K_1 … K_N.
        backward: Γ_1 … Γ_N, the factor before the identity over outputs.
        coarser: the same by half as many nodes of quadrature; None where no quadrature was needed.
            A quantity's error by quadrature is its difference between the two.
    """

    features: tuple[np.ndarray, ...]
    forward: tuple[np.ndarray, ...]
    backward: tuple[np.ndarray, ...]
    coarser: Limit | None = None

    @property
    def nngp(self) -> Float[np.ndarray, "P P"]:
        """K_N, the covariance of outputs at time 0."""
        return self.forward[-1]

    @property
    def ntk(self) -> Float[np.ndarray, "P P"]:
        """Θ."""
        pairs = zip(self.backward, self.features, strict=True)
        return np.sum([gamma * (h + 1) for gamma, h in pairs], axis=0)


@in_float64
def limit(family: Family, x: Float[Array | np.ndarray, "P d"]) -> Limit:
    """The limit of a family's networks as all their widths grow.

    Unequal widths have the same limit. A bottleneck or another output scale has none of this kind:
    what is returned then is the limit that those networks do *not* have.

    Args:
        family: depth, activation and bias_std are used.
        x: the data.

    Raises:
        InputError: if an expectation is not finite.
    """
    x, device = np.ascontiguousarray(x, np.float64), str(devices()[0])
    found = _known(family.activation, family.depth, family.bias_std, x.shape, x.tobytes(), device)
    if not np.isfinite([*found.forward, *found.backward]).all():
        raise InputError(
            "activation", family.activation.name, must="have finite Gaussian moments",
            got="E[σ(u)σ(v)] or E[σ′(u)σ′(v)] that is not a number",
            because="the limit of infinite width is made of them", do="choose another",
        )  # fmt: skip
    return found


@lru_cache(maxsize=8)  # quadrature takes seconds, and one run may ask more than once
def _known(
    activation: Activation,
    depth: int,
    bias_std: float,
    shape: tuple[int, ...],
    data: bytes,
    device: str,
) -> Limit:
    x = jnp.asarray(np.frombuffer(data).reshape(shape))
    family = Family(depth, activation, bias_std=bias_std)
    name = family.activation.name
    if ACTIVATIONS.get(name) is family.activation and name in CLOSED_FORMS:
        return _limit(family, x, getattr(load().stax, CLOSED_FORMS[name])())
    fine, coarse = (
        _limit(family, x, _numerical(family.activation, n)) for n in (DEGREE, DEGREE // 2)
    )
    return replace(fine, coarser=coarse)


def _numerical(activation: Activation, degree: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that quadrature has an error: we estimate it
        return load().stax.ElementwiseNumerical(activation.function, deg=degree)


def _limit(family: Family, x: Array, activation: Any) -> Limit:
    stax = load().stax
    _, _, dense = stax.Dense(1, W_std=1.0, b_std=family.bias_std or None, parameterization="ntk")
    through: Callable[[Any], Any] = activation[2]
    features, forward = [x @ x.T / x.shape[1]], []
    slopes: list[Any] = []
    with jax_defaults():
        kernel = dense(x, None)
        forward.append(kernel.nngp)
        for _ in range(family.depth - 1):
            # neural-tangents' NTK of a single nonlinearity is E[σ′(u) σ′(v)] times what it is given
            kernel = through(kernel.replace(ntk=jnp.ones_like(kernel.nngp)))
            features.append(kernel.nngp)
            slopes.append(kernel.ntk)
            kernel = dense(kernel)
            forward.append(kernel.nngp)
    backward = [np.ones(features[0].shape)]
    for slope in reversed(slopes):
        backward.append(backward[-1] * np.asarray(slope))
    return Limit(
        tuple(np.asarray(h) for h in features),
        tuple(np.asarray(k) for k in forward),
        tuple(reversed(backward)),
    )
