"""What is said of a value that may name a host, a user or a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ntkalign.values import HIDDEN, name_of, placeless


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("threefry2x32", "threefry2x32"),
        (":4096:8", ":4096:8"),
        ("O2 0.5 None", "O2 0.5 None"),
        ("--xla_a=1 --xla_b=x,y", "--xla_a=1 --xla_b=x,y"),
        ("--xla_a=/tmp/x --xla_b=1", f"--xla_a={HIDDEN} --xla_b=1"),
        ("/home/somebody", HIDDEN),
        ("node7:8080", HIDDEN),
        ("10.1.2.3", HIDDEN),
        ("somebody@host", HIDDEN),
        (r"C:\Users\somebody", HIDDEN),
        ("~somebody", HIDDEN),
    ],
)
def test_places_are_hidden_and_other_values_are_not(given, shown):
    assert placeless(given) == shown


@pytest.mark.parametrize(
    ("path", "name"), [("/a/b.npz", "b.npz"), ("b.npz", "b.npz"), ("../b/", "b"), ("x/..", None)]
)
def test_of_a_path_the_name_is_said(path, name):
    assert os.sep not in name_of(path)
    assert name_of(path) == (Path(path).resolve().name if name is None else name)
