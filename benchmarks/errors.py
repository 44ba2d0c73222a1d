"""Errors stated against errors found: does a number lie within what the tool says of its error?

    python benchmarks/errors.py --network rnn --widths 32,128 --seeds 2 --engine dense

Networks are measured as ``ntkalign verify`` does, and once more with a far tighter flow, by either
engine. What differs is the error found; the table has, for each quantity, the largest error stated
and found, as shares of the value, and the largest ratio of found to stated: below 1 nothing was
worse than it was said to be. Of what is zero there are no shares.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import numpy as np
import tyro

from ntkalign.cells.cell import OK, Cell, Row
from ntkalign.claims.claim import MAIN
from ntkalign.data import catalogue
from ntkalign.kernels.training_time import TimeScales, saved_times
from ntkalign.quantities.series import ZERO
from ntkalign.runs.settings import Settings
from ntkalign.runs.suite import THEORY
from ntkalign.runs.sweep import needed, specify

TIGHT = {"spectral": 1e-10, "dense": 1e-11}


@dataclasses.dataclass(frozen=True)
class Job:
    """What is compared."""

    network: Annotated[str, tyro.conf.arg(help="mlp, rnn or cnn")] = "rnn"
    widths: Annotated[str, tyro.conf.arg(help="hidden units or channels")] = "32,128"
    seeds: Annotated[int, tyro.conf.arg(help="networks per width")] = 2
    engine: Annotated[str, tyro.conf.arg(help="of the tighter flow: spectral or dense")] = "dense"
    activation: Annotated[str, tyro.conf.arg(help="nonlinearity")] = "tanh"


def main(job: Job) -> None:
    """Print one line for each quantity."""
    settings = Settings(network=job.network, activation=job.activation)
    data = catalogue.load(settings.data, points=settings.points, network=job.network)
    scales = TimeScales.of(settings.family, data)
    settings = dataclasses.replace(settings, time=scales.until())
    assert settings.time is not None
    times = saved_times(settings.time, scales.fastest)
    needs = needed(THEORY.ask(settings, ()), settings.rules)[MAIN]
    measure = THEORY.prepare(settings, data)
    rows: list[tuple[Row, Row]] = []
    for width in map(int, job.widths.split(",")):
        for seed in range(job.seeds):
            usual = specify(settings, THEORY.name, data, Cell(MAIN, width, seed), times)
            tight = dataclasses.replace(usual, engine=job.engine, tolerance=TIGHT[job.engine])
            rows += _pairs(measure(usual, needs), measure(tight, needs))
    print(
        f"{job.network}, {job.activation}, widths {job.widths}, T = {settings.time:g}: "
        f"tolerance {settings.tolerance or 'from need'} "
        f"against {job.engine} at {TIGHT[job.engine]:g}\n"
    )
    print("| quantity | numbers | stated, largest share | found, largest share | found/stated |")
    print("|---|---|---|---|---|")
    for quantity in dict.fromkeys(row.quantity for row, _ in rows):
        print(_line(quantity, [pair for pair in rows if pair[0].quantity == quantity]))


def _pairs(usual: list[Row], tight: list[Row]) -> list[tuple[Row, Row]]:
    """Rows of the same thing; those of a flow's effort are not compared."""

    def key(row: Row) -> tuple[object, ...]:
        return row.rule, row.layer, row.quantity, row.time

    others = {key(row): row for row in tight}
    return [
        (row, others[key(row)])
        for row in usual
        if row.status == OK and row.error > 0 and key(row) in others
    ]


def _line(quantity: str, pairs: list[tuple[Row, Row]]) -> str:
    value, stated, found = np.array(
        [(abs(b.value), a.error, max(0.0, abs(a.value - b.value) - b.error)) for a, b in pairs]
    ).T
    seen = value > ZERO
    shares = (f"{(error[seen] / value[seen]).max(initial=0):.1e}" for error in (stated, found))
    return f"| {quantity} | {len(pairs)} | {' | '.join(shares)} | {(found / stated).max():.2g} |"


if __name__ == "__main__":
    main(tyro.cli(Job, description=__doc__))
