"""``ntkalign kernels``: do finite networks behave as their kernels say, and at what rate?

Held-out points ride along with the training points: their error does not drive learning, which is a
rule like any other, so that one flow gives outputs and kernels on all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.claims import Question, kernel_questions
from ntkalign.data import Data
from ntkalign.errors import InputError
from ntkalign.flow import Flow, Outcome
from ntkalign.kernels.analytic import Limit, limit
from ntkalign.kernels.empirical import assembled
from ntkalign.kernels.prediction import predicted_delta, predicted_outputs, spectrum
from ntkalign.measurements import Series, supremum
from ntkalign.networks import Pass, Signals
from ntkalign.origin import Trace
from ntkalign.rules import ALIGN_ZERO, NORMAL, Rule
from ntkalign.settings import Settings
from ntkalign.sweep import UNDEFINED, Cell, Needs, Row, Trial, failed
from ntkalign.verifier import Suite

HELD_OUT = 8
ROUNDING = 1e-13


def kernel_suite(held_out: int = HELD_OUT) -> Suite:
    """The questions about kernels, with so many points held out.

    Raises:
        InputError: if there is none.
    """
    if held_out < 1:
        raise InputError(
            "held_out", held_out, must="be at least 1", got=repr(held_out),
            because="predictions are checked where the network was not trained", do="pass 8, say",
        )  # fmt: skip
    return Suite(_ask, _prepare, held_out=held_out)


def _ask(settings: Settings, only: Iterable[str]) -> list[Question]:
    if settings.output_exponent != 0:
        raise InputError(
            "output_exponent", settings.output_exponent, must="be 0", got="another",
            because="only the neural tangent parameterisation has these limits", do="leave it out",
        )  # fmt: skip
    return kernel_questions(settings.family, only)


def _prepare(settings: Settings, data: Data) -> partial[list[Row]]:
    return partial(measure_kernels, limit=limit(settings.family, data.x))


@cache
def held_out(rule: Rule, points: int, all_points: int) -> Rule:
    """The rule on the first ``points`` of all points; the others are only looked at."""
    share = jnp.where(jnp.arange(all_points) < points, all_points / points, 0.0)

    def feedback(now: Pass, start: Pass, fixed: object, e: Array) -> Signals:
        seen = jnp.tile(share, len(e) // all_points)[:, None]
        return rule.feedback(now, start, fixed, seen * e)

    return Rule(rule.name, feedback, rule.activity, rule.draw)


def measure_kernels(
    settings: Settings, data: Data, time: float, cell: Cell, needs: Needs, *, limit: Limit
) -> list[Row]:
    """All rows of one network: its kernels, and its flow beside their predictions.

    Args:
        settings: checked settings.
        data: the training points, then those held out.
        time: T.
        cell: which network.
        needs: the quantities wanted.
        limit: the kernels of the infinitely wide network on all points.
    """
    points, everything = settings.points, len(data.x)
    normal, zero = (held_out(rule, points, everything) for rule in (NORMAL, ALIGN_ZERO))
    trial = Trial.of(settings, data, time, cell, (normal, zero))
    owner = {quantity: name for name, quantities in needs.items() for quantity in quantities}
    pairs = {normal: trial.run(normal)}
    if zero.name in needs:
        pairs[zero] = trial.run(zero, pairs[normal][1])
    bad = [f for pair in pairs.values() for f in pair if f.outcome is not Outcome.REACHED]
    if bad:
        return failed(cell, needs, settings.depth, f"{bad[0].rule.name} {bad[0].outcome.value}")
    series: list[Series] = []
    for i in range(2):
        flow = pairs[normal][i]
        other = pairs[zero][i] if zero in pairs else None
        series.append(_measured(flow, other, np.asarray(trial.y), points, limit))
    fine, coarse = ({n: v for n, v in s.items() if n[1] in owner} for s in series)
    found = supremum(fine, coarse, pairs[normal][0].work.estimate)
    rows: list[Row] = [
        (cell.family, cell.width, cell.seed, owner[quantity], layer, quantity, value, error,
         "ok" if np.isfinite(value + error) else UNDEFINED)
        for (layer, quantity), (value, error) in found.items()
    ]  # fmt: skip
    work = pairs[normal][0].work
    rows.append((cell.family, cell.width, cell.seed, NORMAL.name, None, f"{work.engine}-steps",
                 float(work.steps), 0.0, "ok"))  # fmt: skip
    return rows


def _measured(
    flow: Flow, zero: Flow | None, y: Float[np.ndarray, "A C"], points: int, limit: Limit
) -> Series:
    """Every quantity at the saved times, with bounds on what the measuring adds to its error."""
    trace, start = flow.trace(), flow.origin.trace
    outputs = y.shape[1]
    eye = np.eye(outputs)
    features, backward = _parts(start, 0)
    theta = assembled(features, backward)
    exact = limit.ntk[:, :, None, None] * eye
    initial, n = np.asarray(flow.origin.first.output), len(flow.times)
    series: Series = {}

    def add(
        name: str, values: list[float] | np.ndarray, layer: int | None = None, error: float = 0.0
    ) -> None:
        series[layer, name] = np.asarray(values), np.full(len(values), ROUNDING + error)

    add("ntk-gap", [distance(theta, exact)], error=limit.error)
    beta = flow.network.bias_std**2
    nngp = flow.origin.first.activities[-1]
    gram = np.asarray(nngp @ nngp.T) / nngp.shape[1] + beta
    add("nngp-gap", [distance(gram, limit.nngp)], error=limit.error)
    gammas = [g[:, :, None, None] * eye for g in limit.backward]
    for layer in range(1, flow.network.depth):
        found = distance(backward[layer - 1], gammas[layer - 1])
        add("gamma-gap", [found], layer, limit.error)
    add("ntk-drift", [distance(assembled(*_parts(trace, i)), theta) for i in range(n)])

    train = slice(0, points)
    e0 = y[train] - initial[train]
    delta = predicted_delta(exact[train, train], e0, flow.times)
    for layer in range(1, flow.network.depth + 1):
        h, g = features[layer - 1][train, train], backward[layer - 1][train, train]
        h8, g8 = limit.features[layer - 1][train, train], gammas[layer - 1][train, train]
        gaps = []
        for i in range(n):
            ours = spectrum(h, g, flow.delta[i, train] / flow.network.rate)
            theirs = spectrum(h8, g8, delta[i])
            gaps.append(float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)))
        add("spectrum-gap", gaps, layer, 10 * limit.error)

    for name, kernel, error in (("empirical", theta, 0.0), ("analytic", exact, 10 * limit.error)):
        predicted = predicted_outputs(kernel, y[train], initial, flow.times)
        apart = np.linalg.norm(flow.output - predicted, axis=-1)
        add(f"flow-gap-{name}", apart[:, train].max(axis=-1), error=error)
        add(f"flow-gap-{name}-held-out", apart[:, points:].max(axis=-1), error=error)
        if zero is not None and name == "empirical":
            apart = np.linalg.norm(zero.output - predicted, axis=-1)
            add("align-zero-gap", apart[:, train].max(axis=-1))
    return series


def _parts(trace: Trace, i: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """σσᵀ/m and Γ of every layer at one time of a trace."""
    features = [h[i] @ h[i].T / h.shape[2] for h in trace.activities]
    backward = [np.einsum("pmc,qmd->pqcd", g[i], g[i], optimize=True) for g in trace.jacobian]
    return features, backward


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖/‖b‖, Frobenius norms."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
