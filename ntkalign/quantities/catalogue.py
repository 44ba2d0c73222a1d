"""The quantities that are measured, each declared once; which claims there are is another matter.

Declarations only: how each is measured is in :mod:`ntkalign.quantities.theory` and
:mod:`ntkalign.quantities.kernels`, in the same order.
"""

from __future__ import annotations

from ntkalign.quantities.proof_catalogue import OF_THE_PROOF
from ntkalign.quantities.quantity import KERNELS, ErrorFrom, Layers, Quantity
from ntkalign.registry import Registry

THEORY = "ntkalign.quantities.theory:measure_"
KERNEL = "ntkalign.quantities.kernels:measure_"
HIDDEN, EVERY, WHOLE = Layers.HIDDEN, Layers.EVERY, Layers.WHOLE

# fmt: off
OF_THE_THEORY = (
    Quantity("weight-drift", r"$\|W_l^t-W_l^0\|_{\mathrm{op}}/\sqrt{m_{l-1}}$",
             EVERY, THEORY + "weights", "(20)"),
    Quantity("activation-drift", r"$(\mathrm{E}\,\|z_l^t-z_l^0\|^2/m_l)^{1/2}$",
             HIDDEN, THEORY + "activations", "(19)", "activation-drift-relative"),
    Quantity("activation-drift-relative",
             r"$(\mathrm{E}\,\|z_l^t-z_l^0\|^2/\mathrm{E}\,\|z_l^0\|^2)^{1/2}$",
             HIDDEN, THEORY + "activations", "(19)"),
    Quantity("jacobian-drift", r"$\max_x\|\nabla_\theta f^t-\nabla_\theta f^0\|_{\mathrm{op}}$",
             WHOLE, THEORY + "jacobians", "(21)", "jacobian-drift-relative",
             error_from=ErrorFrom.ESTIMATE),
    Quantity("jacobian-drift-relative",
             r"$\max_x\|\nabla_\theta f^t-\nabla_\theta f^0\|_{\mathrm{op}}"
             r"/\max_x\|\nabla_\theta f^0\|_{\mathrm{op}}$",
             WHOLE, THEORY + "jacobians", "(21)", error_from=ErrorFrom.ESTIMATE),
    Quantity("feedback-drift", r"$\max_x\|J^t-\nabla_\theta f^0\|_{\mathrm{op}}$",
             WHOLE, THEORY + "jacobians", "(22)", error_from=ErrorFrom.ESTIMATE),
    Quantity("discrepancy", r"$\|\tilde W_l\|_{\mathrm{op}}$",
             EVERY, THEORY + "alignment", "(42)", "discrepancy-relative"),
    Quantity("discrepancy-relative",
             r"$\|\tilde W_l\|_{\mathrm{op}}/\|W_l^t-W_l^0\|_{\mathrm{op}}$",
             EVERY, THEORY + "alignment", "(42)"),
    Quantity("alignment-gap", r"$\|\Sigma_l/m_{l-1}-\Delta_l\|_{\mathrm{op}}/\sqrt{m_{l-1}}$",
             EVERY, THEORY + "alignment", "(8)", "alignment-gap-relative"),
    Quantity("alignment-gap-relative",
             r"$\|\Sigma_l/m_{l-1}-\Delta_l\|_{\mathrm{op}}/\|\Delta_l\|_{\mathrm{op}}$",
             EVERY, THEORY + "alignment", "(8)", over_time=True),
    Quantity("delta-norm", r"$\|\Delta_l\|_{\mathrm{op}}/\sqrt{m_{l-1}}$",
             EVERY, THEORY + "alignment", "(2)"),
    Quantity("sigma-norm", r"$\|\Sigma_l/m_{l-1}\|_{\mathrm{op}}/\sqrt{m_{l-1}}$",
             EVERY, THEORY + "alignment", "(3)"),
    Quantity("misalignment", r"$1-S_l$", EVERY, THEORY + "alignment", "(9)", over_time=True),
    Quantity("divergence", r"$\max_x\|f^t-f_{\mathrm{rule}}^t\|$",
             WHOLE, THEORY + "divergence", "(17)", "divergence-relative", references=("normal",),
             over_time=True),
    Quantity("divergence-relative",
             r"$\max_x\|f^t-f_{\mathrm{rule}}^t\|/\max_x\|f^t-f^0\|$",
             WHOLE, THEORY + "divergence", "(17)", references=("normal",)),
    Quantity("linearisation-gap", r"$\max_x\|f_{\mathrm{al}\cdot 0}^t-f_{\mathrm{lin}}^t\|$",
             WHOLE, THEORY + "linearisation", "(57)", "linearisation-gap-relative",
             references=("linearised",)),
    Quantity("linearisation-gap-relative",
             r"$\max_x\|f_{\mathrm{al}\cdot 0}^t-f_{\mathrm{lin}}^t\|"
             r"/\max_x\|f_{\mathrm{al}\cdot 0}^t-f^0\|$",
             WHOLE, THEORY + "linearisation", "(57)", references=("linearised",)),
    Quantity("sampled-score-error", r"$S_l$ sampled $-$ exact",
             EVERY, THEORY + "sampled_score", "(10)", signed=True, error_from=ErrorFrom.MEASURING),
    Quantity("score", r"$S_l$",
             EVERY, THEORY + "sampled_score", "(9)", error_from=ErrorFrom.ESTIMATE),
    Quantity("score-permuted", r"$S_l$ of shuffled weights",
             EVERY, THEORY + "permuted", "(9)", error_from=ErrorFrom.ESTIMATE, over_time=True),
    Quantity("kernel-drift", r"$\sup_t\|\Theta^t-\Theta^0\|/\|\Theta^0\|$",
             WHOLE, KERNEL + "kernel_drift", error_from=ErrorFrom.ESTIMATE),
    Quantity("kernel-gap", r"$\|\Theta^0-\Theta^\infty\|/\|\Theta^\infty\|$",
             WHOLE, KERNEL + "kernel_gap", error_from=ErrorFrom.MEASURING, trained=False),
)
OF_KERNELS = (
    Quantity("flow-gap-empirical", r"$\max\|f^t-f_{\mathrm{lin}}^t\|$",
             WHOLE, KERNEL + "empirical_flow", command=KERNELS),
    Quantity("flow-gap-empirical-held-out", r"$\max\|f^t-f_{\mathrm{lin}}^t\|$, held out",
             WHOLE, KERNEL + "empirical_flow", command=KERNELS),
    Quantity("align-zero-gap", r"$\max\|f_{\mathrm{al}\cdot 0}^t-f_{\mathrm{lin}}^t\|$",
             WHOLE, KERNEL + "linearised_flow", "(57)", command=KERNELS),
    Quantity("ntk-drift", r"$\sup_t\|\Theta^t-\Theta^0\|/\|\Theta^0\|$",
             WHOLE, KERNEL + "drift", command=KERNELS),
    Quantity("ntk-gap", r"$\|\Theta^0-\Theta^\infty\|/\|\Theta^\infty\|$",
             WHOLE, KERNEL + "limits", command=KERNELS, trained=False),
    Quantity("nngp-gap", r"$\|K^0-K^\infty\|/\|K^\infty\|$",
             WHOLE, KERNEL + "limits", command=KERNELS, trained=False),
    Quantity("gamma-gap", r"$\|\Gamma_l^0-\Gamma_l^\infty\|/\|\Gamma_l^\infty\|$",
             HIDDEN, KERNEL + "limits", "(6)", command=KERNELS, trained=False),
    Quantity("q-gap", r"$\sup_t\|q_l^t-q_l^{\infty,t}\|/\|q_l^{\infty,t}\|$",
             EVERY, KERNEL + "limits", "(7)", command=KERNELS),
    Quantity("spectrum-gap", r"spectrum of $\Sigma_l/m_{l-1}$, relative to its limit",
             EVERY, KERNEL + "limits", "(3), (7)", command=KERNELS),
    Quantity("flow-gap-analytic", r"$\max\|f^t-f_\infty^t\|$",
             WHOLE, KERNEL + "limits", command=KERNELS),
    Quantity("flow-gap-analytic-held-out", r"$\max\|f^t-f_\infty^t\|$, held out",
             WHOLE, KERNEL + "limits", command=KERNELS),
)
# fmt: on

EXPANSION = ("activation-drift-relative", "jacobian-drift-relative")
"""How far training moves a network, as a share of it: small in the lazy regime, where an expansion
about time 0 holds. Measured of gradient descent in every run."""

EXPANSION_OVER_TIME = "expansion"
"""The largest of them at each saved time; it comes with the last of them."""

LOSS = "loss"
"""½‖e‖² averaged over points, of gradient descent, at each saved time."""
AT_THE_KINK = "at-the-kink"
"""The share of hidden preactivations that are exactly 0 at time 0, where ReLU has its kink."""


STEPS = ("spectral-steps", "dense-steps")
"""What tables have of every flow: what it took by one engine or the other."""


def over_time(quantity: str) -> str:
    """How tables call what a quantity is at each saved time."""
    return f"{quantity}-over-time"


TOLERANCE = "-tolerance"
"""How names end that say how accurately the flows were solved which quantities were measured of."""


def tolerance_of(quantity: str) -> str:
    """How tables call the tolerance of the flows that a quantity was measured of.

    Args:
        quantity: its name.

    Returns:
        A name that it shares with all that are measured together with it.

    Raises:
        InputError: if it is not registered.
    """
    return companions(quantity)[0].name + TOLERANCE


_EVERY = (*OF_THE_THEORY, *OF_KERNELS, *OF_THE_PROOF)
_FIRST = {record.measure: record.name for record in reversed(_EVERY)}
TOLERANCES = frozenset(name + TOLERANCE for name in _FIRST.values())
"""Of all that the package measures; there where no tolerance was asked for."""

BOOKKEEPING = frozenset(
    {
        LOSS,
        EXPANSION_OVER_TIME,
        AT_THE_KINK,
        *STEPS,
        "panels",
        "estimated-error",
        *TOLERANCES,
    }
) | {over_time(record.name) for record in OF_THE_THEORY if record.over_time}
"""What tables have beside what is asked for: no quantity may be called so. What every flow took is
told of the first that numbers are from, one rung above the loosest."""

QUANTITIES: Registry[Quantity] = Registry("quantity", _EVERY, reserved=BOOKKEEPING)


def companions(name: str) -> tuple[Quantity, ...]:
    """The quantities that one measurement gives, this one among them, in the catalogue's order.

    Args:
        name: of a quantity.

    Returns:
        Records that name the same function; a user's are never mixed with the package's.

    Raises:
        InputError: if there is none of that name.
    """
    own = QUANTITIES.lookup(name)
    return tuple(
        other
        for other in QUANTITIES.values()
        if other.measure == own.measure
        and QUANTITIES.is_built_in(other) == QUANTITIES.is_built_in(own)
    )
