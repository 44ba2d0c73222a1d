"""What a run found of the steps of the proofs, looked up by claim.

A run of ``ntkalign proof`` has asked about every step. One of ``ntkalign verify`` has measured some
on the way without being asked: those are judged here, from its table, and change nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ntkalign.claims.claim import MAIN, Claim, Kind, Question
from ntkalign.claims.proof import FALSE_STEPS, STEP_OF, STEPS
from ntkalign.claims.verdicts import Finding, JudgingTerms, judge_question
from ntkalign.quantities.proof_catalogue import Inequality
from ntkalign.statistics.rates import Rate


@dataclass(frozen=True)
class Sides:
    """How one inequality goes with the width.

    Attributes:
        step: the inequality.
        finding: whether it holds.
        left: the exponent of sup_t left.
        right: that of sup_t right.
        looseness: that of their ratio.
        ratio: right/left at the largest width, the geometric mean over networks.
    """

    step: Inequality
    finding: Finding
    left: Rate | None
    right: Rate | None
    looseness: Rate | None
    ratio: float | None

    @property
    def loses_rate(self) -> bool:
        """Whether the bound gets looser with the width: the whole interval lies above 0."""
        return self.looseness is not None and self.looseness.interval[0] > 0


class Found:
    """Findings and sides of a run, looked up by claim.

    Args:
        findings: of the run.
        table: its measurements.
        terms: what verdicts are judged by.
        met: whether the networks meet the paper's assumptions.
    """

    def __init__(
        self, findings: Sequence[Finding], table: pd.DataFrame, terms: JudgingTerms, met: bool
    ):
        self._table, self._terms, self._met = table, terms, met
        known = set(table["quantity"])
        asked = {f.question.claim.id for f in findings}
        own = [f for f in findings if f.question.family == MAIN]
        for claim in STEPS:  # those of which a run has measurements without having been asked
            if claim.id not in asked and claim.quantity in known:
                own += [self._judge(q) for q in _measured(claim, table)]
        self.findings: tuple[Finding, ...] = tuple(own)
        self.sides: Mapping[str, tuple[Sides, ...]] = {
            claim.id: tuple(map(self._sides, self.of(claim.id))) for claim in STEPS
        }

    def of(
        self, id: str, rules: Sequence[str] = (), layer: int | None = None
    ) -> tuple[Finding, ...]:
        """The findings about a claim, of some rules or one layer if so asked; controls left out."""
        return tuple(
            f
            for f in self.findings
            if f.question.claim.id == id
            and (not f.question.control or f.question.claim in FALSE_STEPS)
            and (not rules or f.question.rule in rules)
            and (layer is None or f.question.layer == layer)
        )

    def _judge(self, question: Question) -> Finding:
        return judge_question(question, self._table, assumptions_met=self._met, terms=self._terms)

    def _sides(self, finding: Finding) -> Sides:
        step, question = STEP_OF[finding.question.claim.id], finding.question
        left, right = (
            self._judge(replace(question, claim=Claim(
                question.claim.id, step.equation, step.statement, name, Kind.VANISHES)))
            for name in step.sides
        )  # fmt: skip
        ratio = None
        if left.values and right.values and left.values[-1]:
            with np.errstate(all="ignore"):
                logs = np.log(right.values[-1]) - np.log(left.values[-1])
            ratio = (
                float(np.exp(np.minimum(logs.mean(), 700.0))) if np.isfinite(logs).all() else None
            )
        return Sides(step, finding, left.rate, right.rate, finding.companion, ratio)


def contradicted(finding: Finding) -> tuple[int, int]:
    """On how many networks a step's left/right passes 1, of how many."""
    values = [v for row in finding.values for v in row]
    return sum(v > 1 for v in values), len(values)


def _measured(claim: Claim, table: pd.DataFrame) -> list[Question]:
    """The rules and layers of which the table has a step's quantity."""
    rows = table[(table["quantity"] == claim.quantity) & (table["family"] == MAIN)]
    pairs = rows[["rule", "layer"]].drop_duplicates()
    return [
        Question(claim, MAIN, rule, None if pd.isna(layer) else int(layer), claim in FALSE_STEPS)
        for rule, layer in pairs.itertuples(index=False)
    ]


def where(finding: Finding) -> str:
    """The rule and the layer, for a sentence."""
    question = finding.question
    layer = f", layer {question.layer}" if question.layer is not None else ""
    return f"{question.rule}{layer}"
