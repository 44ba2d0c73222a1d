"""The answer to a question, from the table of measurements.

What the table says about a question is gathered first (:mod:`ntkalign.claims.evidence`); the rest
is :mod:`ntkalign.statistics.judgement`, with what a table can say beyond an exponent. There is no
verdict (*undecided*, with the reason)

    if a measurement is missing, there twice or cannot be read, or if a flow failed;
    if numerical error exceeds 1 % of any value, or if only some values are zero.

A quantity that is zero up to rounding in every network has no exponent: it does tend to 0. At the
end the refutations of a report are corrected for their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ntkalign.claims.claim import MAIN, Claim, Question
from ntkalign.claims.evidence import Evidence, gather
from ntkalign.claims.regime import Regime
from ntkalign.networks.kinds import WIDTH, Size, size_of
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.series import ZERO, ZERO_ERROR
from ntkalign.statistics.corrections import Expansion
from ntkalign.statistics.judgement import (
    FAMILY_LEVEL,
    OF_EVERY_NETWORK,
    Bound,
    Kind,
    correct_for_many,
    judge,
    judge_mean,
    judge_step,
    thresholds,
)
from ntkalign.statistics.rates import Rate, fit
from ntkalign.statistics.samples import checked_confidence, checked_flag, checked_spend
from ntkalign.statistics.upper_quantiles import UpperQuantile, upper_quantile

MAX_ERROR_SHARE = 0.01
ORDER = 0.5
"""ε is O(m^-½): a quantity that is stated to be O(m^p) is of order −p/ORDER in it."""
UNRATED = 2.0
"""What has no stated rate are norms of Gram matrices, and 1 − S: squares, like them."""
UPPER_TEST = 0.001
"""Level at which an upper quantile is said to scale unlike the typical network."""


@dataclass(frozen=True)
class JudgingTerms:
    """What verdicts of one run are judged by.

    Attributes:
        confidence: of the intervals, if the data are looked at once.
        spend: the share of all error probabilities that this look at the data may use, if there
            are several (see :func:`ntkalign.runs.verify.verify`).
        paired: whether networks of one seed share noise across widths.
        widths: at which every claim was to be measured; unknown if empty. (Controls, which fail at
            any width, need not be.)
        seeds: how many networks of each width; unknown if 0.
        regime: how far training moves the networks; unknown if None.
        size: what the networks differ in, which reasons name.
    """

    confidence: float = 0.95
    spend: float = 1.0
    paired: bool = False
    widths: tuple[int, ...] = ()
    seeds: int = 0
    regime: Regime | None = None
    size: Size = WIDTH

    def __post_init__(self) -> None:
        checked_confidence(self.confidence)
        checked_spend(self.spend)
        checked_flag("paired", self.paired)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> JudgingTerms:
        """From the stored settings of a run."""
        shared = config.get("initial_outputs", "independent") == "shared"
        confidence, spend = float(config["confidence"]), float(config.get("spend", 1.0))
        widths = tuple(int(m) for m in config["widths"])
        size = size_of(str(config.get("network")))
        return cls(confidence, spend, shared, widths, int(config["seeds"]), size=size)

    def expansion(self, claim: Claim, widths: tuple[int, ...]) -> Expansion | None:
        """ε at each width, for a claim that it matters to, and the order that is stated."""
        record = QUANTITIES.get(claim.quantity)
        if self.regime is None or (record is not None and not record.trained):
            return None
        stated = claim.stated_exponent
        order = UNRATED if stated is None else max(1.0, -stated / ORDER)
        return Expansion(tuple(self.regime.at(widths)), order)

    @property
    def look_confidence(self) -> float:
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
    upper_quantile: UpperQuantile | None = None
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
            "widths_outside_regime": rate and rate.outside,
            "local_exponents": rate and list(rate.local),
            "bend_p_value": rate and rate.bend,
            "refutation_p_value": self.p_value,
            "adjusted_p_value": self.adjusted_p,
            "upper_quantile": self.upper_quantile
            and {
                "level": self.upper_quantile.level,
                "exponent": self.upper_quantile.exponent,
                "difference": self.upper_quantile.difference,
                "interval": list(self.upper_quantile.interval),
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


def judge_question(
    question: Question,
    table: pd.DataFrame,
    *,
    assumptions_met: bool,
    terms: JudgingTerms,
) -> Finding:
    """Judge one question from the tidy table of measurements.

    Args:
        question: what is asked.
        table: columns family, width, seed, rule, layer, quantity, value, error, status.
        assumptions_met: whether the family meets the paper's assumptions.
        terms: what it is judged by.

    Returns:
        The verdict, why, and what it rests on; not corrected for other questions.
    """
    found = _judged(question, table, assumptions_met, terms)
    return replace(found, reason=terms.size.say(found.reason))


def _judged(
    question: Question, table: pd.DataFrame, assumptions_met: bool, terms: JudgingTerms
) -> Finding:
    claim = question.claim
    bound = Bound(claim.kind, claim.stated_exponent)
    evidence = _gather(table, question, claim.quantity, terms)
    found = Finding(
        question=question,
        verdict="undecided",
        reason=evidence.fault or "",
        tightness=None,
        assumptions_met=assumptions_met,
        error_share=None,
        widths=evidence.widths,
        values=evidence.values,
        rate=None,
        companion=None,
    )
    if evidence.fault:
        return found
    values, errors = evidence.all_values, evidence.all_errors
    if bound.kind in OF_EVERY_NETWORK:
        verdict, reason = judge_step(bound.kind, values, errors)
        return replace(
            found, verdict=verdict, reason=reason, companion=_companion(table, question, terms)
        )
    if bound.kind is Kind.ZERO_MEAN:
        verdict, _, reason, p_value = judge_mean(values, errors, terms.look_confidence, terms.spend)
        return replace(found, verdict=verdict, reason=reason, p_value=p_value)
    if _is_zero(values, errors):
        verdict = "refuted" if bound.kind is Kind.PERSISTS else "holds"
        reason = "identically zero, up to rounding, at every width"
        return replace(found, verdict=verdict, reason=reason, error_share=0.0)
    share = float(_shares(values, errors).max())
    found = replace(found, error_share=share if np.isfinite(share) else None)
    if not share <= MAX_ERROR_SHARE:
        reason = f"numerical error reaches {share:.1%} of a value; pass a smaller tolerance"
        return replace(found, reason=reason)
    if not (values > 0).all():
        sign = "below zero" if (values < 0).any() else "exactly zero"
        reason = f"{(values <= 0).sum()} of {len(values)} values are {sign}"
        return replace(found, reason=reason)
    return _judge_exponent(found, bound, evidence, _companion(table, question, terms), terms)


def correct_findings(findings: Iterable[Finding], spend: float = 1.0) -> tuple[Finding, ...]:
    """Correct the refutations of claims for how many there might have been.

    The chance that any true claim of the report is refuted is then at most FAMILY_LEVEL. Controls
    are no claims and are left alone.

    Args:
        findings: of a report.
        spend: the share of all error probabilities that this look at the data may use.

    Returns:
        As many, in the order given; a refutation that may be chance is now undecided.
    """
    level = FAMILY_LEVEL * checked_spend(spend)
    findings = tuple(findings)
    tested = [i for i, f in enumerate(findings) if f.p_value is not None and not f.question.control]
    p_values = correct_for_many([findings[i].p_value or 0.0 for i in tested])
    adjusted = dict(zip(tested, p_values, strict=True))
    return tuple(_corrected(f, adjusted.get(i), len(tested), level) for i, f in enumerate(findings))


def _corrected(finding: Finding, adjusted: float | None, tested: int, level: float) -> Finding:
    if adjusted is None or finding.verdict != "refuted" or adjusted <= level:
        return replace(finding, adjusted_p=adjusted)
    reason = (
        f"{finding.reason}; but among {tested} verdicts that may be chance (p = {adjusted:.2f})"
    )
    return replace(finding, verdict="undecided", reason=reason, adjusted_p=adjusted)


def _judge_exponent(
    found: Finding, bound: Bound, evidence: Evidence, companion: Rate | None, terms: JudgingTerms
) -> Finding:
    """The verdict by the exponent of values that are positive and well resolved."""
    widths, values = evidence.widths, evidence.values
    largest = [
        float(_shares(np.array(v), np.array(e)).max())
        for v, e in zip(values, evidence.errors, strict=True)
    ]
    rate = fit(
        widths, values, terms.look_confidence, errors=largest, shared=terms.paired,
        expansion=terms.expansion(found.question.claim, widths),
    )  # fmt: skip
    verdict, tight, reason, p_value = judge(bound, rate, terms.spend)
    if (
        not rate.decides
        and verdict == "undecided"
        and terms.regime is not None
        and not found.question.control  # controls are not measured at widths beyond
    ):
        reason += f"; {terms.regime.at_widths(widths).advice}"
    skip = rate.outside if rate.decides else 0
    upper = upper_quantile(widths[skip:], values[skip:], 1 - UPPER_TEST, shared=terms.paired)
    if upper.disagrees:
        verdict, tight, words = _with_tail(bound, verdict, tight, upper)
        reason += f"; {words}"
    return replace(
        found,
        verdict=verdict,
        reason=reason,
        tightness=tight,
        rate=rate,
        companion=companion,
        upper_quantile=upper,
        p_value=p_value,
    )


def _with_tail(
    bound: Bound, verdict: str, tight: str | None, upper: UpperQuantile
) -> tuple[str, str | None, str]:
    """What networks that are rarely so large mean for the verdict: "in probability" is about them.

    Returns:
        The verdict, *undecided* where rare networks contradict it; how tight; the words.
    """
    line, _ = thresholds(bound)
    found = (
        f"the largest tenth of networks ({upper.level:.0%} quantile) scales with exponent "
        f"{upper.exponent:.2f}, unlike the typical one"
    )
    decays = upper.exponent < line
    if bound.kind is Kind.PERSISTS:
        if verdict == "refuted" and not decays:
            return "undecided", None, f"but {found}: in one network of ten it may not decay"
        if verdict == "holds" and decays:
            return verdict, tight, f"{found}: it decays there, and persists in most; this stands"
    elif verdict == "holds" and not decays:
        words = f"but {found}: in probability, which is about nearly all networks, it is not shown"
        return "undecided", None, words
    elif verdict == "refuted":
        return verdict, tight, f"{found}: typical networks are enough to refute, and this stands"
    if verdict == "undecided":
        return verdict, tight, found
    return verdict, tight, f"{found}, and on the same side of {line:.2f}: this stands for them too"


def _companion(table: pd.DataFrame, question: Question, terms: JudgingTerms) -> Rate | None:
    """The rate of the same quantity relative to what it is a part of, where it has one."""
    if question.claim.companion is None:
        return None
    evidence = _gather(table, question, question.claim.companion, terms)
    if evidence.fault or not (evidence.all_values > ZERO).all():
        return None
    return fit(
        evidence.widths, evidence.values, terms.look_confidence, shared=terms.paired,
        expansion=terms.expansion(question.claim, evidence.widths),
    )  # fmt: skip


def _gather(
    table: pd.DataFrame, question: Question, quantity: str, terms: JudgingTerms
) -> Evidence:
    """The evidence; of a claim, as much as the run was to measure."""
    if question.control or question.family != MAIN:
        return gather(table, question, quantity)
    return gather(table, question, quantity, terms.widths, terms.seeds)


def _is_zero(values: np.ndarray, errors: np.ndarray) -> bool:
    """Whether no value can be told from zero, and all are far too small to matter."""
    small = (np.abs(values) <= ZERO) & (values <= errors) & (errors <= ZERO_ERROR)
    return bool(small.all())


def _shares(values: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Numerical errors as shares of the values; nothing of nothing is nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((values == 0) & (errors == 0), 0.0, errors / np.abs(values))
