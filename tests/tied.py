"""Small recurrent and convolutional networks, each with the same one in the plain reference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import jax
import numpy as np

from ntkalign import FlowOptions, Outcome, Problem, gradient_flow
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.normalisation import Norm
from ntkalign.networks.recurrent import Recurrent
from ntkalign.rules import RULES
from tests import convolutional_reference as images
from tests import flow_reference as reference

TOLERANCE = {"dense": 1e-9, "spectral": 1e-8}
SHARE = {"dense": 1e-7, "spectral": 1e-6}
"""Of the size of what is compared; both leave a margin of 30 over what is found."""


@dataclass(frozen=True)
class Tied:
    """A network at its start, data and times; ``net`` and ``params`` are the reference's."""

    network: Recurrent | Convolutional
    points: int = 3
    seed: int = 0
    times: tuple[float, ...] = (0.5, 2.0)

    @cached_property
    def start(self):
        return self.network.initialise(jax.random.key(self.seed))

    @cached_property
    def x(self):
        shape = (self.points, *self.network.input_shape)
        return np.random.default_rng(self.seed).standard_normal(shape)

    @cached_property
    def y(self):
        shape = (self.points, self.network.flat_outputs)
        return np.random.default_rng(self.seed + 1).standard_normal(shape)

    @cached_property
    def problem(self):
        key = jax.random.key(self.seed + 2)
        return Problem.of(self.network, self.start, self.x, self.y, np.array(self.times), key)

    @property
    def is_recurrent(self):
        return isinstance(self.network, Recurrent)

    @property
    def net(self):
        own = self.network
        if isinstance(own, Recurrent):
            return reference.Rnn(own.activation.name, "ntk" if own.scaled_readout else "none")
        return reference.Cnn(own.strides, own.activation.name, own.norm.value, own.form)

    @property
    def params(self):
        """Of time 0."""
        arrays = [np.asarray(a, float) for layer in self.start for a in layer if a is not None]
        return self.net.pack(arrays)

    def fixed(self, name):
        """What FA and DFA drew, as the reference has it."""
        drawn = [np.asarray(a, float) for a in self.problem.constants(RULES[name])]
        if not drawn:
            return None
        if self.is_recurrent:
            return {"W_h": drawn[1], "w_o": drawn[2]} if name == "fa" else drawn[0]
        return [b.transpose(1, 2, 0, 3) for b in drawn] if name == "dfa" else drawn

    def shaped(self, outputs):
        """Outputs as the reference has them."""
        return np.reshape(outputs, (*np.shape(outputs)[:-1], *self.network.output_shape))

    def rows(self, params):
        """z_1 … z_N and h_0 … h_{N−1} as rows (point, place), from the reference's pass."""
        run = self.net.forward(params, self.x)
        if self.is_recurrent:
            z, h = [run.z, run.z, run.f], [self.x, run.h[:, :-1], run.h[:, 1:]]
        else:
            pairs = zip(run.h, self.network.strides, strict=False)
            z, h = [*run.u[1:], run.f], [*(_patches(*pair) for pair in pairs), run.p]
        return [[a.reshape(-1, a.shape[-1]) for a in arrays] for arrays in (z, h)]

    def jacobian(self, feedback, activities):
        """∂f/∂θ from its factors at one time, in the reference's order; (P, C, parameters)."""
        blocks = []
        layers = zip(feedback, activities, self.net.scales(self.params), self.start, strict=True)
        for g, h, scale, own in layers:
            g = g.reshape(len(g), self.points, -1, g.shape[-1])  # (C, P, R, m)
            h = h.reshape(self.points, -1, h.shape[-1])  # (P, R, fan-in)
            block = scale * np.einsum("cprm,prf->pcmf", g, h)
            if own.weight.ndim == 4:
                block = np.moveaxis(block.reshape(*block.shape[:3], 3, 3, -1), 2, -1)
            blocks.append(block.reshape(self.points, len(g), -1))
            if own.bias is not None:
                blocks.append(g.sum(axis=2).swapaxes(0, 1))
        return np.concatenate(blocks, axis=-1)


def _patches(h, stride):
    """What each place of a convolution's result sees, one place after the other."""
    padded, rows, columns, _, _ = images.pad_same(h, stride)
    corners = [(i * stride, j * stride) for i in range(rows) for j in range(columns)]
    seen = [padded[:, i : i + 3, j : j + 3].reshape(len(h), -1) for i, j in corners]
    return np.stack(seen, axis=1)


@cache
def truth(case, name):
    """The reference's flow."""
    fixed, y = case.fixed(name), case.shaped(case.y)
    return reference.flow(case.net, name, case.params, case.x, y, case.times, fixed)


@cache
def jacobians(case, name):
    """∂f/∂θ of the network and what the rule has for it, along the reference's flow."""
    end, net, fixed = truth(case, name).params, case.net, case.fixed(name)
    true = [reference.jacobian(net, now, case.x) for now in end]
    return true, [
        reference.rule_jacobian(net, name, now, case.params, case.x, fixed) for now in end
    ]


def flow(case, name, engine):
    """The package's flow."""
    if engine == "dense" and RULES[name] in TOGETHER:
        return _dense(case)[name]
    return _solved(case, name, engine)


TOGETHER = tuple(rule for rule in RULES.values() if rule.error == "own")
"""The dense engine compiles these at once."""


@cache
def _dense(case):
    """All at once, before what was compiled is forgotten."""
    return {rule.name: _solved(case, rule.name, "dense") for rule in TOGETHER}


@cache
def _solved(case, name, engine):
    options = FlowOptions(engine, TOLERANCE[engine])
    found = gradient_flow(case.problem, RULES[name], options, among=TOGETHER)
    assert found.outcome is Outcome.REACHED
    assert found.effort.engine == engine
    return found


def agree(found, expected, share, floor=1e-12, what=""):
    """Equal up to a share of the largest number."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected), what)
    size = np.max(np.abs(np.nan_to_num(expected)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * size + floor, err_msg=what)


def recurrent(width, steps, **options):
    return Recurrent(width, steps, activation("tanh"), **({"targets": 2} | options))


def convolutional(image, filters, strides, **options):
    options = {"norm": Norm.NONE} | options
    return Convolutional(image, filters, strides, 2, activation("tanh"), **options)
