"""What a plot shows, in words and numbers, for those who do not see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ntkalign.cells.cell import OK
from ntkalign.claims.claim import MAIN, Claim
from ntkalign.claims.verdicts import Finding
from ntkalign.quantities.catalogue import over_time
from ntkalign.report.reasons import number
from ntkalign.report.rows import rule_title
from ntkalign.report.subjects import subjects
from ntkalign.runs.record import Verification
from ntkalign.runs.table import losses

OVER_TRAINING: dict[str, tuple[str, tuple[str, ...]]] = {
    "1 minus the alignment score": ("misalignment", ("normal",)),
    "the gap of Proposition 1 relative to what moved": ("alignment-gap-relative", ("normal",)),
    "divergence from gradient descent": ("divergence", ()),
}
"""What is drawn over training, and of which rules; of all if there are none."""


def scaling_alt(claim: Claim, findings: Sequence[Finding], network: str) -> str:
    """A scaling plot: from where to where each line goes, and how steeply."""
    text = f"Scaling plot of {claim.quantity} against width."
    for control in (False, True):
        own = [f for f in findings if f.question.control is control]
        rated = [f for f in own if f.rate is not None]
        for rule in dict.fromkeys((f.question.rule, f.question.family) for f in rated):
            lines = [f for f in rated if (f.question.rule, f.question.family) == rule]
            text += f" {'Control ' * control}{subjects(lines, network)}: {_from_to(lines)}."
        unrated = [f for f in own if f.rate is None]
        if unrated:
            text += f" {'Control ' * control}{subjects(unrated, network)}: no exponent."
    return claim.size.say(text)


def training_alt(result: Verification) -> str:
    """The training curves: the loss at the beginning and at the end."""
    table = losses(result.table)
    ends = "; ".join(
        f"width {width}: from {_range(rows.iloc[:, 0])} to {_range(rows.iloc[:, -1])}"
        for width, rows in table.groupby("width")
    )
    text = f"Loss of gradient descent against time, until {table.columns[-1]:g}. {ends}."
    return result.settings.kind.size.say(text)


def over_training_alt(result: Verification) -> str:
    """What goes on over training: each quantity's typical value at the end, at the ends of widths.

    Args:
        result: of a run.

    Returns:
        For each quantity and rule the largest over layers of its mean over networks.
    """
    table = result.table[(result.table["family"] == MAIN) & (result.table["status"] == OK)]
    parts = []
    for name, (quantity, rules) in OVER_TRAINING.items():
        own = table[table["quantity"] == over_time(quantity)]
        own = own[own["rule"].isin(rules)] if rules else own
        for rule in dict.fromkeys(own["rule"]):
            rows = own[(own["rule"] == rule) & (own["time"] == own["time"].max())]
            worst = rows.groupby(["width", "layer"], dropna=False)["value"].mean()
            by_width = worst.groupby("width").max()
            ends = [
                f"{by_width[m]:.2g} at width {m}" for m in (by_width.index[0], by_width.index[-1])
            ]
            parts.append(f"{name}{'' if rules else ' of ' + rule_title(rule)} {' and '.join(ends)}")
    text = f"Against time, at the end and in the worst layer: {'; '.join(parts)}."
    return result.settings.kind.size.say(text)


def _range(values: Iterable[float]) -> str:
    """The least and the largest, with two digits."""
    numbers = list(values)
    least, largest = f"{min(numbers):.2g}", f"{max(numbers):.2g}"
    return least if least == largest else f"{least}–{largest}"


def _from_to(findings: Sequence[Finding]) -> str:
    """Typical values at the ends, layer by layer, and the exponents."""
    rates = [f.rate for f in findings if f.rate is not None]
    first = ", ".join(f"{rate.typical[0]:.2g}" for rate in rates)
    last = ", ".join(f"{rate.typical[-1]:.2g}" for rate in rates)
    exponents = ", ".join(number(rate.exponent) for rate in rates)
    widths = findings[0].widths
    return (
        f"{first} at width {widths[0]} and {last} at width {widths[-1]}, "
        f"exponent{'s' * (len(rates) > 1)} {exponents}"
    )
