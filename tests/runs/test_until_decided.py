"""Several looks at growing data: what is added, when it ends, and what that may cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ntkalign import InputError, Settings, verify
from ntkalign.claims import theory as claims
from ntkalign.claims.claim import Question
from ntkalign.claims.regime import Regime
from ntkalign.claims.verdicts import Finding
from ntkalign.quantities.catalogue import EXPANSION
from ntkalign.runs import until_decided as looks
from ntkalign.runs.until_decided import enlarged
from ntkalign.statistics.judgement import Bound, Kind, judge
from ntkalign.statistics.rates import fit

WIDTHS = (64, 256, 1024)
SETTINGS = Settings(widths=WIDTHS, seeds=4)
QUESTION = Question(claims.FEEDBACK_DRIFT, "main", "normal")


def measured(noise, verdict="undecided", seeds=4, question=QUESTION):
    rng = np.random.default_rng(0)
    values = [m**-0.5 * np.exp(noise * rng.standard_normal(seeds)) for m in WIDTHS]
    rate = fit(WIDTHS, values)
    return Finding(question, verdict, "", None, True, 0.0, WIDTHS, (), rate, None)


def test_noise_asks_for_seeds_and_corrections_ask_for_a_wider_network():
    assert enlarged(SETTINGS, [measured(1.0)]) == replace(SETTINGS, seeds=8)
    assert enlarged(SETTINGS, [measured(0.001)]) == replace(SETTINGS, widths=(*WIDTHS, 4096))
    wide = replace(SETTINGS, widths=(1024, 4096, 16384))  # no network is wider than that
    assert enlarged(wide, [measured(0.001)]) == replace(wide, seeds=8)


def test_nothing_is_added_for_what_is_decided_or_failed_or_a_control():
    control = replace(QUESTION, control=True)
    failed = replace(measured(1.0), rate=None)
    decided = [measured(1.0, "holds"), measured(1.0, "refuted")]
    assert enlarged(SETTINGS, [*decided, failed, measured(1.0, question=control)]) is None


def regime(last):
    expansion = tuple(last * (m / WIDTHS[-1]) ** -0.5 for m in WIDTHS)
    return Regime(WIDTHS, dict.fromkeys(EXPANSION, expansion), expansion)


def strained():
    found = measured(0.001)
    return replace(found, rate=replace(found.rate, decides=False))


def test_where_training_moves_networks_too_far_the_widths_that_settle_it_are_added():
    larger = enlarged(SETTINGS, [strained(), measured(1.0)], regime(0.6))
    assert larger == replace(SETTINGS, widths=(*WIDTHS, 2048, 4096, 8192))
    # of 16384, 32768 and 65536 only the first is affordable, and would settle nothing
    assert enlarged(SETTINGS, [strained()], regime(1.9)) is None


def test_no_end_of_seeds_is_added_for_what_only_wider_networks_would_settle():
    assert enlarged(SETTINGS, [strained()], regime(50.0)) is None
    assert enlarged(SETTINGS, [strained(), measured(1.0)], regime(50.0)).seeds == 8


def test_looking_often_costs_no_coverage():
    """Look at 4, 8, 16, 32 seeds and stop when decided: intervals cover, truth is not refuted."""
    rng = np.random.default_rng(1)
    covered = refuted = naive = 0
    for _ in range(400):
        noise = rng.standard_normal((3, 32))
        for look in range(1, 5):
            values = [
                m**-0.5 * np.exp(1.2 * z[: 2 ** (look + 1)])
                for m, z in zip(WIDTHS, noise, strict=True)
            ]
            spend = 0.5**look
            rate = fit(WIDTHS, values, 1 - 0.05 * spend)
            verdict = judge(Bound(Kind.BOUND, -0.5), rate, spend).verdict
            if verdict != "undecided":
                break
        low, high = rate.interval
        covered += low <= -0.5 <= high
        refuted += verdict == "refuted"
        naive += not fit(WIDTHS, values, 0.5).interval[0] <= -0.5  # its control: this one misses
    assert covered >= 0.95 * 400 - 3 * np.sqrt(400 * 0.05 * 0.95)
    assert refuted <= 0.01 * 400 + 3 * np.sqrt(400 * 0.01)
    assert naive > 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 1.0}, r"budget \(1\.0\) must be given with until_decided"),
        ({"budget": 0.0, "until_decided": True}, r"budget \(0\.0\) must be positive and finite"),
    ],
)
def test_a_budget_needs_something_to_limit(options, message):
    with pytest.raises(InputError, match=message):
        verify(SETTINGS, **options)


def test_a_run_that_is_not_decided_goes_on_until_the_budget_is_gone(tmp_path, monkeypatch):
    settings = Settings(data="sphere", points=2, widths=(8, 16, 32), seeds=2, depth=2, time=1.0)
    options = {"claims": ["lemma-1/activations"], "cells": tmp_path}
    short = verify(settings, until_decided=True, budget=1e-3, **options)
    assert (short.conduct.looks, short.spend) == (1, 0.5)
    once = verify(settings, **options)
    assert (once.conduct.looks, once.spend) == (1, 1.0)
    assert once.environment.networks_reused > 0
    (loose,), (tight,) = (
        [f.rate.interval for f in result.claims if f.question.rule == "normal"]
        for result in (once, short)
    )
    assert tight[0] < loose[0] < loose[1] < tight[1]  # the first of several looks spends half
    steps = iter([replace(settings, seeds=4), None])
    monkeypatch.setattr(looks, "enlarged", lambda settings, findings, regime: next(steps))
    longer = verify(settings, until_decided=True, **options)
    assert (longer.conduct.looks, longer.spend, longer.settings.seeds) == (2, 0.25, 4)
    assert {len(row) for row in longer.claims[0].values} == {4}
