"""Errors in the paper's printed equations: what stands there, what should, and how we know.

Those that a number can show have one, measured on small networks or by the run
(:mod:`ntkalign.quantities.proof_errata`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ntkalign.claims.proof_found import Found
from ntkalign.quantities import proof_errata as small


@dataclass(frozen=True)
class Erratum:
    """One printed equation that is not what it should be.

    Args:
        equation: the paper's number.
        printed: what stands there.
        should: what should.
        why: how we know.
        number: what was measured of it, if anything can be.
    """

    equation: str
    printed: str
    should: str
    why: str
    number: Callable[[Found], str | None] = lambda found: None


def _sign(found: Found) -> str:
    right, printed = small.loss_rates()
    return f"the loss of a small network changes at {right:+.2f} by (18), {printed:+.2f} as printed"


def _indices(found: Found) -> str:
    right, printed = small.error_of_29()
    return (
        f"in a network with hidden layers of equal width it is off by {printed:.0%}, with the "
        f"right indices by {right:.0e}"
    )


def _readout(found: Found) -> str:
    scaled, printed = small.growth_of_61()
    return (
        f"the output's standard deviation at time 0 goes as m^{printed:.2f}, with 1/√m as "
        f"m^{scaled:.2f}"
    )


def _gram(found: Found) -> str | None:
    own = found.of("proof/43-printed")
    if not own:
        return None
    first = [v for f in own for row in f.values[:1] for v in row if math.isfinite(v)]
    if not first:
        return None
    right = {f.verdict for f in found.of("proof/43")} == {"holds"}
    return (
        f"‖Σ_l/m − Δ_l‖ is {min(first):.1%} to {max(first):.1%} of ‖Σ_l/m‖ at width "
        f"{own[0].widths[0]}" + ", and with W̃^(t) both sides agree within their errors" * right
    )


def _shares(id: str) -> Callable[[Found], str | None]:
    def number(found: Found) -> str | None:
        own = found.of(id)
        if not own:
            return None
        known = [v for f in own for row in f.values for v in row if math.isfinite(v)]
        if not known:
            return None
        largest = max(known)
        verdicts = ", ".join(sorted({f.verdict for f in own}))
        return f"as printed: {verdicts}; left/right at most {largest:.3g}"

    return number


def _vanishing(found: Found) -> str | None:
    own = [f for f in found.of("proposition-1/interpretation") if f.rate is not None]
    if not own:
        return None
    return "; ".join(
        f"layer {f.question.layer}, {f.question.claim.quantity}: m^{f.rate.exponent:.2f}"
        for f in own
        if f.rate is not None
    )


ERRATA = (
    Erratum("(13)–(16), Algorithms 1 and 2", "dW/dt = +η/√m E[∇f ∇L σᵀ]", "−∇L, that is y − f",
            "∇L = f − y: the printed sign ascends; (18), (39) and (46) have the right one", _sign),
    Erratum("Lemma 1, before (19)", "J of Align-ada: ∇_θ f^0 with current activations throughout",
            "feedback of time 0 with current activities, as in (16)",
            "(16) and Algorithm 2 keep ∇_{z_l} f^0; with current σ′ it is Align-prop of App. G"),
    Erratum("(29), (30)", "σ′(z_{l−1}) W_lᵀ/√m_{l−1} …", "σ′(z_l) W_{l+1}ᵀ/√m_l …",
            "the chain rule of (1); Algorithms 1 and 2 have the right indices; as printed shapes "
            "do not even fit unless layers are equally wide", _indices),
    Erratum("(43)", "(A − W̃^(0))ᵀ(A − W̃^(0))", "W̃^(t)",
            "W̃^(0) = 0 by (39), and then Σ_l/m would be Δ_l", _gram),
    Erratum("(44)", "‖W̃^(t)ᵀ W̃^(0)‖ in the last term", "‖W̃^(t)ᵀ W̃^(t)‖",
            "expand the product of the line above", _shares("proof/44-printed")),
    Erratum("(50)", "last term η(…)(…) max‖f − f_*‖ without an integral", "∫₀ᵗ … dτ",
            "(49) is integrated, and (54) has the integral", _shares("proof/50-printed")),
    Erratum("App. A, last remark", "o(√m), O(m²), so neither norm tends to 0",
            "‖σ(z)‖ = O(√m), hence ‖Σ_l‖ = O(m): both norms are O(m^-1/2) for l ≥ 2",
            "o(·) and O(·) are bounds from above; they show no lower bound", _vanishing),
    Erratum("(61)", "ŷ = W_o σ(z) + b_o", "W_o σ(z)/√m + b_o",
            "without the factor outputs grow with the width, and there is no neural tangent limit; "
            "the released code has it", _readout),
)  # fmt: skip
