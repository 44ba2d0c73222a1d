"""The smallest eigenvalue of the neural tangent kernel: how far training moves it.

    ntkalign verify --plugin examples/ntk_spectrum.py --claims ntk-smallest-eigenvalue

The slowest direction learns at the rate of this eigenvalue, and proofs of convergence rest on its
staying away from 0. By Weyl it moves by no more than ‖Θ^t − Θ^0‖, which is O(m^-1/2) if Jacobians
move by O(m^-1/2), (21): so much is *stated* here, and the run will say whether it holds, and
whether it is sharp. In networks with a bottleneck of fixed width it must not.
"""

import numpy as np

from ntkalign import Claim, Control, Kind, Layers, Quantity, register
from ntkalign.quantities.kernels import kernels_over_time
from ntkalign.quantities.series import ROUNDING


def smallest_eigenvalue(seen):
    """|λ_min(Θ^t) − λ_min(Θ^0)|/λ_min(Θ^0) at the saved times."""
    thetas = [seen.initial_kernels.ntk, *kernels_over_time(seen)]
    size = thetas[0].shape[0] * thetas[0].shape[-1]
    spectra = np.linalg.eigvalsh([k.swapaxes(1, 2).reshape(size, size) for k in thetas])
    first, *later = spectra[:, 0]
    bound = 2 * ROUNDING * spectra.max() / first
    return {(None, "ntk-eigenvalue"): (np.abs(later - first) / first, np.full(len(later), bound))}


SYMBOL = r"$|\lambda_{\min}(\Theta^t)-\lambda_{\min}(\Theta^0)|/\lambda_{\min}(\Theta^0)$"
QUANTITY = Quantity("ntk-eigenvalue", SYMBOL, Layers.WHOLE, smallest_eigenvalue)
CLAIM = Claim(
    "ntk-smallest-eigenvalue", "(21), Weyl", "|λ_min(Θ^t) − λ_min(Θ^0)|/λ_min(Θ^0) = O(m^-1/2)",
    "ntk-eigenvalue", Kind.BOUND, -0.5, controls=(Control("bottleneck", ("normal",)),),
)  # fmt: skip
register(QUANTITY, CLAIM)
