"""Exponents from measurements at several widths and seeds, with honest intervals.

The model, for a width m and a seed s, with the smallest width m₁:

    log q(m, s) = c + p log m + correction + noise

**What is fitted**: at each width the mean over seeds of log q. A bound O(m^p) in probability speaks
of typical networks; the arithmetic mean can be dominated by rare seeds. What rare seeds do is
found separately, from an upper quantile (:mod:`ntkalign.statistics.upper_quantiles`).

**Estimator**: p̂ = Σ_i w_i (mean log q at width i), with Σ w_i = 0 and Σ w_i log m_i = 1. A
correction shifts p̂ by its weighted sum, whatever the noise; the range of that over all that are
allowed for (:mod:`ntkalign.statistics.corrections`) is [b₋, b₊]. Among the weights that a ridge
penalty on the shift by corrections of an expansion in 1/√m leads to, those are taken that make the
interval shortest at the pooled noise (Armstrong & Kolesár, *Optimal inference in a class of
regression models*, 2018): least squares if noise dominates, an extrapolation if the correction
does. Apart from that one number the weights do not depend on the data. Widths are not weighted by
their own variances, which a few seeds tell too badly.

**Interval**: [p̂ − b₊ − z s, p̂ − b₋ + z s], s² = Σ w_i² s_i²/n_i with each width's own variance and
Welch–Satterthwaite degrees of freedom; z by Imbens & Manski (*Confidence intervals for partially
identified parameters*, 2004), so that the stated confidence is that of covering p for the least
favourable correction. Scatter about the fitted line is never used: curvature is not noise.
Numerical error shifts the interval's ends outwards by what it can do to p̂ at most. Where widths
share noise, s comes from each seed's own exponent, with whole seeds as the units.

**The regime**: where ε is known, widths with ε > EDGE, and all smaller ones, are left out of the
fit if three are left. Else all are fitted, but the exponent decides nothing that rests on a limit.

**Bends**: a quadratic term is tested; where it is significant, a verdict also needs the interval
over the larger half of the widths (at least three). :mod:`ntkalign.statistics.judgement` has the
rules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

from ntkalign.statistics.corrections import SIZES, Expansion, allowed, before_refuting, powers
from ntkalign.statistics.samples import (
    LEAST_WIDTHS,
    Samples,
    checked_confidence,
    checked_per_width,
)

ONE_WAY = 0.1
"""Weights are used only if corrections move p̂ down at least ten times as far as up."""
PENALTIES = (0.0, *np.logspace(-2, 7, 37))
BEND = 0.05
"""Level of the test for a bend."""


@dataclass(frozen=True)
class Exponent:
    """An exponent and all that makes it uncertain.

    Attributes:
        estimate: p̂.
        error: its standard error.
        freedom: degrees of freedom of the standard error.
        shift: [b₋, b₊], by how much corrections to scaling may have moved p̂.
        slack: by how much a correction of the other sign may have moved it up.
        numerical: by how much numerical error may have moved it, either way.
    """

    estimate: float
    error: float
    freedom: float
    shift: tuple[float, float] = (0.0, 0.0)
    slack: float = 0.0
    numerical: float = 0.0

    @property
    def _ends(self) -> tuple[float, float]:
        """The exponents that the estimate may stand for."""
        low, high = self.shift
        return self.estimate - high - self.numerical, self.estimate - low + self.numerical

    def interval(self, confidence: float) -> tuple[float, float]:
        """The confidence interval for p.

        Returns:
            Its ends; corrections to scaling and numerical error are allowed for.

        Raises:
            InputError: if the confidence does not lie between 0 and 1.
        """
        confidence = checked_confidence(confidence)
        low, high = self._ends
        if self.error == 0:
            return low, high
        room = (high - low) / self.error

        def excess(z: float) -> float:
            return float(stdtr(self.freedom, z + room) - stdtr(self.freedom, -z)) - confidence

        two_sided = float(stdtrit(self.freedom, (1 + confidence) / 2))
        z = brentq(excess, 0.0, two_sided) if excess(0.0) < 0 < excess(two_sided) else two_sided
        return low - z * self.error, high + z * self.error

    def p_above(self, line: float) -> float:
        """p-value of "the exponent is at most ``line``": small if it lies above."""
        return self._p_value(self._ends[0] - self.slack - line)

    def p_below(self, line: float) -> float:
        """p-value of "the exponent is at least ``line``": small if it lies below."""
        return self._p_value(line - self._ends[1])

    def _p_value(self, distance: float) -> float:
        if self.error == 0:
            return 0.0 if distance > 0 else 1.0
        return float(stdtr(self.freedom, -distance / self.error))


@dataclass(frozen=True)
class Rate:
    """A fitted power law.

    Attributes:
        all: the exponent over all widths that are fitted.
        upper: that over the larger half of the widths (at least three).
        outside: how many widths, the smallest, are not in the regime.
        decides: whether enough widths are (or nothing is known of it): then only those are fitted.
        interval: the confidence interval over all of those.
        upper_interval: that over the larger half.
        bend: p-value of "no curvature".
        local: the slopes between neighbouring widths.
        typical: the geometric mean over seeds at each width.
        band: a confidence band for ``typical``, shape (widths, 2).
    """

    all: Exponent
    upper: Exponent
    outside: int
    decides: bool
    interval: tuple[float, float]
    upper_interval: tuple[float, float]
    bend: float
    local: tuple[float, ...]
    typical: tuple[float, ...]
    band: tuple[tuple[float, float], ...]

    @property
    def exponent(self) -> float:
        """The estimate over all widths."""
        return self.all.estimate

    @property
    def bends(self) -> bool:
        """Whether curvature is significant: then the larger widths have to agree."""
        return self.bend < BEND


def fit(
    widths: Sequence[int] | np.ndarray,
    values: Sequence[Sequence[float] | np.ndarray] | np.ndarray,
    confidence: float = 0.95,
    *,
    errors: Sequence[float] | np.ndarray | None = None,
    shared: bool = False,
    expansion: Expansion | None = None,
) -> Rate:
    """Fit an exponent to positive values.

    >>> import numpy as np
    >>> from ntkalign import fit
    >>> widths, rng = np.array([64, 256, 1024, 4096]), np.random.default_rng(0)
    >>> values = widths[:, None] ** -0.5 * np.exp(0.1 * rng.standard_normal((4, 16)))
    >>> rate = fit(widths, values)
    >>> rate.interval[0] < -0.5 < rate.interval[1]
    True

    Args:
        widths: at least three, increasing.
        values: for each width one positive value per seed, at least two.
        confidence: of every interval.
        errors: for each width, the largest numerical error as a share of a value.
        shared: whether the i-th values of all widths share noise (nested networks, say).
        expansion: what the quantity is expanded in, at each width; unknown if None.

    Returns:
        The exponent over all widths and over the upper half, with intervals; values by width.

    Raises:
        InputError: if an argument is not what it must be; says which, and what to do.
    """
    confidence = checked_confidence(confidence)
    samples = Samples.of(widths, values, errors, shared=shared)
    if expansion is not None:
        why = "corrections to scaling grow with it"
        checked_per_width("expansion", expansion.parameter, why, len(samples.widths))
    means = [float(row.mean()) for row in samples.logs]
    margins = [
        stdtrit(len(row) - 1, (1 + confidence) / 2) * row.std(ddof=1) / math.sqrt(len(row))
        for row in samples.logs
    ]
    local = np.diff(means) / np.diff(np.log(samples.widths))
    outside = 0 if expansion is None else expansion.outside
    decides = outside <= len(samples.widths) - LEAST_WIDTHS
    if expansion is not None and outside and decides:
        samples, expansion = samples.after(outside), expansion.after(outside)
    count = len(samples.widths)
    whole = _exponent(samples, expansion)
    upper = _exponent(samples, expansion, count - max(LEAST_WIDTHS, -(-count // 2)))
    curvature = _contrast(Design.of(samples.widths).curvature, samples.logs, samples.shared)
    return Rate(
        all=whole,
        upper=upper,
        outside=outside,
        decides=decides,
        interval=whole.interval(confidence),
        upper_interval=upper.interval(confidence),
        bend=2 * min(curvature.p_above(0.0), curvature.p_below(0.0)) if curvature.error else 1.0,
        local=tuple(local),
        typical=tuple(np.exp(means)),
        band=tuple((math.exp(v - d), math.exp(v + d)) for v, d in zip(means, margins, strict=True)),
    )


# --- weights ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Design:
    """Everything about a fit that depends on the widths alone.

    Attributes:
        weights: candidates, the first of them least squares.
        shifts: [b₋, b₊] of each.
        slacks: by how much more than b₊ the least a of a refutation shifts the exponent.
        curvature: weights of the quadratic coefficient; zero for fewer than three widths.
    """

    weights: Float[np.ndarray, "candidates widths"]
    shifts: Float[np.ndarray, "candidates 2"]
    slacks: Float[np.ndarray, " candidates"]
    curvature: Float[np.ndarray, " widths"]

    @staticmethod
    @cache
    def of(widths: tuple[int, ...], skip: int = 0, expansion: Expansion | None = None) -> Design:
        """For all widths, or for those after the first few of them."""
        relative = np.asarray(widths[skip:], float) / widths[0]
        x = np.log(relative)
        usual = powers(relative, SIZES)
        conditions = np.stack([np.ones_like(x), x])
        weights = []
        for penalty in PENALTIES:
            inverse = np.linalg.inv(np.eye(len(x)) + penalty * usual.T @ usual)
            gain = conditions @ inverse @ conditions.T
            weights.append(inverse @ conditions.T @ np.linalg.solve(gain, [0.0, 1.0]))
        rows = np.array(weights)
        low, high = _range(rows @ usual.T)
        rows = rows[high <= ONE_WAY * -low]  # a pure power law is an end of what is allowed for
        low, high = _range(rows @ allowed(relative, expansion, skip).T)
        slacks = _range(rows @ before_refuting(relative).T)[1]
        return Design(
            rows, np.stack([low, high], axis=1), np.maximum(slacks - high, 0),
            np.linalg.pinv(np.vander(x, 3))[0],
        )  # fmt: skip


def _range(shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest of each row, and of 0."""
    return np.minimum(shifts.min(axis=1), 0), np.maximum(shifts.max(axis=1), 0)


def _exponent(samples: Samples, expansion: Expansion | None, skip: int = 0) -> Exponent:
    """The exponent by the weights that promise the shortest interval, without the first widths."""
    design = Design.of(samples.widths, skip, expansion)
    logs, shared = samples.logs[skip:], samples.shared
    counts = np.array([len(row) for row in logs])
    noise = _pooled_variance(logs, shared)
    spread = np.sqrt(noise * np.sum(design.weights**2 / counts, axis=1))
    room = design.shifts[:, 1] - design.shifts[:, 0]
    best = int(np.argmin(2 * stdtrit(np.inf, 0.975) * spread + room))
    weights = design.weights[best]
    low, high = design.shifts[best]
    return replace(
        _contrast(weights, logs, shared),
        shift=(float(low), float(high)),
        slack=float(design.slacks[best]),
        numerical=float(np.abs(weights) @ samples.errors[skip:]),
    )


def _pooled_variance(logs: Sequence[np.ndarray], shared: bool) -> float:
    """Of the noise within a width; of what is left of it without each seed's mean, if shared."""
    residuals = [row - row.mean() for row in logs]
    freedom = sum(len(row) - 1 for row in logs)
    if shared:
        residuals = list(np.stack(residuals) - np.mean(residuals, axis=0))
        freedom -= len(logs[0]) - 1
    return sum(float(r @ r) for r in residuals) / freedom


def _contrast(weights: np.ndarray, logs: Sequence[np.ndarray], shared: bool) -> Exponent:
    """Σ_i w_i (mean at width i), with its standard error."""
    if shared:
        each = weights @ np.stack(logs)
        error = float(each.std(ddof=1)) / math.sqrt(len(each))
        return Exponent(float(each.mean()), error, len(each) - 1.0)
    estimate = float(sum(w * row.mean() for w, row in zip(weights, logs, strict=True)))
    parts = [w**2 * row.var(ddof=1) / len(row) for w, row in zip(weights, logs, strict=True)]
    variance = float(sum(parts))
    if variance == 0:
        return Exponent(estimate, 0.0, np.inf)
    freedom = variance**2 / sum(p**2 / (len(row) - 1) for p, row in zip(parts, logs, strict=True))
    return Exponent(estimate, math.sqrt(variance), float(freedom))
