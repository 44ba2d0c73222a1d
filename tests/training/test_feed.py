"""Points for an epoch: the same ones for the same steps, wherever they are kept."""

from __future__ import annotations

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign.precision import scope
from ntkalign.training import feed
from ntkalign.training.feed import Fetched, Resident, in_memory

X, Y = np.arange(24.0).reshape(12, 2), np.arange(12.0)[:, None]
ORDER = np.random.RandomState(0).permutation(12)[:10].reshape(5, 2)


def steps(source, first=0, epoch=3):
    """The points of each step, by the number of the step."""
    found = {}
    for part in source.stretches(epoch, ORDER, first):
        for row, numbers in enumerate(part.order):
            assert part.first + row not in found
            points = part.points
            found[part.first + row] = np.asarray(points.x[numbers]), np.asarray(points.y[numbers])
    return found


def fetch(epoch, rows):
    return X[rows] + epoch, Y[rows]


@pytest.mark.parametrize("first", [0, 1, 4, 5])
@pytest.mark.parametrize("batches", [1, 2, 5, 9])
def test_fetched_points_are_those_of_the_stretches_that_are_left(batches, first):
    found = steps(Fetched(fetch, batches), first)
    assert list(found) == (list(range(first // batches * batches, 5)) if first < 5 else [])
    for step, (x, y) in found.items():
        np.testing.assert_array_equal(x, X[ORDER[step]] + 3)
        np.testing.assert_array_equal(y, Y[ORDER[step]])


@pytest.mark.parametrize("first", [0, 3])
def test_resident_points_are_the_whole_epoch_in_one_stretch(first):
    (part,) = Resident(X, Y).stretches(0, ORDER, first)
    assert part.first == 0
    found = steps(Resident(X, Y), first)
    for step, (x, y) in found.items():
        np.testing.assert_array_equal(x, X[ORDER[step]])
        np.testing.assert_array_equal(y, Y[ORDER[step]])
    assert list(found) == list(range(5))


def test_resident_points_are_moved_once():
    source = Resident(X, Y)
    (one,), (other,) = source.stretches(0, ORDER), source.stretches(1, ORDER)
    assert one.points.x is other.points.x


def test_one_stretch_is_fetched_ahead_and_no_more():
    begun, called = [threading.Event() for _ in range(5)], []

    def counted(epoch, rows):
        begun[len(called)].set()
        called.append(rows)
        return fetch(epoch, rows)

    parts = Fetched(counted, 1).stretches(0, ORDER)
    next(parts)
    assert not begun[2].wait(0.2)
    next(parts)
    assert begun[2].wait(5)
    parts.close()


def test_what_goes_wrong_while_fetching_is_raised_by_the_stretch_that_it_belongs_to():
    def broken(epoch, rows):
        if rows[0] == ORDER[1, 0]:
            raise OSError("the file is gone")
        return fetch(epoch, rows)

    parts = Fetched(broken, 1).stretches(0, ORDER)
    next(parts)
    with pytest.raises(OSError, match="the file is gone"):
        next(parts)


@pytest.mark.parametrize("source", [Resident(X, Y), Fetched(fetch, 2)], ids=["all", "stretches"])
def test_points_have_the_precision_of_the_scope_that_asks(source):
    """A scope belongs to its thread, and another one fetches."""
    jax.config.update("jax_enable_x64", False)
    try:
        with scope("float64"):
            for part in source.stretches(0, ORDER):
                assert part.points.x.dtype == part.points.y.dtype == jnp.float64
    finally:
        jax.config.update("jax_enable_x64", True)


def test_points_that_fit_are_kept_and_others_are_fetched_as_many_batches_as_fit(monkeypatch):
    assert isinstance(in_memory(X, Y, 2), Resident)
    monkeypatch.setattr(feed, "RESIDENT_BYTES", X.nbytes + Y.nbytes - 1)
    monkeypatch.setattr(feed, "STRETCH_BYTES", 2 * 3 * 24 + 1)
    source = in_memory(X, Y, 2)
    assert isinstance(source, Fetched)
    assert source.batches == 3
    for step, (x, y) in steps(source).items():
        np.testing.assert_array_equal(x, X[ORDER[step]])
        np.testing.assert_array_equal(y, Y[ORDER[step]])
    monkeypatch.setattr(feed, "STRETCH_BYTES", 1)
    assert in_memory(X, Y, 2).batches == 1


@pytest.mark.parametrize("first", range(6))
def test_stretches_are_the_same_wherever_an_epoch_is_begun(first):
    source = Fetched(fetch, 2)
    whole = {part.first: part for part in source.stretches(0, ORDER)}
    for part in source.stretches(0, ORDER, first):
        jax.tree.map(np.testing.assert_array_equal, part, whole[part.first])
        assert part.first + len(part.order) > first


@pytest.mark.parametrize("threads", [2, 3, 50])
def test_several_threads_fetch_pieces_of_the_same_points(threads):
    sizes = []

    def counted(epoch, rows):
        sizes.append(len(rows))
        return fetch(epoch, rows)

    found = steps(Fetched(counted, 3, threads))
    for step, (x, y) in found.items():
        np.testing.assert_array_equal(x, X[ORDER[step]] + 3)
        np.testing.assert_array_equal(y, Y[ORDER[step]])
    assert list(found) == list(range(5))
    assert sum(sizes) == 10
    assert min(sizes) > 0


def left():
    return [thread for thread in threading.enumerate() if thread.name.startswith("points")]


@pytest.mark.parametrize("ends", ["closed", "exhausted", "broken"])
def test_no_thread_is_left_however_it_ends(ends):
    called = []

    def one(epoch, rows):
        called.append(len(rows))
        if ends == "broken" and rows[0] == ORDER[2, 0]:
            raise OSError("gone")
        return fetch(epoch, rows)

    parts = Fetched(one, 1, 2).stretches(0, ORDER)
    next(parts)
    assert left()
    if ends == "closed":
        parts.close()
        assert sum(called) <= 4  # and what had not begun never does
    elif ends == "broken":
        with pytest.raises(OSError, match="gone"):
            list(parts)
    else:
        list(parts)
    assert not left()
