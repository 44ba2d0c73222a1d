"""What networks will take: counted right, and within a factor of two of what runs took."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from ntkalign.cells.cell import Cell
from ntkalign.data import catalogue
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.fully_connected import FullyConnected
from ntkalign.rules import NORMAL, RULES
from ntkalign.runs.estimate import COMPILING, NARROW, REFERENCE_SPEED, cost, costs, size_of
from ntkalign.runs.outlook import outlook
from ntkalign.runs.schedulers.base import Job, longest_first
from ntkalign.runs.settings import Settings
from ntkalign.runs.suite import PROOF, THEORY, kernel_suite
from ntkalign.runs.sweep import Sweep, specify

FIGURES = Path(__file__).parents[2] / "figures"
SUITES = {
    "default": THEORY, "recurrent": THEORY, "convolutional": THEORY, "kernels": kernel_suite(),
    "proof": PROOF,
}  # fmt: skip


def sweep_of(settings, suite=THEORY, time=1.0):
    """The networks of a run, without choosing a time."""
    data = catalogue.load(
        settings.data, points=settings.points, held_out=suite.held_out, inputs=settings.inputs,
        outputs=settings.outputs, network=settings.kind.points, steps=settings.steps,
    )  # fmt: skip
    asked = tuple(suite.ask(settings, ()))
    return Sweep(settings, suite.name, data, suite.times(time, None), asked,
                 suite.baselines(settings))  # fmt: skip


@pytest.fixture(scope="module", params=SUITES)
def recorded(request):
    """A committed report's sweep, and what it took."""
    suite, folder = SUITES[request.param], FIGURES / request.param
    stored = json.loads((folder / "report.json").read_text())
    config = stored["config"]
    settings = Settings(
        network=config["network"], widths=tuple(config["widths"]), seeds=config["seeds"]
    )
    assert stored["environment"]["networks_reused"] == 0
    return folder, sweep_of(settings, suite, config["time"]), stored["environment"]


def test_estimates_are_within_a_factor_of_two_of_the_committed_runs(recorded):
    folder, sweep, took = recorded
    found = outlook(sweep, 2, processes=False, speed=REFERENCE_SPEED)
    if folder.name != "proof":  # by themselves its networks take a third of what that run took
        assert 0.5 < found.seconds / took["seconds"] < 2
    assert 0.5 < found.bytes / 2**20 / took["peak_memory_mib"] < 2


def test_networks_and_their_rows_are_those_of_the_committed_tables(recorded):
    folder, sweep, took = recorded
    table = pd.read_csv(folder / "measurements.csv")
    found = outlook(sweep, 2, processes=False, speed=REFERENCE_SPEED)
    assert found.networks == took["networks_measured"]
    networks = Counter(n.cell.width for n in sweep.networks())
    assert networks == Counter(
        table[["family", "width", "seed"]].drop_duplicates()["width"].tolist()
    )
    assert 0.6 < found.rows / len(table) < 1.6


def test_what_is_counted_of_a_network():
    size = size_of(FullyConnected((3, 10, 20, 2), ACTIVATIONS["tanh"]), 5)
    assert (size.weights, size.largest) == (30 + 200 + 40, 200)
    assert size.entries == 5 * (13 + 30 + 22)
    assert size.products == 5 * 270
    assert size.pairs == 5 * 30 + 25 * 30 + 5 * 40
    assert size.whole == 30 * 3 + 200 * 10 + 40 * 2
    assert (size.outputs, size.kernel) == (2, 10)
    assert size.panels == 1 + NARROW / 10


def test_what_is_larger_takes_more():
    settings = Settings(data="sphere", widths=(64, 128, 256), seeds=2)

    def first(settings):
        network = sweep_of(settings).networks()[0]
        return cost(network.specification, network.needs)

    usual = first(settings)
    for change in (
        {"widths": (128, 256, 512)}, {"points": 16}, {"outputs": 8}, {"depth": 4},
        {"multipliers": (1, 4)},
    ):  # fmt: skip
        more = first(replace(settings, **change))
        assert more.seconds > usual.seconds
        assert more.bytes > usual.bytes
    fewer = first(replace(settings, rules=("align-zero",)))
    assert fewer.seconds < usual.seconds
    assert first(replace(settings, seeds=20)) == usual


def test_wide_networks_take_the_bytes_of_their_weights_and_operations_of_their_area():
    settings = Settings(data="sphere", widths=(8, 2**17, 2**18), seeds=2)
    data = catalogue.load("sphere", points=8)
    needs = {NORMAL: frozenset({"weight-drift"}), RULES["align-zero"]: frozenset({"divergence"})}

    def at(width):
        return cost(specify(settings, "theory", data, Cell("main", width, 0), (1.0,)), needs)

    narrow, wide = at(2**17), at(2**18)
    assert wide.bytes > 4 * (2**18) ** 2
    assert 3 < wide.seconds / narrow.seconds < 4.1
    assert 3 < wide.bytes / narrow.bytes < 4.1


def test_nothing_is_drawn_for_a_network_of_any_width():
    settings = Settings(data="sphere", widths=(8, 16, 10**9), seeds=2)
    network = next(n for n in sweep_of(settings).networks() if n.cell.width == 10**9)
    assert cost(network.specification, network.needs).bytes > 4 * 10**18


def test_networks_whose_units_cross_kinks_take_more():
    found = []
    for activation in ("tanh", "relu"):
        settings = Settings(data="sphere", widths=(64, 128, 256), seeds=3, activation=activation)
        network = sweep_of(settings).networks()[-1]
        found.append(cost(network.specification, network.needs))
    smooth, kinked = found
    assert kinked.seconds > 4 * smooth.seconds
    assert kinked.bytes > smooth.bytes


def test_the_first_of_an_architecture_compiles():
    settings = Settings(data="sphere", widths=(8, 16, 32), seeds=3)
    networks = [n for n in sweep_of(settings).networks() if n.cell.width == 8]
    of_main = [(n.specification, n.needs) for n in networks if n.cell.family == "main"]
    one = cost(*of_main[0]).seconds
    assert [c.seconds for c in costs(of_main)] == pytest.approx([one + COMPILING, one, one])


def test_workers_begin_with_different_architectures():
    networks = sweep_of(Settings()).networks()
    every = costs((n.specification, n.needs) for n in networks)
    jobs = [Job(f"{n.cell.family} {n.cell.width}", lambda: None, one)
            for n, one in zip(networks, every, strict=True)]  # fmt: skip
    begun = [job.name for job in longest_first(jobs)]
    assert len(set(begun[: len(set(begun))])) == len(set(begun))
