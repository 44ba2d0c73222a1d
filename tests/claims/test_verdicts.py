"""Verdicts on synthetic measurements whose truth is known."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from ntkalign.claims import theory as claims
from ntkalign.claims import verdicts
from ntkalign.claims.catalogue import CLAIMS
from ntkalign.claims.claim import Question
from ntkalign.claims.regime import Regime
from ntkalign.claims.verdicts import JudgingTerms, judge_question
from ntkalign.quantities.catalogue import EXPANSION
from ntkalign.statistics import judgement

WIDTHS = (64, 128, 256, 512, 1024)


def table(law, claim=claims.PROPOSITION_2, noise=0.05, seeds=6, error=1e-6, status="ok", seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for m in WIDTHS:
        for s in range(seeds):
            value = law(m) * np.exp(noise * rng.standard_normal())
            for quantity in (claim.quantity, claim.companion):
                if quantity:
                    rows.append(
                        ("main", m, s, "align-ada", None, quantity, value, error * value, status)
                    )
    columns = ["family", "width", "seed", "rule", "layer", "quantity", "value", "error", "status"]
    return pd.DataFrame(rows, columns=columns)


def judge(data, claim=claims.PROPOSITION_2):
    question = Question(claim, "main", "align-ada")
    return judge_question(question, data, assumptions_met=True, terms=JudgingTerms())


@pytest.mark.parametrize(
    ("claim", "exponent", "verdict", "tightness"),
    [
        (claims.PROPOSITION_2, -0.5, "holds", "sharp"),
        (claims.PROPOSITION_2, -1.0, "holds", "loose"),
        (claims.PROPOSITION_2, -0.25, "refuted", None),
        (claims.PROPOSITION_2, 0.0, "refuted", None),
        (claims.PROPOSITION_2, -0.4, "refuted", None),
        (claims.PROPOSITION_1, -1.0, "holds", "sharp"),
        (claims.PROPOSITION_1, -0.5, "refuted", None),
        (claims.SCORE, -0.5, "holds", None),
        (claims.SCORE, 0.0, "refuted", None),
        (claims.DELTA_PERSISTS, 0.0, "holds", None),
        (claims.DELTA_PERSISTS, -0.5, "refuted", None),
        (claims.DELTA_PERSISTS, 0.5, "holds", None),
    ],
)
def test_verdicts_on_power_laws(claim, exponent, verdict, tightness):
    finding = judge(table(lambda m: m**exponent, claim), claim)
    assert (finding.verdict, finding.tightness) == (verdict, tightness), finding.reason
    assert finding.rate.exponent == pytest.approx(exponent, abs=0.05)


def test_a_true_bound_is_hardly_ever_refuted_and_a_false_one_hardly_ever_held():
    """Of 100 sweeps; a shortfall of twice the resolution must not pass either."""
    true, false = [], []
    for seed in range(100):
        true.append(judge(table(lambda m: m**-0.5, noise=0.3, seed=seed)).verdict)
        false.append(judge(table(lambda m: m**-0.3, noise=0.3, seed=seed)).verdict)
    assert true.count("refuted") <= 1
    assert false.count("holds") <= 1


def test_a_quantity_that_levels_off_does_not_pass_as_vanishing():
    """It decays over the small widths only: a law that bends has to decay over the large ones."""
    finding = judge(table(lambda m: 0.5 + (m / 64) ** -2.0, claims.SCORE, noise=0.01), claims.SCORE)
    assert finding.rate.local[0] < judgement.DECAY < finding.rate.local[-1]
    assert finding.rate.bends
    assert finding.verdict != "holds"


def with_tail(law, tail, claim, share=0.3):
    """A table in which a share of networks, those of the first seeds, follows another law."""
    data = table(law, claim, seeds=60)
    rare = (data["seed"] < share * 60) & (data["quantity"] == claim.quantity)
    data.loc[rare, "value"] *= [tail(m) for m in data.loc[rare, "width"]]
    return judge(data, claim)


@pytest.mark.parametrize(
    ("claim", "law", "tail", "verdict", "words"),
    [
        # in probability is about nearly all networks: a few that do not decay leave it open
        (claims.PROPOSITION_2, lambda m: m**-1.2, lambda m: m**1.0 * 2, "undecided",
         "but the largest tenth .* in probability, which is about nearly all networks, it is not"),
        (claims.PROPOSITION_2, lambda m: m**-0.8, lambda m: 9 * m**-0.3, "holds",
         "and on the same side of -0.25: this stands for them too"),
        (claims.PROPOSITION_2, lambda m: m**0.0, lambda m: m**0.5, "refuted",
         "typical networks are enough to refute, and this stands"),
        (claims.SCORE, lambda m: m**-1.2, lambda m: m**1.2 * 2, "undecided", "it is not shown"),
        (claims.DELTA_PERSISTS, lambda m: m**-1.2, lambda m: m**1.2 * 2, "undecided",
         "in one network of ten it may not decay"),
        (claims.DELTA_PERSISTS, lambda m: m**0.2, lambda m: 40 * m**-0.5, "holds",
         "it decays there, and persists in most; this stands"),
    ],
)  # fmt: skip
def test_what_rare_networks_mean_for_a_verdict_is_said(claim, law, tail, verdict, words):
    found = with_tail(law, tail, claim)
    assert found.upper_quantile.disagrees
    assert found.verdict == verdict, found.reason
    assert re.search(words, found.reason), found.reason
    assert found.as_json()["upper_quantile"]["level"] == 0.9


def test_a_tail_that_follows_changes_nothing():
    found = with_tail(lambda m: m**-0.5, lambda m: 3.0, claims.PROPOSITION_2)
    assert found.verdict == "holds"
    assert "tenth" not in found.reason


# --- the regime ------------------------------------------------------------------------------


def regime(first, claim_widths=WIDTHS, slope=-0.5):
    expansion = tuple(first * (m / claim_widths[0]) ** slope for m in claim_widths)
    moved = {"activation-drift-relative": expansion, "jacobian-drift-relative": expansion}
    return Regime(claim_widths, moved, expansion)


def judged_in(found_regime, law, claim=claims.PROPOSITION_2):
    question = Question(claim, "main", "align-ada")
    terms = JudgingTerms(regime=found_regime)
    data = table(law, claim)
    return judge_question(question, data, assumptions_met=True, terms=terms)


@pytest.mark.parametrize(
    ("claim", "law", "wrong"),
    [
        (claims.PROPOSITION_2, lambda m: m**0.0, "refuted"),
        (claims.SCORE, lambda m: m**0.0, "refuted"),
        (claims.DELTA_PERSISTS, lambda m: m**-1.0, "refuted"),
        (claims.DELTA_PERSISTS, lambda m: m**0.0, "holds"),
    ],
)
def test_outside_the_regime_nothing_is_refuted_and_no_persistence_found(claim, law, wrong):
    """The same data are decided inside it, which is the control."""
    assert judged_in(regime(0.2), law, claim).verdict == wrong
    outside = judged_in(regime(1.5), law, claim)
    assert outside.verdict == "undecided"
    assert not outside.rate.decides
    assert re.search(
        r"at width 64 training moves activities by 150%, and a verdict needs three widths where it "
        r"is at most 50%; add widths of 2048 and more$", outside.reason
    )  # fmt: skip


def test_a_control_is_told_of_no_widths_that_it_is_never_measured_at():
    question = Question(claims.PROPOSITION_2, "main", "align-ada", control=True)
    data = table(lambda m: m**0.0)
    found = judge_question(
        question, data, assumptions_met=True, terms=JudgingTerms(regime=regime(1.5))
    )
    assert found.verdict == "undecided"
    assert found.reason.endswith("but too few widths are in the regime for that to count")


def test_a_refutation_quotes_the_widths_that_it_rests_on():
    found = judged_in(regime(0.6), lambda m: m**-0.1 * (1 + 30 * (m / 64) ** -4))
    assert found.verdict == "refuted"
    assert ", over widths in the regime, lies above -0.50" in found.reason
    assert f"exponent {found.rate.exponent:.2f} in " in found.reason


@pytest.mark.parametrize("first", [0.98, 0.9, 0.8])
def test_no_width_in_the_regime_lets_nothing_hold_that_only_crosses_over(first):
    """1 + x tends to 1, and decays over these widths all the same."""
    e = dict(zip(WIDTHS, crossing(first, WIDTHS), strict=True))
    known = Regime(WIDTHS, dict.fromkeys(EXPANSION, tuple(e.values())), tuple(e.values()))
    for claim in (claims.SCORE, claims.PROPOSITION_2):
        found = judged_in(known, lambda m: 1 / (1 - e[m]), claim)
        assert found.rate.exponent < -0.1
        assert found.verdict == "undecided"


def crossing(first, widths):
    x = first / (1 - first) * (np.array(widths) / widths[0]) ** -0.5
    return [float(v) for v in x / (1 + x)]


def test_a_bound_may_hold_where_nothing_could_refute_it():
    """It has to hold by an interval that allows for more."""
    narrow = judged_in(regime(0.2), lambda m: m**-2.0)
    wide = judged_in(regime(0.9, slope=-0.25), lambda m: m**-2.0)
    assert not wide.rate.decides
    assert narrow.verdict == wide.verdict == "holds"
    assert wide.rate.interval[1] > narrow.rate.interval[1]


def test_what_training_does_not_change_is_judged_whatever_it_moves():
    gap = CLAIMS["kernels/ntk"].claims[0]
    assert judged_in(regime(1.5), lambda m: m**0.0, gap).verdict == "refuted"
    moving = CLAIMS["kernels/drift"].claims[0]
    assert judged_in(regime(1.5), lambda m: m**0.0, moving).verdict == "undecided"


def finding(p_value, verdict="refuted", layer=1, control=False):
    question = Question(claims.WEIGHT_DRIFT, "main", "normal", layer, control)
    return verdicts.Finding(
        question, verdict, "it decays too slowly", None, True, 0.0, (8, 16, 32), (), None, None,
        None, p_value,
    )  # fmt: skip


def test_refutations_are_corrected_for_their_number():
    """Holm: 0.004 of 4 is 0.016, then 0.009 of 3 is 0.027; 0.03 of 2 is 0.06, too much."""
    asked = [finding(0.004), finding(0.03, layer=2), finding(0.009, layer=3)]
    asked += [finding(0.5, "holds", 4), finding(0.008, layer=5, control=True)]
    done = verdicts.correct_findings(asked)
    assert [f.adjusted_p for f in done] == pytest.approx([0.016, 0.06, 0.027, 0.5, None])
    assert [f.verdict for f in done] == ["refuted", "undecided", "refuted", "holds", "refuted"]
    assert done[1].reason == (
        "it decays too slowly; but among 4 verdicts that may be chance (p = 0.06)"
    )


def test_the_family_of_true_claims_is_hardly_ever_refuted():
    """Forty true claims at once, a hundred times: any false refutation in at most 5 %."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(100):
        found = [
            finding(p, "refuted" if p <= judgement.LEVEL else "holds", layer)
            for layer, p in enumerate(rng.uniform(size=40))
        ]
        wrong += any(f.verdict == "refuted" for f in verdicts.correct_findings(found))
    assert wrong <= 5 + 3 * np.sqrt(5)


def test_numerical_error_forbids_a_verdict():
    finding = judge(table(lambda m: m**-0.5, error=0.02))
    assert finding.verdict == "undecided"
    assert finding.reason == "numerical error reaches 2.0% of a value; pass a smaller tolerance"
    assert finding.error_share == pytest.approx(0.02)


def test_a_failed_flow_forbids_a_verdict_and_is_named():
    data = table(lambda m: m**-0.5)
    data.loc[4, ["value", "error", "status"]] = [np.nan, np.nan, "normal diverged: too large"]
    finding = judge(data)
    assert finding.verdict == "undecided"
    assert finding.reason == "1 of 30 flows failed (width 64 seed 2): normal diverged: too large"
    assert finding.as_json()["values"][0][2] is None


def test_zero_is_zero_only_up_to_rounding():
    data = table(lambda m: 0.0, claims.FEEDBACK_DRIFT, error=0.0)
    assert judge(data, claims.FEEDBACK_DRIFT).verdict == "holds"
    assert "identically zero" in judge(data, claims.FEEDBACK_DRIFT).reason
    assert judge(table(lambda m: 0.0, claims.DELTA_PERSISTS), claims.DELTA_PERSISTS).verdict == (
        "refuted"
    )
    small = judge(table(lambda m: 1e-13 * m**-0.2, claims.FEEDBACK_DRIFT), claims.FEEDBACK_DRIFT)
    assert small.verdict == "refuted"  # tiny, but well resolved
    data["error"] = 0.1
    assert judge(data, claims.FEEDBACK_DRIFT).verdict == "undecided"  # zero, but not known to be


def test_some_exact_zeros_are_reported():
    data = table(lambda m: m**-0.5)
    data.loc[0, ["value", "error"]] = 0.0
    finding = judge(data)
    assert (finding.verdict, finding.reason) == ("undecided", "1 of 30 values are exactly zero")


def sampled(mean, spread):
    rng = np.random.default_rng(0)
    data = table(lambda m: 1.0, claims.SAMPLED_SCORE, noise=0.0)
    data["value"] = mean + spread * rng.standard_normal(len(data))
    data["error"] = spread
    return judge(data, claims.SAMPLED_SCORE)


def test_the_sampled_score_is_judged_by_equivalence():
    assert sampled(0.0, 0.005).verdict == "holds"
    assert sampled(0.05, 0.005).verdict == "refuted"
    assert sampled(0.0, 0.5).verdict == "undecided"
    assert "mean square in standard errors" in sampled(0.0, 0.005).reason


@pytest.mark.parametrize(
    ("id", "order"),
    [("proposition-2", 1.0), ("proposition-1", 2.0), ("alignment-score", 2.0),
     ("proposition-1/interpretation", 2.0), ("kernels/drift", 1.0)],
)  # fmt: skip
def test_the_order_of_a_quantity_is_that_of_its_stated_rate(id, order):
    """ε is O(m^-½), and squares of what it bounds are of second order."""
    terms = JudgingTerms(regime=regime(0.2))
    for claim in CLAIMS[id].claims:
        assert terms.expansion(claim, WIDTHS).order == order
        assert terms.expansion(claim, WIDTHS).parameter == regime(0.2).expansion
