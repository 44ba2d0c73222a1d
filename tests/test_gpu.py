"""A GPU against the CPU, to 1e-10: ``make test-gpu`` where there is one."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from ntkalign import RULES, Settings
from ntkalign.cells.cell import Cell
from ntkalign.cells.flow import Trial, measure_cell
from ntkalign.cells.kernels import prepare
from ntkalign.claims.questions import kernel_questions, questions
from ntkalign.data.catalogue import Data
from ntkalign.devices import use
from ntkalign.runs.sweep import needed, specify

pytestmark = pytest.mark.gpu
SETTINGS = Settings(points=4, tolerance=1e-12, time=2.0, rules=("align-zero", "align-ada"))
CELL = Cell("main", 256, 0)


@pytest.fixture(autouse=True)
def _one_is_there():
    try:
        jax.devices("gpu")
    except RuntimeError:
        pytest.skip("JAX has no GPU here")


def trial_data():
    rng = np.random.default_rng(0)
    return Data("trial", rng.standard_normal((6, 8)), rng.standard_normal((6, 2)))


def specified(settings, cell):
    return specify(settings, "trial", trial_data(), cell)


def on_each(work):
    results = []
    for device in ("cpu", "gpu"):
        with use(device):
            results.append(work())
    return results


def test_networks_are_drawn_alike():
    def draw():
        start = Trial.of(specified(SETTINGS, CELL)).problem.initial.start
        return [np.asarray(a) for a in jax.tree.leaves(start)]

    for ours, theirs in zip(*on_each(draw), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("engine", ["spectral", "dense"])
@pytest.mark.parametrize("name", sorted(RULES))
def test_flows_agree(name, engine):
    settings = replace(SETTINGS, engine=engine)

    def outputs():
        return Trial.of(specified(settings, CELL)).pair(RULES[name])[0].output

    cpu, gpu = on_each(outputs)
    np.testing.assert_allclose(gpu, cpu, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["normal", "align-zero"])
def test_large_networks_agree_to_the_tolerance(name):
    """Where deviations are multiplied in float32, and iterations stop at the tolerance."""
    settings, cell = replace(SETTINGS, tolerance=1e-6), Cell("main", 2048, 0)

    def outputs():
        return Trial.of(specified(settings, cell)).pair(RULES[name])[0].output

    cpu, gpu = on_each(outputs)
    np.testing.assert_allclose(gpu, cpu, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("suite", ["theory", "kernels"])
def test_measurements_agree(suite):
    data, family = trial_data(), SETTINGS.family
    asked = (
        questions(family, SETTINGS.rules, controls=())
        if suite == "theory"
        else kernel_questions(family)
    )
    wanted = needed([q for q in asked if not q.control], SETTINGS.rules)["main"]

    def measured():
        if suite == "theory":
            rows = measure_cell(specified(SETTINGS, CELL), wanted)
        else:
            rows = prepare(family, data, SETTINGS.points)(specified(SETTINGS, CELL), wanted)
        return {r[3:7]: r.value for r in rows if "steps" not in r.quantity and r.error != 0}

    cpu, gpu = on_each(measured)
    assert cpu.keys() == gpu.keys()
    for name, value in cpu.items():
        np.testing.assert_allclose(gpu[name], value, rtol=1e-10, atol=1e-10, err_msg=str(name))
