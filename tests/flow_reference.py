"""Continuous gradient flow of recurrent and convolutional networks in plain NumPy, all in full.

The loss is ½‖y − f‖², summed over outputs (and steps), averaged over the P points; e = y − f, the
rate is 1, and weights and biases follow dθ/dt = (1/P) Σ_x (∂u/∂θ)ᵀ signal(x), the rule's signal
being linear in e: section 2 of the theory. Superscripts: 0 the frozen ``start``, t the trained
``now``. δ = ∫ e dτ, equation (5). Every Jacobian, kernel and matrix is formed as it is defined.

Passes and rules are those of ``recurrent_reference`` and ``convolutional_reference``, which take
any error in place of their own; nothing is derived automatically or shared with the package.

Layouts. Recurrent: dict of w_i (n, d), W_h (n, n), b_h (n,), w_o (C, n), b_o (C,); x (P, K, d), y
and f (P, K, C); h_{−1} is 0 and not trained. Convolutional: list of (W, b), kernels (3, 3, c_in,
c_out), last the dense (C, c); x (P, rows, columns, channels), y and f (P, C). Parameters as one
vector: in the order just given, each array row by row. Outputs as one axis: step, then output.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import numpy as np
from scipy.integrate import solve_ivp

from tests import convolutional_reference as convolutional
from tests import recurrent_reference as recurrent

RULES = (
    *("normal", "align-zero", "align-ada", "align-prop", "w-star"),
    *("last-layer", "fa", "dfa", "linearised"),
)


def as_matrix(w):
    """Units × fan-in: of a kernel, output channels × (row tap, column tap, input channel)."""
    return w.reshape(-1, w.shape[3]).T if w.ndim == 4 else w


def as_kernel(matrix):
    """The kernel (3, 3, c_in, c_out) of which ``matrix`` is the matrix."""
    return matrix.reshape(len(matrix), 3, 3, -1).transpose(1, 2, 3, 0)


def as_operator(kernel, shape, stride):
    """The convolution as a matrix: column j is the image that the j-th unit image becomes.

    ``shape`` is (rows, columns, channels) of the images; no factor 1/√(9 c_in), no bias.
    """
    units = np.eye(np.prod(shape)).reshape(-1, *shape)
    return convolutional.conv(units, kernel, stride).reshape(len(units), -1).T


# --- The two networks: what the rest of this file asks of them ---


@dataclass(frozen=True)
class Rnn:
    """z_k = w_i x_k + W_h h_{k−1}/√n + b_h, h_k = act(z_k), ŷ_k = w_o h_k/√n + b_o, h_{−1} = 0.

    ``readout_scale`` 'none' is equation (61) as printed: ŷ_k = w_o h_k + b_o.
    """

    act: str = "tanh"
    readout_scale: str = "ntk"

    def arrays(self, params):
        return [params[key] for key in ("w_i", "W_h", "b_h", "w_o", "b_o")]

    def pack(self, arrays):
        return dict(zip(("w_i", "W_h", "b_h", "w_o", "b_o"), arrays, strict=True))

    def weights(self, params):
        return [params["w_i"], params["W_h"], params["w_o"]]

    def scales(self, params):
        """The factor before each weight."""
        root = len(params["b_h"]) ** 0.5
        return [1.0, 1 / root, 1 / root if self.readout_scale == "ntk" else 1.0]

    def plain(self, params, points):
        """Parameters for ``recurrent_reference``, which always divides the readout by √n."""
        n = params["w_o"].shape[1]
        w_o = params["w_o"] * (1.0 if self.readout_scale == "ntk" else n**0.5)
        return params | {"w_o": w_o, "h_start": np.zeros((points, n))}

    def forward(self, params, x):
        return recurrent.forward(self.plain(params, len(x)), x, self)

    def pull(self, rule, now, start, x, e, fixed):
        """Σ_x (∂u/∂θ)ᵀ signal(x) for the error e: the rule's (∂f/∂θ)ᵀ e, summed over points.

        ``fixed`` is, for 'fa', a dict of W_h and w_o like the weights; for 'dfa', K + 1 maps
        (n, C) of which the one at k + 1 takes e_k to h_k.
        """
        now, start = self.plain(now, len(x)), self.plain(start, len(x))
        if rule == "fa":
            fixed = {k: v for k, v in self.plain(fixed, len(x)).items() if k != "h_start"}
        moves = recurrent.gradient(rule, "written", now, start, fixed, x, None, self, error=e)
        if self.readout_scale == "none":
            moves["w_o"] *= len(now["b_h"]) ** 0.5  # the weight is w_o, not √n w_o
        return moves

    def star(self, start, x, delta):
        """W* − W⁰ of w_i, W_h and w_o by (13), summed over steps."""
        zero, plain = self.forward(start, x), self.plain(start, len(x))
        dz, _ = recurrent.backward(delta, plain["W_h"], plain["w_o"], zero.z, self)
        stars = []
        pairs = ((dz, x), (dz, zero.h[:, :-1]), (delta, zero.h[:, 1:]))  # h[:, k] is h_{k−1}
        for (signal, activity), scale in zip(pairs, self.scales(start), strict=True):
            total = np.zeros((signal.shape[2], activity.shape[2]))
            for point in range(len(x)):
                for k in range(x.shape[1]):
                    total += np.outer(signal[point, k], activity[point, k])
            stars.append(scale * total / len(x))
        return stars

    def maps(self, changes, x):
        """The linear maps that the score S compares: the matrices as they are."""
        return changes

    def activation_drift(self, now, start, x):
        """(19): max over steps of √ mean over points of ‖z_k^t − z_k^0‖²/n, an array of one."""
        moved = self.forward(now, x).z - self.forward(start, x).z  # (P, K, n)
        return np.sqrt((moved**2).mean(axis=2).mean(axis=0).max(keepdims=True))


@dataclass(frozen=True)
class Cnn:
    """u_l = conv(h_{l−1}; W_l)/√(9 c_in) + b_l, h_l = act(u_l), f = W p/√c + b, p = mean of h_L.

    One of ``strides`` per convolution. With a ``norm`` other than 'none' (batch norm, outside the
    theory) the data are one batch, and what is said of a point below includes all others.
    """

    strides: tuple[int, ...]
    act: str = "tanh"
    norm: str = "none"
    parameterisation: str = "ntk"

    def arrays(self, params):
        return [array for layer in params for array in layer]

    def pack(self, arrays):
        return list(zip(arrays[::2], arrays[1::2], strict=True))

    def weights(self, params):
        return [w for w, _ in params]

    def scales(self, params):
        """The factor before each weight."""
        return [convolutional.factor(w, self) for w, _ in params]

    def forward(self, params, x):
        return convolutional.forward(params, x, self)

    def pull(self, rule, now, start, x, e, fixed):
        """Σ_x (∂u/∂θ)ᵀ signal(x) for the error e: the rule's (∂f/∂θ)ᵀ e, summed over points.

        ``fixed`` is, for 'fa', a list like the weights; for 'dfa', one array (rows, columns,
        channels, C) per convolution, which takes e to h_l.
        """
        return convolutional.gradient(rule, "written", now, start, fixed, x, None, self, error=e)

    def star(self, start, x, delta):
        """W* − W⁰ of each convolution, then of the dense layer, by (13), summed over places."""
        zero, scales, stars = self.forward(start, x), self.scales(start), []
        _, _, du = convolutional.backward(delta, self.weights(start), zero, self)
        for l, stride in enumerate(self.strides, start=1):
            padded, rows, columns, _, _ = convolutional.pad_same(zero.h[l - 1], stride)
            total = np.zeros((du[l].shape[3], 9 * padded.shape[3]))
            for i in range(rows):
                for j in range(columns):
                    patch = padded[:, i * stride : i * stride + 3, j * stride : j * stride + 3]
                    total += du[l][:, i, j].T @ patch.reshape(len(x), -1)
            stars.append(as_kernel(scales[l - 1] * total / len(x)))
        return [*stars, scales[-1] * delta.T @ zero.p / len(x)]

    def maps(self, changes, x):
        """The linear maps that the score S compares: of a convolution, the operator on images."""
        shape, maps = x.shape[1:], []
        for kernel, stride in zip(changes[:-1], self.strides, strict=True):
            maps.append(as_operator(kernel, shape, stride))
            shape = (-(-shape[0] // stride), -(-shape[1] // stride), kernel.shape[3])
        return [*maps, changes[-1]]

    def activation_drift(self, now, start, x):
        """(19) per convolution: √ mean over points of ‖u_l^t − u_l^0‖²/(channels and places)."""
        pairs = zip(self.forward(now, x).u[1:], self.forward(start, x).u[1:], strict=True)
        return np.sqrt([((a - b) ** 2).mean() for a, b in pairs])


# --- Parameters as a vector, Jacobians and kernels ---


def flatten(net, params):
    """All parameters as one vector."""
    return np.concatenate([np.ravel(array) for array in net.arrays(params)])


def unflatten(net, vector, like):
    """The inverse of ``flatten``; ``like`` gives the shapes."""
    shapes = [array.shape for array in net.arrays(like)]
    parts = np.split(vector, np.cumsum([np.prod(shape, dtype=int) for shape in shapes])[:-1])
    return net.pack([part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)])


def descent(net, rule, now, start, x, e, fixed=None):
    """P dθ/dt as a vector, for any error e; linear in e.

    W* and the linearised network have the feedback and the activity of Align-zero; they differ
    from it in the error and in the output.
    """
    rule = "align-zero" if rule in ("w-star", "linearised") else rule
    return flatten(net, net.pull(rule, now, start, x, e, fixed))


def rule_jacobian(net, rule, now, start, x, fixed=None):
    """∂f/∂θ with the rule's feedback and activity in place of the true ones, as in (22).

    Returns:
        (P, outputs, parameters): one unit error, at one output of one point, at a time.
    """
    shape = net.forward(now, x).f.shape
    rows = []
    for place in range(np.prod(shape)):
        unit = np.zeros(shape)
        unit.flat[place] = 1.0
        rows.append(descent(net, rule, now, start, x, unit, fixed))
    return np.reshape(rows, (len(x), -1, len(rows[0])))


def jacobian(net, params, x):
    """∂f(x)/∂θ for all parameters, (P, outputs, parameters)."""
    return rule_jacobian(net, "normal", params, params, x)


def ntk(net, params, x):
    """The neural tangent kernel J Jᵀ, (P, P, outputs, outputs)."""
    j = jacobian(net, params, x)
    return np.einsum("acn,bdn->abcd", j, j)


def jacobian_drift(net, now, start, x, rule="normal", fixed=None):
    """Maximum over points of ‖J^t(x) − ∂f⁰/∂θ(x)‖_op: (21) for 'normal', (22) for each rule's J."""
    moved = rule_jacobian(net, rule, now, start, x, fixed) - jacobian(net, start, x)
    return max(np.linalg.norm(matrix, 2) for matrix in moved)


# --- The flow ---


def runge_kutta(rates, state, span, steps):
    """The classical fourth-order method with ``steps`` equal steps; rates(state) has no time."""
    h = span / steps
    for _ in range(steps):
        a = rates(state)
        b = rates(state + h / 2 * a)
        c = rates(state + h / 2 * b)
        d = rates(state + h * c)
        state = state + h / 6 * (a + 2 * b + 2 * c + d)
    return state


def adaptive(rates, state, span, tolerance=1e-11):
    """DOP853, for smooth activations."""
    found = solve_ivp(
        lambda _, s: rates(s), (0.0, span), state, method="DOP853", rtol=tolerance, atol=tolerance
    )
    assert found.success, found.message
    return found.y[:, -1]


def flow(net, rule, start, x, y, times, fixed=None, steps=None):
    """Gradient flow by the rule from time 0 on, saved at the rising ``times``.

    ``steps`` is the number of Runge-Kutta steps from each saved time to the next; None: DOP853.
    Of W* the error, and so δ, is that of a Normal network trained alongside (``teacher``), and f
    the output of the W* network. Of a linearised network f is f⁰ + J⁰ (θ − θ⁰).

    Returns:
        times (T,), params and teacher (lists of T parameter structures; teacher is None but for
        W*), f and delta (T, P, …).
    """
    theta0 = flatten(net, start)
    size, points = len(theta0), len(x)
    f0 = net.forward(start, x).f
    j0 = jacobian(net, start, x) if rule == "linearised" else None

    def output(theta):
        if rule == "linearised":
            return f0 + (j0 @ (theta - theta0)).reshape(f0.shape)
        return net.forward(unflatten(net, theta, start), x).f

    def rates(state):
        theta, _, teacher = np.split(state, [size, size + f0.size])
        e = y - output(teacher if rule == "w-star" else theta)
        now = unflatten(net, theta, start)
        parts = [descent(net, rule, now, start, x, e, fixed) / points, e.ravel()]
        if rule == "w-star":
            guide = unflatten(net, teacher, start)
            parts.append(descent(net, "normal", guide, start, x, e) / points)
        return np.concatenate(parts)

    state = np.concatenate([theta0, np.zeros(f0.size), theta0[: size * (rule == "w-star")]])
    advance = partial(runge_kutta, steps=steps) if steps else adaptive
    reached, states = 0.0, []
    for time in times:
        if time > reached:
            state = advance(rates, state, time - reached)
        reached = time
        states.append(state)
    thetas, deltas, teachers = zip(
        *(np.split(state, [size, size + f0.size]) for state in states), strict=True
    )
    return SimpleNamespace(
        times=np.array(times, float),
        params=[unflatten(net, theta, start) for theta in thetas],
        f=np.array([output(theta) for theta in thetas]),
        delta=np.array([delta.reshape(f0.shape) for delta in deltas]),
        teacher=[unflatten(net, t, start) for t in teachers] if rule == "w-star" else None,
    )


# --- The quantities of the theory ---


def star(net, start, x, delta):
    """W*_l − W⁰_l by (13) for every weight: (1/P) scale Σ_x Σ_places frozen feedback δ activityᵀ.

    Returns:
        A list of arrays with the weights' own layouts; ``as_matrix`` makes them units × fan-in.
    """
    return net.star(start, x, delta)


def misalignment(a, b):
    """1 − S, (9): S is the cosine of aᵀa and bᵀb; not a number where one of the two is 0."""
    left, right = a.T @ a, b.T @ b
    norms = np.linalg.norm(left) * np.linalg.norm(right)
    return 1 - np.sum(left * right) / norms if norms > 0 else np.nan


def quantities_at(net, start, now, x, delta):
    """Per weight (recurrent: w_i, W_h, w_o; convolutional: each convolution, then dense).

    δ is that of the flow that W* belongs to: (13) asks for the Normal network's, and Align-zero's
    own gives Align-zero's weights back.

    Returns:
        A dict of arrays, one entry per weight; activation_drift has one for a recurrent network,
        one per convolution for a convolutional one.
    """
    changes = [w - w0 for w, w0 in zip(net.weights(now), net.weights(start), strict=True)]
    stars = star(net, start, x, delta)
    found = defaultdict(list)
    for change, ideal, scale in zip(changes, stars, net.scales(start), strict=True):
        a, b = as_matrix(change), as_matrix(ideal)
        found["weight_drift"].append(scale * np.linalg.norm(a, 2))  # (20)
        found["discrepancy"].append(np.linalg.norm(a - b, 2))  # (39), (42)
        found["alignment_gap"].append(scale * np.linalg.norm(a.T @ a - b.T @ b, 2))  # (8), (12)
        found["delta_norm"].append(scale * np.linalg.norm(a.T @ a, 2))  # (2)
        found["sigma_norm"].append(scale * np.linalg.norm(b.T @ b, 2))  # (3) by (12)
    for a, b in zip(net.maps(changes, x), net.maps(stars, x), strict=True):
        found["misalignment"].append(misalignment(a, b))
    found["activation_drift"] = net.activation_drift(now, start, x)
    return {name: np.array(values) for name, values in found.items()}


def quantities(net, start, x, run, delta=None):
    """``quantities_at`` each saved time of a flow, (T, weights); δ is its own if not given."""
    delta = run.delta if delta is None else delta
    rows = [quantities_at(net, start, p, x, d) for p, d in zip(run.params, delta, strict=True)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def divergence(f, f_rule):
    """(17): at each time, max over points (and steps) of ‖f^t − f_rule^t‖ over outputs, (T,)."""
    apart = np.linalg.norm(np.asarray(f) - f_rule, axis=-1)
    return apart.reshape(len(apart), -1).max(axis=1)
