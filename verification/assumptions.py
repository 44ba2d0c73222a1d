"""What the assumptions are for: two measurements, with each of them kept or broken.

A smooth and a rough nonlinearity, equal and unequal widths, a layer of fixed width, mean-field
output scaling, and a rule whose feedback is 1.1 times the true one. The last three must not
converge.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ntkalign import Rule, Settings, backpropagate, current_activity
from ntkalign.claims.claim import BOTTLENECK
from ntkalign.claims.theory import JACOBIAN_DRIFT, PROPOSITION_2
from ntkalign.claims.verdicts import Finding
from ntkalign.cli.entry import begin
from ntkalign.cli.flags import Asked, VerifyFlags, parse
from ntkalign.cli.main import guarded
from ntkalign.cli.verify import run_verification
from ntkalign.networks.base import Pass
from ntkalign.report import load_report
from ntkalign.report.style import FORMATS, PALETTE, STYLE, scaling_axis

OUT = Path("figures/assumptions")
QUESTIONS = ((JACOBIAN_DRIFT, "normal"), (PROPOSITION_2, "align-ada"))


def feedback_times_1_1(now: Pass, start: Pass, fixed: Any, e: Any) -> tuple[Any, ...]:
    """Backpropagation, ten per cent too strong."""
    return tuple(1.1 * s for s in backpropagate(weights=now, slopes=now, error=e))


SCALED = Rule("feedback-x1.1", feedback_times_1_1, current_activity, control=True)


def conditions(settings: Settings) -> dict[str, Settings]:
    """The variants of a run, by the name of their folder; the first is the run itself."""
    hidden = settings.depth - 1
    return {
        settings.activation.name: dataclasses.replace(settings, rules=("align-ada", SCALED)),
        "relu": dataclasses.replace(settings, activation="relu"),
        "unequal-widths": dataclasses.replace(
            settings, multipliers=tuple(2 if layer % 2 == 0 else 1 for layer in range(hidden))
        ),
        "mean-field": dataclasses.replace(settings, output_exponent=-0.5),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run every condition, keep its report, and draw them together."""
    return guarded("assumptions", lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: Sequence[str]) -> int:
    claims = ",".join(claim.id for claim, _ in QUESTIONS)
    default = VerifyFlags(run=Asked(base={"rules": ("align-ada",)}), claims=claims, out=OUT)
    flags = parse(VerifyFlags, argv, "assumptions", __doc__, default)
    variants = conditions(flags.settings())
    status = 0
    for name, settings in variants.items():
        own = dataclasses.replace(flags, out=flags.out / name)
        status = max(status, run_verification(own, settings))
    draw({name: load_report(flags.out / name).findings for name in variants}, flags.out)
    print(f"plot: {flags.out / 'assumptions.png'}")
    return status


def draw(findings: dict[str, tuple[Finding, ...]], folder: Path) -> None:
    """One panel per measurement, one colour per condition."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.8), layout="constrained")
        for axis, (claim, rule) in zip(figure.subplots(1, 2), QUESTIONS, strict=True):
            curves = {name: next(_find(found, claim, rule)) for name, found in findings.items()}
            base = next(iter(findings))
            curves["a layer of fixed width"] = next(
                _find(findings[base], claim, rule, family=BOTTLENECK)
            )
            if claim is PROPOSITION_2:
                curves["feedback × 1.1"] = next(_find(findings[base], claim, SCALED.name))
            for colour, (name, finding) in zip(PALETTE, curves.items(), strict=False):
                if finding.rate is None:
                    continue
                axis.fill_between(
                    finding.widths, *np.array(finding.rate.band).T, color=colour, alpha=0.15, lw=0
                )
                low, high = finding.rate.interval
                label = f"{name}: {finding.rate.exponent:.2f} [{low:.2f}, {high:.2f}]"
                axis.plot(
                    finding.widths, finding.rate.typical, color=colour,
                    label=label.replace(": -", ": −").replace(" -", " −").replace("[-", "[−"),
                )  # fmt: skip
            scaling_axis(axis, np.array(curves[base].widths, float))
            axis.set_yscale("log")
            axis.set_title(f"{claim.id} {claim.equation}, {rule}")
            axis.set_ylabel(claim.symbol)
            axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22))
        for suffix in FORMATS:
            figure.savefig(folder / f"assumptions.{suffix}")


def _find(findings: Sequence[Finding], claim: Any, rule: str, family: str = "main") -> Any:
    return (
        f
        for f in findings
        if (f.question.claim, f.question.rule, f.question.family) == (claim, rule, family)
    )


if __name__ == "__main__":
    begin(main, "assumptions")
