"""Image sets: every format is read whole, and whatever else the files hold is one clear line."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import InputError
from ntkalign.data.formats import Unreadable
from ntkalign.data.images import Images, read, read_file
from tests.data import made


def refused(name: str, folder: Path) -> str:
    """The line for a folder that cannot be read."""
    with pytest.raises(InputError) as caught:
        read(name, folder)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line.replace(str(folder), "")) <= 250
    assert line.startswith("data_dir (")
    assert f"must hold the original {name} files; got " in line
    assert f"; because the images are read from them; do: see ntkalign data where {name}" in line
    return line.split("; got ")[1].split("; because ")[0]


def test_digits_are_bundled():
    digits = read("digits", None)
    assert digits.pixels.shape == (1797, 8, 8, 1)
    assert digits.pixels.max() == digits.white == 16
    assert sum(digits.counts()) == 1797


@pytest.mark.parametrize("part", ["train", "t10k"])
@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_are_read_under_their_names(tmp_path, part, dot, packed):
    pixels, labels = made.kmnist(tmp_path, part=part, dot=dot, packed=packed)
    images = read("kmnist", tmp_path)
    np.testing.assert_array_equal(images.pixels[..., 0], pixels)
    np.testing.assert_array_equal(images.labels, labels)
    assert images.classes == 10


@pytest.mark.parametrize("part", ["train", "test", "t10k"])
def test_npz_files_are_read(tmp_path, part):
    pixels, labels = made.kmnist_npz(tmp_path, part)
    images = read("kmnist", tmp_path)
    np.testing.assert_array_equal(images.pixels[..., 0], pixels)
    np.testing.assert_array_equal(images.labels, labels)


def test_training_files_are_preferred_to_test_files(tmp_path):
    made.kmnist(tmp_path, part="t10k", seed=5)
    pixels, _ = made.kmnist(tmp_path, part="train", seed=6)
    np.testing.assert_array_equal(read("kmnist", tmp_path).pixels[..., 0], pixels)


def test_cifar_files_are_read_in_numeric_order_and_without_the_test_batch(tmp_path):
    numbers = (10, 2, 1)
    of = {n: made.cifar_bin(tmp_path / f"data_batch_{n}.bin", n, seed=n) for n in numbers}
    made.cifar_bin(tmp_path / "test_batch.bin")
    made.cifar_bin(tmp_path / "data_batch_3.bin.orig")
    images = read("cifar10", tmp_path)
    np.testing.assert_array_equal(images.pixels, np.concatenate([of[1], of[2], of[10]]))
    assert images.pixels.shape == (13, 32, 32, 3)


def test_planes_become_channels(tmp_path):
    record = bytes([4]) + bytes([10]) * 1024 + bytes([20]) * 1024 + bytes([30]) * 1024
    (tmp_path / "data_batch_1.bin").write_bytes(record)
    images = read("cifar10", tmp_path)
    assert (images.pixels == [10, 20, 30]).all()
    np.testing.assert_array_equal(images.flat(np.array([0]))[0, ::1024] * 255, [10, 20, 30])


@pytest.mark.parametrize("version", ["python2", 0, 1, 2, 3, 4, 5, "bytes"])
def test_the_python_version_is_read_in_every_protocol(tmp_path, version):
    if version == "python2":
        raw = made.cifar_python2()
    elif version == "bytes":  # as one gets them with encoding="bytes"
        raw = made.pickled({k.encode(): v for k, v in made.batch().items()}, 4)
    else:
        raw = made.pickled(made.batch(), version)
    (tmp_path / "data_batch_1").write_bytes(raw)
    ours = read("cifar10", tmp_path)
    (tmp_path / "other").mkdir()
    pixels = made.cifar_bin(tmp_path / "other" / "data_batch_1.bin")
    np.testing.assert_array_equal(ours.pixels, pixels)
    np.testing.assert_array_equal(ours.labels, made.labels())


def test_the_handmade_pickle_is_what_pickle_reads():
    """The control: the official files' format, read by Python's own reader."""
    content = pickle.loads(made.cifar_python2(), encoding="latin1")
    np.testing.assert_array_equal(content["data"], made.planes())
    assert content["labels"] == made.labels().tolist()


@pytest.mark.parametrize("unpacked", ["cifar-10-batches-bin", "cifar-10-batches-py"])
def test_the_folder_of_the_unpacked_archive_will_do(tmp_path, unpacked):
    (tmp_path / unpacked).mkdir()
    name = "data_batch_1" + ".bin" * unpacked.endswith("bin")
    made.cifar_bin(tmp_path / unpacked / "data_batch_1.bin")
    if not unpacked.endswith("bin"):
        (tmp_path / unpacked / "data_batch_1.bin").unlink()
        (tmp_path / unpacked / name).write_bytes(made.pickled(made.batch()))
    assert len(read("cifar10", tmp_path)) == made.COUNT


class Runs:
    """Pickles to a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_in_a_pickle_is_run(tmp_path, protocol):
    target = tmp_path / "made-by-the-pickle"
    evil = made.batch() | {"more": Runs(os.mkdir, str(target))}
    (tmp_path / "data_batch_1").write_bytes(made.pickled(evil, protocol))
    why = refused("cifar10", tmp_path)
    assert why == "data_batch_1: a pickle that calls posix.mkdir, which is not done"
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([1, 2], "a pickle that is no dictionary"),
        ({"labels": [1]}, r"no array called data of bytes \(n, 3072\)"),
        ({"data": [1], "labels": [1]}, r"no array called data of bytes \(n, 3072\)"),
        ({"data": made.planes(2).astype(float), "labels": [1, 2]}, "no array called data"),
        ({"data": made.planes(2)[:, :-1], "labels": [1, 2]}, "no array called data"),
        ({"data": made.planes(2).T, "labels": [1, 2]}, "no array called data"),
        ({"data": made.planes(2)[:0], "labels": []}, "no array called data"),
        ({"data": made.planes(2), "labels": [1]}, "no list of 2 labels beside as many images"),
        ({"data": made.planes(2), "labels": [1, "2"]}, "no list of 2 labels"),
        ({"data": made.planes(2), "labels": [1, True]}, "no list of 2 labels"),
        ({"data": made.planes(2)}, "no list of 2 labels"),
        ({"data": made.planes(2), "labels": [1, 10]}, "the label 10 of image 1, not 0 to 9"),
        (b"", "no array called data"),
    ],
)
def test_other_pickles_are_refused(tmp_path, content, why):
    raw = made.pickled({} if content == b"" else content, 4)
    (tmp_path / "data_batch_1").write_bytes(raw)
    with pytest.raises(Unreadable, match=f"data_batch_1: {why}"):
        read_file(tmp_path / "data_batch_1")


IDX = {
    "magic": (lambda i, k: (made.idx_bytes(k, 2049), i), "the magic number 2049, .* be 2051"),
    "size": (lambda i, k: (made.idx_bytes(i[:, :27], 2051), k), "images of 27x28 pixels, not"),
    "few": (lambda i, k: (made.idx_bytes(i, 2051, 21), k), "only 15680 bytes, and 16464 that its"),
    "many": (lambda i, k: (made.idx_bytes(i, 2051, 19), k), "more bytes than the 14896 that its"),
    "tail": (lambda i, k: (made.idx_bytes(i, 2051) + b"!", k), "more bytes than the 15680 that"),
    "claims": (lambda i, k: (made.idx_bytes(i, 2051, 2**32 - 1), k), "a header that claims 42949"),
    "none": (lambda i, k: (made.idx_bytes(i[:0], 2051), k), "a header and nothing after it"),
    "header": (lambda i, k: (b"\0\0\x08", k), "3 bytes, less than a header"),
    "empty": (lambda i, k: (b"", k), "0 bytes, less than a header"),
    "label": (lambda i, k: (made.idx_bytes(i, 2051), np.where(k == 7, 255, k)), "the label 255 of"),
    "fewer": (lambda i, k: (made.idx_bytes(i[:9], 2051), k), "9 images and 20 labels"),
}  # fmt: skip


@pytest.mark.parametrize("kind", IDX)
@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_that_are_wrong_say_why(tmp_path, kind, packed):
    made.kmnist(tmp_path, packed=packed)
    change, why = IDX[kind]
    images, labels = change(made.some((made.COUNT, 28, 28)), made.labels())
    if kind == "magic":
        labels = made.labels()
    for name, raw in (
        ("train-images-idx3-ubyte", images),
        ("train-labels-idx1-ubyte", made.idx_bytes(labels.astype(np.uint8), 2049)),
    ):
        path = tmp_path / (name + ".gz" * packed)
        path.write_bytes(gzip.compress(raw) if packed else raw)
    with pytest.raises(InputError, match=why):
        read("kmnist", tmp_path)
    refused("kmnist", tmp_path)


def test_no_memory_is_reserved_on_the_word_of_a_header(tmp_path):
    made.kmnist(tmp_path)
    claims = struct.pack(">4I", 2051, 2**20, 28, 28)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(claims))
    tracemalloc.start()
    assert "only 0 bytes, and 822083584 that its header says" in refused("kmnist", tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def npy(shape: object, kind: str = "|u1", version: int = 1, body: bytes = b"") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    start = b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(header))
    return start + header + body


NPZ = {
    "objects": (npy((20,), "|O"), r"\|O \(20,\), where bytes \|u1 \(n, 28, 28\) should be"),
    "flat": (npy((20, 784)), r"\|u1 \(20, 784\), where bytes"),
    "floats": (npy((20, 28, 28), "<f8"), r"<f8 \(20, 28, 28\), where bytes"),
    "claims": (npy((2**70, 28, 28)), "a header that claims 1180591620717411303424 of them"),
    "negative": (npy((-1, 28, 28)), "a header that claims -1 of them"),
    "short": (npy((9, 28, 28)), "only 0 bytes, and 7056 that its header says"),
    "text": (b"hello", "an arr_0 that is no NumPy array"),
    "version": (npy((9, 28, 28), version=2), "an array in version 2 of NumPy's format, not 1"),
    "syntax": (npy("(1"), "kmnist-train-imgs.npz: "),
}


@pytest.mark.parametrize("kind", [*NPZ, "absent", "not-zip"])
def test_npz_files_that_are_wrong_say_why(tmp_path, kind):
    made.kmnist_npz(tmp_path)
    path = tmp_path / "kmnist-train-imgs.npz"
    content, why = NPZ.get(kind, (b"", "an archive without the array arr_0"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy" if kind == "absent" else "arr_0.npy", content)
    if kind == "not-zip":
        path.write_bytes(b"not zip")
        why = "File is not a zip file"
    with pytest.raises(InputError, match=why):
        read("kmnist", tmp_path)
    refused("kmnist", tmp_path)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "data_batch_1.bin: an empty file"),
        (bytes(3072), "data_batch_1.bin: a size (3072) that is no multiple of 3073 bytes"),
        (bytes([255]) + bytes(3072), "data_batch_1.bin: the label 255 of image 0, not 0 to 9"),
    ],
)
def test_cifar_files_that_are_wrong_say_why(tmp_path, raw, why):
    (tmp_path / "data_batch_1.bin").write_bytes(raw)
    assert refused("cifar10", tmp_path) == why


def test_what_is_missing_is_named(tmp_path):
    assert refused("kmnist", tmp_path) == "no file named train-images-idx3-ubyte[.gz]"
    assert refused("cifar10", tmp_path) == "no file named data_batch_*.bin or data_batch_*"
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"")
    assert refused("cifar10", tmp_path) == "cifar-10-python.tar.gz, which is still packed"
    made.kmnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    why = "no file named train-labels-idx1-ubyte[.gz] beside train-images-idx3-ubyte.gz"
    assert refused("kmnist", tmp_path) == why
    with pytest.raises(InputError, match="must be the folder of the kmnist files; got no such"):
        read("kmnist", tmp_path / "absent")
    with pytest.raises(InputError, match=r"data \(kminst\) .* did you mean 'kmnist'\?"):
        read("kminst", tmp_path)


WHOLE = {
    "data_batch_1.bin": lambda folder: made.cifar_bin(folder / "data_batch_1.bin", 2),
    "data_batch_1": lambda folder: (folder / "data_batch_1").write_bytes(made.cifar_python2(2)),
    "train-images-idx3-ubyte.gz": made.kmnist,
    "train-labels-idx1-ubyte": lambda folder: made.kmnist(folder, packed=False),
    "kmnist-train-imgs.npz": made.kmnist_npz,
    "kmnist-train-labels.npz": made.kmnist_npz,
}


@pytest.mark.parametrize("name", WHOLE)
@given(data=st.data())
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path_factory, name, data):
    folder = tmp_path_factory.mktemp("cut")
    WHOLE[name](folder)
    path = folder / name
    raw = path.read_bytes()
    kept = data.draw(st.integers(0, len(raw) - 1))
    path.write_bytes(raw[:kept])
    if name.endswith(".bin") and kept and kept % 3073 == 0:
        assert len(read("cifar10", folder)) == kept // 3073
    else:
        assert refused("kmnist" if "train" in name else "cifar10", folder).startswith(name)


@pytest.mark.parametrize("name", WHOLE)
@given(data=st.data())
def test_a_file_with_changed_bytes_is_read_or_refused(tmp_path_factory, name, data):
    """Whatever is in it: images, or a line; never anything else."""
    folder = tmp_path_factory.mktemp("changed")
    WHOLE[name](folder)
    path = folder / name
    raw = bytearray(path.read_bytes())
    places = st.integers(0, min(len(raw), 200) - 1) | st.integers(0, len(raw) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        raw[place] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    sort = "kmnist" if "train" in name else "cifar10"
    try:
        assert len(read(sort, folder))
    except InputError:
        refused(sort, folder)


@pytest.mark.parametrize(
    ("count", "labels", "why"),
    [
        (0, [], "no images"), (1, [3], "the label 3 of image 0"),
        (1, [-1], "the label -1 of image 0"),
    ],
)  # fmt: skip
def test_images_are_checked(count, labels, why):
    with pytest.raises(InputError, match=rf"images \(mine\) must be .*; got {why}.*mend the set"):
        Images("mine", np.zeros((count, 2, 2, 1), np.uint8), np.array(labels, np.int64), 3)


def test_the_real_files_are_read(image_files):
    kmnist = read("kmnist", image_files / "kmnist")
    assert kmnist.pixels.shape[1:] == (28, 28, 1)
    assert set(kmnist.labels) == set(range(10))
    cifar = read("cifar10", image_files / "cifar10")
    assert cifar.pixels.shape[1:] == (32, 32, 3)
    assert min(cifar.counts()) > 0
