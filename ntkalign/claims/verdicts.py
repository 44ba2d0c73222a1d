"""How a verdict is reached.

A bound O(m^p) is one-sided: it is refuted only by a quantity that decays *more slowly*. With the
interval of :mod:`ntkalign.statistics.rates` in hand, the verdict on "O(m^p)" is

    refuted    if the exponent lies above p: the p-value of the contrary, corrections to scaling of
               either sign allowed for, is at most 1 %, and at most 5 % after Holm's correction
               for all verdicts of the report
    holds      if the whole interval lies below p + 0.25 (RESOLUTION): a claim that is wrong by a
               quarter does not pass
    undecided  otherwise, or if numerical error exceeds 1 % of any value, or if a flow failed

and the larger half of the widths must agree: by its estimate, and if the law bends significantly
by its own interval and p-value. "→ 0" and "does not tend to 0" are judged the same way with one
line, −0.1, on either side of which the exponent must lie. A bound that holds is *sharp* if p is in
the interval and *loose* if the interval lies below p. No constant adapts to a result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from ntkalign.claims.claim import Claim, Kind, Question
from ntkalign.statistics.rates import Exponent, Rate, Tail, fit, tail

RESOLUTION = 0.25
DECAY = -0.1
"""The exponent that separates decay from none, for claims without a rate."""
LEVEL = 0.01
"""Of a refutation by itself."""
FAMILY_LEVEL = 0.05
"""Of any false refutation in a report (Holm's step-down correction)."""
MAX_ERROR_SHARE = 0.01
ZERO = 1e-12
"""Below this a quantity is zero: all are normalised so that order one is their natural size."""
TAIL_TEST = 0.001
"""Level at which an upper quantile is said to scale unlike the typical network."""
SCORE_MARGIN = 0.01
"""How closely a sampled alignment score must agree with the exact one, on average."""


@dataclass(frozen=True)
class Terms:
    """What verdicts of one run are judged by.

    Attributes:
        confidence: of the intervals, if the data are looked at once.
        spend: the share of all error probabilities that this look at the data may use, if there
            are several (see :func:`ntkalign.runs.verify.verify`).
        paired: whether networks of one seed share noise across widths.
    """

    confidence: float = 0.95
    spend: float = 1.0
    paired: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Terms:
        """From the stored settings of a run."""
        shared = config.get("initial_outputs", "independent") == "shared"
        return cls(float(config["confidence"]), float(config.get("spend", 1.0)), shared)

    @property
    def look(self) -> float:
        """The confidence of intervals at this look."""
        return 1 - (1 - self.confidence) * self.spend


@dataclass(frozen=True)
class Finding:
    """The answer to a question."""

    question: Question
    verdict: str  # "holds", "refuted" or "undecided"
    reason: str
    tightness: str | None
    assumptions_met: bool
    error_share: float | None
    widths: tuple[int, ...]
    values: tuple[tuple[float, ...], ...]
    rate: Rate | None
    companion: Rate | None
    tail: Tail | None = None
    p_value: float | None = None
    adjusted_p: float | None = None
    limit: tuple[float, ...] | None = None  # at each width, by the kernels of infinite width

    def as_json(self) -> dict[str, object]:
        """The finding in the report's stable schema."""
        q, rate = self.question, self.rate
        return {
            "id": q.claim.id,
            "layer": q.layer,
            "rule": q.rule,
            "equation": q.claim.equation,
            "statement": q.claim.statement,
            "assumptions_met": self.assumptions_met,
            "stated_exponent": q.claim.stated_exponent,
            "exponent": rate and rate.exponent,
            "interval": rate and list(rate.interval),
            "upper_exponent": rate and rate.upper.estimate,
            "upper_interval": rate and list(rate.upper_interval),
            "local_exponents": rate and list(rate.local),
            "bend_p_value": rate and rate.bend,
            "refutation_p_value": self.p_value,
            "adjusted_p_value": self.adjusted_p,
            "upper_quantile": self.tail
            and {
                "level": self.tail.level,
                "exponent": self.tail.exponent,
                "difference": self.tail.difference,
                "interval": list(self.tail.interval),
            },
            "verdict": self.verdict,
            "tightness": self.tightness,
            "reason": self.reason,
            "error_share": self.error_share,
            "relative": self.companion
            and {
                "quantity": q.claim.companion,
                "exponent": self.companion.exponent,
                "interval": list(self.companion.interval),
            },
            "quantity": q.claim.quantity,
            "family": q.family,
            "infinite_width": self.limit and list(self.limit),
            "widths": list(self.widths),
            "values": [[v if np.isfinite(v) else None for v in row] for row in self.values],
        }


def answer(
    question: Question,
    table: pd.DataFrame,
    *,
    assumptions_met: bool,
    terms: Terms,
) -> Finding:
    """Judge one question from the tidy table of measurements.

    Args:
        question: what is asked.
        table: columns family, width, seed, rule, layer, quantity, value, error, status.
        assumptions_met: whether the family meets the paper's assumptions.
        terms: what it is judged by.
    """
    claim = question.claim
    rows = _select(table, question, claim.quantity)
    widths = tuple(int(w) for w in sorted(rows["width"].unique()))
    by_width = [rows[rows["width"] == w].sort_values("seed") for w in widths]
    values = tuple(tuple(float(v) for v in g["value"]) for g in by_width)
    share, rate, companion, over, p_value = None, None, None, None, None
    failed = rows[rows["status"] != "ok"]
    if len(failed):
        where = ", ".join(f"width {w} seed {s}" for w, s in failed[["width", "seed"]].values[:3])
        more = "" if len(failed) <= 3 else f" and {len(failed) - 3} more"
        verdict, tight = "undecided", None
        reason = f"{len(failed)} of {len(rows)} flows failed ({where}{more}): "
        reason += str(failed["status"].iloc[0])
    elif claim.kind is Kind.ZERO_MEAN:
        verdict, tight, reason, p_value = _judge_zero_mean(rows, terms)
    elif _is_zero(rows):
        verdict = "refuted" if claim.kind is Kind.PERSISTS else "holds"
        tight, reason, share = None, "identically zero, up to rounding, at every width", 0.0
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            share = float((rows["error"] / rows["value"]).fillna(0.0).max())
        if not share <= MAX_ERROR_SHARE:
            verdict, tight = "undecided", None
            reason = f"numerical error reaches {share:.1%} of a value; tighten --tolerance"
        elif not (rows["value"] > 0).all():
            verdict, tight = "undecided", None
            reason = f"{(rows['value'] <= 0).sum()} of {len(rows)} values are exactly zero"
        else:
            largest = [float((g["error"] / g["value"]).max()) for g in by_width]
            rate = fit(widths, values, terms.look, errors=largest, shared=terms.paired)
            verdict, tight, reason, p_value = judge(claim, rate, terms.spend)
            companion = _companion(table, question, terms)
            over = tail(widths, values, 1 - TAIL_TEST, shared=terms.paired)
            if over.disagrees:
                reason += (
                    f"; but the upper {over.level:.0%} quantile over seeds scales with exponent "
                    f"{over.exponent:.2f}, unlike the typical network"
                )
    return Finding(
        question=question,
        verdict=verdict,
        reason=reason,
        tightness=tight,
        assumptions_met=assumptions_met,
        error_share=share if share is None or np.isfinite(share) else None,
        widths=widths,
        values=values,
        rate=rate,
        companion=companion,
        tail=over,
        p_value=p_value,
    )


def lines(claim: Claim) -> tuple[float, float]:
    """To hold, the exponent must lie below the first; to be refuted, above the second."""
    if claim.stated_exponent is None:
        return DECAY, DECAY
    return claim.stated_exponent + RESOLUTION, claim.stated_exponent


class Judgement(NamedTuple):
    """A verdict by itself, and what it rests on."""

    verdict: str
    tightness: str | None
    reason: str
    p_value: float  # of the claim being true: small if it is refuted


def judge(claim: Claim, rate: Rate, spend: float = 1.0) -> Judgement:
    """Verdict on one claim, not corrected for others, for a fitted exponent."""
    hold_line, refute_line = lines(claim)
    measured = f"exponent {rate.exponent:.2f} in [{rate.interval[0]:.2f}, {rate.interval[1]:.2f}]"
    above = _p_value(rate, refute_line, 1)
    below = max(rate.interval[1], rate.upper_interval[1] if rate.bends else rate.upper.estimate)
    if claim.kind is Kind.PERSISTS:
        p_value = _p_value(rate, refute_line, -1)
        least = min(rate.interval[0], rate.upper_interval[0] if rate.bends else rate.upper.estimate)
        if p_value <= LEVEL * spend:
            reason = f"{measured} lies below {refute_line:.2f}: it decays"
            return Judgement("refuted", None, reason, p_value)
        if least > hold_line:
            reason = f"{measured} lies above {hold_line:.2f}: no decay"
            return Judgement("holds", None, reason, p_value)
        return Judgement("undecided", None, _undecided(rate, measured, claim), p_value)
    if above <= LEVEL * spend:
        reason = f"{measured} lies above {refute_line:.2f}: it decays too slowly, if at all"
        return Judgement("refuted", None, reason, above)
    if not below < hold_line:
        return Judgement("undecided", None, _undecided(rate, measured, claim), above)
    if claim.stated_exponent is None:
        return Judgement("holds", None, f"{measured} lies below {hold_line:.2f}: it decays", above)
    reason = f"{measured} lies below {hold_line:.2f}"
    if rate.interval[1] < claim.stated_exponent:
        return Judgement("holds", "loose", f"{reason}, and decays faster than stated", above)
    if rate.interval[0] <= claim.stated_exponent:
        return Judgement("holds", "sharp", f"{reason}, at the stated rate", above)
    return Judgement("holds", None, reason, above)


def _p_value(rate: Rate, line: float, side: int) -> float:
    """Of the exponent not lying above the line (side 1) or below it (side −1)."""
    value, upper = (
        e.p_above(line) if side > 0 else e.p_below(line) for e in (rate.all, rate.upper)
    )
    if rate.bends:
        return max(value, upper)
    return value if side * (rate.upper.estimate - line) > 0 else 1.0


def _undecided(rate: Rate, measured: str, claim: Claim) -> str:
    low, high = rate.upper_interval
    wanted = " or ".join(f"{line:.2f}" for line in sorted(set(lines(claim))))
    larger = f"; over the larger widths alone {rate.upper.estimate:.2f} in [{low:.2f}, {high:.2f}]"
    bends = " (the law bends)" if rate.bends else ""
    return f"{measured}{larger}{bends} is on neither side of {wanted}; add seeds or widths"


def settle(findings: Iterable[Finding], spend: float = 1.0) -> tuple[Finding, ...]:
    """Correct the refutations of claims for how many there might have been (Holm 1979).

    The chance that any true claim of the report is refuted is then at most FAMILY_LEVEL. Controls
    are no claims and are left alone.
    """
    findings = tuple(findings)
    tested = [f for f in findings if f.p_value is not None and not f.question.control]
    adjusted: dict[Question, float] = {}
    largest = 0.0
    for rank, finding in enumerate(sorted(tested, key=lambda f: f.p_value or 0.0)):
        largest = max(largest, min(1.0, (len(tested) - rank) * (finding.p_value or 0.0)))
        adjusted[finding.question] = largest
    level = FAMILY_LEVEL * spend
    return tuple(_corrected(f, adjusted.get(f.question), len(tested), level) for f in findings)


def _corrected(finding: Finding, adjusted: float | None, tested: int, level: float) -> Finding:
    if adjusted is None or finding.verdict != "refuted" or adjusted <= level:
        return replace(finding, adjusted_p=adjusted)
    reason = (
        f"{finding.reason}; but among {tested} verdicts that may be chance (p = {adjusted:.2f})"
    )
    return replace(finding, verdict="undecided", reason=reason, adjusted_p=adjusted)


def _is_zero(rows: pd.DataFrame) -> bool:
    """Whether no value can be told from zero, and all are far too small to matter."""
    value, error = rows["value"], rows["error"]
    return bool(((value <= ZERO) & (value <= error) & (error <= 1000 * ZERO)).all())


def _judge_zero_mean(rows: pd.DataFrame, terms: Terms) -> Judgement:
    """Equivalence test of sampled − exact scores: is their mean within the margin of 0?"""
    values, errors = rows["value"].to_numpy(), rows["error"].to_numpy()
    mean, count = float(values.mean()), len(values)
    error = float(values.std(ddof=1)) / count**0.5
    half = float(stdtrit(count - 1, (1 + terms.look) / 2)) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.mean((values / errors) ** 2)
    reason = (
        f"mean difference {mean:+.4f} ± {half:.4f} over {count} networks, margin "
        f"{SCORE_MARGIN}; mean square in standard errors {spread:.2f}"
    )
    p_value = Exponent(abs(mean), error, count - 1.0).p_above(SCORE_MARGIN)
    if abs(mean) + half < SCORE_MARGIN:
        return Judgement("holds", None, reason, p_value)
    return Judgement(
        "refuted" if p_value <= LEVEL * terms.spend else "undecided", None, reason, p_value
    )


def _companion(table: pd.DataFrame, question: Question, terms: Terms) -> Rate | None:
    if question.claim.companion is None:
        return None
    rows = _select(table, question, question.claim.companion)
    if not (rows["value"] > ZERO).all():
        return None
    widths = sorted(int(w) for w in rows["width"].unique())
    groups = [rows["value"][rows["width"] == w].to_numpy() for w in widths]
    return fit(widths, groups, terms.look, shared=terms.paired)


def _select(table: pd.DataFrame, question: Question, quantity: str) -> pd.DataFrame:
    chosen = (
        (table["family"] == question.family)
        & (table["rule"] == question.rule)
        & (table["quantity"] == quantity)
    )
    if question.layer is not None:
        chosen &= table["layer"] == question.layer
    return table[chosen]
