"""``ntkalign kernels``: do finite networks behave as their kernels say, and at what rate?

Held-out points ride along with the training points: their error does not drive learning, which is a
rule like any other, so that one flow gives outputs and kernels on all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.cells.cell import Needs, Row, labelled, lost, with_status
from ntkalign.cells.flow import Trial, what_it_took, why_not
from ntkalign.cells.specification import Measure, Specification
from ntkalign.data.catalogue import Data
from ntkalign.flow.gradient_flow import Flow
from ntkalign.kernels.analytic import Limit, limit
from ntkalign.kernels.empirical import Empirical, at_once
from ntkalign.kernels.prediction import predicted_delta, predicted_outputs, spectrum, weighted
from ntkalign.networks.fully_connected import Family, Pass, Signals
from ntkalign.quantities.theory import Series, supremum
from ntkalign.rules import ALIGN_ZERO, NORMAL, Rule

ROUNDING = 1e-13


def prepare(family: Family, data: Data, points: int) -> Measure:
    """How one network is measured.

    Args:
        family: the networks under test.
        data: the training points, then those held out.
        points: how many are trained on.

    Raises:
        InputError: if the activation has no limit.
    """
    normal, zero = (held_out(rule, points, len(data.x)) for rule in (NORMAL, ALIGN_ZERO))
    return partial(measure_kernels, limit=limit(family, data.x), rules=(normal, zero))


def held_out(rule: Rule, points: int, all_points: int) -> Rule:
    """The rule on the first ``points`` of all points; the others are only looked at."""
    share = jnp.where(jnp.arange(all_points) < points, all_points / points, 0.0)

    def feedback(now: Pass, start: Pass, fixed: object, e: Array) -> Signals:
        seen = jnp.tile(share, len(e) // all_points)[:, None]
        return rule.feedback(now, start, fixed, seen * e)

    return Rule(rule.name, feedback, rule.activity, rule.draw)


def measure_kernels(
    specification: Specification, needs: Needs, *, limit: Limit, rules: tuple[Rule, Rule]
) -> list[Row]:
    """What is needed of one network: its kernels, and its flow beside their predictions.

    Args:
        specification: of the network.
        needs: the quantities wanted, of gradient descent and of Align-zero.
        limit: the kernels of the infinitely wide network on all points.
        rules: gradient descent and Align-zero, with points held out.
    """
    normal, zero = rules
    trial = Trial.of(specification, rules)
    pairs = {normal: trial.run(normal)}
    wanted = {rule.name: quantities for rule, quantities in needs.items()}
    if zero.name in wanted:
        pairs[zero] = trial.run(zero, pairs[normal][1])
    y, points = np.asarray(trial.y), specification.points
    rows: list[Row] = []
    for rule, pair in pairs.items():
        if rule.name not in wanted:
            continue
        quantities, failure = wanted[rule.name], why_not(pair)
        measured = what_it_took(pair[0].work)
        if failure is None:
            fine, coarse = (_measured(flow, quantities, y, points, limit) for flow in pair)
            measured |= with_status(supremum(fine, coarse, pair[0].work.estimate))
        else:
            depth = specification.family.depth
            measured |= lost(quantities, depth, f"{rule.name} {failure}")
        rows += labelled(specification.cell, rule.name, measured)
    return rows


def _measured(
    flow: Flow, wanted: frozenset[str], y: Float[np.ndarray, "A C"], points: int, limit: Limit
) -> Series:
    """The wanted quantities, with bounds on what the measuring adds to their errors."""
    start = at_once(flow.origin.first.activities, flow.origin.jacobian)
    series = prediction_gaps("empirical", start.ntk, flow, y, points)
    series[None, "align-zero-gap"] = series[None, "flow-gap-empirical"]
    if "ntk-drift" in wanted:
        drift = [distance(theta, start.ntk) for theta in _kernels_over_time(flow)]
        series[None, "ntk-drift"] = np.array(drift), np.full(len(drift), ROUNDING)
    beyond = _against(limit, flow, start, y, points)
    rough = beyond if limit.coarser is None else _against(limit.coarser, flow, start, y, points)
    for name, (values, errors) in beyond.items():
        series[name] = values, errors + np.abs(values - rough[name][0])
    return {name: found for name, found in series.items() if name[1] in wanted}


def _against(
    limit: Limit, flow: Flow, start: Empirical, y: Float[np.ndarray, "A C"], points: int
) -> Series:
    """The quantities that compare a network with the infinitely wide one."""
    network, eye, some = flow.network, np.eye(y.shape[1]), np.s_[:points, :points]
    theta = limit.ntk[:, :, None, None] * eye
    gammas = [gamma[:, :, None, None] * eye for gamma in limit.backward]
    last = flow.origin.first.activities[-1]
    nngp = np.asarray(last @ last.T) / last.shape[1] + network.bias_std**2
    found: dict[tuple[int | None, str], list[float]] = {
        (None, "ntk-gap"): [distance(start.ntk, theta)],
        (None, "nngp-gap"): [distance(nngp, limit.nngp)],
    }
    e0 = (y - np.asarray(flow.origin.first.output))[:points]
    theirs = predicted_delta(theta[some], e0, flow.times)
    ours = np.asarray(flow.delta)[:, :points] / network.rate
    for i in range(network.depth):
        h, g, h8, g8 = start.features[i], start.backward[i], limit.features[i], gammas[i]
        pairs = list(zip(ours, theirs, strict=True))
        if i + 1 < network.depth:  # Γ_N is 1
            found[i + 1, "gamma-gap"] = [distance(g, g8)]
        found[i + 1, "q-gap"] = [
            distance(weighted(g[some], d), weighted(g8[some], d8)) for d, d8 in pairs
        ]
        found[i + 1, "spectrum-gap"] = [
            distance(spectrum(h[some], g[some], d), spectrum(h8[some], g8[some], d8))
            for d, d8 in pairs
        ]
    rounded = {n: (np.array(v), np.full(len(v), ROUNDING)) for n, v in found.items()}
    return rounded | prediction_gaps("analytic", theta, flow, y, points)


def prediction_gaps(
    name: str,
    kernel: Float[np.ndarray, "A A C C"],
    flow: Flow,
    y: Float[np.ndarray, "A C"],
    points: int,
) -> Series:
    """max_x ‖f^t − predicted f^t‖ over the training points, and over the others.

    The prediction's own error is its difference from f^0 + Θδ/P, found without neural-tangents.
    """
    initial = np.asarray(flow.origin.first.output)
    predicted = predicted_outputs(kernel, y[:points], initial, flow.times)
    e0 = y[:points] - initial[:points]
    delta = predicted_delta(kernel[:points, :points], e0, flow.times)
    other = initial + np.einsum("apcd,npd->nac", kernel[:, :points], delta) / points
    apart, error = (
        np.linalg.norm(predicted - f, axis=-1) for f in (np.asarray(flow.output), other)
    )
    return {
        (None, f"flow-gap-{name}{which}"): (
            apart[:, some].max(axis=-1),
            error.max(axis=-1) + ROUNDING,
        )
        for which, some in (("", np.s_[:points]), ("-held-out", np.s_[points:]))
    }


def _kernels_over_time(flow: Flow) -> Iterator[Float[np.ndarray, "A A C C"]]:
    trace = flow.trace()
    for i in range(len(flow.times)):
        rows = [g[i].transpose(2, 0, 1).reshape(-1, g.shape[2]) for g in trace.jacobian]
        yield at_once([h[i] for h in trace.activities], rows).ntk


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖/‖b‖, Frobenius norms."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
