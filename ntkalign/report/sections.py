"""A section of the report for each claim: what a page shows of it, ready to be laid out.

An id stands for one statement or more; each has a plot and a table. Layers share a row of it: one
row for each rule and kind of network, with a line for each layer in its cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ntkalign.claims.claim import Claim
from ntkalign.claims.verdicts import Finding
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.report.mathematics import power, translates, words
from ntkalign.report.reasons import number, shared_reasons
from ntkalign.report.rows import asked_of
from ntkalign.report.subjects import claim_title, layers_of, subjects
from ntkalign.runs.record import Verification


@dataclass(frozen=True)
class Cell:
    """What a row says of one layer: whose it is (nothing for all), the number, its interval."""

    layer: str
    text: str
    interval: str = ""


@dataclass(frozen=True)
class Line:
    """One row of a table: a rule in one kind of network, all of its layers.

    Attributes:
        findings: layer by layer.
        network: the kind of network, which names its layers.
    """

    findings: tuple[Finding, ...]
    network: str

    @property
    def rule(self) -> str:
        """The rule, and the family where it is not the main one."""
        return asked_of(self.findings[0].question)

    @property
    def exponents(self) -> list[Cell]:
        """The exponent of each layer with its interval."""
        return [
            Cell(self._layer(f), "–")
            if f.rate is None
            else Cell(self._layer(f), number(f.rate.exponent), _brackets(f.rate.interval))
            for f in self.findings
        ]

    @property
    def relative(self) -> list[Cell]:
        """The exponent of each layer's relative companion; nothing if there is none."""
        return [
            Cell(self._layer(f), number(f.companion.exponent), _brackets(f.companion.interval))
            for f in self.findings
            if f.companion is not None
        ]

    @property
    def p_values(self) -> list[Cell]:
        """The p-value of each layer, once if all print the same."""
        cells = [Cell(self._layer(f), _p(f)) for f in self.findings]
        return [Cell("", cells[0].text)] if len({cell.text for cell in cells}) == 1 else cells

    @property
    def verdicts(self) -> list[tuple[str, str, str]]:
        """Verdict, how tight, and of which layers, where they differ."""
        groups: dict[tuple[str, str], list[int | None]] = {}
        for f in self.findings:
            groups.setdefault((f.verdict, f.tightness or ""), []).append(f.question.layer)
        if len(groups) == 1:
            return [(*kind, "") for kind in groups]
        return [(*kind, layers_of(own, self.network)) for kind, own in groups.items()]

    @property
    def is_control(self) -> bool:
        """Whether it must not hold."""
        return self.findings[0].question.control

    def _layer(self, finding: Finding) -> str:
        return layers_of([finding.question.layer], self.network)


@dataclass(frozen=True)
class Statement:
    """One statement with all that was found about it.

    Attributes:
        claim: what is stated.
        findings: of rules and layers, then of controls.
        result: the run.
        plot: its scaling plot.
        alt: what that shows, in numbers.
    """

    claim: Claim
    findings: tuple[Finding, ...]
    result: Verification
    plot: Path | None = None
    alt: str = ""

    @property
    def anchor(self) -> str:
        """Where links to it lead; two statements of one id differ in their quantity."""
        return f"{self.claim.id}-{self.claim.quantity}".replace(" ", "_")

    @property
    def formula(self) -> str:
        """The statement with mathematics between dollars; in plain characters if it has none."""
        return formula(self.claim)

    @property
    def stated(self) -> str:
        """The stated rate, the same way."""
        return stated(self.claim)

    @property
    def symbol(self) -> str:
        """What is measured, the same way."""
        symbol = self.claim.symbol
        return symbol if translates(symbol) else words(symbol or self.claim.quantity)

    @property
    def has_layers(self) -> bool:
        """Whether it is asked of several layers, and its plot has a panel for each."""
        return len({f.question.layer for f in self.findings}) > 1

    @property
    def lines(self) -> list[Line]:
        """The rows of its table."""
        return self._lines(control=False)

    @property
    def controls(self) -> list[Line]:
        """The rows of its controls."""
        return self._lines(control=True)

    @cached_property
    def reasons(self) -> list[tuple[str, str]]:
        """Each reason once, with whose it is; nobody where it is everybody's."""
        return self._reasons(control=False) + self._reasons(control=True)

    @property
    def assumptions(self) -> str:
        """Whether the networks are such as the paper speaks of."""
        if all(f.assumptions_met for f in self.findings if not f.question.control):
            return "met by these networks"
        return (
            "not met: this run is outside its assumptions, and the verdict says nothing against "
            "the paper"
        )

    @property
    def error_budget(self) -> str:
        """The largest numerical error and what tells it, with mathematics between dollars."""
        shares = [f.error_share for f in self.findings if f.error_share is not None]
        record = QUANTITIES.get(self.claim.quantity)
        source = f"; it is told by {record.error_from.value}" if record else ""
        if not shares:
            return f"the numerical error has no share of a value{source}"
        return f"numerical error is at most {_share(max(shares))} of any value{source}"

    @property
    def statistics(self) -> str:
        """Networks, intervals and the correction, in one sentence."""
        parts = []
        for control in (False, True):
            own = [f for f in self.findings if f.question.control is control and f.values]
            widths = {f.widths for f in own}
            seeds = {len(row) for f in own for row in f.values}
            if own:
                kind = "controls: " if control else ""
                count = f"{min(seeds)}" if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
                sizes = "; ".join(", ".join(map(str, w)) for w in sorted(widths))
                parts.append(f"{kind}{count} networks at each of widths {sizes}")
        tested = sum(f.adjusted_p is not None for f in self.result.claims)
        confidence = float(self.result.config["confidence"])
        parts.append(f"{100 * confidence:g}\u00a0% intervals")
        if tested:
            parts.append(f"p corrected for {tested} verdicts (Holm)")
        return self.claim.size.say("; ".join(parts))

    def _lines(self, *, control: bool) -> list[Line]:
        groups: dict[tuple[str, str], list[Finding]] = {}
        for f in self.findings:
            if f.question.control is control:
                groups.setdefault((f.question.family, f.question.rule), []).append(f)
        return [Line(tuple(own), network_of(self.result)) for own in groups.values()]

    def _reasons(self, *, control: bool) -> list[tuple[str, str]]:
        own = [f for f in self.findings if f.question.control is control]
        everybody = f"{'all controls' if control else 'all'}" if len(own) > 1 else ""
        if control and len(own) == 1:
            everybody = "the control"
        return [
            (everybody if len(of) == len(own) else subjects(of, network_of(self.result)), text)
            for of, text in shared_reasons(own)
        ]


@dataclass(frozen=True)
class Section:
    """A claim's id, and its statements."""

    id: str
    statements: tuple[Statement, ...]

    @property
    def title(self) -> str:
        """Its heading."""
        return claim_title(self.id)

    @property
    def equation(self) -> str:
        """Where it is stated."""
        return "; ".join(dict.fromkeys(s.claim.equation for s in self.statements))

    @property
    def findings(self) -> list[Finding]:
        """What was found of it, without controls."""
        return [f for s in self.statements for f in s.findings if not f.question.control]

    @property
    def verdicts(self) -> list[str]:
        """Every verdict that a rule or layer of it got, the gravest first."""
        found = {f.verdict for f in self.findings}
        return [verdict for verdict in ("refuted", "undecided", "holds") if verdict in found]


def sections(
    result: Verification, plots: Mapping[Claim, Path], alts: Mapping[Claim, str]
) -> list[Section]:
    """A section for each claim's id, in the order in which they were asked.

    Args:
        result: of a run.
        plots: the scaling plot of each claim.
        alts: what it shows.

    Returns:
        Sections with all of the run's findings in them.
    """
    statements = [
        Statement(claim, tuple(f for f in result.findings if f.question.claim == claim), result,
                  plots.get(claim), alts.get(claim, ""))
        for claim in dict.fromkeys(f.question.claim for f in result.findings)
    ]  # fmt: skip
    ids = dict.fromkeys(s.claim.id for s in statements)
    return [Section(id, tuple(s for s in statements if s.claim.id == id)) for id in ids]


def formula(claim: Claim) -> str:
    """A claim's statement with mathematics between dollars, if it is declared and can be read."""
    return claim.formula if translates(claim.formula) else words(claim.statement)


def stated(claim: Claim) -> str:
    """What is stated of a quantity, with mathematics between dollars."""
    if claim.stated_exponent is None:
        return claim.kind.value
    return f"$O({power(claim.stated_exponent, claim.size.symbol)})$"


def network_of(result: Verification) -> str:
    """The kind of network of a run."""
    return str(result.config.get("network", "mlp"))


def _brackets(interval: Sequence[float]) -> str:
    return f"[{number(interval[0])}, {number(interval[1])}]"


def _p(finding: Finding) -> str:
    p = finding.p_value if finding.adjusted_p is None else finding.adjusted_p
    if p is None:
        return "–"
    return f"{p:.2g}" if p >= 0.001 else "< 0.001"


def _share(value: float) -> str:
    if value == 0:
        return "0"
    digit, power_of_ten = f"{value:.0e}".split("e")
    return f"${digit}\\times 10^{{{int(power_of_ten)}}}$"
