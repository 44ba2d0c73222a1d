"""A part of the user's own that cannot run ends in one line that says whose it is and where."""

from __future__ import annotations

import numpy as np
import pytest

from ntkalign import (
    Claim,
    InputError,
    Kind,
    Layers,
    Quantity,
    Rule,
    Settings,
    backpropagate,
    current_activity,
    register,
    verify,
)
from ntkalign.errors import raised_in

TINY = {
    "data": "sphere", "points": 3, "outputs": 1, "inputs": 3, "depth": 2, "widths": (4, 6, 9),
    "seeds": 2, "time": 0.5, "tolerance": 1e-3,
}  # fmt: skip


def too_few(now, start, fixed, e):
    return backpropagate(now, now, e)[:1]


def wrong_name(now, start, fixed, e):
    return now.nothing


def quits(now, start, fixed, e):
    raise SystemExit(0)


def no_series(seen):
    return np.asarray(seen.flow.output)


def no_such_field(seen):
    return {(None, "mine"): (seen.loss, seen.loss)}


@pytest.mark.parametrize("feedback", [too_few, wrong_name, quits])
def test_a_rule_that_fails_is_told_by_its_name(feedback):
    rule = Rule("mine", feedback, current_activity)
    with pytest.raises(InputError, match=r"part \(rule mine\) must run on the networks") as told:
        verify(Settings(rules=(rule,), **TINY), claims=["proposition-2"])
    assert "\n" not in str(told.value)
    assert "check_rule" in str(told.value)
    if feedback is wrong_name:
        assert "AttributeError" in str(told.value)
        assert "(test_parts_that_fail.py, line 34)" in str(told.value)


@pytest.mark.usefixtures("own_records")
@pytest.mark.parametrize("measure", [no_series, no_such_field])
def test_a_quantity_that_fails_is_told_by_its_name(measure):
    register(
        Quantity("mine", "$q$", Layers.WHOLE, measure),
        Claim("mine", "", "it falls", "mine", Kind.BOUND, -0.5),
    )
    with pytest.raises(InputError, match=r"part \(quantity mine\) must run .* got AttributeError"):
        verify(Settings(**TINY, rules=("align-zero",)), claims=["mine"])


def test_where_an_error_comes_from_is_the_innermost_line_of_ones_own():
    with pytest.raises(InputError) as told:
        Settings(widths=(1,))
    assert raised_in(told.value).startswith("test_parts_that_fail.py, line ")
    with pytest.raises(np.linalg.LinAlgError) as told:
        np.linalg.inv(np.zeros((2, 2)))  # below it is only what is installed
    assert raised_in(told.value).startswith("test_parts_that_fail.py, line ")
    assert raised_in(ValueError("raised nowhere")) == ""
