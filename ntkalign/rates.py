"""Exponents from measurements at several widths and seeds, with intervals that come from seeds.

The model is q(m, seed) = c m^p × noise. The fitted number is the slope p of the mean over seeds
of log q against log m (the exponent of a *typical* network: a bound O(m^p) in probability
speaks of typical networks, not of the mean, which rare seeds can dominate).

The interval is the symmetric bootstrap-t: networks of different widths share no noise, so seeds
are resampled within each width, and each resampled slope is divided by its own standard error
(Hall, *The Bootstrap and Edgeworth Expansion*, 1992, §3.6). The scatter about the fitted line is
never used: curvature is not noise.

A power law that bends is caught by fitting two windows fixed in advance: all widths, and the
larger half (never fewer than three). A verdict needs both to agree; see :mod:`ntkalign.claims`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

RESAMPLES = 4000


@dataclass(frozen=True)
class Rate:
    """A fitted exponent.

    Attributes:
        exponent: the slope p over all widths.
        interval: its confidence interval.
        upper_exponent: the slope over the larger half of the widths (at least three).
        upper_interval: its confidence interval.
        local: the slopes between neighbouring widths.
        typical: the geometric mean over seeds at each width.
        band: a confidence band for ``typical``, shape (widths, 2).
    """

    exponent: float
    interval: tuple[float, float]
    upper_exponent: float
    upper_interval: tuple[float, float]
    local: tuple[float, ...]
    typical: tuple[float, ...]
    band: tuple[tuple[float, float], ...]


def fit(
    widths: Sequence[int], values: Sequence[Sequence[float] | np.ndarray], confidence: float = 0.95
) -> Rate:
    """Fit an exponent to positive values.

    Args:
        widths: at least three, increasing.
        values: for each width one positive value per seed, at least two.
        confidence: of every interval.

    Raises:
        ValueError: if a value is not positive and finite, or there are too few of them.
    """
    if len(widths) < 3 or min(len(v) for v in values) < 2:
        raise ValueError("an exponent with an interval needs three widths and two seeds")
    logs = [np.log(np.asarray(v, float)) for v in values]
    if not all(np.isfinite(row).all() for row in logs):
        raise ValueError("an exponent needs positive, finite values")
    x = np.log(np.asarray(widths, float))
    upper = slice(len(widths) - max(3, -(-len(widths) // 2)), None)
    exponent, interval = slope(x, logs, confidence)
    upper_exponent, upper_interval = slope(x[upper], logs[upper], confidence)
    means = np.array([row.mean() for row in logs])
    half = [
        stdtrit(len(row) - 1, (1 + confidence) / 2) * row.std(ddof=1) / np.sqrt(len(row))
        for row in logs
    ]
    return Rate(
        exponent=exponent,
        interval=interval,
        upper_exponent=upper_exponent,
        upper_interval=upper_interval,
        local=tuple(np.diff(means) / np.diff(x)),
        typical=tuple(np.exp(means)),
        band=tuple(zip(np.exp(means - half), np.exp(means + half), strict=True)),
    )


def slope(
    x: Float[np.ndarray, " widths"], logs: Sequence[np.ndarray], confidence: float
) -> tuple[float, tuple[float, float]]:
    """Least-squares slope of the seeds' means, and its symmetric bootstrap-t interval."""
    rng = np.random.default_rng(0)
    weights = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    estimate, variance = 0.0, 0.0
    shift, spread = np.zeros(RESAMPLES), np.zeros(RESAMPLES)
    parts = []
    for weight, row in zip(weights, logs, strict=True):
        n = len(row)
        estimate += weight * row.mean()
        parts.append(weight**2 * row.var(ddof=1) / n)
        drawn = row[rng.integers(0, n, (RESAMPLES, n))]
        shift += weight * (drawn.mean(axis=1) - row.mean())
        spread += weight**2 * drawn.var(axis=1, ddof=1) / n
    variance = sum(parts)
    if variance == 0:
        return float(estimate), (float(estimate), float(estimate))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.abs(shift) / np.sqrt(spread)
    ratios[np.isnan(ratios)] = 0.0
    quantile = np.sort(ratios)[int(np.ceil(confidence * RESAMPLES)) - 1]
    if not np.isfinite(quantile):  # two seeds: too few distinct resamples; Welch–Satterthwaite
        freedom = variance**2 / sum(
            p**2 / (len(row) - 1) for p, row in zip(parts, logs, strict=True)
        )
        quantile = stdtrit(freedom, (1 + confidence) / 2)
    half = float(quantile * np.sqrt(variance))
    return float(estimate), (float(estimate) - half, float(estimate) + half)
