"""Bad input of every kind ends in one line: a few cases of each kind, and faults that are found."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign.data import catalogue
from tests import fuzz
from tests.fuzz import Case, faults, no_training

BAD = Case("planted", ("verify", *fuzz.TINY, "--data", "digits"))


@pytest.mark.usefixtures("own_records")
@pytest.mark.parametrize("generate", fuzz.GENERATORS, ids=lambda g: g.__name__)
@given(seed=st.integers(0, 2**32 - 1))
def test_nothing_ends_in_a_traceback(generate, seed):
    case = generate(np.random.default_rng(seed))
    with no_training():
        status, wrong = faults(case)
    assert not wrong, (status, case.words)


def raises(*args, **kwargs):
    raise ZeroDivisionError


def talks(*args, **kwargs):
    print("a warning\nof two lines", file=sys.stderr)
    raise catalogue.InputError("data", "x", must="m", got="g", because="b", do="d")


def leaves(*args, **kwargs):
    with open("left", "w") as file:
        file.write("something")
    return talks_less()


def talks_less():
    raise catalogue.InputError("data", "x", must="m", got="g", because="b", do="d")


def boasts(*args, **kwargs):
    raise catalogue.InputError("data", "x", must="m" * 900, got="g", because="b", do="d")


def fills(*args, **kwargs):
    np.ones(2**27)  # a gibibyte
    return talks_less()


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        (raises, "a traceback: ZeroDivisionError"), (talks, "3 lines"), (leaves, "left"),
        (boasts, "a line of"), (fills, r"\d+ MiB"),
    ],
)  # fmt: skip
def test_planted_faults_are_found(monkeypatch, planted, found):
    if planted is fills and not fuzz.PEAK.exists():
        pytest.skip("the system does not say what a process held")
    monkeypatch.setattr(catalogue, "load", planted)
    with no_training():
        _, wrong = faults(BAD)
    assert len(wrong) == 1
    assert re.match(found, wrong[0])


def test_what_is_good_is_accepted():
    with no_training():
        assert faults(BAD) == ("accepted", [])
