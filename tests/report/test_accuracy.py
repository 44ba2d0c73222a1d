"""The report's line about accuracy: what was asked for, what was reached, what fell short."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ntkalign.cells.cell import Row
from ntkalign.claims.theory import WEIGHT_DRIFT
from ntkalign.report.accuracy import accuracy
from ntkalign.report.document import document
from tests.report.made_up import ask, run

ONE = (ask(WEIGHT_DRIFT, layer=1), -0.5)


def row(quantity, value, error, *, rule="align-ada", layer=None, width=64, status="ok"):
    return Row("main", width, 3, rule, layer, quantity, None, value, error, status)


def told(*more, tolerance=None):
    return accuracy(run(ONE, more=more, tolerance=tolerance))


def test_a_run_whose_numbers_are_all_known_well_enough_says_so():
    text = told(row("weight-drift-tolerance", 1e-6, 0.0), row("divergence-tolerance", 3e-8, 0.0))
    assert text.startswith(
        "asked for errors up to 0.33% of each number; all 24 numbers are known to 0.33%; "
        "where it can be told from 0, a number is off by "
    )
    assert text.endswith(
        "; measured 2 times, at tolerance 1e-06 for 1 of them, 3e-08 for 1 of them"
    )


def test_what_falls_short_is_counted_and_the_worst_is_named():
    text = told(
        row("divergence", 2.0, 0.02, width=256), row("divergence", 1.0, 0.004, layer=2),
        row("linearisation-gap", 1e-9, 1e-8), row("linearisation-gap", np.nan, np.nan, status="no"),
    )  # fmt: skip
    assert (
        "3 of 27 numbers are known less well than 0.33%, 1 of them cannot be told from 0;" in text
    )
    assert "a number is off by 1.0e-02 of itself at most (divergence by align-ada, main" in text
    assert "network, width 256, seed 3)" in text
    # the control: errors that are small enough are not counted
    assert "all 25 numbers" in told(row("divergence", 2.0, 0.006))


def test_what_is_zero_or_compared_with_one_or_no_matter_of_flows_does_not_fall_short():
    rows = [row("divergence", 0.0, 1e-12), row("velocity-identity", 1e-9, 1e-5, layer=1)]
    assert "all 26 numbers" in told(*rows)
    assert "1 of 26 numbers" in told(replaced(rows[0], "velocity-identity", 0.1), rows[1])
    sampled = row("sampled-score-error", 0.1, 0.1, layer=1), row("kernel-gap", 1.0, 0.5)
    assert "all 24 numbers" in told(*sampled)
    assert "all 24 numbers" in told(row("estimated-error", 1e-6, 1.0))


def replaced(one, quantity, error):
    return one._replace(quantity=quantity, layer=1, value=1e-9, error=error)


def test_a_tolerance_that_was_asked_for_is_said():
    text = told(row("divergence", 1.0, 0.5), tolerance=1e-5)
    assert text.startswith("asked for flows at tolerance 1e-05; 1 of 25 numbers are known less")


def test_where_nothing_is_trained_there_is_no_such_line(tmp_path):
    result = run(ONE)
    nothing = replace(result, table=result.table.iloc[:0])
    assert accuracy(nothing) == ""
    assert "Accuracy" not in document(nothing, tmp_path, {})["facts"]
    assert document(result, tmp_path, {})["facts"]["Accuracy"] == accuracy(result)
