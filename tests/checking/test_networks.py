"""Networks of the three kinds pass the checks of networks, and every kind of fault is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import jax.numpy as jnp
import pytest

from ntkalign.checking.small import NETWORKS
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.fully_connected import DenseMap, FullyConnected
from ntkalign.networks.layers import Layer
from ntkalign.testing import check_network

TANH = ACTIVATIONS["tanh"]
WIDTHS = (4, 4, 4, 4)  # square, so that a transposed matrix fits


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_package_s_networks_pass(kind):
    found = check_network(NETWORKS[kind])
    assert found.skipped == ()
    assert {"descends the loss", "both engines agree", "layer 3: its rows"} <= set(found.passed)


def test_what_is_outside_the_theory_says_so():
    unscaled = replace(NETWORKS["rnn"], scaled_readout=False)
    with pytest.raises(AssertionError, match=r"1/√fan-in in layer 3; got 2\.24 times that; .* or"):
        check_network(unscaled)
    (left_out,) = check_network(unscaled, scaled=False).skipped
    assert left_out[0] == "factors 1/√fan-in"
    normed = Convolutional((4, 4, 1), (2,), (1,), 2, TANH)
    assert [name for name, _ in check_network(normed).skipped] == [
        "points by themselves", "both engines agree",
    ]  # fmt: skip


@dataclass(frozen=True)
class Network(FullyConnected):
    """Fully connected, of a faulty kind of layer."""

    kind: type[DenseMap] = DenseMap

    @cached_property
    def maps(self):
        return tuple(
            self.kind(a, b, self.activation)
            for a, b in zip(self.widths[:-1], self.widths[1:], strict=True)
        )


class NoFactor(DenseMap):
    def linear(self, weight, h):
        return h @ weight.T


class NoFactorAnywhere(DenseMap):
    @property
    def scale(self):
        return 1.0


class Transposed(DenseMap):
    def through_weight(self, weight, s):
        return self.scale * (s @ weight.T)


class NoBias(DenseMap):
    def outer(self, s, h):
        return super().outer(s, h)._replace(bias=None)


class StillBias(DenseMap):
    def outer(self, s, h):
        return Layer(super().outer(s, h).weight, jnp.zeros(self.units))


class OtherSlope(DenseMap):
    def nonlinear(self, u):
        return jnp.tanh(u), 1 - u**2


class Single(DenseMap):
    def linear(self, weight, h):
        return super().linear(weight, h).astype(jnp.float32).astype(jnp.float64)


class BiasInside(DenseMap):
    def linear(self, weight, h):
        return super().linear(weight, h) + 0.1


class Wide(DenseMap):
    @property
    def initial_std(self):
        return 2.0


@dataclass(frozen=True)
class Coupled(FullyConnected):
    def enter(self, x):
        return x - x.mean(axis=0, keepdims=True)


@dataclass(frozen=True)
class SingleParameters(FullyConnected):
    def initialise(self, key, dtype=jnp.float64):
        return super().initialise(key, jnp.float32)


@dataclass(frozen=True)
class TooSmall(FullyConnected):
    def initialise(self, key, dtype=jnp.float64):
        return tuple(Layer(w / 2, b) for w, b in super().initialise(key, dtype))


@dataclass(frozen=True)
class Ascends(FullyConnected):
    def update(self, signals, activities):
        return tuple(Layer(-w, -b) for w, b in super().update(signals, activities))


@dataclass(frozen=True)
class OtherPass(FullyConnected):
    def pass_from_preactivations(self, x, preactivations):
        found = super().pass_from_preactivations(x, preactivations)
        return replace(found, output=2 * found.output)


class NotHashable(FullyConnected):
    __hash__ = None


def of(kind):
    return Network(WIDTHS, TANH, kind=kind)


FAULTS = {
    "no factor": (of(NoFactor), r"layer 2: its rows: .* have linear_by_rows\(matrix\(W\), h\) ="),
    "no factor anywhere": (
        of(NoFactorAnywhere),
        r"factors 1/√fan-in: Network must have a factor .* in layer 2; got 2 times that; .* "
        r"return 1/√fan-in from scale, or pass scaled=False",
    ),
    "transposed": (
        of(Transposed),
        r"layer 2: the way back: layer 2 of Network must have ⟨s, linear\(W, h\)⟩ = .* look for Wᵀ",
    ),
    "no bias": (
        of(NoBias),
        r"layer 1: the update: layer 1 of Network must move its bias, of shape \(4,\); got None;",
    ),
    "still bias": (
        of(StillBias),
        r"descends the loss: .* got biases of layer 1 that are off by \S+; because the rule Normal",
    ),
    "other slope": (of(OtherSlope), r"layer 1: its slope: .* must have ⟨g, ∂ψ v⟩ = "),
    "single": (of(Single), r"a forward pass: .* must compute in float64 .*; got float32"),
    "bias inside": (of(BiasInside), r"layer 1: linear in W and h: .* be linear in its weights"),
    "wide": (
        of(Wide),
        r"mean and standard deviation of weights: .*|factors 1/√fan-in: .* got 2 times that",
    ),
    "coupled": (
        Coupled(WIDTHS, TANH),
        r"points by themselves: Coupled must answer each point by itself; .* couples_points",
    ),
    "single parameters": (
        SingleParameters(WIDTHS, TANH),
        r"parameters: SingleParameters must draw W_1 in float64; got float32; .* cast to the dtype",
    ),
    "too small": (
        TooSmall(WIDTHS, TANH),
        r"mean and standard deviation of weights: TooSmall must draw W_1 from N\(0, 1²\); got "
        r"mean \S+ and standard deviation 0\.4",
    ),
    "ascends": (Ascends(WIDTHS, TANH), r"descends the loss: .* weights of layer 1 that are"),
    "other pass": (
        OtherPass(WIDTHS, TANH),
        r"a pass from preactivations: OtherPass must have the same pass from its preactivations",
    ),
    "not hashable": (NotHashable(WIDTHS, TANH), r"hashable: NotHashable must be hashable"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told(name):
    network, message = FAULTS[name]
    with pytest.raises(AssertionError, match=message):
        check_network(network)
