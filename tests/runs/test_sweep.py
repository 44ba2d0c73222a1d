"""What a sweep measures of each network: what is asked, a baseline, and less at large widths."""

from __future__ import annotations

from functools import partial

import pytest

from ntkalign import Settings
from ntkalign.cells.cell import Cell
from ntkalign.claims.claim import BOTTLENECK, MAIN
from ntkalign.claims.questions import questions
from ntkalign.data.catalogue import load
from ntkalign.quantities.catalogue import EXPANSION
from ntkalign.quantities.proof_catalogue import POINTWISE
from ntkalign.rules import ALIGN_ADA, CONTROLS, FEEDBACK_ALIGNMENT, NORMAL
from ntkalign.runs.suite import THEORY, kernel_suite
from ntkalign.runs.sweep import BASELINES, CONTROL_WIDTH, at_width, needed, specify


def asked(settings, only=()):
    return questions(settings.family, settings.rules, controls=CONTROLS, only=only)


@pytest.mark.parametrize("network", ["mlp", "rnn", "cnn"])
def test_baselines_are_measured_of_gradient_descent_whatever_is_asked(network):
    settings = Settings(network=network)
    for only in ((), (asked(settings)[0].claim.id,)):
        needs = needed(asked(settings, only), settings.rules, THEORY.baselines(settings))
        assert {"score-permuted", *EXPANSION} <= needs[MAIN][NORMAL]
        assert set(POINTWISE) <= needs[MAIN][NORMAL] or network != "mlp"
        others = [needs[MAIN][rule] for rule in needs[MAIN] if rule is not NORMAL]
        others += list(needs[BOTTLENECK].values())
        assert not any(set(BASELINES) & quantities for quantities in others)
    assert BASELINES == ("score-permuted",)
    steps = POINTWISE if network == "mlp" else ()  # the proofs are written for these networks
    assert THEORY.baselines(settings) == (*BASELINES, *steps)
    assert not kernel_suite().baselines(settings)
    assert not needed([], settings.rules, THEORY.baselines(settings))  # of nothing there is none


def test_baselines_and_controls_are_left_out_of_the_largest_widths():
    settings = Settings(widths=(64, 256, 1024, 4096))
    of_normal = frozenset({"divergence", *BASELINES})
    needs = {NORMAL: of_normal, FEEDBACK_ALIGNMENT: frozenset({"divergence"})}
    at = partial(at_width, needs, settings=settings)
    assert CONTROL_WIDTH == 1024
    for width in (64, 1024):
        assert at(MAIN, width) == at(BOTTLENECK, width) == needs
    assert at(MAIN, 4096) == {NORMAL: frozenset({"divergence"})}
    assert at(BOTTLENECK, 4096) == {}
    alone = {NORMAL: frozenset(BASELINES), ALIGN_ADA: frozenset({"divergence"})}
    assert at_width(alone, MAIN, 4096, settings) == {
        NORMAL: frozenset(),
        ALIGN_ADA: frozenset({"divergence"}),
    }


def test_if_all_widths_are_large_the_first_three_have_them():
    needs = {NORMAL: frozenset(BASELINES), FEEDBACK_ALIGNMENT: frozenset({"divergence"})}
    at = partial(at_width, needs, MAIN, settings=Settings(widths=(2048, 4096, 8192, 16384)))
    assert at(8192) == needs
    assert at(16384) == {NORMAL: frozenset()}


@pytest.mark.parametrize("network", ["mlp", "rnn", "cnn"])
def test_the_control_family_keeps_its_bottleneck_at_every_width(network):
    settings = Settings(network=network, points=4, time=1.0, bottleneck=3)
    data = load(settings.data, points=4, network=network)
    for width in (8, 32):
        main, narrow = (
            specify(settings, "theory", data, Cell(family, width, 0))
            for family in (MAIN, BOTTLENECK)
        )
        assert main.family == settings.family
        assert narrow.family == settings.family.narrowed(3)
        one = narrow.family.network(width, data.x.shape[1:], data.y.shape[1])
        assert one.maps[narrow.family.bottleneck_layer - 1].outputs[0] == 3
        # a network of another kind, or with a bottleneck, is never taken for this one
        assert main.as_json()["family"]["kind"] == network
        assert main.as_json() != narrow.as_json()
