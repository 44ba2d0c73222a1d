"""How often verdicts on real networks are wrong: judged at small widths, checked at larger ones.

    python benchmarks/truth.py measure --out truth      # hours of CPU time; what is done is kept
    python benchmarks/truth.py judge --out truth        # seconds; prints the tables

48 configurations are generated (activation, depth, data, points, outputs, T short and long, small
widths), none of them chosen by what it gives. Every claim is judged as ``ntkalign verify`` does at
the small widths, and again at widths sixteen times larger, which with theory (below) tell what is
true. The configurations stand in two halves; what was chosen while which of them was known is in
docs/statistics.md.

**Theory**, for smooth activations, all widths growing, bounded T: every claim is true but two.
‖W_1^t − W_1^0‖_op/√m_0 and the norms of Δ_1 and Σ_1/m_0 stay of order one (m_0 is the input's size
and does not grow), so (20) is false for l = 1; ‖Δ_l‖_op/√m_{l−1} tends to 0 for l ≥ 2, so App. A's
last remark is false there.
"""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro
from rich.progress import Progress

ACTIVATIONS = ("tanh", "erf", "sin", "softplus", "gelu", "silu")
WIDTHS = ((16, 32, 64, 128), (32, 64, 128, 256), (16, 64, 256))
FALLS = (1.5, 3.0, 10.0, 30.0)
"""By how much the linearised loss falls until T: short and long training."""
FACTOR, SEEDS, LARGE_SEEDS = 16, 16, 6
COUNT = 48
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "OMP_NUM_THREADS": "1",
              "JAX_PLATFORMS": "cpu"}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What is run, by the names of the settings; ``time`` follows from ``fall`` if it is None."""

    name: str
    part: str
    options: dict[str, Any]
    fall: float | None = None
    large: tuple[int, ...] = ()
    large_seeds: int = LARGE_SEEDS


def generated() -> Iterator[Configuration]:
    """The 48 of the benchmark; even ones are the first half."""
    for index in range(COUNT):
        rng = np.random.default_rng([2026, index])
        sphere = bool(rng.integers(2))
        widths = WIDTHS[rng.integers(len(WIDTHS))]
        options = {
            "activation": str(rng.choice(ACTIVATIONS)),
            "depth": int(rng.integers(2, 6)),
            "data": "sphere" if sphere else "digits",
            "points": int(rng.choice((4, 8, 16))),
            "outputs": int(rng.choice((1, 2, 4))) if sphere else None,
            "widths": widths,
            "seeds": SEEDS,
        }
        fall = float(rng.choice(FALLS))
        large = tuple(FACTOR * m for m in widths)
        yield Configuration(f"g{index:02}", "ab"[index % 2], options, fall, large)


def strained() -> Iterator[Configuration]:
    """Those in which small networks had left the lazy regime, and verdicts had been wrong."""
    doubling = (16, 32, 64, 128, 256)
    for name, options in {
        "s1": {"depth": 4, "time": 20.0, "widths": (64, 128, 256, 512)},
        "s2": {"depth": 6, "widths": doubling},
        "s3": {"points": 32, "time": 30.0, "widths": doubling},
        "s4": {"activation": "sin", "depth": 4, "data": "sphere", "time": 59.0,
               "widths": doubling},
        "s5": {"activation": "silu", "points": 16, "widths": doubling},
        "s6": {"activation": "gelu", "depth": 4, "data": "sphere", "points": 16,
               "widths": (64, 256, 1024)},
        "s7": {"activation": "gelu", "depth": 5, "data": "sphere", "outputs": 1, "time": 240.0,
               "widths": (32, 64, 128, 256)},
        "s8": {"activation": "gelu", "depth": 5, "data": "sphere", "outputs": 1, "time": 240.0,
               "widths": (256, 512, 1024, 2048, 4096), "seeds": 4},
        "s9": {"activation": "gelu", "depth": 5, "data": "sphere", "outputs": 1,
               "widths": (32, 64, 128, 256)},
    }.items():  # fmt: skip
        yield Configuration(name, "strained", {"seeds": SEEDS} | options)


# --- measuring -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Measure:
    """Train and measure every network; what is done is kept."""

    out: Path
    """folder of the tables"""
    processes: int = 0
    """at once, one core each; 0: one for each core"""
    minutes: float = math.inf
    """after which no network sweep is begun"""
    only: str = ""
    """names of configurations begin with this"""
    sides: tuple[str, ...] = ("small", "large")
    """which widths"""


def measure(flags: Measure) -> None:
    """All tables that are not there."""
    flags.out.mkdir(parents=True, exist_ok=True)
    every = [*generated(), *strained()]
    jobs = [
        (c, side)
        for c in every
        for side in flags.sides
        if (side == "small" or c.large) and c.name.startswith(flags.only)
    ]
    jobs = [job for job in jobs if not (flags.out / _file(*job)).exists()]
    jobs.sort(key=lambda job: -_work(*job))
    os.environ.update(ONE_THREAD)
    context = multiprocessing.get_context("spawn")
    workers = flags.processes or os.cpu_count() or 1
    began = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=context) as pool, Progress() as bar:
        task = bar.add_task("networks", total=len(jobs))
        futures = [pool.submit(_measured, *job, flags.out, began + 60 * flags.minutes)
                   for job in jobs]  # fmt: skip
        for future in as_completed(futures):
            bar.update(task, advance=1, description=future.result())


def _measured(configuration: Configuration, side: str, folder: Path, end: float) -> str:
    """Measure the claims (no controls) of one configuration."""
    if time.monotonic() > end:
        return "skipped"
    from ntkalign import verify
    from ntkalign.claims.questions import questions
    from ntkalign.rules import CONTROLS
    from ntkalign.runs.suite import THEORY

    suite = dataclasses.replace(
        THEORY,
        ask=lambda s, ids: [
            q for q in questions(s.family, s.rules, controls=CONTROLS, only=ids) if not q.control
        ],
        predict=lambda settings, data, times: None,
    )
    began = time.monotonic()
    result = verify(settings_of(configuration, side), suite=suite)
    took = time.monotonic() - began
    table = result.table.assign(time_T=result.settings.time, seconds=took)
    file = folder / _file(configuration, side)
    table.to_csv(file.with_suffix(".tmp"), index=False, compression="gzip")
    file.with_suffix(".tmp").rename(file)
    return f"{configuration.name} {side}: {took:.0f} s"


def settings_of(configuration: Configuration, side: str) -> Any:
    """The settings of one sweep, T included."""
    from ntkalign import Settings
    from ntkalign.data import catalogue
    from ntkalign.kernels.training_time import choose_time

    settings = Settings(**configuration.options)
    if configuration.fall is not None:
        data = catalogue.load(settings.data, points=settings.points, outputs=settings.outputs)
        settings = dataclasses.replace(
            settings, time=choose_time(settings.family, data, configuration.fall)
        )
    if side == "large":
        settings = dataclasses.replace(
            settings, widths=configuration.large, seeds=configuration.large_seeds
        )
    return settings


def _file(configuration: Configuration, side: str) -> str:
    return f"{configuration.name}-{side}.csv.gz"


def _work(configuration: Configuration, side: str) -> float:
    widths = configuration.large if side == "large" else configuration.options["widths"]
    seeds = configuration.large_seeds if side == "large" else configuration.options["seeds"]
    return seeds * configuration.options.get("depth", 3) * sum(500.0**2 + m**2 for m in widths)


# --- judging ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Judge:
    """Judge what was measured, and print the tables as Markdown."""

    out: Path
    """folder of the tables"""


def judge(flags: Judge) -> None:
    """One line for each configuration, and one for each part."""
    parts = {"a": "first half", "b": "second half", "strained": "strained"}
    totals: dict[str, Counter[str]] = {part: Counter() for part in parts}
    heading = (
        "configuration", "T", "widths", "ε, first and last width", "hold", "refuted", "undecided",
        "wrong", "wrong, ε unknown", "least p of those",
    )  # fmt: skip
    lines = [heading, ("---",) * len(heading)]
    for configuration in (*generated(), *strained()):
        found = {
            side: _judged(configuration, table)
            for side in ("small", "large")
            if (table := _table(flags.out, configuration, side)) is not None
        }
        count = totals[configuration.part]
        for side, judged in found.items():
            lines.append(_line(configuration, judged))
            for name, value in judged.counts.items():
                count[f"{side} {name}"] += value
            count[f"{side} configurations"] += 1
        if len(found) == 2:
            count["contradicted"] += _contradictions(found["small"], found["large"])
    print("\n".join("| " + " | ".join(line) + " |" for line in lines), "\n")
    columns = ("configurations", "verdicts", "decided", "decided, ε unknown", "wrong",
               "wrong, ε unknown", "wrong with p < 1e-4")  # fmt: skip
    print("| part | widths | " + " | ".join(columns) + " | contradicted by the larger widths |")
    print("|" + "---|" * (len(columns) + 3))
    for part, title in parts.items():
        for side in ("small", "large"):
            if totals[part][f"{side} configurations"]:
                cells = [str(totals[part][f"{side} {column}"]) for column in columns]
                last = str(totals[part]["contradicted"]) if side == "small" else ""
                print(f"| {title} | {side} | " + " | ".join(cells) + f" | {last} |")


@dataclasses.dataclass(frozen=True)
class Judged:
    """The verdicts on one sweep."""

    time: float
    widths: tuple[int, ...]
    expansion: tuple[float, ...]
    findings: tuple[Any, ...]
    blind: tuple[Any, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        wrong, blind = _wrong(self.findings), _wrong(self.blind)
        return {
            "verdicts": len(self.findings),
            "decided": sum(f.verdict != "undecided" for f in self.findings),
            "decided, ε unknown": sum(f.verdict != "undecided" for f in self.blind),
            "wrong": len(wrong),
            "wrong, ε unknown": len(blind),
            "wrong with p < 1e-4": sum((f.adjusted_p or 0.0) < 1e-4 for f in wrong),
        }


def _table(folder: Path, configuration: Configuration, side: str) -> pd.DataFrame | None:
    file = folder / _file(configuration, side)
    return pd.read_csv(file) if file.exists() else None


def _judged(configuration: Configuration, table: pd.DataFrame) -> Judged:
    """As a run would, and as if nothing were known of the regime."""
    from ntkalign import Settings
    from ntkalign.claims.regime import Regime
    from ntkalign.claims.verdicts import JudgingTerms, correct_findings, judge_question

    options = {k: v for k, v in configuration.options.items() if k not in ("widths", "seeds")}
    widths = tuple(sorted(int(m) for m in table["width"].unique()))
    seeds = int(table["seed"].nunique())
    settings = Settings(**options, widths=widths, seeds=seeds)
    regime = Regime.of(table)
    assert regime is not None
    verdicts = []
    for known in (regime, None):
        terms = JudgingTerms(settings.confidence, 1.0, settings.paired, widths, seeds, known)
        verdicts.append(
            correct_findings(
                judge_question(q, table, assumptions_met=True, terms=terms)
                for q in _claims(settings)
            )
        )
    time = float(table["time_T"].iloc[0])
    return Judged(time, widths, regime.expansion, verdicts[0], verdicts[1])


def _claims(settings: Any) -> list[Any]:
    """The questions of a run that are no controls."""
    from ntkalign.claims.questions import questions
    from ntkalign.rules import CONTROLS

    asked = questions(settings.family, settings.rules, controls=CONTROLS)
    return [q for q in asked if not q.control]


def true_by_theory(question: Any) -> bool:
    """Whether a claim is true of smooth activations, growing widths and bounded T."""
    first = question.layer == 1
    if question.claim.id == "lemma-1/weights":
        return not first
    if question.claim.id == "proposition-1/interpretation":
        return first
    return True


def _wrong(findings: Iterable[Any]) -> list[Any]:
    """The verdicts that theory contradicts."""
    return [
        f
        for f in findings
        if f.verdict != "undecided" and (f.verdict == "holds") != true_by_theory(f.question)
    ]


def _contradictions(small: Judged, large: Judged) -> int:
    """How many verdicts the larger widths turn round."""
    pairs = zip(small.findings, large.findings, strict=True)
    return sum({a.verdict, b.verdict} == {"holds", "refuted"} for a, b in pairs)


def _line(configuration: Configuration, judged: Judged) -> tuple[str, ...]:
    options = {"activation": "tanh", "depth": 3, "data": "digits", "points": 8}
    options |= configuration.options
    outputs = f", {options['outputs']} outputs" if options.get("outputs") else ""
    verdicts = Counter(f.verdict for f in judged.findings)
    p = [f.adjusted_p for f in _wrong(judged.blind) if f.adjusted_p is not None]
    return (
        f"{configuration.name} {options['activation']}, depth {options['depth']}, "
        f"{options['points']} {options['data']}{outputs}",
        f"{judged.time:g}", ", ".join(map(str, judged.widths)),
        f"{judged.expansion[0]:.2f}, {judged.expansion[-1]:.2f}",
        *(str(verdicts[name]) for name in ("holds", "refuted", "undecided")),
        str(judged.counts["wrong"]), str(judged.counts["wrong, ε unknown"]),
        f"{min(p):.0e}" if p else "",
    )  # fmt: skip


def main() -> None:
    """What the command line asks for."""
    flags = tyro.cli(Measure | Judge, description=__doc__)
    if isinstance(flags, Measure):
        measure(flags)
    else:
        judge(flags)


if __name__ == "__main__":
    main()
