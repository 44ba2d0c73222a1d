"""The argument, step by step, as a person reads it: on pages, in the terminal, as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ntkalign.claims.claim import Kind
from ntkalign.claims.proof import PROOF_CLAIMS
from ntkalign.claims.proof_found import Sides, contradicted
from ntkalign.claims.proof_map import ProofMap, StepResult
from ntkalign.claims.proof_steps import Nature
from ntkalign.claims.verdicts import Finding
from ntkalign.quantities.proof_catalogue import Standing
from ntkalign.report.mathematics import mathml
from ntkalign.report.rows import layer_title, rule_title
from ntkalign.report.rows import rows as rows_of
from ntkalign.runs.record import Verification
from ntkalign.statistics.rates import Rate

TOLD = {
    "holds": ("holds on every network", "hold on every network"),
    "refuted": ("is contradicted by some", "are contradicted by some"),
    "undecided": ("is undecided", "are undecided"),
}
COLOURS = {"holds": "green", "refuted": "red", "undecided": "yellow"}
HOW_TO_READ = (
    "Each step of the paper's argument beside what was measured of it. Both sides of an inequality "
    "are measured on every network over time: left/right above 1 refutes it. right/left is how "
    "loose it is; where its exponent lies above 0, the step loses a power of the width m."
)


@dataclass(frozen=True)
class Line:
    """One row of numbers under a step."""

    rule: str
    layers: str
    verdict: str
    numbers: str


@dataclass(frozen=True)
class StepView:
    """One step as pages show it."""

    result: StepResult
    lines: tuple[Line, ...]

    @property
    def is_measured(self) -> bool:
        """Whether this run has anything to say of it; of others one line is enough."""
        return bool(self.result.findings or self.result.remarks)

    @property
    def formula(self) -> Markup:
        """As MathML."""
        return Markup(mathml(self.result.step.latex, display=True))

    @property
    def mark(self) -> str:
        """The class of its verdict, for colours."""
        return self.result.verdict if self.result.verdict in COLOURS else "other"


@dataclass(frozen=True)
class ProofView:
    """The map as pages show it."""

    map: ProofMap
    sections: tuple[tuple[str, tuple[StepView, ...]], ...]
    controls: tuple[str, ...]
    note: str
    how_to_read: str = HOW_TO_READ


def proof_view(result: Verification) -> ProofView | None:
    """The map of a run; None of one that has nothing to do with the argument.

    Args:
        result: of ``ntkalign verify`` or ``proof``.

    Returns:
        Sections with their steps, controls, errata and alarms.
    """
    found = result.proof
    if not found.measured:
        return None
    network = result.settings.network
    steps = [StepView(r, tuple(_lines(r, network))) for r in found.steps]
    sections = tuple(
        (name, tuple(group)) for name, group in groupby(steps, lambda s: s.result.step.section)
    )
    note = ""
    if not found.met:
        note = (
            "These networks are outside the paper's assumptions (activation, layer of fixed width, "
            "output scale): nothing is promised of them; what is measured is shown all the same."
        )
    return ProofView(found, sections, tuple(map(_control, found.controls)), note)


def in_short(view: ProofView) -> list[str]:
    """The argument in a few sentences, for a first page."""
    stated = [s.result for _, steps in view.sections for s in steps if s.lines]
    true = [r for r in stated if any(s.step.standing is Standing.TRUE for s in r.sides)]
    own = [r for r in true if r.step.nature is Nature.STATED]
    count = Counter(r.verdict for r in own)
    lines = list(view.map.alarms)
    if own:
        told = [
            f"{count[verdict]} {text[count[verdict] > 1]}"
            for verdict, text in TOLD.items()
            if count[verdict]
        ]
        lines.append(f"Of {len(own)} inequalities of the proofs, {', '.join(told)}.")
    if view.controls:
        caught = sum(any(f.verdict == "refuted" for f in c.findings) for c in view.map.controls)
        lines.append(
            f"Of {len(view.controls)} steps that are false on purpose {caught} were caught."
        )
    return lines


def proof_json(result: Verification) -> dict[str, object] | None:
    """The map as plain values; None of a run that has nothing to do with the argument."""
    view = proof_view(result)
    if view is None:
        return None
    return {
        "steps": [
            {
                "section": s.result.step.section,
                "equation": s.result.step.equation,
                "statement": s.result.step.statement,
                "latex": s.result.step.latex,
                "computed_by": s.result.step.computed_by,
                "checked": s.result.step.checked,
                "verdict": s.result.verdict,
                "remarks": list(s.result.remarks),
                "measured": [vars(line) for line in s.lines],
            }
            for _, steps in view.sections
            for s in steps
        ],
        "controls": list(view.controls),
        "alarms": list(view.map.alarms),
        "errata": [
            {"equation": e.equation, "printed": e.printed, "should": e.should, "why": e.why,
             "measured": number}
            for e, number in view.map.errata
        ],
    }  # fmt: skip


def is_proof(result: Verification) -> bool:
    """Whether a run asked about steps of the proofs."""
    return any(f.question.claim in PROOF_CLAIMS for f in result.findings)


def print_proof(result: Verification, console: Console) -> None:
    """Print the argument, step by step."""
    view = proof_view(result)
    if view is None:
        return
    if view.note:
        console.print(Text(view.note, style="bold"))
    for section, steps in view.sections:
        console.print(Text(f"\n{section}", style="bold underline"))
        for step in steps:
            _print_step(step.result, console)
    console.print(Text("\nSteps that are false on purpose", style="bold underline"))
    for line in view.controls:
        console.print(Text(f"  {line}"))
    console.print(Text("\nErrors in printed equations", style="bold underline"))
    for erratum, number in view.map.errata:
        found = f" [{number}]" if number else ""
        console.print(
            Text(f"  {erratum.equation}: {erratum.printed}; should be {erratum.should}{found}")
        )
    for alarm in view.map.alarms:
        console.print(Text(f"ALARM: {alarm}", style="bold red"))


def _print_step(result: StepResult, console: Console) -> None:
    """A step: what it says and its verdict, how that was found, its numbers, what follows."""
    step = result.step
    verdict = (result.verdict, f"bold {COLOURS.get(result.verdict, 'default')}")
    console.print(Text.assemble((step.equation, "bold"), "  ", verdict, f"  {step.statement}"))
    found = f"; {_short(result)}" if _short(result) else ""
    how = Text(f"{step.computed_by}: {step.checked}{found}", style="dim")
    console.print(Padding(how, (0, 0, 0, 4)))
    for remark in result.remarks:
        console.print(Padding(Text(f"→ {remark}"), (0, 0, 0, 4)))


def _control(result: StepResult) -> str:
    counts = [contradicted(f) for f in result.findings]
    caught, networks = sum(k for k, _ in counts), sum(n for _, n in counts)
    where = {f.question.layer for f in result.findings} - {None}
    of = (
        "networks and layers"
        if len(where) > 1
        else "networks and rules"
        if len(counts) > 1
        else "networks"
    )
    return f"control {result.step.equation}: refuted on {caught} of {networks} {of}"


def _short(result: StepResult) -> str:
    """One cell of the terminal."""
    shares = [v for s in result.sides for row in s.finding.values for v in row]
    if shares:
        ratios = [s.ratio for s in result.sides if s.ratio is not None]
        rates = [s.looseness.exponent for s in result.sides if s.looseness is not None]
        text = f"left/right ≤ {max(shares):.3g}"
        text += f"; right/left {_span(ratios)} at the largest width" if ratios else ""
        return text + (f", as m^{_span(rates)}" if rates else "")
    rates = [f.rate.exponent for f in result.findings if f.rate is not None]
    if rates:
        return f"m^{_span(rates)}"
    return result.findings[0].reason if result.findings else ""


def _span(values: list[float]) -> str:
    low, high = (f"{v:.2g}" for v in (min(values), max(values)))
    return low if low == high else f"{low} … {high}"


def _lines(result: StepResult, network: str) -> Iterator[Line]:
    """Inequalities layer by layer, other findings as the table of verdicts has them."""
    by_finding = {id(s.finding): s for s in result.sides}
    others = []
    for finding in result.findings:
        if id(finding) in by_finding:
            yield _side_line(by_finding[id(finding)], network)
        else:
            others.append(finding)
    for finding in (f for f in others if f.question.claim.kind is Kind.IDENTITY):
        layer = _layer(finding, network)
        yield Line(rule_title(finding.question.rule), layer, finding.verdict, finding.reason)
    for row in rows_of(f for f in others if f.question.claim.kind is not Kind.IDENTITY):
        numbers = f"{row.first.question.claim.statement}: m^p, p = {row.exponent}"
        verdict = f"{row.first.verdict}, {row.tightness}" if row.tightness else row.first.verdict
        yield Line(row.rule, row.layers, verdict, numbers)


def _layer(finding: Finding, network: str) -> str:
    layer = finding.question.layer
    return "" if layer is None else layer_title(layer, network)


def _side_line(sides: Sides, network: str) -> Line:
    question = sides.finding.question
    layer = _layer(sides.finding, network)
    parts = [sides.finding.reason]
    if sides.ratio is not None:
        parts.append(f"right/left is {sides.ratio:.3g} at width {sides.finding.widths[-1]}")
    parts += [
        f"{name} m^p, p = {rate.exponent:.2f} [{rate.interval[0]:.2f}, {rate.interval[1]:.2f}]"
        for name, rate in _named(sides)
        if rate is not None
    ]
    return Line(rule_title(question.rule), layer, sides.finding.verdict, "; ".join(parts))


def _named(sides: Sides) -> tuple[tuple[str, Rate | None], ...]:
    return ("left", sides.left), ("right", sides.right), ("right/left", sides.looseness)
