"""Whether an iteration has ended, goes on or gets nowhere: seen from how much each step changes.

If each step changes θ times as much as the one before, what is left after a change c is
c θ/(1 − θ). Where units cross kinks, steps do not shrink so evenly: one unit or two may go to and
fro for ever, by little.
"""

from __future__ import annotations

import math
import sys

from ntkalign.flow.spectral.panels import TooLongError

QUICK, SLOWEST = 0.1, 0.9
"""θ is taken to be no less than the first: the first iterations promise too much; nor more than the
second."""
FLICKER = 1e-3
"""Where units cross kinks, an iteration that goes on changing so little is taken for settled, and
what it changes for an error: one unit or two go to and fro."""
HALVED = 0.5
"""There, a step that contracts less than this is taken by half."""
PATIENCE, PATIENT = 4, 10
"""How many iterations are waited for; the second where units cross kinks."""
SLOW = 0.7
"""An iteration that contracts less than this is given up: a shorter panel is cheaper."""


class Convergence:
    """The changes that the steps of one iteration made, relative to what they change.

    Args:
        goal: the error at which it ends.
        kinked: whether units cross kinks.
        first: whether it begins at time 0, where nothing says that so long a panel will do.
    """

    def __init__(self, goal: float, *, kinked: bool, first: bool) -> None:
        self.goal, self.kinked, self.first = goal, kinked, first
        self.count = 0
        self.estimate = math.inf
        self._changes = [sys.float_info.max] * 3

    def add(self, change: float, beyond: float) -> None:
        """A step has been taken.

        Args:
            change: how much it changed.
            beyond: how far from its end the next one begins.

        Raises:
            TooLongError: if the iteration leads nowhere.
        """
        self.count += 1
        self._changes.append(change)
        if not math.isfinite(change):
            raise TooLongError
        contraction = self._contraction(1)
        if self.first and not self.kinked and self.count == 2 and contraction >= 1:
            raise TooLongError
        if not self.kinked:  # accelerated, a single iteration may promise too much
            contraction = max(contraction, self._contraction(2))
        contraction = min(max(contraction, QUICK), SLOWEST)
        self.estimate = change * contraction / (1 - contraction) + beyond

    @property
    def reached(self) -> bool:
        """Whether what is left is below the goal."""
        return self.count > 1 and self.estimate <= self.goal

    def halves(self, change: float) -> bool:
        """Whether a change that is not yet added is less than half of the last one."""
        return change < HALVED * self._changes[-1]

    def flickers(self) -> bool:
        """Whether it no longer shrinks, but changes so little that it may end.

        Returns:
            False as long as it shrinks.

        Raises:
            TooLongError: if it is not so little.
        """
        patience = PATIENT if self.kinked else PATIENCE
        if self.count <= patience or self._changes[-1] <= SLOW**2 * self._changes[-3]:
            return False
        largest = max(self._changes[-3:])
        if not self.kinked or largest > FLICKER:
            raise TooLongError
        self.estimate = largest
        return True

    def _contraction(self, back: int) -> float:
        change, before = self._changes[-back], self._changes[-back - 1]
        return change / before if before else (math.inf if change else 0.0)
