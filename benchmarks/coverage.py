"""How often intervals cover and verdicts err, on synthetic sweeps whose exponents are known.

    python benchmarks/coverage.py --sweeps 2000

A sweep is q(m, s) = m^p (1 + a (m/m₁)^−ω) exp(noise); the claim is O(m^-1/2). *Covered*: the 95 %
interval holds p. *False*: a claim that is true is refuted. *Power*: one that is wrong by 0.25
(p = −1/4) is. *Passed*: one that is wrong by 0.25 is found to hold. Verdicts are those of a single
claim, and as one of 44, which is what the standard preset asks.
"""

from __future__ import annotations

import dataclasses
import itertools
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from ntkalign.claims.theory import FEEDBACK_DRIFT
from ntkalign.claims.verdicts import FAMILY_LEVEL, judge
from ntkalign.runs.settings import Settings
from ntkalign.statistics.rates import fit

STATED = -0.5
SHORTFALL = 0.25
MANY = 44
NOISES = ("normal 0.2", "normal 0.5", "normal 0.8", "t3 0.5", "shared 0.2")
COMMON = 0.5
"""Noise that a seed has at every width, where seeds are shared; the rest is each network's own."""
DESIGNS: dict[str, tuple[tuple[int, ...], int]] = {
    "4 widths, 4 seeds": ((64, 128, 256, 512), 4),
    "4 widths, 32 seeds": ((64, 128, 256, 512), 32),
    "8 widths, 8 seeds": (tuple(32 * 2**k for k in range(8)), 8),
    "standard": (Settings().widths, Settings().seeds),
}
LAWS = ((0.0, 1.0), (0.5, 0.5), (1.0, 0.5), (1.0, 1.0), (-0.5, 0.5))


def noise(kind: str, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Noise of log q: normal, or Student's t with 3 degrees of freedom and the same scale."""
    name, scale = kind.split()
    draws = rng.standard_t(3, size) if name == "t3" else rng.standard_normal(size)
    common = COMMON * rng.standard_normal((size[0], 1)) if name == "shared" else 0.0
    return common + float(scale) * draws


def case(sweeps: int, design: str, kind: str, law: tuple[float, float]) -> dict[str, float | str]:
    """The shares of one row."""
    widths, seeds = DESIGNS[design]
    size, decay = law
    m = np.asarray(widths, float)
    bent = np.log1p(size * (m / m[0]) ** -decay)
    counts = dict.fromkeys(
        ("covered", "false", "false, 1 of 44", "power", "power, 1 of 44", "passed"), 0
    )
    width = 0.0
    rng = np.random.default_rng([len(widths), seeds, *map(ord, kind), int(100 * size) + 100])
    for _ in range(sweeps):
        for wrong in (False, True):
            p = STATED + SHORTFALL * wrong
            logs = p * np.log(m) + bent + noise(kind, (seeds, len(m)), rng)
            rate = fit(widths, np.exp(logs.T), shared=kind.startswith("shared"))
            verdict, _, _, p_value = judge(FEEDBACK_DRIFT, rate)
            among_many = verdict == "refuted" and p_value * MANY <= FAMILY_LEVEL
            low, high = rate.interval
            if wrong:
                counts["power"] += verdict == "refuted"
                counts["power, 1 of 44"] += among_many
                counts["passed"] += verdict == "holds"
            else:
                counts["covered"] += low <= p <= high
                counts["false"] += verdict == "refuted"
                counts["false, 1 of 44"] += among_many
                width += (high - low) / sweeps
    shares: dict[str, float | str] = {name: count / sweeps for name, count in counts.items()}
    law_name = "pure" if size == 0 else f"1 {size:+g} (m/m₁)^-{decay:g}"
    return {"design": design, "noise": kind, "law": law_name, "length": width} | shares


@dataclasses.dataclass(frozen=True)
class Flags:
    """How many sweeps."""

    sweeps: int = 2000
    """synthetic sweeps for each row"""


def main() -> None:
    """Print the table, also as Markdown."""
    flags = tyro.cli(Flags, description=__doc__)
    cases = list(itertools.product(DESIGNS, NOISES, LAWS))
    console = Console(width=140)
    with ProcessPoolExecutor() as pool:
        rows: list[dict[str, Any]] = list(
            pool.map(partial(case, flags.sweeps), *zip(*cases, strict=True))
        )
    table = Table(title=f"{flags.sweeps} sweeps a row; shares in %")
    for heading in rows[0]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    console.print(table)
    for line in (
        list(rows[0]),
        ["---"] * len(rows[0]),
        *([_cell(*i) for i in r.items()] for r in rows),
    ):
        print("| " + " | ".join(line) + " |")


def _cell(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}" if name == "length" else f"{100 * value:.1f}"


if __name__ == "__main__":
    main()
