"""Every statement of the paper that is put to the test, and the controls that must fail.

How a verdict on one of them is reached is in :mod:`ntkalign.claims.verdicts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ntkalign.networks.family import Family
from ntkalign.rules import ALIGN_ADA, ALIGN_ZERO, CONTROLS, FEEDBACK_ALIGNMENT, NORMAL, Rule
from ntkalign.statistics.judgement import Kind as Kind


@dataclass(frozen=True)
class Claim:
    """One statement of the paper about one measured quantity."""

    id: str
    equation: str
    statement: str
    quantity: str
    kind: Kind
    stated_exponent: float | None = None
    companion: str | None = None  # the same quantity relative to what it is a part of

    @property
    def stated(self) -> str:
        """The stated rate as text."""
        if self.stated_exponent is None:
            return self.kind.value
        return f"O(m^{self.stated_exponent:g})"


ACTIVATIONS = Claim(
    "lemma-1/activations", "(19)", "√E‖(z_l^t − z_l^0)/√m_l‖² is O(m^-1/2)",
    "activation-drift", Kind.BOUND, -0.5,
)  # fmt: skip
WEIGHTS = Claim(
    "lemma-1/weights", "(20)", "‖W_l^t − W_l^0‖_op/√m_{l−1} is O(m^-1/2)",
    "weight-drift", Kind.BOUND, -0.5,
)  # fmt: skip
JACOBIAN = Claim(
    "lemma-1/jacobian", "(21)", "max_x ‖∇_θ f^t − ∇_θ f^0‖_op is O(m^-1/2)",
    "jacobian-drift", Kind.BOUND, -0.5,
)  # fmt: skip
FEEDBACK = Claim(
    "lemma-1/feedback", "(22)", "max_x ‖J^t − ∇_θ f^0‖_op is O(m^-1/2)",
    "feedback-drift", Kind.BOUND, -0.5,
)  # fmt: skip
DISCREPANCY = Claim(
    "proposition-1/discrepancy", "(42)", "‖W̃_l‖_op is O(m^-1/2)",
    "discrepancy", Kind.BOUND, -0.5, "discrepancy-relative",
)  # fmt: skip
PROPOSITION_1 = Claim(
    "proposition-1", "(8)", "‖Σ_l/m_{l−1} − Δ_l‖_op/√m_{l−1} is O(m^-1)",
    "alignment-gap", Kind.BOUND, -1.0, "alignment-gap-relative",
)  # fmt: skip
DELTA_PERSISTS = Claim(
    "proposition-1/interpretation", "App. A", "‖Δ_l‖_op/√m_{l−1} does not tend to 0",
    "delta-norm", Kind.PERSISTS,
)  # fmt: skip
SIGMA_PERSISTS = Claim(
    "proposition-1/interpretation", "App. A", "‖Σ_l/m_{l−1}‖_op/√m_{l−1} does not tend to 0",
    "sigma-norm", Kind.PERSISTS,
)  # fmt: skip
SCORE = Claim(
    "alignment-score", "(9)", "1 − S_l tends to 0", "misalignment", Kind.VANISHES,
)  # fmt: skip
SAMPLED_SCORE = Claim(
    "alignment-score/sampled", "(10)", "the sampled score agrees with the exact one",
    "sampled-score-error", Kind.ZERO_MEAN,
)  # fmt: skip
PROPOSITION_2 = Claim(
    "proposition-2", "(17)", "max_x ‖f^t − f_rule^t‖ is O(m^-1/2)",
    "divergence", Kind.BOUND, -0.5, "divergence-relative",
)  # fmt: skip
APPENDIX_D = Claim(
    "appendix-d", "(57)", "max_x ‖f_al·0^t − f_lin^t‖ tends to 0",
    "linearisation-gap", Kind.VANISHES, None, "linearisation-gap-relative",
)  # fmt: skip

LAYERWISE = (
    DISCREPANCY, PROPOSITION_1, DELTA_PERSISTS, SIGMA_PERSISTS, SCORE, SAMPLED_SCORE,
)  # fmt: skip
"""Claims about the Normal network's weights, asked of every layer."""
CLAIMS = (ACTIVATIONS, WEIGHTS, JACOBIAN, FEEDBACK, *LAYERWISE, PROPOSITION_2, APPENDIX_D)
LEMMA_RULES = (NORMAL, ALIGN_ZERO, ALIGN_ADA)  # the rules that Lemma 1 speaks of

KERNEL_NTK = Claim(
    "kernels/ntk", "[Jacot et al. 2018]", "‖Θ^0 − Θ^∞‖/‖Θ^∞‖ is O(m^-1/2)",
    "ntk-gap", Kind.BOUND, -0.5,
)  # fmt: skip
KERNEL_NNGP = Claim(
    "kernels/nngp", "[Lee et al. 2018]", "‖K^0 − K^∞‖/‖K^∞‖ is O(m^-1/2)",
    "nngp-gap", Kind.BOUND, -0.5,
)  # fmt: skip
KERNEL_GAMMA = Claim(
    "kernels/gamma", "(6)", "‖Γ_l^0 − Γ_l^∞‖/‖Γ_l^∞‖ is O(m^-1/2)", "gamma-gap", Kind.BOUND, -0.5,
)  # fmt: skip
KERNEL_Q = Claim(
    "kernels/q", "(7)", "sup_t ‖q_l^t − q_l^∞,t‖/‖q_l^∞,t‖ is O(m^-1/2)",
    "q-gap", Kind.BOUND, -0.5,
)  # fmt: skip
KERNEL_SPECTRUM = Claim(
    "kernels/spectrum", "(3), (7)", "the spectrum of Σ_l/m_{l−1} tends to its limit as O(m^-1/2)",
    "spectrum-gap", Kind.BOUND, -0.5,
)  # fmt: skip
KERNEL_DRIFT = Claim(
    "kernels/drift", "Lemma 1", "sup_t ‖Θ^t − Θ^0‖/‖Θ^0‖ is O(m^-1/2)",
    "ntk-drift", Kind.BOUND, -0.5,
)  # fmt: skip
FLOW_EMPIRICAL = Claim(
    "kernels/flow-empirical", "[Lee et al. 2019]",
    "max ‖f^t − f_lin^t‖ under Θ^0 is O(m^-1/2), training points",
    "flow-gap-empirical", Kind.BOUND, -0.5,
)  # fmt: skip
FLOW_EMPIRICAL_NEW = Claim(
    "kernels/flow-empirical/held-out", "[Lee et al. 2019]", "the same on held-out points",
    "flow-gap-empirical-held-out", Kind.BOUND, -0.5,
)  # fmt: skip
FLOW_ANALYTIC = Claim(
    "kernels/flow-analytic", "[Lee et al. 2019]",
    "max ‖f^t − f_∞^t‖ under Θ^∞ is O(m^-1/2), training points",
    "flow-gap-analytic", Kind.BOUND, -0.5,
)  # fmt: skip
FLOW_ANALYTIC_NEW = Claim(
    "kernels/flow-analytic/held-out", "[Lee et al. 2019]", "the same on held-out points",
    "flow-gap-analytic-held-out", Kind.BOUND, -0.5,
)  # fmt: skip
LINEARISED_FLOW = Claim(
    "kernels/align-zero", "(57)", "max ‖f_al·0^t − f_lin^t‖ under Θ^0 tends to 0, training points",
    "align-zero-gap", Kind.VANISHES,
)  # fmt: skip

KERNEL_CLAIMS = (
    KERNEL_NTK, KERNEL_NNGP, KERNEL_GAMMA, KERNEL_Q, KERNEL_SPECTRUM, KERNEL_DRIFT,
    FLOW_EMPIRICAL, FLOW_EMPIRICAL_NEW, FLOW_ANALYTIC, FLOW_ANALYTIC_NEW, LINEARISED_FLOW,
)  # fmt: skip
"""About gradient descent and its kernels; norms over data points are Frobenius norms."""

MAIN, BOTTLENECK = "main", "bottleneck"


@dataclass(frozen=True)
class Question:
    """A claim put to one network family, rule and layer. A control is expected not to hold."""

    claim: Claim
    family: str
    rule: str
    layer: int | None = None
    control: bool = False


def questions(family: Family, rules: Sequence[Rule], only: Iterable[str] = ()) -> list[Question]:
    """All questions that a run answers: the claims, then their controls.

    Args:
        family: the networks under test (its depth decides the layers).
        rules: the rules compared with gradient descent; those marked as controls are asked
            about as controls.
        only: ids of the claims to ask about; all if empty.
    """
    hidden, every = range(1, family.depth), range(1, family.depth + 1)
    names = [rule.name for rule in rules if not rule.control]
    controls = dict.fromkeys((*CONTROLS, *(rule for rule in rules if rule.control)))
    lemma = [r.name for r in LEMMA_RULES if r is NORMAL or r.name in names]
    asked = [
        *(Question(ACTIVATIONS, MAIN, r, layer) for r in lemma for layer in hidden),
        *(Question(WEIGHTS, MAIN, r, layer) for r in lemma for layer in every),
        *(Question(JACOBIAN, MAIN, r) for r in lemma),
        *(Question(FEEDBACK, MAIN, r) for r in dict.fromkeys((NORMAL.name, *names))),
        *(Question(claim, MAIN, NORMAL.name, layer) for claim in LAYERWISE for layer in every),
        *(Question(PROPOSITION_2, MAIN, r) for r in names if r != NORMAL.name),
        *(Question(APPENDIX_D, MAIN, r) for r in names if r == ALIGN_ZERO.name),
        *_controls(family, names, [rule.name for rule in controls]),
    ]
    wanted = set(only)
    return [q for q in asked if not wanted or q.claim.id in wanted]


def kernel_questions(family: Family, only: Iterable[str] = ()) -> list[Question]:
    """All questions of ``ntkalign kernels``: each claim, and the same of a fixed bottleneck.

    A bottleneck's kernels stay random, those of the wide layers above and below it too, so they
    must not be found to tend to the wide network's, nor to stand still.
    """
    hidden, every = tuple(range(1, family.depth)), tuple(range(1, family.depth + 1))
    layers: dict[Claim, tuple[int | None, ...]] = {
        KERNEL_GAMMA: hidden, KERNEL_Q: every, KERNEL_SPECTRUM: every,
    }  # fmt: skip
    neck = family.bottleneck_layer

    def rule(claim: Claim) -> str:
        return ALIGN_ZERO.name if claim is LINEARISED_FLOW else NORMAL.name

    asked = [
        *(
            Question(c, MAIN, rule(c), layer)
            for c in KERNEL_CLAIMS
            for layer in layers.get(c, (None,))
        ),
        *(
            Question(c, BOTTLENECK, rule(c), neck if c in layers else None, control=True)
            for c in KERNEL_CLAIMS
        ),
    ]
    wanted = set(only)
    return [q for q in asked if not wanted or q.claim.id in wanted]


def _controls(family: Family, names: list[str], controls: list[str]) -> list[Question]:
    fa, normal, neck = FEEDBACK_ALIGNMENT.name, NORMAL.name, family.bottleneck_layer
    return [
        *(Question(FEEDBACK, MAIN, r, control=True) for r in controls),
        # (8) and (9) compare Gram matrices, in which FA's feedback is as good as the true one
        # when wide (the same law, hence the same limit of Γ_l): FA is no control for them
        *(Question(DISCREPANCY, MAIN, fa, layer, control=True) for layer in range(1, family.depth)),
        *(Question(PROPOSITION_2, MAIN, r, control=True) for r in controls),
        Question(ACTIVATIONS, BOTTLENECK, normal, neck, control=True),
        Question(WEIGHTS, BOTTLENECK, normal, neck + 1, control=True),
        Question(JACOBIAN, BOTTLENECK, normal, control=True),
        *(
            Question(claim, BOTTLENECK, normal, neck + 1, control=True)
            for claim in (DISCREPANCY, PROPOSITION_1, SCORE)
        ),
        *(Question(PROPOSITION_2, BOTTLENECK, r, control=True) for r in names if r != normal),
        *(Question(APPENDIX_D, BOTTLENECK, r, control=True) for r in names if r == ALIGN_ZERO.name),
    ]
