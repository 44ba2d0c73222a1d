"""What the engines do with tied weights beyond the small and smooth: caches, batch norms, kinks."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntkalign.flow.operators.cached_products as products
from ntkalign import Outcome
from ntkalign.flow.dense import DenseFlow
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.normalisation import Norm
from ntkalign.quantities import theory as measure
from ntkalign.rules import ALIGN_ADA, FEEDBACK_ALIGNMENT, NORMAL
from tests import flow_reference as reference
from tests.cases import solve
from tests.tied import Tied, agree, convolutional, recurrent, truth

WIDE = {
    "rnn": Tied(recurrent(40, 3, features=2, bias_std=0.3, output_scale=0.5), times=(1.0, 4.0)),
    "cnn": Tied(
        convolutional((3, 2, 2), (24, 24), (1, 2), bias_std=0.3, output_scale=0.5),
        points=2,
        times=(1.0, 4.0),
    ),
}
CACHED = {
    "rnn": {("W2", True), ("W2", False)},
    "cnn": {("W1", True), ("W2", True), ("W2", False)},
}
"""Weights that are met up, and down, by fewer rows a moment than they have on their larger side."""


def run(case, rule, engine, times=None, **options):
    times = np.array(case.times if times is None else times)
    return solve(
        case.network, rule, case.start, case.x, case.y, times,
        key=jax.random.key(5), engine=engine, **options,
    )  # fmt: skip


@pytest.mark.parametrize("name", WIDE)
def test_products_from_the_cache_give_the_flow_of_the_dense_engine(name, monkeypatch):
    """Matrices so small are else simply multiplied; also with an output scale."""
    case = WIDE[name]
    exact = {
        rule: run(case, rule, "dense", tolerance=1e-9) for rule in (NORMAL, FEEDBACK_ALIGNMENT)
    }
    monkeypatch.setattr(products, "DIRECT", 0)
    monkeypatch.setattr(products, "NARROW", 0)
    for rule, dense in exact.items():
        ours = run(case, rule, "spectral", tolerance=1e-6)
        assert ours.outcome is Outcome.REACHED
        assert ours.effort.estimate < 3e-6
        known = {key[:2] for key in ours.relaxation.cache.known}
        assert CACHED[name] <= known
        share = 10 * ours.effort.estimate
        agree(ours.output, dense.output, share)
        agree(ours.delta, dense.delta, share)
        start, seen, theirs = ours.initial.observations, ours.observe(), dense.observe()
        for layer in range(case.network.depth):
            agree(ours.weight_change(layer + 1), dense.weight_change(layer + 1), share)
            for one, other in zip(seen, theirs, strict=True):
                agree(one[layer], other[layer], share)
        found, expected = (
            measure.alignment(flow) | measure.jacobian_drift(case.network, start, at)
            for flow, at in ((ours, seen), (dense, theirs))
        )
        for quantity, (values, _) in expected.items():
            agree(found[quantity][0], values, 10 * share, 1e-9, str(quantity))


def test_a_batch_norm_is_left_to_the_dense_engine():
    network = convolutional((4, 3, 1), (2, 3), (2, 1), norm=Norm.POSITION)
    case, among = Tied(network, points=5), (NORMAL, ALIGN_ADA)
    for rule in among:
        alone = run(case, rule, "spectral")
        assert alone.outcome is Outcome.NOT_ROWWISE
        assert np.isnan(alone.output).all()
        chosen = run(case, rule, "auto", among=among, tolerance=1e-9)
        assert isinstance(chosen, DenseFlow)
        assert chosen.outcome is Outcome.REACHED
        exact = truth(case, rule.name)
        agree(chosen.output, exact.f, 1e-7)
        agree(chosen.delta, exact.delta, 1e-7)
        expected = reference.quantities(case.net, case.params, case.x, exact)
        for layer in (1, 2, 3):
            start = case.params[layer - 1][0]
            moved = [reference.as_matrix(end[layer - 1][0] - start) for end in exact.params]
            agree(chosen.weight_change(layer), np.stack(moved), 1e-7)
            drift = measure.weight_drift(chosen)[layer, "weight-drift"][0]
            agree(drift, expected["weight_drift"][:, layer - 1], 1e-6)


KINK = Tied(
    replace(recurrent(6, 3, targets=1), activation=activation("relu")), seed=1, times=(0.02, 0.05)
)


def test_a_kink_that_all_units_start_at_is_never_answered_wrongly():
    """Inputs of the first step and biases are 0, and so is z_0, exactly, at every point.

    The slope of ReLU there is 0, as JAX has it, so that nothing goes back through the first step at
    time 0; biases move at once, and it does. The dense engine's first stage alone sees the slope of
    time 0, which its estimate hardly weighs: its error is some 50 times what it asks of a step, and
    falls with that. Where biases move towards the kink from both of its sides units stay at it, and
    its steps become as short as its tolerance. The spectral engine says that it does not converge,
    or is right: where no slope is current the flow is nearly smooth.
    """
    case, among = replace(KINK), (NORMAL, ALIGN_ADA)
    case.x[:, 0] = 0.0
    assert activation("relu").value_and_slope(jnp.zeros(1))[1] == 0.0
    outcomes, tight = set(), {"among": among, "max_steps": 3000}
    for rule in among:
        fine = reference.flow(
            case.net, rule.name, case.params, case.x, case.shaped(case.y), case.times, steps=400
        ).f
        errors = []
        for tolerance in (1e-6, 1e-7):
            dense = run(case, rule, "dense", tolerance=tolerance, **tight)
            assert dense.outcome is Outcome.REACHED
            errors.append(np.abs(case.shaped(dense.output) - fine).max())
        z0 = np.asarray(dense.initial.preactivations[1]).reshape(case.points, 3, -1)[:, 0]
        assert not z0.any()
        assert errors[0] < 2e-4
        assert errors[1] < errors[0] / 4
        for tolerance in (1e-4, 1e-6):
            ours = run(case, rule, "spectral", tolerance=tolerance)
            outcomes.add(ours.outcome)
            if ours.outcome is Outcome.REACHED:
                agree(case.shaped(ours.output), fine, 10 * ours.effort.estimate)
            else:
                assert np.isnan(ours.output).all()
    assert outcomes == {Outcome.REACHED, Outcome.NOT_CONVERGED}
    slides = run(case, NORMAL, "dense", (0.25, 1.0), tolerance=1e-6, **tight)
    assert slides.outcome is Outcome.TOO_MANY_STEPS
