"""When a flow is looked at, and what may be missed between."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign.data.catalogue import Data
from ntkalign.kernels.training_time import (
    EARLIER,
    SAVED_TIMES,
    SMALL,
    TimeScales,
    choose_time,
    saved_times,
)
from ntkalign.networks.activations import lookup
from ntkalign.networks.family import Family

TIMES = st.floats(1e-3, 1e4)


def data():
    rng = np.random.default_rng(0)
    return Data("trial", rng.standard_normal((4, 6)), rng.standard_normal((4, 2)))


def test_without_a_relaxation_time_they_are_eight_squares():
    assert saved_times(64.0) == tuple(float(k * k) for k in range(1, SAVED_TIMES + 1))


@given(TIMES, TIMES)
def test_they_increase_to_the_end_and_begin_within_the_fastest_relaxation(time, fastest):
    times = saved_times(time, fastest)
    assert times[-1] == pytest.approx(time)
    assert all(a < b for a, b in itertools.pairwise(times))
    assert times[-SAVED_TIMES:] == saved_times(time)
    assert times[0] <= max(fastest, time / SAVED_TIMES**2) * (1 + 1e-9)
    assert len(times) == SAVED_TIMES or EARLIER * times[0] > fastest * (1 - 1e-9)


@pytest.mark.parametrize("ratio", [30.0, 300.0, 3e4])
def test_no_transient_is_missed(ratio):
    """What grows and fades with any rate, (t/τ) exp(1 − t/τ), is seen at 0.79 of its supremum.

    Control: eight squares alone miss a fast one altogether.
    """
    seen, missed = [], []
    for tau in np.geomspace(1.0, ratio, 200):
        for found, times in ((seen, saved_times(ratio, 1.0)), (missed, saved_times(ratio))):
            t = np.array(times) / tau
            found.append((t * np.exp(1 - t)).max())
    assert min(seen) > 0.78
    assert min(missed) < 0.6 or ratio < 64


def test_scales_are_those_of_the_linearised_error():
    family = Family(2, lookup("tanh"))
    scales = TimeScales.of(family, data())
    rates, modes = np.linalg.eigh(scales.kernel)
    shares = (modes.T @ scales.error) ** 2 / np.sum(scales.error**2)
    assert scales.fastest == pytest.approx(1 / rates.max(), rel=0.05)
    for fall in (2.0, 10.0):
        time = scales.until(fall)
        assert shares @ np.exp(-2 * rates * time) == pytest.approx(1 / fall, rel=0.1)  # two digits
        assert choose_time(family, data(), fall) == time


def test_the_fastest_rate_of_many_points_is_found_without_all_others():
    root = np.random.default_rng(0).standard_normal((SMALL + 1, 30))
    scales = TimeScales(root @ root.T, np.ones(SMALL + 1))
    assert scales.fastest == pytest.approx(1 / np.linalg.norm(root, 2) ** 2, rel=0.05)


@pytest.mark.parametrize("fastest", [0.0, -1.0, np.nan, np.inf, None, 1e9])
def test_a_relaxation_time_that_is_none_adds_nothing(fastest):
    assert saved_times(10.0, fastest) == saved_times(10.0)


@pytest.mark.parametrize(("time", "fastest"), [(10.0, 1e-300), (10.0, 5e-324), (1e300, 1e-300)])
def test_no_end_of_times_is_added(time, fastest):
    assert len(saved_times(time, fastest)) == SAVED_TIMES + 16
