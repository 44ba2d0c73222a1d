"""How a flow is computed: which engine, how accurately. Imports no engine.

A flow is never solved alone: the next looser one tells its error. The tolerances of a flow and of
its companions, loosest first, are a *ladder*. Whoever asks for a tolerance gets two rungs, that one
and one 30 times looser; whoever does not, as many as what is measured needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from ntkalign.values import one_of, real, whole

ENGINES = ("auto", "spectral", "dense")
"""auto is spectral, and dense where that does not converge."""
MAX_STEPS = 100_000
FROM_NEED = (3e-5, 1e-6, 3e-8, 1e-9)
"""Tolerances that are tried in turn if none is asked for."""
KINKED_FROM_NEED = (1e-2, 1e-3, 1e-4, 3e-5, 1e-5)
"""The same where σ′ may jump: flows are rough there, and each digit costs far more."""
COARSER = 30.0
"""The companion of a flow whose tolerance is asked for is looser by this factor."""
_TOLERANCE = real(
    "be between 0 and 1",
    lambda value: 0 < value < 1,
    "it bounds the local error of a step in norms of order one",
    "pass 1e-6, say",
)
_STEPS = whole(1, "a flow takes steps", f"leave it out: it is {MAX_STEPS} then")


@dataclass(frozen=True)
class FlowOptions:
    """How a flow is computed.

    Args:
        engine: "spectral", "dense", or "auto": spectral, and dense where that does not converge.
        tolerance: the spectral engine bounds the estimated relative error of e, of
            z_l − z_l(0) and of the feedback by it; the dense engine each step's local error.
        max_steps: the dense engine gives up after that many steps.

    Raises:
        InputError: if the engine is unknown, or a number makes no sense.
    """

    engine: str = "auto"
    tolerance: float = 1e-6
    max_steps: int = MAX_STEPS

    def __post_init__(self) -> None:
        one_of(ENGINES, "only these are built in")("engine", self.engine)
        object.__setattr__(self, "tolerance", _TOLERANCE("tolerance", self.tolerance))
        object.__setattr__(self, "max_steps", _STEPS("max_steps", self.max_steps))


def ladder(tolerance: float | None, *, kinked: bool) -> tuple[float, ...]:
    """The tolerances that flows are solved at.

    Args:
        tolerance: that was asked for; None if it is to follow from need.
        kinked: whether the activation may have kinks.

    Returns:
        Two or more, loosest first.
    """
    if tolerance is None:
        return KINKED_FROM_NEED if kinked else FROM_NEED
    return COARSER * tolerance, tolerance
