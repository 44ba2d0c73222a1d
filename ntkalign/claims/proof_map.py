"""The paper's argument, step by step, each step with the verdict of what was measured of it.

The steps are data: where the paper has one, what it says, which function of ntkalign computes it,
how it is checked, and the claims whose findings decide. A run fills in verdicts and numbers; what
it did not measure says so. Remarks, which say why a step fails or what it gives away, follow from
findings (:mod:`ntkalign.claims.proof_remarks`): none is written where the measurement does not call
for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from ntkalign.claims.proof import FALSE_STEPS, STEP_OF, STEPS
from ntkalign.claims.proof_errata import ERRATA, Erratum
from ntkalign.claims.proof_found import Found, Sides, where
from ntkalign.claims.proof_remarks import remarks
from ntkalign.claims.proof_steps import STEPS_OF_THE_PAPER, Nature, Step
from ntkalign.claims.verdicts import Finding, JudgingTerms
from ntkalign.quantities.proof_catalogue import Standing

ORDER = ("refuted", "undecided", "holds")
"""The worst verdict of its findings is the step's."""


@dataclass(frozen=True)
class StepResult:
    """One step with what was measured of it."""

    step: Step
    findings: tuple[Finding, ...]
    sides: tuple[Sides, ...]
    remarks: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """Of the step: the worst of its findings, or what stands in place of one."""
        if self.step.nature is not Nature.STATED:
            return self.step.nature.value
        found = {f.verdict for f in self.findings}
        missing = f"not measured here; {self.step.measured_by} does"
        return next((v for v in ORDER if v in found), missing)


@dataclass(frozen=True)
class ProofMap:
    """The argument as a run found it.

    Attributes:
        steps: in the paper's order.
        controls: the steps that are false on purpose.
        met: whether the networks meet the paper's assumptions.
        alarms: what must not be: a true step refuted, a false one that nothing contradicts.
        errata: errors in printed equations, with what was measured of them.
    """

    steps: tuple[StepResult, ...]
    controls: tuple[StepResult, ...]
    met: bool
    alarms: tuple[str, ...]
    errata: tuple[tuple[Erratum, str | None], ...]

    @property
    def measured(self) -> bool:
        """Whether anything of it was."""
        return any(result.findings for result in self.steps)


def proof_map(
    findings: Sequence[Finding], table: pd.DataFrame, terms: JudgingTerms, met: bool
) -> ProofMap:
    """What a run says of each step of the argument.

    Args:
        findings: of the run.
        table: its measurements.
        terms: what verdicts are judged by.
        met: whether the networks meet the paper's assumptions.

    Returns:
        The map; steps of which nothing was measured are in it, too.
    """
    found = Found(findings, table, terms, met)
    results = [_result(step, found) for step in STEPS_OF_THE_PAPER]
    said = remarks(found)
    steps = tuple(replace(r, remarks=said.get(r.step.name, ())) for r in results)
    controls = tuple(
        StepResult(
            Step(c.id, "", c.equation, c.statement, "", "", "", (c.id,)),
            found.of(c.id),
            found.sides[c.id],
        )
        for c in STEPS
        if c in FALSE_STEPS and found.of(c.id)
    )
    return ProofMap(steps, controls, met, tuple(_alarms(found, controls)),
                    tuple((e, e.number(found)) for e in ERRATA))  # fmt: skip


def _result(step: Step, found: Found) -> StepResult:
    own = [f for id in step.claims for f in found.of(id, step.rules)]
    sides = [
        s
        for id in step.claims
        for s in found.sides.get(id, ())
        if not step.rules or s.finding.question.rule in step.rules
    ]
    return StepResult(step, tuple(own), tuple(sides))


def _alarms(found: Found, controls: Sequence[StepResult]) -> list[str]:
    lines = []
    for claim in STEPS:
        if STEP_OF[claim.id].standing is Standing.TRUE:
            lines += [
                f"{claim.equation}, {where(f)}, is contradicted ({f.reason}): it is an inequality, "
                "so a formula is wrong, the paper's or ours"
                for f in found.of(claim.id)
                if f.verdict == "refuted"
            ]
    for control in controls:
        if not any(f.verdict == "refuted" for f in control.findings):
            lines.append(
                f"control {control.step.equation}: no network contradicts it, so that the step it "
                "was made from is hardly tested"
            )
    return lines
