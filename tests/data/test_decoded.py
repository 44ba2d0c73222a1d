"""A folder to train on: which images are taken, what tells them from others, what is decoded."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import InputError
from ntkalign.data.decoded import evenly, folder_training_set
from ntkalign.data.imagenet import ImageFolder, UnreadableImageError
from ntkalign.data.training_sets import Part, Points
from tests.data import made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made.image_folder(tmp_path_factory.mktemp("images"))


def opened(folder, size=16, **asked):
    return folder_training_set("imagenet", folder, size, **asked)


def identity(part):
    return b"".join(bytes(piece) for piece in part.identity())


def test_both_parts_have_all_images_and_their_shapes(folder):
    found = opened(folder)
    assert (found.name, len(found.train), len(found.test)) == ("imagenet", 12, 6)
    for part in (found.train, found.test):
        assert (part.inputs, part.targets) == ((16, 16, 3), (3,))
        assert part.point_bytes == 4 * (16 * 16 * 3 + 3)
        assert isinstance(part, Points)
    assert isinstance(Part(np.zeros((2, 3)), np.zeros((2, 1))), Points)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_points_are_those_of_the_folder_with_the_crops_of_seed_and_epoch(folder, dtype):
    found, rows = opened(folder, train=6, dtype=dtype), np.array([5, 0, 3])
    x, y = found.train.fetch(99, 3, rows)
    wanted, classes = ImageFolder(folder, "train", 16).batch([10, 0, 6], 99, 3)
    np.testing.assert_array_equal(x, wanted.astype(dtype))
    np.testing.assert_array_equal(y, classes.astype(dtype))
    assert x.dtype == y.dtype == dtype


def test_fewer_images_are_of_all_classes(folder):
    found = opened(folder, train=6, test=3)
    _, y = found.train.fetch(0, 1, np.arange(6))
    assert y.sum(0).tolist() == [2, 2, 2]
    _, y = found.test.fetch(0, 1, np.arange(3))
    assert y.sum(0).tolist() == [1, 1, 1]


@given(many=st.integers(1, 10**6), data=st.data())
def test_numbers_are_evenly_spread(many, data):
    wanted = data.draw(st.integers(1, min(many, 1000)))
    found = evenly(many, wanted)
    assert found[0] == 0
    assert found[-1] < many
    steps = np.diff(found)
    assert wanted == len(found)
    assert wanted == 1 or steps.max() - steps.min() <= 1
    np.testing.assert_array_equal(evenly(wanted, None), np.arange(wanted))


def test_whatever_decides_a_point_changes_the_identity(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    plain = identity(opened(folder).train)
    assert identity(opened(copy).train) == plain  # wherever the folder lies
    others = [
        plain, identity(opened(folder).test), identity(opened(folder, size=20).train),
        identity(opened(folder, train=11).train), identity(opened(folder, dtype="float64").train),
    ]  # fmt: skip
    (copy / "train/a/0.png").rename(copy / "train/b/9.png")
    others.append(identity(opened(copy).train))
    with (copy / "train/b/9.png").open("ab") as file:
        file.write(b"more")
    others.append(identity(opened(copy).train))
    for part in ("train", "val"):
        (copy / part / "c").rename(copy / part / "d")
    others.append(identity(opened(copy).train))
    assert len(set(others)) == len(others)


def test_a_file_that_is_gone_is_said_by_whoever_decodes_it(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "train/a/0.png").unlink()
    (copy / "train/a/0.png").symlink_to("nowhere")
    part = opened(copy).train
    assert b"0.png -1 0" in identity(part)
    with pytest.raises(UnreadableImageError, match=r"got train/a/0.png: .*No such file"):
        part.fetch(0, 1, np.arange(1))


@pytest.mark.parametrize(("part", "most"), [("train", 12), ("test", 6)])
def test_more_images_than_there_are_is_refused(folder, part, most):
    with pytest.raises(
        InputError, match=rf"{part} \({most + 1}\) must be at most {most}; got {most + 1}; because "
        r"there are no more images in (train|val)/; do: pass \d+ or less",
    ):  # fmt: skip
        opened(folder, **{part: most + 1})


def test_a_folder_that_is_missing_or_lacks_a_class_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match=r"data_dir \(None\) must be the folder of the imagenet"):
        opened(None)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "val" / "b")
    with pytest.raises(InputError, match=r"got b in only one of train and val"):
        opened(copy)
    shutil.rmtree(copy / "val")
    with pytest.raises(InputError, match=r"got no folder val/"):
        opened(copy)
