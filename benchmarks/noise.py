"""What shared initial outputs are worth: intervals of the same claims at the same cost.

    python benchmarks/noise.py --widths 64,256,1024 --seeds 16

Two runs of the same networks but for the last layer (shared or independent initial outputs). For
each claim: the exponent's standard error in both, their ratio (its square is how many times more
seeds independent networks would need), and the length of the 95 % interval, which also holds the
corrections to scaling that cannot be excluded.
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from ntkalign import Settings, verify
from ntkalign.claims.verdicts import Finding

jax.config.update("jax_enable_x64", True)


@dataclasses.dataclass(frozen=True)
class Flags:
    """What is run twice."""

    widths: str = "64,256,1024"
    """hidden units m"""
    seeds: int = 16
    """networks per width"""
    tolerance: float = 1e-5
    """of the flow"""


def main() -> None:
    """Print the table and the median gain, also as Markdown."""
    flags = tyro.cli(Flags, description=__doc__)
    widths = tuple(int(m) for m in flags.widths.split(","))
    found: dict[str, dict[tuple[object, ...], Finding]] = {}
    for how in ("independent", "shared"):
        settings = Settings(
            widths=widths, seeds=flags.seeds, tolerance=flags.tolerance, initial_outputs=how
        )
        result = verify(settings)
        found[how] = {
            (f.question.claim.id, f.question.claim.quantity, f.question.rule, f.question.layer): f
            for f in result.claims
        }
    table = Table(title=f"widths {flags.widths}, {flags.seeds} seeds: independent, shared")
    headings = (
        "quantity", "rule", "layer", "exponent", "", "standard error", "", "ratio", "length", "",
        "verdict", "",
    )  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="right")
    errors, lengths = [], []
    rows = []
    for (_, quantity, rule, layer), alone in found["independent"].items():
        shared = found["shared"][alone.question.claim.id, quantity, rule, layer]
        if alone.rate is None or shared.rate is None:
            continue
        error = [f.rate.all.error for f in (alone, shared) if f.rate]
        length = [f.rate.interval[1] - f.rate.interval[0] for f in (alone, shared) if f.rate]
        errors.append(error[0] / error[1])
        lengths.append(length[0] / length[1])
        rows.append(
            (
                quantity, rule, "" if layer is None else str(layer),
                f"{alone.rate.exponent:.2f}", f"{shared.rate.exponent:.2f}",
                f"{error[0]:.3f}", f"{error[1]:.3f}", f"{errors[-1]:.1f}",
                f"{length[0]:.2f}", f"{length[1]:.2f}", alone.verdict, shared.verdict,
            )
        )  # fmt: skip
    for row in rows:
        table.add_row(*row)
    console = Console(width=150)
    console.print(table)
    console.print(
        f"median ratio of standard errors {np.median(errors):.2f} "
        f"(quartiles {np.quantile(errors, 0.25):.2f}, {np.quantile(errors, 0.75):.2f}); "
        f"of interval lengths {np.median(lengths):.2f}"
    )
    for row in (headings, ["---"] * len(headings), *rows):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
