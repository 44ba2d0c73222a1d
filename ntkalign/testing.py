"""Rates of convergence as assertions in other people's test suites.

    from ntkalign.testing import assert_rate

    def test_the_sample_mean_converges():
        def error(width, seed):
            rng = np.random.default_rng([seed, width])
            return np.linalg.norm(rng.standard_normal((width, 10)).mean(axis=0))

        assert_rate(error, -0.5, widths=(64, 256, 1024, 4096), seeds=16)

The statistics are those of ``ntkalign verify``: :mod:`ntkalign.statistics.rates`,
:mod:`ntkalign.statistics.judgement`. Nothing else is imported, JAX least of all.
``check_rule``, ``check_quantity`` and ``check_network`` are here too, and imported when they are
first used: they run what they check (:mod:`ntkalign.checking`).
A quantity without noise is given as one number a width (or as a function with ``seeds=1``): then
the law itself is judged, with its bend and its floor (:mod:`ntkalign.statistics.exact_laws`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ntkalign.errors import InputError, unknown_name
from ntkalign.statistics.exact_laws import MISFIT, fit_exact
from ntkalign.statistics.judgement import RESOLUTION, Bound, Kind, judge, thresholds
from ntkalign.statistics.rates import Rate, fit
from ntkalign.statistics.samples import (
    checked_confidence,
    checked_count,
    checked_number,
    checked_values,
    checked_widths,
    number_list,
    real_number,
    shown,
)

if TYPE_CHECKING:
    from ntkalign.checking.networks import check_network as check_network
    from ntkalign.checking.quantities import check_quantity as check_quantity
    from ntkalign.checking.rules import check_rule as check_rule

_CHECKS = {"check_network": "networks", "check_quantity": "quantities", "check_rule": "rules"}
"""Which module of :mod:`ntkalign.checking` has which."""

RateKind = Literal["at most", "exactly"]
RATE_KINDS: tuple[str, ...] = get_args(RateKind)


def __getattr__(name: str) -> Any:
    if name not in _CHECKS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"ntkalign.checking.{_CHECKS[name]}"), name)


def assert_rate(
    quantity: (
        Callable[[int, int], float] | Sequence[float] | Sequence[Sequence[float]] | np.ndarray
    ),
    exponent: float,
    *,
    widths: Sequence[int] | np.ndarray,
    seeds: int | None = None,
    rate: RateKind = "at most",
    confidence: float = 0.95,
) -> Rate | None:
    """Raise unless a quantity is found to be O(m^p), or of exactly that order.

    A law that cannot be told apart from a wrong one is not found to be right: *undecided* raises
    too, and says that more seeds or widths are needed. What is zero at every width meets any bound.

    Args:
        quantity: a positive number as a function of (width, seed), or the numbers themselves, one
            sequence over seeds for each width; of what is not random, one number for each width
            (a single noisy value is taken for the law itself, and judged wrongly).
        exponent: p.
        widths: at least three, increasing.
        seeds: how many seeds (0, 1, …) are evaluated, if ``quantity`` is a function; 1 if it is
            not random.
        rate: "at most" m^p (it may fall faster), or "exactly".
        confidence: of the intervals.

    Returns:
        The fitted rate; None if all values are zero, which have none.

    Raises:
        AssertionError: with the verdict's sentence and the table of measurements.
        InputError: if an argument is not what it must be, or a value is negative or not finite.
    """
    p = checked_number("exponent", exponent, "it is the p of O(m^p)", -0.5)
    if not (isinstance(rate, str) and rate in RATE_KINDS):
        raise unknown_name("rate", str(rate), RATE_KINDS, "it decides what is tested")
    confidence, widths = checked_confidence(confidence), checked_widths(widths)
    stated = f"{'O' if rate == 'at most' else 'Θ'}(m^{p:g})"
    values = _values(quantity, widths, seeds)
    zeros = sum(int((row == 0).sum()) for row in values)
    if zeros:
        count = sum(map(len, values))
        if zeros < count:
            raise AssertionError(f"{stated} is undecided: {zeros} of {count} values are zero")
        if rate == "exactly":
            raise AssertionError(f"{stated} is refuted: identically zero at every width")
        return None
    found, verdict, reason = _judged(widths, values, Bound(Kind.BOUND, p), confidence)
    if rate == "exactly" and verdict == "holds" and found.interval[0] <= p - RESOLUTION:
        low, high = found.interval
        verdict = "refuted" if high < p else "undecided"
        reason = (
            f"exponent {found.exponent:.2f} in [{low:.2f}, {high:.2f}] "
            f"{'lies' if high < p else 'may lie'} below {p:g}: it decays faster"
        )
    if verdict != "holds":
        raise AssertionError(f"{stated} is {verdict}: {reason}\n{_table(widths, found)}")
    return found


def _judged(
    widths: tuple[int, ...], values: list[np.ndarray], bound: Bound, confidence: float
) -> tuple[Rate, str, str]:
    """The rate, the verdict and its reason; without any noise, those of the law itself."""
    if any(np.ptp(row) > 0 for row in values):
        found = fit(widths, values, confidence)
        verdict, _, reason, _ = judge(bound, found)
        return found, verdict, reason
    law = fit_exact(widths, [row[0] for row in values])
    verdict, _, reason, _ = judge(bound, law.rate)
    reason = reason.replace("add seeds or widths", "add widths")
    if law.misfit > MISFIT:
        reason += f"; the law bends by {law.misfit:.2g} more than corrections to scaling explain"
    if law.floor:
        share = law.floor / law.rate.typical[-1]
        reason += f"; the values level off at {law.floor:.3g}, {share:.0%} of the last"
        verdict = "refuted" if verdict == "refuted" else "undecided"
    elif verdict == "holds" and not law.rate.local[-1] < thresholds(bound)[0]:
        verdict = "undecided"
        reason += f"; but between the last two widths only with {law.rate.local[-1]:.2f}"
    return law.rate, verdict, reason


def _values(quantity: Any, widths: Sequence[int], seeds: int | None) -> list[np.ndarray]:
    """For each width one finite value per seed, none below 0; one alone of what is not random."""
    if not callable(quantity):
        rows = checked_values("quantity", _nested(quantity), widths, 1, zero=True)
        counts = [len(row) for row in rows]
        if seeds is not None and (np.ndim(seeds) or counts != [seeds] * len(rows)):
            raise InputError(
                "seeds", seeds, must="be left out, or the number of values at each width",
                got=shown(seeds), because=f"quantity has {counts} values",
                do="leave seeds out: they are for a function of (width, seed)",
            )  # fmt: skip
        if 1 in counts and counts != [1] * len(counts):
            checked_values("quantity", rows, widths)  # says that two seeds are needed
        return rows
    count = checked_count("seeds", seeds, 1, "quantity is a function of (width, seed)", 8)
    return checked_values(
        "quantity",
        [[_number(quantity(m, s), m, s) for s in range(count)] for m in widths],
        widths, 1, zero=True,
    )  # fmt: skip


def _nested(quantity: Any) -> Any:
    """One number a width as lists of one."""
    flat = number_list(quantity)
    return quantity if flat is None else [[v] for v in flat]


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
