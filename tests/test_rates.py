"""Testing the statistician: exact laws, coverage, and what must be refused."""

from __future__ import annotations

import numpy as np
import pytest

from ntkalign.rates import fit, slope

WIDTHS = (64, 128, 256, 512)


def sweep(exponent, noise, seeds, rng, widths=WIDTHS, correction=0.0):
    m = np.asarray(widths, float)
    law = m**exponent * (1 + correction * (m / m[0]) ** -0.5)
    return [q * np.exp(noise * rng.standard_normal(seeds)) for q in law]


def test_a_power_law_without_noise_is_read_off_exactly():
    rate = fit(WIDTHS, [[3 * m**-0.7] * 4 for m in WIDTHS])
    assert rate.exponent == pytest.approx(-0.7)
    assert rate.interval == pytest.approx((-0.7, -0.7))
    assert rate.upper_exponent == pytest.approx(-0.7)
    assert rate.local == pytest.approx([-0.7] * 3)
    assert rate.typical == pytest.approx([3 * m**-0.7 for m in WIDTHS])


@pytest.mark.parametrize(
    ("noise", "seeds", "widths"),
    [(0.2, 6, WIDTHS), (0.8, 4, WIDTHS), (0.5, 16, (32, 64, 128, 256, 512)), (0.5, 2, (8, 16, 32))],
)
def test_the_interval_covers_the_true_exponent(noise, seeds, widths):
    """Nominal 95 %: of 300 sweeps 93–100 % is what chance allows (3 standard errors)."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        low, high = fit(widths, sweep(-0.5, noise, seeds, rng, widths)).interval
        covered += low <= -0.5 <= high
    assert covered >= 0.95 * 300 - 3 * np.sqrt(300 * 0.95 * 0.05)


def test_the_interval_is_no_wider_than_it_must_be():
    """Against the t interval that knows the noise to be equal and normal."""
    rng = np.random.default_rng(2)
    rates = [fit(WIDTHS, sweep(-0.5, 0.4, 8, rng)).interval for _ in range(100)]
    x = np.log(WIDTHS)
    ideal = 1.96 * 0.4 / np.sqrt(8 * np.sum((x - x.mean()) ** 2))
    assert np.mean([(high - low) / 2 for low, high in rates]) < 1.35 * ideal


def test_scatter_about_the_line_is_not_taken_for_noise():
    """Curvature without seed noise gives a narrow interval: it comes from seeds alone."""
    rng = np.random.default_rng(3)
    low, high = fit(WIDTHS, sweep(-0.5, 1e-6, 6, rng, correction=1.0)).interval
    assert high - low < 1e-4


def test_a_law_that_bends_shows_in_the_upper_window():
    rng = np.random.default_rng(4)
    rate = fit(WIDTHS, sweep(-0.5, 1e-3, 6, rng, correction=1.0))
    assert rate.exponent < rate.upper_exponent < -0.5


def test_a_confidence_of_half_is_narrower():
    rng = np.random.default_rng(5)
    values = sweep(-0.5, 0.4, 6, rng)
    (a, b), (c, d) = (fit(WIDTHS, values, share).interval for share in (0.95, 0.5))
    assert a < c < d < b


def test_two_seeds_fall_back_on_the_t_interval():
    logs = [np.array([0.0, 0.1]), np.array([-0.5, -0.4]), np.array([-1.0, -0.9])]
    estimate, (low, high) = slope(np.array([0.0, 1.0, 2.0]), logs, 0.95)
    assert estimate == pytest.approx(-0.5)
    # Welch–Satterthwaite: two equal parts with one degree of freedom each, t = 4.303
    assert high - low == pytest.approx(2 * 4.3027 * np.sqrt(2 * 0.25 * 0.005 / 2), rel=1e-3)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_values_without_a_logarithm_are_refused(bad):
    with pytest.raises(ValueError, match="positive, finite values"):
        fit(WIDTHS, [[1.0, 1.0]] * 3 + [[1.0, bad]])


def test_too_few_widths_or_seeds_are_refused():
    with pytest.raises(ValueError, match="three widths and two seeds"):
        fit((1, 2), [[1.0, 1.0]] * 2)
    with pytest.raises(ValueError, match="three widths and two seeds"):
        fit((1, 2, 3), [[1.0, 1.0], [1.0, 1.0], [1.0]])
