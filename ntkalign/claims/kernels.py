"""What is claimed of gradient descent and its kernels; norms over data points are Frobenius norms.

A bottleneck's kernels stay random, those of the wide layers above and below it too, so they must
not be found to tend to the wide network's, nor to stand still: each claim is its own control there.
"""

from __future__ import annotations

from ntkalign.claims.claim import BOTTLENECK, Claim, Control, Kind, Place
from ntkalign.claims.theory import NOT_LINEAR

NORMAL, ALIGN_ZERO = ("normal",), ("align-zero",)
NECK = (Control(BOTTLENECK, NORMAL, Place.NECK),)

# fmt: off
KERNEL_CLAIMS = (
    Claim("kernels/ntk", "[Jacot et al. 2018]", "‖Θ^0 − Θ^∞‖/‖Θ^∞‖ is O(m^-1/2)",
          "ntk-gap", Kind.BOUND, -0.5, NORMAL, NECK,
          formula=r"$\lVert\Theta^0-\Theta^\infty\rVert/\lVert\Theta^\infty\rVert=O(m^{-1/2})$"),
    Claim("kernels/nngp", "[Lee et al. 2018]", "‖K^0 − K^∞‖/‖K^∞‖ is O(m^-1/2)",
          "nngp-gap", Kind.BOUND, -0.5, NORMAL, NECK,
          formula=r"$\lVert K^0-K^\infty\rVert/\lVert K^\infty\rVert=O(m^{-1/2})$"),
    Claim("kernels/gamma", "(6)", "‖Γ_l^0 − Γ_l^∞‖/‖Γ_l^∞‖ is O(m^-1/2)",
          "gamma-gap", Kind.BOUND, -0.5, NORMAL, NECK,
          formula=r"$\lVert\Gamma_l^0-\Gamma_l^\infty\rVert"
          r"/\lVert\Gamma_l^\infty\rVert=O(m^{-1/2})$"),
    Claim("kernels/q", "(7)", "sup_t ‖q_l^t − q_l^∞,t‖/‖q_l^∞,t‖ is O(m^-1/2)",
          "q-gap", Kind.BOUND, -0.5, NORMAL, NECK,
          formula=r"$\sup_t\lVert q_l^t-q_l^{\infty,t}\rVert/\lVert q_l^{\infty,t}\rVert"
          r"=O(m^{-1/2})$"),
    Claim("kernels/spectrum", "(3), (7)",
          "the spectrum of Σ_l/m_{l−1} tends to its limit as O(m^-1/2)",
          "spectrum-gap", Kind.BOUND, -0.5, NORMAL, NECK,
          formula=r"the spectrum of $\Sigma_l/m_{l-1}$ tends to its limit as $O(m^{-1/2})$"),
    Claim("kernels/drift", "Lemma 1", "sup_t ‖Θ^t − Θ^0‖/‖Θ^0‖ is O(m^-1/2)",
          "ntk-drift", Kind.BOUND, -0.5, NORMAL, NECK,
          formula=r"$\sup_t\lVert\Theta^t-\Theta^0\rVert/\lVert\Theta^0\rVert=O(m^{-1/2})$"),
    Claim("kernels/flow-empirical", "[Lee et al. 2019]",
          "max ‖f^t − f_lin^t‖ under Θ^0 is O(m^-1/2), training points",
          "flow-gap-empirical", Kind.BOUND, -0.5, NORMAL, NECK,
          formula=r"$\max\lVert f^t-f_{\mathrm{lin}}^t\rVert=O(m^{-1/2})$"
          r" under $\Theta^0$, at training points"),
    Claim("kernels/flow-empirical/held-out", "[Lee et al. 2019]", "the same on held-out points",
          "flow-gap-empirical-held-out", Kind.BOUND, -0.5, NORMAL, NECK,
          formula=r"$\max\lVert f^t-f_{\mathrm{lin}}^t\rVert=O(m^{-1/2})$"
          r" under $\Theta^0$, at held-out points"),
    Claim("kernels/flow-analytic", "[Lee et al. 2019]",
          "max ‖f^t − f_∞^t‖ under Θ^∞ is O(m^-1/2), training points",
          "flow-gap-analytic", Kind.BOUND, -0.5, NORMAL, NECK,
          formula=r"$\max\lVert f^t-f_\infty^t\rVert=O(m^{-1/2})$"
          r" under $\Theta^\infty$, at training points"),
    Claim("kernels/flow-analytic/held-out", "[Lee et al. 2019]", "the same on held-out points",
          "flow-gap-analytic-held-out", Kind.BOUND, -0.5, NORMAL, NECK,
          formula=r"$\max\lVert f^t-f_\infty^t\rVert=O(m^{-1/2})$"
          r" under $\Theta^\infty$, at held-out points"),
    Claim("kernels/align-zero", "(57)",
          "max ‖f_al·0^t − f_lin^t‖ under Θ^0 tends to 0, training points",
          "align-zero-gap", Kind.VANISHES, None, ALIGN_ZERO, (Control(BOTTLENECK, ALIGN_ZERO),),
          formula=r"$\max\lVert f_{\mathrm{al}\cdot 0}^t-f_{\mathrm{lin}}^t\rVert\to 0$"
          r" under $\Theta^0$, at training points",
          if_refuted=NOT_LINEAR),
)
# fmt: on
