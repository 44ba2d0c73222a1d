"""How often intervals cover and verdicts err, on synthetic sweeps whose exponents are known.

    python benchmarks/coverage.py --sweeps 2000            # fixed laws, nothing known of the regime
    python benchmarks/coverage.py --sweeps 2000 --drift    # laws whose corrections grow with ε

A sweep is q(m, s) = m^p (1 + correction) exp(noise); the claim is O(m^-1/2). *Covered*: the 95 %
interval holds p. *False*: a claim that is true is refuted. *Power*: one that is wrong by 0.25
(p = −1/4) is. *Passed*: one that is wrong by 0.25 is found to hold. Verdicts are those of a single
claim, and as one of 44, which is what the standard preset asks.

With ``--drift`` the expansion parameter ε(m) is planted, ε at the smallest width from 0.05 to 0.8,
and corrections to the law are of its size: of either sign, with a logarithm, or a crossover to
another law where ε is large. The fit is told ε, as that of a run is.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import tyro

from ntkalign.runs.settings import Settings
from ntkalign.statistics.corrections import Expansion
from ntkalign.statistics.judgement import FAMILY_LEVEL, Bound, Kind, judge
from ntkalign.statistics.rates import Rate, fit

STATED = -0.5
SHORTFALL = 0.25
CLAIM = Bound(Kind.BOUND, STATED)
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
FIXED = ((0.0, 1.0), (0.5, 0.5), (1.0, 0.5), (1.0, 1.0), (-0.5, 0.5))
"""Size and decay of a correction a (m/m₁)^−ω."""
DRIFTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)


@dataclasses.dataclass(frozen=True)
class Law:
    """A law with exponent p, and what a fit is told of it.

    Attributes:
        name: for the table.
        bent: log of the law over m^p, from m/m₁.
        expansion: ε from m/m₁; None if it is not known.
    """

    name: str
    bent: Callable[[np.ndarray], np.ndarray]
    expansion: Callable[[np.ndarray], np.ndarray] | None = None


def fixed_laws() -> list[Law]:
    """Pure, with corrections that the model has, and with one that it has not."""

    def law(a: float, w: float) -> Law:
        name = "pure" if a == 0 else f"1 {a:+g} (m/m₁)^-{w:g}"
        return Law(name, lambda r: np.log1p(a * r**-w))

    return [law(a, w) for a, w in FIXED]


def strained_laws() -> list[Law]:
    """With corrections of the size of ε, which falls like m^-1/2 where it is small."""
    laws = []
    for size in DRIFTS:

        def lazy(r: np.ndarray, size: float = size) -> np.ndarray:
            return size * r**-0.5

        def full(r: np.ndarray, size: float = size) -> np.ndarray:  # levels off at 1
            x = size / (1 - size) * r**-0.5
            return x / (1 + x)

        def over(r: np.ndarray, size: float = size) -> np.ndarray:
            return size / (1 - size) * r**-0.5

        named: dict[str, tuple[Any, Any]] = {
            "pure": (lambda r: 0 * r, lazy),
            "1 + ε": (lambda r, e=lazy: np.log1p(e(r)), lazy),
            "1 − ε": (lambda r, e=lazy: np.log1p(-e(r)), lazy),
            "1 − ε²": (lambda r, e=lazy: np.log1p(-e(r) ** 2), lazy),
            "1 − ε/2 (1 + ½ log)": (
                lambda r, e=lazy: np.log1p(-e(r) / 2 * (1 + np.log(r) / 2)), lazy
            ),
            "1/(1 + ε log)": (lambda r, s=size: -np.log1p(s * np.log(r)), lazy),
            "levels off": (lambda r, x=over: -np.log1p(x(r)), full),
            "levels off, sharply": (lambda r, x=over: -np.log1p(x(r) ** 2) / 2, full),
            "falls faster at first": (lambda r, x=over: np.log1p(x(r)), full),
        }  # fmt: skip
        laws += [Law(f"{size:g}: {name}", *both) for name, both in named.items()]
    return laws


def noise(kind: str, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Noise of log q: normal, or Student's t with 3 degrees of freedom and the same scale."""
    name, scale = kind.split()
    draws = rng.standard_t(3, size) if name == "t3" else rng.standard_normal(size)
    common = COMMON * rng.standard_normal((size[0], 1)) if name == "shared" else 0.0
    return common + float(scale) * draws


def case(sweeps: int, design: str, kind: str, number: int, drift: bool) -> dict[str, Any]:
    """The shares of one row; where ε is planted, also those of a fit that is not told it."""
    law = (strained_laws() if drift else fixed_laws())[number]
    widths, seeds = DESIGNS[design]
    m = np.asarray(widths, float)
    bent = law.bent(m / m[0])
    told = {"": law.expansion and Expansion(tuple(law.expansion(m / m[0])))}
    if drift:
        told[BLIND] = None
    counts = {f"{name}{how}": 0.0 for how in told for name in SHARES}
    rng = np.random.default_rng([len(widths), seeds, number, *map(ord, kind + law.name)])
    for _ in range(sweeps):
        for wrong in (False, True):
            p = STATED + SHORTFALL * wrong
            logs = p * np.log(m) + bent + noise(kind, (seeds, len(m)), rng)
            shared = kind.startswith("shared")
            for how, expansion in told.items():
                rate = fit(widths, np.exp(logs.T), shared=shared, expansion=expansion)
                for name in SHARES:
                    counts[f"{name}{how}"] += _counts(rate, name, wrong, p) / sweeps
    return {"design": design, "noise": kind, "law": law.name} | counts


SHARES = ("length", "covered", "false", "false, 1 of 44", "power", "power, 1 of 44", "passed")
BLIND = ", ε unknown"


def _counts(rate: Rate, name: str, wrong: bool, p: float) -> float:
    """What one sweep adds to a share, or to the mean length of intervals."""
    low, high = rate.interval
    if name in ("length", "covered"):
        return 0.0 if wrong else high - low if name == "length" else float(low <= p <= high)
    verdict, _, _, p_value = judge(CLAIM, rate)
    if name == "passed":
        return float(wrong and verdict == "holds")
    if name.endswith("1 of 44") and p_value * MANY > FAMILY_LEVEL:
        return 0.0
    return float(wrong == name.startswith("power") and verdict == "refuted")


def summary(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """The worst over all else: the least coverage, the most false verdicts, the range of power."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    lines = []
    for key, group in groups.items():
        line: dict[str, Any] = dict(zip(keys, key, strict=True))
        for how in ("", BLIND) if f"covered{BLIND}" in group[0] else ("",):
            line[f"covered{how}"] = min(row[f"covered{how}"] for row in group)
            for name in ("false", "false, 1 of 44", "passed"):
                line[f"{name}{how}"] = max(row[f"{name}{how}"] for row in group)
            standard = [row[f"power{how}"] for row in group if row["design"] == "standard"]
            line[f"least power, standard{how}"] = min(standard) if standard else ""
        lines.append(line)
    return lines


@dataclasses.dataclass(frozen=True)
class Flags:
    """How many sweeps."""

    sweeps: int = 2000
    """synthetic sweeps for each row"""
    drift: bool = False
    """laws whose corrections grow with a planted ε"""
    noises: tuple[str, ...] = NOISES
    """kinds of noise"""
    full: bool = False
    """a row for each design, noise and law, not only the worst of them"""


def main() -> None:
    """Print the table as Markdown."""
    flags = tyro.cli(Flags, description=__doc__)
    count = len(strained_laws() if flags.drift else fixed_laws())
    cases = list(itertools.product(DESIGNS, flags.noises, range(count), (flags.drift,)))
    with ProcessPoolExecutor() as pool:
        rows = list(pool.map(partial(case, flags.sweeps), *zip(*cases, strict=True)))
    shown = rows if flags.full else summary(rows, ("law",) if flags.drift else ("design", "law"))
    print(f"{flags.sweeps} sweeps a row; noise {', '.join(flags.noises)}; shares in %\n")
    for line in (
        list(shown[0]),
        ["---"] * len(shown[0]),
        *([_cell(name, value) for name, value in row.items()] for row in shown),
    ):
        print("| " + " | ".join(line) + " |")


def _cell(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}" if name.startswith("length") else f"{100 * value:.1f}"


if __name__ == "__main__":
    main()
