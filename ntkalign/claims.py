"""Every statement of the paper that is put to the test, and how a verdict is reached.

A bound O(m^p) is one-sided: it is refuted only by a quantity that decays *more slowly*. With the
interval of :mod:`ntkalign.rates` in hand, the verdict on "O(m^p)" is

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

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from ntkalign.networks import Family
from ntkalign.rates import Exponent, Rate, Tail, fit, tail
from ntkalign.rules import ALIGN_ADA, ALIGN_ZERO, CONTROLS, FEEDBACK_ALIGNMENT, NORMAL, Rule

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


class Kind(enum.Enum):
    """What a claim says of its quantity as the width m grows."""

    BOUND = "O(m^p)"
    VANISHES = "→ 0"
    PERSISTS = "does not tend to 0"
    ZERO_MEAN = "= 0 on average"


@dataclass(frozen=True)
class Claim:
    """One statement of the paper about one measured quantity."""

    id: str
    equation: str
    statement: str
    quantity: str
    kind: Kind
    stated_exponent: float | None = None
    companion: str | None = None  # the same quantity relative to what it is a part of

    @property
    def lines(self) -> tuple[float, float]:
        """To hold, the exponent must lie below the first; to be refuted, above the second."""
        if self.stated_exponent is None:
            return DECAY, DECAY
        return self.stated_exponent + RESOLUTION, self.stated_exponent

    @property
    def stated(self) -> str:
        """The stated rate as text."""
        if self.stated_exponent is None:
            return self.kind.value
        return f"O(m^{self.stated_exponent:g})"


ACTIVATIONS = Claim(
    "lemma-1/activations", "(19)", "√E‖(z_l^t − z_l^0)/√m_l‖² is O(m^-1/2)",
    "activation-drift", Kind.BOUND, -0.5,
)  # fmt: skip
WEIGHTS = Claim(
    "lemma-1/weights", "(20)", "‖W_l^t − W_l^0‖_op/√m_{l−1} is O(m^-1/2)",
    "weight-drift", Kind.BOUND, -0.5,
)  # fmt: skip
JACOBIAN = Claim(
    "lemma-1/jacobian", "(21)", "max_x ‖∇_θ f^t − ∇_θ f^0‖_op is O(m^-1/2)",
    "jacobian-drift", Kind.BOUND, -0.5,
)  # fmt: skip
FEEDBACK = Claim(
    "lemma-1/feedback", "(22)", "max_x ‖J^t − ∇_θ f^0‖_op is O(m^-1/2)",
    "feedback-drift", Kind.BOUND, -0.5,
)  # fmt: skip
DISCREPANCY = Claim(
    "proposition-1/discrepancy", "(42)", "‖W̃_l‖_op is O(m^-1/2)",
    "discrepancy", Kind.BOUND, -0.5, "discrepancy-relative",
)  # fmt: skip
PROPOSITION_1 = Claim(
    "proposition-1", "(8)", "‖Σ_l/m_{l−1} − Δ_l‖_op/√m_{l−1} is O(m^-1)",
    "alignment-gap", Kind.BOUND, -1.0, "alignment-gap-relative",
)  # fmt: skip
DELTA_PERSISTS = Claim(
    "proposition-1/interpretation", "App. A", "‖Δ_l‖_op/√m_{l−1} does not tend to 0",
    "delta-norm", Kind.PERSISTS,
)  # fmt: skip
SIGMA_PERSISTS = Claim(
    "proposition-1/interpretation", "App. A", "‖Σ_l/m_{l−1}‖_op/√m_{l−1} does not tend to 0",
    "sigma-norm", Kind.PERSISTS,
)  # fmt: skip
SCORE = Claim(
    "alignment-score", "(9)", "1 − S_l tends to 0", "misalignment", Kind.VANISHES,
)  # fmt: skip
SAMPLED_SCORE = Claim(
    "alignment-score/sampled", "(10)", "the sampled score agrees with the exact one",
    "sampled-score-error", Kind.ZERO_MEAN,
)  # fmt: skip
PROPOSITION_2 = Claim(
    "proposition-2", "(17)", "max_x ‖f^t − f_rule^t‖ is O(m^-1/2)",
    "divergence", Kind.BOUND, -0.5, "divergence-relative",
)  # fmt: skip
APPENDIX_D = Claim(
    "appendix-d", "(57)", "max_x ‖f_al·0^t − f_lin^t‖ tends to 0",
    "linearisation-gap", Kind.VANISHES, None, "linearisation-gap-relative",
)  # fmt: skip

LAYERWISE = (
    DISCREPANCY, PROPOSITION_1, DELTA_PERSISTS, SIGMA_PERSISTS, SCORE, SAMPLED_SCORE,
)  # fmt: skip
"""Claims about the Normal network's weights, asked of every layer."""
CLAIMS = (ACTIVATIONS, WEIGHTS, JACOBIAN, FEEDBACK, *LAYERWISE, PROPOSITION_2, APPENDIX_D)
LEMMA_RULES = (NORMAL, ALIGN_ZERO, ALIGN_ADA)  # the rules that Lemma 1 speaks of

MAIN, BOTTLENECK = "main", "bottleneck"


@dataclass(frozen=True)
class Question:
    """A claim put to one network family, rule and layer. A control is expected not to hold."""

    claim: Claim
    family: str
    rule: str
    layer: int | None = None
    control: bool = False


def questions(family: Family, rules: Sequence[Rule], only: Iterable[str] = ()) -> list[Question]:
    """All questions that a run answers: the claims, then their controls.

    Args:
        family: the networks under test (its depth decides the layers).
        rules: the rules compared with gradient descent; those marked as controls are asked
            about as controls.
        only: ids of the claims to ask about; all if empty.
    """
    hidden, every = range(1, family.depth), range(1, family.depth + 1)
    names = [rule.name for rule in rules if not rule.control]
    controls = dict.fromkeys((*CONTROLS, *(rule for rule in rules if rule.control)))
    lemma = [r.name for r in LEMMA_RULES if r is NORMAL or r.name in names]
    asked = [
        *(Question(ACTIVATIONS, MAIN, r, layer) for r in lemma for layer in hidden),
        *(Question(WEIGHTS, MAIN, r, layer) for r in lemma for layer in every),
        *(Question(JACOBIAN, MAIN, r) for r in lemma),
        *(Question(FEEDBACK, MAIN, r) for r in dict.fromkeys((NORMAL.name, *names))),
        *(Question(claim, MAIN, NORMAL.name, layer) for claim in LAYERWISE for layer in every),
        *(Question(PROPOSITION_2, MAIN, r) for r in names if r != NORMAL.name),
        *(Question(APPENDIX_D, MAIN, r) for r in names if r == ALIGN_ZERO.name),
        *_controls(family, names, [rule.name for rule in controls]),
    ]
    wanted = set(only)
    return [q for q in asked if not wanted or q.claim.id in wanted]


def _controls(family: Family, names: list[str], controls: list[str]) -> list[Question]:
    fa, normal, neck = FEEDBACK_ALIGNMENT.name, NORMAL.name, family.bottleneck_layer
    return [
        *(Question(FEEDBACK, MAIN, r, control=True) for r in controls),
        # (8) and (9) compare Gram matrices, in which FA's feedback is as good as the true one
        # when wide (the same law, hence the same limit of Γ_l): FA is no control for them
        *(Question(DISCREPANCY, MAIN, fa, layer, control=True) for layer in range(1, family.depth)),
        *(Question(PROPOSITION_2, MAIN, r, control=True) for r in controls),
        Question(ACTIVATIONS, BOTTLENECK, normal, neck, control=True),
        Question(WEIGHTS, BOTTLENECK, normal, neck + 1, control=True),
        Question(JACOBIAN, BOTTLENECK, normal, control=True),
        *(
            Question(claim, BOTTLENECK, normal, neck + 1, control=True)
            for claim in (DISCREPANCY, PROPOSITION_1, SCORE)
        ),
        *(Question(PROPOSITION_2, BOTTLENECK, r, control=True) for r in names if r != normal),
        *(Question(APPENDIX_D, BOTTLENECK, r, control=True) for r in names if r == ALIGN_ZERO.name),
    ]


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
            "widths": list(self.widths),
            "values": [[v if np.isfinite(v) else None for v in row] for row in self.values],
        }


def answer(
    question: Question,
    table: pd.DataFrame,
    *,
    assumptions_met: bool,
    confidence: float,
    spend: float = 1.0,
) -> Finding:
    """Judge one question from the tidy table of measurements.

    Args:
        question: what is asked.
        table: columns family, width, seed, rule, layer, quantity, value, error, status.
        assumptions_met: whether the family meets the paper's assumptions.
        confidence: of the intervals.
        spend: the share of all error probabilities that this look at the data may use, if there
            are several (see :func:`ntkalign.verifier.verify`).
    """
    claim = question.claim
    confidence = 1 - (1 - confidence) * spend
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
        verdict, tight, reason, p_value = _judge_zero_mean(rows, confidence, spend)
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
            rate = fit(widths, values, confidence, errors=largest)
            verdict, tight, reason, p_value = judge(claim, rate, spend)
            companion = _companion(table, question, confidence)
            over = tail(widths, values, 1 - TAIL_TEST)
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


class Judgement(NamedTuple):
    """A verdict by itself, and what it rests on."""

    verdict: str
    tightness: str | None
    reason: str
    p_value: float  # of the claim being true: small if it is refuted


def judge(claim: Claim, rate: Rate, spend: float = 1.0) -> Judgement:
    """Verdict on one claim, not corrected for others, for a fitted exponent."""
    hold_line, refute_line = claim.lines
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
    lines = " or ".join(f"{line:.2f}" for line in sorted(set(claim.lines)))
    larger = f"; over the larger widths alone {rate.upper.estimate:.2f} in [{low:.2f}, {high:.2f}]"
    bends = " (the law bends)" if rate.bends else ""
    return f"{measured}{larger}{bends} is on neither side of {lines}; add seeds or widths"


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


def _judge_zero_mean(rows: pd.DataFrame, confidence: float, spend: float) -> Judgement:
    """Equivalence test of sampled − exact scores: is their mean within the margin of 0?"""
    values, errors = rows["value"].to_numpy(), rows["error"].to_numpy()
    mean, count = float(values.mean()), len(values)
    error = float(values.std(ddof=1)) / count**0.5
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.mean((values / errors) ** 2)
    reason = (
        f"mean difference {mean:+.4f} ± {half:.4f} over {count} networks, margin "
        f"{SCORE_MARGIN}; mean square in standard errors {spread:.2f}"
    )
    p_value = Exponent(abs(mean), error, count - 1.0).p_above(SCORE_MARGIN)
    if abs(mean) + half < SCORE_MARGIN:
        return Judgement("holds", None, reason, p_value)
    return Judgement("refuted" if p_value <= LEVEL * spend else "undecided", None, reason, p_value)


def _companion(table: pd.DataFrame, question: Question, confidence: float) -> Rate | None:
    if question.claim.companion is None:
        return None
    rows = _select(table, question, question.claim.companion)
    if not (rows["value"] > ZERO).all():
        return None
    widths = sorted(int(w) for w in rows["width"].unique())
    groups = [rows["value"][rows["width"] == w].to_numpy() for w in widths]
    return fit(widths, groups, confidence)


def _select(table: pd.DataFrame, question: Question, quantity: str) -> pd.DataFrame:
    chosen = (
        (table["family"] == question.family)
        & (table["rule"] == question.rule)
        & (table["quantity"] == quantity)
    )
    if question.layer is not None:
        chosen &= table["layer"] == question.layer
    return table[chosen]
