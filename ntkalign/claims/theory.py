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

MOVED = (
    "The proofs of Propositions 1 and 2 take Lemma 1 for granted and are then without this part of "
    "it; a refuted layer does not make either proposition false."
)
NOT_W_STAR = (
    "Where W* is not what gradient descent approaches, the proof of Proposition 1 has no support."
)
NOT_ALIGNED = (
    "Weight changes are then not aligned with the layer's activities in the way that the paper "
    "says, at the rate that it says."
)
BOTH_VANISH = (
    "Appendix A's reading of Proposition 1 then fails: both of its sides vanish by themselves, and "
    "what tells alignment is the gap relative to what moved."
)
NO_SCORE = "Gradient descent then does not align these weights, even where networks are wide."
BIASED = "Scores computed from samples are then not those of the theory."
DIVERGES = (
    "The rule then does not approach gradient descent at the stated rate, if at all, and some step "
    "of the proof of Proposition 2, or an assumption, fails here."
)
NOT_LINEAR = "Align-zero is then not the linearised network, even where networks are wide."

# fmt: off
ACTIVATION_DRIFT = Claim(
    "lemma-1/activations", "(19)", "√E‖(z_l^t − z_l^0)/√m_l‖² is O(m^-1/2)",
    "activation-drift", Kind.BOUND, -0.5, LEMMA_RULES, (AT_NECK,),
    formula=r"$\sqrt{\mathrm{E}\lVert(z_l^t-z_l^0)/\sqrt{m_l}\rVert^2}=O(m^{-1/2})$",
    if_refuted=MOVED,
)
WEIGHT_DRIFT = Claim(
    "lemma-1/weights", "(20)", "‖W_l^t − W_l^0‖_op/√m_{l−1} is O(m^-1/2)",
    "weight-drift", Kind.BOUND, -0.5, LEMMA_RULES, (ABOVE_NECK,),
    formula=r"$\lVert W_l^t-W_l^0\rVert_{\mathrm{op}}/\sqrt{m_{l-1}}=O(m^{-1/2})$",
    if_refuted=MOVED,
)
JACOBIAN_DRIFT = Claim(
    "lemma-1/jacobian", "(21)", "max_x ‖∇_θ f^t − ∇_θ f^0‖_op is O(m^-1/2)",
    "jacobian-drift", Kind.BOUND, -0.5, LEMMA_RULES, (AT_NECK,),
    formula=r"$\max_x\lVert\nabla_\theta f^t-\nabla_\theta f^0\rVert_{\mathrm{op}}=O(m^{-1/2})$",
    if_refuted=MOVED,
)
FEEDBACK_DRIFT = Claim(
    "lemma-1/feedback", "(22)", "max_x ‖J^t − ∇_θ f^0‖_op is O(m^-1/2)",
    "feedback-drift", Kind.BOUND, -0.5, EVERY_RULE, (OTHER_RULES,),
    formula=r"$\max_x\lVert J^t-\nabla_\theta f^0\rVert_{\mathrm{op}}=O(m^{-1/2})$",
    if_refuted=MOVED,
)
DISCREPANCY = Claim(
    "proposition-1/discrepancy", "(42)", "‖W̃_l‖_op is O(m^-1/2)",
    "discrepancy", Kind.BOUND, -0.5, NORMAL, (FEEDBACK_ALIGNMENT, ABOVE_NECK),
    formula=r"$\lVert\tilde W_l\rVert_{\mathrm{op}}=O(m^{-1/2})$",
    if_refuted=NOT_W_STAR,
)
PROPOSITION_1 = Claim(
    "proposition-1", "(8)", "‖Σ_l/m_{l−1} − Δ_l‖_op/√m_{l−1} is O(m^-1)",
    "alignment-gap", Kind.BOUND, -1.0, NORMAL, (ABOVE_NECK,),
    formula=r"$\lVert\Sigma_l/m_{l-1}-\Delta_l\rVert_{\mathrm{op}}/\sqrt{m_{l-1}}=O(m^{-1})$",
    if_refuted=NOT_ALIGNED,
)
DELTA_PERSISTS = Claim(
    "proposition-1/interpretation", "App. A", "‖Δ_l‖_op/√m_{l−1} does not tend to 0",
    "delta-norm", Kind.PERSISTS,
    formula=r"$\lVert\Delta_l\rVert_{\mathrm{op}}/\sqrt{m_{l-1}}\nrightarrow 0$",
    if_refuted=BOTH_VANISH,
)
SIGMA_PERSISTS = Claim(
    "proposition-1/interpretation", "App. A", "‖Σ_l/m_{l−1}‖_op/√m_{l−1} does not tend to 0",
    "sigma-norm", Kind.PERSISTS,
    formula=r"$\lVert\Sigma_l/m_{l-1}\rVert_{\mathrm{op}}/\sqrt{m_{l-1}}\nrightarrow 0$",
    if_refuted=BOTH_VANISH,
)
SCORE = Claim(
    "alignment-score", "(9)", "1 − S_l tends to 0",
    "misalignment", Kind.VANISHES, None, NORMAL, (ABOVE_NECK,),
    formula=r"$1-S_l\to 0$",
    if_refuted=NO_SCORE,
)
SAMPLED_SCORE = Claim(
    "alignment-score/sampled", "(10)", "the sampled score agrees with the exact one",
    "sampled-score-error", Kind.ZERO_MEAN,
    formula=r"the sampled $S_l$ equals $S_l$ on average",
    if_refuted=BIASED,
)
PROPOSITION_2 = Claim(
    "proposition-2", "(17)", "max_x ‖f^t − f_rule^t‖ is O(m^-1/2)",
    "divergence", Kind.BOUND, -0.5, (COMPARED,), (OTHER_RULES, Control(BOTTLENECK, (COMPARED,))),
    formula=r"$\max_x\lVert f^t-f_{\mathrm{rule}}^t\rVert=O(m^{-1/2})$",
    if_refuted=DIVERGES,
)
APPENDIX_D = Claim(
    "appendix-d", "(57)", "max_x ‖f_al·0^t − f_lin^t‖ tends to 0",
    "linearisation-gap", Kind.VANISHES, None, ("align-zero",),
    (Control(BOTTLENECK, ("align-zero",)),),
    formula=r"$\max_x\lVert f_{\mathrm{al}\cdot 0}^t-f_{\mathrm{lin}}^t\rVert\to 0$",
    if_refuted=NOT_LINEAR,
)
# fmt: on

THEORY_CLAIMS = (
    ACTIVATION_DRIFT, WEIGHT_DRIFT, JACOBIAN_DRIFT, FEEDBACK_DRIFT, DISCREPANCY, PROPOSITION_1,
    DELTA_PERSISTS, SIGMA_PERSISTS, SCORE, SAMPLED_SCORE, PROPOSITION_2, APPENDIX_D,
)  # fmt: skip
