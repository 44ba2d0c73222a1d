"""What a gradient flow leaves behind, whichever engine integrated it."""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ntkalign.flow.initial_state import InitialState, Observations
from ntkalign.flow.operators.low_rank import LowRank
from ntkalign.flow.options import MAX_STEPS, FlowOptions
from ntkalign.flow.problem import Problem
from ntkalign.networks.base import Network, backpropagate
from ntkalign.precision import in_float64
from ntkalign.rules import Rule

GROWTH = 1e4


class Outcome(enum.Enum):
    """How a flow ended; the values are sentences with a remedy."""

    REACHED = "reached the final time"
    GREW = (
        f"diverged: the integrated error grew past {GROWTH:g} times what it started from; "
        "shorten the time, or lower the targets' scale"
    )
    NOT_FINITE = (
        "diverged: values stopped being finite before the final time; "
        "shorten the time, or lower the targets' scale"
    )
    STEP_TOO_SMALL = (
        "diverged: the step size fell below 1e-10 of the final time; "
        "shorten the time, or loosen the tolerance"
    )
    TOO_MANY_STEPS = (
        f"did not reach the final time in {MAX_STEPS} steps; "
        "shorten the time or loosen the tolerance"
    )
    NOT_CONVERGED = (
        "did not converge: the spectral engine's iteration stalls even on short panels; "
        "choose the engine dense, or auto"
    )
    NOT_ROWWISE = (
        "cannot be run by the spectral engine: the rule mixes data points, is not linear in the "
        "error, or uses weights other than by @; choose the engine dense, or auto"
    )


@dataclass(frozen=True)
class Effort:
    """What a flow took.

    Attributes:
        engine: "spectral" or "dense".
        steps: iterations, or Runge–Kutta steps.
        panels: time panels (1 for the dense engine).
        estimate: estimated relative error, where the engine has one.
        unsettled: where units cross kinks, the share that its iteration still changes, or else its
            tolerance: one unit may escape the companion, too, that errors are told by.
    """

    engine: str
    steps: int
    panels: int
    estimate: float | None
    unsettled: float = 0.0

    @property
    def share(self) -> float:
        """The relative error that the flow itself tells of, without a looser one."""
        return (self.estimate or 0.0) + self.unsettled

    def __str__(self) -> str:
        if self.engine == "dense":
            return f"dense engine, {self.steps} steps"
        said = f"spectral engine, {self.steps} iterations on {self.panels} panel"
        said += "s" * (self.panels > 1)
        if self.estimate is None:  # units cross kinks: what that does is seen beside a looser flow
            return said
        return f"{said}, estimated relative error {self.estimate:.1e}"


class SplitChange(NamedTuple):
    """A weight change A = B + W̃ at one time, in orthonormal coordinates on both sides.

    B = W* − W^0 is what the frozen feedback and activity of time 0 give for the flow's own δ,
    equation (13); W̃ is the discrepancy (39). Norms, traces and products with Gaussian vectors
    are those of the full matrices, up to ``residual`` in Frobenius norm.
    """

    frozen: Float[np.ndarray, "k j"]
    discrepancy: Float[np.ndarray, "k j"]
    residual: float


@dataclass(frozen=True, eq=False)
class Flow(abc.ABC):
    """A trajectory at n saved times.

    Attributes:
        problem: the network at time 0, data and times.
        rule: the learning rule.
        delta: δ^(t) = η ∫₀ᵗ e dτ, equation (5) with e = y − f; (n, P, C).
        output: f^t (or the linearised output), (n, P, C), steps side by side.
        outcome: anything but REACHED means that the arrays must not be used.
        effort: what the flow took.
    """

    problem: Problem
    rule: Rule
    delta: np.ndarray
    output: np.ndarray
    outcome: Outcome
    effort: Effort
    _kept: dict[int, list[SplitChange]] = field(default_factory=dict)

    @property
    def initial(self) -> InitialState:
        """The network at time 0."""
        return self.problem.initial

    @property
    def network(self) -> Network:
        """The architecture."""
        return self.problem.initial.network

    @property
    def y(self) -> Float[np.ndarray, "P C"]:
        """The targets."""
        return self.problem.y

    @property
    def times(self) -> Float[np.ndarray, " n"]:
        """In units where the rate η is 1, increasing, all positive."""
        return self.problem.times

    @abc.abstractmethod
    def observe(self, jacobians: bool = True) -> Observations:
        """Activities, and Jacobians if they are wanted, at the saved times."""

    @cached_property
    def observations(self) -> Observations:
        """What :meth:`observe` gives, kept: of a flow that several others are compared with."""
        return self.observe()

    @abc.abstractmethod
    def weight_change(self, layer: int) -> Float[np.ndarray, "n p q"]:
        """W_l^t − W_l^0 at the saved times, in full: for small networks."""

    def frozen_change(self, layer: int) -> list[LowRank]:
        """B_l = W*_l − W_l^0 at each saved time, of rank P·R, from δ alone (13)."""
        if self.network.couples_points:  # there is no Jacobian of each point by itself
            return [self._carried_back(layer, delta) for delta in self.delta]
        activity = np.asarray(self.initial.activities[layer - 1])
        feedback = self.initial.observations.jacobian[layer - 1][0]
        places = len(activity) // len(self.y)
        weighted = np.einsum("cpm,npc->nmp", feedback, np.repeat(self.delta, places, axis=1))
        share = self.network.maps[layer - 1].scale / len(self.y)
        return [LowRank(share * w, activity.T) for w in weighted]

    @in_float64
    def _carried_back(self, layer: int, delta: np.ndarray) -> LowRank:
        """B_l by backpropagation of δ through the network of time 0, all points at once."""
        network, first = self.network, self.initial.first
        error = network.output_scale * jnp.asarray(delta).reshape(-1, *network.output_shape)
        weights = tuple(jnp.asarray(weight, jnp.float64) for weight in first.weights)
        signals = backpropagate(weights, first, error)
        weight = network.outer(signals, first.activities)[layer - 1].weight
        matrix = np.asarray(network.maps[layer - 1].matrix(weight)) / len(delta)
        return LowRank(matrix, np.eye(matrix.shape[1]))

    @in_float64
    def splits(self, layer: int) -> list[SplitChange]:
        """The change of W_l at the saved times, computed once."""
        if layer not in self._kept:
            self._kept[layer] = self._split(layer)
        return self._kept[layer]

    @abc.abstractmethod
    def _split(self, layer: int) -> list[SplitChange]: ...


class AtRest(Flow):
    """No flow at all: a network at time 0, for what is measured of untrained networks."""

    @classmethod
    def of(cls, problem: Problem, rule: Rule) -> AtRest:
        """The network at the start of a problem.

        Args:
            problem: whose network, data and rule's name are looked at.
            rule: by which it would be trained.

        Returns:
            A flow whose one saved time is 0.
        """
        output = problem.initial.output[None]
        effort = Effort("none", 0, 0, 0.0)
        return cls(problem, rule, np.zeros_like(output), output, Outcome.REACHED, effort)

    @property
    def times(self) -> Float[np.ndarray, " n"]:
        """Time 0."""
        return np.zeros(1)

    def observe(self, jacobians: bool = True) -> Observations:
        """Those of time 0."""
        return self.initial.observations

    def weight_change(self, layer: int) -> Float[np.ndarray, "n p q"]:
        """None."""
        return np.zeros((1, *self.initial.matrices[layer - 1].weight.shape))

    def _split(self, layer: int) -> list[SplitChange]:
        return [SplitChange(np.zeros((1, 1)), np.zeros((1, 1)), 0.0)]


class Engine(abc.ABC):
    """A method of solving a problem."""

    name: str

    @abc.abstractmethod
    def solve(
        self, problem: Problem, rule: Rule, options: FlowOptions, guess: Flow | None = None
    ) -> Flow:
        """The flow of a rule.

        Args:
            problem: what is solved.
            rule: the learning rule.
            options: how accurately.
            guess: a flow that may help; an engine ignores what it cannot use.
        """
