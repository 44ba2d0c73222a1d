"""The reference flow against its own definitions: differences, formulas by hand, ties."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from tests import flow_reference as reference
from tests.flow_reference import Cnn, Rnn

NETS = {
    "rnn": Rnn(),
    "rnn, (61)": Rnn(readout_scale="none"),
    "cnn": Cnn((2, 1)),
}
both = pytest.mark.parametrize("name", NETS)


@cache
def setting(name):
    """A network, data, initial and later parameters and what FA and DFA hold fixed."""
    net, rng = NETS[name], np.random.default_rng(7)
    if name == "cnn":
        shapes = [(3, 3, 2, 3), (3,), (3, 3, 3, 2), (2,), (2, 2), (2,)]
        x, y = rng.standard_normal((3, 4, 3, 2)), rng.standard_normal((3, 2))
        maps = [rng.standard_normal(shape) for shape in ((2, 2, 3, 2), (2, 2, 2, 2))]
    else:
        shapes = [(4, 2), (4, 4), (4,), (2, 4), (2,)]
        x, y = rng.standard_normal((3, 3, 2)), rng.standard_normal((3, 3, 2))
        maps = [rng.standard_normal((4, 2)) for _ in range(4)]
    start = net.pack([rng.standard_normal(shape) for shape in shapes])
    now = net.pack([a + 0.5 * rng.standard_normal(a.shape) for a in net.arrays(start)])
    other = net.pack([rng.standard_normal(shape) for shape in shapes])
    back = net.weights(other) if name == "cnn" else {key: other[key] for key in ("W_h", "w_o")}
    return SimpleNamespace(net=net, x=x, y=y, start=start, now=now, fixed={"fa": back, "dfa": maps})


@cache
def run(name, rule, steps=20):
    s = setting(name)
    return reference.flow(
        s.net, rule, s.start, s.x, s.y, (0.0, 0.5, 1.0), s.fixed.get(rule), steps=steps
    )


def differences(function, theta, h=1e-5):
    """Central differences of an array-valued function, the parameter last."""
    units = h * np.eye(len(theta))
    return np.stack([(function(theta + u) - function(theta - u)) / (2 * h) for u in units], axis=-1)


@both
def test_the_jacobian_and_the_normal_velocity_are_central_differences(name):
    s = setting(name)
    theta = reference.flatten(s.net, s.now)

    def output(vector):
        return s.net.forward(reference.unflatten(s.net, vector, s.now), s.x).f

    by_differences = differences(output, theta).reshape(len(s.x), -1, len(theta))
    np.testing.assert_allclose(reference.jacobian(s.net, s.now, s.x), by_differences, atol=1e-8)

    def loss(vector):
        return 0.5 * ((s.y - output(vector)) ** 2).sum() / len(s.x)

    velocity = reference.descent(s.net, "normal", s.now, s.start, s.x, s.y - output(theta)) / 3
    np.testing.assert_allclose(velocity, -differences(loss, theta), atol=1e-8)


@both
@pytest.mark.parametrize("rule", reference.RULES)
def test_a_rules_velocity_is_its_own_jacobian_on_the_error(name, rule):
    s = setting(name)
    j = reference.rule_jacobian(s.net, rule, s.now, s.start, s.x, s.fixed.get(rule))
    e = s.y - s.net.forward(s.now, s.x).f
    velocity = reference.descent(s.net, rule, s.now, s.start, s.x, e, s.fixed.get(rule))
    np.testing.assert_allclose(velocity, np.einsum("acn,ac->n", j, e.reshape(3, -1)), atol=1e-12)
    zero = reference.jacobian(s.net, s.start, s.x)
    if rule in ("align-zero", "w-star", "linearised"):
        np.testing.assert_allclose(j, zero, atol=1e-12)
    else:
        assert abs(j - zero).max() > 0.1
    at_start = reference.jacobian_drift(s.net, s.start, s.start, s.x, rule, s.fixed.get(rule))
    assert (at_start < 1e-12) == (rule not in ("last-layer", "fa", "dfa"))


@both
def test_the_kernel_is_symmetric_and_positive(name):
    s = setting(name)
    kernel = reference.ntk(s.net, s.now, s.x)
    size = kernel.shape[0] * kernel.shape[2]
    matrix = kernel.transpose(0, 2, 1, 3).reshape(size, size)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12 * np.trace(matrix)


@pytest.mark.parametrize(("name", "rule"), [("rnn", "align-prop"), ("cnn", "w-star")])
def test_half_the_step_leaves_a_sixteenth_of_the_error(name, rule):
    def end(steps):
        found = run(name, rule, steps)
        return np.concatenate([found.f[-1].ravel(), found.delta[-1].ravel()])

    ratio = np.linalg.norm(end(10) - end(20)) / np.linalg.norm(end(20) - end(40))
    assert 13 < ratio < 20


def test_both_integrators_agree():
    s, normal = setting("rnn"), run("rnn", "normal", 300)
    found = reference.flow(s.net, "normal", s.start, s.x, s.y, normal.times)
    np.testing.assert_allclose(found.f, normal.f, atol=1e-9)
    np.testing.assert_allclose(found.delta, normal.delta, atol=1e-9)


@both
def test_align_zeros_own_delta_gives_its_own_weights(name):
    s, zero = setting(name), run(name, "align-zero")
    for params, delta in zip(zero.params, zero.delta, strict=True):
        stars = reference.star(s.net, s.start, s.x, delta)
        for w, w0, d in zip(s.net.weights(params), s.net.weights(s.start), stars, strict=True):
            np.testing.assert_allclose(w, w0 + d, atol=1e-12)
    found = reference.quantities(s.net, s.start, s.x, zero)
    assert found["discrepancy"].max() < 1e-12
    assert found["alignment_gap"].max() < 1e-12
    assert abs(found["misalignment"][1:]).max() < 1e-12
    assert np.isnan(found["misalignment"][0]).all()  # nothing has moved yet
    assert (found["weight_drift"][1:] > 1e-3).all()


@both
def test_w_star_is_the_normal_networks_delta_through_align_zero(name):
    s, normal, found = setting(name), run(name, "normal"), run(name, "w-star")
    np.testing.assert_allclose(found.delta, normal.delta, atol=1e-14)
    ends = zip(s.net.arrays(found.teacher[-1]), s.net.arrays(normal.params[-1]), strict=True)
    for ours, theirs in ends:
        np.testing.assert_allclose(ours, theirs, atol=1e-14)
    stars = reference.star(s.net, s.start, s.x, normal.delta[-1])
    ends = zip(s.net.weights(found.params[-1]), s.net.weights(s.start), stars, strict=True)
    for w, w0, d in ends:
        np.testing.assert_allclose(w - w0, d, atol=1e-12)


@both
def test_the_linearised_flow_has_a_closed_form(name):
    """e(t) = exp(−Θ⁰ t/P) e(0)."""
    s, found = setting(name), run(name, "linearised", 80)
    j = reference.jacobian(s.net, s.start, s.x).reshape(s.y.size, -1)
    values, vectors = np.linalg.eigh(j @ j.T / len(s.x))
    e0 = vectors.T @ (s.y - s.net.forward(s.start, s.x).f).ravel()
    e1 = vectors @ (np.exp(-values) * e0)
    np.testing.assert_allclose(s.y - found.f[-1], e1.reshape(s.y.shape), atol=1e-6)


@pytest.mark.parametrize("name", ["rnn", "rnn, (61)"])
def test_sigma_by_its_definition_is_that_of_w_star(name):
    """(3) with (6) and (7), summed over pairs of steps, against (12), for W_h."""
    s = setting(name)
    n, (points, steps, outputs) = 4, s.y.shape
    delta = run(name, "normal").delta[-1]
    zero = s.net.forward(s.start, s.x)

    def feedback(x, k):  # ∂(all outputs of point x)/∂z_k, (outputs, n), by hand
        slope = 1 - zero.h[x, 1:] ** 2
        onward, rows = np.eye(n), []
        for later in range(steps):
            if later > k:
                onward = s.start["W_h"] / n**0.5 @ np.diag(slope[later - 1]) @ onward
            readout = s.net.scales(s.start)[2] * s.start["w_o"] @ np.diag(slope[later])
            rows.append(readout @ onward if later >= k else np.zeros((outputs, n)))
        return np.concatenate(rows)

    sigma = np.zeros((n, n))
    places = [(x, k) for x in range(points) for k in range(steps)]
    for x1, k1 in places:
        for x2, k2 in places:
            gamma = feedback(x1, k1) @ feedback(x2, k2).T
            q = delta[x1].ravel() @ gamma @ delta[x2].ravel()
            sigma += q * np.outer(zero.h[x1, k1], zero.h[x2, k2]) / points**2
    star = reference.star(s.net, s.start, s.x, delta)[1]
    np.testing.assert_allclose(sigma, n * star.T @ star, atol=1e-12)


def test_the_operator_is_the_convolution_and_its_score_the_one_of_section_e():
    s, normal = setting("cnn"), run("cnn", "normal")
    kernel, image = s.start[0][0], s.x[:1]
    u = s.net.forward(s.start, image).u[1][0]
    by_operator = reference.as_operator(kernel, (4, 3, 2), 2) @ image.ravel()
    scale = s.net.scales(s.start)[0]
    np.testing.assert_allclose(scale * by_operator + np.tile(s.start[0][1], 4), u.ravel())
    matrix = reference.as_matrix(kernel)
    assert matrix[1, (2 * 3 + 1) * 2 + 1] == kernel[2, 1, 1, 1]
    np.testing.assert_array_equal(reference.as_kernel(matrix), kernel)

    stars = reference.star(s.net, s.start, s.x, normal.delta[-1])
    changes = [w - w0 for (w, _), (w0, _) in zip(normal.params[-1], s.start, strict=True)]
    found = reference.quantities(s.net, s.start, s.x, normal)["misalignment"][-1]
    for l, (shape, stride) in enumerate((((4, 3, 2), 2), ((2, 2, 3), 1))):
        a, b = (reference.as_operator(k[l], shape, stride) for k in (changes, stars))
        over = np.linalg.norm(a @ a.T) * np.linalg.norm(b @ b.T)
        assert found[l] == pytest.approx(1 - np.linalg.norm(b @ a.T) ** 2 / over, abs=1e-12)
        assert 1e-4 < found[l] < 1


def hand(rule, act0, now, start, x, e, fixed):
    """Every rule on a dense network with one hidden layer z = a v x + b, f = c w tanh(z) + d.

    Returns:
        The velocities of v, b, w and d, times P.
    """
    (a, v, b, c, w), (_, v0, b0, _, w0) = now, start
    h, h0 = np.tanh(a * x @ v.T + b), np.tanh(a * x @ v0.T + b0)
    frozen = rule in ("align-zero", "w-star", "linearised")
    weights = {"normal": w, "fa": fixed["fa"], "dfa": fixed["dfa"].T / c}.get(rule, w0)
    slope = 1 - (h0 if frozen or rule == "align-ada" else h) ** 2
    dz = slope * (c * e @ weights) * (rule != "last-layer")
    top = h0 if frozen else h
    return a * dz.T @ act0, dz.sum(axis=0), c * e.T @ top, e.sum(axis=0)


@pytest.mark.parametrize("rule", reference.RULES)
@pytest.mark.parametrize("kind", ["one step", "one step, (61)", "one place"])
def test_with_one_step_or_one_place_every_rule_is_that_of_a_dense_network(kind, rule):
    rng = np.random.default_rng(3)
    n, d, outputs = 5, 2, 3
    x, e = rng.standard_normal((4, d)), rng.standard_normal((4, outputs))
    back, direct = rng.standard_normal((outputs, n)), rng.standard_normal((n, outputs))
    if kind == "one place":
        net = Cnn((1,))
        shapes = [(3, 3, d, n), (n,), (outputs, n), (outputs,)]
        inputs, errors = x[:, None, None], e
        fixed = {"fa": [np.zeros(shapes[0]), back], "dfa": [direct[None, None]]}
        scales = 1 / (9 * d) ** 0.5, 1 / n**0.5
    else:
        net = Rnn(readout_scale="none" if "61" in kind else "ntk")
        shapes = [(n, d), (n, n), (n,), (outputs, n), (outputs,)]
        inputs, errors = x[:, None], e[:, None]
        fixed = {"fa": {"W_h": np.zeros((n, n)), "w_o": back}, "dfa": [np.nan * direct, direct]}
        scales = 1.0, 1.0 if "61" in kind else 1 / n**0.5
    start, now = (net.pack([rng.standard_normal(s) for s in shapes]) for _ in range(2))

    def dense(params):
        first, *_, w, _ = net.arrays(params)
        b = net.arrays(params)[-3]
        return scales[0], first[1, 1].T if first.ndim == 4 else first, b, scales[1], w

    a, v, b, c, w = dense(now)
    f = c * np.tanh(a * x @ v.T + b) @ w.T + net.arrays(now)[-1]
    np.testing.assert_allclose(net.forward(now, inputs).f, f.reshape(errors.shape), atol=1e-12)
    vector = reference.descent(net, rule, now, start, inputs, errors, fixed.get(rule))
    found = net.arrays(reference.unflatten(net, vector, now))
    constants = {"fa": back, "dfa": direct}
    first, bias, top, last = hand(rule, x, dense(now), dense(start), x, e, constants)
    kernel = np.zeros(shapes[0])
    if kind == "one place":
        kernel[1, 1] = first.T  # padding is all that the other taps see
    else:
        kernel[:] = first
        assert not found[1].any()  # W_h sees h_{−1} = 0
    for ours, theirs in zip((found[0], *found[-3:]), (kernel, bias, top, last), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_quantities_by_other_formulas():
    s, normal, ada = setting("rnn"), run("rnn", "normal"), run("rnn", "align-ada")
    found = reference.quantities(s.net, s.start, s.x, ada, normal.delta)
    change = ada.params[-1]["W_h"] - s.start["W_h"]
    top = np.linalg.eigvalsh(change.T @ change).max()
    assert found["delta_norm"][-1, 1] == pytest.approx(top / 2)  # √n = 2
    assert found["weight_drift"][-1, 1] == pytest.approx(top**0.5 / 2)
    moved = s.net.forward(ada.params[-1], s.x).z - s.net.forward(s.start, s.x).z
    steps = [np.linalg.norm(moved[:, k]) / (3 * 4) ** 0.5 for k in range(3)]
    assert found["activation_drift"][-1] == pytest.approx([max(steps)])
    apart = reference.divergence(normal.f, ada.f)
    assert apart[0] == 0
    assert apart[-1] == max(np.linalg.norm(a) for p in normal.f[-1] - ada.f[-1] for a in p)


def test_quantities_of_a_convolution_by_other_formulas():
    s, normal = setting("cnn"), run("cnn", "normal")
    found = reference.quantities(s.net, s.start, s.x, normal)
    (w, b), (w0, b0) = normal.params[-1][0], s.start[0]
    ideal = reference.star(s.net, s.start, s.x, normal.delta[-1])[0]
    change, factor = w - w0, 1 / (9 * 2) ** 0.5

    def square(a, b):  # aᵀb of the matrices, tap by tap
        return np.einsum("ijco,kldo->ijckld", a, b).reshape(18, 18)

    delta, sigma = square(change, change), square(ideal, ideal)
    assert found["delta_norm"][-1, 0] == pytest.approx(factor * np.linalg.norm(delta, 2))
    assert found["sigma_norm"][-1, 0] == pytest.approx(factor * np.linalg.norm(sigma, 2))
    assert found["alignment_gap"][-1, 0] == pytest.approx(factor * np.linalg.norm(delta - sigma, 2))
    apart = np.linalg.eigvalsh(square(change - ideal, change - ideal)).max() ** 0.5
    assert found["discrepancy"][-1, 0] == pytest.approx(apart)
    padded = np.pad(s.x, ((0, 0), (0, 1), (1, 1), (0, 0)))  # 4 × 3 with stride 2
    moved = [
        factor * np.einsum("pijc,ijco->po", padded[:, i : i + 3, j : j + 3], change) + b - b0
        for i in (0, 2)
        for j in (0, 2)
    ]
    drift = (sum((a**2).sum() for a in moved) / (3 * 3 * 4)) ** 0.5  # points, channels, places
    assert found["activation_drift"][-1, 0] == pytest.approx(drift)
