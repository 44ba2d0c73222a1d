"""A table read back is the table that was written."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign.cells.cell import Row
from ntkalign.runs.table import losses, read_table, table_file, table_of
from tests.cases import examples

AWKWARD = [
    "NA", "null", "1", "nan", "None", "", " x", "x ", 'a"b', '"', "a,b", "'", "#", "-0", "1e5",
    "Γ∞", "True", "inf", "<NA>", "\\", "=1+1", "a;b",
]  # fmt: skip
NAMES = st.sampled_from([n for n in AWKWARD if n]) | st.text(min_size=1).filter(str.isprintable)
FLOATS = st.floats() | st.just(math.nan)
ROWS = st.builds(
    Row, NAMES, st.integers(1, 2**40), st.integers(0, 2**32), NAMES, st.none() | st.integers(1, 99),
    NAMES, st.none() | st.floats(0, 1e9), FLOATS, FLOATS, NAMES,
)  # fmt: skip


def round_trip(rows):
    table = table_of(rows)
    return table, read_table(table_file(table))


@given(st.lists(ROWS, max_size=6))
@examples(200)
def test_what_is_read_is_what_was_written(rows):
    written, read = round_trip(rows)
    pd.testing.assert_frame_equal(written, read, check_exact=True)
    back = [tuple(None if v is pd.NA else v for v in row) for row in read.itertuples(index=False)]
    for ours, theirs in zip(rows, back, strict=True):
        assert ours[:4] == theirs[:4]
        assert ours.quantity == theirs[5]
        assert ours.status == theirs[9]
        assert ours.layer == theirs[4]


@pytest.mark.parametrize("name", AWKWARD)
def test_every_awkward_name_stays_itself(name):
    row = Row("main", 8, 0, name or "x", 1, name or "x", None, math.nan, 0.5, name or "x")
    _, read = round_trip([row, row._replace(layer=None, time=2.0)])
    assert list(read["rule"]) == [row.rule] * 2
    assert list(read["quantity"]) == [row.quantity] * 2
    assert list(read["layer"].isna()) == [False, True]
    assert list(read["time"].isna()) == [True, False]


def test_a_table_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="columns family, width, not family, width, seed, rule"):
        read_table(b"family,width\nmain,8\n")


def test_losses_are_of_gradient_descent_and_of_what_reached_its_end():
    rows = [
        Row("main", 8, seed, rule, None, "loss", time, value, 0.0, status)
        for seed, rule, status in ((0, "normal", "ok"), (1, "normal", "diverged"), (0, "x", "ok"))
        for time, value in ((1.0, 0.5), (2.0, 0.25))
    ]
    found = losses(table_of(rows))
    assert found.index.tolist() == [(8, 0)]
    assert found.to_dict("list") == {1.0: [0.5], 2.0: [0.25]}
    assert losses(table_of([])).empty
