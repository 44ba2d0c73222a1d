"""A user's own file: taken as it is by each network, or refused with what would help."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import InputError
from ntkalign.data.catalogue import NETWORKS, load
from ntkalign.data.own_file import SHAPES


def save(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


X, Y = np.arange(12.0).reshape(4, 3), np.eye(4)[:, :2]


def test_a_file_of_ones_own_is_used_as_it_is(tmp_path):
    data = load(save(tmp_path / "mine.npz", x=X, y=Y), points=3)
    np.testing.assert_array_equal(data.x, X[:3])
    np.testing.assert_array_equal(data.y, Y[:3])


def test_a_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "data.npz"
    save(path, x=X, y=Y)
    content = bytearray(path.read_bytes())
    content[130:180] = bytes(50)  # inside the first array
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"got a damaged archive: Bad CRC-32"):
        load(str(path), points=4)


FILE_MESSAGES = {
    "nothing": r"no such file; .* do: check the path",
    "names": r"an archive without the array x; .* numpy\.savez",
    "pickled": r"pickled objects, which are never loaded",
    "not-npz": r"something that is not an npz archive",
    "one-array": r"something that is not an npz archive",
    "labels": r"labels y of shape \(4,\) and type int64; .* numpy\.unique\(y\)\) - 1/3, one-hot",
    "text": r"x of shape \(4, 3\) and type <U",
    "rows": r"4 rows of x and 3 of y",
    "few": r"points \(4\) must be at most 3; got 4; because .* has no more points",
    "nan": r"must be finite; got NaN or infinity in row 2 of x; because a flow",
    "inf": r"must be finite; got NaN or infinity in row 0 of y",
    "constant": r"must have targets that differ between points; got the same y for every point",
    "twice": r"must have distinct inputs; got rows 1 and 3 of x that are equal; "
    r"because duplicate points make the kernel singular",
}


@pytest.mark.parametrize("kind", FILE_MESSAGES)
def test_a_file_that_cannot_be_used_says_why(tmp_path, kind):
    path = tmp_path / "data.npz"
    bad_x, bad_y, double = X.copy(), Y.copy(), X.copy()
    bad_x[2, 1], bad_y[0, 0], double[3] = np.nan, np.inf, X[1]
    if kind == "names":
        save(path, a=X, y=Y)
    elif kind == "pickled":
        save(path, x=np.array([{}, {}], dtype=object), y=Y)
    elif kind == "not-npz":
        path.write_text("x,y\n1,2\n")
    elif kind == "one-array":
        with path.open("wb") as file:
            np.save(file, X)
    elif kind != "nothing":
        arrays = {
            "labels": (X, np.array([5, 0, 5, 7])), "text": (X.astype(str), Y), "rows": (X, Y[:3]),
            "few": (X[:3], Y[:3]), "nan": (bad_x, Y), "inf": (X, bad_y),
            "constant": (X, np.ones((4, 2))), "twice": (double, Y),
        }  # fmt: skip
        x, y = arrays[kind]
        save(path, x=x, y=y)
    with pytest.raises(InputError, match=FILE_MESSAGES[kind]) as caught:
        load(str(path), points=4)
    assert "\n" not in str(caught.value)


def test_points_are_checked_without_those_held_out(tmp_path):
    y = np.array([[1.0], [1.0], [2.0]])
    path = save(tmp_path / "mine.npz", x=X[:3], y=y)
    with pytest.raises(InputError, match="must have targets that differ between points"):
        load(str(path), points=2, held_out=1)


def test_every_network_has_its_shapes():
    assert tuple(SHAPES) == NETWORKS


INSIDE = {"mlp": 1, "rnn": 2, "cnn": 3}
"""How many axes one point has."""


@given(
    network=st.sampled_from(NETWORKS), points=st.integers(2, 5), held_out=st.integers(0, 2),
    sizes=st.lists(st.integers(1, 4), min_size=3, max_size=3), targets=st.integers(1, 3),
    short=st.booleans(), named=st.booleans(), seed=st.integers(0, 2**16),
    kind=st.sampled_from([np.float64, np.float32, np.int16]), order=st.sampled_from("CF"),
)  # fmt: skip
def test_a_file_gives_back_what_was_saved(
    network, points, held_out, sizes, targets, short, named, seed, kind, order
):
    """Axes of one number a step or a pixel may be left out."""
    rng, rows = np.random.default_rng(seed), points + held_out + 1
    shape = tuple(sizes[: INSIDE[network]])
    of_y = (shape[0], targets) if network == "rnn" else (targets,)
    if short and network != "mlp":
        shape = (*shape[:-1], 1)
        of_y = (shape[0], 1) if network == "rnn" else of_y
    x, y = (
        np.asarray(rng.permutation(rows * np.prod(s)).reshape(rows, *s), kind, order=order)
        for s in (shape, of_y)
    )
    left_out = (lambda array: array[..., 0]) if short else (lambda array: array)
    saved_x = left_out(x) if network != "mlp" else x
    saved_y = left_out(y) if network == "rnn" else y
    with tempfile.TemporaryDirectory() as folder:
        path = save(f"{folder}/mine.npz", x=saved_x, y=saved_y)
        steps = shape[0] if named and network == "rnn" else None
        data = load(path, points=points, held_out=held_out, network=network, steps=steps)
    assert data.name == "mine.npz"
    assert data.x.dtype == data.y.dtype == np.float64
    np.testing.assert_array_equal(data.x, x[: points + held_out])
    flat = [[value for step in row for value in np.atleast_1d(step)] for row in y.tolist()]
    np.testing.assert_array_equal(data.y, flat[: points + held_out])


def test_targets_of_sequences_are_step_after_step(tmp_path):
    x, y = np.arange(12.0).reshape(2, 3, 2), np.arange(12.0).reshape(2, 3, 2) ** 2
    for order in ("C", "F"):
        path = save(
            tmp_path / "mine.npz", x=np.asarray(x, order=order), y=np.asarray(y, order=order)
        )
        data = load(path, points=2, network="rnn")
        assert data.x.tolist() == [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]]
        assert data.y.tolist() == [[0, 1, 4, 9, 16, 25], [36, 49, 64, 81, 100, 121]]


AS_RNN, AS_CNN = "x (P, K, d) or (P, K) and y (P, K, c) or (P, K)", "x (P, H, W, c) or (P, H, W)"


@pytest.mark.parametrize(
    ("network", "x", "y", "must", "got", "do"),
    [
        ("mlp", (4, 8, 8), (4, 2), "x (P, d) and y (P, C)", "x of shape (4, 8, 8)",
         "flatten x with x.reshape(len(x), -1), or pass the network cnn"),
        ("mlp", (4, 8, 8, 3), (4, 2), "x (P, d) and y (P, C)", "x of shape (4, 8, 8, 3)",
         "flatten x with x.reshape(len(x), -1), or pass the network cnn"),
        ("mlp", (4, 5, 2), (4, 5, 3), "x (P, d) and y (P, C)", "x of shape (4, 5, 2)",
         "flatten x with x.reshape(len(x), -1), or flatten y with y.reshape(len(y), -1), "
         "or pass the network rnn"),
        ("mlp", (4, 5, 2), (4, 5), "x (P, d) and y (P, C)", "x of shape (4, 5, 2)",
         "flatten x with x.reshape(len(x), -1), or pass the network rnn or cnn"),
        ("mlp", (4, 5), (4, 5, 3), "x (P, d) and y (P, C)", "y of shape (4, 5, 3)",
         "flatten y with y.reshape(len(y), -1), or pass the network rnn"),
        ("mlp", (4,), (4, 2), "x (P, d) and y (P, C)", "x of shape (4,)", "save it with"),
        ("rnn", (4, 8, 8, 3), (4, 2), AS_RNN, "x of shape (4, 8, 8, 3)", "pass the network cnn"),
        ("rnn", (4,), (4, 2), AS_RNN, "x of shape (4,) and type float64", "save it with"),
        ("rnn", (4, 5, 2), (4, 5, 3, 1), AS_RNN, "y of shape (4, 5, 3, 1)", "save it with"),
        ("rnn", (4, 5, 2), (4, 10), AS_RNN, "y of shape (4, 10) where x has 5 steps",
         "reshape y to (4, 5, 2), or pass the network cnn"),
        ("rnn", (4, 5), (4, 10), AS_RNN, "y of shape (4, 10) where x has 5 steps",
         "reshape y to (4, 5, 2), or pass the network mlp"),
        ("rnn", (4, 64), (4, 10), AS_RNN, "y of shape (4, 10) where x has 64 steps",
         "pass the network mlp"),
        ("rnn", (4, 5, 2), (4, 6, 2), AS_RNN, "y of shape (4, 6, 2) where x has 5 steps",
         "give y a row for each step of x"),
        ("rnn", (4, 5, 2), (3, 5), AS_RNN, "4 rows of x and 3 of y", "save it with"),
        ("rnn", (4, 0), (4, 2), AS_RNN, "x of shape (4, 0)", "save it with"),
        ("cnn", (4, 64), (4, 2), AS_CNN, "x of shape (4, 64)",
         "reshape x to images, or pass the network mlp"),
        ("cnn", (4, 5), (4, 5), AS_CNN, "x of shape (4, 5)",
         "reshape x to images, or pass the network mlp or rnn"),
        ("cnn", (4, 8, 8), (4, 8, 2), AS_CNN, "y of shape (4, 8, 2)", "pass the network rnn"),
        ("cnn", (4, 8, 8, 1, 1), (4, 2), AS_CNN, "x of shape (4, 8, 8, 1, 1)", "save it with"),
    ],
)  # fmt: skip
def test_arrays_that_a_network_does_not_take_are_refused(
    tmp_path, monkeypatch, network, x, y, must, got, do
):
    monkeypatch.chdir(tmp_path)
    save("mine.npz", x=np.arange(np.prod(x, dtype=float)).reshape(x), y=np.ones(y))
    with pytest.raises(InputError) as caught:
        load("mine.npz", points=4, network=network)
    message = str(caught.value)
    assert message.startswith("data (mine.npz) must be an .npz file with numeric arrays " + must)
    assert (f" for the network {network};" in message) == (network != "mlp")
    assert "; got " + got in message
    assert "; do: " + do in message
    assert "\n" not in message
    assert len(message) <= 300


def test_steps_of_a_file_are_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.arange(40.0).reshape(4, 5, 2)
    save("mine.npz", x=x, y=x)
    np.testing.assert_array_equal(load("mine.npz", points=3, network="rnn", steps=5).x, x[:3])
    with pytest.raises(InputError) as caught:
        load("mine.npz", points=3, network="rnn", steps=4)
    assert str(caught.value) == (
        "steps (4) must be 5 or left out; got 4; because the sequences in mine.npz have 5; "
        "do: leave it out"
    )
    for name in ("inputs", "outputs"):
        with pytest.raises(InputError, match=rf"{name} \(2\) .* the file fixes the number of"):
            load("mine.npz", points=3, network="rnn", **{name: 2})


@pytest.mark.parametrize(
    ("network", "point", "target"), [("rnn", (5, 2), (5,)), ("cnn", (3, 3), (2,))]
)
def test_points_of_every_network_are_checked(tmp_path, network, point, target):
    """Messages name the row: that of the point, whatever its shape."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, *point)), rng.normal(size=(4, *target))
    twice, broken, wrong = x.copy(), x.copy(), y.copy()
    twice[3], broken[2, -1, -1], wrong[1, -1] = twice[1], np.nan, np.inf
    for x_saved, y_saved, message in (
        (twice, y, "got rows 1 and 3 of x that are equal"),
        (broken, y, "got NaN or infinity in row 2 of x"),
        (x, wrong, "got NaN or infinity in row 1 of y"),
        (x, np.ones_like(y), "got the same y for every point"),
        (x[:3], y[:3], r"points \(4\) must be at most 3"),
    ):
        path = save(tmp_path / "data.npz", x=x_saved, y=y_saved)
        with pytest.raises(InputError, match=message):
            load(path, points=4, network=network)
