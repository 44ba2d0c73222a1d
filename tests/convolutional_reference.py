"""The learning rules of a convolutional network in plain NumPy, written like the equations.

u_l = factor · conv(h_{l−1}; W_l) + b_l, z_l = BN(u_l), h_l = act(z_l), l = 1 … L, with h_0 = x,
p = mean of h_L over space, f = factor · W_{L+1} p + b_{L+1}; loss = mean over batch *and* classes
of (f − y)², so e = ∂loss/∂f = 2 (f − y)/(B K). In the neural tangent parameterisation, equation
(1), the factor is 1/√(fan-in): 1/√(9 c_in) of a convolution, 1/√c of the dense layer; in the
standard one, equation (63), it is 1. In names: 0 the frozen ``start``, t the trained ``now``.

Nothing is derived automatically or shared with the package; a convolution is a loop over places.
Parameters are lists of (W, b), kernels (3, 3, c_in, c_out), images (B, height, width, channels).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

EPSILON = 1e-6  # of batch norm, inside the root
ACT = {"relu": lambda z: np.maximum(z, 0.0), "tanh": np.tanh}
SLOPE = {"relu": lambda z: (z > 0).astype(float), "tanh": lambda z: 1 - np.tanh(z) ** 2}
RULES = (
    *("normal", "align-zero", "align-ada", "align-prop"),
    *("fa", "dfa", "dfa-shared", "last-layer", "w-star"),
)


@dataclass(frozen=True)
class Net:
    """What is not learned: one stride per convolution, and the names used below.

    ``norm`` is 'position' (moments over the batch only, for every row, column and channel),
    'channel' (over batch and space) or 'none'.
    """

    strides: tuple[int, ...]
    norm: str = "position"
    act: str = "relu"
    parameterisation: str = "ntk"


def factor(w, net):
    """1/√(fan-in), equation (1), or 1, equation (63), of a (3, 3, c_in, c_out) or a (K, c)."""
    fan_in = 9 * w.shape[2] if w.ndim == 4 else w.shape[1]
    return 1 / np.sqrt(fan_in) if net.parameterisation == "ntk" else 1.0


# --- A convolution: one sum per output place ---


def pad_same(h, stride):
    """TensorFlow's SAME: ⌈n/s⌉ outputs; the smaller half of the padding they need comes first.

    Returns:
        The padded h, the rows and columns of the output, and the padding above and on the left.
    """

    def along(n):
        out = -(-n // stride)
        total = max((out - 1) * stride + 3 - n, 0)
        return out, (total // 2, total - total // 2)

    (rows, above), (columns, left) = along(h.shape[1]), along(h.shape[2])
    return np.pad(h, ((0, 0), above, left, (0, 0))), rows, columns, above[0], left[0]


def conv(h, w, stride):
    """out(i, j) = Σ over the 3 × 3 patch whose corner is (i s, j s) of the padded h. No factor."""
    padded, rows, columns, _, _ = pad_same(h, stride)
    out = np.zeros((len(h), rows, columns, w.shape[3]))
    for i in range(rows):
        for j in range(columns):
            patch = padded[:, i * stride : i * stride + 3, j * stride : j * stride + 3, :]
            out[:, i, j, :] = np.tensordot(patch, w, axes=([1, 2, 3], [0, 1, 2]))
    return out


def conv_transposed(g, w, stride, shape):
    """The transpose of ``conv`` in h: every output place sends its signal back to its patch."""
    padded, rows, columns, above, left = pad_same(np.zeros(shape), stride)
    for i in range(rows):
        for j in range(columns):
            padded[:, i * stride : i * stride + 3, j * stride : j * stride + 3, :] += np.tensordot(
                g[:, i, j, :], w, axes=([1], [3])
            )
    return padded[:, above : above + shape[1], left : left + shape[2], :]


def conv_kernel_gradient(h, g, stride):
    """The transpose of ``conv`` in w: the sum over places and batch, as the weight is shared."""
    padded, rows, columns, _, _ = pad_same(h, stride)
    dw = np.zeros((3, 3, h.shape[3], g.shape[3]))
    for i in range(rows):
        for j in range(columns):
            patch = padded[:, i * stride : i * stride + 3, j * stride : j * stride + 3, :]
            dw += np.tensordot(patch, g[:, i, j, :], axes=([0], [0]))
    return dw


# --- Batch norm: the batch's own statistics, no affine map ---


def batch_norm(u, net):
    """z = (u − mean)/√(variance + ε), with the biased variance."""
    if net.norm == "none":
        return u
    over = {"position": (0,), "channel": (0, 1, 2)}[net.norm]
    return (u - u.mean(over, keepdims=True)) / np.sqrt(u.var(over, keepdims=True) + EPSILON)


def batch_norm_transposed(u, g, net):
    """J_BN(u)ᵀ g = (1/s) [g − mean g − z mean(g z)], the statistics differentiated too."""
    if net.norm == "none":
        return g
    over = {"position": (0,), "channel": (0, 1, 2)}[net.norm]
    s, z = np.sqrt(u.var(over, keepdims=True) + EPSILON), batch_norm(u, net)
    return (g - g.mean(over, keepdims=True) - z * (g * z).mean(over, keepdims=True)) / s


# --- The network ---


def forward(params, x, net):
    """All of u_l, z_l, h_l (lists; item 0 of u and z is None, h[0] = x), p and f."""
    u, z, h = [None], [None], [np.asarray(x, float)]
    for (w, b), stride in zip(params[:-1], net.strides, strict=True):
        u.append(factor(w, net) * conv(h[-1], w, stride) + b)
        z.append(batch_norm(u[-1], net))
        h.append(ACT[net.act](z[-1]))
    w, b = params[-1]
    p = h[-1].mean(axis=(1, 2))
    return SimpleNamespace(u=u, z=z, h=h, p=p, f=factor(w, net) * p @ w.T + b)


def loss(params, x, y, net):
    """Mean over batch and classes of (f − y)²."""
    return np.mean((forward(params, x, net).f - y) ** 2)


# --- The rules ---


def backward(e, weights, slopes, net):
    """Backpropagation of e through ``weights``, act′ and J_BN of the forward pass ``slopes``.

    Returns:
        The signals at h_l, at z_l (after batch norm) and at u_l (before it); item 0 is None.
    """
    depth = len(net.strides)
    dh, dz, du = [None] * (depth + 1), [None] * (depth + 1), [None] * (depth + 1)
    dp, places = factor(weights[depth], net) * e @ weights[depth], slopes.h[depth][0, :, :, 0].size
    dh[depth] = (
        np.zeros_like(slopes.h[depth]) + dp[:, None, None, :] / places
    )  # the same everywhere
    for l in range(depth, 0, -1):
        dz[l] = SLOPE[net.act](slopes.z[l]) * dh[l]
        du[l] = batch_norm_transposed(slopes.u[l], dz[l], net)
        if l > 1:
            w, shape = weights[l - 1], slopes.h[l - 1].shape  # W_l
            dh[l - 1] = factor(w, net) * conv_transposed(du[l], w, net.strides[l - 1], shape)
    return dh, dz, du


def signals(rule, variant, e, t, zero, now, start, fixed, net):
    """The rule's stand-in for ∂loss/∂u_l, l = 1 … L (item 0 is None)."""
    depth = len(net.strides)
    if rule == "normal":  # (14): the current Jacobian
        return backward(e, [w for w, _ in now], t, net)[2]
    if rule in ("align-zero", "w-star"):  # (15), (13): the Jacobian at time 0
        return backward(e, [w for w, _ in start], zero, net)[2]
    if rule == "align-ada":  # (16): the Jacobian at time 0
        dh, dz, du = backward(e, [w for w, _ in start], zero, net)
        if variant == "written":
            return du
        # As published the frozen path ends after batch norm, at z_l; batch norm is the current one,
        # and so is the slope of the last convolution's activation.
        dz[depth] = SLOPE[net.act](t.z[depth]) * dh[depth]
        return [None] + [batch_norm_transposed(t.u[l], dz[l], net) for l in range(1, depth + 1)]
    if rule == "align-prop":  # appendix G: weights of time 0, current slopes
        return backward(e, [w for w, _ in start], t, net)[2]
    if rule == "fa":  # fixed random weights, current slopes
        return backward(e, fixed, t, net)[2]
    if rule == "last-layer":
        return [None] + [np.zeros_like(t.u[l]) for l in range(1, depth + 1)]
    if rule in ("dfa", "dfa-shared"):  # dh_l = B_l e at every place
        du = [None]
        for l in range(1, depth + 1):
            _, rows, columns, _ = t.h[l].shape
            dh = np.zeros_like(t.h[l])
            for i in range(rows):
                for j in range(columns):
                    b = fixed[l - 1] if rule == "dfa-shared" else fixed[l - 1][i, j]  # (c_l, K)
                    dh[:, i, j, :] = e @ b.T
            du.append(batch_norm_transposed(t.u[l], SLOPE[net.act](t.z[l]) * dh, net))
        return du
    raise ValueError(f"unknown rule {rule!r}")


def gradient(rule, variant, now, start, fixed, x, y, net, error=None):
    """The rule's stand-in for the gradient of the loss.

    ``variant`` is 'written' (the equations) or 'published' (the released code): they differ for
    Align-ada only. ``error`` replaces e, as W*, equation (13), asks for.

    Returns:
        [(dW_1, db_1), …, (dW_{L+1}, db_{L+1})]; descent subtracts it.
    """
    t, zero = forward(now, x, net), forward(start, x, net)
    e = 2 * (t.f - y) / t.f.size if error is None else error
    if variant not in ("written", "published") or (rule == "w-star" and error is None):
        raise ValueError(f"variant {variant!r}, rule {rule!r}: no such variant, or no error given")
    du = signals(rule, variant, e, t, zero, now, start, fixed, net)
    activity = zero if rule in ("align-zero", "w-star") else t  # (15), (13) against (14), (16)
    updates = []
    for l, ((w, _), stride) in enumerate(zip(now[:-1], net.strides, strict=True), start=1):
        dw = factor(w, net) * conv_kernel_gradient(activity.h[l - 1], du[l], stride)
        updates.append((dw, du[l].sum(axis=(0, 1, 2))))
    updates.append((factor(now[-1][0], net) * e.T @ activity.p, e.sum(axis=0)))
    return updates
