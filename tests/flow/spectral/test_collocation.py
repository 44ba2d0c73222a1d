"""Panels of logarithmic time against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign.flow.spectral.collocation import Panel, size_of_last

RATES = np.geomspace(1e-3, 1.0, 7)


def decays(times):
    return np.exp(-np.outer(times, RATES))


@given(st.sampled_from((2.0, 20.0, 60.0)), st.sampled_from((0.0, 0.7)))
def test_integrals_and_interpolants_of_decays_are_exact_when_resolved(final, begin):
    panel = Panel(begin, np.log1p(final / 4), 24, 4.0)
    first = panel.times[0]
    integral = (decays([first]) - decays(panel.times)) / RATES
    np.testing.assert_allclose(panel.weights @ decays(panel.times), integral, atol=1e-7 * final)
    between = np.linspace(first, final, 17)[1:]
    np.testing.assert_allclose(
        panel.interpolation(between) @ decays(panel.times), decays(between), atol=1e-8
    )
    np.testing.assert_allclose(
        panel.integral(between) @ decays(panel.times),
        (decays([first]) - decays(between)) / RATES,
        atol=1e-7 * final,
    )


def test_a_panel_begins_and_ends_where_it_says():
    panel = Panel(0.0, np.log1p(5.0), 12, 4.0)
    np.testing.assert_allclose(panel.times[[0, -1]], [0.0, 20.0], atol=1e-12)
    np.testing.assert_allclose(panel.weights[0], 0.0, atol=1e-12)
    np.testing.assert_allclose(panel.weights[-1].sum(), 20.0)  # ∫ 1 dt


@given(st.floats(1e-6, 1e6), st.floats(1e-3, 1e6))
def test_a_moment_that_a_panel_was_made_to_end_at_is_its_end(tau, time):
    panel = Panel(0.0, float(np.log1p(time / tau)), 4, tau)
    assert panel.ends_at(time)  # whatever rounding does to exp(log)
    assert panel.reaches(time)
    before, after = time - 1e-6 * (tau + time), time + 1e-6 * (tau + time)
    assert panel.reaches(before)
    assert not panel.ends_at(before)
    assert not panel.reaches(after)
    assert not panel.ends_at(after)


@pytest.mark.parametrize(("nodes", "resolved"), [(8, False), (24, True)])
def test_the_tail_tells_a_resolved_trajectory_from_one_that_is_not(nodes, resolved):
    """And it is larger than the error between the nodes, by the factor that is relied on."""
    panel = Panel(0.0, np.log1p(15.0), nodes, 4.0)
    values = decays(panel.times)
    between = np.linspace(0, 60, 200)
    error = np.abs(panel.interpolation(between) @ values - decays(between)).max()
    assert (size_of_last(values) < 1e-7) == resolved
    assert error < 3 * size_of_last(values)
