"""The learning rules of a recurrent network in plain NumPy: slow, and written like the equations.

Appendix E, with column vectors, for the steps k = 0 … K − 1 of a sequence:
z_k = w_i x_k + W_h h_{k−1}/√n + b_h, h_k = act(z_k), ŷ_k = w_o h_k/√n + b_o, with the readout
scaled as in the released code (equation (61) as printed is not). h_{−1} is trained: one row per
batch slot, not per sequence. loss = Σ_k mean over batch of ‖ŷ_k − y_k‖², so that
e_k = ∂loss/∂ŷ_k = 2 (ŷ_k − y_k)/B. Superscripts: 0 the frozen network ``start``, t the trained
network ``now``; the frozen network starts from the *current* h_{−1}.

The released code has row vectors and h W_h: its W_h is the transpose of ours. Nothing is derived
automatically or shared with the package. Parameters are a dict: w_i (n, d), W_h (n, n), b_h (n,),
w_o (C, n), b_o (C,), h_start (B, n); x is (B, K, d), y (B, K, C).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

ACT = {"relu": lambda z: np.maximum(z, 0.0), "tanh": np.tanh}
SLOPE = {"relu": lambda z: (z > 0).astype(z.dtype), "tanh": lambda z: 1 - np.tanh(z) ** 2}
RULES = (
    *("normal", "align-zero", "align-ada", "align-prop"),
    *("fa", "dfa", "dfa-shared", "last-layer", "w-star"),
)


@dataclass(frozen=True)
class Net:
    """What is not learned: the activation's name."""

    act: str = "relu"


def forward(params, x, net):
    """z (B, K, n); h (B, K + 1, n), h[:, 0] = h_{−1} and h[:, k + 1] = h_k; ŷ as f (B, K, C)."""
    batch, steps, _ = x.shape
    n, outputs = len(params["b_h"]), len(params["b_o"])
    kind = params["W_h"].dtype
    z, h = np.zeros((batch, steps, n), kind), np.zeros((batch, steps + 1, n), kind)
    f = np.zeros((batch, steps, outputs), kind)
    root = n**0.5
    h[:, 0] = params["h_start"]
    for k in range(steps):
        z[:, k] = x[:, k] @ params["w_i"].T + h[:, k] @ params["W_h"].T / root + params["b_h"]
        h[:, k + 1] = ACT[net.act](z[:, k])
        f[:, k] = h[:, k + 1] @ params["w_o"].T / root + params["b_o"]
    return SimpleNamespace(z=z, h=h, f=f)


def loss(params, x, y, net):
    """Sum over steps (and outputs) of the mean over the batch of (ŷ_k − y_k)²."""
    return ((forward(params, x, net).f - y) ** 2).mean(axis=0).sum()


def backward(e, w_h, w_o, z, net):
    """Backpropagation through time with the weights ``w_h`` and ``w_o`` and with act′ at ``z``.

    λ_k is the signal at h_k from outputs *later* than k; at h_k the output of step k comes on top:
    dz_k = act′(z_k) ⊙ (λ_k + w_oᵀ e_k/√n), λ_{k−1} = W_hᵀ dz_k/√n, λ_{K−1} = 0.

    Returns:
        dz (B, K, n), and λ (B, K + 1, n) with λ[:, 0] the signal at h_{−1} and λ[:, k + 1] = λ_k.
    """
    batch, steps, n = z.shape
    root = n**0.5
    dz, later = np.zeros_like(z), np.zeros((batch, steps + 1, n), z.dtype)
    for k in range(steps - 1, -1, -1):
        full = later[:, k + 1] + e[:, k] @ w_o / root
        dz[:, k] = SLOPE[net.act](z[:, k]) * full
        later[:, k] = dz[:, k] @ w_h / root
    return dz, later


def direct(e, maps, z, net):
    """DFA: dz_k = act′(z_k) ⊙ B_{k+1} e_k, the error of the same step only; B_0 e_0 at h_{−1}.

    Returns:
        dz (B, K, n), and the signal at h_{−1} (B, n).
    """
    dz = np.zeros_like(z)
    for k in range(z.shape[1]):
        dz[:, k] = SLOPE[net.act](z[:, k]) * (e[:, k] @ maps[k + 1].T)
    return dz, e[:, 0] @ maps[0].T


def signals(rule, variant, e, t, zero, now, start, fixed, net):
    """The rule's stand-ins for ∂loss/∂z_k (B, K, n) and for ∂loss/∂h_{−1} (B, n)."""
    if rule == "normal":  # (14): the current Jacobian
        dz, later = backward(e, now["W_h"], now["w_o"], t.z, net)
        return dz, later[:, 0]
    if rule in ("align-zero", "w-star"):  # (15), (13): the Jacobian at time 0
        dz, later = backward(e, start["W_h"], start["w_o"], zero.z, net)
        return dz, later[:, 0]
    if rule == "align-ada":  # (16), (58): the Jacobian at time 0
        dz, later = backward(e, start["W_h"], start["w_o"], zero.z, net)
        if variant == "published":  # current slope, and without the output of the same step
            dz = SLOPE[net.act](t.z) * later[:, 1:]
        return dz, later[:, 0]
    if rule == "align-prop":  # appendix G: weights of time 0, current slopes
        dz, later = backward(e, start["W_h"], start["w_o"], t.z, net)
        return dz, later[:, 0]
    if rule == "fa":  # fixed random weights, current slopes; w_i carries no error back
        dz, later = backward(e, fixed["W_h"], fixed["w_o"], t.z, net)
        return dz, later[:, 0]
    if rule == "dfa":  # one map per place: place 0 is h_{−1}, place k + 1 is step k
        return direct(e, fixed, t.z, net)
    if rule == "dfa-shared":  # one map for all places
        return direct(e, [fixed] * (t.z.shape[1] + 1), t.z, net)
    if rule == "last-layer":
        if variant == "written":
            return np.zeros_like(t.z), np.zeros_like(t.h[:, 0])
        # as published h_{−1} is trained all the same, by its exact gradient
        _, later = backward(e, now["W_h"], now["w_o"], t.z, net)
        return np.zeros_like(t.z), later[:, 0]
    raise ValueError(f"unknown rule {rule!r}")


def gradient(rule, variant, now, start, fixed, x, y, net, error=None):
    """The rule's stand-in for the gradient of the loss, summed over steps, appendix E.

    ``variant`` is 'written' (the equations) or 'published' (the released code): they differ for
    Align-ada and last-layer. ``error`` replaces e (B, K, C), as W*, equation (13), asks for.

    Returns:
        A dict with the keys of ``now``; descent subtracts it.
    """
    t = forward(now, x, net)
    zero = forward(start | {"h_start": now["h_start"]}, x, net)
    e = 2 * (t.f - y) / len(x) if error is None else error
    if variant not in ("written", "published") or (rule == "w-star" and error is None):
        raise ValueError(f"variant {variant!r}, rule {rule!r}: no such variant, or no error given")
    dz, d_start = signals(rule, variant, e, t, zero, now, start, fixed, net)
    h = zero.h if rule in ("align-zero", "w-star") else t.h  # (15), (13) against (14), (16)
    update = {key: np.zeros_like(value) for key, value in now.items()}
    root = len(now["b_h"]) ** 0.5
    for k in range(x.shape[1]):
        update["w_i"] += dz[:, k].T @ x[:, k]
        update["W_h"] += dz[:, k].T @ h[:, k] / root  # h[:, k] = h_{k−1}
        update["b_h"] += dz[:, k].sum(axis=0)
        update["w_o"] += e[:, k].T @ h[:, k + 1] / root  # h[:, k + 1] = h_k
        update["b_o"] += e[:, k].sum(axis=0)
    update["h_start"] = d_start
    return update
