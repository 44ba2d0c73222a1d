"""Tied weights that a point meets once: the network is one of dense layers, and so is its flow.

A convolution of 1 × 1 images sees data by its centre tap only, and a recurrence of one step sees
h_{−1} = 0. Both are then layers W h/√fan-in without ties, the first with √(9c) for √c.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign import FlowOptions, Outcome, Problem, gradient_flow
from ntkalign.kernels.empirical import empirical
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.base import Network
from ntkalign.networks.fully_connected import DenseMap, FullyConnected
from ntkalign.networks.layers import Layer
from ntkalign.quantities import theory as measure
from ntkalign.rules import ALIGN_ADA, FEEDBACK_ALIGNMENT, NORMAL
from tests.tied import TOLERANCE, Tied, agree, convolutional, recurrent

TANH = activation("tanh")
SHARE = 1e-11
"""Of the size: rounding, after some steps or iterations that go the same way."""


@dataclass(frozen=True)
class Chain(Network):
    """Dense layers with factors of one's own."""

    layers: tuple[DenseMap, ...]

    @property
    def maps(self):
        return self.layers

    from_output = FullyConnected.from_output


@dataclass(frozen=True)
class Pair:
    """A network with ties, the same without, and which layer is which."""

    tied: Tied
    chain: Chain
    same: dict[int, int]

    def untied(self, weights):
        """Weights of the chain."""
        kept = [np.asarray(weights[layer - 1]) for layer in self.same]
        return tuple(jnp.asarray(w[1, 1].T if w.ndim == 4 else w) for w in kept)

    @property
    def start(self):
        biases = [layer.bias for layer in self.tied.start]
        if self.tied.is_recurrent:
            biases = biases[1:]  # b_h belongs to W_h
        weights = self.untied([layer.weight for layer in self.tied.start])
        return tuple(Layer(*pair) for pair in zip(weights, biases, strict=True))

    def moved(self, change, layer):
        """What is left of a change of a layer's weights when the ties are gone."""
        fan_in = self.chain.layers[self.same[layer] - 1].fan_in
        if change.shape[-1] == fan_in:
            return change
        taps = change.reshape(*change.shape[:2], 9, fan_in)
        assert not np.delete(taps, 4, axis=2).any()  # padding is all that the others see
        return taps[:, :, 4]


IMAGES = Tied(convolutional((1, 1, 2), (4, 3), (1, 2), bias_std=0.3))
SEQUENCES = Tied(recurrent(5, 1, features=2, bias_std=0.3))
PAIRS = {
    "cnn": Pair(
        IMAGES,
        Chain(
            (
                DenseMap(2, 4, TANH, factor=1 / math.sqrt(9 * 2)),
                DenseMap(4, 3, TANH, factor=1 / math.sqrt(9 * 4)),
                DenseMap(3, 2, TANH),
            )
        ),
        {1: 1, 2: 2, 3: 3},
    ),
    "rnn": Pair(
        SEQUENCES,
        Chain((DenseMap(2, 5, TANH, factor=1.0), DenseMap(5, 2, TANH))),
        {1: 1, 3: 2},
    ),
}


def flows(pair, rule, engine):
    """Of both networks; what a rule holds fixed is the same."""
    drawn = pair.tied.problem.constants(rule)
    fixed = pair.untied(drawn) if drawn else ()
    alike = replace(rule, name=f"{rule.name}-alike", draw=lambda key, network: fixed)
    x, y = pair.tied.x.reshape(pair.tied.points, -1), pair.tied.y
    problem = Problem.of(pair.chain, pair.start, x, y, np.array(pair.tied.times))
    options = FlowOptions(engine, TOLERANCE[engine])
    both = gradient_flow(pair.tied.problem, rule, options), gradient_flow(problem, alike, options)
    assert all(flow.outcome is Outcome.REACHED for flow in both)
    return both


def measured(flow):
    start, now = flow.initial.observations, flow.observe()
    series = measure.activation_drift(flow.network, start, now) | measure.weight_drift(flow)
    return series | measure.alignment(flow) | measure.jacobian_drift(flow.network, start, now)


@pytest.mark.parametrize(
    ("engine", "rule"),
    [
        ("dense", FEEDBACK_ALIGNMENT),
        ("spectral", FEEDBACK_ALIGNMENT),
        ("spectral", ALIGN_ADA),
        ("spectral", NORMAL),
    ],
    ids=lambda it: getattr(it, "name", it),
)
@pytest.mark.parametrize("name", PAIRS)
def test_a_flow_is_that_of_dense_layers(name, engine, rule):
    pair = PAIRS[name]
    tied, chain = flows(pair, rule, engine)
    assert tied.effort.steps == chain.effort.steps
    agree(tied.output, chain.output, SHARE)
    agree(tied.delta, chain.delta, SHARE)
    for layer, other in pair.same.items():
        change = pair.moved(tied.weight_change(layer), layer)
        agree(change, chain.weight_change(other), SHARE)
    ours, theirs = measured(tied), measured(chain)
    for (layer, quantity), (values, _) in ours.items():
        if quantity.startswith("activation-drift") and layer not in pair.same:
            np.testing.assert_array_equal(values, ours[1, quantity][0])  # W_h has W_i's z
        elif layer is None or layer in pair.same:
            other = theirs[pair.same.get(layer), quantity][0]
            agree(values, other, SHARE, 1e-11, f"{quantity} of {layer}")
        else:  # W_h, which rests
            share = quantity == "misalignment" or quantity.endswith("-relative")
            np.testing.assert_array_equal(values, np.nan if share else 0.0, quantity)


@pytest.mark.parametrize("name", PAIRS)
def test_a_kernel_is_that_of_dense_layers(name):
    pair = PAIRS[name]
    case = pair.tied
    ours = empirical(case.network, case.start, case.x).ntk
    theirs = empirical(pair.chain, pair.start, case.x.reshape(case.points, -1))
    assert theirs.features  # it is computed in another way
    agree(ours, theirs.ntk, 1e-13)
