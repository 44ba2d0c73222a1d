"""The verdicts in plain sentences, for the first page of a report.

Sentences are made of findings: what holds and how sharply, what is refuted and what follows, what
is open and what would decide it, whether the controls were caught. What a refutation would mean is
declared beside each claim, before anything is measured. Mathematics stands between dollars, see
:mod:`ntkalign.report.mathematics`; whatever a user may have named goes through its ``words``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ntkalign.claims.claim import Claim, Kind
from ntkalign.claims.verdicts import MAX_ERROR_SHARE, Finding
from ntkalign.report.mathematics import words
from ntkalign.report.reasons import between, number, shared_reasons
from ntkalign.report.sections import Section, Statement, network_of, stated
from ntkalign.report.subjects import claim_title, listed, subjects
from ntkalign.runs.record import Verification
from ntkalign.statistics.judgement import (
    DECAY,
    FAMILY_LEVEL,
    MEAN_MARGIN,
    RESOLUTION,
    Bound,
    thresholds,
)

VERDICTS = ("holds", "refuted", "undecided")
REMEDY = re.compile(r"; (add|pass) [^;]*$")
UNKNOWN_MEANING = "What is derived from it has no support in these networks."


@dataclass(frozen=True)
class Sentence:
    """What is said of a claim on the first page.

    Attributes:
        section: where the rest of it stands.
        statement: the one it is about.
        verdict: that it reports.
        text: one sentence or two.
        meaning: what follows for the theory, unless it was said before.
    """

    section: Section
    statement: Statement
    verdict: str
    text: str
    meaning: str = ""


def headline(result: Verification) -> str:
    """How many statements got which verdict."""
    count = Counter(f.verdict for f in result.claims)
    total = len(result.claims)
    if not total:
        return "No statement was tested."
    told = {
        "holds": f"{_hold(count['holds'])} in this run",
        "refuted": f"{_be(count['refuted'])} refuted as stated",
        "undecided": f"{_be(count['undecided'])} open",
    }
    if total in count.values():
        (verdict,) = count
        every = f"All {total} statements" if total > 1 else "The one statement"
        return f"{every} {told[verdict]}."
    parts = [f"{count[verdict]} {told[verdict]}" for verdict in VERDICTS if count[verdict]]
    return f"Of {total} statements {listed(parts)}."


def sentences(sections: Sequence[Section], result: Verification) -> dict[str, list[Sentence]]:
    """For each verdict what is said of the claims that got it; a claim may be under several."""
    found: dict[str, list[Sentence]] = {verdict: [] for verdict in VERDICTS}
    for section in sections:
        for statement in section.statements:
            for verdict in VERDICTS:
                own = [
                    f for f in statement.findings if f.verdict == verdict and not f.question.control
                ]
                if own:
                    said = [sentence.meaning for sentence in found[verdict]]
                    meaning = _meaning(statement.claim, own) if verdict == "refuted" else ""
                    text = SAYING[verdict](statement.claim, own, result)
                    found[verdict].append(
                        Sentence(section, statement, verdict, text, meaning * (meaning not in said))
                    )
    return found


def on_controls(result: Verification) -> list[str]:
    """Whether what must be found wrong was."""
    total, count = len(result.controls), Counter(f.verdict for f in result.controls)
    if not total:
        return ["There were no controls in this run: nothing shows that a failure would be seen."]
    if count["refuted"] == total:
        every = f"All {total} controls" if total > 1 else "The one control"
        return [f"{every}, which must not hold, {_were(total)} refuted."]
    told = [f"{count['refuted']} {_were(count['refuted'])} refuted"]
    if count["undecided"]:
        told.append(f"{count['undecided']} {_be(count['undecided'])} undecided")
    lines = [f"Of {total} controls, which must not hold, {listed(told)}."]
    if count["undecided"]:
        open_ones = [f for f in result.controls if f.verdict == "undecided"]
        lines.append(f"Those that are undecided ({_titles(open_ones)}) weigh on neither side.")
    if count["holds"]:
        lines.append(
            f"{count['holds']} passed: the checks of {_titles(result.passed_controls)} prove "
            "nothing."
        )
    return lines


def on_chance(result: Verification) -> str:
    """How likely any false refutation is; nothing if nothing was tested."""
    tested = sum(f.adjusted_p is not None for f in result.claims)
    if not tested:
        return ""
    looks = result.config.get("looks", 1)
    text = (
        f"{tested} statements were tested at once, so that the chance of any false refutation is "
        f"at most {FAMILY_LEVEL * result.spend:.2g}"
    )
    if isinstance(looks, int) and looks > 1:
        text += f" (after {looks} looks at the data, of which this one may spend 1/{2**looks})"
    return f"{text}."


def on_assumptions(result: Verification) -> str:
    """How many statements are outside the paper's assumptions; nothing if none is."""
    outside = sum(not f.assumptions_met for f in result.claims)
    if not outside:
        return ""
    which = "All" if outside == len(result.claims) else f"{outside} of {len(result.claims)}"
    return (
        f"{which} statements are outside the paper's assumptions here (activation, readout, "
        "normalisation or scaling): what was measured is shown, and speaks neither for nor "
        "against the paper."
    )


def _holds(claim: Claim, findings: Sequence[Finding], result: Verification) -> str:
    """What holds, group by group of how sharply."""
    groups: dict[tuple[str | None, bool], list[Finding]] = {}
    for f in findings:
        groups.setdefault((f.tightness, f.rate is None), []).append(f)
    parts = []
    for (tightness, _), own in groups.items():
        how = _how_it_holds(claim, tightness, own)
        who = _who(own, result)
        parts.append(f"{how} ({who})" if who else how)
    return _sentence("; ".join(parts)) + _vanishing_whole(claim, findings, result)


def _how_it_holds(claim: Claim, tightness: str | None, findings: Sequence[Finding]) -> str:
    if claim.kind is Kind.ZERO_MEAN:
        return f"the mean lies within {MEAN_MARGIN:g} of 0"
    rates = [f.rate for f in findings if f.rate is not None]
    if not rates:
        return f"it is zero, up to rounding, at every {claim.size.name}"
    exponents = _measured(findings)
    if claim.kind is Kind.PERSISTS:
        return f"it does not decay: {exponents}"
    if claim.kind is Kind.VANISHES:
        return f"it decays: {exponents}"
    if tightness == "sharp":
        return f"it decays as stated: {exponents}"
    if tightness == "loose":
        return f"it decays faster than the stated {stated(claim)}: {exponents}"
    return (
        f"it decays a little more slowly than stated, though by less than the {RESOLUTION:g} that "
        f"the test resolves: {exponents}"
    )


def _vanishing_whole(claim: Claim, findings: Sequence[Finding], result: Verification) -> str:
    """A warning where a bound holds only because all of what it is part of vanishes."""
    hollow = [f for f in findings if f.companion is not None and f.companion.interval[1] > DECAY]
    if claim.kind is not Kind.BOUND or not hollow:
        return ""
    measured = between(f.companion.exponent for f in hollow if f.companion is not None)
    who = _who(hollow, result)
    return (
        f" Relative to what it is a part of it is not shown to decay (exponent {measured}"
        f"{'; ' + who if who else ''})."
    )


def _refuted(claim: Claim, findings: Sequence[Finding], result: Verification) -> str:
    rates = [f.rate for f in findings if f.rate is not None]
    who = _who(findings, result)
    if claim.kind is Kind.ZERO_MEAN:
        how = f"the mean does not lie within {MEAN_MARGIN:g} of 0"
    elif not rates:
        how = f"it is zero, up to rounding, at every {claim.size.name}"
    else:
        exponents = _measured(findings)
        if claim.kind is Kind.PERSISTS:
            how = f"it decays: {exponents}"
        elif claim.stated_exponent is not None:
            how = f"it decays more slowly than {stated(claim)}, if at all: {exponents}"
        else:
            how = f"it does not tend to 0: {exponents}"
    return _sentence(how + (f" ({who})" if who else ""))


def _meaning(claim: Claim, findings: Sequence[Finding]) -> str:
    if all(f.assumptions_met for f in findings):
        return words(claim.if_refuted) or UNKNOWN_MEANING
    return "These networks are outside the paper's assumptions, of which this says nothing."


def _undecided(claim: Claim, findings: Sequence[Finding], result: Verification) -> str:
    near = [f for f in findings if _is_near(f)]
    far = [f for f in findings if f not in near]
    parts = []
    if near:
        lines = " nor above ".join(number(line) for line in dict.fromkeys(thresholds(
            Bound(claim.kind, claim.stated_exponent)
        )))  # fmt: skip
        neither = f"neither below {lines}" if " nor " in lines else f"on neither side of {lines}"
        parts.append(_with(_who(near, result), f"{_measured(near)}, {neither}"))
    for own, reason in shared_reasons(far):
        parts.append(_with(_who(own, result), words(REMEDY.sub("", reason))))
    remedies = dict.fromkeys(remedy(f, result) for f in findings)
    text = _sentence("; ".join(parts) or "there is no verdict")
    return f"{text} What would decide it: {'; '.join(remedies)}."


def _is_near(finding: Finding) -> bool:
    """Whether nothing but the width of its interval stands in the way."""
    rate, tail = finding.rate, finding.upper_quantile
    return (
        rate is not None
        and rate.decides
        and "verdicts that may be chance" not in finding.reason
        and (tail is None or not tail.disagrees)
    )


def _measured(findings: Sequence[Finding]) -> str:
    """Exponents, and what their intervals reach over."""
    rates = [f.rate for f in findings if f.rate is not None]
    measured = between(rate.exponent for rate in rates)
    low = number(min(rate.interval[0] for rate in rates))
    high = number(max(rate.interval[1] for rate in rates))
    if len(rates) == 1:
        return f"exponent {measured}, interval [{low}, {high}]"
    return f"exponent{'s' * (' to ' in measured)} {measured}, intervals within [{low}, {high}]"


def remedy(finding: Finding, result: Verification) -> str:
    """What would decide an open question, from what stands in the way.

    Args:
        finding: without a verdict.
        result: the run it is of.

    Returns:
        What to add or change, as the end of a sentence.
    """
    values = [v for row in finding.values for v in row]
    if not values:
        return "measuring it: there are no numbers of it"
    if not all(map(math.isfinite, values)):
        return "networks whose flow does not fail (see the warnings)"
    if finding.question.claim.kind is Kind.ZERO_MEAN and finding.p_value is not None:
        return "more seeds"
    rate = finding.rate
    if rate is None:
        share = finding.error_share
        if share is not None and share > MAX_ERROR_SHARE:
            return "a smaller tolerance of the flow"
        return "values that are all there, positive and of every network"
    if not rate.decides:
        found = result.regime
        return f"networks that training moves less{f': {found.remedy}' if found else ''}"
    if finding.upper_quantile is not None and finding.upper_quantile.disagrees:
        return "more seeds, since rare networks scale unlike typical ones"
    return f"more seeds or larger {finding.question.claim.size.name}s"


SAYING: dict[str, Callable[[Claim, Sequence[Finding], Verification], str]] = {
    "holds": _holds,
    "refuted": _refuted,
    "undecided": _undecided,
}


def _who(findings: Sequence[Finding], result: Verification) -> str:
    """Rules and layers; nothing where they are all there are of one rule and no layer."""
    claim = findings[0].question.claim
    asked = [f for f in result.claims if f.question.claim == claim]
    if len(asked) == 1:
        return ""
    return words(subjects(findings, network_of(result)))


def _with(who: str, text: str) -> str:
    return f"{who}: {text}" if who else text


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _hold(count: int) -> str:
    return "holds" if count == 1 else "hold"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _titles(findings: Sequence[Finding]) -> str:
    return words(listed(dict.fromkeys(claim_title(f.question.claim.id) for f in findings)))
