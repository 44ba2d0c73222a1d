"""A folder of images: what is listed, decoded, cropped and held, and every line of refusal."""

from __future__ import annotations

import io
import itertools
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ntkalign import InputError
from ntkalign.data.crops import RATIOS, centre, random_box, random_crop
from ntkalign.data.imagenet import AHEAD, MEAN, STD, ImageFolder
from tests.data.made import some

KINDS = {"a": ("jpg", "RGB"), "b": ("png", "RGBA"), "c": ("png", "L")}


def picture(mode: str = "RGB", width: int = 40, height: int = 30, seed: int = 0) -> Image.Image:
    return Image.fromarray(some((height, width, 3), seed)).convert(mode)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Three classes with four images each to train on, and one each to measure on."""
    folder = tmp_path_factory.mktemp("imagenet")
    for part, count in (("train", 4), ("val", 1)):
        for name, (ending, mode) in KINDS.items():
            place = folder / part / name
            place.mkdir(parents=True)
            for i in reversed(range(count)):
                picture(mode, 40 + i, 30, seed=i).save(place / f"{i}.{ending}")
    (folder / "train" / ".DS_Store").write_text("")
    (folder / "train" / "a" / ".hidden").write_text("")
    return folder


def test_classes_and_files_are_sorted(made):
    images = ImageFolder(made, "train", size=16)
    assert images.classes == ("a", "b", "c")
    assert len(images) == 12
    assert images.files == [
        f"train/{name}/{i}.{KINDS[name][0]}" for name in "abc" for i in range(4)
    ]
    assert images.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert len(ImageFolder(made, "val")) == 3


def test_a_batch_has_its_shapes_and_is_plain_one_hot(made):
    x, y = ImageFolder(made, "train").batch([11, 0, 5])
    assert (x.shape, x.dtype) == ((3, 224, 224, 3), np.float32)
    np.testing.assert_array_equal(y, np.eye(3, dtype=np.float32)[[2, 0, 1]])
    assert y.dtype == np.float32


def test_pixels_are_normalised(made):
    x, _ = ImageFolder(made, "val", size=16).batch([0, 1, 2])
    pixels = x * STD + MEAN
    assert -1e-6 <= pixels.min() < pixels.max() <= 1 + 1e-6
    white = (1 - MEAN) / STD
    np.testing.assert_allclose(white, [2.2489, 2.4286, 2.64], atol=1e-4)


def test_seed_epoch_and_number_decide_and_nothing_else(made):
    images = ImageFolder(made, "train", size=16)
    x, _ = images.batch([3, 7], seed=1, epoch=2)
    np.testing.assert_array_equal(images.batch([7, 3, 3], 1, 2)[0], x[[1, 0, 0]])
    for seed, epoch in ((1, 3), (2, 2), (2, 1)):
        assert (images.batch([3, 7], seed, epoch)[0] != x).any()
    val = ImageFolder(made, "val", size=16)
    np.testing.assert_array_equal(val.batch([0], 1, 2)[0], val.batch([0], 3, 4)[0])


@pytest.mark.parametrize("threads", [1, 3, None])
def test_minibatches_are_those_of_batch_in_order(made, threads):
    images = ImageFolder(made, "train", size=16)
    order = np.random.RandomState(0).permutation(12)
    found = list(images.batches(order[:11], 2, seed=5, epoch=1, threads=threads))
    assert len(found) == 5  # and the eleventh image is left out
    for (x, y), chunk in zip(found, order.reshape(6, 2), strict=False):
        expected = images.batch(chunk, 5, 1)
        np.testing.assert_array_equal(x, expected[0])
        np.testing.assert_array_equal(y, expected[1])


def test_only_a_few_minibatches_are_decoded_ahead(made, monkeypatch):
    images = ImageFolder(made, "train", size=16)
    decoded, original = [], images.image
    monkeypatch.setattr(images, "image", lambda *a: decoded.append(a[0]) or original(*a))
    stream = images.batches(np.arange(12), 2, threads=2)
    assert not decoded  # nothing before the first is asked for
    for given_out in (1, 2):
        next(stream)
        assert len(decoded) <= 2 * (given_out + AHEAD)
    before = threading.active_count()
    stream.close()
    assert threading.active_count() < before


def test_an_epoch_smaller_than_a_minibatch_has_none(made):
    assert not list(ImageFolder(made, "val", size=16).batches([0, 1], 3))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_kind_of_pixel_becomes_rgb(tmp_path, mode):
    place = tmp_path / "train" / "a"
    place.mkdir(parents=True)
    ending = {"CMYK": "jpg", "YCbCr": "jpg"}.get(mode, "png")
    extra = {"transparency": bytes(range(100))} if mode == "P" else {}
    one = picture(mode)
    one.save(place / f"x.{ending}", **extra)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x, y = ImageFolder(tmp_path, "train", size=8).batch([0])
    assert x.shape == (1, 8, 8, 3)
    assert y.tolist() == [[1]]


def refused(action) -> str:
    with pytest.raises(InputError) as caught:
        action()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) <= 300
    assert "must hold train/CLASS/IMAGE and val/CLASS/IMAGE; got " in line
    return line.split("; got ")[1].split("; because ")[0]


def test_folders_that_are_wrong_say_why(tmp_path):
    def opened():
        return ImageFolder(tmp_path, "train")

    assert refused(opened) == "no folder train/"
    (tmp_path / "train").mkdir()
    assert refused(opened) == "no folder of a class in train/"
    place = tmp_path / "train" / "a"
    place.mkdir()
    assert refused(opened) == "no image in train/a/"
    (place / "notes.txt").write_text("hello")
    assert refused(opened) == "train/a/notes.txt, which has no name of an image"
    (place / "notes.txt").rename(place / "notes.JPEG")
    assert refused(lambda: opened().batch([0])) == "train/a/notes.JPEG: no image"
    (tmp_path / "val" / "b").mkdir(parents=True)
    assert refused(opened) == "a in only one of train and val"


def test_images_of_more_than_8_bits_are_refused(tmp_path):
    (tmp_path / "train" / "a").mkdir(parents=True)
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(tmp_path / "train" / "a" / "x.png")
    why = refused(lambda: ImageFolder(tmp_path, "train").batch([0]))
    assert why == "train/a/x.png: pixels of the kind I;16, not 8 bits a channel"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
@given(data=st.data())
def test_damaged_images_are_read_or_refused(tmp_path_factory, kind, data):
    raw = io.BytesIO()
    picture().save(raw, kind)
    content = bytearray(raw.getvalue())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(3):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    place = tmp_path_factory.mktemp("damaged") / "train" / "a"
    place.mkdir(parents=True)
    (place / "x.jpg").write_bytes(content)
    images = ImageFolder(place.parents[1], "train", size=8)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata
            images.batch([0])
    except InputError:
        assert refused(lambda: images.batch([0])).startswith("train/a/x.jpg: ")


def test_an_image_that_cannot_be_read_ends_the_stream_with_its_name(made, tmp_path):
    place = tmp_path / "train" / "a"
    place.mkdir(parents=True)
    for i in range(6):
        picture().save(place / f"{i}.png")
    (place / "4.png").write_bytes((place / "4.png").read_bytes()[:200])
    stream = ImageFolder(tmp_path, "train", size=8).batches(np.arange(6), 1)
    assert len(list(itertools.islice(stream, 4))) == 4
    assert refused(lambda: next(stream)).startswith("train/a/4.png: ")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.batch([12]), r"indices \(12\) must be from 0 to 11; got 12; .* 12 images"),
        (lambda i: i.batch([-1]), r"indices \(-1\) must be from 0 to 11"),
        (lambda i: i.batch([]), r"indices \(\) must be numbers of images; got \[\]"),
        (lambda i: i.batch([0], seed=-1), r"seed \(-1\) must be at least 0"),
        (lambda i: i.batches([0], 0), r"batch \(0\) must be at least 1"),
        (lambda i: i.batches([0], 1, threads=0), r"threads \(0\) must be at least 1"),
        (lambda i: ImageFolder(i.directory, "vla"), r"part \(vla\) .* did you mean 'val'\?"),
        (lambda i: ImageFolder(i.directory, "val", 0), r"size \(0\) must be at least 8"),
    ],
)
def test_bad_arguments_say_why(made, call, message):
    with pytest.raises(InputError, match=message):
        call(ImageFolder(made, "train", size=16))


@given(width=st.integers(1, 3000), height=st.integers(1, 3000), seed=st.integers(0, 2**32))
def test_every_box_lies_in_its_image(width, height, seed):
    left, top, right, bottom = random_box(width, height, np.random.default_rng(seed))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_boxes_have_the_stated_areas_and_shapes():
    rng = np.random.default_rng(0)
    boxes = np.array([random_box(1000, 1000, rng) for _ in range(4000)])
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    shares, ratios = w * h / 1e6, np.log(w / h)
    assert 0.079 < shares.min() < 0.1
    assert 0.9 < shares.max() <= 1
    assert abs(np.mean(shares < 0.5) - 0.42 / 0.92) < 0.1  # those that do not fit are drawn again
    bound = np.log(RATIOS[1])
    assert bound - 0.02 < ratios.max() < bound + 0.01
    assert abs(ratios.mean()) < 0.02
    assert abs(boxes[:, 0].mean() - (1000 - boxes[:, 2]).mean()) < 10


@pytest.mark.parametrize(("width", "height"), [(2000, 10), (10, 2000)])
def test_an_image_in_which_nothing_fits_is_cropped_in_the_centre(width, height):
    box = random_box(width, height, np.random.default_rng(0))
    long = round(10 * RATIOS[1])
    start = (2000 - long) // 2
    expected = (start, 0, start + long, 10)
    assert box == (expected if width > height else (0, start, 10, start + long))


def test_a_crop_is_scaled_from_its_own_pixels_and_flipped_half_of_the_time():
    one = picture(width=64, height=48)
    flips = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        box = random_box(64, 48, rng)
        plain = np.asarray(one.crop(box).resize((16, 16), Image.Resampling.BILINEAR))
        found = np.asarray(random_crop(one, 16, np.random.default_rng(seed)))
        flipped = bool((found != plain).any())
        np.testing.assert_array_equal(found, plain[:, ::-1] if flipped else plain)
        flips += flipped
    assert 10 < flips < 30


@pytest.mark.parametrize(("width", "height"), [(300, 500), (500, 300), (256, 256), (40, 3)])
def test_the_centre_is_that_of_the_scaled_image(width, height):
    one = picture(width=width, height=height)
    found = centre(one, 224)
    assert found.size == (224, 224)
    short = min(width, height)
    scaled = one.resize((width * 256 // short, height * 256 // short), Image.Resampling.BILINEAR)
    left, top = round((scaled.width - 224) / 2), round((scaled.height - 224) / 2)
    np.testing.assert_array_equal(
        np.asarray(found), np.asarray(scaled)[top : top + 224, left : left + 224]
    )
