"""How a flow is computed: which engine, how accurately. Imports no engine."""

from __future__ import annotations

from dataclasses import dataclass

from ntkalign.errors import InputError, unknown_name

ENGINES = ("auto", "spectral", "dense")
"""auto is spectral, and dense where that does not converge."""
MAX_STEPS = 100_000


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
        if self.engine not in ENGINES:
            raise unknown_name("engine", self.engine, ENGINES, "only these are built in")
        if not 0 < self.tolerance < 1:
            raise InputError(
                "tolerance",
                self.tolerance,
                must="be between 0 and 1",
                got=repr(self.tolerance),
                because="it bounds the local error of a step in norms of order one",
                do="pass 1e-6, say",
            )
        if self.max_steps < 1:
            raise InputError(
                "max_steps",
                self.max_steps,
                must="be at least 1",
                got=repr(self.max_steps),
                because="a flow takes steps",
                do=f"leave it out: it is {MAX_STEPS} then",
            )
