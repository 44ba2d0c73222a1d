"""An epoch in one program, or in parts: the numbers are the same to the last bit."""

from __future__ import annotations

from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign.precision import float64
from ntkalign.training.loop import Points, Told, evaluate, train_steps
from tests.training import small

STEPS = 6
ORDER = np.random.RandomState(1).permutation(24).reshape(STEPS, 4) % 13


def after(cuts, *, logged=STEPS, begin=0, first=0):
    """The state and what was told after an epoch that was cut at these steps."""
    run = small.run()
    (x, y), _ = small.points(run)
    with float64():
        state, frozen = run.learner.start(99, jnp.float64)
        told = Told.blank(STEPS, logged, 2, jnp.float64)
        points, order = Points(jnp.asarray(x), jnp.asarray(y)), jnp.asarray(ORDER[begin:])
        ends = [first, *sorted(cuts), STEPS]
        for a, b in pairwise(ends):
            span = jnp.array([begin, a, b])
            state, told = train_steps(
                run.learner, state, told, frozen, jnp.array(0.5), points, order, span
            )
    return state, told


@pytest.fixture(scope="module")
def whole():
    return after(())


@given(cuts=st.lists(st.integers(0, STEPS), max_size=5))
def test_cutting_an_epoch_changes_nothing(whole, cuts):
    small.assert_same_state(after(cuts), whole)


def test_each_step_is_told_once_and_the_loss_falls(whole):
    _, told = whole
    losses, norms = np.asarray(told.losses), np.asarray(told.update_norms)
    assert np.isfinite(losses).all()
    assert norms.shape == (STEPS, 2)
    assert (norms > 0).all()
    assert losses[-2:].mean() < losses[:2].mean()


def test_norms_of_the_first_steps_only_are_kept_and_change_nothing(whole):
    for logged in (0, 2):
        state, told = after((3,), logged=logged)
        small.assert_same_state(state, whole[0])
        np.testing.assert_array_equal(told.losses, whole[1].losses)
        np.testing.assert_array_equal(told.update_norms, whole[1].update_norms[:logged])


def test_steps_that_are_not_taken_stay_untold():
    _, told = after((), first=2)
    np.testing.assert_array_equal(np.isnan(told.losses), np.arange(STEPS) < 2)
    np.testing.assert_array_equal(np.isnan(told.update_norms[:, 0]), np.arange(STEPS) < 2)


def test_an_order_may_begin_later_than_the_epoch():
    small.assert_same_state(after((), begin=2, first=3), after((), first=3))


def test_evaluation_takes_each_batch_as_it_is():
    run = small.run()
    _, (x, y) = small.points(run)
    order = np.arange(8).reshape(2, 4)
    with float64():
        state, frozen = run.learner.start(99, jnp.float64)
        points = Points(jnp.asarray(x), jnp.asarray(y))
        losses, right = evaluate(run.learner, state, frozen, points, jnp.asarray(order))
        f = np.asarray(run.learner.network.forward(state.parameters, points.x).output)
    for k, rows in enumerate(order):
        np.testing.assert_allclose(losses[k], np.mean((f[rows] - y[rows]) ** 2), rtol=1e-12)
        assert right[k] == np.mean(f[rows].argmax(1) == y[rows].argmax(1))
