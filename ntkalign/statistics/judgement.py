"""How a verdict is reached: from what is stated of an exponent, and the exponent that was found.

A bound O(m^p) is one-sided: it is refuted only by a quantity that decays *more slowly*. With the
interval of :mod:`ntkalign.statistics.rates` in hand, the verdict on "O(m^p)" is

    refuted    if the exponent lies above p: the p-value of the contrary, corrections to scaling of
               either sign allowed for, is at most 1 %, and at most 5 % after Holm's correction
               for all verdicts of a report
    holds      if the whole interval lies below p + 0.25 (RESOLUTION): a claim that is wrong by a
               quarter does not pass
    undecided  otherwise

Where fewer than three widths are inside the regime nothing is refuted. The larger half of the
widths must agree: by its estimate, and if the law bends significantly by its own interval and
p-value. "→ 0" and "does not tend to 0" are judged the same way with one threshold, −0.1, on either
side of which the exponent must lie; that something does not tend to 0 needs widths inside the
regime, too. A bound that holds is *sharp* if p is in the interval and *loose* if the interval lies
below p. "= 0 on average" has no exponent: the mean must lie within a margin of 0. Nor has a step of
a proof: "left ≤ right" is about every network, and one that contradicts it by more than its
numerical error refutes it; "left = right" is the same of the relative difference. No constant
adapts to a result.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from ntkalign.errors import InputError
from ntkalign.statistics.rates import Exponent, Rate
from ntkalign.statistics.samples import (
    LEAST_SEEDS,
    checked_confidence,
    checked_number,
    checked_spend,
    number_list,
    real_number,
    shown,
)

RESOLUTION = 0.25
DECAY = -0.1
"""The exponent that separates decay from none, for statements without a rate."""
LEVEL = 0.01
"""Of a refutation by itself."""
FAMILY_LEVEL = 0.05
"""Of any false refutation in a report (Holm's step-down correction)."""
MEAN_MARGIN = 0.01
"""How close to zero "zero on average" is."""
CLEAR = 0.01
"""left/right with its error may pass 1 by so much where a step holds: some are equalities."""
EQUAL = 1e-9
"""By so much left/right may pass 1 where both sides are the same number, by rounding."""
EXACT = 0.01
"""An identity that is known less well than this is undecided."""


class Kind(enum.Enum):
    """What is stated of a quantity as the width m grows."""

    BOUND = "O(m^p)"
    VANISHES = "→ 0"
    PERSISTS = "does not tend to 0"
    ZERO_MEAN = "= 0 on average"
    INEQUALITY = "left ≤ right"
    IDENTITY = "left = right"


OF_EVERY_NETWORK = (Kind.INEQUALITY, Kind.IDENTITY)
"""Kinds that are not about a rate: they hold on every network, or are wrong."""


@dataclass(frozen=True)
class Bound:
    """What is stated: a kind, and the exponent p if that is O(m^p).

    Raises:
        InputError: if the kind is none, or p is missing, superfluous or no number.
    """

    kind: Kind
    exponent: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kind, Kind):
            raise InputError(
                "kind", self.kind, must=f"be one of {', '.join(map(str, Kind))}",
                got=repr(self.kind), because="it decides what is tested", do="pass Kind.BOUND, say",
            )  # fmt: skip
        if self.kind is Kind.BOUND:
            exponent = checked_number("exponent", self.exponent, "it is the p of O(m^p)", -0.5)
            object.__setattr__(self, "exponent", exponent)
        elif self.exponent is not None:
            raise InputError(
                "exponent", self.exponent, must="be given for Kind.BOUND and for no other kind",
                got=f"{self.exponent!r} for {self.kind}", because="only O(m^p) has a p",
                do="leave it out, or pass Kind.BOUND",
            )  # fmt: skip


class Judgement(NamedTuple):
    """A verdict by itself, and what it rests on."""

    verdict: str  # "holds", "refuted" or "undecided"
    tightness: str | None
    reason: str
    p_value: float  # of the statement being true: small if it is refuted


def thresholds(bound: Bound) -> tuple[float, float]:
    """To hold, the exponent must lie below the first; to be refuted, above the second."""
    if bound.exponent is None:
        return DECAY, DECAY
    return bound.exponent + RESOLUTION, bound.exponent


def judge(bound: Bound, rate: Rate, spend: float = 1.0) -> Judgement:
    """Verdict on one statement, not corrected for others, for a fitted exponent.

    Args:
        bound: what is stated.
        rate: what was found.
        spend: the share of all error probabilities that this look at the data may use.

    Returns:
        The verdict, how tight the statement is, the reason and the p-value of the statement.

    Raises:
        InputError: if the statement is not about an exponent, or the share is none.
    """
    if bound.kind in (Kind.ZERO_MEAN, *OF_EVERY_NETWORK):
        raise InputError(
            "bound", bound.kind, must="be about an exponent", got=repr(bound.kind.value),
            because="others are judged by their values", do="call judge_mean or judge_step",
        )  # fmt: skip
    level = LEVEL * checked_spend(spend)
    to_hold, to_refute = thresholds(bound)
    measured = f"exponent {rate.exponent:.2f} in [{rate.interval[0]:.2f}, {rate.interval[1]:.2f}]"
    if rate.outside and rate.decides:
        measured += ", over widths in the regime,"
    if bound.kind is Kind.PERSISTS:
        p_value = _p_value(rate, to_refute, -1)
        least = rate.upper_interval[0] if rate.bends else rate.upper.estimate
        least = min(rate.interval[0] - rate.all.slack, least) if rate.decides else -np.inf
        if p_value <= level:
            reason = f"{measured} lies below {to_refute:.2f}: it decays"
            return Judgement("refuted", None, reason, p_value)
        if least > to_hold:
            reason = f"{measured} lies above {to_hold:.2f}: no decay"
            return Judgement("holds", None, reason, p_value)
        return Judgement("undecided", None, _undecided(rate, measured, bound), p_value)
    p_value = _p_value(rate, to_refute, 1)
    largest = max(rate.interval[1], rate.upper_interval[1] if rate.bends else rate.upper.estimate)
    if p_value <= level:
        reason = f"{measured} lies above {to_refute:.2f}: it decays too slowly, if at all"
        return Judgement("refuted", None, reason, p_value)
    if not largest < to_hold:
        return Judgement("undecided", None, _undecided(rate, measured, bound), p_value)
    reason = f"{measured} lies below {to_hold:.2f}"
    if bound.exponent is None:
        return Judgement("holds", None, f"{reason}: it decays", p_value)
    if rate.interval[1] < bound.exponent:
        return Judgement("holds", "loose", f"{reason}, and decays faster than stated", p_value)
    if rate.interval[0] <= bound.exponent:
        return Judgement("holds", "sharp", f"{reason}, at the stated rate", p_value)
    return Judgement("holds", None, reason, p_value)


def judge_mean(
    values: Sequence[float] | np.ndarray,
    errors: Sequence[float] | np.ndarray,
    confidence: float = 0.95,
    spend: float = 1.0,
) -> Judgement:
    """Equivalence test of "= 0 on average": does the mean lie within MEAN_MARGIN of 0?

    Args:
        values: one per network, at least two.
        errors: the standard error of each, which the reason compares with their size.
        confidence: of the mean's interval.
        spend: the share of all error probabilities that this look at the data may use.

    Returns:
        The verdict, the reason, and the p-value of the mean lying within the margin.

    Raises:
        InputError: if an argument is not what it must be; says which, and what to do.
    """
    confidence, spend = checked_confidence(confidence), checked_spend(spend)
    values, errors = _finite("values", values), _finite("errors", errors)
    if len(errors) != len(values):
        raise InputError(
            "errors", len(errors), must="be as many as the values", got=f"{len(errors)} errors",
            because=f"there are {len(values)} values", do="give one for each value",
        )  # fmt: skip
    mean, count = float(values.mean()), len(values)
    error = float(values.std(ddof=1)) / count**0.5
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.mean((values / errors) ** 2)
    reason = (
        f"mean difference {mean:+.4f} ± {half:.4f} over {count} networks, margin "
        f"{MEAN_MARGIN}; mean square in standard errors {spread:.2f}"
    )
    p_value = Exponent(abs(mean), error, count - 1.0).p_above(MEAN_MARGIN)
    if abs(mean) + half < MEAN_MARGIN:
        return Judgement("holds", None, reason, p_value)
    verdict = "refuted" if p_value <= LEVEL * spend else "undecided"
    return Judgement(verdict, None, reason, p_value)


def judge_step(
    kind: Kind, values: Sequence[float] | np.ndarray, errors: Sequence[float] | np.ndarray
) -> tuple[str, str]:
    """A step of a proof, which is true of every network or wrong.

    Args:
        kind: INEQUALITY, of values left/right; or IDENTITY, of relative differences.
        values: one per network, the largest over time.
        errors: their numerical errors.

    Returns:
        "refuted" if a network contradicts it by more than its error, "undecided" if one does so
        within it or an error is too large to tell, else "holds"; and the reason.

    Raises:
        InputError: if it is another kind, or an argument is not what it must be.
    """
    if kind not in OF_EVERY_NETWORK:
        raise InputError(
            "kind", kind, must="be one that is about every network", got=repr(kind),
            because="others are about a rate", do="call judge",
        )  # fmt: skip
    values, errors = _finite("values", values), _finite("errors", errors)
    count, most = len(values), float(values.max())
    if kind is Kind.IDENTITY:
        shown = f"relative difference at most {most:.1e}, numerical error {errors.max():.0e}"
        wrong = values > errors
        if wrong.any():
            return "refuted", f"{shown}: wrong on {wrong.sum()} of {count} networks"
        if errors.max() > EXACT:
            return "undecided", f"{shown}, which is too much to tell"
        return "holds", f"{shown}, on all {count} networks"
    over = values > 1 + EQUAL
    wrong = over & (values - errors > 1)
    if wrong.any():
        return "refuted", (
            f"contradicted on {wrong.sum()} of {count} networks: left/right up to {most:.3g} "
            f"± {errors[values.argmax()]:.0e}"
        )
    if over.any():
        return "undecided", (
            f"left/right passes 1 on {over.sum()} of {count} networks, by less than its error "
            f"({errors[values.argmax()]:.0e})"
        )
    if (values + errors > 1 + CLEAR).any():
        return "undecided", (
            f"left/right is at most {most:.3g} on {count} networks, but its error "
            f"({errors.max():.0e}) is too large to tell"
        )
    return "holds", f"on all {count} networks; left/right at most {most:.3g}"


def correct_for_many(p_values: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    """p-values corrected for their number (Holm 1979), in the order given.

    If statements are refuted whose corrected value is at most α, the chance that any true one is
    among them is at most α.

    Args:
        p_values: of all statements that might have been refuted.

    Returns:
        As many p-values, none below the one given and none above 1.

    Raises:
        InputError: if one is no probability.
    """
    known = [real_number(p) for p in p_values]
    for p, given in zip(known, p_values, strict=True):
        if p is None or not 0 <= p <= 1:
            raise InputError(
                "p_values", given, must="be probabilities", got=repr(given),
                because="they are ranked and multiplied", do="leave out what was not tested",
            )  # fmt: skip
    numbers = [p for p in known if p is not None]
    corrected = [0.0] * len(numbers)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(numbers)), key=numbers.__getitem__)):
        largest = max(largest, min(1.0, (len(numbers) - rank) * numbers[i]))
        corrected[i] = largest
    return tuple(corrected)


def _p_value(rate: Rate, threshold: float, side: int) -> float:
    """Of the exponent not lying above the threshold (side 1) or below it (side −1)."""
    if not rate.decides:
        return 1.0
    value, upper = (
        e.p_above(threshold) if side > 0 else e.p_below(threshold) for e in (rate.all, rate.upper)
    )
    if rate.bends:
        return max(value, upper)
    return value if side * (rate.upper.estimate - threshold) > 0 else 1.0


def _undecided(rate: Rate, measured: str, bound: Bound) -> str:
    low, high = rate.upper_interval
    found = (
        f"{measured}; over the larger widths alone {rate.upper.estimate:.2f} in "
        f"[{low:.2f}, {high:.2f}]{' (the law bends)' if rate.bends else ''}"
    )
    if not rate.decides:
        return f"{found}, but too few widths are in the regime for that to count"
    wanted = " or ".join(f"{line:.2f}" for line in sorted(set(thresholds(bound))))
    return f"{found}, is on neither side of {wanted}; add seeds or widths"


def _finite(name: str, values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Two finite numbers or more."""
    row = number_list(values)
    if row is None or len(row) < LEAST_SEEDS or not np.isfinite(row).all():
        raise InputError(
            name, shown(values), must=f"be at least {LEAST_SEEDS} finite numbers",
            got=shown(values), because="the interval of a mean comes from networks",
            do="give one number per network",
        )  # fmt: skip
    return row
