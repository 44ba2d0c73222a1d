"""The main job: measure every claim, judge it, and say where the numbers came from."""

from __future__ import annotations

import functools
import json
import time as clock
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ntkalign.cells.infinite_width import Predictions
from ntkalign.cells.trained import FILE as TRAINED
from ntkalign.cells.trained import Trained
from ntkalign.cells.work import of_ones_own
from ntkalign.claims.catalogue import OURS
from ntkalign.claims.claim import MAIN
from ntkalign.claims.regime import Regime
from ntkalign.claims.verdicts import Finding, JudgingTerms, correct_findings, judge_question
from ntkalign.data import catalogue
from ntkalign.data.catalogue import Data
from ntkalign.data.own_file import is_file
from ntkalign.errors import InputError
from ntkalign.kernels.training_time import TimeScales
from ntkalign.machine import available_bytes
from ntkalign.runs.environment import Environment, Flows, digests
from ntkalign.runs.fingerprint import DECIDING_FLOWS
from ntkalign.runs.guard import fits, refuse_hopeless, refuse_too_wide
from ntkalign.runs.partial import SoFar, unjudged
from ntkalign.runs.record import Conduct, Verification
from ntkalign.runs.schedulers.base import Scheduler
from ntkalign.runs.schedulers.threads import InThreads
from ntkalign.runs.settings import Settings
from ntkalign.runs.store import Store
from ntkalign.runs.suite import THEORY, SavedTimes, Suite
from ntkalign.runs.sweep import Plan, Progress, Sweep, quiet, run_sweep
from ntkalign.runs.until_decided import Look, once
from ntkalign.runs.until_decided import until_decided as look_until_decided
from ntkalign.values import flag, folder, optional, positive

Limit = tuple[Predictions | None, str | None]
"""What infinitely wide networks do, or why nobody knows."""
OTHER_TITLE = "Does it hold at finite size? Measured"
"""The heading of a report in which none of our own claims stands."""
BUDGET = "it says when to stop adding networks", "pass until_decided and 10 minutes, say"


def check_budget(given: Any) -> float | None:
    """Minutes as somebody gave them.

    Returns:
        Minutes, above 0; None if there is no budget.

    Raises:
        InputError: if they are no positive number, and not None.
    """
    minutes: float | None = optional(positive(*BUDGET))("budget", given)
    return minutes


def verify(
    settings: Settings | None = None,
    *,
    suite: Suite = THEORY,
    claims: Iterable[str] = (),
    cells: Path | None = None,
    fresh: bool = False,
    keep_trained: bool = False,
    until_decided: bool = False,
    budget: float | None = None,
    spent: tuple[int, float] = (1, 1.0),
    scheduler: Scheduler | None = None,
    progress: Progress = quiet,
    so_far: SoFar | None = None,
) -> Verification:
    """Measure claims and judge them.

    Args:
        settings: what to run; the defaults if None.
        suite: what is asked; the paper's claims by default.
        claims: ids of the claims to ask about; all if empty.
        cells: a folder where finished networks are stored and looked for; None stores nothing.
        fresh: ignore what is stored there.
        keep_trained: keep trained networks there, too, in a file of their own, so that new
            quantities are measured without training; takes much room.
        until_decided: go on with more seeds, or a larger width, while claims are undecided; see
            :mod:`ntkalign.runs.until_decided` for what that costs.
        budget: minutes after which ``until_decided`` stops; no look is begun that would, by the
            time of those before, end later.
        spent: the number of the look that is repeated, and the share of all error probabilities
            that it may use, where a run was the last of several looks.
        scheduler: what does the work; threads of this process if None. The caller closes it.
        progress: called when a network is finished.
        so_far: what is known of the run while it goes on, for whoever stops it.

    Returns:
        The verdicts and the table they rest on; its settings name the time and dimensions used.

    Raises:
        InputError: if the settings, the claims, the data or the budget cannot be used.
        SchedulerLostError: if what does the work is gone; what had ended is stored.
    """
    began = clock.monotonic()
    settings = settings or Settings()
    flag("until_decided", until_decided)
    cells, fresh = optional(folder)("cells", cells), flag("fresh", fresh)
    trained = _place_of_trained(cells, suite) if flag("keep_trained", keep_trained) else None
    minutes = _checked_budget(budget, until_decided)
    scheduler = scheduler or InThreads(bytes=available_bytes())
    sweep, relaxations = outline(settings, suite, claims)
    settings, data, asked = sweep.settings, sweep.data, sweep.asked
    file = Path(settings.data) if is_file(settings.data) else None
    here = Environment.here(scheduler.context(), digests(data, file))
    measure_one: Any = suite.prepare(settings, data)
    if trained is not None:
        context = json.dumps(scheduler.context(DECIDING_FLOWS), sort_keys=True)
        measure_one = functools.partial(measure_one, trained=Trained(trained, context, fresh))
    plan = Plan(
        **vars(sweep), measure=measure_one,
        store=Store(cells, fresh=fresh, context=scheduler.context), so_far=so_far or SoFar(),
    )  # fmt: skip
    looks: list[Settings] = []

    def measure(settings: Settings) -> pd.DataFrame:
        looks.append(settings)
        return run_sweep(replace(plan, settings=settings), scheduler, progress)

    def can_run(settings: Settings) -> bool:
        return fits(replace(sweep, settings=settings).networks())

    def judge(settings: Settings, table: pd.DataFrame, spend: float) -> tuple[Finding, ...]:
        terms = JudgingTerms(
            settings.confidence, spend, settings.paired, settings.widths, settings.seeds,
            Regime.of(table), settings.kind.size,
        )  # fmt: skip
        met = settings.family.meets_assumptions
        answers = (
            judge_question(q, table, assumptions_met=q.family == MAIN and met, terms=terms)
            for q in asked
        )
        return correct_findings(answers, spend)

    def found(look: Look, limit: Limit = (None, None)) -> Verification:
        predicted, no_prediction = limit
        networks = len(look.table[["family", "width", "seed"]].drop_duplicates())
        measured = len(plan.store.measured)
        return Verification(
            settings=_with_dimensions(look.settings, data),
            conduct=Conduct(
                title=suite.title if OURS.intersection(q.claim.id for q in asked) else OTHER_TITLE,
                no_prediction=no_prediction,
                held_out=suite.held_out,
                until_decided=until_decided,
                budget=minutes,
                looks=look.number,
                spend=look.spend,
                relaxations=relaxations,
                remarks=data.remarks,
            ),
            environment=here.ended(
                seconds=clock.monotonic() - began,
                flows=Flows.of(look.table),
                measured=measured,
                reused=networks - measured,
                workers_bytes=scheduler.peak_bytes(),
            ),
            findings=_with_limits(look.findings, predicted),
            table=look.table,
            limit_loss=None if predicted is None else predicted.loss,
        )

    def partial(reason: str) -> Verification:
        number = max(1, len(looks))
        look = Look((looks or [settings])[-1], number, 0.5**number if until_decided else 1.0,
                    plan.so_far.table(), unjudged(asked, settings.family))  # fmt: skip
        return replace(found(look), partial=plan.so_far.partial(reason))

    plan.so_far.result = partial
    with plan.store:
        if until_decided:
            seconds = None if minutes is None else 60 * minutes
            look = look_until_decided(settings, measure, judge, seconds, began, can_run)
        else:
            look = once(settings, measure, judge, spent)
    return found(look, _predicted(suite, look.settings, data, sweep.times))


def outline(
    settings: Settings, suite: Suite = THEORY, claims: Iterable[str] = ()
) -> tuple[Sweep, float | None]:
    """Which networks a run measures; none is drawn but the one that the time is chosen with.

    Args:
        settings: of the run.
        suite: what is asked.
        claims: ids of the claims to ask about; all if empty.

    Returns:
        The sweep, and T in fastest relaxation times if that is known.

    Raises:
        InputError: if the settings, the claims or the data cannot be used, or a network cannot fit
            into memory.
    """
    refuse_hopeless(settings, settings.points + suite.held_out)
    asked = tuple(suite.ask(settings, claims))
    data = catalogue.load(
        settings.data,
        points=settings.points,
        held_out=suite.held_out,
        inputs=settings.inputs,
        outputs=settings.outputs,
        directory=settings.data_dir,
        network=settings.kind.points,
        steps=settings.steps,
    )
    _with_dimensions(settings, data)  # what cannot be said of a run is refused before it
    refuse_hopeless(settings, *data.y.shape)
    draft = Sweep(settings, suite.name, data, (1.0,), asked, suite.baselines(settings))
    refuse_too_wide(draft.networks())
    settings, times, relaxations = _timed(settings, data, suite.times)
    sweep = replace(draft, settings=settings, times=times)
    refuse_too_wide(sweep.networks())
    return sweep, relaxations


def _place_of_trained(cells: Path | None, suite: Suite) -> Path:
    if cells is None or not suite.keeps_trained:
        raise InputError(
            "keep_trained", True, must="be given for runs that are stored, not those of kernels",
            got="no folder" if cells is None else f"it for {suite.name}",
            because="networks with held-out points are trained by a rule of their own",
            do="leave it out, or name a folder",
        )  # fmt: skip
    return cells / TRAINED


def _checked_budget(budget: float | None, until_decided: bool) -> float | None:
    if budget is not None and not until_decided:
        raise InputError(
            "budget", budget, must="be given with until_decided", got="it alone",
            because=BUDGET[0], do=BUDGET[1],
        )  # fmt: skip
    return check_budget(budget)


def _with_dimensions(settings: Settings, data: Data) -> Settings:
    """The settings with the dimensions that the data turned out to have."""
    _, *shape = data.x.shape
    outputs = data.y.shape[1]
    if settings.kind.points == "rnn":
        steps, inputs = shape
        return replace(settings, steps=steps, inputs=inputs, outputs=outputs // steps)
    if settings.kind.points == "cnn":
        return replace(settings, outputs=outputs)
    return replace(settings, inputs=shape[0], outputs=outputs)


def _timed(
    settings: Settings, data: Data, choose: SavedTimes
) -> tuple[Settings, tuple[float, ...], float | None]:
    """The settings with T, when flows are looked at, and T in fastest relaxation times."""
    try:
        scales = TimeScales.of(settings.family, data.first(settings.points))
    except InputError:
        if settings.time is None:
            raise
        # such networks fail, each with its reason
        return settings, choose(settings.time, None), None
    except Exception as error:
        raise of_ones_own(error, settings.family.activation, {}) from error
    settings = replace(settings, time=settings.time or scales.until())
    assert settings.time is not None
    return settings, choose(settings.time, scales.fastest), settings.time / scales.fastest


def _predicted(suite: Suite, settings: Settings, data: Data, times: tuple[float, ...]) -> Limit:
    """What infinitely wide networks do, or why nobody knows."""
    try:
        return suite.predict(settings, data, times), None
    except (InputError, np.linalg.LinAlgError) as error:  # no measurement is lost over plots
        return None, str(error)


def _with_limits(
    findings: tuple[Finding, ...], predicted: Predictions | None
) -> tuple[Finding, ...]:
    if predicted is None:
        return findings
    return tuple(
        replace(f, limit=predicted.values.get((f.question.claim.quantity, f.question.layer)))
        if f.question.family == MAIN
        else f
        for f in findings
    )
