"""Networks of finite width beside their kernels: at the start, in training, and as predicted.

Held-out points ride along: the first ``points`` of a flow are those it learns. Comparisons with
the infinitely wide network count the error of its quadrature, which is the difference that fewer
nodes make. Norms over data points are Frobenius norms.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from ntkalign.errors import InputError
from ntkalign.flow.trajectory import Flow
from ntkalign.kernels.analytic import Limit
from ntkalign.kernels.empirical import Empirical, at_once
from ntkalign.kernels.prediction import predicted_delta, predicted_outputs, spectrum, weighted
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.series import ROUNDING, Series


def measure_empirical_flow(seen: Observed) -> Series:
    """The flow beside the closed form under its own kernel of time 0."""
    y, points = _learnt(seen)
    return prediction_gaps("empirical", seen.initial_kernels.ntk, seen.flow, y, points)


def measure_linearised_flow(seen: Observed) -> Series:
    """(57): Align-zero beside the closed form under the kernel of time 0, training points."""
    return {(None, "align-zero-gap"): measure_empirical_flow(seen)[None, "flow-gap-empirical"]}


def measure_drift(seen: Observed) -> Series:
    """How far the empirical kernel moves in training."""
    start = seen.initial_kernels.ntk
    drift = [distance(theta, start) for theta in _kernels_over_time(seen)]
    return {(None, "ntk-drift"): (np.array(drift), np.full(len(drift), ROUNDING))}


def measure_limits(seen: Observed) -> Series:
    """The network beside the infinitely wide one, with the error of the latter's quadrature."""
    limit = seen.limit
    if limit is None:
        raise InputError(
            "limit", None, must="be known", got="none",
            because="the network is compared with the infinitely wide one",
            do="pass the kernels of ntkalign.kernels.analytic.limit",
        )  # fmt: skip
    y, points = _learnt(seen)
    fine = _against(limit, seen.flow, seen.initial_kernels, y, points)
    rough = fine
    if limit.coarser is not None:
        rough = _against(limit.coarser, seen.flow, seen.initial_kernels, y, points)
    return {
        name: (values, errors + np.abs(values - rough[name][0]))
        for name, (values, errors) in fine.items()
    }


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


def _learnt(seen: Observed) -> tuple[Float[np.ndarray, "A C"], int]:
    """The targets of all points, and how many are learnt."""
    y = np.asarray(seen.flow.y)
    return y, len(y) if seen.points is None else seen.points


def _kernels_over_time(seen: Observed) -> Iterator[Float[np.ndarray, "A A C C"]]:
    trace = seen.trace()
    for i in range(len(seen.flow.times)):
        rows = [g[i].transpose(2, 0, 1).reshape(-1, g.shape[2]) for g in trace.jacobian]
        yield at_once([h[i] for h in trace.activities], rows).ntk


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖/‖b‖, Frobenius norms."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
