"""The main job: measure every claim, judge it, and say where the numbers came from."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import subprocess
import tempfile
import time as clock
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ntkalign.cells.flow import Cell
from ntkalign.cells.infinite_width import Predictions, predictions
from ntkalign.claims.claim import MAIN, Question
from ntkalign.claims.questions import questions
from ntkalign.claims.verdicts import Finding, JudgingTerms, correct_findings, judge_question
from ntkalign.data import catalogue as data_module
from ntkalign.data.catalogue import Data
from ntkalign.devices import devices
from ntkalign.errors import InputError
from ntkalign.kernels.training_time import choose_time
from ntkalign.rules import CONTROLS
from ntkalign.runs.settings import Settings
from ntkalign.runs.sweep import Measure, run_sweep
from ntkalign.version import __version__

WIDER, WIDEST = 4, 16384
"""By what factor a width is added to a run that is to decide more, and up to which."""


@dataclass(frozen=True)
class Verification:
    """What a run found.

    Attributes:
        config: all settings as plain values, with the training time that was used.
        environment: versions, device, precision, revision, seconds, memory.
        findings: the claims, then the controls.
        table: the tidy table of measurements.
        limit_loss: the loss at the saved times at infinite width, if it was predicted.
    """

    config: dict[str, object]
    environment: dict[str, object]
    findings: tuple[Finding, ...]
    table: pd.DataFrame
    limit_loss: tuple[float, ...] | None = None

    @property
    def title(self) -> str:
        """What the run was about; reports of before there were several said nothing of it."""
        return str(self.config.get("title", THEORY.title))

    @property
    def spend(self) -> float:
        """The share of all error probabilities that this look at the data may use."""
        return float(str(self.config.get("spend", 1.0)))

    @property
    def claims(self) -> tuple[Finding, ...]:
        """The answers to what the paper claims."""
        return tuple(f for f in self.findings if not f.question.control)

    @property
    def controls(self) -> tuple[Finding, ...]:
        """The answers for what must not hold."""
        return tuple(f for f in self.findings if f.question.control)

    @property
    def passed_controls(self) -> tuple[Finding, ...]:
        """Controls that were found to hold: then the check proves nothing."""
        return tuple(f for f in self.controls if f.verdict == "holds")

    @property
    def failures(self) -> list[str]:
        """One line for each flow that failed: which, and why."""
        failed = self.table[self.table["status"] != "ok"]
        cells = failed[["family", "width", "seed", "rule", "status"]].drop_duplicates()
        return [
            f"{family} network, width {width}, seed {seed}, rule {rule}: {status}"
            for family, width, seed, rule, status in cells.itertuples(index=False)
        ]


@dataclass(frozen=True)
class Suite:
    """What is asked of a family of networks, and how one of them is measured.

    Attributes:
        title: the report's heading.
        ask: the questions, from checked settings and the ids of claims.
        prepare: from checked settings and all data, how one network is measured; None is the
            theory's way.
        predict: from checked settings, the training points and T, what infinitely wide networks
            do, if the plots are to show it.
        held_out: data points that are not trained on, after the P that are.
    """

    title: str
    ask: Callable[[Settings, Iterable[str]], list[Question]]
    prepare: Callable[[Settings, Data], Measure | None]
    predict: Callable[[Settings, Data, float], Predictions] | None = None
    held_out: int = 0


THEORY = Suite(
    "Does it hold at finite width? Boopathy & Fiete (ICML 2022), measured",
    lambda s, only: questions(s.family, s.rules, controls=CONTROLS, only=only),
    lambda s, data: None,
    predictions,
)


def verify(
    settings: Settings | None = None,
    *,
    suite: Suite = THEORY,
    claims: Iterable[str] = (),
    cells: Path | None = None,
    fresh: bool = False,
    until_decided: bool = False,
    budget: float | None = None,
    progress: Callable[[Cell, int, int], None] = lambda cell, done, total: None,
) -> Verification:
    """Measure claims and judge them.

    Several looks at growing data would inflate every error probability. With ``until_decided`` the
    k-th look therefore spends 2^−k of each (of 1 − confidence, and of both levels of refutation),
    which add up to no more than one look would spend, whenever one stops.

    Args:
        settings: what to run; the defaults if None.
        suite: what is asked; the paper's claims by default.
        claims: ids of the claims to ask about; all if empty.
        cells: a folder where finished networks are stored and looked for; None stores nothing.
        fresh: ignore what is stored there.
        until_decided: go on with more seeds, or a larger width, while claims are undecided.
        budget: minutes after which ``until_decided`` stops; no look is begun that would, by the
            time of those before, end later.
        progress: called when a network is finished, with it, how many are done and how many
            there are.

    Raises:
        InputError: if the settings, the data or the budget cannot be used.
    """
    began = clock.monotonic()
    if budget is not None and not (until_decided and budget > 0):
        raise InputError(
            "budget", budget, must="be positive and given with until_decided", got=repr(budget),
            because="it says when to stop adding networks", do="pass --until-decided --budget 10",
        )  # fmt: skip
    settings = (settings or Settings()).checked()
    data = data_module.load(
        settings.data,
        points=settings.points,
        held_out=suite.held_out,
        inputs=settings.inputs,
        outputs=settings.outputs,
        directory=settings.data_dir,
    )
    if settings.time is None:
        train = data.first(settings.points)
        settings = replace(settings, time=choose_time(settings.family, train))
    time = settings.time
    assert time is not None
    asked = suite.ask(settings, claims)
    measure = suite.prepare(settings, data)
    with tempfile.TemporaryDirectory() as scratch:
        store = cells or (Path(scratch) if until_decided else None)
        measured, look = 0, 0
        while True:
            look += 1
            spend = 0.5**look if until_decided else 1.0
            terms = JudgingTerms(
                settings.confidence, spend, settings.paired, settings.widths, settings.seeds
            )
            sweep = run_sweep(
                settings, data, time, asked, store,
                measure=measure, fresh=fresh and look == 1, progress=progress,
            )  # fmt: skip
            measured += sweep.measured
            met = settings.family.meets_assumptions
            findings = correct_findings(
                (
                    judge_question(
                        q, sweep.table, assumptions_met=q.family == MAIN and met, terms=terms
                    )
                    for q in asked
                ),
                spend,
            )
            larger = enlarged(settings, findings) if until_decided else None
            if larger is None:
                break
            seconds = clock.monotonic() - began
            if budget and seconds * _work(larger) / _work(settings) > 60 * budget:
                break
            settings = larger
    predicted, no_prediction = None, None
    if suite.predict is not None and settings.output_exponent == 0:
        try:
            predicted = suite.predict(settings, data, time)
        except InputError as error:  # what was measured is not lost over lines in the plots
            no_prediction = str(error)
    if predicted is not None:
        findings = tuple(
            replace(f, limit=predicted.values.get((f.question.claim.quantity, f.question.layer)))
            if f.question.family == MAIN
            else f
            for f in findings
        )
    config = settings.as_json() | {"inputs": data.x.shape[1], "outputs": data.y.shape[1]}
    config |= {
        "title": suite.title,
        "no_prediction": no_prediction,
        "held_out": suite.held_out,
        "until_decided": until_decided,
        "budget": budget,
        "looks": look,
        "spend": spend,
    }
    environment = _environment() | {
        "seconds": round(clock.monotonic() - began, 1),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "flows": _flows(sweep.table),
        "networks_measured": measured,
        "networks_reused": sweep.measured + sweep.reused - measured,
    }
    loss = None if predicted is None else predicted.loss
    return Verification(config, environment, findings, sweep.table, loss)


def enlarged(settings: Settings, findings: Iterable[Finding]) -> Settings | None:
    """Settings with more networks for what is undecided; None if nothing is, or it cannot help.

    A wider network if corrections to scaling (which more seeds do not tell apart from the exponent)
    take up more of most undecided intervals than noise does; else twice as many seeds.
    """
    open_ones = [
        f.rate.all
        for f in findings
        if f.verdict == "undecided" and f.rate is not None and not f.question.control
    ]
    if not open_ones:
        return None
    bent = sum(e.shift[1] - e.shift[0] > 4 * e.error for e in open_ones)
    if 2 * bent > len(open_ones) and WIDER * settings.widths[-1] <= WIDEST:
        return replace(settings, widths=(*settings.widths, WIDER * settings.widths[-1]))
    return replace(settings, seeds=2 * settings.seeds)


def _work(settings: Settings) -> float:
    """What a run takes, in arbitrary units: wide networks by their area, narrow ones alike."""
    return settings.seeds * sum(1000.0**2 + m**2 for m in settings.widths)


def _flows(table: pd.DataFrame) -> dict[str, object]:
    """How many flows each engine ran, its iterations or steps, and the largest stated error."""
    steps = {e: table[table["quantity"] == f"{e}-steps"]["value"] for e in ("spectral", "dense")}
    stated = table[table["quantity"] == "estimated-error"]["value"]
    return {
        **{engine: len(values) for engine, values in steps.items()},
        **{f"{e}_steps": int(values.sum()) for e, values in steps.items()},
        "largest_stated_error": float(stated.max()) if len(stated) else None,
    }


def _environment() -> dict[str, object]:
    packages = ("jax", "diffrax", "neural-tangents", "numpy", "scipy", "pandas", "scikit-learn")
    return {
        "versions": {
            "ntkalign": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
        },
        "device": str(devices()[0].device_kind),
        "precision": "float64",
        "git_revision": _revision(),
    }


def _revision() -> str | None:
    """The commit of the source tree that is running, with + if it was changed since."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
