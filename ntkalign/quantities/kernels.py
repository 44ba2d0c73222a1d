"""Networks of finite width beside their kernels: at the start, in training, and as predicted.

Held-out points ride along: the first ``points`` of a flow are those it learns. Comparisons with
the infinitely wide network count the error of its kernels: the difference that moving them by it
makes. Norms over data points are Frobenius norms.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from ntkalign.errors import InputError
from ntkalign.flow.trajectory import Flow
from ntkalign.kernels.analytic import InfiniteWidthKernels, Kernels
from ntkalign.kernels.empirical import Factors, at_once
from ntkalign.kernels.prediction import predicted_delta, predicted_outputs, spectrum, weighted
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.series import ROUNDING, Series

Things = dict[tuple[int | None, str], list[np.ndarray]]
"""What is compared, for one or for every saved time."""


def measure_empirical_flow(seen: Observed) -> Series:
    """The flow beside the closed form under its own kernel of time 0."""
    y, points = _learnt(seen)
    return prediction_gaps("empirical", seen.initial_kernels.ntk, seen.flow, y, points)


def measure_linearised_flow(seen: Observed) -> Series:
    """(57): Align-zero beside the closed form under the kernel of time 0, training points."""
    return {(None, "align-zero-gap"): measure_empirical_flow(seen)[None, "flow-gap-empirical"]}


def measure_drift(seen: Observed) -> Series:
    """How far the empirical kernel moves in training."""
    return {(None, "ntk-drift"): _drift(seen)}


def measure_kernel_drift(seen: Observed) -> Series:
    """The same of a recurrent or convolutional network."""
    return {(None, "kernel-drift"): _drift(seen)}


def _drift(seen: Observed) -> tuple[np.ndarray, np.ndarray]:
    start = seen.initial_kernels.ntk
    drift = [distance(theta, start) for theta in kernels_over_time(seen)]
    return np.array(drift), np.full(len(drift), ROUNDING)


def measure_kernel_gap(seen: Observed) -> Series:
    """How far the kernel of time 0 is from that of the infinitely wide network."""
    if seen.limit is None:
        raise _no_limit()
    start, limit, moved = (
        seen.initial_kernels.ntk,
        *(_wide(k.ntk, np.asarray(seen.flow.y)) for k in (seen.limit, seen.limit.moved)),
    )
    gap, off = distance(start, limit), distance(moved, limit)
    bound = (1 + gap) * off + ROUNDING  # both are relative to the limit, which may itself be off
    return {(None, "kernel-gap"): (np.array([gap]), np.array([bound]))}


def measure_limits(seen: Observed) -> Series:
    """The network beside the infinitely wide one, with the error of the latter's kernels."""
    limit = seen.limit
    if not isinstance(limit, InfiniteWidthKernels):
        raise _no_limit()
    (y, points), network, flow, start = _learnt(seen), seen.network, seen.flow, seen.initial_kernels
    some = np.s_[:points, :points]
    ours = np.asarray(flow.delta)[:, :points] / network.rate
    nngp = start.features[-1] + network.bias_std**2
    found: Things = {(None, "ntk-gap"): [start.ntk], (None, "nngp-gap"): [nngp]}
    for i in range(network.depth):
        h, g = start.features[i], start.backward[i]
        if i + 1 < network.depth:  # Γ_N is 1
            found[i + 1, "gamma-gap"] = [g]
        found[i + 1, "q-gap"] = [weighted(g[some], d) for d in ours]
        found[i + 1, "spectrum-gap"] = [spectrum(h[some], g[some], d) for d in ours]
    exact, moved = (_expected(k, flow, y, points) for k in (limit, limit.moved))
    series: Series = {}
    for name, things in found.items():
        gaps = np.array([distance(a, b) for a, b in zip(things, exact[name], strict=True)])
        # no distance changes by more than its end is moved; both are relative to that end
        off = np.array([distance(a, b) for a, b in zip(moved[name], exact[name], strict=True)])
        series[name] = gaps, (1 + gaps) * off + ROUNDING
    thetas = [_wide(k.ntk, y) for k in (limit, limit.moved)]
    return series | prediction_gaps("analytic", thetas[0], flow, y, points, thetas[1])


def _no_limit() -> InputError:
    return InputError(
        "limit", None, must="be known", got="none",
        because="the network is compared with the infinitely wide one",
        do="pass the kernels of ntkalign.kernels.analytic.infinite_width_kernels",
    )  # fmt: skip


def _expected(kernels: Kernels, flow: Flow, y: Float[np.ndarray, "A C"], points: int) -> Things:
    """What is compared, by the infinitely wide network's kernels."""
    some = np.s_[:points, :points]
    theta, gammas = _wide(kernels.ntk, y), [_wide(gamma, y) for gamma in kernels.backward]
    e0 = (y - flow.initial.output)[:points]
    delta = predicted_delta(theta[some], e0, flow.times)
    expected: Things = {(None, "ntk-gap"): [theta], (None, "nngp-gap"): [kernels.nngp]}
    for i, (h, g) in enumerate(zip(kernels.features, gammas, strict=True), start=1):
        expected[i, "gamma-gap"] = [g]
        expected[i, "q-gap"] = [weighted(g[some], d) for d in delta]
        expected[i, "spectrum-gap"] = [spectrum(h[some], g[some], d) for d in delta]
    return expected


def _wide(kernel: Float[np.ndarray, "A A"], y: Float[np.ndarray, "A C"]) -> np.ndarray:
    """The kernel times the identity over outputs."""
    return kernel[:, :, None, None] * np.eye(y.shape[1])


def prediction_gaps(
    name: str,
    kernel: Float[np.ndarray, "A A C C"],
    flow: Flow,
    y: Float[np.ndarray, "A C"],
    points: int,
    moved: Float[np.ndarray, "A A C C"] | None = None,
) -> Series:
    """max_x ‖f^t − predicted f^t‖ over the training points, and over the others.

    The prediction's own error is its difference from f^0 + Θδ/P, found without neural-tangents,
    and from the prediction of the kernel moved by its error.

    Returns:
        Values and error bounds at each time, by name: ``flow-gap-NAME`` of the training points,
        ``flow-gap-NAME-held-out`` of the others.
    """
    initial = flow.initial.output
    predicted = predicted_outputs(kernel, y[:points], initial, flow.times)
    e0 = y[:points] - initial[:points]
    delta = predicted_delta(kernel[:points, :points], e0, flow.times)
    other = initial + np.einsum("apcd,npd->nac", kernel[:, :points], delta) / points
    apart, error = (
        np.linalg.norm(predicted - f, axis=-1) for f in (np.asarray(flow.output), other)
    )
    if moved is not None:
        shifted = predicted_outputs(moved, y[:points], initial, flow.times)
        error = error + np.linalg.norm(predicted - shifted, axis=-1)
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


def kernels_over_time(seen: Observed) -> Iterator[Float[np.ndarray, "A A C C"]]:
    """The empirical NTK Θ^t at the saved times.

    Args:
        seen: the flow.

    Yields:
        Θ(x, x′) of outputs c and c′ at [x, x′, c, c′].
    """
    passes = seen.over_time()
    for i in range(len(seen.flow.times)):
        rows = tuple(g[i].reshape(-1, g.shape[-1]) for g in passes.jacobian)
        yield at_once(seen.network, Factors(tuple(h[i] for h in passes.activities), rows)).ntk


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖/‖b‖, Frobenius norms."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
