"""What is declared of the data sets agrees with what is read and made."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ntkalign import InputError
from ntkalign.data.add_task import add_task
from ntkalign.data.catalogue import load
from ntkalign.data.images import IMAGE_SETS, read
from ntkalign.data.sets import BUNDLED, FILES, GENERATED, SETS


def test_every_set_that_can_be_read_is_declared():
    assert set(IMAGE_SETS) | {"sphere", "add", "imagenet"} == set(SETS)
    with pytest.raises(InputError, match=r"name \(kminst\) .* did you mean 'kmnist'\?"):
        SETS.lookup("kminst")


@pytest.mark.parametrize("entry", SETS.values(), ids=lambda entry: entry.name)
def test_a_declaration_is_whole(entry):
    assert entry.source in (BUNDLED, GENERATED, FILES)
    assert bool(entry.files) == bool(entry.place) == (entry.source == FILES)
    assert "\n" not in entry.about + entry.place
    assert entry.source == GENERATED or re.match(r"https://[\w.-]+/", entry.page)
    names = [file.name for file in entry.files]
    assert len(set(names)) == len(names)
    for file in entry.files:
        assert file.md5 is None or re.fullmatch(r"[0-9a-f]{32}", file.md5)
    sums = [file.md5 for file in entry.files if file.md5]
    assert len(set(sums)) == len(sums)


def test_shapes_are_those_of_what_is_read_and_made():
    digits = read("digits", None)
    assert SETS["digits"].shape == digits.pixels.shape[1:]
    assert (SETS["digits"].images, SETS["digits"].classes) == (len(digits), digits.classes)
    assert SETS["sphere"].shape == load("sphere", points=3).x.shape[1:]
    assert SETS["add"].shape == add_task().train.x.shape[1:]
    assert SETS["add"].images == len(add_task().train)


def test_the_files_of_a_form_hold_the_whole_set():
    for name, forms in (("cifar10", ("binary", "python")), ("kmnist", ("idx", "npz"))):
        for form in forms:
            files = [f for f in SETS[name].files if f.form == form and f.trains]
            images = sum(f.holds for f in files if "labels" not in f.name)
            assert images == SETS[name].images
    for file in SETS["cifar10"].files:
        assert file.form != "binary" or file.size == file.holds * 3073


def test_the_real_files_have_the_declared_shapes(image_files):
    for name in ("cifar10", "kmnist"):
        images = read(name, image_files / name)
        assert images.pixels.shape[1:] == SETS[name].shape
        assert np.unique(images.labels).size == images.classes == SETS[name].classes
