"""Each step of the paper's proofs as a claim: what ``ntkalign proof`` asks.

An inequality is a claim about left/right, which must be at most 1 on every network; the exponent of
its companion says how the bound's looseness goes with the width. A step that is false on purpose is
a control: some network must contradict it.
"""

from __future__ import annotations

from ntkalign.claims.claim import COMPARED, Claim, Kind
from ntkalign.claims.theory import LEMMA_RULES
from ntkalign.quantities.proof_catalogue import GRONWALL, INEQUALITIES, Inequality, Standing

NORMAL, RULES = ("normal",), (COMPARED,)


def _claim(step: Inequality) -> Claim:
    rules = RULES if step.measure == GRONWALL else NORMAL
    return Claim(
        f"proof/{step.name}",
        step.equation,
        step.statement,
        step.share,
        Kind.INEQUALITY,
        None,
        rules,
        formula=rf"${step.left}\le {step.right}$",
    )


STEP_OF = {_claim(step).id: step for step in INEQUALITIES}
"""The inequality behind each claim about one."""
STEPS = tuple(map(_claim, INEQUALITIES))
FALSE_STEPS = frozenset(c for c in STEPS if STEP_OF[c.id].standing is Standing.FALSE)
"""What must be contradicted."""

# fmt: off
OTHERS = (
    Claim("proof/23", "(23)", "√m_{l−1} w̃_l over ∫max‖y − f‖ stays bounded: P does not grow",
          "weight-factor", Kind.BOUND, 0.0, LEMMA_RULES,
          formula=r"$\sqrt{m_{l-1}} \tilde w_l/\int_0^t\max_x\Vert y-f^\tau\Vert d\tau=O(1)$"),
    Claim("proof/24", "(24)", "√m_l ã_l over ∫max‖y − f‖ stays bounded: P does not grow",
          "activation-factor", Kind.BOUND, 0.0, LEMMA_RULES,
          formula=r"$\sqrt{m_l} \tilde a_l/\int_0^t\max_x\Vert y-f^\tau\Vert d\tau=O(1)$"),
    Claim("proof/26", "(25), (26)", "A(t) − A(0), the sum of all w̃_l and ã_l, is O(m^-1/2)",
          "lemma-sum", Kind.BOUND, -0.5, LEMMA_RULES,
          formula=r"$A(t)-A(0)=\sum_{l=1}^{N}\tilde w_l+\sum_{l=1}^{N-1}\tilde a_l=O(m^{-1/2})$"),
    Claim("proof/26-above", "(25), (26)", "the same without w̃_1 is O(m^-1/2)",
          "lemma-sum-above", Kind.BOUND, -0.5, LEMMA_RULES,
          formula=r"$A(t)-A(0)-\tilde w_1=O(m^{-1/2})$"),
    Claim("proof/40", "(40)", "the norm of W̃_l, integrated from (40), is that of (39)",
          "velocity-identity", Kind.IDENTITY, None, NORMAL,
          formula=r"$\int_0^t\dot{\tilde W}_l d\tau=\tilde W_l^t$"),
    Claim("proof/43", "(43)", "Σ_l/m_{l−1} and (A − W̃^(t))ᵀ(A − W̃^(t)) have the same spectrum",
          "sigma-identity", Kind.IDENTITY, None, NORMAL,
          formula=r"$\Sigma_l/m_{l-1}=(W_l^t-W_l^0-\tilde W_l^t)^T(W_l^t-W_l^0-\tilde W_l^t)$"),
    Claim("proof/43-printed", "(43) as printed", "Σ_l/m_{l−1} = (A − W̃^(0))ᵀ(A − W̃^(0)) = Δ_l",
          "sigma-printed", Kind.IDENTITY, None, NORMAL,
          formula=r"$\Sigma_l/m_{l-1}=(W_l^t-W_l^0-\tilde W_l^0)^T"
                  r"(W_l^t-W_l^0-\tilde W_l^0)=\Delta_l$"),
    Claim("proof/47", "(46), (47)", "integrated, η∇fᵀE[J(y − f)] is f^T − f^0, for f and f_*",
          "output-identity", Kind.IDENTITY, None, RULES,
          formula=r"$f_*^T-f^0=\int_0^T\eta\nabla_\theta f_*^T\mathbb{E}[J_*(y-f_*)] dt$"),
    Claim("proof/delta-1", "after (55)", "max_x‖Δ_1‖ is O(m^-1/2)",
          "delta-1", Kind.BOUND, -0.5, RULES,
          formula=r"$\max_x\Vert\nabla_\theta f_*^t-\nabla_\theta f^t\Vert_{\mathrm{op}}"
                  r"=O(m^{-1/2})$"),
    Claim("proof/delta-2", "after (55)", "max_x‖Δ_2‖ is O(m^-1/2)",
          "delta-2", Kind.BOUND, -0.5, RULES,
          formula=r"$\max_x\Vert J_*^t-\nabla_\theta f^t\Vert_{\mathrm{op}}=O(m^{-1/2})$"),
    Claim("proof/term-1", "(48)", "its first term itself, without norms of parts, is O(m^-1/2)",
          "term-1", Kind.BOUND, -0.5, RULES,
          formula=r"$\max_x\Vert\Delta_1^T\mathbb{E}[J_*(y-f)]\Vert=O(m^{-1/2})$"),
    Claim("proof/term-2", "(48)", "its second term itself, without norms of parts, is O(m^-1/2)",
          "term-2", Kind.BOUND, -0.5, RULES,
          formula=r"$\max_x\Vert\nabla_\theta f^T\mathbb{E}[\Delta_2(y-f)]\Vert=O(m^{-1/2})$"),
    Claim("proof/alpha", "(51)", "α(T) is O(m^-1/2)", "alpha", Kind.BOUND, -0.5, RULES,
          formula=r"$\alpha(T)=O(m^{-1/2})$"),
    Claim("proof/gronwall", "(52), (55)", "∫β, the exponent of Grönwall's factor, stays bounded",
          "gronwall-exponent", Kind.BOUND, 0.0, RULES,
          formula=r"$\int_0^T\beta dt=O(1)$"),
)
# fmt: on

PROOF_CLAIMS = (*STEPS, *OTHERS)
