"""What is asked of an experiment: checked once, and completed by the experiment's own values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ntkalign import InputError
from ntkalign.experiments.catalogue import EXPERIMENTS
from ntkalign.experiments.options import OWN, Options
from ntkalign.rules import RULES

TABLE6, TABLE7, TABLE8 = (EXPERIMENTS[f"table{n}"].series[0] for n in (6, 7, 8))


def test_where_nothing_is_asked_the_experiment_decides():
    asked = Options().of(TABLE7)
    assert {name: getattr(asked, name) for name in OWN} == {
        "widths": (8, 16, 32, 64, 128, 256, 512), "rates": (1.0, 2.0, 5.0), "epochs": 100,
        "rules": ("normal", "align-ada", "align-zero", "fa", "dfa", "last-layer"), "batch": 100,
        "train": None, "test": None, "seed": (99,),
    }  # fmt: skip
    assert asked.data_dir is None
    assert (asked.precision, asked.variant) == ("float32", "published")


def test_the_small_scale_replaces_some_values_and_the_users_win():
    small = Options(scale="small").of(TABLE7)
    assert (small.widths, small.epochs, small.train, small.test) == ((8, 16), 4, 2000, 500)
    assert (small.batch, small.rules) == (TABLE7.batch, TABLE7.rules)
    own = Options(scale="small", epochs=7, train=30).of(TABLE7)
    assert (own.epochs, own.train, own.widths) == (7, 30, (8, 16))
    assert Options(scale="small").of(TABLE8).epochs == TABLE8.epochs
    assert Options(scale="small").of(TABLE8).widths == (8, 16, 32)


def test_all_that_an_experiment_decides_is_decided_and_only_by_options():
    for series in (series for e in EXPERIMENTS.values() for series in e.series):
        for scale in ("paper", "small"):
            asked = Options(scale=scale).of(series)
            assert all(getattr(asked, name) for name in OWN if name not in ("train", "test"))
            assert set(asked.rules) <= set(RULES)
        assert set(series.small or {}) <= set(OWN)


def test_the_papers_experiments_are_as_the_paper_has_them():
    assert (TABLE6.epochs, TABLE6.batch, TABLE6.rates) == (150, 100, (1, 2, 5))
    assert (TABLE8.epochs, TABLE8.batch, TABLE8.rates) == (200, 50, (0.001,))
    assert TABLE8.widths == tuple(2**k for k in range(3, 13))
    assert set(TABLE8.rules) == {"normal", "align-ada", "align-zero", "last-layer"}


def test_a_program_may_give_lists_and_numpys_numbers_and_twice_is_once():
    asked = Options(
        widths=np.array([4, 2, 4]), rates=[1, np.float32(0.5)], rules=["normal", "normal"],
        epochs=np.int64(3), data_dir="here",
    )  # fmt: skip
    assert asked == Options(
        widths=(4, 2), rates=(1.0, 0.5), rules=("normal",), epochs=3, data_dir=Path("here")
    )
    assert all(type(width) is int for width in asked.widths)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"widths": (0,)}, r"widths \(0\) must be at least 1; got 0; .* do: pass a positive"),
        ({"widths": ()}, r"widths \(\) must not be empty; got nothing; .* pass 8,16, or leave it"),
        ({"widths": 8}, r"widths \(8\) must be a list or a tuple; got 8"),
        ({"widths": (8.5,)}, r"widths \(8\.5\) must be a whole number; got 8\.5"),
        ({"rules": ()}, r"rules \(\) must not be empty; .* pass normal,align-ada, or"),
        ({"rules": "normal"}, r"rules \(normal\) must be a list or a tuple"),
        ({"rules": ("nromal",)}, r"rules \(nromal\) must be one of .* did you mean 'normal'\?"),
        ({"rates": (1, 0)}, r"rates \(0\.0\) must be positive and finite; got 0\.0; .* rate; do"),
        ({"rates": (float("nan"),)}, r"rates \(nan\) must be positive and finite"),
        ({"rates": ("fast",)}, r"rates \(fast\) must be a number; got 'fast'"),
        ({"epochs": 0}, r"epochs \(0\) must be at least 1"),
        ({"epochs": True}, r"epochs \(True\) must be a whole number"),
        ({"train": -1}, r"train \(-1\) must be at least 1"),
        ({"batch": 0}, r"batch \(0\) must be at least 1"),
        ({"log_steps": -1}, r"log_steps \(-1\) must be at least 0; .* pass 20, say"),
        ({"seed": (-1,)}, r"seed \(-1\) must be at least 0"),
        ({"seed": (2**32,)}, r"seed \(4294967296\) must be at most 4294967295; .* no larger one"),
        ({"scale": "big"}, r"scale \(big\) must be one of small, paper"),
        ({"variant": "publshed"}, r"variant \(publshed\) .* did you mean 'published'\?"),
        ({"precision": "float16"}, r"precision \(float16\) must be one of float32, float64"),
        ({"data_dir": 3}, r"data_dir \(3\) must be a name or a path"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_one_line(given, message):
    with pytest.raises(InputError, match=message) as caught:
        Options(**given)
    assert "\n" not in str(caught.value)


def test_what_tells_a_series_from_the_others_cannot_be_changed():
    long, short, slow = EXPERIMENTS["table10"].series
    asked = Options(epochs=7, rates=(0.25,), widths=(2,))
    found = [asked.of(series) for series in (long, short, slow)]
    assert [(o.epochs, o.rates, o.widths) for o in found] == [
        (7, (0.25,), (2,)), (1, (0.25,), (2,)), (1, (0.0005,), (2,)),
    ]  # fmt: skip
    small = [Options(scale="small").of(series) for series in (long, short, slow)]
    assert [(o.epochs, o.rates) for o in small] == [
        (4, (0.0005, 0.005)), (1, (0.0005, 0.005)), (1, (0.0005,)),
    ]  # fmt: skip
