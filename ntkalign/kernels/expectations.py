"""E[σ(u) σ(v)] and E[σ′(u) σ′(v)] of jointly normal u, v, for any σ, and how far off they may be.

Take a kink, max(z, 0.3). A quadrature with fixed nodes misses it by an amount that depends on where
the kink happens to lie between two nodes, so that comparing two such quadratures says little. Here:

1. Between −16 and 16 standard deviations f = σ or σ′ is interpolated on panels, and a panel that
   does not resolve f is halved, again and again: a kink or a jump ends in a panel of width 1e-14.
2. With orthonormal Hermite polynomials h_n and a_n(s) = E[f(sZ) h_n(Z)], Z a standard normal,

       E[f(u) f(v)] = Σ_n a_n(s_u) a_n(s_v) ρⁿ,        E[f(u)²] = Σ_n a_n(s_u)²      (Mehler)

   where s² are the variances and ρ the correlation. The expansion is cut after M terms. By
   Cauchy–Schwarz what is left out is at most |ρ|^M √(t_u t_v), with t = E[f²] − Σ_{n<M} a_n² known.

The second is a bound, not an estimate. It is tiny for smooth functions, and for all where |ρ| is
not near 1. The first is an estimate from the interpolants' last coefficients, which is large if a
function has more kinks than panels. What is narrower than the spacing of points can be missed.

σ′ is what JAX derives, because that is what networks are trained with: zero for a step function,
whose jump it leaves out. A variance of zero is no special case: then f(sZ) = f(0), and σ′(0) is
JAX's choice where σ has a kink there (0 for ReLU, 1 for leaky ReLU and |z|).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial import chebyshev, legendre

from ntkalign.networks.activations import Activation

REACH = 16.0
"""Standard deviations within which functions are looked at; exp(−128) of the mass is beyond."""
NODES = 17
"""Points of interpolation in a panel, its ends among them."""
PANELS = 129
"""Panels to begin with."""
MOST_PANELS = 1000
"""No further halving above so many for one point."""
HALVINGS = 45
TERMS = 1024
"""Most terms of the expansion."""
STRIDE = 32
"""After so many terms it is asked whether they suffice."""
PRECISION = 1e-15
"""A panel is halved while it may miss more than this share of E[f²]^½."""
BEYOND = 1e-6
"""The share of E[f²]^½ beyond ``REACH`` from which on the moments count as not finite."""
ROUNDING = 1e-13
"""The rest of the error, as a share of E[f²]; terms are added until they matter less."""
CHUNK = 2**15  # evaluations at a time: one shape, compiled once

Both = Callable[[Float[np.ndarray, " n"]], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Expansion:
    """f(s Z) for P scales s, in Hermite polynomials.

    Attributes:
        terms: a_n(s), shape (M, P).
        norm: E[f²]^½.
        error: how far ‖f‖ may be from that of its interpolant, in the same norm.
    """

    terms: Float[np.ndarray, "M P"]
    norm: Float[np.ndarray, " P"]
    error: Float[np.ndarray, " P"]

    @property
    def tail(self) -> Float[np.ndarray, " P"]:
        """A bound on what is left of the norm after the terms, squared."""
        left = self.norm**2 - np.sum(self.terms**2, axis=0)
        return np.maximum(left, 0.0) + 2 * self.norm * self.error + PRECISION * self.norm**2

    def expectations(
        self, correlation: Float[np.ndarray, "P P"]
    ) -> tuple[Float[np.ndarray, "P P"], Float[np.ndarray, "P P"]]:
        """E[f(u) f(v)], and a bound on its error."""
        value = np.zeros_like(correlation)
        for term in self.terms[::-1]:
            value = value * correlation + np.outer(term, term)
        np.fill_diagonal(value, self.norm**2)
        norms = np.outer(self.norm, self.norm)
        crossed = np.outer(self.norm, self.error)
        bound = crossed + crossed.T + np.outer(self.error, self.error) + ROUNDING * norms
        cut = self.cut(correlation)
        np.fill_diagonal(cut, 0.0)
        return value, bound + cut

    def cut(self, correlation: Float[np.ndarray, "P P"]) -> Float[np.ndarray, "P P"]:
        """A bound on the sum of the terms left out."""
        return np.abs(correlation) ** len(self.terms) * np.sqrt(np.outer(self.tail, self.tail))


@np.errstate(all="ignore")
def expansions(
    both: Both, variances: Float[np.ndarray, " P"], correlation: Float[np.ndarray, "P P"]
) -> tuple[Expansion, Expansion]:
    """σ and σ′ at preactivations of these variances, with as many terms as the pairs need.

    Not finite where σ or σ′ is not, or where it grows so fast that the moments depend on what is
    beyond ``REACH`` standard deviations.

    Args:
        both: σ and σ′, by :func:`evaluation`.
        variances: of u, for each of P data points.
        correlation: of the pairs.

    Returns:
        The expansion of σ, then that of σ′, with the same number of terms.
    """
    scales = np.sqrt(variances)
    nodes, weights, values, missed, beyond = _resolved(both, scales)
    mass = weights * np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)
    norms = np.sqrt(np.einsum("pk,fpk->fp", mass, values**2))
    apart = np.abs(correlation) * (1 - np.eye(len(scales)))
    # orthonormal Hermite functions: they neither overflow nor underflow
    weighted = values * weights * np.exp(-(nodes**2) / 4) / (2 * np.pi) ** 0.25
    before, now = np.zeros_like(nodes), np.exp(-(nodes**2) / 4) / (2 * np.pi) ** 0.25
    terms = np.zeros((TERMS, *norms.shape))
    left = norms**2
    for n in range(TERMS):
        terms[n] = np.einsum("fpk,pk->fp", weighted, now)
        left = left - terms[n] ** 2
        before, now = now, (nodes * now - np.sqrt(n) * before) / np.sqrt(n + 1)
        if (n + 1) % STRIDE == 0:
            cut = np.sqrt(np.maximum(left, 0.0))
            enough = ROUNDING * norms + np.minimum(np.sqrt(n + 1) * missed[0], missed[1])
            wanted = norms[:, :, None] * enough[:, None]
            if not (apart ** (n + 1) * cut[:, :, None] * cut[:, None] > wanted).any():
                break
    # of a jump little is missed in the mean, but much in the mean square
    errors = np.minimum(np.sqrt(n + 1) * missed[0], missed[1]) + beyond
    value, slope = (Expansion(terms[: n + 1, f], norms[f], errors[f]) for f in (0, 1))
    return value, slope


def evaluation(activation: Activation) -> Both:
    """σ and σ′ as functions of NumPy arrays of any length, compiled once."""
    compiled = jax.jit(activation.value_and_slope)

    def both(z: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        parts: list[tuple[Array, Array]] = []
        for start in range(0, z.size, CHUNK):
            part = z[start : start + CHUNK]
            parts.append(compiled(np.pad(part, (0, CHUNK - part.size))))
        values, slopes = (np.concatenate(found)[: z.size] for found in zip(*parts, strict=True))
        return values.astype(np.float64), slopes.astype(np.float64)

    return both


def _resolved(both: Both, scales: Float[np.ndarray, " P"]) -> tuple[np.ndarray, ...]:
    """Nodes that resolve f = σ and f = σ′ for each point, and what they miss.

    Returns:
        Nodes (P, K) in standard deviations, weights (P, K), σ and σ′ (2, P, K); what is missed,
        E|f − interpolant| and E[(f − interpolant)²]^½, (2, 2, P), and f beyond the ends, (2, P).
    """
    points = len(scales)
    # not symmetric about 0, so that no end of a panel is a round number, where kinks are
    edges = np.linspace(-REACH - 0.0123, REACH + 0.0071, PANELS + 1)
    owner = np.repeat(np.arange(points), PANELS)
    middle = np.tile((edges[1:] + edges[:-1]) / 2, points)
    half = np.full(middle.shape, (edges[1] - edges[0]) / 2)
    samples = _sampled(both, scales, owner, middle, half)
    size = np.zeros((2, points))
    for number in range(HALVINGS + 1):
        density = np.exp(-(np.maximum(np.abs(middle) - half, 0.0) ** 2) / 2)
        off = _off(samples)
        if number == 0:
            square = np.mean(samples**2, axis=-1) * density * half
            size = np.sqrt([np.bincount(owner, s, points) for s in square])
        coarse = (off * half * np.sqrt(density) > PRECISION * size[:, owner]).any(axis=0)
        fits = np.bincount(owner, minlength=points) < MOST_PANELS
        split = coarse & fits[owner]
        if number == HALVINGS or not split.any() or not np.isfinite(samples).all():
            break
        halved = half[split] / 2
        new_middle = np.concatenate([middle[split] - halved, middle[split] + halved])
        new_owner, new_half = np.tile(owner[split], 2), np.tile(halved, 2)
        new = _sampled(both, scales, new_owner, new_middle, new_half)
        owner = np.concatenate([owner[~split], new_owner])
        middle = np.concatenate([middle[~split], new_middle])
        half = np.concatenate([half[~split], new_half])
        samples = np.concatenate([samples[:, ~split], new], axis=1)
    mean = np.array([np.bincount(owner, m, points) for m in off * 2 * half * np.sqrt(density)])
    square = np.array([np.bincount(owner, m, points) for m in off**2 * 2 * half * density])
    missed = np.array([mean, np.sqrt(square)])
    ends = np.abs(middle) + half > REACH - 0.1
    beyond = np.abs(samples).max(axis=-1) * np.sqrt(density) * ends
    beyond = np.array([np.bincount(owner, b, points) for b in beyond])
    beyond[~(beyond <= BEYOND * size)] = np.nan
    nodes = middle[:, None] + half[:, None] * _GAUSS
    weights = half[:, None] * _GAUSS_WEIGHTS
    fields = np.concatenate([nodes[None], weights[None], samples @ _TO_GAUSS.T])
    order = np.argsort(owner, kind="stable")
    count = np.bincount(owner, minlength=points)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    padded = np.zeros((4, points, count.max(), NODES))
    padded[:, owner[order], place] = fields[:, order]
    padded = padded.reshape(4, points, -1)
    return padded[0], padded[1], padded[2:], missed, beyond


def _sampled(
    both: Both, scales: np.ndarray, owner: np.ndarray, middle: np.ndarray, half: np.ndarray
) -> Float[np.ndarray, "2 panels nodes"]:
    z = scales[owner, None] * (middle[:, None] + half[:, None] * _LOBATTO)
    return np.stack([f.reshape(z.shape) for f in both(z.ravel())])


def _off(samples: Float[np.ndarray, "2 panels nodes"]) -> Float[np.ndarray, "2 panels"]:
    """How far the interpolant may be from the function, by its last coefficients."""
    return 4 * np.abs(samples @ _LAST.T).sum(axis=-1)


_LOBATTO = np.cos(np.pi * np.arange(NODES) / (NODES - 1))
_GAUSS, _GAUSS_WEIGHTS = legendre.leggauss(NODES)
_COEFFICIENTS = np.linalg.inv(chebyshev.chebvander(_LOBATTO, NODES - 1))
_LAST = _COEFFICIENTS[-4:]
_TO_GAUSS = chebyshev.chebvander(_GAUSS, NODES - 1) @ _COEFFICIENTS
