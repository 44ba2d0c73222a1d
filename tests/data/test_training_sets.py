"""Sets to train on: which images, in which order, scaled and labelled how."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import InputError
from ntkalign.data.images import read
from ntkalign.data.training_sets import image_training_set, scaled
from tests.data import made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    made.kmnist(folder)
    made.cifar_bin(folder / "data_batch_1.bin", 12)
    made.cifar_bin(folder / "data_batch_2.bin", 8, seed=3)
    return folder


@pytest.mark.parametrize("name", ["cifar10", "kmnist"])
@given(test=st.integers(1, 19), data=st.data())
def test_the_first_images_are_measured_on_and_those_that_follow_are_trained_on(
    folder, name, test, data
):
    train = data.draw(st.none() | st.integers(1, 20 - test))
    found = image_training_set(name, folder, train=train, test=test)
    images = read(name, folder)
    together = np.concatenate([found.test.x, found.train.x])
    assert (len(found.test), len(found.train)) == (test, 20 - test if train is None else train)
    np.testing.assert_array_equal(np.rint(together * 255), images.pixels[: len(together)])
    classes = np.argmax(np.concatenate([found.test.y, found.train.y]), axis=1)
    np.testing.assert_array_equal(classes, images.labels[: len(together)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, "float32", jnp.float32])
def test_pixels_are_rounded_as_in_the_papers_code(folder, dtype):
    p = read("cifar10", folder).pixels
    cifar = image_training_set("cifar10", folder, test=5, dtype=dtype)
    assert cifar.train.x.dtype == cifar.train.y.dtype == np.dtype(dtype)
    written = (p / 255 - 0.5).astype(np.float32) + np.float32(0.5)
    np.testing.assert_array_equal(cifar.train.x, written[5:].astype(dtype))
    kmnist = image_training_set("kmnist", folder, test=5, dtype=dtype)
    written = read("kmnist", folder).pixels.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(kmnist.train.x, written[5:].astype(dtype))
    for found in (cifar, kmnist):
        assert 0 <= found.train.x.min() < found.train.x.max() <= 1
        assert set(found.train.y.ravel()) == {np.dtype(dtype).type(v) for v in (1 - 0.1, -0.1)}


def test_the_two_ways_of_scaling_differ_by_rounding_only():
    levels = {name: scaled(name, 255) for name in ("cifar10", "kmnist")}
    for found in levels.values():
        np.testing.assert_allclose(found, np.arange(256) / 255, atol=6e-8, rtol=0)
    assert (levels["cifar10"] != levels["kmnist"]).any()


def test_digits_are_a_set_to_train_on():
    digits = image_training_set("digits", None, train=45, test=10)
    assert digits.train.x.shape == (45, 8, 8, 1)
    assert digits.train.x.max() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 16}, r"train \(16\) must be at most 15; got 16; because kmnist has 20 images "
                        r"here and the first 5 are measured on; do: pass 15 or less, or leave"),
        ({"test": 20}, r"test \(20\) must be less than 20; got 20; .* do: pass 2, say"),
        ({"test": 5000}, r"test \(5000\) must be less than 20"),
        ({"test": 0}, r"test \(0\) must be at least 1"),
        ({"train": 0}, r"train \(0\) must be at least 1; .* leave it out for all of them"),
        ({"train": True}, r"train \(True\) must be a whole number"),
        ({"dtype": "float16"}, r"dtype \(float16\) must be float32 or float64; got 'float16'"),
        ({"dtype": None}, r"dtype \(None\) must be float32 or float64"),
        ({"dtype": "half a float"}, r"dtype \(half a float\) must be float32 or float64"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_says_why(folder, options, message):
    with pytest.raises(InputError, match=message) as caught:
        image_training_set("kmnist", folder, **({"test": 5} | options))
    assert "\n" not in str(caught.value)


def test_the_real_images_become_a_set(image_files):
    found = image_training_set("cifar10", image_files / "cifar10", train=45, test=100)
    assert found.train.x.shape == (45, 32, 32, 3)
    raw = (image_files / "cifar10" / "data_batch_1.bin").read_bytes()
    assert np.argmax(found.train.y[0]) == raw[3073 * 100]
    np.testing.assert_allclose(found.train.x[0, 0, :2, 0] * 255, list(raw[307301:307303]))
