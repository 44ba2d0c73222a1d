"""What is no convolutional network is refused in one line."""

from __future__ import annotations

import pytest

from ntkalign import InputError
from ntkalign.networks.convolutional import Convolutional

GIVEN = {"image": (8, 8, 1), "filters": (2, 2), "strides": (1, 2), "classes": 3,
         "activation": "relu"}  # fmt: skip
PLAIN = getattr(Convolutional.__init__, "__wrapped__", Convolutional.__init__)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image": (8, 8)}, r"image \(8,8\) must be three numbers; got 2; .* \(32, 32, 3\)"),
        ({"strides": (1,)}, r"strides \(1\) must be as many as there are conv.*; got 1 for 2;"),
        ({"filters": (), "strides": ()}, r"strides \(\) must be as many .* got 0 for 0"),
        ({"filters": (2, 0)}, r"filters \(0\) must be at least 1"),
        ({"strides": (1, 1.5)}, r"strides \(1\.5\) must be a whole number"),
        ({"classes": 0}, r"classes \(0\) must be at least 1"),
        ({"norm": "bach"}, r"norm \(bach\) must be one of none, position, channel"),
        ({"form": "ntp"}, r"form \(ntp\) must be one of ntk, standard; .* 'ntk'"),
        ({"activation": "relo"}, r"activation \(relo\) must be one of .* 'relu'"),
    ],
)
def test_what_is_none_is_one_line(changed, message):
    with pytest.raises(InputError, match=message):
        PLAIN(object.__new__(Convolutional), **(GIVEN | changed))
