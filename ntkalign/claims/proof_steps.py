r"""The paper's argument as a list: every step, where it stands, and what of it is measured."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ntkalign.claims.proof import STEPS
from ntkalign.claims.tied_weights import RECURRENT_CLAIMS
from ntkalign.quantities.proof_catalogue import GRONWALL as OF_GRONWALL
from ntkalign.quantities.proof_catalogue import INEQUALITIES
from ntkalign.quantities.proof_catalogue import INTEGRAL as OF_INTEGRALS

THEORY, PROOF = "ntkalign.quantities.theory.", "ntkalign.quantities.proof."
GRONWALL = "ntkalign.quantities.proof_gronwall."
LEMMA, ONE, TWO, MORE = "Lemma 1", "Proposition 1", "Proposition 2", "Appendices"
OTHER_RULES, ALIGN_PROP = ("align-zero", "align-ada"), ("align-prop",)
BY_EXPONENT = "exponent of the measured quantity against the width, with its interval"
BY_SIDES = "left/right on every network, at every saved time"
BY_LATER_SIDES = "left/right on every network, at every node in time but the first four"


class Nature(enum.Enum):
    """What kind of step it is; the values stand where a verdict would."""

    STATED = "stated"
    DEFINITION = "definition"
    VAGUE = "not checkable as written"


@dataclass(frozen=True)
class Step:
    """One step of the argument.

    Args:
        name: to refer to it.
        section: of the argument.
        equation: the paper's number.
        statement: in words and symbols.
        latex: as mathematics.
        computed_by: the function that computes what is measured of it, as a dotted name.
        checked: how.
        claims: ids of the claims whose findings decide.
        nature: what kind of step it is.
        rules: whose findings are shown, if not all rules'.
        measured_by: the command that measures it.
    """

    name: str
    section: str
    equation: str
    statement: str
    latex: str
    computed_by: str
    checked: str
    claims: tuple[str, ...] = ()
    nature: Nature = Nature.STATED
    rules: tuple[str, ...] = ()
    measured_by: str = "ntkalign proof"


def _step(name: str, section: str, function: str) -> Step:
    """A step that is one of the inequalities."""
    own = next(i for i in INEQUALITIES if i.name == name)
    claim = next(c for c in STEPS if c.id == f"proof/{name}")
    late = own.measure in (OF_INTEGRALS, OF_GRONWALL)
    return Step(name, section, own.equation, own.statement, rf"{own.left}\le {own.right}", function,
                BY_LATER_SIDES if late else BY_SIDES, (claim.id,))  # fmt: skip


_ORDER = r"\mathcal{O}\big(\min\{m_1,\dots,m_{N-1}\}^{-1/2}\big)"
_MEASURED = "not an inequality with known numbers: {}"
CHAIN, INTEGRAL = PROOF + "lines_of_41", PROOF + "measure_integral"
ARGUMENT = GRONWALL + "measure_gronwall"

STEPS_OF_THE_PAPER = (
    Step("18", LEMMA, "(18)", "each rule is a Jacobian J in place of ∇_θ f",
         r"\dot f^t(x)=\eta\nabla_\theta f^t(x)^T\mathbb{E}[J^t(x)(y(x)-f^t(x))]",
         "ntkalign.rules.lookup", "the rules are defined by it; (47) integrates it",
         nature=Nature.DEFINITION),
    Step("23", LEMMA, "(23)", "dw̃_l/dt ≤ P max‖y − f‖/√m_{l−1} with a polynomial P",
         r"\dot{\tilde w}_l\le\frac{1}{\sqrt{m_{l-1}}}\mathcal{P}(\dots)\max_x\Vert y-f^t\Vert",
         PROOF + "measure_lemma",
         _MEASURED.format("P is not given; measured is whether √m_{l−1} w̃_l/∫max‖y−f‖ grows"),
         ("proof/23",), Nature.VAGUE),
    Step("24", LEMMA, "(24)", "dã_l/dt ≤ P max‖y − f‖/√m_l with a polynomial P",
         r"\dot{\tilde a}_l\le\frac{1}{\sqrt{m_l}}\mathcal{P}(\dots)\max_x\Vert y-f^t\Vert",
         PROOF + "measure_lemma",
         _MEASURED.format("P is not given; measured is whether √m_l ã_l/∫max‖y−f‖ grows"),
         ("proof/24",), Nature.VAGUE),
    Step("26", LEMMA, "(25), (26)", "dA/dt ≤ P(A) max‖y − f‖/√min{m_1 … m_{N−1}}",
         r"\frac{d}{dt}A\le\frac{\mathcal{P}(A)}{\sqrt{\min\{m_1,\dots,m_{N-1}\}}}"
         r"\max_x\Vert y-f^t\Vert",
         PROOF + "measure_lemma",
         _MEASURED.format("measured is whether A(t) − A(0) falls as it says, with w̃_1 and without"),
         ("proof/26", "proof/26-above"), Nature.VAGUE),
    Step("19", LEMMA, "(19)", "activations move by O(m^-1/2), each hidden layer",
         rf"\sqrt{{\mathbb{{E}}\Vert(z_l^t-z_l^0)/\sqrt{{m_l}}\Vert^2}}\in{_ORDER}",
         THEORY + "activation_drift", BY_EXPONENT, ("lemma-1/activations",)),
    Step("20", LEMMA, "(20)", "weights move by O(m^-1/2) of √m_{l−1}, each layer",
         rf"\Vert W_l^t-W_l^0\Vert_{{\mathrm{{op}}}}/\sqrt{{m_{{l-1}}}}\in{_ORDER}",
         THEORY + "weight_drift", BY_EXPONENT, ("lemma-1/weights",)),
    Step("29", LEMMA, "(29), (30)", "∇_{z_l} f by the chain rule",
         r"\nabla_{z_l}f=\mathrm{diag}(\sigma'(z_l))\frac{W_{l+1}^T}{\sqrt{m_l}}\cdots"
         r"\mathrm{diag}(\sigma'(z_{N-1}))\frac{W_N^T}{\sqrt{m_{N-1}}}",
         "ntkalign.quantities.proof_errata.error_of_29",
         "beside differences of f; as printed its indices are off by one (see the errata)",
         nature=Nature.DEFINITION),
    Step("31", LEMMA, "(31), (32)", "Jacobians move by no more than Σ w̃_l P + Σ ã_l P",
         r"\max_x\Vert\nabla_\theta f^t-\nabla_\theta f^0\Vert\le\sum_l\tilde w_l\mathcal{P}_{w,l}"
         r"+\sum_l\tilde a_l\mathcal{P}_{a,l}",
         THEORY + "jacobian_drift",
         _MEASURED.format("the polynomials are not given; (21) and (22) are measured themselves"),
         nature=Nature.VAGUE),
    Step("21", LEMMA, "(21), (27), (33)", "the true Jacobian moves by O(m^-1/2)",
         rf"\max_x\Vert\nabla_\theta f^t-\nabla_\theta f^0\Vert_{{\mathrm{{op}}}}\in{_ORDER}",
         THEORY + "jacobian_drift", BY_EXPONENT, ("lemma-1/jacobian",)),
    Step("22", LEMMA, "(22), (28), (34)", "so does what each rule has in its place",
         rf"\max_x\Vert J^t-\nabla_\theta f^0\Vert_{{\mathrm{{op}}}}\in{_ORDER}",
         THEORY + "jacobian_drift", BY_EXPONENT, ("lemma-1/feedback",)),
    Step("39", ONE, "(39)", "W̃_l is what the weights' change is beyond that of time 0's Jacobian",
         r"\tilde W_l^t=W_l^t-W_l^0-\frac{\eta}{\sqrt{m_{l-1}}}\mathbb{E}\Big[\nabla_{z_l}f^0"
         r"\int_0^t(y-f^\tau)d\tau \sigma(z_{l-1}^0)^T\Big]",
         "ntkalign.flow.trajectory.Flow.splits", "W̃_l is found from its own integral",
         nature=Nature.DEFINITION),
    Step("40", ONE, "(40)", "its derivative is two terms that vanish at time 0",
         r"\dot{\tilde W}_l=\frac{\eta}{\sqrt{m_{l-1}}}\mathbb{E}\big[\nabla_{z_l}f^t(y-f^t)"
         r"(\sigma^t-\sigma^0)^T+(\nabla_{z_l}f^t-\nabla_{z_l}f^0)(y-f^t)\sigma^{0T}\big]",
         PROOF + "discrepancy_velocity",
         "integrated over the time grid, beside W̃ of the flow; both within their error",
         ("proof/40",)),
    _step("41-1", ONE, CHAIN),
    _step("41-2", ONE, CHAIN),
    _step("41-3", ONE, CHAIN),
    _step("42", ONE, INTEGRAL),
    _step("42-from-41", ONE, INTEGRAL),
    Step("42-limit", ONE, "(42), second ≤", "the limit m → ∞ and the integral are exchanged",
         r"\lim_{m\to\infty}\int_0^t\Vert\dot{\tilde W}_l\Vert d\tau\le\int_0^t\lim_{m\to\infty}"
         r"\Vert\dot{\tilde W}_l\Vert d\tau",
         CHAIN, "about a limit, hence not about any network; it needs a bound that is the same for "
         "all widths", nature=Nature.VAGUE),
    Step("42-rate", ONE, "(42)", "W̃_l is O(m^-1/2), each layer",
         rf"\Vert\tilde W_l^t\Vert_{{\mathrm{{op}}}}\in{_ORDER}",
         THEORY + "alignment", BY_EXPONENT, ("proposition-1/discrepancy",)),
    Step("43", ONE, "(43)", "Σ_l is the Gram matrix of A − W̃^(t)",
         r"\Sigma_l=m_{l-1}(W_l^t-W_l^0-\tilde W_l^t)^T(W_l^t-W_l^0-\tilde W_l^t)",
         PROOF + "measure_chain", "spectrum of Σ_l by (3), (6), (7) beside that of the right side",
         ("proof/43",)),
    Step("43-printed", ONE, "(43) as printed", "the same with W̃^(0), which is 0: Σ_l/m = Δ_l",
         r"\Sigma_l=m_{l-1}(W_l^t-W_l^0-\tilde W_l^0)^T(W_l^t-W_l^0-\tilde W_l^0)",
         PROOF + "measure_chain", "‖Σ_l/m − Δ_l‖ relative to ‖Σ_l/m‖", ("proof/43-printed",)),
    _step("44", ONE, PROOF + "measure_chain"),
    _step("44-printed", ONE, PROOF + "measure_false_chain"),
    Step("35", ONE, "(8), (35)", "Proposition 1: the gap is O(m^-1), each layer",
         r"\frac{1}{\sqrt{m_{l-1}}}\left\Vert\frac{\Sigma_l}{m_{l-1}}-\Delta_l\right\Vert_{\mathrm{op}}"
         r"\in\mathcal{O}\big(\min\{m_1,\dots,m_{N-1}\}^{-1}\big)",
         THEORY + "alignment", BY_EXPONENT, ("proposition-1",)),
    Step("reading", ONE, "App. A, last remark", "‖Δ_l‖/√m and ‖Σ_l/m‖/√m do not tend to 0",
         r"\frac{\Vert\Delta_l\Vert_{\mathrm{op}}}{\sqrt{m_{l-1}}}\nrightarrow 0,\qquad"
         r"\frac{\Vert\Sigma_l/m_{l-1}\Vert_{\mathrm{op}}}{\sqrt{m_{l-1}}}\nrightarrow 0",
         THEORY + "align", BY_EXPONENT, ("proposition-1/interpretation",)),
    Step("9", ONE, "(9)", "hence the alignment score tends to 1", r"1-S_l\to 0",
         THEORY + "alignment", BY_EXPONENT, ("alignment-score",)),
    Step("47", TWO, "(46), (47)", "how f and f_* move",
         r"\dot f_*=\eta\nabla_\theta f_*^T\mathbb{E}[J_*(y-f_*)]",
         GRONWALL + "sides_at", "integrated over the time grid, beside the flows' outputs",
         ("proof/47",)),
    _step("49-1", TWO, ARGUMENT),
    _step("49-2", TWO, GRONWALL + "sides_at"),
    _step("49-3", TWO, ARGUMENT),
    _step("50-printed", TWO, ARGUMENT),
    Step("51", TWO, "(51), (52), (53)", "α, β and u", r"\alpha(t),\quad\beta(t),\quad u(t)",
         ARGUMENT, "α and ∫β against the width", ("proof/alpha", "proof/gronwall")),
    _step("54", TWO, ARGUMENT),
    _step("55", TWO, ARGUMENT),
    _step("55-without-exp", TWO, ARGUMENT),
    Step("rates", TWO, "after (55)", "Δ_1 and Δ_2 are O(m^-1/2) by Lemma 1",
         r"\max_x\Vert\Delta_1\Vert_{\mathrm{op}}, \max_x\Vert\Delta_2\Vert_{\mathrm{op}}"
         rf"\in{_ORDER}",
         "ntkalign.networks.jacobians.jacobian_distance", BY_EXPONENT,
         ("proof/delta-1", "proof/delta-2")),
    Step("terms", TWO, "(48)", "the first two terms of (48) themselves, no norms of parts",
         r"\max_x\eta\Vert\Delta_1^T\mathbb{E}[J_*(y-f)]\Vert,\quad"
         r"\max_x\eta\Vert\nabla f^T\mathbb{E}[\Delta_2(y-f)]\Vert",
         GRONWALL + "sides_at", BY_EXPONENT, ("proof/term-1", "proof/term-2")),
    Step("56", TWO, "(17), (45), (56)", "Proposition 2: outputs differ by O(m^-1/2)",
         rf"\Vert f^t-f_*^t\Vert\in{_ORDER}", THEORY + "divergence", BY_EXPONENT,
         ("proposition-2",), rules=OTHER_RULES),
    Step("57", MORE, "App. D, (57)", "Align-zero tends to the linearised network",
         r"f_{al\cdot 0}^t-f_{lin}^t\to 0", THEORY + "measure_linearisation", BY_EXPONENT,
         ("appendix-d",)),
    Step("58", MORE, "App. E, (58)", "the same argument for recurrent networks",
         r"\dot W_{al\cdot ada}=\frac{\eta}{\sqrt m}\sum_{j>i}\mathbb{E}[\nabla_{z_i}\hat y_j^0 "
         r"(y_j-\hat y_j^t) \sigma(z_{i-1}^t)^T]",
         "ntkalign.networks.recurrent.Recurrent", BY_EXPONENT,
         tuple(dict.fromkeys(claim.id for claim in RECURRENT_CLAIMS)),
         measured_by="ntkalign verify --network rnn"),
    Step("G-feedback", MORE, "App. G", "Align-prop's J stays within O(m^-1/2) of ∇f^0",
         rf"\max_x\Vert J_{{al\cdot prop}}^t-\nabla_\theta f^0\Vert_{{\mathrm{{op}}}}\in{_ORDER}",
         THEORY + "jacobian_drift", BY_EXPONENT, ("lemma-1/feedback",), rules=ALIGN_PROP),
    Step("G", MORE, "App. G", "hence Align-prop approaches gradient descent, too",
         rf"\Vert f^t-f_{{al\cdot prop}}^t\Vert\in{_ORDER}", THEORY + "divergence", BY_EXPONENT,
         ("proposition-2",), rules=ALIGN_PROP),
)  # fmt: skip
