"""Two tables number by number: equal, within what both state, beyond, lost or new."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ntkalign.cells.cell import OK, Row
from ntkalign.runs.environment import Environment
from ntkalign.runs.reproduction import (
    BEYOND,
    EQUAL,
    GONE,
    NEW,
    STATUS,
    WITHIN,
    changed_conditions,
    changed_verdicts,
    compare,
)
from ntkalign.runs.table import table_of

ROW = Row("main", 8, 0, "normal", 1, "divergence", None, 0.5, 1e-6, OK)
LOST = ROW._replace(value=math.nan, error=math.nan, status="did not converge")
ULP = math.nextafter(0.5, 1)


@pytest.mark.parametrize(
    ("old", "new", "how"),
    [
        (ROW, ROW, EQUAL),
        (LOST, LOST, EQUAL),
        (ROW._replace(value=0.0), ROW._replace(value=0.0), EQUAL),
        (ROW._replace(value=math.inf), ROW._replace(value=math.inf), EQUAL),
        (ROW._replace(layer=None, time=0.1), ROW._replace(layer=None, time=0.1), EQUAL),
        (ROW, ROW._replace(value=ULP), WITHIN),
        (ROW, ROW._replace(value=0.5 + 1.9e-6), WITHIN),
        (ROW, ROW._replace(error=2e-6), WITHIN),
        (ROW._replace(time=0.1), ROW._replace(time=0.1 + 1e-15, value=ULP), WITHIN),
        (ROW, ROW._replace(value=0.5 + 2.1e-6), BEYOND),
        (ROW, ROW._replace(value=-0.5), BEYOND),
        (ROW._replace(error=0.0), ROW._replace(error=0.0, value=ULP), BEYOND),
        (ROW, ROW._replace(value=math.inf), BEYOND),
        (ROW, LOST, STATUS),
        (LOST, ROW, STATUS),
        (LOST, LOST._replace(status="out of memory"), STATUS),
    ],
)
def test_how_a_number_compares(old, new, how):
    other = ROW._replace(seed=1)
    found = compare(table_of([old, other]), table_of([other, new]))
    assert found.count[how] == 1 + (how == EQUAL)
    assert sum(found.count.values()) == 2
    assert found.reproduced is (how in (EQUAL, WITHIN))
    assert list(found.changed["how"]) == [how] * (how != EQUAL)


@pytest.mark.parametrize(
    "change", [{"family": "b"}, {"width": 9}, {"seed": 1}, {"rule": "fa"}, {"layer": 2},
               {"layer": None}, {"quantity": "q"}, {"time": 0.5}], ids=str,
)  # fmt: skip
def test_another_number_is_gone_and_one_is_new(change):
    found = compare(table_of([ROW]), table_of([ROW._replace(**change)]))
    assert found.count == {EQUAL: 0, WITHIN: 0, BEYOND: 0, GONE: 1, NEW: 1}
    assert not found.reproduced
    assert found.worst is None


def test_the_worst_is_what_moved_by_the_largest_share():
    old = [ROW, ROW._replace(seed=1, value=1e-8), ROW._replace(seed=2)]
    new = [ROW._replace(value=0.6), ROW._replace(seed=1, value=2e-8), ROW._replace(seed=2)]
    worst = compare(table_of(old), table_of(new)).worst
    assert (worst["seed"], worst["share"], worst["how"]) == (1, 0.5, WITHIN)


def test_another_verdict_is_said_and_so_is_a_finding_that_is_lost():
    entry = {"id": "a", "quantity": "q", "family": "main", "rule": "fa", "layer": 2,
             "verdict": "holds", "tightness": "sharp", "exponent": 1.0}  # fmt: skip
    old = {"claims": [entry, entry | {"rule": "dfa"}], "controls": [entry]}
    assert list(changed_verdicts(old, old | {"environment": 3})) == []
    new = {"claims": [entry | {"verdict": "refuted", "exponent": 2.0}], "controls": [entry]}
    assert list(changed_verdicts(old, new)) == [
        "a (q, fa, layer 2, main): verdict was holds, is refuted",
        "a (q, dfa, layer 2, main) is gone",
    ]
    assert "a (q, dfa, layer 2, main) is new: holds" in list(changed_verdicts(new, old))


def test_what_computes_otherwise_is_said_and_what_a_clock_says_is_not():
    old = Environment(
        {"jax": "1", "numpy": "2"}, device="cpu", processor="this", libraries=("blas 1",),
        switches={"x": "True"}, data={"points": "ab"}, seconds=1.0, date="yesterday", cores=2,
    )  # fmt: skip
    assert changed_conditions(old, replace(old, seconds=9.0, date="today", cores=64)) == []
    new = replace(
        old, versions={"jax": "2", "numpy": "2", "jaxlib": "2"}, processor="that",
        libraries=("blas 2",), switches={"x": "False", "y": "1"}, data={"points": "cd"},
    )  # fmt: skip
    assert set(changed_conditions(old, new)) == {
        ("jax", "1", "2"), ("processor", "this", "that"), ("libraries", "blas 1", "blas 2"),
        ("switches: x", "True", "False"), ("switches: y", "-", "1"), ("data: points", "ab", "cd"),
    }  # fmt: skip


def test_what_an_older_report_does_not_tell_is_no_difference():
    here = Environment({"jax": "1", "jaxlib": "1"}, device="cpu", code="a", switches={"x": "1"})
    assert changed_conditions(Environment({"jax": "1"}), here) == []
