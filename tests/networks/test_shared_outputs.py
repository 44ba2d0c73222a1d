"""Shared initial outputs: the law of a network is unchanged, its outputs are the seed's."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from ntkalign import InputError, Settings
from ntkalign.cells.cell import Cell
from ntkalign.cells.flow import measure_cell
from ntkalign.claims.claim import MAIN
from ntkalign.claims.theory import JACOBIAN_DRIFT
from ntkalign.data.catalogue import Data
from ntkalign.networks.shared_outputs import share_outputs
from ntkalign.quantities.theory import jacobian_drift
from ntkalign.report.terminal import seeds
from ntkalign.rules import NORMAL
from ntkalign.runs.sweep import specify
from ntkalign.testing import assert_rate
from tests.cases import cases, examples, make, solve


@given(cases())
@examples(4)
def test_only_what_the_data_see_of_the_last_layer_is_replaced(case):
    key = jax.random.key(1)
    shared = share_outputs(case.network, case.start, case.x, key)
    for old, new in zip(case.start[:-1], shared[:-1], strict=True):
        assert old is new
    before, after = np.asarray(case.start[-1].weight), np.asarray(shared[-1].weight)
    h = np.asarray(case.network.forward(case.start, case.x).activities[-1])
    units, rank = h.shape[1], min(h.shape)
    q = np.linalg.qr(h.T)[0]
    unseen = np.eye(units) - q @ q.T
    np.testing.assert_allclose(after @ unseen, before @ unseen, atol=1e-4)
    drawn = np.asarray(jax.random.normal(key, (len(after), case.points)))[:, :rank]
    np.testing.assert_allclose((after @ q) ** 2, drawn**2, atol=1e-3)  # up to signs of columns
    bias = jax.random.normal(jax.random.fold_in(key, 1), shared[-1].bias.shape)
    np.testing.assert_allclose(shared[-1].bias, case.bias_std * np.asarray(bias), rtol=1e-12)


def test_entries_stay_independent_and_standard_normal():
    """Over many seeds: covariance of all entries of W_N within four standard errors."""
    case = make((3, 5, 2), points=3, bias_std=1.0)
    network, count = case.network, 1000

    def draw(seed):
        start = network.initialise(jax.random.key(seed))
        out = share_outputs(network, start, case.x, jax.random.key(10_000 + seed))
        return np.concatenate([np.ravel(a) for layer in out for a in layer])

    entries = np.array([draw(s) for s in range(count)])
    covariance = entries.T @ entries / count
    assert np.abs(entries.mean(axis=0)).max() < 4 / np.sqrt(count)
    assert np.abs(covariance - np.eye(len(covariance))).max() < 4 * np.sqrt(2 / count)
    assert np.abs((entries**4).mean(axis=0) - 3).max() < 4 * np.sqrt(96 / count)


def difference(width, seed, share=True):
    """How much f⁰ at this width differs from f⁰ at four times the width."""
    outputs = []
    for m in (width, 4 * width):
        case = make((6, m, 2), seed=3)  # the data are the same, the weights are not
        start = case.network.initialise(jax.random.fold_in(jax.random.key(seed), m))
        if share:
            start = share_outputs(case.network, start, case.x, jax.random.key(seed))
        outputs.append(np.asarray(case.network.forward(start, case.x).output))
    return float(np.linalg.norm(outputs[0] - outputs[1]))


def test_outputs_of_one_seed_agree_ever_better():
    assert_rate(difference, -0.5, widths=(16, 64, 256, 1024), seeds=32, rate="exactly")
    with pytest.raises(AssertionError, match="is refuted"):
        assert_rate(
            lambda m, s: difference(m, s, share=False), -0.5, widths=(16, 64, 256), seeds=12
        )


@pytest.mark.parametrize("how", ["shared", "independent", "zero"])
def test_the_option_decides_what_is_trained(how):
    settings = Settings(widths=(8, 16, 32), points=3, seeds=2, initial_outputs=how, time=2.0)
    rng = np.random.default_rng(0)
    data = Data("trial", rng.standard_normal((3, 4)), rng.standard_normal((3, 2)))
    needs = {NORMAL: frozenset({JACOBIAN_DRIFT.quantity})}
    rows = measure_cell(specify(settings, "theory", data, Cell(MAIN, 8, 5)), needs)
    (found,) = [row.value for row in rows if row.quantity == "jacobian-drift"]

    network = settings.family.network(8, (4,), 2)
    of_seed = jax.random.fold_in(jax.random.key(0), 5)
    start = network.initialise(jax.random.fold_in(of_seed, 8), jnp.float32)
    x, y = jnp.asarray(data.x), jnp.asarray(data.y)
    if how == "shared":
        start = share_outputs(network, start, x, jax.random.fold_in(of_seed, 0))
    wide = [layer._replace(weight=layer.weight.astype(jnp.float64)) for layer in start]
    if how == "zero":
        y = y + network.forward(tuple(wide), x).output
    times = 2.0 * (np.arange(1, 9) / 8) ** 2
    flow = solve(network, NORMAL, start, x, y, times, engine="dense", tolerance=1e-9)
    initial, now = flow.initial.observations, flow.observe()
    expected = jacobian_drift(network, initial, now)[None, "jacobian-drift"][0].max()
    assert found == pytest.approx(expected, rel=1e-4)


def test_another_name_is_refused():
    with pytest.raises(InputError, match=r"initial_outputs \(none\) must be one of shared, indep"):
        Settings(initial_outputs="none")


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"seeds": 4, "initial_outputs": "shared"}, "4 seeds, each with the same initial outputs"),
        ({"seeds": 4, "initial_outputs": "zero"}, r"4 seeds, .* \(the paper does not do this\)"),
        ({"seeds": 4, "initial_outputs": "independent"}, "4 seeds$"),
        ({"seeds": 4}, "4 seeds$"),
    ],
)
def test_the_report_says_what_seeds_share(config, text):
    assert re.match(text, seeds(config))
