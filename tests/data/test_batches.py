"""The order of minibatches: that of the paper's code, and the one that any epoch can be had in."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import InputError
from ntkalign.data.batches import BatchOrder


def parts(order):
    """What an epoch's order holds, in the order in which it is drawn."""
    return [p for p in (order.train, order.test, order.train_again) if p is not None]


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        for x, y in zip(parts(a), parts(b), strict=True):
            np.testing.assert_array_equal(x, y)


def as_the_paper(seed, batch, train, test, again, epochs):
    """Its loop, with NumPy's global generator."""
    before = np.random.get_state()
    np.random.seed(seed)
    drawn = []
    for _ in range(epochs):
        epoch = []
        for n in (train, test, *(train,) * again):
            numbers = np.random.permutation(n)
            epoch.append([numbers[k * batch : (k + 1) * batch] for k in range(n // batch)])
        drawn.append(epoch)
    np.random.set_state(before)
    return drawn


@pytest.mark.parametrize("again", [False, True])
@given(seed=st.integers(0, 2**32 - 1), batch=st.integers(1, 6), data=st.data())
def test_the_order_is_that_of_the_papers_loop_bit_for_bit(again, seed, batch, data):
    train, test = data.draw(st.integers(batch, 20)), data.draw(st.integers(batch, 20))
    order = BatchOrder(seed, batch, train, test, again)
    written = as_the_paper(seed, batch, train, test, again, 3)
    for found, wanted in zip(islice(order.epochs(), 3), written, strict=True):
        assert (found.train_again is not None) == again
        for rows, wanted_rows in zip(parts(found), wanted, strict=True):
            np.testing.assert_array_equal(rows, wanted_rows)
    assert order.steps == len(written[0][0]) == train // batch


def test_the_add_task_at_the_papers_size():
    order = BatchOrder(99, 50, 300, 100, evaluates_train=True)
    ((train, test, again),) = as_the_paper(99, 50, 300, 100, True, 1)
    found = next(order.epochs())
    assert [p.shape for p in parts(found)] == [(6, 50), (2, 50), (6, 50)]
    np.testing.assert_array_equal(found.train[0][:4], train[0][:4])
    np.testing.assert_array_equal(found.test, test)
    np.testing.assert_array_equal(found.train_again, again)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("first", [0, 1, 4])
def test_beginning_later_is_skipping(legacy, first):
    order = BatchOrder(5, 3, 10, 7, True, legacy)
    assert_same(islice(order.epochs(first), 2), islice(order.epochs(), first, first + 2))


def test_each_epoch_takes_each_point_once_and_leaves_out_fewer_than_a_batch():
    for epoch in islice(BatchOrder(1, 4, 11, 8, True).epochs(), 3):
        assert [p.shape for p in parts(epoch)] == [(2, 4), (2, 4), (2, 4)]
        for rows, points in zip(parts(epoch), (11, 8, 11), strict=True):
            assert len(set(rows.ravel())) == rows.size
            assert set(rows.ravel()) <= set(range(points))


def test_epochs_with_streams_of_their_own_do_not_depend_on_what_others_drew():
    """With other test points all legacy epochs but the first one's training order differ."""

    def orders(test, legacy):
        order = BatchOrder(99, 5, 20, test, legacy=legacy)
        return np.array([epoch.train for epoch in islice(order.epochs(), 3)])

    alone, other = orders(10, False), orders(40, False)
    np.testing.assert_array_equal(alone, other)
    assert (alone[0] != alone[1]).any()
    legacy, other = orders(10, True), orders(40, True)
    np.testing.assert_array_equal(legacy[0], other[0])
    assert (legacy[1] != other[1]).any()


@pytest.mark.parametrize("legacy", [True, False])
def test_seeds_differ_and_the_global_generator_is_left_alone(legacy):
    before = np.random.get_state()[1].copy()
    one, other = (next(BatchOrder(s, 5, 20, 5, legacy=legacy).epochs()).train for s in (0, 1))
    assert (one != other).any()
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(("train", "test", "name"), [(9, 20, "9 train"), (20, 9, "9 test")])
def test_fewer_points_than_a_batch_are_refused(train, test, name):
    with pytest.raises(
        InputError,
        match=rf"batch \(10\) must be at most 9; got 10; because there are {name} points, and "
        r"only whole batches are taken; do: pass a smaller batch, or ask for more points",
    ):
        BatchOrder(99, 10, train, test)
    assert BatchOrder(99, 9, train, test).steps == train // 9
