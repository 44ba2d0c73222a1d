"""Testing the statistician: exact laws, coverage, and what must be refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from ntkalign import InputError
from ntkalign.statistics.corrections import (
    DECAYS,
    EDGE,
    OPPOSITE,
    SIZES,
    Expansion,
)
from ntkalign.statistics.judgement import Bound, Kind, judge
from ntkalign.statistics.rates import Design, Exponent, fit
from tests.plain import plain

WIDTHS = (64, 128, 256, 512)
STANDARD = (64, 256, 1024, 4096)


def sweep(exponent, noise, seeds, rng, widths=WIDTHS, correction=0.0, decay=0.5):
    m = np.asarray(widths, float)
    law = m**exponent * (1 + correction * (m / m[0]) ** -decay)
    return [q * np.exp(noise * rng.standard_normal(seeds)) for q in law]


def test_a_power_law_without_noise_is_read_off_exactly():
    rate = fit(WIDTHS, [[3 * m**-0.7] * 4 for m in WIDTHS])
    assert rate.exponent == pytest.approx(-0.7)
    assert rate.upper.estimate == pytest.approx(-0.7)
    assert rate.all.error == rate.upper.error == 0
    assert rate.local == pytest.approx([-0.7] * 3)
    assert rate.typical == pytest.approx([3 * m**-0.7 for m in WIDTHS])
    low, high = rate.interval  # what a correction may hide
    assert low == pytest.approx(-0.7, abs=0.02)
    assert -0.7 < high < -0.5


@given(
    st.lists(st.integers(8, 5000), min_size=3, max_size=8, unique=True).map(sorted),
    st.floats(-2, 1),
    st.floats(0.01, 100),
)
def test_every_candidate_reads_off_a_power_law(widths, exponent, factor):
    x = np.log(widths)
    design = Design.of(tuple(widths))
    np.testing.assert_allclose(
        design.weights @ (np.log(factor) + exponent * x), exponent, atol=1e-6
    )
    np.testing.assert_allclose(design.curvature @ (np.log(factor) + exponent * x), 0, atol=1e-6)
    plain = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    np.testing.assert_allclose(design.weights[0], plain, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("widths", [WIDTHS, STANDARD, (32, 64, 128)])
def test_corrections_that_are_allowed_for_never_leave_the_interval(size, decay, widths):
    """Without noise: the shift of every candidate is inside its range."""
    m = np.asarray(widths, float)
    values = [[q, q * (1 + 1e-13)] for q in m**-0.5 * (1 + size * (m / m[0]) ** -decay)]
    low, high = fit(widths, values).interval
    assert low - 1e-6 <= -0.5 <= high + 1e-6
    design = Design.of(widths)
    shifts = design.weights @ np.log1p(size * (m / m[0]) ** -decay)
    assert (design.shifts[:, 0] - 1e-12 <= shifts).all()
    assert (shifts <= design.shifts[:, 1] + 1e-12).all()


@pytest.mark.parametrize(
    ("noise", "seeds", "widths", "correction"),
    [
        (0.2, 6, WIDTHS, 0.0),
        (0.8, 4, WIDTHS, 0.0),
        (0.5, 16, (32, 64, 128, 256, 512), 0.0),
        (0.2, 16, STANDARD, 1.0),
        (0.5, 2, (8, 16, 32), 0.0),
    ],
)
def test_the_interval_covers_the_true_exponent(noise, seeds, widths, correction):
    """Nominal 95 %: of 400 sweeps, no fewer than chance allows (3 standard errors)."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        low, high = fit(widths, sweep(-0.5, noise, seeds, rng, widths, correction)).interval
        covered += low <= -0.5 <= high
    assert covered >= 0.95 * 400 - 3 * np.sqrt(400 * 0.95 * 0.05)


def test_an_interval_that_knew_of_no_corrections_would_miss():
    """The control of the coverage test: least squares with its own standard error."""
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(100):
        values = sweep(-0.5, 0.2, 16, rng, STANDARD, 1.0)
        weights = Design.of(STANDARD).weights[0]
        means = [np.log(row).mean() for row in values]
        missed += abs(weights @ means + 0.5) > 2 * 0.2 / 4 * np.linalg.norm(weights)
    assert missed > 90


def test_the_interval_is_that_of_imbens_and_manski():
    known = Exponent(0.0, 1.0, np.inf)
    assert known.interval(0.95) == pytest.approx((-1.96, 1.96), abs=1e-3)
    wide = Exponent(0.0, 1.0, np.inf, shift=(-50.0, 0.0))  # one end cannot miss
    assert wide.interval(0.95) == pytest.approx((-1.645, 51.645), abs=1e-3)
    low, high = Exponent(0.0, 1.0, np.inf, shift=(-1.0, 0.0)).interval(0.95)
    assert norm.cdf(-low + 1) - norm.cdf(low) == pytest.approx(0.95)
    assert high == pytest.approx(1 - low)
    few = Exponent(0.0, 1.0, 3.0).interval(0.95)
    assert few[1] == pytest.approx(t.ppf(0.975, 3))
    loose = Exponent(0.0, 1.0, np.inf, numerical=0.5).interval(0.95)
    assert loose == pytest.approx((low - 0.5, high - 0.5))  # as wide as a shift of one


def test_p_values_allow_for_corrections_of_either_sign():
    e = Exponent(0.0, 1.0, np.inf, shift=(-1.0, 0.5), slack=0.25, numerical=0.1)
    assert e.p_above(-3.0) == pytest.approx(norm.cdf(-(3 - 0.5 - 0.25 - 0.1)))
    assert e.p_below(3.0) == pytest.approx(norm.cdf(-(3 - 1.0 - 0.1)))
    assert Exponent(0.0, 0.0, np.inf).p_above(-0.1) == 0
    assert Exponent(0.0, 0.0, np.inf).p_above(0.1) == 1


def test_numerical_error_widens_the_interval_by_what_it_can_do():
    rng = np.random.default_rng(0)
    values = sweep(-0.5, 0.3, 8, rng)
    plain, loose = fit(WIDTHS, values), fit(WIDTHS, values, errors=[0.01] * 4)
    weights = next(
        w for w in Design.of(WIDTHS).weights
        if w @ [np.log(v).mean() for v in values] == pytest.approx(plain.exponent, abs=1e-12)
    )  # fmt: skip
    assert loose.all.numerical == pytest.approx(0.01 * np.abs(weights).sum())
    assert loose.interval[0] < plain.interval[0]
    assert loose.interval[1] > plain.interval[1]


def test_noise_that_widths_share_does_not_count():
    """Paired seeds: a common factor moves all widths alike, and the exponent not at all."""
    rng = np.random.default_rng(0)
    common = np.exp(rng.standard_normal(12))
    own = sweep(-0.5, 0.05, 12, rng)
    values = [common * row for row in own]
    paired, apart = fit(WIDTHS, values, shared=True), fit(WIDTHS, values)
    assert paired.all.error < 0.2 * apart.all.error
    assert paired.interval[0] <= -0.5 <= paired.interval[1]


def test_scatter_about_the_line_is_not_taken_for_noise():
    """Curvature without seed noise gives no standard error: it comes from seeds alone."""
    rng = np.random.default_rng(3)
    rate = fit(WIDTHS, sweep(-0.5, 1e-6, 6, rng, correction=1.0))
    assert rate.all.error < 1e-4
    assert rate.bends


def test_a_law_that_bends_shows_in_the_upper_window_and_the_test():
    rng = np.random.default_rng(4)
    rate = fit(WIDTHS, sweep(-0.5, 1e-3, 6, rng, correction=3.0))
    assert rate.exponent < rate.upper.estimate < -0.5
    assert rate.bends


def test_the_test_for_a_bend_has_its_level():
    rng = np.random.default_rng(5)
    found = sum(fit(WIDTHS, sweep(-0.5, 0.4, 8, rng)).bends for _ in range(400))
    assert 0.05 * 400 - 3 * np.sqrt(400 * 0.05 * 0.95) < found
    assert found < 0.05 * 400 + 3 * np.sqrt(400 * 0.05 * 0.95)


def test_a_confidence_of_half_is_narrower():
    rng = np.random.default_rng(5)
    values = sweep(-0.5, 0.4, 6, rng)
    (a, b), (c, d) = (fit(WIDTHS, values, share).interval for share in (0.95, 0.5))
    assert a < c < d < b


def shared_sweep(rng, seeds, common, own, exponent=-0.5, widths=STANDARD):
    of_seed = common * rng.standard_normal(seeds)
    return [m**exponent * np.exp(of_seed + own * rng.standard_normal(seeds)) for m in widths]


def test_noise_that_seeds_share_cancels_and_the_interval_still_covers():
    rng = np.random.default_rng(2)
    covered, lengths = 0, []
    for _ in range(400):
        values = shared_sweep(rng, 8, 0.5, 0.1)
        paired = fit(STANDARD, values, shared=True)
        covered += paired.interval[0] <= -0.5 <= paired.interval[1]
        lengths.append([fit(STANDARD, values).all.error, paired.all.error])
    assert covered >= 0.95 * 400 - 3 * np.sqrt(400 * 0.95 * 0.05)
    alone, together = np.mean(lengths, axis=0)
    assert together < 0.5 * alone


def test_weights_are_chosen_by_the_noise_that_is_left():
    """Shared noise, however large, must not make the fit give up its extrapolation."""
    rng = np.random.default_rng(0)
    small = shared_sweep(rng, 16, 0.0, 0.02)
    large = [q * np.exp(3.0 * np.linspace(-1, 1, 16)) for q in small]
    apart, together = (fit(STANDARD, v, shared=True).all for v in (small, large))
    assert together.shift == apart.shift
    assert together.estimate == pytest.approx(apart.estimate)
    assert fit(STANDARD, large).all.shift != apart.shift


# --- the expansion parameter -----------------------------------------------------------------


plain_expansion = plain()["ntkalign.statistics.corrections"].Expansion


def epsilon(first, widths=STANDARD, order=1.0):
    return Expansion(tuple(first * (m / widths[0]) ** -0.5 for m in widths), order)


@pytest.mark.parametrize("first", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("decay", DECAYS)
def test_corrections_as_large_as_the_expansion_parameter_never_leave_the_interval(
    first, sign, decay
):
    """Without noise, of either sign; and a true bound is not refuted."""
    m = np.asarray(STANDARD, float)
    law = m**-0.5 * (1 + sign * first * (m / m[0]) ** -decay)
    rate = fit(STANDARD, [[q, q * (1 + 1e-13)] for q in law], expansion=epsilon(first))
    assert rate.interval[0] - 1e-6 <= -0.5 <= rate.interval[1] + 1e-6
    assert rate.all.p_above(-0.5) > 0.01


def test_an_unknown_or_small_expansion_parameter_changes_nothing():
    rng = np.random.default_rng(0)
    values = sweep(-0.5, 0.2, 8, rng, STANDARD)
    unknown, none = fit(STANDARD, values), fit(STANDARD, values, expansion=epsilon(0.0))
    assert none == unknown
    assert none.decides


@pytest.mark.parametrize("expansion", [None, epsilon(0.0), epsilon(0.1), epsilon(0.25)])
@pytest.mark.parametrize("decay", DECAYS)
def test_a_refutation_always_allows_for_a_quarter_of_the_other_sign(expansion, decay):
    m = np.asarray(STANDARD, float)
    law = m**-0.5 * (1 + OPPOSITE * (m / m[0]) ** -decay)
    rate = fit(STANDARD, [[q, q * (1 + 1e-13)] for q in law], expansion=expansion)
    assert rate.all.p_above(-0.5) > 0.01
    assert fit(STANDARD, [[q * m**0.1, q * m**0.1] for q, m in zip(law, STANDARD, strict=True)],
               expansion=expansion).all.p_above(-0.5) == 0  # fmt: skip


def test_intervals_grow_at_both_ends_with_the_expansion_parameter():
    rng = np.random.default_rng(0)
    values = sweep(-0.5, 0.1, 8, rng, STANDARD)
    rates = [fit(STANDARD, values, expansion=epsilon(e)) for e in (0.0, 0.2, 0.5, 1.5)]
    lows, lengths = zip(*[(r.all.shift[1], r.all.shift[1] - r.all.shift[0]) for r in rates],
                        strict=True)  # fmt: skip
    assert lows == tuple(sorted(lows))
    assert lengths == tuple(sorted(lengths))


def test_widths_outside_the_regime_are_left_out_of_a_refutation():
    """At first the law levels off, as where networks are saturated; then it decays as stated."""
    widths = (16, 64, 256, 1024, 4096)
    m = np.asarray(widths, float)
    law = m**-0.5 / np.sqrt(1 + 64 / m)
    rate = fit(
        widths,
        [[q, q * (1 + 1e-13)] for q in law],
        expansion=Expansion((0.8, 0.7, 0.45, 0.24, 0.12)),
    )
    assert rate.decides
    assert rate.outside == 2
    assert rate.exponent == pytest.approx(-0.5, abs=0.05)
    assert fit(widths, [[q, q * (1 + 1e-13)] for q in law]).exponent > rate.exponent + 0.02
    assert len(rate.typical) == len(rate.local) + 1 == 5
    few = fit(
        widths, [[q, q * (1 + 1e-13)] for q in law], expansion=Expansion((0.9, 0.8, 0.7, 0.45, 0.2))
    )
    assert not few.decides
    assert few.outside == 3
    again = fit(
        widths, [[q, q * (1 + 1e-13)] for q in law], expansion=Expansion((0.4, 0.8, 0.3, 0.2, 0.1))
    )
    assert again.exponent == rate.exponent


def crossing(first, widths):
    """x falls like m^-½, and ε = x/(1 + x)."""
    x = first / (1 - first) * (np.asarray(widths, float) / widths[0]) ** -0.5
    return x, x / (1 + x)


@pytest.mark.parametrize("widths", [STANDARD, (64, 256, 1024), (16, 32, 64, 128)])
@pytest.mark.parametrize("first", [0.1, 0.25, EDGE])
@pytest.mark.parametrize("order", [1.0, 2.0])
def test_laws_that_cross_over_with_the_expansion_parameter_stay_in_the_interval(
    widths, first, order
):
    """ε^k levels off where networks are narrow, (1 + x)^k falls faster there; without noise."""
    x, e = crossing(first, widths)
    known = Expansion(tuple(e), order)
    for law, p in ((e**order, -order / 2), ((1 + x) ** order, 0.0), ((1 - e) ** order, 0.0)):
        rate = fit(widths, [[q, q * (1 + 1e-13)] for q in law], expansion=known)
        assert rate.interval[0] - 1e-6 <= p <= rate.interval[1] + 1e-6
        assert rate.all.p_above(p) > 0.01
        assert rate.all.p_below(p) > 0.01


def test_what_is_expanded_in_is_checked_where_it_enters():
    for bad in ((0.1, np.nan), (-0.1,), (np.inf,), (), ("0.1",), 0.1, None):
        with pytest.raises(
            InputError, match=r"expansion \(.*\) must be one finite number for each"
        ):
            plain_expansion(bad)
    for bad in (-1.0, np.nan, "1", None):
        with pytest.raises(InputError, match=r"order \(.*\) must be a finite number, at least 0"):
            plain_expansion((0.1, 0.1), bad)
    with pytest.raises(InputError, match=r"expansion .* got .* for 4 widths"):
        fit(STANDARD, [[1.0, 1.0]] * 4, expansion=Expansion((0.1, 0.1, 0.1)))


def test_saturation_is_refuted_if_nothing_is_known_of_it():
    """The control: the same true law, with drift of 0.8 at the smallest width."""
    m = np.asarray(WIDTHS, float)
    law = m**-0.5 / (1 + 4 * (m / 64) ** -0.5)
    values = [q * np.exp(0.05 * np.random.default_rng(k).standard_normal(16))
              for k, q in enumerate(law)]  # fmt: skip
    drift = 1 / (1 + (m / 64) ** 0.5 / 4)
    claim = Bound(Kind.BOUND, -0.5)
    assert judge(claim, fit(WIDTHS, values)).verdict == "refuted"
    assert (
        judge(claim, fit(WIDTHS, values, expansion=Expansion(tuple(drift)))).verdict == "undecided"
    )


@pytest.mark.parametrize(
    ("bound", "exponent", "verdict"),
    [
        (Bound(Kind.BOUND, -0.5), 0.0, "refuted"), (Bound(Kind.VANISHES), 0.0, "refuted"),
        (Bound(Kind.PERSISTS), -1.0, "refuted"), (Bound(Kind.PERSISTS), 0.0, "holds"),
    ],
)  # fmt: skip
def test_what_does_not_decide_refutes_nothing_however_clear_it_is(bound, exponent, verdict):
    """Too few widths in the regime; the same rate decides if there are enough."""
    rate = fit(STANDARD, sweep(exponent, 0.01, 8, np.random.default_rng(0), STANDARD))
    assert judge(bound, rate).verdict == verdict
    found = judge(bound, replace(rate, decides=False))
    assert (found.verdict, found.p_value) == ("undecided", 1.0)
    assert found.reason.endswith("too few widths are in the regime for that to count")
