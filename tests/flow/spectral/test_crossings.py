"""Units that cross kinks: one cell, one unit and whole flows against plain small steps."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ntkalign.flow.spectral.crossings as crossings
from ntkalign import Outcome
from ntkalign.flow.options import KINKED_FROM_NEED
from ntkalign.flow.problem import Problem
from ntkalign.flow.spectral.collocation import Panel
from ntkalign.flow.spectral.paths import crossing, paths
from ntkalign.flow.spectral.relaxation import Relaxation
from ntkalign.networks.activations import ACTIVATIONS, lookup
from ntkalign.rules import RULES
from tests.cases import make, solve

TWO_KINKS = lookup(jax.nn.hard_tanh)
KINKED = [ACTIVATIONS["relu"], ACTIVATIONS["leaky-relu"], ACTIVATIONS["abs"], TWO_KINKS]
SLOPES = {  # written out: nothing of the package's
    "relu": lambda z: (z > 0) * 1.0,
    "leaky-relu": lambda z: np.where(z > 0, 1.0, 0.01),
    "abs": np.sign,
    "hard_tanh": lambda z: (np.abs(z) < 1) * 1.0,
}
SMALL = st.floats(-1, 1).filter(lambda v: abs(v) > 0.02)


def by_small_steps(slope, z, push, own, steps=20_000):
    """The mean slope, and z at the end, of dz = push + own · slope(z) over one unit of time."""
    total = 0.0
    for _ in range(steps):
        s = float(slope(z))
        total += s / steps
        z += (push + own * s) / steps
    return total, z


# --- one cell --------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", KINKED, ids=lambda a: a.name)
@given(z=SMALL, push=SMALL, own=SMALL)
def test_a_cell_is_what_small_steps_give(sigma, z, push, own):
    near = sigma.kinks[-1] + 0.3 * z
    expected, there = by_small_steps(SLOPES[sigma.name], near, push, own)
    mean, end, _ = crossing(sigma, *(jnp.array([v]) for v in (near, push, own)))
    assert abs(there - end[0]) < 2e-3 * (1 + abs(expected))
    assert abs(expected - mean[0]) < 5e-3 / min(abs(own), 1)


@given(push=st.floats(0.05, 0.9), begin=st.floats(-0.5, 0.5))
def test_a_unit_that_is_pushed_back_from_both_sides_slides(push, begin):
    sigma = ACTIVATIONS["relu"]
    arrived = jnp.array([0.01 * begin]), jnp.array([push]), jnp.array([-1.0])
    mean, end, slope = crossing(sigma, *arrived)
    assert end[0] == 0
    np.testing.assert_allclose(slope, push)
    np.testing.assert_allclose(mean, push, atol=0.02)
    mean, end, _ = crossing(sigma, end, *arrived[1:])
    np.testing.assert_allclose(mean, push, rtol=1e-12)
    assert end[0] == 0


def test_a_dead_unit_stays_dead():
    sigma = ACTIVATIONS["relu"]
    one = jnp.ones(1)
    _, end, slope = crossing(sigma, 0.5 * one, 0 * one, -1.0 * one)
    assert slope[0] == 0
    assert -0.05 < end[0] < 0
    for own in (-1.0, 1.0, 3.0):  # what would bring it back to life, were it on the kink
        mean, later, _ = crossing(sigma, end, 0 * one, own * one)
        assert mean[0] == 0
        assert later[0] == end[0]
    assert crossing(sigma, 0 * one, 0 * one, one)[0][0] == 1  # it is on the kink here


@pytest.mark.parametrize("sigma", KINKED, ids=lambda a: a.name)
@pytest.mark.parametrize("side", [-1.0, 1.0])
@given(
    z=st.floats(0.05, 0.95),
    rounding=st.sampled_from([-1e-7, -1e-16, -1e-19, 0.0, 1e-19, 1e-16, 1e-7]),
)
def test_what_pushes_a_unit_across_by_rounding_alone_changes_nothing(sigma, side, z, rounding):
    """Units of the first layer that only their own feedback moves are pushed by just that."""
    near = sigma.kinks[-1] + side * z
    without, with_it = (
        crossing(sigma, *(jnp.array([v]) for v in (near, push, -side))) for push in (0.0, rounding)
    )
    for one, other in zip(without, with_it, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


# --- cells -----------------------------------------------------------------------------------


@given(nodes=st.integers(4, 10), begin=st.floats(0, 2), length=st.floats(0.02, 0.3))
def test_cells_do_nothing_to_slopes_that_do_not_jump(nodes, begin, length):
    panel = Panel(begin, begin + length, nodes, 0.7)
    cells = crossings.Cells(panel)
    assert len(cells.durations) == crossings.EACH * (nodes - 1)
    np.testing.assert_allclose(cells.edges[:: crossings.EACH], panel.times, rtol=1e-12)
    s = np.log1p(panel.times / panel.tau)
    for power in range(nodes - 1):
        values = (s - begin) ** power / (panel.times + panel.tau)
        np.testing.assert_allclose(panel.derivative @ (panel.weights @ values), values, atol=1e-8)
        ones = jnp.ones((len(cells.durations), 1, 1))
        same = crossings.CrossedSlope(cells, ones) * jnp.asarray(values)[:, None]
        np.testing.assert_allclose(same[:, 0], values, atol=1e-8)


@given(at=st.floats(0.02, 0.98), nodes=st.integers(4, 8))
def test_a_jump_is_integrated_exactly_up_to_each_node(at, nodes):
    """Of a unit whose slope jumps from 0 to 1 in a cell, with a constant error signal."""
    panel = Panel(0.1, 0.3, nodes, 1.0)
    cells = crossings.Cells(panel)
    jump = panel.times[0] + at * (panel.times[-1] - panel.times[0])
    means = np.clip((cells.edges[1:] - jump) / cells.durations, 0, 1)
    signal = crossings.CrossedSlope(cells, jnp.asarray(means)[:, None, None]) * jnp.ones((nodes, 1))
    after = np.maximum(panel.times - jump, 0)
    np.testing.assert_allclose(panel.weights @ signal[:, 0], after, rtol=1e-5, atol=1e-9)


@given(many=st.sampled_from((5, 70)), seed=st.integers(0, 9))
def test_followed_units_have_their_own_paths_and_the_others_nothing_new(many, seed):
    rng, sigma = np.random.default_rng(seed), ACTIVATIONS["relu"]
    cells, points = crossings.Cells(Panel(0.1, 0.35, 5, 1.0)), 3
    far = rng.choice([-3.0, -0.7, 0.0, 0.7, 3.0], many)  # some are near the kink
    z = jnp.asarray(far + 0.1 * rng.standard_normal((5 * points, many)))
    signal, start = jnp.asarray(0.1 * rng.standard_normal(z.shape)), z[:points]
    answer = jnp.asarray(0.3 * rng.standard_normal((points, points, many)))
    met = jnp.asarray(0.1 * rng.standard_normal((len(cells.durations), points, many)))
    near = np.zeros(many, bool)
    for unit in range(many):
        for p in range(points):
            path = np.asarray(z)[p::points, unit]
            own = abs(float(answer[p, p, unit])) * np.abs(np.asarray(met)[:, p, unit]).sum()
            room = path.max() - path.min() + own
            near[unit] |= path.min() - room <= 0 <= path.max() + room
    units = crossings.Crossings(cells, sigma, (answer,))
    still = units._followed(z, signal, answer, None, start)
    found = units._followed(z, signal, answer, met, start)
    along = paths(sigma, cells.at_edges, cells.weights, z, signal, answer, met, start)
    for new, old, path in zip(found, still, along, strict=True):
        np.testing.assert_allclose(new, np.where(near, path, old), rtol=1e-12, atol=1e-14)
    assert near.any() or many == 5


# --- what a unit answers to itself -------------------------------------------------------------


@pytest.mark.parametrize(("name", "coherent"), [("normal", True), ("fa", False)])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_answers_are_each_units_own_tangent_kernel(name, coherent, depth):
    widths = (5, *(200, 230, 260)[: depth - 1], 2)
    case = make(widths, ACTIVATIONS["relu"], points=3, bias_std=0.2, seed=depth)
    problem = Problem.of(case.network, case.start, case.x, case.y, np.array([1.0]))
    rule = RULES[name]
    relaxation = Relaxation(problem.initial, rule, problem.constants(rule), problem.y, 1e-3)
    found = crossings.answers(problem.initial, relaxation.first.feedback, 1 / 3)
    start = [tuple(jnp.asarray(a, jnp.float64) for a in layer) for layer in case.start]

    def preactivation(parameters, layer, unit):
        h = case.x
        for number, (w, b) in enumerate(parameters, start=1):
            z = h @ w.T / math.sqrt(w.shape[1]) + b[None]
            if number == layer:
                return z[:, unit]
            h = jax.nn.relu(z)
        raise AssertionError

    for layer in range(1, depth):
        for unit in (0, 7):
            jacobian = jax.jacobian(preactivation)(start, layer, unit)
            parts = [[np.asarray(a).reshape(3, -1) for a in pair] for pair in jacobian]
            if not coherent:  # the layers below learn by signals that have nothing to do with it
                parts = parts[layer - 1 : layer]
            kernel = sum(a @ a.T for pair in parts[:layer] for a in pair) / 3
            ours = np.asarray(found[layer - 1])[:, :, unit]
            # from the third layer on, what units of the layer below share is left out
            np.testing.assert_allclose(
                ours, kernel, rtol=2e-6 if layer < 3 or not coherent else 0.2
            )


# --- whole flows -------------------------------------------------------------------------------


def plain_flow(case, rule, fixed, times, steps):
    """Heun's method on every weight in NumPy: weight changes and δ at the times."""
    slope = SLOPES[case.network.activation.name]
    sigma = {"relu": lambda z: np.maximum(z, 0), "abs": np.abs,
             "leaky-relu": lambda z: np.where(z > 0, z, 0.01 * z)}  # fmt: skip
    sigma = sigma[case.network.activation.name]
    start = [[np.asarray(a, float) for a in layer] for layer in case.start]
    x, y = np.asarray(case.x), np.asarray(case.y)

    def passed(parameters):
        zs, hs = [], [x]
        for w, b in parameters:
            zs.append(hs[-1] @ w.T / math.sqrt(w.shape[1]) + b)
            hs.append(sigma(zs[-1]))
        return zs, hs

    zs0, _ = passed(start)

    def velocity(parameters):
        zs, hs = passed(parameters)
        e = y - zs[-1]
        s, out = e, []
        for l in reversed(range(len(parameters))):
            w = parameters[l][0]
            out.append((s.T @ hs[l] / math.sqrt(w.shape[1]) / len(x), s.mean(axis=0)))
            if l:
                back = {"normal": w, "align-ada": start[l][0], "fa": fixed and fixed[l]}[rule]
                at = zs0[l - 1] if rule == "align-ada" else zs[l - 1]
                s = slope(at) * (s @ np.asarray(back, float)) / math.sqrt(w.shape[1])
        return out[::-1], e

    now, delta, before, found = start, 0.0, 0.0, []
    for time in times:
        step = (time - before) / steps
        for _ in range(steps):
            v, e = velocity(now)
            there = [
                [a + step * d for a, d in zip(p, q, strict=True)]
                for p, q in zip(now, v, strict=True)
            ]
            w, f = velocity(there)
            now = [
                [a + step * (d + c) / 2 for a, d, c in zip(p, q, r, strict=True)]
                for p, q, r in zip(now, v, w, strict=True)
            ]
            delta = delta + step * (e + f) / 2
        before = time
        found.append(([p[0] - q[0] for p, q in zip(now, start, strict=True)], delta))
    return found


TIMES = np.array([0.4, 1.5, 4.0])
CASES = [("relu", 3, "normal"), ("relu", 4, "normal"), ("abs", 3, "normal"),
         ("leaky-relu", 3, "normal"), ("relu", 3, "align-ada"), ("relu", 3, "fa")]  # fmt: skip


@cache
def solved(activation, depth, rule, tolerance):
    """A flow of the spectral engine, and the small steps that it should agree with."""
    widths = (6, *(96,) * (depth - 1), 2)
    case = make(widths, ACTIVATIONS[activation], points=4, bias_std=0.1, seed=5)
    flow = solve(case.network, RULES[rule], case.start, case.x, case.y, TIMES,
                 engine="spectral", tolerance=tolerance, key=jax.random.key(1))  # fmt: skip
    assert flow.outcome is Outcome.REACHED, flow.outcome.value
    fixed = flow.problem.constants(RULES[rule])
    assert flow.effort.estimate is None  # what it is worth is seen beside a looser one
    return flow, plain_flow(case, rule, fixed, TIMES, 1500)


def errors(flow, expected):
    """Of weight changes beside the frozen ones, as a share of them; and δ's."""
    shares = []
    for layer in range(1, flow.network.depth + 1):
        frozen = [b.left @ b.right.T for b in flow.frozen_change(layer)]
        change = flow.weight_change(layer)
        for k, (changes, _) in enumerate(expected):
            moved = changes[layer - 1] - frozen[k]
            if np.linalg.norm(moved) > 1e-3 * np.linalg.norm(frozen[k]):  # layer 1 may move alike
                wrong = np.linalg.norm(change[k] - changes[layer - 1])
                shares.append(wrong / np.linalg.norm(moved))
    deltas = [np.abs(d - delta).max() / np.abs(delta).max()
              for d, (_, delta) in zip(flow.delta, expected, strict=True)]  # fmt: skip
    return max(shares), max(deltas)


@pytest.mark.parametrize(("activation", "depth", "rule"), CASES)
def test_a_flow_is_what_small_steps_give(activation, depth, rule):
    flow, expected = solved(activation, depth, rule, 3e-5)
    share, delta = errors(flow, expected)
    assert share < 4e-3
    assert delta < 1e-4


@pytest.mark.parametrize(("activation", "depth", "rule"), CASES)
@pytest.mark.parametrize("rungs", list(pairwise(KINKED_FROM_NEED[:-1])))
def test_stated_errors_are_not_below_a_tenth_of_the_truth(activation, depth, rule, rungs):
    (looser, _), (flow, expected) = (solved(activation, depth, rule, rung) for rung in rungs)
    assert flow.effort.unsettled >= rungs[1]
    for layer in range(1, depth + 1):
        change, other = flow.weight_change(layer), looser.weight_change(layer)
        for k, (changes, _) in enumerate(expected):
            whole = np.linalg.norm(changes[layer - 1])
            stated = np.linalg.norm(change[k] - other[k]) + flow.effort.unsettled * whole
            wrong = np.linalg.norm(change[k] - changes[layer - 1])
            assert wrong < 10 * stated + 3e-4 * whole  # which the small steps are off by


def test_jacobians_have_the_slopes_of_sliding_units_at_every_saved_time():
    case = make((6, 48, 48, 2), ACTIVATIONS["relu"], points=4, bias_std=0.1, seed=5)
    times = np.geomspace(0.1, 6.0, 12)
    flow = solve(case.network, RULES["normal"], case.start, case.x, case.y, times,
                 engine="spectral", tolerance=1e-3)  # fmt: skip
    weights = np.asarray(case.start[2][0], float) + flow.weight_change(3)
    found, sliding = flow.observe().jacobian[1], 0
    for time, weight, jacobian in zip(times, weights, found, strict=True):
        slope = np.asarray(flow.solution.panel_at(time).crossed[1].slope)  # (P, m)
        sliding += int(np.sum((slope > 1e-3) & (slope < 1 - 1e-3)))
        expected = weight[:, None] * slope[None] / math.sqrt(48)
        np.testing.assert_allclose(jacobian, expected, rtol=1e-5, atol=1e-7)
    assert sliding >= 5  # there is something to see


def test_a_tighter_flow_is_nearer_and_a_looser_one_tells_how_near():
    shares, flows = [], []
    for tolerance in (1e-2, 1e-3, 1e-4):
        flow, expected = solved("relu", 4, "normal", tolerance)
        shares.append(errors(flow, expected)[0])
        flows.append(flow)
    assert max(shares[1:]) < 2e-3  # the small steps themselves are off by most of that
    assert max(shares[1:]) < shares[0] / 5
    for layer in range(1, 5):
        loose, fine, best = (flow.weight_change(layer) for flow in flows)
        assert np.linalg.norm(loose - fine) > 0.5 * np.linalg.norm(fine - best)


@pytest.mark.parametrize("first", [1e-6, 1e-3, 0.03])
def test_a_saved_time_may_be_as_early_as_it_will(first):
    case = make((6, 48, 48, 2), ACTIVATIONS["relu"], points=4, bias_std=0.1, seed=5)
    flow = solve(case.network, RULES["normal"], case.start, case.x, case.y, np.array([first, 1.0]),
                 engine="spectral", tolerance=1e-3)  # fmt: skip
    assert flow.outcome is Outcome.REACHED
    speed = flow.initial.error(flow.y)  # dδ/dt at time 0
    np.testing.assert_allclose(flow.delta[0] / first, speed, rtol=0.1, atol=0.1)


def test_units_that_are_not_followed_leave_no_flow(monkeypatch):
    solved.cache_clear()
    monkeypatch.setattr(crossings, "near_kinks", lambda *given: np.array([], int))
    with pytest.raises(AssertionError, match="the spectral engine's iteration stalls"):
        solved(*CASES[0], 3e-5)
