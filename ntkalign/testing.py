"""Rates of convergence as assertions in other people's test suites.

    from ntkalign.testing import assert_rate

    def test_the_sample_mean_converges():
        def error(width, seed):
            rng = np.random.default_rng([seed, width])
            return np.linalg.norm(rng.standard_normal((width, 10)).mean(axis=0))

        assert_rate(error, -0.5, widths=(64, 256, 1024, 4096), seeds=16)

The statistics are those of ``ntkalign verify``: :mod:`ntkalign.statistics.rates`,
:mod:`ntkalign.statistics.judgement`. Nothing else is imported, JAX least of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np

from ntkalign.errors import InputError, unknown_name
from ntkalign.statistics.judgement import RESOLUTION, Bound, Kind, judge
from ntkalign.statistics.rates import Rate, fit
from ntkalign.statistics.samples import (
    LEAST_SEEDS,
    checked_confidence,
    checked_count,
    checked_number,
    checked_values,
    checked_widths,
    real_number,
    shown,
)

RateKind = Literal["at most", "exactly"]
RATE_KINDS: tuple[str, ...] = get_args(RateKind)


def assert_rate(
    quantity: Callable[[int, int], float] | Sequence[Sequence[float]] | np.ndarray,
    exponent: float,
    *,
    widths: Sequence[int] | np.ndarray,
    seeds: int | None = None,
    rate: RateKind = "at most",
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
        InputError: if an argument is not what it must be, or a value is not positive and finite.
    """
    p = checked_number("exponent", exponent, "it is the p of O(m^p)", -0.5)
    if not (isinstance(rate, str) and rate in RATE_KINDS):
        raise unknown_name("rate", str(rate), RATE_KINDS, "it decides what is tested")
    confidence, widths = checked_confidence(confidence), checked_widths(widths)
    values = _values(quantity, widths, seeds)
    found = fit(widths, values, confidence)
    verdict, _, reason, _ = judge(Bound(Kind.BOUND, p), found)
    if rate == "exactly" and verdict == "holds" and found.interval[0] <= p - RESOLUTION:
        low, high = found.interval
        verdict = "refuted" if high < p else "undecided"
        reason = (
            f"exponent {found.exponent:.2f} in [{low:.2f}, {high:.2f}] "
            f"{'lies' if high < p else 'may lie'} below {p:g}: it decays faster"
        )
    if verdict != "holds":
        stated = "O" if rate == "at most" else "Θ"
        raise AssertionError(f"{stated}(m^{p:g}) is {verdict}: {reason}\n{_table(widths, found)}")
    return found


def _values(quantity: Any, widths: Sequence[int], seeds: int | None) -> list[np.ndarray]:
    """For each width one positive, finite value per seed."""
    if not callable(quantity):
        rows = checked_values("quantity", quantity, widths)
        counts = [len(row) for row in rows]
        if seeds is not None and counts != [seeds] * len(rows):
            raise InputError(
                "seeds", seeds, must="be left out, or the number of values at each width",
                got=shown(seeds), because=f"quantity has {counts} values",
                do="leave seeds out: they are for a function of (width, seed)",
            )  # fmt: skip
        return rows
    count = checked_count("seeds", seeds, LEAST_SEEDS, "quantity is a function of (width, seed)", 8)
    return checked_values(
        "quantity", [[_number(quantity(m, s), m, s) for s in range(count)] for m in widths], widths
    )


def _number(value: Any, width: int, seed: int) -> float:
    """What a function of (width, seed) returned, if that is a number."""
    number = real_number(value)
    if number is None:
        raise InputError(
            "quantity", shown(value), must="return a number",
            got=f"{shown(value)} at width {width} seed {seed}",
            because="an exponent is fitted to one number per width and seed",
            do="return a norm, say, as a float",
        )  # fmt: skip
    return number


def _table(widths: Sequence[int], found: Rate) -> str:
    lines = [f"{'width':>8}  {'typical':>9}  {'interval':>22}  {'local exponent':>14}"]
    for m, q, (low, high), local in zip(
        widths, found.typical, found.band, (*found.local, np.nan), strict=True
    ):
        slope = f"{local:.2f}" if np.isfinite(local) else ""
        lines.append(f"{m:>8}  {q:>9.3g}  {f'[{low:.3g}, {high:.3g}]':>22}  {slope:>14}")
    return "\n".join(lines)
