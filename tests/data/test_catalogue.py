"""Data: what is loaded, and every message for what cannot be used."""

from __future__ import annotations

import gzip
import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import InputError
from ntkalign.data.add_task import coin_flips
from ntkalign.data.catalogue import NETWORKS, load
from tests.data import made


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


def test_digits_as_images_are_the_flat_ones_reshaped():
    flat, images = (load("digits", points=30, held_out=5, network=n) for n in ("mlp", "cnn"))
    assert images.x.shape == (35, 8, 8, 1)
    np.testing.assert_array_equal(images.x[..., 0], flat.x.reshape(-1, 8, 8))
    np.testing.assert_array_equal(images.y, flat.y)
    three = load("digits", points=12, outputs=3, network="cnn")
    np.testing.assert_array_equal(three.x.ravel(), load("digits", points=12, outputs=3).x.ravel())
    assert three.y.shape == (12, 3)
    assert three.first(7).x.shape == (7, 8, 8, 1)


def test_images_keep_their_rows_columns_and_channels(tmp_path):
    """Those of two sets made here, whose pixels are known."""
    kmnist, _ = made.kmnist(tmp_path)
    cifar = made.cifar_bin(tmp_path / "data_batch_1.bin")
    order = np.random.default_rng(0).permutation(made.COUNT)
    for name, pixels in (("kmnist", kmnist[..., None]), ("cifar10", cifar)):
        images, flat = (
            load(name, points=made.COUNT, directory=tmp_path, network=n) for n in ("cnn", "mlp")
        )
        for i, number in enumerate(order):
            there = pixels[number].astype(np.float64)
            expected = there / np.linalg.norm(there) * np.sqrt(there.size)
            np.testing.assert_allclose(images.x[i], expected)
            np.testing.assert_array_equal(np.moveaxis(images.x[i], 2, 0).ravel(), flat.x[i])
        np.testing.assert_array_equal(images.y, flat.y)


def test_the_sphere_as_images_is_that_of_64_inputs():
    images = load("sphere", points=5, network="cnn")
    assert images.x.shape == (5, 8, 8, 1)
    assert images.y.shape == (5, 2)
    flat = load("sphere", points=5, inputs=64, outputs=2)
    np.testing.assert_array_equal(images.x.reshape(5, 64), flat.x)
    np.testing.assert_array_equal(images.y, flat.y)


def test_the_sphere_as_sequences_has_every_step_on_a_sphere():
    data = load("sphere", points=5, inputs=3, outputs=2, network="rnn", steps=6)
    assert data.x.shape == (5, 6, 3)
    assert data.y.shape == (5, 12)
    np.testing.assert_allclose(np.linalg.norm(data.x, axis=2), np.sqrt(3))
    assert load("sphere", points=5, network="rnn").x.shape == (5, 4, 8)
    assert load("sphere", points=5, network="rnn").y.shape == (5, 4)


def equation(x: list[int]) -> list[float]:
    """(59), with zeros before the sequence begins."""
    return [
        0.5
        + 0.5 * (x[k - 2] if k >= 2 else 0)
        - 0.25 * (x[k - 5] if k >= 5 else 0)
        for k in range(len(x))
    ]  # fmt: skip


@pytest.mark.parametrize(("steps", "points"), [(None, 16), (3, 8), (7, 123), (9, 60)])
def test_add_is_the_first_distinct_sequences_and_their_answers(steps, points):
    length = steps or 4
    distinct: list[list[int]] = []
    for row in coin_flips(99, length).tolist():
        if row not in distinct:
            distinct.append(row)
    data = load("add", points=points - 3, held_out=3, network="rnn", steps=steps)
    assert data.x.shape == (points, length, 1)
    assert data.x.dtype == data.y.dtype == np.float64
    np.testing.assert_array_equal(data.x[..., 0], distinct[:points])
    np.testing.assert_array_equal(data.y, [equation(x) for x in distinct[:points]])


@given(
    network=st.sampled_from(NETWORKS), name=st.sampled_from(["digits", "sphere", "add"]),
    few=st.integers(4, 8), more=st.integers(1, 8),
)  # fmt: skip
def test_more_points_leave_the_first_as_they_are_for_every_network(network, name, few, more):
    if (name == "add" and network != "rnn") or (name == "digits" and network == "rnn"):
        name = "sphere"
    data = load(name, points=few, network=network)
    larger = load(name, points=few, held_out=more, network=network)
    assert data.x.ndim == {"mlp": 2, "rnn": 3, "cnn": 4}[network]
    assert len(larger.x) == len(larger.y) == few + more
    np.testing.assert_array_equal(larger.first(few).x, data.x)
    np.testing.assert_array_equal(larger.first(few).y, data.y)


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
        ("digits", {"network": "cn"}, r"network \(cn\) must be one of mlp, rnn, cnn; .* 'cnn'\?"),
        (
            "digits",
            {"steps": 4},
            r"steps \(4\) must be left out for the network mlp; got 4; because its points are no "
            r"sequences; do: leave it out, or pass the network rnn",
        ),
        ("sphere", {"steps": 4, "network": "cnn"}, r"steps \(4\) must be left out .* network cnn"),
        (
            "add",
            {},
            r"data \(add\) must be one of digits, cifar10, kmnist, sphere, FILE\.npz for the "
            r"network mlp; got 'add'; because its points are sequences; do: pass the network rnn, "
            r"or the data digits",
        ),
        ("add", {"network": "cnn"}, r"for the network cnn; got 'add'; .* do: pass the network rnn"),
        (
            "digits",
            {"network": "rnn"},
            r"data \(digits\) must be one of add, sphere, FILE\.npz for the network rnn; "
            r"got 'digits'; because an image has one label, and a target is wanted at every step; "
            r"do: pass the data add, or the network cnn",
        ),
        (
            "cifar10",
            {"network": "rnn"},
            r"data \(cifar10\) must be one of add, .* because an image",
        ),
        (
            "spere",
            {"network": "rnn"},
            r"data \(spere\) must be one of add, sphere, FILE\.npz; .* did you mean 'sphere'\?",
        ),
        (
            "sphere",
            {"network": "cnn", "inputs": 64},
            r"inputs \(64\) must be left out for these data; got 64; because its images are 8 × 8; "
            r"do: leave it out, or pass the network mlp",
        ),
        ("digits", {"network": "cnn", "inputs": 3}, r"inputs \(3\) must be left out"),
        ("digits", {"network": "cnn", "outputs": 11}, r"outputs \(11\) must be between 2 and 10"),
        ("sphere", {"network": "rnn", "steps": 0}, r"steps \(0\) must be at least 1; .* pass 4"),
        ("sphere", {"network": "rnn", "outputs": 0}, r"outputs \(0\) must be at least 1"),
        (
            "sphere",
            {"network": "rnn", "inputs": 1, "steps": 1},
            r"must have distinct inputs; .* do: ask for more inputs",
        ),
        ("add", {"network": "rnn", "inputs": 2}, r"inputs \(2\) .* there is one coin a step"),
        ("add", {"network": "rnn", "outputs": 2}, r"outputs \(2\) .* there is one answer a step"),
        (
            "add",
            {"network": "rnn", "steps": 2},
            r"steps \(2\) must be at least 3; got 2; because before the third step every answer is "
            r"½; do: pass 4, say",
        ),
        (
            "add",
            {"network": "rnn", "points": 17},
            r"points \(17\) must be at most 16; got 17; because the Add task of 4 steps, without "
            r"repetitions, has no more points; do: pass 16 or less, or more steps$",
        ),
        (
            "add",
            {"network": "rnn", "steps": 3, "points": 7, "held_out": 2},
            r"held_out \(2\) must be at most 1; .* without repetitions, has 8 points and 7 are "
            r"trained on; do: ask for 4 points, 2 held out, say, or more steps$",
        ),
        ("add", {"network": "rnn", "steps": 7, "points": 124}, r"points \(124\) .* at most 123"),
        (
            "add",
            {"network": "rnn", "steps": 30, "points": 401},
            r"points \(401\) must be at most 400; .* do: pass 400 or less$",
        ),
    ],
)
def test_other_bad_requests_say_why(name, options, message):
    with pytest.raises(InputError, match=message) as caught:
        load(name, **({"points": 4} | options))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 300


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
