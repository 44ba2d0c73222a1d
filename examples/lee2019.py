"""Lee et al. 2019, *Wide Neural Networks of Any Depth Evolve as Linear Models*, Theorem 2.1.

If all hidden widths are n, the smallest eigenvalue of the limiting kernel is positive, the step is
below a critical one (or training is gradient flow), σ and σ′ are Lipschitz and ‖x‖ ≤ 1, then with
probability close to 1 all of these are O(n^-1/2) as n grows, for all t ≥ 0 at once:

    ‖f^t(x) − f_lin^t(x)‖,    ‖θ^t − θ^0‖/√n,    ‖Θ^t − Θ^0‖_F,

where f_lin is the network linearised at θ^0 and trained by itself.

    ntkalign verify --plugin examples/lee2019.py --widths 64,256,1024 \
        --claims lee2019/outputs,lee2019/parameters,lee2019/kernel --out figures/lee2019

What differs here: t ≤ T; x is a training point, of norm √d; the loss is an average over points,
which only rescales t; θ are the weights, without biases; n is the smallest hidden width, so that
the control, in which it stays 4, shows that ‖θ^t − θ^0‖ alone does not tend to 0; ‖Θ^t − Θ^0‖ is
relative to ‖Θ^0‖, which has a limit.
"""

from __future__ import annotations

import math

import numpy as np

from ntkalign import Claim, Control, Kind, Layers, Quantity, register
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.series import ROUNDING, Series

NORMAL = ("normal",)
BOTTLENECK = Control("bottleneck", NORMAL)
OTHER_RULES = Control("main", ("<controls>",))


def parameters(seen: Observed) -> Series:
    """√Σ_l ‖W_l^t − W_l^0‖_F², over √n."""
    layers = [seen.flow.splits(layer) for layer in range(1, seen.network.depth + 1)]
    changes = [
        math.hypot(*(float(np.linalg.norm(s.frozen + s.discrepancy)) for s in splits))
        for splits in zip(*layers, strict=True)
    ]
    left_out = [math.hypot(*(s.residual for s in splits)) for splits in zip(*layers, strict=True)]
    values, bounds = np.array(changes), np.array(left_out)
    root = math.sqrt(min(seen.network.sizes[1:-1]))
    return {(None, "parameter-change"): (values / root, (bounds + ROUNDING * values) / root)}


register(
    Quantity(
        "parameter-change", r"$\|\theta^t-\theta^0\|/\sqrt{n}$", Layers.WHOLE, parameters
    ),
    Claim(
        "lee2019/outputs", "Thm 2.1", "max_x ‖f^t − f_lin^t‖ is O(m^-1/2)",
        "linearisation-gap", Kind.BOUND, -0.5, NORMAL, (OTHER_RULES, BOTTLENECK),
        symbol=r"$\max_x\|f^t-f_{\mathrm{lin}}^t\|$",
    ),
    Claim(
        "lee2019/parameters", "Thm 2.1", "‖θ^t − θ^0‖/√m is O(m^-1/2)",
        "parameter-change", Kind.BOUND, -0.5, NORMAL, (BOTTLENECK,),
    ),
    Claim(
        "lee2019/kernel", "Thm 2.1", "‖Θ^t − Θ^0‖/‖Θ^0‖ is O(m^-1/2)",
        "kernel-drift", Kind.BOUND, -0.5, NORMAL, (BOTTLENECK,),
    ),
)  # fmt: skip
