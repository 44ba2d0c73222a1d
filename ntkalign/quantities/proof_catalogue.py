r"""The steps of the paper's proofs as pairs of measured sides, each declared once.

Most steps of the proofs say *left ≤ right*. Of each, four quantities are measured on a network:

    share       the largest left/right at any time; at most 1 if the step is true
    looseness   sup_t right / sup_t left: how much of the bound is lost in this step
    left, right sup_t of either side, whose exponents say which step has which rate

*False* steps are measured too: the same inequality with a factor or a term dropped on purpose. If
none of the networks contradicts one, the check of the true step says little. *Printed* steps are
what the paper prints where that is not what it needs, and *sharper* ones are not proven at all.

Declarations only; the sides are measured in :mod:`ntkalign.quantities.proof`
and :mod:`ntkalign.quantities.proof_gronwall`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ntkalign.quantities.quantity import PROOF, ErrorFrom, Layers, Quantity

MEASURE = "ntkalign.quantities.proof:measure_"
CHAIN, CHAIN_FALSE, INTEGRAL = MEASURE + "chain", MEASURE + "false_chain", MEASURE + "integral"
GRONWALL = "ntkalign.quantities.proof_gronwall:measure_gronwall"
EVERY, FIRST, WHOLE = Layers.EVERY, Layers.FIRST, Layers.WHOLE


class Standing(enum.Enum):
    """What a step is to the proof."""

    TRUE = "a step of the proof"
    FALSE = "false on purpose: it must be contradicted"
    PRINTED = "as printed, which is not what the proof needs"
    SHARPER = "sharper than what is proven: if it holds, the proof gives away that much"


@dataclass(frozen=True)
class Inequality:
    """One step: left ≤ right at every time, on every network.

    Args:
        name: how claims and quantities call it.
        equation: where the paper has it.
        statement: in words and symbols.
        left: as LaTeX.
        right: as LaTeX.
        layers: of which layers it speaks.
        measure: names the function that measures both sides, and those of other steps with them.
        error_from: what tells the error of the flow.
        standing: whether it is part of the proof.
    """

    name: str
    equation: str
    statement: str
    left: str
    right: str
    layers: Layers
    measure: str
    error_from: ErrorFrom
    standing: Standing = Standing.TRUE

    @property
    def share(self) -> str:
        """The quantity that is at most 1 if the step is true."""
        return f"{self.name}-share"

    @property
    def looseness(self) -> str:
        """The quantity that says how much is lost."""
        return f"{self.name}-looseness"

    @property
    def sides(self) -> tuple[str, str]:
        """The quantities that are the two sides."""
        return f"{self.name}-left", f"{self.name}-right"

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The four records."""
        left, right = self.sides
        symbols = {
            self.share: rf"$\max_t$ left/right of {self.equation}",
            self.looseness: rf"$\sup$ right / $\sup$ left of {self.equation}",
            left: f"left side of {self.equation}",
            right: f"right side of {self.equation}",
        }
        return tuple(
            Quantity(
                name, symbol, self.layers, self.measure, self.equation,
                self.looseness if name == self.share else None,
                references=("normal",) if self.measure == GRONWALL else (),
                error_from=self.error_from, command=PROOF, size=1.0 if name == self.share else 0.0,
            )
            for name, symbol in symbols.items()
        )  # fmt: skip


# --- how the sides are written --------------------------------------------------------------

_RATE = r"\frac{\eta}{\sqrt{m_{l-1}}}"
_DOT = r"\Vert\dot{\tilde W}_l\Vert_{\mathrm{op}}"
_DRIFT = r"\sigma(z_{l-1}^t)-\sigma(z_{l-1}^0)"
_TURN = r"\nabla_{z_l}f^t-\nabla_{z_l}f^0"
_LINE_1 = (
    rf"{_RATE}\mathbb{{E}}\Vert\nabla_{{z_l}}f^t (y-f^t)({_DRIFT})^T\Vert_{{\mathrm{{op}}}}",
    rf"{_RATE}\mathbb{{E}}\Vert({_TURN})(y-f^t)\sigma(z_{{l-1}}^0)^T\Vert_{{\mathrm{{op}}}}",
)
_LINE_2 = (
    rf"{_RATE}\mathbb{{E}}[\Vert\nabla_{{z_l}}f^t\Vert_{{\mathrm{{op}}}}\Vert y-f^t\Vert "
    rf"\Vert{_DRIFT}\Vert]",
    rf"{_RATE}\mathbb{{E}}[\Vert{_TURN}\Vert_{{\mathrm{{op}}}}\Vert y-f^t\Vert "
    r"\Vert\sigma(z_{l-1}^0)\Vert]",
)
_LINE_3 = (
    r"c \eta\max_x\Vert\nabla_{z_l}f^t\Vert_{\mathrm{op}}\max_x\Vert y-f^t\Vert "
    r"\mathbb{E}\left\Vert\frac{z_{l-1}^t-z_{l-1}^0}{\sqrt{m_{l-1}}}\right\Vert",
    rf"\eta \mathbb{{E}}\Vert{_TURN}\Vert_{{\mathrm{{op}}}}\max_x\Vert y-f^t\Vert "
    r"\max_x\left\Vert\frac{\sigma(z_{l-1}^0)}{\sqrt{m_{l-1}}}\right\Vert",
)
_GAP = (
    r"\frac{1}{\sqrt{m_{l-1}}}\left\Vert\frac{\Sigma_l}{m_{l-1}}-\Delta_l\right\Vert_{\mathrm{op}}"
)
_PRODUCT = (
    r"\frac{1}{\sqrt{m_{l-1}}}\Vert W_l^t-W_l^0\Vert_{\mathrm{op}}"
    r"\Vert\tilde W_l^t\Vert_{\mathrm{op}}"
)
_SQUARE = r"\frac{1}{\sqrt{m_{l-1}}}\Vert\tilde W_l^{tT}\tilde W_l^t\Vert_{\mathrm{op}}"
_NORM_J, _NORM_1, _NORM_2 = (
    rf"\max_x\Vert{symbol}\Vert_{{\mathrm{{op}}}}"
    for symbol in (r"\nabla f", r"\Delta_1", r"\Delta_2")
)
_ERROR, _U = r"\max_x\Vert y-f\Vert", r"\max_x\Vert f_*-f\Vert"
_THREE = (
    r"\eta\Vert\Delta_1^T\mathbb{E}[J_*(y-f)]\Vert"
    r"+\eta\Vert\nabla f^T\mathbb{E}[\Delta_2(y-f)]\Vert"
    r"+\eta\Vert\nabla f_*^T\mathbb{E}[J_*(f-f_*)]\Vert"
)
_FORCE = (
    rf"\eta {_NORM_1}({_NORM_J}+{_NORM_2}){_ERROR}",
    rf"\eta {_NORM_J} {_NORM_2} {_ERROR}",
)
_GROWTH = rf"\eta({_NORM_J}+{_NORM_1})({_NORM_J}+{_NORM_2}){_U}"
_FROM_FLOW, _ESTIMATED = ErrorFrom.LOOSER_FLOW, ErrorFrom.ESTIMATE

INEQUALITIES = (
    Inequality(
        "41-1", "(41), line 1", "‖dW̃_l/dt‖ ≤ the sum of the mean norms of the two terms of (40)",
        _DOT, "+".join(_LINE_1), EVERY, CHAIN, _ESTIMATED,
    ),
    Inequality(
        "41-2", "(41), line 2", "the norm of a product ≤ the product of norms",
        "+".join(_LINE_1), "+".join(_LINE_2), EVERY, CHAIN, _ESTIMATED,
    ),
    Inequality(
        "41-3", "(41), line 3",
        "means ≤ maxima over x; ‖σ(z)−σ(z⁰)‖ ≤ c‖z−z⁰‖, c = sup|σ′|",
        "+".join(_LINE_2), "+".join(_LINE_3), EVERY, CHAIN, _ESTIMATED,
    ),
    Inequality(
        "44", "(44)", "‖Σ_l/m − Δ_l‖/√m ≤ (2‖A_l‖‖W̃_l‖ + ‖W̃_lᵀW̃_l‖)/√m",
        _GAP, rf"2{_PRODUCT}+{_SQUARE}", EVERY, CHAIN, _ESTIMATED,
    ),
    Inequality(
        "44-printed", "(44) as printed",
        "‖Σ_l/m − Δ_l‖/√m ≤ 2‖A_l‖‖W̃_l‖/√m, since W̃^(0) = 0",
        _GAP, f"2{_PRODUCT}", EVERY, CHAIN_FALSE, _ESTIMATED, Standing.PRINTED,
    ),
    Inequality(
        "44-without-first-term", "(44) without 2‖A‖‖W̃‖", "‖Σ_l/m − Δ_l‖/√m ≤ ‖W̃_lᵀW̃_l‖/√m",
        _GAP, _SQUARE, EVERY, CHAIN_FALSE, _ESTIMATED, Standing.FALSE,
    ),
    Inequality(
        "44-without-2", "(44) without the 2",
        "‖Σ_l/m − Δ_l‖/√m ≤ (‖A_l‖‖W̃_l‖ + ‖W̃_lᵀW̃_l‖)/√m",
        _GAP, f"{_PRODUCT}+{_SQUARE}", EVERY, CHAIN_FALSE, _ESTIMATED, Standing.FALSE,
    ),
    Inequality(
        "41-without-second-term", "(41) without its second term",
        "‖dW̃_1/dt‖ ≤ the first term of line 3 of (41) alone",
        _DOT, _LINE_3[0], FIRST, CHAIN_FALSE, _ESTIMATED, Standing.FALSE,
    ),
    Inequality(
        "42", "(42)", "‖W̃_l^t‖ ≤ ∫₀ᵗ ‖dW̃_l/dτ‖ dτ",
        r"\Vert\tilde W_l^t\Vert_{\mathrm{op}}", rf"\int_0^t{_DOT} d\tau", EVERY, INTEGRAL,
        _FROM_FLOW,
    ),
    Inequality(
        "42-from-41", "(41) in (42)", "∫₀ᵗ ‖dW̃_l/dτ‖ dτ ≤ ∫₀ᵗ line 3 of (41) dτ",
        rf"\int_0^t{_DOT} d\tau", rf"\int_0^t\big({'+'.join(_LINE_3)}\big)d\tau",
        EVERY, INTEGRAL, _FROM_FLOW,
    ),
    Inequality(
        "49-1", "(49), line 1", "d/dt ‖f_* − f‖ ≤ ‖df_*/dt − df/dt‖ at every x",
        r"\frac{d}{dt}\Vert f_*-f\Vert", r"\Vert\dot f_*-\dot f\Vert", WHOLE, GRONWALL, _FROM_FLOW,
    ),
    Inequality(
        "49-2", "(48), (49)", "‖df_*/dt − df/dt‖ ≤ the norms of (48)'s terms, added",
        r"\max_x\Vert\dot f_*-\dot f\Vert", rf"\max_x({_THREE})", WHOLE, GRONWALL, _FROM_FLOW,
    ),
    Inequality(
        "49-3", "(49), line 2", "each term of (48) ≤ the product of the largest norms of its parts",
        rf"\max_x({_THREE})", "+".join((*_FORCE, _GROWTH)), WHOLE, GRONWALL, _FROM_FLOW,
    ),
    Inequality(
        "54", "(50), (54)", "u(t) ≤ α(t) + ∫₀ᵗ β u dτ", "u(t)",
        r"\alpha(t)+\int_0^t\beta(\tau)u(\tau) d\tau", WHOLE, GRONWALL, _FROM_FLOW,
    ),
    Inequality(
        "50-printed", "(50) as printed", "u(t) ≤ α(t) + β(t) u(t): the last term has no integral",
        "u(t)", r"\alpha(t)+\beta(t)u(t)", WHOLE, GRONWALL, _FROM_FLOW, Standing.PRINTED,
    ),
    Inequality(
        "55", "(55)", "u(t) ≤ α(t) exp ∫₀ᵗ β dτ (Grönwall)", "u(t)",
        r"\alpha(t)\exp\int_0^t\beta(\tau) d\tau", WHOLE, GRONWALL, _FROM_FLOW,
    ),
    Inequality(
        "54-without-alpha", "(54) without α", "u(t) ≤ ∫₀ᵗ β u dτ", "u(t)",
        r"\int_0^t\beta(\tau)u(\tau) d\tau", WHOLE, GRONWALL, _FROM_FLOW, Standing.FALSE,
    ),
    Inequality(
        "55-without-exp", "(55) without exp", "u(t) ≤ α(t)", "u(t)",
        r"\alpha(t)", WHOLE, GRONWALL, _FROM_FLOW, Standing.SHARPER,
    ),
)  # fmt: skip

POINTWISE = tuple(i.share for i in INEQUALITIES if i.measure in (CHAIN, CHAIN_FALSE))
"""What holds at each time by itself: measured wherever Jacobians are, for next to nothing."""


def _of_lemma(name: str, symbol: str, layers: Layers, equation: str) -> Quantity:
    return Quantity(name, symbol, layers, MEASURE + "lemma", equation, command=PROOF)


def _of_gronwall(name: str, symbol: str, equation: str, size: float = 0.0) -> Quantity:
    return Quantity(
        name, symbol, WHOLE, GRONWALL, equation, references=("normal",), command=PROOF, size=size
    )


OTHERS = (
    _of_lemma("weight-factor", r"$\sqrt{m_{l-1}} \tilde w_l/\int\max_x\Vert y-f\Vert$",
              EVERY, "(23)"),
    _of_lemma("activation-factor", r"$\sqrt{m_l} \tilde a_l/\int\max_x\Vert y-f\Vert$",
              Layers.HIDDEN, "(24)"),
    _of_lemma("lemma-sum", r"$A(t)-A(0)$", WHOLE, "(25)"),
    _of_lemma("lemma-sum-above", r"$A(t)-A(0)$ without $W_1$", WHOLE, "(25)"),
    Quantity("velocity-identity", r"$\Vert\tilde W_l\Vert$ from (40), relative difference", EVERY,
             INTEGRAL, "(40)", command=PROOF, size=1.0),
    Quantity("sigma-identity", r"spectra of (43), relative difference", EVERY,
             CHAIN, "(43)", error_from=_ESTIMATED, command=PROOF, size=1.0),
    Quantity("sigma-printed", r"$\Vert\Sigma_l/m-\Delta_l\Vert/\Vert\Sigma_l/m\Vert$", EVERY,
             CHAIN, "(43)", error_from=_ESTIMATED, command=PROOF),
    _of_gronwall("output-identity", r"$f_*^T-f^0-\int\dot f_*$, relative", "(47)", size=1.0),
    _of_gronwall("delta-1", r"$\max_x\Vert\Delta_1\Vert_{\mathrm{op}}$", "(49)"),
    _of_gronwall("delta-2", r"$\max_x\Vert\Delta_2\Vert_{\mathrm{op}}$", "(49)"),
    _of_gronwall("term-1", r"$\max_x\eta\Vert\Delta_1^T\mathrm{E}[J_*(y-f)]\Vert$", "(48)"),
    _of_gronwall("term-2", r"$\max_x\eta\Vert\nabla f^T\mathrm{E}[\Delta_2(y-f)]\Vert$", "(48)"),
    _of_gronwall("alpha", r"$\alpha(T)$", "(51)"),
    _of_gronwall("gronwall-exponent", r"$\int_0^T\beta dt$", "(52), (55)"),
)  # fmt: skip
"""What is measured beside the inequalities: identities, and the parts of the arguments."""

OF_THE_PROOF = (*(q for i in INEQUALITIES for q in i.quantities), *OTHERS)
