"""Every statement of the paper that is put to the test, and of what each must be found wrong."""

from __future__ import annotations

from ntkalign.claims.claim import BOTTLENECK, COMPARED, CONTROLS, MAIN, Claim, Control, Kind, Place

LEMMA_RULES = ("normal", "align-zero", "align-ada")
"""The rules that Lemma 1 speaks of."""
NORMAL, EVERY_RULE = ("normal",), ("normal", COMPARED)

OTHER_RULES = Control(MAIN, (CONTROLS,))
AT_NECK = Control(BOTTLENECK, NORMAL, Place.NECK)
ABOVE_NECK = Control(BOTTLENECK, NORMAL, Place.ABOVE_NECK)
# (8) and (9) compare Gram matrices, in which FA's feedback is as good as the true one when wide
# (the same law, hence the same limit of Γ_l): FA is no control for them
FEEDBACK_ALIGNMENT = Control(MAIN, ("fa",))

# fmt: off
ACTIVATION_DRIFT = Claim(
    "lemma-1/activations", "(19)", "√E‖(z_l^t − z_l^0)/√m_l‖² is O(m^-1/2)",
    "activation-drift", Kind.BOUND, -0.5, LEMMA_RULES, (AT_NECK,),
)
WEIGHT_DRIFT = Claim(
    "lemma-1/weights", "(20)", "‖W_l^t − W_l^0‖_op/√m_{l−1} is O(m^-1/2)",
    "weight-drift", Kind.BOUND, -0.5, LEMMA_RULES, (ABOVE_NECK,),
)
JACOBIAN_DRIFT = Claim(
    "lemma-1/jacobian", "(21)", "max_x ‖∇_θ f^t − ∇_θ f^0‖_op is O(m^-1/2)",
    "jacobian-drift", Kind.BOUND, -0.5, LEMMA_RULES, (AT_NECK,),
)
FEEDBACK_DRIFT = Claim(
    "lemma-1/feedback", "(22)", "max_x ‖J^t − ∇_θ f^0‖_op is O(m^-1/2)",
    "feedback-drift", Kind.BOUND, -0.5, EVERY_RULE, (OTHER_RULES,),
)
DISCREPANCY = Claim(
    "proposition-1/discrepancy", "(42)", "‖W̃_l‖_op is O(m^-1/2)",
    "discrepancy", Kind.BOUND, -0.5, NORMAL, (FEEDBACK_ALIGNMENT, ABOVE_NECK),
)
PROPOSITION_1 = Claim(
    "proposition-1", "(8)", "‖Σ_l/m_{l−1} − Δ_l‖_op/√m_{l−1} is O(m^-1)",
    "alignment-gap", Kind.BOUND, -1.0, NORMAL, (ABOVE_NECK,),
)
DELTA_PERSISTS = Claim(
    "proposition-1/interpretation", "App. A", "‖Δ_l‖_op/√m_{l−1} does not tend to 0",
    "delta-norm", Kind.PERSISTS,
)
SIGMA_PERSISTS = Claim(
    "proposition-1/interpretation", "App. A", "‖Σ_l/m_{l−1}‖_op/√m_{l−1} does not tend to 0",
    "sigma-norm", Kind.PERSISTS,
)
SCORE = Claim(
    "alignment-score", "(9)", "1 − S_l tends to 0",
    "misalignment", Kind.VANISHES, None, NORMAL, (ABOVE_NECK,),
)
SAMPLED_SCORE = Claim(
    "alignment-score/sampled", "(10)", "the sampled score agrees with the exact one",
    "sampled-score-error", Kind.ZERO_MEAN,
)
PROPOSITION_2 = Claim(
    "proposition-2", "(17)", "max_x ‖f^t − f_rule^t‖ is O(m^-1/2)",
    "divergence", Kind.BOUND, -0.5, (COMPARED,), (OTHER_RULES, Control(BOTTLENECK, (COMPARED,))),
)
APPENDIX_D = Claim(
    "appendix-d", "(57)", "max_x ‖f_al·0^t − f_lin^t‖ tends to 0",
    "linearisation-gap", Kind.VANISHES, None, ("align-zero",),
    (Control(BOTTLENECK, ("align-zero",)),),
)
# fmt: on

THEORY_CLAIMS = (
    ACTIVATION_DRIFT, WEIGHT_DRIFT, JACOBIAN_DRIFT, FEEDBACK_DRIFT, DISCREPANCY, PROPOSITION_1,
    DELTA_PERSISTS, SIGMA_PERSISTS, SCORE, SAMPLED_SCORE, PROPOSITION_2, APPENDIX_D,
)  # fmt: skip
