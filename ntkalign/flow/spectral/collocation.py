"""Chebyshev collocation of a trajectory on panels of logarithmic time.

Gradient flow relaxes at many rates at once: fast modes early, slow ones late. In the variable

    s = log(1 + t/τ),   τ = 4 / (largest rate),

every mode exp(−λt) falls over a stretch of s of order one, so a polynomial in s of degree 20
resolves what a polynomial in t needs a hundred for. A panel is an interval of s with n
Chebyshev–Lobatto nodes, both ends among them; integrals over time are exact for the interpolant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy.polynomial import chebyshev

SAME = 1e-9
"""Moments closer than this in s are one moment: s and t are found from each other by rounding."""
SCALE = 4.0
"""τ in units of the fastest relaxation time; the nodes needed hardly depend on it."""


@dataclass(frozen=True)
class Panel:
    """n nodes on the interval of s between ``begin`` and ``end``, for the time scale τ."""

    begin: float
    end: float
    nodes: int
    tau: float

    @cached_property
    def times(self) -> Float[np.ndarray, " n"]:
        """T at the nodes, increasing."""
        return self.tau * np.expm1(self._at(_lobatto(self.nodes)))

    @cached_property
    def weights(self) -> Float[np.ndarray, "n n"]:
        """w: Σ_k w_jk g(t_k) = ∫ g dt from the panel's start to t_j; the first row is zero."""
        return self.integral(self.times)

    def reaches(self, time: float) -> bool:
        """Whether a moment does not lie after the panel."""
        return self._after(time) <= SAME

    def ends_at(self, time: float) -> bool:
        """Whether a moment is the panel's end."""
        return abs(self._after(time)) <= SAME

    def interpolation(self, times: Float[np.ndarray, " q"]) -> Float[np.ndarray, "q n"]:
        """Values at the nodes → values of the interpolant at ``times``."""
        return chebyshev.chebvander(self._of(times), self.nodes - 1) @ _transform(self.nodes)

    def integral(self, times: Float[np.ndarray, " q"]) -> Float[np.ndarray, "q n"]:
        """Values at the nodes → ∫ dt of the interpolant from the panel's start to ``times``."""
        primitive = chebyshev.chebint(np.eye(self.nodes), lbnd=-1)
        in_s = (
            chebyshev.chebvander(self._of(times), self.nodes) @ primitive @ _transform(self.nodes)
        )
        return in_s * (self.end - self.begin) / 2 * (self.times + self.tau)  # dt/ds = t + τ

    @cached_property
    def derivative(self) -> Float[np.ndarray, "n n"]:
        """Values at the nodes → d/dt of the interpolant there; undone by :attr:`weights`."""
        by_u = chebyshev.chebder(np.eye(self.nodes))
        in_u = chebyshev.chebvander(_lobatto(self.nodes), self.nodes - 2) @ by_u
        in_s = in_u @ _transform(self.nodes) * 2 / (self.end - self.begin)
        return in_s / (self.times + self.tau)[:, None]  # dt/ds = t + τ

    def _after(self, time: float) -> float:
        return math.log1p(time / self.tau) - self.end

    def _at(self, u: np.ndarray) -> np.ndarray:
        return self.begin + (self.end - self.begin) * (u + 1) / 2

    def _of(self, times: np.ndarray) -> np.ndarray:
        s = np.log1p(np.asarray(times) / self.tau)
        return np.clip(2 * (s - self.begin) / (self.end - self.begin) - 1, -1, 1)


def size_of_last(values: Float[np.ndarray, "n size"]) -> float:
    """Frobenius norm of the last two Chebyshev coefficients of a trajectory given at the nodes.

    The coefficients of a smooth trajectory fall geometrically, so this is of the size of what the
    interpolant leaves out.

    Returns:
        The norm over all columns together, in the unit of the values.
    """
    return float(np.linalg.norm(last_coefficients(len(values)) @ values))


def last_coefficients(n: int) -> Float[np.ndarray, "2 n"]:
    """Values at the nodes → the last two Chebyshev coefficients."""
    return _transform(n)[-2:]


def _lobatto(n: int) -> np.ndarray:
    return -np.cos(np.pi * np.arange(n) / (n - 1))


def _transform(n: int) -> np.ndarray:
    """Values at the nodes → Chebyshev coefficients."""
    return np.linalg.inv(chebyshev.chebvander(_lobatto(n), n - 1))
