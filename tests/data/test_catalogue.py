"""Data: what is loaded, and every message for what cannot be used."""

from __future__ import annotations

import gzip
import hashlib
import struct

import numpy as np
import pytest

from ntkalign import InputError
from ntkalign.data.catalogue import load


def test_digits_are_real_images_scaled_and_labelled_as_the_paper_does():
    data = load("digits", points=16)
    assert data.x.shape == (16, 64)
    assert data.y.shape == (16, 10)
    np.testing.assert_allclose(np.linalg.norm(data.x, axis=1), 8.0)
    np.testing.assert_allclose(np.sort(data.y, axis=1)[0], [-0.1] * 9 + [0.9])
    larger = load("digits", points=40)
    np.testing.assert_array_equal(larger.x[:16], data.x)


def test_fewer_classes_can_be_kept():
    data = load("digits", points=12, outputs=2)
    assert data.y.shape == (12, 2)
    np.testing.assert_allclose(np.abs(data.y), 0.5)


def test_more_points_of_the_sphere_leave_the_first_as_they_are():
    few, more = load("sphere", points=5), load("sphere", points=5, held_out=4)
    np.testing.assert_array_equal(more.first(5).x, few.x)
    np.testing.assert_array_equal(more.first(5).y, few.y)
    assert len(more.x) == 9


def test_the_sphere_is_generated():
    data = load("sphere", points=5, inputs=7, outputs=3)
    np.testing.assert_allclose(np.linalg.norm(data.x, axis=1), np.sqrt(7))
    assert data.y.shape == (5, 3)


@pytest.mark.parametrize(("name", "pixels"), [("kmnist", 784), ("cifar10", 3072)])
def test_the_original_files_are_read(image_files, name, pixels):
    data = load(name, points=30, directory=image_files / name)
    assert data.x.shape == (30, pixels)
    np.testing.assert_allclose(np.linalg.norm(data.x, axis=1), np.sqrt(pixels))
    assert len({tuple(row) for row in data.y}) > 3


def test_image_files_are_read_in_their_format(tmp_path):
    """Two files made here, so that the formats are tested without the real images."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(1, 256, (20, 784), np.uint8), np.arange(20, dtype=np.uint8) % 10
    for kind, header, body in (
        ("images-idx3", struct.pack(">4I", 2051, 20, 28, 28), images),
        ("labels-idx1", struct.pack(">2I", 2049, 20), labels),
    ):  # fmt: skip
        packed = gzip.compress(header + body.tobytes())
        (tmp_path / f"t10k-{kind}-ubyte.gz").write_bytes(packed)
    kmnist = load("kmnist", points=20, directory=tmp_path)
    records = np.concatenate([labels[:, None], rng.integers(1, 256, (20, 3072), np.uint8)], axis=1)
    (tmp_path / "data_batch_1.bin").write_bytes(records.tobytes())
    cifar = load("cifar10", points=20, directory=tmp_path)
    order = np.random.default_rng(0).permutation(20)
    for data, pixels in ((kmnist, images), (cifar, records[:, 1:])):
        np.testing.assert_array_equal(np.argmax(data.y, axis=1), labels[order])
        ours = data.x / data.x.max(axis=1, keepdims=True)
        theirs = pixels[order] / pixels[order].max(axis=1, keepdims=True)
        np.testing.assert_allclose(ours, theirs)


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
    with pytest.raises(InputError, match=r"got a damaged archive"):
        load(str(path), points=4)


FILE_MESSAGES = {
    "nothing": r"no such file; .* do: check the path",
    "names": r"a file without arrays named x and y; .* numpy\.savez",
    "pickled": r"pickled objects, which are never loaded",
    "not-npz": r"something that is not an npz archive",
    "one-array": r"something that is not an npz archive",
    "flat": r"y of shape \(4,\) and type float64",
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
            "flat": (X, Y[:, 0]), "text": (X.astype(str), Y), "rows": (X, Y[:3]),
            "few": (X[:3], Y[:3]), "nan": (bad_x, Y), "inf": (X, bad_y),
            "constant": (X, np.ones((4, 2))), "twice": (double, Y),
        }  # fmt: skip
        x, y = arrays[kind]
        save(path, x=x, y=y)
    with pytest.raises(InputError, match=FILE_MESSAGES[kind]) as caught:
        load(str(path), points=4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digit", {}, r"data \(digit\) must be one of digits, .* do: did you mean 'digits'\?"),
        ("digits", {"inputs": 3}, r"inputs \(3\) must be left out for these data"),
        ("digits", {"outputs": 11}, r"outputs \(11\) must be between 2 and 10"),
        ("digits", {"points": 1}, r"points \(1\) must be at least 2"),
        ("digits", {"points": 5000}, r"points \(5000\) must be at most 1797"),
        ("sphere", {"points": 0, "held_out": 8}, r"points \(0\) must be at least 2"),
        (
            "digits",
            {"held_out": 5000},
            r"held_out \(5000\) must be at most 1793; .* 4 points, 1793 held out, say",
        ),
        ("sphere", {"inputs": 0}, r"inputs \(0\) must be at least 1"),
        ("kmnist", {}, r"data_dir \(None\) must be the folder of the kmnist files; got nothing"),
    ],
)
def test_other_bad_requests_say_why(name, options, message):
    with pytest.raises(InputError, match=message):
        load(name, **({"points": 4} | options))


@pytest.mark.parametrize(
    ("name", "options", "numbers"),
    [
        ("digits", {}, "08ef5bf94d78"), ("digits", {"outputs": 3}, "cc217dc8e2f1"),
        ("kmnist", {}, "b371b6fb38d6"), ("cifar10", {}, "37b0caa5d908"),
        ("cifar10", {"outputs": 4}, "6826d04623b3"),
    ],
)  # fmt: skip
def test_the_numbers_stay_as_they_were(request, name, options, numbers):
    """Bit for bit those of version 0.1.0: stored networks are found again by them."""
    folder = None if name == "digits" else request.getfixturevalue("image_files") / name
    data = load(name, points=500, held_out=30, directory=folder, **options)
    assert hashlib.sha256(data.x.tobytes() + data.y.tobytes()).hexdigest()[:12] == numbers


@pytest.mark.parametrize("name", ["kmnist", "cifar10"])
def test_a_folder_without_the_images_says_what_is_missing(tmp_path, name):
    with pytest.raises(InputError, match=f"hold the original {name} files; got no file named"):
        load(name, points=4, directory=tmp_path)
    with pytest.raises(InputError, match="got no such folder"):
        load(name, points=4, directory=tmp_path / "absent")


def test_damaged_image_files_are_refused(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3000))
    with pytest.raises(InputError, match=r"a size \(3000\) that is no multiple of 3073"):
        load("cifar10", points=4, directory=tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"not gzip")
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(b"not gzip")
    with pytest.raises(InputError, match=r"t10k-images-idx3-ubyte\.gz: Not a gzipped file"):
        load("kmnist", points=4, directory=tmp_path)


def test_points_are_checked_without_those_held_out(tmp_path):
    y = np.array([[1.0], [1.0], [2.0]])
    path = save(tmp_path / "mine.npz", x=X[:3], y=y)
    with pytest.raises(InputError, match="must have targets that differ between points"):
        load(str(path), points=2, held_out=1)
