"""Other papers' statements as plugins: each runs, is judged, and its controls fail."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from ntkalign import Claim, InputError, Kind, Settings, float64, verify
from ntkalign.cli.main import main
from ntkalign.flow.gradient_flow import gradient_flow
from ntkalign.flow.options import FlowOptions
from ntkalign.flow.problem import Problem
from ntkalign.flow.trajectory import AtRest
from ntkalign.plugins import load, register
from ntkalign.quantities.observed import Observed
from ntkalign.rules import LINEARISED, NORMAL

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = [
    "verify", "--data", "sphere", "--points", "3", "--inputs", "4", "--outputs", "1",
    "--time", "1", "--tolerance", "1e-6",
]  # fmt: skip
WIDE = ["--depth", "2", "--widths", "8,16,32", "--seeds", "2"]
LINES = 150

pytestmark = pytest.mark.usefixtures("own_records")


@dataclass(frozen=True)
class Run:
    """How a file is run small, and what then is in its report."""

    files: tuple[str, ...]
    flags: tuple[str, ...]
    claims: tuple[str, ...]
    controls: int


LEE = "lee2019/outputs", "lee2019/parameters", "lee2019/kernel"
DYER = "dyer2020/kernel", "dyer2020/pairs", "dyer2020/outputs"
CHIZAT = "chizat2019/parameters", "chizat2019/linearised", "chizat2019/outputs"
RUNS = {
    "lee, dyer": Run(
        ("lee2019", "dyer2020"), (*WIDE, "--claims", ",".join(LEE + DYER)), LEE + DYER, 12
    ),
    "chizat": Run(
        ("chizat2019",),
        ("--network", "lazy", "--initial-outputs", "zero", "--depth", "2", "--widths", "1,4,16",
         "--seeds", "6"),
        CHIZAT, 4,
    ),
    "hanin, width": Run(
        ("hanin2020",), ("--network", "wide-relu", "--widths", "4,8,16", "--seeds", "2"),
        ("hanin2020/width",), 1,
    ),
    "hanin, depth": Run(
        ("hanin2020",), ("--network", "deep-relu", "--widths", "2,3,4", "--seeds", "2"),
        ("hanin2020/depth",), 1,
    ),
}  # fmt: skip


def module(name):
    return load(EXAMPLES / f"{name}.py")


def full_kernel(network, parameters, x):
    """Θ from the Jacobian by every parameter, (P, C, P, C)."""
    jacobian = jax.jacobian(lambda p: network.forward(p, jnp.asarray(x)).output)(parameters)
    parts = [np.asarray(a).reshape(*a.shape[:2], -1) for a in jax.tree.leaves(jacobian)]
    return sum(np.einsum("pcn,qdn->pcqd", a, a) for a in parts)


@pytest.mark.parametrize("name", sorted({file for run in RUNS.values() for file in run.files}))
def test_a_paper_is_short_and_says_what_is_stated_and_how_it_is_run(name):
    text = (EXAMPLES / f"{name}.py").read_text()
    assert len(text.splitlines()) <= LINES
    said = module(name).__doc__
    assert f"ntkalign verify --plugin examples/{name}.py" in said
    assert "What differs here:" in " ".join(said.split())
    for id in re.findall(rf"{name}/[a-z]+", said):
        assert any(id in run.claims for run in RUNS.values())


@pytest.mark.parametrize("name", RUNS)
def test_it_runs_and_every_claim_is_a_row_with_a_verdict(name, tmp_path, monkeypatch):
    monkeypatch.setattr("ntkalign.report.files.scaling_plots", lambda findings, folder: {})
    for drawn in ("training_curve", "over_training"):
        monkeypatch.setattr(f"ntkalign.report.files.{drawn}", lambda result, folder: None)
    run = RUNS[name]
    plugin = [word for file in run.files for word in ("--plugin", str(EXAMPLES / f"{file}.py"))]
    assert main([*SMALL, *plugin, *run.flags, "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert [entry["id"] for entry in report["claims"]] == list(run.claims)
    assert len(report["controls"]) == run.controls
    for entry in report["claims"] + report["controls"]:
        assert entry["verdict"] in ("holds", "refuted", "undecided")
        assert entry["exponent"] is not None
        assert entry["error_share"] < 0.01
    page = (tmp_path / "report.html").read_text()
    table = pd.read_csv(tmp_path / "measurements.csv")
    if run.files == ("hanin2020",):
        assert "nothing is trained" in page
        assert set(table["quantity"]) == {"ntk-spread"}
        assert main(["report", *plugin, str(tmp_path)]) == 0
    if name == "chizat":
        assert 'alttext="∝α^p"' in page
        assert 'alttext="O(α^(−2))"' in page
        assert "<h1>Does it hold at finite size? Measured</h1>" in page
        assert "at finite width" not in page
        assert not any("width" in entry["reason"] for entry in report["claims"])
        kept = [entry for entry in report["controls"] if entry["family"] == "bottleneck"]
        assert [entry["verdict"] for entry in kept] == ["refuted"] * 3
        for first, *others in (entry["values"] for entry in kept):  # from the same w_0
            assert all(row == pytest.approx(first, rel=1e-3) for row in others)


def test_a_lazy_family_grows_by_its_output_scale_alone():
    chizat = module("chizat2019")
    family = chizat.LazyFamily(2, Settings().activation)
    one, four = (family.network(scale, (3,), 1) for scale in (1, 4))
    assert one.widths == four.widths == (3, chizat.WIDTH, 1)
    assert (four.output_scale, four.rate) == (4, 1 / 16)
    assert family.drawn_as(1) == family.drawn_as(4)
    assert family.narrowed(2).network(4, (3,), 1).output_scale == 2
    assert family.meets_assumptions
    assert not family.narrowed(2).meets_assumptions
    with pytest.raises(
        InputError, match=r"^initial_outputs \(shared\) must be zero for network lazy; got shared"
    ):
        Settings(network="lazy")


@float64()
def test_distances_of_weights_and_kernels_are_those_of_full_matrices(monkeypatch):
    chizat, rng = module("chizat2019"), np.random.default_rng(0)
    monkeypatch.setattr(chizat, "WIDTH", 5)
    network = chizat.LazyFamily(2, Settings().activation).network(2, (3,), 1)
    start = network.initialise(jax.random.key(1))
    x, y = rng.standard_normal((3, 3)), rng.standard_normal((3, 1))
    problem = Problem.of(network, start, x, y, np.array([0.5, 1.0]))
    options = FlowOptions("dense", 1e-8)
    flow, linear = (gradient_flow(problem, rule, options) for rule in (NORMAL, LINEARISED))
    series = chizat.parameters(Observed(flow, {"linearised": linear}))
    pairs = module("dyer2020").pairs(Observed(flow))[None, "pair-drift"][0]
    before = full_kernel(network, start, x)
    for i in range(2):
        ours, other = (
            np.concatenate([f.weight_change(layer)[i].ravel() for layer in (1, 2)])
            for f in (flow, linear)
        )
        apart = np.sqrt(np.sum((ours - other) ** 2))
        assert series[None, "moved"][0][i] == pytest.approx(np.sqrt(np.sum(ours**2)), rel=1e-12)
        assert series[None, "apart"][0][i] == pytest.approx(apart, rel=1e-12)
        later = jax.tree.map(lambda a, change: a + change[i], start, flow.change)  # noqa: B023
        moved = np.abs(full_kernel(network, later, x) - before).max()
        assert pairs[i] == pytest.approx(moved, rel=1e-9)
    lee = module("lee2019").parameters(Observed(flow))[None, "parameter-change"][0]
    assert lee == pytest.approx(series[None, "moved"][0] / np.sqrt(5), rel=1e-9)


@float64()
def test_the_spread_is_that_of_kernels_from_full_jacobians():
    hanin, rng = module("hanin2020"), np.random.default_rng(0)
    network = hanin.WideFamily().network(3, (4,), 2)
    x = rng.standard_normal((2, 4))
    problem = Problem.of(
        network, network.initialise(jax.random.key(5)), x, np.ones((2, 2)), np.ones(1)
    )
    found = hanin.spread(Observed(AtRest.of(problem, NORMAL), seed=7))[None, "ntk-spread"][0]
    key = jax.random.fold_in(jax.random.key(7), sum(network.sizes))
    kernels = [
        np.einsum("pcpc->pc", full_kernel(network, network.initialise(one), x))
        for one in jax.random.split(key, hanin.DRAWS)
    ]
    relative = np.var(kernels, axis=0, ddof=1) / np.mean(kernels, axis=0) ** 2
    assert found == pytest.approx(np.sqrt(np.mean(relative)), rel=1e-9)


def test_networks_of_growing_depth_have_no_layer_by_layer_claims():
    hanin = module("hanin2020")
    shapes = [hanin.DeepFamily().network(depth, (3,), 1).widths for depth in (2, 4)]
    assert shapes == [(3, hanin.RATIO, 1), (3, *[3 * hanin.RATIO] * 3, 1)]
    kept = hanin.DeepFamily().narrowed(2).network(4, (3,), 1).widths
    assert kept == (3, 3 * hanin.RATIO, 1)
    register(
        Claim("mine/layers", "", "weights", "weight-drift", Kind.VANISHES, network="deep-relu")
    )
    with pytest.raises(
        InputError,
        match=r"^claims \(mine/layers\) must speak of the whole network; got one about each layer; "
        r"because larger networks of network deep-relu have more layers; do: leave it out$",
    ):
        verify(Settings(network="deep-relu", widths=(2, 3, 4)), claims=["mine/layers"])
    with pytest.raises(InputError, match=r"^depth \(4\) must be left out for this network; got it"):
        Settings(network="deep-relu", depth=4)
