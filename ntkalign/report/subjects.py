"""Of whom something is said: rules and layers, in few words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ntkalign.claims.verdicts import Finding
from ntkalign.report.rows import asked_of, layer_title, runs

SPELLED = {"ntk": "NTK", "nngp": "NNGP", "cnn": "CNN", "rnn": "RNN", "jacobian": "Jacobian"}


def claim_title(id: str) -> str:
    """A claim's id as a heading: proposition-1/discrepancy is Proposition 1: discrepancy."""
    parts = []
    for part in id.split("/"):
        names = [SPELLED.get(name, name) for name in part.split("-")]
        if len(names) > 1 and len(names[-1]) == 1:  # appendix-d
            names[-1] = names[-1].upper()
        parts.append(" ".join(names))
    text = ": ".join(parts)
    return text[:1].upper() + text[1:]


def listed(names: Iterable[str]) -> str:
    """Names with commas between them, and an *and* before the last."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def layers_of(layers: Iterable[int | None], network: str) -> str:
    """Such as layers 1–3; nothing for what is said of the whole network."""
    numbers = sorted({n for n in layers if n is not None})
    if not numbers:
        return ""
    if network == "rnn":
        return listed(layer_title(n, network) for n in numbers)
    return f"layer{'s' * (len(numbers) > 1)} {runs(numbers)}"


def subjects(findings: Sequence[Finding], network: str) -> str:
    """Rules and layers; rules that it is said of in the same layers stand together."""
    layers: dict[str, list[int | None]] = {}
    for finding in findings:
        layers.setdefault(asked_of(finding.question), []).append(finding.question.layer)
    rules: dict[str, list[str]] = {}
    for rule, own in layers.items():
        rules.setdefault(layers_of(own, network), []).append(rule)
    return "; ".join(
        ", ".join(filter(None, (listed(names), where))) for where, names in rules.items()
    )
