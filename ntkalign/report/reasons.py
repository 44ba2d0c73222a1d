"""Reasons of several findings, each said once, with the rules and layers that share it.

A reason is clauses with semicolons between them. Clauses that are the same but for their numbers
are one, with the range of each number: exponents and intervals stand in the table beside it, and
are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from ntkalign.claims.verdicts import Finding

MEASURED = re.compile(
    r"^exponent -?[\d.]+ in \[-?[\d.]+, -?[\d.]+\](?P<where>, over widths in the regime,)? ?"
)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+\.\d+")


def number(value: float, digits: int = 2) -> str:
    """A number as it is printed in pages, with a minus sign and without a minus zero."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def signed(text: str) -> str:
    """A text with minus signs where hyphens stand before numbers."""
    return re.sub(r"(?<![\w)\]])-(?=\d)", "−", text)


def between(values: Iterable[float]) -> str:
    """One number, or the least and the largest of several."""
    texts = {number(v): v for v in values}
    least, largest = (pick(texts, key=lambda text: texts[text]) for pick in (min, max))
    return least if least == largest else f"{least} to {largest}"


def shared_reasons(findings: Sequence[Finding]) -> list[tuple[tuple[Finding, ...], str]]:
    """Every reason once, with the findings that share it.

    Args:
        findings: about one statement.

    Returns:
        Reasons in the order in which they come up; neighbours of the same findings are joined.
    """
    clauses: dict[str, list[tuple[Finding, list[str]]]] = {}
    for finding in findings:
        for clause in _clauses(finding.reason):
            pattern = NUMBER.sub("\0", clause)
            clauses.setdefault(pattern, []).append((finding, NUMBER.findall(clause)))
    said = [
        (tuple(finding for finding, _ in own), _fill(pattern, [numbers for _, numbers in own]))
        for pattern, own in clauses.items()
    ]
    return [
        (subjects, "; ".join(text for _, text in own))
        for subjects, own in groupby(said, key=lambda one: one[0])
    ]


def _clauses(reason: str) -> Iterator[str]:
    for clause in reason.split("; "):
        found = MEASURED.match(clause)
        rest = clause[found.end() :] if found else clause
        if found and rest:
            rest = f"the exponent{found['where'] or ''} {rest}"
        if rest:
            yield rest


def _fill(pattern: str, numbers: Sequence[Sequence[str]]) -> str:
    """Numbers in their places, those that differ as a range."""
    parts = pattern.split("\0")
    text = parts[0]
    for part, slot in zip(parts[1:], zip(*numbers, strict=True), strict=True):
        least, largest = min(slot, key=float), max(slot, key=float)
        text += (least if least == largest else f"{least} to {largest}") + part
    return signed(text)
