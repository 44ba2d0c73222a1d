"""``ntkalign kernels``: do finite networks behave as their kernels say, and at what rate?

Held-out points ride along with the training points: their error does not drive learning, which is a
rule like any other, so that one flow gives outputs and kernels on all of them.
"""

from __future__ import annotations

from functools import lru_cache, partial

import jax.numpy as jnp
from jaxtyping import Array

from ntkalign.cells.cell import Needs, Row, labelled, with_companions
from ntkalign.cells.flow import Climber, Trial, what_it_took
from ntkalign.cells.specification import Measure, Specification
from ntkalign.data.catalogue import Data
from ntkalign.kernels.analytic import InfiniteWidthKernels, infinite_width_kernels
from ntkalign.networks.base import Pass, Signals
from ntkalign.networks.family import Family
from ntkalign.precision import in_float64
from ntkalign.rules import ALIGN_ZERO, NORMAL, Rule


def prepare(family: Family, data: Data) -> Measure:
    """How one network is measured.

    Args:
        family: the networks under test.
        data: the training points, then those held out.

    Returns:
        A function of a specification and the quantities needed; it has the limit's kernels ready.

    Raises:
        InputError: if the activation has no limit.
    """
    return partial(measure_kernels, limit=infinite_width_kernels(family, data.x))


@lru_cache(maxsize=16)  # one object a rule, for what is compiled is kept by it
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
    specification: Specification,
    needs: Needs,
    *,
    limit: InfiniteWidthKernels,
) -> list[Row]:
    """What is needed of one network: its kernels, and its flow beside their predictions.

    Args:
        specification: of the network.
        needs: the quantities wanted, of gradient descent and of Align-zero.
        limit: the kernels of the infinitely wide network on all points.

    Returns:
        Rows, rule by rule; where a rule's flow failed, values are NaN and the status says why.
    """
    points = specification.points
    normal, zero = (
        held_out(rule, points, len(specification.data.x)) for rule in (NORMAL, ALIGN_ZERO)
    )
    trial = Trial.of(specification, (normal, zero), descent=normal)
    wanted = {rule.name: with_companions(quantities) for rule, quantities in needs.items()}
    rows: list[Row] = []
    for rule in (normal, zero):
        if rule.name in wanted:
            measured = what_it_took(trial.pair(rule)[0].effort)
            measured |= Climber(trial, rule, limit, points).measured(wanted[rule.name])
            rows += labelled(specification.cell, rule.name, measured)
    return rows
