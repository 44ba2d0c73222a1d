"""Findings put together for a table a person can read: layers that agree share a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ntkalign.claims.claim import BOTTLENECK, Question
from ntkalign.claims.verdicts import Finding
from ntkalign.rules import RULES


def rule_title(name: str) -> str:
    """How a rule is called where people read; one of the user's own, by its name."""
    rule = RULES.get(name)
    return name if rule is None else rule.title or name


def asked_of(question: Question) -> str:
    """The rule that a question is about, and the family where it is not the main one."""
    name = rule_title(question.rule)
    return f"{name}, {question.claim.size.kept}" if question.family == BOTTLENECK else name


def layer_title(layer: int, network: str = "mlp") -> str:
    """How a layer of weights is called where people read."""
    if network == "rnn":
        return {1: "input weights", 2: "recurrent weights", 3: "readout"}.get(layer, f"{layer}")
    return f"layer {layer}"


def runs(numbers: Iterable[int]) -> str:
    """Numbers in order, neighbours as a range, such as 1–3, 5."""
    found: list[list[int]] = []
    for n in numbers:
        if found and n == found[-1][-1] + 1:
            found[-1].append(n)
        else:
            found.append([n])
    return ", ".join(f"{r[0]}" if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in found)


@dataclass(frozen=True)
class Row:
    """Findings about one statement and rule with one verdict."""

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        """Any of them: claim, rule and verdict are the same for all."""
        return self.findings[0]

    @property
    def rule(self) -> str:
        """The rule, and the family where it is not the main one."""
        return asked_of(self.first.question)

    @property
    def layers(self) -> str:
        """Such as 1–3, 5; nothing for a claim about the whole network."""
        return runs(sorted(f.question.layer for f in self.findings if f.question.layer is not None))

    @property
    def exponent(self) -> str:
        """The exponent nearest to failing (the largest), with its interval."""
        rated = [f.rate for f in self.findings if f.rate is not None]
        if not rated:
            return "–"
        rate = max(rated, key=lambda r: r.exponent)
        return f"{rate.exponent:.2f} [{rate.interval[0]:.2f}, {rate.interval[1]:.2f}]"

    @property
    def p_value(self) -> str:
        """The largest p-value of the claim being true, corrected for all verdicts."""
        values = [f.p_value if f.adjusted_p is None else f.adjusted_p for f in self.findings]
        known = [p for p in values if p is not None]
        if not known:
            return ""
        return f"{max(known):.2g}" if max(known) >= 0.001 else "<0.001"

    @property
    def tightness(self) -> str:
        """The tightness that all share, or nothing."""
        kinds = {f.tightness or "" for f in self.findings}
        return kinds.pop() if len(kinds) == 1 else "mixed"

    @property
    def assumptions(self) -> str:
        """A mark where the paper's assumptions are not met."""
        return "" if self.first.assumptions_met else "outside its assumptions"


def rows(findings: Iterable[Finding]) -> list[Row]:
    """Group findings by statement, rule, family and verdict, in the order they come."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for f in findings:
        q = f.question
        key = (q.claim, q.family, q.rule, f.verdict)
        groups.setdefault(key, []).append(f)
    return [Row(tuple(group)) for group in groups.values()]
