"""``ntkalign kernels``: do finite networks behave as their kernels say, and at what rate?

Held-out points ride along with the training points: their error does not drive learning, which is a
rule like any other, so that one flow gives outputs and kernels on all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import jax.numpy as jnp
from jaxtyping import Array

from ntkalign.cells.flow import Cell, Needs, Row, Trial, failed, labelled, what_it_took, with_status
from ntkalign.claims.claim import Question
from ntkalign.claims.questions import kernel_questions
from ntkalign.data.catalogue import Data
from ntkalign.errors import InputError
from ntkalign.flow.trajectory import Outcome
from ntkalign.kernels.analytic import InfiniteWidthKernels, infinite_width_kernels
from ntkalign.networks.base import Pass, Signals
from ntkalign.precision import in_float64
from ntkalign.quantities.measuring import measure
from ntkalign.quantities.observed import Observed
from ntkalign.rules import ALIGN_ZERO, NORMAL, Rule
from ntkalign.runs.settings import Settings
from ntkalign.runs.verify import Suite

TITLE = "Are networks of finite width what their kernels say? Measured"
HELD_OUT = 8


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
    return Suite(TITLE, _ask, prepare, held_out=held_out)


def _ask(settings: Settings, only: Iterable[str]) -> list[Question]:
    if settings.output_exponent != 0:
        raise InputError(
            "output_exponent", settings.output_exponent, must="be 0", got="another",
            because="only the neural tangent parameterisation has these limits", do="leave it out",
        )  # fmt: skip
    return kernel_questions(settings.family, only)


def prepare(settings: Settings, data: Data) -> partial[list[Row]]:
    """How one network is measured.

    Raises:
        InputError: if the activation has no limit.
    """
    normal, zero = (held_out(rule, settings.points, len(data.x)) for rule in (NORMAL, ALIGN_ZERO))
    return partial(
        measure_kernels, limit=infinite_width_kernels(settings.family, data.x), rules=(normal, zero)
    )


@in_float64
def held_out(rule: Rule, points: int, all_points: int) -> Rule:
    """The rule on the first ``points`` of all points; the others are only looked at."""
    share = jnp.where(jnp.arange(all_points) < points, all_points / points, 0.0)

    def feedback(now: Pass, start: Pass, fixed: object, e: Array) -> Signals:
        seen = jnp.tile(share, len(e) // all_points)[:, None]
        return rule.feedback(now, start, fixed, seen * e)

    return Rule(rule.name, feedback, rule.activity, rule.draw)


@in_float64
def measure_kernels(
    settings: Settings,
    data: Data,
    time: float,
    cell: Cell,
    needs: Needs,
    *,
    limit: InfiniteWidthKernels,
    rules: tuple[Rule, Rule],
) -> list[Row]:
    """All rows of one network: its kernels, and its flow beside their predictions.

    Args:
        settings: checked settings.
        data: the training points, then those held out.
        time: T.
        cell: which network.
        needs: the quantities wanted.
        limit: the kernels of the infinitely wide network on all points.
        rules: gradient descent and Align-zero, with points held out.
    """
    points, (normal, zero) = settings.points, rules
    trial = Trial.of(settings, data, time, cell, (normal, zero))
    pairs = {normal: trial.run(normal)}
    if zero.name in needs:
        pairs[zero] = trial.run(zero, pairs[normal][1])
    rows: list[Row] = []
    for rule, (flow, looser) in pairs.items():
        wanted = needs.get(rule.name, frozenset())
        bad = next((f for f in (flow, looser) if f.outcome is not Outcome.REACHED), None)
        if bad is not None:
            status = f"{rule.name} {bad.outcome.value}"
            rows += failed(cell, {rule.name: wanted}, settings.depth, status)
            continue
        fine, coarse = (Observed(f, points=points, limit=limit) for f in (flow, looser))
        measured = with_status(measure(wanted, fine, coarse))
        rows += labelled(cell, rule.name, measured | what_it_took(flow.effort))
    return rows
