"""Generated problems: networks of many shapes, on data that are fixed by a seed."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from functools import cached_property

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from ntkalign import FlowOptions, Problem, gradient_flow
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.fully_connected import FullyConnected
from tests.memory import forget_programs

needs_dense = pytest.mark.skipif(
    not hasattr(diffrax, "ClipStepSizeController"), reason="diffrax is too old for the dense engine"
)
SMOOTH = sorted(name for name, a in ACTIVATIONS.items() if a.meets_assumptions)


def examples(count: int):
    """So many examples, in a costly test; ten times as many under the deep profile, two if fast.

    Each may compile hundreds of programs, so memory is looked after before each.
    """
    chosen = {"deep": 10 * count, "fast": min(count, 2)}
    profile = os.environ.get("HYPOTHESIS_PROFILE", "")

    def costly(test):
        @functools.wraps(test)
        def example(*arguments, **named):
            forget_programs()
            return test(*arguments, **named)

        return settings(max_examples=chosen.get(profile, count))(example)

    return costly


@dataclass(frozen=True)
class Case:
    """A network at its start, and data; drawn when first asked for."""

    widths: tuple[int, ...]
    name: str = "tanh"
    points: int = 4
    bias_std: float = 0.0
    seed: int = 0
    output_scale: float = 1.0

    @cached_property
    def network(self) -> FullyConnected:
        return FullyConnected(self.widths, activation(self.name), self.bias_std, self.output_scale)

    @cached_property
    def start(self):
        return self.network.initialise(jax.random.key(self.seed))

    @cached_property
    def _data(self):
        rng = np.random.default_rng(self.seed)
        shapes = (self.points, self.widths[0]), (self.points, self.widths[-1])
        return [jnp.asarray(rng.standard_normal(shape)) for shape in shapes]

    @property
    def x(self):
        return self._data[0]

    @property
    def y(self):
        return self._data[1]

    @property
    def plain(self):
        """The parameters as a list of NumPy pairs, for the references."""
        return plain(self.start)


def solve(network, rule, start, x, y, times, *, key=None, guess=None, among=(), **options):
    """The flow of a problem that is written out."""
    problem = Problem.of(network, start, x, y, times, key)
    return gradient_flow(problem, rule, FlowOptions(**options), guess=guess, among=among)


def plain(parameters):
    return [(np.asarray(layer.weight), np.asarray(layer.bias)) for layer in parameters]


def make(widths, name="tanh", **options) -> Case:
    forget_programs()  # a new shape compiles new ones
    return Case(tuple(widths), name, **options)


@st.composite
def cases(draw, names=tuple(SMOOTH), min_depth=2, max_depth=4, widths=(1, 3, 5, 8)):
    depth = draw(st.integers(min_depth, max_depth))
    return make(
        [draw(st.sampled_from(widths)) for _ in range(depth + 1)],
        draw(st.sampled_from(names)),
        points=draw(st.sampled_from((2, 4))),
        bias_std=draw(st.sampled_from((0.0, 0.5))),
        seed=draw(st.integers(0, 1000)),
    )
