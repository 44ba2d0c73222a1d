"""What rare networks do: how an upper quantile over seeds scales, beside the typical network.

A bound in probability speaks of typical networks, and :func:`ntkalign.statistics.rates.fit` fits
those. If one network in five did not converge at all, its exponent would hardly show it; the upper
quantile does. Its exponent is compared with that of the mean of the log, both by least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ntkalign.statistics.rates import Design
from ntkalign.statistics.samples import Samples, checked_confidence, checked_share

UPPER_LEVEL = 0.9
RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class UpperQuantile:
    """How an upper quantile over seeds scales, beside the typical network.

    Attributes:
        level: of the quantile.
        exponent: its slope against the width, on logarithmic scales.
        difference: that minus the slope of the typical network.
        interval: of the difference, by bootstrap at the given confidence.
    """

    level: float
    exponent: float
    difference: float
    interval: tuple[float, float]

    @property
    def disagrees(self) -> bool:
        """Whether rare networks scale differently from typical ones."""
        return not self.interval[0] <= 0 <= self.interval[1]


def upper_quantile(
    widths: Sequence[int] | np.ndarray,
    values: Sequence[Sequence[float] | np.ndarray] | np.ndarray,
    confidence: float = 0.95,
    level: float = UPPER_LEVEL,
    *,
    shared: bool = False,
) -> UpperQuantile:
    """The exponent of an upper quantile, by least squares, against that of the mean of the log.

    Seeds are resampled within each width, or whole if they share noise across widths; the interval
    is the basic bootstrap's. With few seeds a high quantile is close to the largest value, and the
    interval is rough.

    Args:
        widths: at least three, increasing.
        values: for each width one positive value per seed, at least two.
        confidence: of the interval.
        level: of the quantile.
        shared: whether the i-th values of all widths share noise.

    Returns:
        The quantile's exponent; its difference from the typical network's, with an interval.

    Raises:
        InputError: if an argument is not what it must be; says which, and what to do.
    """
    confidence = checked_confidence(confidence)
    level = checked_share("level", level, "it is the share of networks below the quantile", 0.9)
    samples = Samples.of(widths, values, shared=shared)
    rng = np.random.default_rng(0)
    weights = Design.of(samples.widths).weights[0]
    slope = difference = 0.0
    resampled = np.zeros(RESAMPLES)
    count = len(samples.logs[0])
    whole = rng.integers(0, count, (RESAMPLES, count))
    for w, logs in zip(weights, samples.logs, strict=True):
        quantile = float(np.quantile(logs, level))
        slope += w * quantile
        difference += w * (quantile - logs.mean())
        chosen = whole if samples.shared else rng.integers(0, len(logs), (RESAMPLES, len(logs)))
        drawn = logs[chosen]
        resampled += w * (np.quantile(drawn, level, axis=1) - drawn.mean(axis=1))
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return UpperQuantile(
        level, slope, difference, (2 * difference - float(high), 2 * difference - float(low))
    )
