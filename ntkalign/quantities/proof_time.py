r"""Integrals over time of what is known at the saved times of a flow, with their errors.

The proofs integrate norms: (42) ∫‖dW̃/dτ‖dτ, (51) α, (54) ∫β u dτ, (55) ∫β dτ. Flows for them are
saved at Chebyshev–Lobatto nodes in s = log(1 + t/τ), in which relaxation at every rate is equally
smooth (:mod:`ntkalign.flow.spectral.collocation`). Every second node is a node of the coarser grid,
so that the same numbers give a second integral, and the difference of the two is the error: a norm
has kinks (singular values cross, the maximum over x moves from one point to another), and an error
estimate that trusts in smoothness would be wrong.

Time 0 is a node. It is not saved by a flow; whoever integrates knows the value there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from ntkalign.errors import InputError
from ntkalign.flow.spectral.collocation import SCALE, Panel

NODES = 33
"""Time 0 among them; the coarser grid has 17."""
UNKNOWN = 20.0
"""T in relaxation times, where the fastest is not known."""


def proof_times(time: float, fastest: float | None = None) -> tuple[float, ...]:
    """When flows are looked at for integrals.

    Args:
        time: T.
        fastest: the shortest relaxation time, if it is known.

    Returns:
        The nodes but time 0, increasing, T the last.
    """
    tau = SCALE * (fastest or time / UNKNOWN)
    inner = Panel(0.0, math.log1p(time / tau), NODES, tau).times[1:-1]
    return (*map(float, inner), float(time))


@dataclass(frozen=True, eq=False)
class Integral:
    """Integration over the nodes of one grid.

    Attributes:
        fine: all nodes, time 0 the first.
    """

    fine: Panel

    @classmethod
    def of(cls, times: Float[np.ndarray, " n"]) -> Integral:
        """The grid of a flow's saved times, found from the middle node and the last.

        Args:
            times: as :func:`proof_times` gives them.

        Returns:
            The rule for values at time 0 and at these times.

        Raises:
            InputError: if they are no such nodes.
        """
        count = len(times) + 1
        if count >= 5 and count % 4 == 1 and times[-1] > 2 * times[count // 2 - 1]:
            # t = τ(exp(S u) − 1) with u = ½ at the middle node and 1 at the last
            half = math.log(times[-1] / times[count // 2 - 1] - 1)
            panel = Panel(0.0, 2 * half, count, float(times[-1]) / math.expm1(2 * half))
            if np.allclose(panel.times[1:], times, rtol=1e-7, atol=0):
                return cls(panel)
        raise InputError(
            "times", f"{count - 1} of them", must="be nodes of a quadrature rule",
            got="others", because="the proofs integrate over time",
            do="pass ntkalign.quantities.proof_time.proof_times(T)",
        )  # fmt: skip

    @cached_property
    def _coarse(self) -> Panel:
        """Every second node."""
        return Panel(0.0, self.fine.end, (self.fine.nodes + 1) // 2, self.fine.tau)

    @cached_property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """From values at all nodes, or at every second, to ∫₀ᵗ at all nodes."""
        return self.fine.weights, self._coarse.integral(self.fine.times)

    def __call__(
        self, values: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """∫₀ᵗ of the values, and what the coarser grid makes of them differs by.

        Args:
            values: at all nodes, time 0 the first.

        Returns:
            The integral up to each node, and its error there; both 0 at time 0.
        """
        fine, coarse = self.weights
        whole = fine @ values
        return whole, np.abs(whole - coarse @ values[::2])
