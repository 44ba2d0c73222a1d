"""Dyer & Gur-Ari 2020, *Asymptotics of Wide Networks from Feynman Diagrams*: the NTK moves by 1/n.

By counting powers of the width n in averages over initial weights, under gradient flow

    Θ^t(x, x′) − Θ^0(x, x′) = O(1/n)   for each pair of points, and   f^t − f_lin^t = O(1/n):

the kernel's change, and the leading correction to the linearised network (their Section 3), are
smaller than the n^-1/2 that was known. It is proved for deep linear networks and for one hidden
layer, and rests on a conjecture about powers of n for other networks. So with one hidden layer:

    ntkalign verify --plugin examples/dyer2020.py --depth 2 --widths 64,256,1024 \
        --claims dyer2020/kernel,dyer2020/pairs,dyer2020/outputs --out figures/dyer2020

and without ``--depth 2`` for the conjecture. What differs here: they bound averages over networks,
of the kernel's change, of its square, and so on; a claim here is about the typical network, of
which such bounds speak by Markov's inequality. The loss is an average over points.
"""

from __future__ import annotations

import numpy as np

from ntkalign import Claim, Control, Kind, Layers, Quantity, register
from ntkalign.kernels.empirical import Factors, at_once
from ntkalign.quantities.observed import Observed
from ntkalign.quantities.quantity import ErrorFrom
from ntkalign.quantities.series import ROUNDING, Series

NORMAL = ("normal",)
BOTTLENECK = Control("bottleneck", NORMAL)
OTHER_RULES = Control("main", ("<controls>",))


def pairs(seen: Observed) -> Series:
    """The largest |Θ^t(x, x′) − Θ^0(x, x′)| over pairs of points and of outputs."""
    start, now = seen.initial_kernels.ntk, seen.over_time()
    values = []
    for i in range(len(seen.flow.times)):
        feedback = tuple(g[i].reshape(-1, g.shape[-1]) for g in now.jacobian)
        theta = at_once(seen.network, Factors(tuple(h[i] for h in now.activities), feedback)).ntk
        values.append(float(np.abs(theta - start).max()))
    return {(None, "pair-drift"): (np.array(values), np.full(len(values), 100 * ROUNDING))}


register(
    Quantity(
        "pair-drift", r"$\max_{x,x'}|\Theta^t-\Theta^0|$", Layers.WHOLE, pairs,
        error_from=ErrorFrom.ESTIMATE,
    ),
    Claim(
        "dyer2020/kernel", "Sec. 3", "‖Θ^t − Θ^0‖/‖Θ^0‖ is O(m^-1)",
        "kernel-drift", Kind.BOUND, -1.0, NORMAL, (BOTTLENECK,),
    ),
    Claim(
        "dyer2020/pairs", "Sec. 3", "max |Θ^t(x, x′) − Θ^0(x, x′)| is O(m^-1)",
        "pair-drift", Kind.BOUND, -1.0, NORMAL, (BOTTLENECK,),
    ),
    Claim(
        "dyer2020/outputs", "Sec. 3.1", "max_x ‖f^t − f_lin^t‖ is O(m^-1)",
        "linearisation-gap", Kind.BOUND, -1.0, NORMAL, (OTHER_RULES, BOTTLENECK),
        symbol=r"$\max_x\|f^t-f_{\mathrm{lin}}^t\|$",
    ),
)  # fmt: skip
