"""When an iteration ends: on sequences whose ends are known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign.flow.spectral.convergence import (
    FLICKER,
    HALVED,
    PATIENCE,
    PATIENT,
    QUICK,
    SLOW,
    SLOWEST,
    Convergence,
)
from ntkalign.flow.spectral.panels import TooLongError


def taken(changes, goal=1e-8, kinked=False, first=False, beyond=0.0):
    """The iteration after these steps, or as many as it takes."""
    found = Convergence(goal, kinked=kinked, first=first)
    for change in changes:
        found.add(change, beyond)
        if found.reached or found.flickers():
            break
    return found


@given(st.floats(0.01, SLOW - 0.01), st.booleans(), st.floats(1e-3, 0.5))
def test_what_is_stated_is_not_less_than_what_is_left(theta, kinked, size):
    found = taken([size * theta**k for k in range(80)], kinked=kinked)
    assert found.reached
    left = size * theta**found.count / (1 - theta)  # Σ of all changes that are not made any more
    assert left <= found.estimate * (1 + 1e-9) <= 1e-8 * (1 + 1e-9)


def test_one_step_promises_nothing():
    found = Convergence(1e-3, kinked=True, first=False)
    found.add(1e-9, 0.0)
    assert not found.reached
    found.add(1e-10, 0.0)
    assert found.reached


def test_how_far_ahead_it_is_counts():
    assert not taken([1e-9, 1e-10], goal=1e-8, beyond=2e-8).reached


@pytest.mark.parametrize("kinked", [False, True])
def test_what_does_not_shrink_is_given_up_but_not_at_once(kinked):
    found, patience = Convergence(1e-8, kinked=kinked, first=False), PATIENT if kinked else PATIENCE
    for _ in range(patience):
        found.add(10 * FLICKER, 0.0)
        assert not found.flickers()
    found.add(10 * FLICKER, 0.0)
    with pytest.raises(TooLongError):
        found.flickers()


def test_one_unit_that_goes_to_and_fro_is_an_error():
    found = taken([FLICKER / 2, FLICKER / 3] * 20, kinked=True)
    assert not found.reached
    assert found.count == PATIENT + 1
    assert found.estimate == FLICKER / 2  # the larger of what it does
    with pytest.raises(TooLongError):
        taken([FLICKER / 2, FLICKER / 3] * 20, kinked=False)


def test_from_time_0_a_second_step_must_shrink():
    with pytest.raises(TooLongError):
        taken([0.1, 0.1], first=True)
    assert taken([0.1, 0.1], first=False).count == 2
    assert taken([0.1, 0.1], first=True, kinked=True).count == 2


def test_a_step_is_taken_by_half_where_it_shrinks_too_little():
    found = taken([0.1], kinked=True)
    assert found.halves(0.99 * HALVED * 0.1)
    assert not found.halves(1.01 * HALVED * 0.1)


def test_a_sudden_good_step_is_not_believed():
    found = taken([0.1, 1e-5], kinked=True)
    assert found.estimate == pytest.approx(1e-5 * QUICK / (1 - QUICK))


@pytest.mark.parametrize("change", [math.nan, math.inf])
def test_what_is_not_finite_leads_nowhere(change):
    with pytest.raises(TooLongError):
        taken([0.1, change])


def test_nothing_that_moves_is_there_at_once():
    assert taken([0.0, 0.0]).estimate == 0.0
    assert taken([0.0, 1e-3]).estimate == 1e-3 * SLOWEST / (1 - SLOWEST)
