"""What a measuring function is shown: one flow, and what it may be compared with.

    def largest_output(seen: Observed) -> Series:
        sizes = np.abs(np.asarray(seen.flow.output)).max(axis=(1, 2))
        return {(None, "largest-output"): (sizes, ROUNDING * sizes)}

Nothing is computed before it is asked for, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float

from ntkalign.flow.initial_state import Observations
from ntkalign.flow.trajectory import Flow
from ntkalign.kernels.analytic import InfiniteWidthKernels
from ntkalign.kernels.convolutional import InfiniteChannelKernels
from ntkalign.kernels.empirical import Empirical, at_once
from ntkalign.networks.base import Network
from ntkalign.quantities.series import Series

Limit = InfiniteWidthKernels | InfiniteChannelKernels


@dataclass(frozen=True, eq=False)
class Observed:
    """A flow as it is measured.

    Attributes:
        flow: what is measured.
        references: rule → its flow from the same start at the same tolerance, for the rules that
            the quantity's record names.
        seed: of the network.
        points: the first so many points are learnt, the others held out; None for all.
        limit: the kernels of the infinitely wide network on all points, where they are known; of
            a convolutional network Θ and the NNGP only.
        measured: what was found, by the names of quantities that are measured together.
    """

    flow: Flow
    references: Mapping[str, Flow] = field(default_factory=dict)
    seed: int = 0
    points: int | None = None
    limit: Limit | None = None
    measured: dict[tuple[str, ...], Series] = field(default_factory=dict)
    _kept: list[Observations] = field(default_factory=list)

    @property
    def network(self) -> Network:
        """The architecture."""
        return self.flow.network

    @cached_property
    def start(self) -> Observations:
        """Activities and Jacobians at time 0."""
        return self.flow.initial.observations

    @property
    def initial_output(self) -> Float[np.ndarray, "P C"]:
        """The network's f^0."""
        return self.flow.initial.output

    @cached_property
    def initial_kernels(self) -> Empirical:
        """The empirical kernels at time 0."""
        return at_once(self.network, self.flow.initial.factors)

    def over_time(self, jacobians: bool = True) -> Observations:
        """Activities, and Jacobians if they are wanted, at the saved times."""
        if not self._kept or (jacobians and not self._kept[0].jacobian):
            self._kept[:] = [self.flow.observe(jacobians=jacobians)]
        return self._kept[0]
