"""What holds of any recurrent or convolutional network, by algebra, and of sweeps if theory does.

Networks, data and engines are drawn. Nothing here is compared with another computation: each flow
is asked whether its own numbers can be true. HYPOTHESIS_PROFILE=deep draws ten times as many.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import Outcome, Settings, verify
from ntkalign.networks.activations import lookup
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.normalisation import Norm
from ntkalign.networks.recurrent import Recurrent
from ntkalign.quantities import theory as measure
from ntkalign.rules import ALIGN_ADA, ALIGN_PROP, ALIGN_ZERO, LAST_LAYER, NORMAL
from tests.cases import SMOOTH, examples, solve
from tests.tied import Tied

LINE = (NORMAL, ALIGN_ZERO, ALIGN_ADA, ALIGN_PROP, LAST_LAYER)
TIMES = (1e-3, 2e-3, 0.25, 1.0)
SLACK = 1e-5
"""Of numbers that a flow has to about 1e-8 of the largest."""


@st.composite
def recurrent(draw):
    """Arguments (networks are made outside: checking types draws random numbers)."""
    return {
        "width": draw(st.sampled_from((1, 3, 6))),
        "steps": draw(st.integers(1, 4)),
        "features": draw(st.integers(1, 3)),
        "targets": draw(st.integers(1, 2)),
    }


@st.composite
def convolutional(draw):
    count = draw(st.integers(1, 2))
    return {
        "image": (draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.integers(1, 2))),
        "filters": tuple(draw(st.sampled_from((1, 2, 4))) for _ in range(count)),
        "strides": tuple(draw(st.integers(1, 3)) for _ in range(count)),
        "classes": draw(st.integers(1, 2)),
        "norm": Norm.NONE,
    }


@st.composite
def cases(draw, networks):
    """What else decides a flow beside the network's shape, and an engine."""
    rest = {
        "activation": draw(st.sampled_from(SMOOTH)),
        "bias_std": draw(st.sampled_from((0.0, 0.5))),
        "points": draw(st.integers(2, 4)),
        "seed": draw(st.integers(0, 1000)),
        "engine": draw(st.sampled_from(("spectral", "dense"))),
    }
    return draw(networks) | rest


def made(make, *, activation, points, seed, engine, **arguments):
    network = make(activation=lookup(activation), **arguments)
    return Tied(network, points, seed, TIMES), engine


@given(cases(recurrent()))
@examples(2)
def test_flows_of_recurrent_networks_are_what_they_must_be(chosen):
    holds_of_any_network(*made(Recurrent, **chosen))


@given(cases(convolutional()))
@examples(2)
def test_flows_of_convolutional_networks_are_what_they_must_be(chosen):
    holds_of_any_network(*made(Convolutional, **chosen))


def holds_of_any_network(case, engine):
    flows = {rule: flow_of(case, rule, engine, case.x, case.y) for rule in LINE}
    for rule in (NORMAL, ALIGN_ADA):
        numbers_fit_together(flows[rule])
    the_loss_never_grows(flows[NORMAL], case)
    align_zero_is_w_star_of_its_own_errors(flows[ALIGN_ZERO])
    rules_begin_alike(flows)
    only_the_readout_moves(flows[LAST_LAYER])
    order = np.random.default_rng(case.seed).permutation(case.points)
    turned = flow_of(case, NORMAL, engine, case.x[order], case.y[order])
    close(turned.output, np.asarray(flows[NORMAL].output)[:, order])


def flow_of(case, rule, engine, x, y):
    flow = solve(
        case.network, rule, case.start, x, y, np.array(TIMES), tolerance=1e-8, engine=engine,
        among=LINE,
    )  # fmt: skip
    assert flow.outcome is Outcome.REACHED
    assert flow.effort.engine == engine
    return flow


def close(found, expected):
    found, expected = np.asarray(found), np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=SLACK * np.abs(expected).max() + 1e-12)


def numbers_fit_together(flow):
    """A = W^t − W^0 and B = W* − W^0 have Δ = AᵀA, Σ/m = BᵀB and W̃ = A − B, layer by layer."""
    series = measure.weight_drift(flow) | measure.alignment(flow)
    for layer, own in enumerate(flow.network.maps, start=1):
        drift, apart, gap, delta, sigma, lost = (
            np.nan_to_num(series[layer, name][0])  # where nothing moves there is no share
            for name in ("weight-drift", "discrepancy", "alignment-gap", "delta-norm",
                         "sigma-norm", "misalignment")
        )  # fmt: skip
        a, b = drift / own.scale, np.sqrt(sigma / own.scale)  # ‖A‖ and ‖B‖
        slack = SLACK * max(a.max(), b.max(), 1e-6)
        np.testing.assert_allclose(drift**2, own.scale * delta, rtol=SLACK, atol=slack**2)
        assert (np.abs(a - b) <= apart + slack).all()
        assert (apart <= a + b + slack).all()
        assert (np.abs(delta - sigma) <= gap + slack * a).all()
        assert (gap <= delta + sigma + slack * a).all()
        assert (gap <= own.scale * apart * (a + b) + slack * a).all()
        assert ((lost >= 0) & (lost <= 1 + SLACK)).all()


def the_loss_never_grows(flow, case):
    outputs = np.concatenate([flow.initial.output[None], np.asarray(flow.output)])
    losses = np.sum((case.y - outputs) ** 2, axis=(1, 2))
    assert (np.diff(losses) <= SLACK * losses[0]).all()
    assert losses[-1] < losses[0]


def align_zero_is_w_star_of_its_own_errors(flow):
    found = measure.alignment(flow)
    for layer in range(1, flow.network.depth + 1):
        change = max(float(np.linalg.norm(w, 2)) for w in flow.weight_change(layer))
        assert (found[layer, "discrepancy"][0] <= SLACK * change + 1e-12).all()
        lost = found[layer, "misalignment"][0]
        assert np.nan_to_num(lost).max() < 1e-6


def rules_begin_alike(flows):
    """Frozen or not is the same at time 0: outputs part company at second order."""
    start = flows[NORMAL].initial.output
    normal = np.asarray(flows[NORMAL].output)
    moved = np.abs(normal - start).max(axis=(1, 2))
    for rule in (ALIGN_ZERO, ALIGN_ADA, ALIGN_PROP):
        apart = np.abs(np.asarray(flows[rule].output) - normal).max(axis=(1, 2))
        assert (apart[:2] <= 0.05 * moved[:2]).all()
        assert (apart[1] <= 5 * apart[0] + 1e-6 * moved[1]).all()


def only_the_readout_moves(flow):
    *hidden, readout = (flow.weight_change(n) for n in range(1, flow.network.depth + 1))
    assert not any(np.abs(change).any() for change in hidden)
    assert np.abs(readout[-1]).max() > 0


# --- whole runs -----------------------------------------------------------------------------

INPUT_LAYER = {"cnn/weights", "cnn/proposition-1"}
"""Of the first convolution they divide by √(9 c_0), which does not grow: no theorem says so."""


@st.composite
def sweeps(draw):
    """Settings of a small sweep of either kind of network."""
    network = draw(st.sampled_from(("rnn", "cnn")))
    own = {
        "rnn": {"data": "sphere", "steps": draw(st.integers(2, 3)), "inputs": 3},
        "cnn": {"data": "sphere", "depth": draw(st.sampled_from((2, 3))), "outputs": 1},
    }[network]
    smallest = {"rnn": 16, "cnn": 8}[network]
    return own | {
        "network": network,
        "points": draw(st.sampled_from((2, 3))),
        "activation": draw(st.sampled_from(SMOOTH)),
        "widths": tuple(smallest * k for k in (1, 3, 9)),
        "bias_std": draw(st.sampled_from((0.0, 0.3))),
        "seeds": 4,
        "first_seed": draw(st.integers(0, 1000)),
        "time": draw(st.sampled_from((0.5, 2.0))),
        "rules": ("align-ada",),
        "tolerance": 1e-5,
        "initial_outputs": draw(st.sampled_from(("shared", "independent"))),
    }


@given(sweeps())
@examples(2)
def test_theorems_are_not_refuted_and_controls_never_pass(chosen):
    settings = Settings(**chosen)
    result = verify(settings)
    assert not result.failures
    for finding in result.claims:
        claim, layer = finding.question.claim, finding.question.layer
        assert finding.assumptions_met
        if claim.id not in INPUT_LAYER or layer != 1:
            assert finding.verdict != "refuted", (finding.question, finding.reason)
    assert not result.passed_controls
    shuffled, lost = (
        result.table[(result.table["quantity"] == name) & (result.table["rule"] == "normal")]
        for name in ("score-permuted", "misalignment")
    )
    assert shuffled["value"].between(0, 1 + 1e-12).all()
    assert lost["value"].between(0, 1 + 1e-12).all()
