"""Rare networks: noticed where they scale differently, and not where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from ntkalign.statistics.upper_quantiles import upper_quantile
from tests.statistics.test_rates import STANDARD, WIDTHS, shared_sweep, sweep


def test_an_upper_quantile_that_scales_like_the_rest_agrees():
    rng = np.random.default_rng(6)
    found = [upper_quantile(WIDTHS, sweep(-0.5, 0.4, 24, rng), 0.99).disagrees for _ in range(60)]
    assert sum(found) <= 6


def test_a_tail_that_grows_is_noticed():
    rng = np.random.default_rng(7)
    values = []
    for i, m in enumerate(STANDARD):
        logs = 0.1 * rng.standard_normal(40)
        logs[:8] += 1.5 * i  # a fifth of the networks does not converge
        values.append(m**-0.5 * np.exp(logs))
    found = upper_quantile(STANDARD, values, 0.99)
    assert found.disagrees
    assert found.exponent > 0.3
    assert found.difference == pytest.approx(
        found.exponent - fit_by_least_squares(values), abs=1e-9
    )


def fit_by_least_squares(values):
    return np.polyfit(np.log(STANDARD), [np.log(v).mean() for v in values], 1)[0]


def test_a_quantile_of_shared_seeds_is_resampled_whole():
    rng = np.random.default_rng(0)
    values = shared_sweep(rng, 12, 0.5, 0.05)
    apart, together = (
        upper_quantile(STANDARD, values),
        upper_quantile(STANDARD, values, shared=True),
    )
    assert together.exponent == apart.exponent
    assert np.diff(together.interval) < 0.5 * np.diff(apart.interval)
