"""What a folder holds of a set: whole, readable or broken, file by file."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest

from ntkalign import InputError
from ntkalign.data.checks import check
from ntkalign.data.sets import SETS
from tests.data import made
from tests.data.test_imagenet import picture


def rows(found) -> dict[str, tuple[str, str]]:
    return {row.file: (row.status, row.detail) for row in found.files}


@pytest.fixture
def small(monkeypatch):
    """Sets that are whole with twenty images a file: their declarations, made small."""

    def declare(name, images, **changes):
        entry = SETS[name]
        files = tuple(
            dataclasses.replace(f, **{"holds": made.COUNT, "size": None, "md5": None} | changes)
            if f.holds else f
            for f in entry.files
        )  # fmt: skip
        monkeypatch.setitem(
            SETS._things, name, dataclasses.replace(entry, images=images, files=files)
        )

    return declare


def test_a_whole_set_is_whole(tmp_path, small):
    small("cifar10", 100)
    for i in range(1, 6):
        made.cifar_bin(tmp_path / f"data_batch_{i}.bin", seed=i)
    found = check("cifar10", tmp_path)
    assert (found.status, found.images, found.counts) == ("whole", 100, (10,) * 10)
    assert found.labels == (0, 9)
    assert rows(found)["data_batch_5.bin"] == ("whole", "20 images, no checksum is published")
    assert rows(found)["test_batch.bin"] == ("absent", "20 in the official file")
    assert len(found.files) == 6  # and nothing of the form that is not there


@pytest.mark.parametrize("missing", ["nothing", "a file", "images", "balance"])
def test_what_lacks_something_is_readable(tmp_path, small, missing):
    small("cifar10", 100)
    for i in range(1, 6):
        made.cifar_bin(tmp_path / f"data_batch_{i}.bin", seed=i)
    path = tmp_path / "data_batch_3.bin"
    raw = bytearray(path.read_bytes())
    if missing == "a file":
        path.unlink()
    elif missing == "images":
        path.write_bytes(raw[:-3073])
    elif missing == "balance":
        raw[0] = (raw[0] + 1) % 10
        path.write_bytes(raw)
    found = check("cifar10", tmp_path)
    assert found.status == ("whole" if missing == "nothing" else "readable")
    if missing == "images":
        assert rows(found)[path.name] == ("readable", "19 images of 20")
        assert found.images == 99


def test_training_and_test_files_together_are_whole(tmp_path, small):
    small("kmnist", 20)
    made.kmnist(tmp_path)
    made.kmnist(tmp_path, part="t10k")
    assert check("kmnist", tmp_path).status == "whole"


@pytest.mark.parametrize("right", [True, False])
def test_a_published_checksum_is_compared(tmp_path, small, right):
    made.kmnist(tmp_path)
    name = "train-images-idx3-ubyte.gz"
    md5 = hashlib.md5((tmp_path / name).read_bytes()).hexdigest()
    small("kmnist", 20, md5=md5 if right else "0" * 32)
    found = rows(check("kmnist", tmp_path))
    expected = ("whole", "the published") if right else ("readable", "not the published")
    assert found[name] == (expected[0], f"20 images, {expected[1]} checksum")
    assert found["train-labels-idx1-ubyte.gz"][0] == "readable"


def test_a_published_size_is_compared(tmp_path, small):
    small("kmnist", 20, size=7)
    made.kmnist_npz(tmp_path)
    size = (tmp_path / "kmnist-train-imgs.npz").stat().st_size
    expected = ("readable", f"20 images, {size} bytes where 7 are published")
    assert rows(check("kmnist", tmp_path))["kmnist-train-imgs.npz"] == expected


def test_test_files_alone_are_readable(tmp_path, small):
    small("kmnist", 20)
    made.kmnist(tmp_path, part="t10k")
    found = check("kmnist", tmp_path)
    assert (found.status, found.images) == ("readable", 20)
    assert rows(found)["train-images-idx3-ubyte.gz"][0] == "absent"


def test_files_under_other_names_are_listed(tmp_path):
    made.kmnist(tmp_path, dot=".")
    name, other = "train-images.idx3-ubyte.gz", "20 images, under another name"
    found = rows(check("kmnist", tmp_path))
    assert found[name] == ("readable", f"{other} than the official file")
    assert len(found) == 2


def test_a_broken_file_is_the_fault_of_the_folder(tmp_path):
    made.cifar_bin(tmp_path / "data_batch_1.bin")
    (tmp_path / "data_batch_2.bin").write_bytes(b"")
    found = check("cifar10", tmp_path)
    assert (found.status, found.counts) == ("broken", ())
    assert rows(found)["data_batch_1.bin"] == ("readable", "20 images of 10000")
    assert rows(found)["data_batch_2.bin"] == ("broken", "an empty file")
    assert "got data_batch_2.bin: an empty file; because" in str(found.fault)


def test_a_broken_file_that_is_not_used_is_shown_and_does_no_harm(tmp_path):
    made.cifar_bin(tmp_path / "data_batch_1.bin")
    (tmp_path / "test_batch.bin").write_bytes(b"")
    found = check("cifar10", tmp_path)
    assert rows(found)["test_batch.bin"] == ("broken", "an empty file")
    assert found.status == "readable"


def test_archives_and_unpacked_folders_are_seen(tmp_path):
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"x")
    found = check("cifar10", tmp_path)
    assert found.status == "broken"
    said = "packed, 1 bytes where 170052171 are published; not read"
    assert rows(found) == {"cifar-10-binary.tar.gz": ("readable", said)}
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(made.cifar_python2())
    found = check("cifar10", tmp_path)
    assert rows(found)["cifar-10-batches-py/data_batch_1"] == ("readable", "20 images of 10000")
    assert found.images == 20


def test_imagenet_is_listed_and_one_image_of_each_class_decoded(tmp_path):
    for name, count in (("a", 2), ("b", 3)):
        place = tmp_path / "train" / name
        place.mkdir(parents=True)
        for i in range(count):
            picture().save(place / f"{i}.png")
    found = check("imagenet", tmp_path)
    assert (found.status, found.counts) == ("readable", (2, 3))
    assert rows(found) == {
        "train/": ("readable", "5 images of 2 classes, one of each decoded"),
        "val/": ("absent", "nothing to measure on"),
    }
    (tmp_path / "train" / "b" / "0.png").write_bytes(b"no image")
    found = check("imagenet", tmp_path)
    assert found.status == "broken"
    assert rows(found)["train/"] == ("broken", found.fault.detail)
    assert "got train/b/0.png: no image; because" in str(found.fault)


@pytest.mark.parametrize("name", ["cifar10", "kmnist", "imagenet"])
def test_nothing_is_broken(tmp_path, name):
    for folder in (tmp_path, tmp_path / "absent"):
        found = check(name, folder)
        assert found.status == "broken"
        assert str(found.fault).startswith("data_dir (")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digits", r"name \(digits\) must be a set that is read from files; .* digits is bundled"),
        ("add", r"name \(add\) .* because add is generated; do: name cifar10, kmnist or imagenet"),
        ("cifar", r"name \(cifar\) must be one of .* did you mean 'cifar10'\?"),
    ],
)
def test_other_names_are_refused(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        check(name, tmp_path)


def test_the_real_files_are_checked(image_files):
    kmnist = check("kmnist", image_files / "kmnist")
    assert kmnist.status in ("whole", "readable")
    status, detail = rows(kmnist)["t10k-images-idx3-ubyte.gz"]
    assert (status, detail) == ("whole", "10000 images, the published checksum")
    cifar = check("cifar10", image_files / "cifar10")
    assert cifar.status in ("whole", "readable")
    assert np.sum(cifar.counts) == cifar.images
