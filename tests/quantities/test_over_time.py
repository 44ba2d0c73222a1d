"""What tables have at every saved time: the same numbers, of which the largest is judged."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from ntkalign.cells.cell import OK, at_times
from ntkalign.quantities.catalogue import BOOKKEEPING, OF_KERNELS, QUANTITIES, over_time
from ntkalign.quantities.measuring import measure
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.quantity import ErrorFrom
from ntkalign.quantities.series import ESTIMATE_FACTOR
from ntkalign.rules import ALIGN_ADA, NORMAL
from tests.cases import make, needs_dense, solve

TIMES = np.array([0.25, 0.5, 1.0])
SHOWN = ("alignment-gap-relative", "misalignment", "divergence", "score-permuted")


@cache
def flows(engine):
    """Two tolerances of Align-ada's flow, beside gradient descent's."""
    case = make((3, 6, 5, 2))

    def flow(rule, tolerance):
        return solve(
            case.network, rule, case.start, case.x, case.y, TIMES, tolerance=tolerance,
            engine=engine, among=(ALIGN_ADA, NORMAL),
        )  # fmt: skip

    return [Observed(flow(ALIGN_ADA, t), {"normal": flow(NORMAL, t)}, seed=1) for t in (1e-7, 1e-4)]


def test_a_few_quantities_are_shown_over_time_and_no_other_may_be_called_like_them():
    shown = [record.name for record in QUANTITIES.values() if record.over_time]
    assert shown == list(SHOWN)
    assert {over_time(name) for name in SHOWN} <= BOOKKEEPING
    assert not any(record.over_time for record in OF_KERNELS)


@needs_dense
@pytest.mark.parametrize("engine", ["spectral", "dense"])
def test_the_largest_over_time_is_the_number_with_errors_like_its_own(engine):
    fine, coarse = flows(engine)
    found = measure(SHOWN, fine, coarse)
    assert list(found.over_time) == [name for name in found.numbers if name[1] in SHOWN]
    assert {name[0] for name in found.over_time} == {None, 1, 2, 3}
    estimate = fine.flow.effort.estimate or 0.0
    assert (estimate > 0) == (engine == "spectral")
    apart = 0.0
    for (layer, name), (values, errors) in found.over_time.items():
        record = QUANTITIES[name]
        exact, bounds = record.function(fine)[layer, name]
        np.testing.assert_array_equal(values, exact)
        number, error = found.numbers[layer, name]
        assert number == values.max()
        expected = ESTIMATE_FACTOR * estimate * np.abs(values) + bounds
        if record.error_from is ErrorFrom.LOOSER_FLOW or not estimate:
            looser, _ = record.function(coarse)[layer, name]
            apart += np.abs(values - looser).sum()
            expected = expected + np.abs(values - looser)
            assert errors.max() <= error
        np.testing.assert_array_equal(errors, expected)
        assert (errors > 0).all()
    assert apart > 0


def test_what_is_measured_along_with_them_is_not_shown():
    fine, coarse = flows("spectral")
    names = {name for _, name in measure(["misalignment", "divergence"], fine, coarse).numbers}
    assert {"discrepancy", "delta-norm", "divergence-relative"} <= names
    shown = {name for _, name in measure(["weight-drift"], fine, coarse).over_time}
    assert not shown


def test_rows_say_when_and_leave_out_what_is_undefined():
    found = {(2, "misalignment"): (np.array([math.nan, 0.5, 0.25]), np.array([0.0, 0.1, math.nan]))}
    assert at_times(found, TIMES) == {(2, "misalignment-over-time", 0.5): (0.5, 0.1, OK)}
