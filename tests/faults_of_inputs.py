"""Faults to plant in what refuses bad input: rows for mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

INPUTS = ("cli/test_inputs",)

ROWS = (
    ("inputs: an archive's word is taken for its size", "data/formats.py",
     "        or size > LARGEST\n", "        or False\n", INPUTS),
    ("inputs: endless targets pass", "data/point_checks.py",
     "if not SMALLEST <= largest <= LARGEST:", "if not SMALLEST <= largest:", INPUTS),
    ("inputs: labels are taken for targets", "data/own_file.py",
     'if y.dtype.kind in "iub":', 'if y.dtype.kind in "":', INPUTS),
    ("inputs: an empty logarithmic axis", "report/scaling_plots.py",
     "elif not _any_positive(axis):", "elif not axis.lines:", INPUTS),
    ("inputs: brackets in names are markup", "cli/verify.py",
     "markup=False, emoji=False", "markup=True, emoji=False", INPUTS),
)  # fmt: skip
