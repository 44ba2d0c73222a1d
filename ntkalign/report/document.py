"""The report as a document: everything that its pages show, in the order of its parts.

First the verdicts in plain sentences, then a section for each claim, then training, how to read it
all, and where it comes from. The templates lay it out as HTML and as Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ntkalign.claims.claim import Claim
from ntkalign.report.accuracy import accuracy
from ntkalign.report.alt_texts import over_training_alt, scaling_alt, training_alt
from ntkalign.report.pages import embedded
from ntkalign.report.proof_map import ProofView, in_short, proof_view
from ntkalign.report.provenance import command, facts
from ntkalign.report.sections import Section, network_of, sections
from ntkalign.report.sentences import (
    Sentence,
    headline,
    on_assumptions,
    on_chance,
    on_controls,
    sentences,
)
from ntkalign.report.terminal import (
    networks,
    partial_line,
    points,
    regime,
    seeds,
    trained,
    warnings,
)
from ntkalign.runs.record import Verification
from ntkalign.statistics.judgement import OF_EVERY_NETWORK

TITLES = {"holds": "What holds", "refuted": "What is refuted", "undecided": "What is open"}


@dataclass(frozen=True)
class FirstPage:
    """What a reader has to know, in sentences."""

    headline: str
    controls: list[str]
    chance: str
    assumptions: str
    warnings: list[str]
    regime: str
    sentences: Mapping[str, list[Sentence]]
    titles: Mapping[str, str]
    argument: list[str]

    @classmethod
    def of(cls, result: Verification, parts: list[Section], proof: ProofView | None) -> FirstPage:
        """Of a run and the sections that follow."""
        return cls(
            headline=headline(result),
            controls=on_controls(result),
            chance=on_chance(result),
            assumptions=on_assumptions(result),
            warnings=warnings(result),
            regime=regime(result),
            sentences=sentences(parts, result),
            titles=TITLES,
            argument=in_short(proof) if proof else [],
        )


def document(
    result: Verification, folder: Path, plots: Mapping[Claim, Path], **training: Path | None
) -> dict[str, Any]:
    """What the templates of a report lay out.

    Args:
        result: of a run.
        folder: that the pages will lie in.
        plots: the scaling plot of each claim.
        **training: ``curve`` and ``training``, the plots about training, if there are any.

    Returns:
        Names of the templates with their values.
    """
    network = network_of(result)
    alts = {
        claim: scaling_alt(
            claim, [f for f in result.findings if f.question.claim == claim], network
        )
        for claim in plots
    }
    rates = [f for f in result.findings if f.question.claim.kind not in OF_EVERY_NETWORK]
    parts = sections(replace(result, findings=tuple(rates)), plots, alts)
    proof = proof_view(result)
    drawn = [path for path in (*plots.values(), *training.values()) if path is not None]
    return {
        "result": result,
        "partial": partial_line(result),
        "facts": facts(result.environment, accuracy=accuracy(result)),
        "page": FirstPage.of(result, parts, proof),
        "sections": parts,
        "proof": proof,
        "points": points(result.config),
        "networks": networks(result.config),
        "seeds": seeds(result.config),
        "trained": trained(result),
        "size": result.settings.kind.size,
        "images": {path: embedded(path) for path in drawn},
        "files": {path: path.relative_to(folder).as_posix() for path in drawn},
        "training_alt": training_alt(result) if training.get("curve") else "",
        "over_training_alt": over_training_alt(result) if training.get("training") else "",
        "command": command(result),
        **training,
    }
