"""Values without noise: what the law is, what no allowed correction explains, and floors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import InputError
from ntkalign.statistics.corrections import DECAYS
from ntkalign.statistics.exact_laws import FLOOR_SHARE, MISFIT, fit_exact
from ntkalign.statistics.judgement import Bound, Kind, judge

WIDTHS = tuple(2**k for k in range(6, 13))


def law(exponent, bend=lambda r: 1.0, widths=WIDTHS):
    m = np.asarray(widths, float)
    return m**exponent * bend(m / m[0])


@given(
    st.lists(st.integers(8, 5000), min_size=3, max_size=8, unique=True).map(sorted),
    st.floats(-2, 1),
    st.floats(0.01, 100),
)
def test_a_power_law_is_read_off_exactly(widths, exponent, factor):
    found = fit_exact(widths, factor * law(exponent, widths=widths))
    assert found.rate.exponent == pytest.approx(exponent, abs=1e-6)
    assert found.rate.interval[0] - 1e-6 <= exponent <= found.rate.interval[1] + 1e-6
    assert found.misfit <= MISFIT
    assert found.floor == 0
    assert not found.rate.bends


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("size", [-0.2, 0.3, 1.0])
def test_corrections_that_are_allowed_for_are_no_misfit(size, decay):
    found = fit_exact(WIDTHS, law(-0.5, lambda r: 1 + size * r**-decay))
    assert found.misfit <= MISFIT
    assert found.floor == 0
    assert judge(Bound(Kind.BOUND, -0.5), found.rate).verdict != "refuted"
    if size > 0:
        assert found.rate.interval[0] - 1e-3 <= -0.5 <= found.rate.interval[1] + 1e-3


def test_another_bend_widens_its_own_interval():
    smooth = fit_exact(WIDTHS, law(-0.5))
    wavy = fit_exact(WIDTHS, law(-0.5, lambda r: np.exp(0.3 * np.sin(3 * np.log(r)))))
    assert wavy.misfit > 0.05
    assert wavy.rate.bends
    length = [f.rate.interval[1] - f.rate.interval[0] for f in (smooth, wavy)]
    assert length[1] > 3 * length[0]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_a_floor_is_found_where_it_matters(share):
    bare = law(-1.0)
    floor = share * bare[-1] / (1 - share)
    found = fit_exact(WIDTHS, bare + floor).floor
    assert found == (pytest.approx(floor, rel=1e-3) if share > FLOOR_SHARE else 0.0)


def test_a_law_of_another_exponent_is_refuted_and_a_bound_that_is_met_holds():
    assert judge(Bound(Kind.BOUND, -1.0), fit_exact(WIDTHS, law(-0.5)).rate).verdict == "refuted"
    assert judge(Bound(Kind.BOUND, -0.5), fit_exact(WIDTHS, law(-0.5)).rate).verdict == "holds"
    assert judge(Bound(Kind.PERSISTS), fit_exact(WIDTHS, law(0.0)).rate).verdict == "holds"
    assert judge(Bound(Kind.PERSISTS), fit_exact(WIDTHS, law(-0.5)).rate).verdict == "refuted"


def test_numerical_errors_count_at_either_end():
    plain, loose = (fit_exact(WIDTHS, law(-0.5), errors) for errors in (None, [0.01] * 7))
    assert loose.rate.interval[0] < plain.rate.interval[0]
    assert loose.rate.interval[1] > plain.rate.interval[1]


@pytest.mark.parametrize(
    ("widths", "values", "message"),
    [
        ((64, 128), [1.0, 0.5], r"widths \(64,128\) must be at least 3 positive whole numbers"),
        (WIDTHS[:3], [1.0, 0.5], r"must have 1 seed or more at each width"),
        (WIDTHS[:3], [1.0, 0.5, 0.0], r"must be positive and finite; got 0.0 at width 256"),
    ],
)
def test_what_is_no_law_is_refused_in_one_line(widths, values, message):
    with pytest.raises(InputError, match=message) as caught:
        fit_exact(widths, values)
    assert "\n" not in str(caught.value)
