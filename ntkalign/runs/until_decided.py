"""Looking at growing data until every claim is decided, without inflating any error probability.

Several looks at growing data would inflate each of them. So the k-th look spends 2^−k of each (of
1 − confidence, and of both levels of refutation), which add up to no more than one look would
spend, whenever one stops.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pandas as pd

from ntkalign.claims.regime import Regime
from ntkalign.claims.verdicts import Finding
from ntkalign.runs.settings import Settings

WIDER = 4
"""By what factor a width is added to a run that is to decide more."""


@dataclass(frozen=True)
class Look:
    """What one look at the data found.

    Attributes:
        settings: of the networks looked at.
        number: k, from 1.
        spend: the share of all error probabilities that this look uses.
        table: the measurements.
        findings: the verdicts.
    """

    settings: Settings
    number: int
    spend: float
    table: pd.DataFrame
    findings: tuple[Finding, ...]


Measuring = Callable[[Settings], pd.DataFrame]
Judging = Callable[[Settings, pd.DataFrame, float], tuple[Finding, ...]]


def once(
    settings: Settings, measure: Measuring, judge: Judging, spent: tuple[int, float] = (1, 1.0)
) -> Look:
    """One look, which may spend everything, or what the last of several may."""
    number, spend = spent
    table = measure(settings)
    return Look(settings, number, spend, table, judge(settings, table, spend))


def until_decided(
    settings: Settings,
    measure: Measuring,
    judge: Judging,
    seconds: float | None,
    began: float,
    can_run: Callable[[Settings], bool],
) -> Look:
    """Looks, each at more networks, while claims are undecided; the last one counts.

    Args:
        settings: of the first look.
        measure: the table of all networks that settings ask for.
        judge: the findings, from settings, a table and the spend.
        seconds: no look is begun that would, by the time of those before, end later; None: no end.
        began: when the run began, by the monotonic clock.
        can_run: whether networks of larger settings fit into memory; no look is begun else.

    Returns:
        The last look; its settings are those of its networks, its number how many looks there were.
    """
    number = 0
    while True:
        number += 1
        table = measure(settings)
        look = Look(settings, number, 0.5**number, table, judge(settings, table, 0.5**number))
        larger = enlarged(settings, look.findings, Regime.of(table))
        if larger is None or not can_run(larger):
            return look
        taken = clock.monotonic() - began
        if seconds and taken * _work(larger) / _work(settings) > seconds:
            return look
        settings = larger


def enlarged(
    settings: Settings, findings: Iterable[Finding], regime: Regime | None = None
) -> Settings | None:
    """Settings with more networks for what is undecided.

    Where too few widths are in the regime, those that would be, by extrapolation. Else a wider
    network if corrections to scaling (which more seeds do not tell apart from the exponent) take up
    more of most undecided intervals than noise does; else twice as many seeds.

    Args:
        settings: of the look before.
        findings: what it found.
        regime: how far training moves its networks.

    Returns:
        The settings; None if nothing is undecided, or only what no network of a width up to WIDEST
        would settle.
    """
    largest = settings.kind.size.largest
    open_ones = [
        f.rate
        for f in findings
        if f.verdict == "undecided" and f.rate is not None and not f.question.control
    ]
    if any(not rate.decides for rate in open_ones) and regime is not None:
        more = regime.wanted
        if more and settings.widths[-1] < more[0] and more[-1] <= largest:
            return replace(settings, widths=(*settings.widths, *more))
    known = [rate.all for rate in open_ones if rate.decides]
    if not known:
        return None
    bent = sum(e.shift[1] - e.shift[0] > 4 * e.error for e in known)
    if 2 * bent > len(known) and WIDER * settings.widths[-1] <= largest:
        return replace(settings, widths=(*settings.widths, WIDER * settings.widths[-1]))
    return replace(settings, seeds=2 * settings.seeds)


def _work(settings: Settings) -> float:
    """What a run takes, in arbitrary units: wide networks by their area, narrow ones alike."""
    return settings.seeds * sum(1000.0**2 + m**2 for m in settings.widths)
