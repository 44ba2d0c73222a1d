"""Rates of generated sweeps: tied where theory ties them, theorems not refuted, controls caught.

Every example is a whole run: network, activation, data, time and widths are drawn. What is asserted
of single networks holds for any network, by algebra; what is asserted of verdicts holds if the
theory does. HYPOTHESIS_PROFILE=deep (`make test-deep`) draws many more.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import Settings, verify
from ntkalign.claims.theory import (
    ACTIVATION_DRIFT,
    APPENDIX_D,
    DISCREPANCY,
    FEEDBACK_DRIFT,
    JACOBIAN_DRIFT,
    PROPOSITION_1,
    PROPOSITION_2,
    SCORE,
    WEIGHT_DRIFT,
)
from tests.cases import SMOOTH, examples

THEOREMS = {ACTIVATION_DRIFT, WEIGHT_DRIFT, JACOBIAN_DRIFT, FEEDBACK_DRIFT, DISCREPANCY,
            PROPOSITION_1, PROPOSITION_2, APPENDIX_D, SCORE}  # fmt: skip
"""Bounds on what a network of growing width does. Those of layer 1 that divide by √m_0, which does
not grow, are none: (20) and (8) there are what the paper states and not what its proof gives."""
INPUT_LAYER = {WEIGHT_DRIFT, PROPOSITION_1}


@st.composite
def choices(draw):
    """Arguments of Settings (made outside: checking types draws random numbers)."""
    depth = draw(st.sampled_from((2, 3)))
    smallest = draw(st.sampled_from((24, 32)))
    return {
        "data": "sphere",
        "points": draw(st.sampled_from((2, 4))),
        "inputs": draw(st.sampled_from((3, 8))),
        "outputs": draw(st.sampled_from((1, 2))),
        "depth": depth,
        "activation": draw(st.sampled_from(SMOOTH)),
        "widths": tuple(smallest * k for k in (1, 3, 9)),
        "multipliers": draw(st.sampled_from(((), (2, 1)[: depth - 1]))),
        "bias_std": draw(st.sampled_from((0.0, 0.3))),
        "seeds": 5,
        "first_seed": draw(st.integers(0, 1000)),
        "time": draw(st.sampled_from((1.0, 4.0))),
        "rules": ("align-zero", "align-ada"),
        "initial_outputs": draw(st.sampled_from(("shared", "independent", "zero"))),
    }


@given(choices())
@examples(2)
def test_rates_agree_with_each_other_and_with_the_theorems(chosen):
    settings = Settings(**chosen)
    result = verify(settings)
    assert not result.failures
    table = result.table[(result.table["family"] == "main")]
    for layer in range(1, settings.depth + 1):
        ties_of_a_layer(table, layer, settings)
    ties_of_rules(table)
    for finding in result.claims:
        claim, layer = finding.question.claim, finding.question.layer
        if claim in THEOREMS and not (claim in INPUT_LAYER and layer == 1):
            assert finding.verdict != "refuted", (finding.question, finding.reason)
    assert not result.passed_controls
    ties_of_exponents(result)


def series(table, quantity, rule="normal", layer=None):
    """Values and errors over all networks, in one order."""
    chosen = table[(table["quantity"] == quantity) & (table["rule"] == rule)]
    if layer is not None:
        chosen = chosen[chosen["layer"] == layer]
    chosen = chosen.sort_values(["width", "seed"])
    return chosen["value"].to_numpy(), chosen["error"].to_numpy(), chosen["width"].to_numpy()


def ties_of_a_layer(table, layer, settings):
    """A = W^t − W^0 and B = W* − W^0 have Δ = AᵀA, Σ/m = BᵀB and W̃ = A − B."""
    drift, _, widths = series(table, "weight-drift", layer=layer)
    family = settings.family
    shapes = [family.network(int(m), (settings.inputs,), settings.outputs).widths for m in widths]
    below = np.sqrt([shape[layer - 1] for shape in shapes])
    slack = 1e-4
    delta, sigma, gap, apart, lost = (
        series(table, name, layer=layer)[0]
        for name in ("delta-norm", "sigma-norm", "alignment-gap", "discrepancy", "misalignment")
    )
    np.testing.assert_allclose(drift**2 * below, delta, rtol=slack)
    norms = np.sqrt(delta * below) + np.sqrt(sigma * below)
    assert (gap * below <= (1 + slack) * apart * norms).all()
    assert (np.abs(delta - sigma) <= (1 + slack) * gap + slack * delta).all()
    relative = series(table, "alignment-gap-relative", layer=layer)[0]
    rank = np.array([min(shape[layer - 1 : layer + 1]) for shape in shapes])
    # unit vectors u, v have 1 − u·v = ‖u − v‖²/2, and normalising at most doubles a distance
    assert (lost <= (1 + slack) * 2 * rank * relative**2 + slack).all()


def ties_of_rules(table):
    """Gradient descent's feedback is its Jacobian; Align-zero's never moves."""
    np.testing.assert_allclose(
        series(table, "feedback-drift")[0], series(table, "jacobian-drift")[0], rtol=1e-6
    )
    assert (series(table, "feedback-drift", "align-zero")[0] < 1e-12).all()


def ties_of_exponents(result):
    """1 − S is at most a multiple of the relative gap's square: it cannot decay more slowly."""
    rate = {
        (f.question.claim, f.question.layer): f
        for f in result.claims
        if f.question.rule == "normal" and f.rate is not None
    }
    for (claim, layer), finding in rate.items():
        if claim is SCORE and (PROPOSITION_1, layer) in rate:
            gap = rate[PROPOSITION_1, layer].companion
            if gap is not None:
                assert finding.rate.interval[0] <= 2 * gap.interval[1], (layer, finding.reason)
        if claim is PROPOSITION_1 and (DISCREPANCY, layer) in rate:
            apart = rate[DISCREPANCY, layer].companion
            if apart is not None and finding.companion is not None:  # ‖BᵀB − AᵀA‖ ≤ ‖W̃‖(‖A‖ + ‖B‖)
                assert finding.companion.interval[0] <= apart.interval[1], (layer, finding.reason)
