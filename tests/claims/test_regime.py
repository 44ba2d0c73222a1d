"""How far training moves networks: read from a table, extrapolated, and said in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ntkalign.claims.regime import AS_UNKNOWN, UNKNOWN, Regime
from ntkalign.quantities.catalogue import EXPANSION, EXPANSION_OVER_TIME
from ntkalign.statistics.corrections import EDGE

WIDTHS = (32, 64, 128)
COLUMNS = ["family", "width", "seed", "rule", "layer", "quantity", "time", "value"]
ACTIVITIES, JACOBIAN = EXPANSION


def table(activities, jacobian, widths=WIDTHS, seeds=4, times=(), factor=1.0):
    """Two hidden layers, the first of which moves half as far; seeds differ by a factor."""
    rows = []
    for m in widths:
        for s in range(seeds):
            size = factor ** (s - (seeds - 1) / 2)
            rows += [
                ("main", m, s, "normal", 1, ACTIVITIES, np.nan, size * activities(m) / 2),
                ("main", m, s, "normal", 2, ACTIVITIES, np.nan, size * activities(m)),
                ("main", m, s, "normal", None, JACOBIAN, np.nan, size * jacobian(m)),
                ("main", m, s, "align-zero", 2, ACTIVITIES, np.nan, 77.0),
                ("bottleneck", m, s, "normal", 2, ACTIVITIES, np.nan, 88.0),
            ]
            rows += [
                ("main", m, s, "normal", None, EXPANSION_OVER_TIME, t, size * jacobian(m) * t)
                for t in times
            ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_it_is_the_typical_networks_largest_share_of_gradient_descents_main_family():
    found = Regime.of(table(lambda m: 3 * m**-0.5, lambda m: 2 * m**-0.5, factor=1.5))
    assert found.widths == WIDTHS
    assert found.moved[ACTIVITIES] == pytest.approx([3 * m**-0.5 for m in WIDTHS])
    assert found.moved[JACOBIAN] == pytest.approx([2 * m**-0.5 for m in WIDTHS])
    assert found.expansion == found.moved[ACTIVITIES]
    assert found.at((64, 32)) == [found.expansion[1], found.expansion[0]]
    assert found.at((4096,)) == [AS_UNKNOWN] > [EDGE]


def test_a_table_without_it_says_nothing():
    assert Regime.of(pd.DataFrame(columns=COLUMNS)) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_width_of_which_it_cannot_be_read_is_outside(bad):
    data = table(lambda m: 0.1, lambda m: 0.1)
    data.loc[(data["width"] == 64) & (data["rule"] == "normal"), "value"] = bad
    found = Regime.of(data)
    assert found.expansion == (pytest.approx(0.1), UNKNOWN, pytest.approx(0.1))
    assert found.inside == (128,)
    assert found.as_json()["expansion"][1] is None
    assert found.at(WIDTHS)[1] == AS_UNKNOWN
    assert "add widths of 256 and more" in found.advice


def test_widths_of_which_nothing_is_known_are_outside_and_said_to_be_unknown():
    found = Regime.of(table(lambda m: 0.1, lambda m: 0.1)).at_widths((512, 1024, 2048))
    assert found.inside == ()
    assert found.wanted == (8192, 16384, 32768)
    assert "training moves activities by an unknown share" in found.advice
    assert "an unknown share at width 512" in found.where


def test_inside_are_the_widths_after_the_last_that_is_outside():
    shares = dict(zip(WIDTHS, (EDGE, 1.01 * EDGE, 0.1), strict=True))
    assert Regime.of(table(shares.get, lambda m: 0.01)).inside == (128,)
    all_in = Regime.of(table(lambda m: EDGE, lambda m: 0.01))
    assert all_in.inside == WIDTHS
    assert all_in.suffices
    assert all_in.wanted == ()
    assert all_in.advice == ""


@pytest.mark.parametrize(
    ("law", "wanted"),
    [
        (lambda m: 0.6 * (m / 128) ** -0.5, (256, 512, 1024)),  # 0.5 at width 184
        (lambda m: 2.0 * (m / 128) ** -0.5, (2048, 4096, 8192)),  # 0.5 at width 2048
        (lambda m: 2.0 * (m / 128) ** -0.25, (32768, 65536, 131072)),  # 0.5 at width 32768
        (lambda m: 0.4 * (m / 128) ** -0.5, (256, 512)),  # one is there
        (lambda m: 1.0, (4096, 8192, 16384)),  # it does not fall yet: at least that
    ],
)
def test_the_widths_that_would_do_are_extrapolated(law, wanted):
    found = Regime.of(table(law, lambda m: 0.01))
    assert not found.suffices
    assert found.wanted == wanted


def test_why_nothing_can_be_refuted_is_said_in_words():
    found = Regime.of(table(lambda m: 0.6 * (m / 32) ** -0.1, lambda m: 0.8 * (m / 32) ** -0.5))
    assert found.advice == (
        "at width 32 training moves the Jacobian by 80%, and a verdict needs three widths where it "
        "is at most 50%; add widths of 256 and more"
    )
    assert found.where == (
        "training moves activities by 60% at width 32 and by 52% at 128 and the Jacobian by 80% at "
        "width 32 and by 40% at 128"
    )


def test_a_question_about_some_widths_sees_those_alone():
    found = Regime.of(table(lambda m: 10 / m, lambda m: 0.01)).at_widths((64, 128))
    assert found.widths == (64, 128)
    assert found.expansion == pytest.approx([10 / 64, 10 / 128])
    assert not found.suffices


@pytest.mark.parametrize(
    ("times", "count", "longest"),
    [
        ((0.1, 1.0, 2.0), 3, 0.62),  # 0.8 t at width 32, between saved times
        ((1.0, 2.0), 3, 0.62),  # before the first: it begins in proportion to t
        ((0.1, 1.0, 2.0), 2, 0.88),  # without the smallest width, and rounded down
        ((0.1, 0.5), 3, None),  # not reached
        ((), 3, None),
    ],
)
def test_the_time_until_which_the_largest_widths_are_inside(times, count, longest):
    found = Regime.of(table(lambda m: 0.1, lambda m: 0.8 * (m / 32) ** -0.5, times=times))
    assert found.longest(count) == longest


def test_every_width_that_is_counted_has_to_be_inside_at_that_time():
    """A wider network may move farther than a narrow one."""
    shares = dict(zip(WIDTHS, (0.4, 0.45, 1.0), strict=True))
    found = Regime.of(table(lambda m: 0.1, shares.get, times=(0.1, 1.0)))
    assert found.longest(3) == found.longest(1) == 0.5


@pytest.mark.parametrize("missing", ["quantity", "seed", "text"])
def test_what_is_missing_in_part_is_unknown(missing):
    data = table(lambda m: 0.1, lambda m: 0.2)
    here = (data["width"] == 64) & (data["family"] == "main") & (data["rule"] == "normal")
    if missing == "quantity":
        data = data[~(here & (data["quantity"] == ACTIVITIES))]
    elif missing == "seed":
        data = data[~(here & (data["quantity"] == ACTIVITIES) & (data["layer"] == 2)
                      & (data["seed"] == 1))]  # fmt: skip
    else:
        data["value"] = data["value"].astype(object)
        data.loc[here, "value"] = "0.1"  # a number that was read as text is one
        assert Regime.of(data).expansion[1] == pytest.approx(0.1)
        data.loc[here, "value"] = "many"
    assert Regime.of(data).expansion == (pytest.approx(0.2), UNKNOWN, pytest.approx(0.2))


def test_no_absurd_width_is_advised():
    found = Regime.of(table(lambda m: 1e60 * m**-0.2, lambda m: 0.1))
    assert found.wanted == ()
    assert found.advice.endswith("by extrapolation none up to 1048576 would do")


def test_it_is_written_as_plain_values():
    stored = Regime.of(table(lambda m: 0.6, lambda m: 0.1, times=(1.0,))).as_json()
    assert stored["edge"] == EDGE
    assert stored["inside"] == []
    assert stored["moved"].keys() == set(EXPANSION)
    assert len(stored["wanted"]) == 3
