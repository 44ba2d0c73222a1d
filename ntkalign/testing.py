"""Rates of convergence as assertions in other people's test suites.

    from ntkalign.testing import assert_rate

    def test_the_sample_mean_converges():
        def error(width, seed):
            rng = np.random.default_rng([seed, width])
            return np.linalg.norm(rng.standard_normal((width, 10)).mean(axis=0))

        assert_rate(error, -0.5, widths=(64, 256, 1024, 4096), seeds=16)

The statistics are those of ``ntkalign verify``: :mod:`ntkalign.statistics.rates`,
:mod:`ntkalign.claims.verdicts`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from ntkalign.claims.claim import Claim, Kind
from ntkalign.claims.verdicts import RESOLUTION, judge
from ntkalign.errors import InputError
from ntkalign.statistics.rates import Rate, fit


def assert_rate(
    quantity: Callable[[int, int], float] | Sequence[Sequence[float]],
    exponent: float,
    *,
    widths: Sequence[int],
    seeds: int | None = None,
    rate: Literal["at most", "exactly"] = "at most",
    confidence: float = 0.95,
) -> Rate:
    """Raise unless a quantity is found to be O(m^p), or of exactly that order.

    A law that cannot be told apart from a wrong one is not found to be right: *undecided* raises
    too, and says that more seeds or widths are needed.

    Args:
        quantity: a positive number as a function of (width, seed), or the numbers themselves, one
            sequence over seeds for each width.
        exponent: p.
        widths: at least three, increasing.
        seeds: how many seeds (0, 1, …) are evaluated, if ``quantity`` is a function.
        rate: "at most" m^p (it may fall faster), or "exactly".
        confidence: of the intervals.

    Returns:
        The fitted rate.

    Raises:
        AssertionError: with the verdict's sentence and the table of measurements.
        InputError: if there are too few widths or seeds, or a value is not positive and finite.
    """
    if callable(quantity):
        if seeds is None:
            raise InputError(
                "seeds", seeds, must="be given", got="None",
                because="quantity is a function of (width, seed)", do="pass seeds=8, say",
            )  # fmt: skip
        values = [[float(quantity(m, s)) for s in range(seeds)] for m in widths]
    else:
        values = [[float(v) for v in row] for row in quantity]
    _check(widths, values)
    found = fit(widths, values, confidence)
    claim = Claim("assert_rate", "", f"O(m^{exponent:g})", "quantity", Kind.BOUND, exponent)
    verdict, _, reason, _ = judge(claim, found)
    if rate == "exactly" and verdict == "holds" and found.interval[0] <= exponent - RESOLUTION:
        low, high = found.interval
        verdict = "refuted" if high < exponent else "undecided"
        reason = (
            f"exponent {found.exponent:.2f} in [{low:.2f}, {high:.2f}] "
            f"{'lies' if high < exponent else 'may lie'} below {exponent:g}: it decays faster"
        )
    if verdict != "holds":
        stated = "O" if rate == "at most" else "Θ"
        raise AssertionError(
            f"{stated}(m^{exponent:g}) is {verdict}: {reason}\n{_table(widths, found)}"
        )
    return found


def _check(widths: Sequence[int], values: Sequence[Sequence[float]]) -> None:
    if len(widths) < 3 or any(b <= a for a, b in itertools.pairwise(widths)):
        raise InputError(
            "widths", tuple(widths), must="be at least three and increase", got=repr(tuple(widths)),
            because="two points lie on any power law", do="pass (64, 256, 1024), say",
        )  # fmt: skip
    if len(values) != len(widths) or min(len(row) for row in values) < 2:
        raise InputError(
            "quantity", [len(row) for row in values], must="have two seeds or more at each width",
            got=f"{[len(row) for row in values]} values at {len(widths)} widths",
            because="intervals come from seeds", do="pass seeds=8, say",
        )  # fmt: skip
    for m, row in zip(widths, values, strict=True):
        bad = [v for v in row if not (np.isfinite(v) and v > 0)]
        if bad:
            raise InputError(
                "quantity", bad[0], must="be positive and finite", got=f"{bad[0]} at width {m}",
                because="an exponent is read off logarithms", do="pass a norm, or drop zeros",
            )  # fmt: skip


def _table(widths: Sequence[int], found: Rate) -> str:
    lines = [f"{'width':>8}  {'typical':>9}  {'interval':>22}  {'local exponent':>14}"]
    for m, q, (low, high), local in zip(
        widths, found.typical, found.band, (*found.local, np.nan), strict=True
    ):
        slope = f"{local:.2f}" if np.isfinite(local) else ""
        lines.append(f"{m:>8}  {q:>9.3g}  {f'[{low:.3g}, {high:.3g}]':>22}  {slope:>14}")
    return "\n".join(lines)
