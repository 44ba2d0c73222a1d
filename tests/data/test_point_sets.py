"""Points of one's own by name, checked like those of a file."""

from __future__ import annotations

import numpy as np
import pytest

from ntkalign import InputError, PointSet, register
from ntkalign.cells.specification import digest
from ntkalign.data.catalogue import load

pytestmark = pytest.mark.usefixtures("own_records")


def mine(shape=(3,), outputs=(2,), rows=10, change=None):
    """Register a set whose function is called with the number of points that are wanted."""
    asked = []

    def make(count):
        asked.append(count)
        rng = np.random.default_rng(0)
        made = rng.standard_normal((rows, *shape)), rng.standard_normal((rows, *outputs))
        return made if change is None else change(*made)

    register(PointSet("mine", make))
    return asked


def test_the_first_points_are_used():
    asked = mine()
    data = load("mine", points=4, held_out=2)
    assert asked == [6]
    assert data.name == "mine"
    assert (data.x.shape, data.y.shape) == ((6, 3), (6, 2))
    assert digest(data) == digest(load("mine", points=4, held_out=2))
    np.testing.assert_array_equal(load("mine", points=4).x, data.x[:4])


def test_they_are_shaped_for_the_network():
    mine(shape=(4,), outputs=(4,))
    data = load("mine", points=3, network="rnn")
    assert (data.x.shape, data.y.shape) == ((3, 4, 1), (3, 4))
    with pytest.raises(
        InputError, match=r"steps \(5\) must be 4 or left out; .* sequences in mine"
    ):
        load("mine", points=3, network="rnn", steps=5)
    with pytest.raises(
        InputError, match=r"data \(mine\) must make numeric arrays x \(P, H, W, c\)"
    ):
        load("mine", points=3, network="cnn")


FAULTS = {
    "few": (None, r"points \(40\) must be at most 10"),
    "one array": (
        lambda x, y: x,
        r"data \(mine\) must make numeric arrays .*; got ndarray from its",
    ),
    "ragged": (lambda x, y: ([[1.0], [1.0, 2.0]], y), r"got rows of unequal length"),
    "shape": (lambda x, y: (x[:, 0], y), r"got x of shape \(10,\) and type float64"),
    "text": (lambda x, y: (x, y.astype(str)), r"got y of shape \(10, 2\) and type <U"),
    "rows": (lambda x, y: (x, y[1:]), r"got 10 rows of x and 9 of y"),
    "NaN": (lambda x, y: (x * np.nan, y), r"must be finite; got NaN or infinity in row 0 of x"),
    "equal": (lambda x, y: (x[[0, 0, 1]], y[:3]), r"rows 0 and 1 of x that are equal"),
    "constant": (lambda x, y: (x, 0 * y), r"must have targets that differ between points"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_with_them_is_one_line(name):
    change, message = FAULTS[name]
    mine(change=change)
    with pytest.raises(InputError, match=message):
        load("mine", points=40 if name == "few" else 3)


def test_their_dimensions_are_their_own():
    mine()
    for name in ("inputs", "outputs"):
        with pytest.raises(InputError, match=rf"{name} \(3\) must be left out for these data"):
            load("mine", points=3, **{name: 3})


def test_an_unknown_name_gets_the_nearest_match():
    mine()
    with pytest.raises(
        InputError, match=r"data \(mime\) must be one of .*; do: did you mean 'mine'"
    ):
        load("mime", points=3)


def test_its_name_can_be_kept():
    with pytest.raises(InputError, match="must have a name of printable text"):
        PointSet("a,b", lambda count: None)


def raises(count):
    raise OSError(f"no room for {count}")


def test_a_function_that_raises_is_told_in_one_line():
    register(PointSet("fails", raises))
    with pytest.raises(InputError) as told:
        load("fails", points=4)
    said = str(told.value)
    assert said.startswith(
        "data (fails) must make points when its function is called; got OSError: no room for 4 ("
    )
    assert said.endswith("because it is asked for 4 of them; do: mend it there")


def test_points_that_cannot_be_held_are_refused_before_they_are_drawn():
    with pytest.raises(InputError) as told:
        load("sphere", points=10**6, inputs=1000, outputs=2)
    assert str(told.value) == (
        "points (1000000) must be fewer, or of fewer dimensions; got 1000000 vectors of 1002 "
        "numbers; because they take more than 1 GiB; do: pass 16 points, say"
    )
