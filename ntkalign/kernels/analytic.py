"""Kernels of the infinitely wide network, layer by layer, each entry with a bound on its error.

With u, v jointly normal with the covariance K_l of preactivations at two data points,

    K_1 = x xᵀ/d + β²,   H_l = E[σ(u) σ(v)],   K_{l+1} = H_l + β²,   (NNGP: K_N)
    Γ_N = 1,             Γ_l = Γ_{l+1} ⊙ E[σ′(u) σ′(v)],
    Θ = Σ_l Γ_l ⊙ (H_{l−1} + 1),   H_0 = x xᵀ/d,

each times the identity over outputs. The 1 is the bias's own gradient, which is there whatever β is
(neural-tangents' own NTK has β² in its place, because it scales biases and not their variance). The
two expectations are neural-tangents' closed forms where it has them. Else, and for a point of
variance zero (a row of zeros without biases), they come from :mod:`ntkalign.kernels.expectations`.

What a layer's K may be off by moves both expectations of the next layer: they are computed at K and
at both ends of its error, and the larger change is added to their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.devices import devices
from ntkalign.errors import InputError
from ntkalign.kernels.adapter import jax_defaults, load
from ntkalign.kernels.expectations import ROUNDING, Both, Expansion, evaluation, expansions
from ntkalign.networks.activations import ACTIVATIONS, LEAK, Activation
from ntkalign.networks.family import Family
from ntkalign.precision import in_float64

CLOSED_FORMS: dict[str, tuple[str, tuple[float, ...]]] = {
    "erf": ("Erf", ()),
    "sin": ("Sin", ()),
    "gelu": ("Gelu", ()),
    "relu": ("Relu", ()),
    "leaky-relu": ("LeakyRelu", (LEAK,)),
    "abs": ("Abs", ()),
    "linear": ("Identity", ()),
}
"""Activations whose expectations neural-tangents knows: by our name, its name and arguments."""
EPSILON = 4 * np.finfo(np.float64).eps
"""Rounding of a covariance, as a share of the two standard deviations."""
STEADY = 1e-12
"""A variance known to this share counts as known."""

Matrix = Float[np.ndarray, "P P"]
Bounded = tuple[Matrix, Matrix]
"""Entries, and how far each may be off."""


@dataclass(frozen=True, eq=False)
class Kernels:
    """Kernels over P data points at infinite width; item l−1 belongs to layer l.

    Attributes:
        features: H_0 … H_{N−1}, each (P, P).
        forward: K_1 … K_N.
        backward: Γ_1 … Γ_N, the factor before the identity over outputs.
    """

    features: tuple[Matrix, ...]
    forward: tuple[Matrix, ...]
    backward: tuple[Matrix, ...]

    def __post_init__(self) -> None:
        for array in (*self.features, *self.forward, *self.backward):
            array.setflags(write=False)  # they are kept for whoever asks next

    @property
    def nngp(self) -> Matrix:
        """K_N, the covariance of outputs at time 0."""
        return self.forward[-1]

    @property
    def ntk(self) -> Matrix:
        """Θ."""
        pairs = zip(self.backward, self.features, strict=True)
        return np.sum([gamma * (h + 1) for gamma, h in pairs], axis=0)


@dataclass(frozen=True, eq=False)
class InfiniteWidthKernels(Kernels):
    """Kernels, and how far they may be from the true ones.

    Attributes:
        moved: the same with each entry moved, away from zero, by the bound on its error. What this
            changes in a quantity is the quantity's error.
    """

    moved: Kernels


@in_float64
def infinite_width_kernels(
    family: Family, x: Float[Array | np.ndarray, "P d"]
) -> InfiniteWidthKernels:
    """The limit of a family's networks as all their widths grow.

    Unequal widths have the same limit. A bottleneck or another output scale has none of this kind:
    what is returned then is the limit that those networks do *not* have.

    Args:
        family: depth, activation and bias_std are used.
        x: the data.

    Returns:
        Kernels at all pairs of points, and the same moved by the bounds on their errors.

    Raises:
        InputError: if the data or an expectation are not finite.
    """
    x, device = np.ascontiguousarray(x, np.float64), str(devices()[0])
    if x.ndim != 2 or not np.isfinite(x).all():
        raise InputError(
            "x", f"of shape {x.shape}", must="be finite numbers of shape (points, inputs)",
            got=f"shape {x.shape}" if x.ndim != 2 else "NaN or infinity",
            because="kernels are between points", do="pass one row for each point",
        )  # fmt: skip
    found = _known(family.activation, family.depth, family.bias_std, x.shape, x.tobytes(), device)
    if found is None:
        raise no_moments(family.activation)
    return found


def no_moments(activation: Activation) -> InputError:
    """What is said of an activation whose expectations are not finite."""
    return InputError(
        "activation", activation.name, must="have finite Gaussian moments",
        got="E[σ(u)σ(v)] or E[σ′(u)σ′(v)] that is not a number",
        because="the limit of infinite width is made of them", do="choose another",
    )  # fmt: skip


@lru_cache(maxsize=8)  # expectations take seconds, and one run may ask more than once
def _known(
    activation: Activation,
    depth: int,
    bias_std: float,
    shape: tuple[int, ...],
    data: bytes,
    device: str,
) -> InfiniteWidthKernels | None:
    x = np.frombuffer(data).reshape(shape)
    start = x @ x.T / x.shape[1]
    features, slopes = [(start, EPSILON * deviations(start))], []
    expect = expectations(activation)
    for _ in range(depth - 1):
        h, error = features[-1]
        value, slope = propagated(expect, h + bias_std**2, error + EPSILON * deviations(h))
        if not np.isfinite([*value, *slope]).all():
            return None
        features.append(value)
        slopes.append(slope)
    backward = [(np.ones_like(start), np.zeros_like(start))]
    for s, s_error in reversed(slopes):
        gamma, error = backward[-1]
        backward.append((gamma * s, error * (np.abs(s) + s_error) + np.abs(gamma) * s_error))
    backward.reverse()

    moved = Kernels(
        tuple(away(*h) for h in features),
        tuple(away(*h) + bias_std**2 for h in features),
        tuple(away(*gamma) for gamma in backward),
    )
    return InfiniteWidthKernels(
        tuple(entries for entries, _ in features),
        tuple(entries + bias_std**2 for entries, _ in features),
        tuple(entries for entries, _ in backward),
        moved,
    )


def away(entries: Matrix, error: Matrix) -> Matrix:
    """Each entry moved, away from zero, by the bound on its error."""
    return entries + np.where(entries < 0, -error, error)


# --- one layer ------------------------------------------------------------------------------

KernelLayer = tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]
"""neural-tangents' layer: draw, apply, kernel."""
Expectations = Callable[[list[Matrix]], list[tuple[Bounded, Bounded]]]
"""From covariances to E[σσ] and E[σ′σ′] under each."""


@np.errstate(all="ignore")  # what is not finite is refused
def propagated(expect: Expectations, k: Matrix, error: Matrix) -> tuple[Bounded, Bounded]:
    """Both expectations under a covariance that may be off."""
    variances = np.diag(k)
    steps = error.copy()
    steady = np.diag(error) <= STEADY * variances
    np.fill_diagonal(steps, np.where(steady, 0.0, np.diag(error)))
    at, *ends = expect([k, k - steps, k + steps])
    bounded = []
    for which in (0, 1):
        value, bound = at[which]
        change = [np.abs(end[which][0] - value) + end[which][1] - bound for end in ends]
        bounded.append((value, bound + np.maximum(0.0, np.maximum(*change))))
    return bounded[0], bounded[1]


def expectations(activation: Activation) -> Expectations:
    """How both expectations are found for an activation, with bounds on their errors."""
    both = evaluation(activation)
    name = activation.name
    if ACTIVATIONS.is_built_in(activation) and name in CLOSED_FORMS:
        its_name, arguments = CLOSED_FORMS[name]
        layer = getattr(load().stax, its_name)(*arguments)
        return lambda ks: [_closed(layer, both, k) for k in ks]
    return lambda ks: _expanded(both, ks)


def _expanded(both: Both, ks: list[Matrix]) -> list[tuple[Bounded, Bounded]]:
    """By expansions, which covariances with the same diagonal share."""
    found: dict[bytes, tuple[Expansion, Expansion]] = {}
    correlations = [_correlation(k) for k in ks]
    largest = np.max(np.abs(correlations), axis=0)
    pairs = []
    for k, rho in zip(ks, correlations, strict=True):
        variances = np.maximum(np.diag(k), 0.0)
        key = variances.tobytes()
        if key not in found:
            found[key] = expansions(both, variances, largest)
        value, slope = found[key]
        pairs.append((value.expectations(rho), slope.expectations(rho)))
    return pairs


def _closed(layer: KernelLayer, both: Both, k: Matrix) -> tuple[Bounded, Bounded]:
    """By neural-tangents, but for points without variance, at which σ is σ(0)."""
    moving = np.diag(k) > 0
    whole = [np.zeros_like(k), np.zeros_like(k)]
    if not moving.all():  # independent of the others
        apart = np.zeros_like(k)
        still = expansions(both, np.maximum(np.diag(k), 0.0), apart)
        whole = [expansion.expectations(apart)[0] for expansion in still]
    if moving.any():
        some = np.ix_(moving, moving)
        with jax_defaults():
            inner = jnp.asarray(_within(k)[some])
            blank = load().stax.Dense(1, parameterization="ntk")[2](jnp.ones((len(inner), 1)), None)
            # its NTK of a single nonlinearity is E[σ′(u) σ′(v)] times what it is given
            given = blank.replace(nngp=inner, cov1=jnp.diag(inner), ntk=jnp.ones_like(inner))
            through = layer[2](given)
        whole[0][some], whole[1][some] = through.nngp, through.ntk
    value, slope = ((found, ROUNDING * deviations(found)) for found in whole)
    return value, slope


def deviations(k: Matrix) -> Matrix:
    """√(k_xx k_x′x′)."""
    scales = np.sqrt(np.maximum(np.diag(k), 0.0))
    return np.outer(scales, scales)


def _within(k: Matrix) -> Matrix:
    """No correlation above 1."""
    return np.clip(k, -deviations(k), deviations(k))


def _correlation(k: Matrix) -> Matrix:
    scale = deviations(k)
    return np.clip(np.divide(k, scale, out=np.zeros_like(k), where=scale > 0), -1.0, 1.0)
