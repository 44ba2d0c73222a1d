"""Exponents of values without noise: one number a width, and the law itself is judged.

The model is that of :mod:`ntkalign.statistics.rates` without its noise,

    log q(m) = c + p log m + log(1 + a (m/m₁)^−ω),   −¼ ≤ a ≤ 1,  ω ∈ {½, 1}

There is nothing to be averaged, so an interval holds the exponents that a correction with a ≥ 0 may
be hiding; a < 0 is allowed for before an exponent is said to be too large. What no allowed
correction explains (the *misfit*, found by the best fit) is taken for an error of the values: a law
that bends otherwise widens its own interval. Values that stop falling have a *floor* f, found as
the best fit of q − f by a pure power: rounding, or a limit that is not zero. Where it explains more
than a correction does, an exponent says nothing of what larger widths do. (Of three widths no floor
can be told.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from ntkalign.statistics.corrections import DECAYS, OPPOSITE, SIZES
from ntkalign.statistics.rates import Design, Exponent, Rate
from ntkalign.statistics.samples import LEAST_WIDTHS, Samples

MISFIT = 1e-7
"""Of a logarithm: below this a law is met exactly."""
FLOOR_SHARE = 0.1
"""A floor that is less of the value at the largest width is left alone."""
GRID = 121
WIDEST = 600.0
"""Logarithms that are farther apart overflow; values that fall so far have no floor."""


@dataclass(frozen=True)
class ExactLaw:
    """What values without noise say.

    Attributes:
        rate: the exponent; its intervals come from corrections, misfit and errors alone.
        misfit: by how much, at most, no allowed correction explains a logarithm.
        floor: f, 0 if there is none that matters.
    """

    rate: Rate
    misfit: float
    floor: float


def fit_exact(
    widths: Sequence[int] | np.ndarray,
    values: Sequence[float] | np.ndarray,
    errors: Sequence[float] | np.ndarray | None = None,
) -> ExactLaw:
    """Fit an exponent to one positive value a width, none of them random.

    Args:
        widths: at least three, increasing.
        values: one positive value for each width.
        errors: for each width the numerical error as a share of the value.

    Returns:
        The exponent over all widths and over the upper half; misfit and floor.

    Raises:
        InputError: if an argument is not what it must be; says which, and what to do.
    """
    samples = Samples.of(widths, [[v] for v in values], errors, least=1)
    logs = np.array([row[0] for row in samples.logs])
    half = len(logs) - max(LEAST_WIDTHS, -(-len(logs) // 2))
    x = np.log(np.asarray(samples.widths, float) / samples.widths[0])
    misfit = _misfit(x, logs)
    whole = _exponent(samples.widths, logs, samples.errors + misfit)
    upper = _exponent(samples.widths, logs, samples.errors + misfit, half)
    typical = tuple(np.exp(logs))
    rate = Rate(
        all=whole,
        upper=upper,
        outside=0,
        decides=True,
        interval=whole.interval(0.5),
        upper_interval=upper.interval(0.5),
        bend=float(misfit <= MISFIT),
        local=tuple(np.diff(logs) / np.diff(x)),
        typical=typical,
        band=tuple((v, v) for v in typical),
    )
    return ExactLaw(rate, misfit, _floor(x, logs, misfit))


def _exponent(
    widths: tuple[int, ...], logs: np.ndarray, errors: np.ndarray, skip: int = 0
) -> Exponent:
    """By the weights that corrections and errors move least."""
    design = Design.of(widths, skip)
    reach = np.abs(design.weights) @ errors[skip:]
    room = design.shifts[:, 1] - design.shifts[:, 0]
    best = int(np.argmin(room + 2 * reach))
    low, high = design.shifts[best]
    return Exponent(
        estimate=float(design.weights[best] @ logs[skip:]),
        error=0.0,
        freedom=np.inf,
        shift=(float(low), float(high)),
        slack=float(design.slacks[best]),
        numerical=float(reach[best]),
    )


def _misfit(x: np.ndarray, logs: np.ndarray) -> float:
    """The least of the largest residuals that an allowed correction leaves."""
    sizes = np.linspace(OPPOSITE, SIZES[-1], GRID)

    def left(a: float, w: float) -> float:
        return float(np.abs(_off_line(x, logs - np.log1p(a * np.exp(-w * x)))).max())

    best = []
    for w in DECAYS:
        near = int(np.argmin([left(a, w) for a in sizes]))
        bounds = sizes[max(near - 1, 0)], sizes[min(near + 1, GRID - 1)]
        found = minimize_scalar(left, bounds=bounds, args=(w,), method="bounded",
                                options={"xatol": 1e-12})  # fmt: skip
        best += [float(found.fun), left(sizes[near], w)]
    return min(best)


def _floor(x: np.ndarray, logs: np.ndarray, misfit: float) -> float:
    """The constant without which the values are a pure power; 0 if a correction does as well."""
    if misfit <= MISFIT or len(logs) <= LEAST_WIDTHS or np.ptp(logs) > WIDEST:
        return 0.0
    values = np.exp(logs - logs.min())
    found = minimize_scalar(
        lambda f: float(np.sum(_off_line(x, np.log(values - f)) ** 2)),
        bounds=(0.0, (1 - 1e-9) * values.min()),
        method="bounded",
        options={"xatol": 1e-12},
    )
    left = np.abs(_off_line(x, np.log(values - found.x))).max()
    share = float(found.x / values[-1])
    return share * float(np.exp(logs[-1])) if left < misfit and share > FLOOR_SHARE else 0.0


def _off_line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What a straight line leaves."""
    return y - np.polyval(np.polyfit(x, y, 1), x)
