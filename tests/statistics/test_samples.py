"""What the statistics are given: refused in one line, or taken for exactly what it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import InputError
from tests.plain import plain

rates, judgement = plain()["ntkalign.statistics.rates"], plain()["ntkalign.statistics.judgement"]
upper_quantile = plain()["ntkalign.statistics.upper_quantiles"].upper_quantile
fit, Exponent = rates.fit, rates.Exponent
Bound, Kind, judge = judgement.Bound, judgement.Kind, judgement.judge
judge_mean, correct_for_many = judgement.judge_mean, judgement.correct_for_many

WIDTHS = (64, 128, 256)
VALUES = [[8.0, 9.0], [4.0, 5.0], [2.0, 3.0]]
RATE = fit(WIDTHS, VALUES)

BAD_SHARES = (95, 1, 0, -0.5, 1.0, np.nan, np.inf, None, "0.95", True, [0.95, 0.9], 0.5j)
BAD_SPENDS = (0, -1, 2, 1.5, np.nan, None, "1", True)
BAD_FLAGS = ("no", "shared", 1, 0, None, [True])
BAD_WIDTHS = (
    (64, 256), (), 64, None, "64,128,256", (64, 32, 16), (64, 64, 128), (0, 1, 2), (-2, 1, 2),
    (64, np.nan, 256), (64, 128, np.inf), (64.5, 128, 256), (True, 2, 3), ("64", "128", "256"),
    (64, None, 256), [[64, 128, 256]], np.array([[64], [128], [256]]), range(9, 6, -1),
)  # fmt: skip
BAD_VALUES = (
    ([[0.0, 1.0], *VALUES[1:]], "must be positive and finite; got 0.0 at width 64"),
    ([*VALUES[:2], [-1.0, 1.0]], "must be positive and finite; got -1.0 at width 256"),
    ([*VALUES[:2], [np.nan, 1.0]], "must be positive and finite; got nan at width 256"),
    ([*VALUES[:2], [1.0, np.inf]], "must be positive and finite; got inf at width 256"),
    ([*VALUES[:2], [1.0, None]], "must be positive and finite; got nan at width 256"),
    (VALUES[:2], "must have 2 seeds or more at each width; got .* values at 3 widths"),
    ([*VALUES, [1.0, 1.0]], "must have 2 seeds or more at each width"),
    ([*VALUES[:2], [1.0]], "must have 2 seeds or more at each width"),
    ([[], [], []], "must have 2 seeds or more at each width"),
    ([], "must have 2 seeds or more at each width"),
    (None, "must have 2 seeds or more at each width"),
    (3.0, "must have 2 seeds or more at each width"),
    ([1.0, 2.0, 3.0], "must be one list of numbers for each width"),
    (np.ones((3, 2, 2)), "must be one list of numbers for each width"),
    ([["a", "b"]] * 3, "must be one list of numbers for each width"),
    ([["1", "2"]] * 3, "must be one list of numbers for each width"),
    ([[1j, 2j]] * 3, "must be one list of numbers for each width"),
    ([[True, True]] * 3, "must be one list of numbers for each width"),
    ([[[1.0], [1.0, 2.0]]] * 3, "must be one list of numbers for each width"),
)
BAD_ERRORS = (
    [0.1, 0.1], [0.1] * 4, [], 0.1, "0.1", [-0.1, 0.1, 0.1], [np.nan, 0.1, 0.1],
    [np.inf, 0.1, 0.1], [None] * 3, ["0.1"] * 3, [True, False, False], np.ones((3, 1, 1)).tolist(),
)  # fmt: skip

FAULTS = [
    *((fit, {"confidence": c}, r"confidence \(.*\) must lie between") for c in BAD_SHARES),
    *((upper_quantile, {"confidence": c}, "confidence .* must lie between") for c in BAD_SHARES),
    *((upper_quantile, {"level": c}, r"level \(.*\) must lie between 0 and") for c in BAD_SHARES),
    *((fit, {"errors": e}, r"errors \(.*\) must be one finite number") for e in BAD_ERRORS),
    *(
        (function, {"widths": w}, r"widths \(.*\) must be at least 3 positive whole numbers")
        for function in (fit, upper_quantile)
        for w in BAD_WIDTHS
    ),
    *(
        (function, {"values": v}, rf"values \(.*\) {message}")
        for function in (fit, upper_quantile)
        for v, message in BAD_VALUES
    ),
    *(
        (function, {"shared": flag}, r"shared \(.*\) must be True or False; got ")
        for function in (fit, upper_quantile)
        for flag in BAD_FLAGS
    ),
    *(
        (
            function,
            {"values": [[8.0, 9.0], [4.0, 5.0], [2.0, 3.0, 2.5]], "shared": True},
            r"values \(2,2,3\) must be the same number at each width",
        )
        for function in (fit, upper_quantile)
    ),
]


@pytest.mark.parametrize(("function", "options", "message"), FAULTS)
def test_what_measurements_are_not_is_refused_in_one_line(function, options, message):
    with pytest.raises(InputError, match=message) as caught:
        function(**({"widths": WIDTHS, "values": VALUES} | options))
    assert "\n" not in str(caught.value)
    assert "; because " in str(caught.value)
    assert "; do: " in str(caught.value)


@pytest.mark.parametrize("function", [fit, upper_quantile])
def test_the_same_measurements_without_a_fault_are_taken(function):
    """The control of the tests above."""
    function(WIDTHS, VALUES)
    function(WIDTHS, [[8.0, 9.0], [4.0, 5.0], [2.0, 3.0, 2.5]], shared=False)


JUDGED = [
    *((Exponent(0.0, 1.0, 3.0).interval, (c,), "confidence .* must lie") for c in BAD_SHARES),
    *((judge, (Bound(Kind.BOUND, -0.5), RATE, s), "spend .* must be above 0") for s in BAD_SPENDS),
    *((judge_mean, ([0.0, 0.1], [0.1, 0.1], 0.9, s), "spend .* must be") for s in BAD_SPENDS),
    *((judge_mean, ([0.0, 0.1], [0.1, 0.1], c), "confidence .* must lie") for c in BAD_SHARES),
    *(
        (judge_mean, (v, [0.1, 0.1]), r"values \(.*\) must be at least 2 finite numbers")
        for v in ([], [0.1], [0.1, np.nan], [np.inf, 0.1], ["0", "1"], 0.1, None, [[0.1, 0.2]])
    ),
    (judge_mean, ([0.1, 0.2], [0.1, np.nan]), r"errors \(.*\) must be at least 2 finite numbers"),
    (judge_mean, ([0.1, 0.2], [0.1] * 3), r"errors \(3\) must be as many as the values"),
    (judge, (Bound(Kind.ZERO_MEAN), RATE), r"bound \(.*\) must be about an exponent"),
    *((Bound, (Kind.BOUND, p), "exponent .* must be a finite") for p in (None, np.nan, "1", True)),
    *(
        (Bound, (kind, -0.5), "exponent .* must be given for Kind.BOUND and for no other kind")
        for kind in Kind
        if kind is not Kind.BOUND
    ),
    *((Bound, (kind, -0.5), "kind .* must be one of Kind") for kind in ("O(m^p)", None, "→ 0", 0)),
    *(
        (correct_for_many, ([0.1, p],), r"p_values \(.*\) must be probabilities")
        for p in (np.nan, -0.1, 1.1, None, "0.1", True)
    ),
]


@pytest.mark.parametrize(("function", "arguments", "message"), JUDGED)
def test_what_a_judgement_cannot_rest_on_is_refused_in_one_line(function, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)


@given(
    st.sampled_from(
        [list, tuple, np.array, lambda w: np.array(w, float), lambda w: np.array(w, "f")]
    ),
    st.sampled_from([list, tuple, np.array, lambda v: [np.array(row) for row in v]]),
    st.sampled_from([float, np.float64, np.array]),
    st.sampled_from([bool, np.bool_]),
)
def test_containers_and_numbers_of_any_make_are_the_same(widths, values, number, flag):
    options = {"errors": widths([0, 0, 0]), "shared": flag(True)}
    found = fit(widths(WIDTHS), values(VALUES), number(0.75), **options)
    assert found == fit(WIDTHS, VALUES, 0.75, shared=True)
    upper = upper_quantile(widths(WIDTHS), values(VALUES), number(0.75), number(0.5))
    assert upper.interval == upper_quantile(WIDTHS, VALUES, 0.75, 0.5).interval
    assert judge(Bound(Kind.BOUND, number(-0.5)), found, number(0.5)) == judge(
        Bound(Kind.BOUND, -0.5), found, 0.5
    )


def test_a_range_of_widths_is_taken():
    assert fit(range(8, 11), VALUES) == fit((8, 9, 10), VALUES)
