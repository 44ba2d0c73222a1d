"""Kernels of infinite width against their equations, neural-tangents, and wide networks."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from ntkalign import InputError
from ntkalign.kernels import jax_defaults, nt
from ntkalign.kernels.analytic import CLOSED_FORMS, infinite_width_kernels
from ntkalign.kernels.empirical import empirical
from ntkalign.networks.activations import ACTIVATIONS, LEAK, Activation
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.family import Family
from ntkalign.quantities.kernels import distance
from tests.cases import examples

KINKED = ("relu", "leaky-relu", "abs")
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)


def expectation(function, covariance):
    """E[φ(u) φ(v)] for (u, v) ~ N(0, covariance), by a grid over two independent normals."""
    root = np.linalg.cholesky(covariance + 1e-14 * np.eye(2))
    first, second = np.meshgrid(NODES, NODES, indexing="ij")
    u, v = root[0, 0] * first, root[1, 0] * first + root[1, 1] * second
    mass = np.outer(WEIGHTS, WEIGHTS) / WEIGHTS.sum() ** 2
    values = [np.asarray(function(jnp.asarray(a))) for a in (u, v)]
    return float(np.sum(mass * values[0] * values[1]))


def entrywise(function, k):
    pairs = [[expectation(function, k[np.ix_([i, j], [i, j])]) for j in range(len(k))]
             for i in range(len(k))]  # fmt: skip
    return np.array(pairs)


@pytest.mark.parametrize(
    "name", sorted(set(ACTIVATIONS) - set(KINKED))
)  # a kink needs a finer grid
@pytest.mark.parametrize("bias_std", [0.0, 0.4])
def test_the_limit_is_its_equations(name, bias_std):
    sigma = activation(name)
    x = np.random.default_rng(0).standard_normal((3, 5))
    found = infinite_width_kernels(Family(3, sigma, bias_std=bias_std), x)
    h0 = x @ x.T / 5
    k1 = h0 + bias_std**2
    h1 = entrywise(sigma.function, k1)
    k2 = h1 + bias_std**2
    h2 = entrywise(sigma.function, k2)
    slope1, slope2 = (entrywise(lambda z: sigma.value_and_slope(z)[1], k) for k in (k1, k2))
    close = {"rtol": 1e-5, "atol": 1e-7}
    for ours, plain in zip(found.features, (h0, h1, h2), strict=True):
        np.testing.assert_allclose(ours, plain, **close)
    for ours, plain in zip(found.forward, (k1, k2, h2 + bias_std**2), strict=True):
        np.testing.assert_allclose(ours, plain, **close)
    for ours, plain in zip(found.backward, (slope1 * slope2, slope2, 1.0), strict=True):
        np.testing.assert_allclose(ours, plain * np.ones((3, 3)), **close)
    theta = slope1 * slope2 * (h0 + 1) + slope2 * (h1 + 1) + h2 + 1
    np.testing.assert_allclose(found.ntk, theta, **close)
    for kernel in ("ntk", "nngp"):
        assert 0 < distance(getattr(found.moved, kernel), getattr(found, kernel)) <= 1e-11


@given(st.integers(2, 5), st.sampled_from(sorted(CLOSED_FORMS)), st.sampled_from((0.0, 0.5)))
@examples(4)
def test_neural_tangents_own_composition_gives_the_same(depth, name, bias_std):
    """Its NTK has β² where ours has 1, layer by layer; without biases Σ Γ_l ⊙ H_{l−1} remains."""
    x = np.random.default_rng(depth).standard_normal((4, 3))
    stax = nt.stax
    layers = []
    for number in range(depth):
        layers.append(stax.Dense(1, 1.0, bias_std or None, parameterization="ntk"))
        if number < depth - 1:
            theirs, arguments = CLOSED_FORMS[name]
            layers.append(getattr(stax, theirs)(*arguments))
    with jax_defaults():
        theirs = stax.serial(*layers)[2](jnp.asarray(x), None, ("nngp", "ntk"))
    ours = infinite_width_kernels(Family(depth, activation(name), bias_std=bias_std), x)
    np.testing.assert_allclose(ours.nngp, theirs.nngp, rtol=1e-12, atol=1e-14)
    parts = zip(ours.backward, ours.features, strict=True)
    expected = sum(gamma * (h + bias_std**2) for gamma, h in parts)
    np.testing.assert_allclose(expected, theirs.ntk, rtol=1e-12, atol=1e-14)


def of_ones_own(name):
    """The same function, unknown to the catalogue."""
    return Activation("mine", lambda z: ACTIVATIONS[name].function(z))


def rows(seed, points, alike):
    """Data of which two rows are nearly alike and one is zero."""
    x = np.random.default_rng(seed).standard_normal((points, 4))
    x[1] = x[0] + alike * x[1]
    x[-1] = 0
    return x


@given(
    st.sampled_from(sorted(CLOSED_FORMS)),
    st.integers(0, 99),
    st.integers(2, 4),
    st.sampled_from((0.0, 0.5)),
    st.sampled_from((0.0, 1e-3, 0.1, 1.0)),
)
@examples(8)
def test_without_closed_forms_the_error_stated_is_at_least_the_true_one(
    name, seed, depth, bias_std, alike
):
    x = rows(seed, 4, alike)
    family = Family(depth, activation(name), bias_std=bias_std)
    exact, mine = (
        infinite_width_kernels(family, x),
        infinite_width_kernels(replace(family, activation=of_ones_own(name)), x),
    )
    for kernel in ("features", "forward", "backward"):
        both = zip(getattr(exact, kernel), getattr(mine, kernel), strict=True)
        ends = zip(getattr(exact.moved, kernel), getattr(mine.moved, kernel), strict=True)
        for (true, found), (true_end, found_end) in zip(both, ends, strict=True):
            stated = np.abs(found_end - found) + np.abs(true_end - true)
            assert (np.abs(found - true) <= stated + 1e-15).all()
    if name not in KINKED or alike == 1.0:
        assert distance(mine.moved.ntk, mine.ntk) < 1e-4


def test_a_step_function_has_the_arcsine_law_and_the_slope_that_jax_gives():
    x = rows(0, 4, 0.3)[:-1]
    found = infinite_width_kernels(
        Family(3, Activation("step", lambda z: jnp.where(z > 0, 1.0, 0.0))), x
    )
    k = x @ x.T / 4
    rho = k / np.sqrt(np.outer(np.diag(k), np.diag(k)))
    angles = np.arccos(np.clip(rho, -1, 1))
    off = ~np.eye(3, dtype=bool)
    exact = (np.pi - angles) / (2 * np.pi)
    bound = np.abs(found.moved.features[1] - found.features[1])
    assert (np.abs(found.features[1] - exact) <= bound + 1e-15)[off].all()
    np.testing.assert_allclose(np.diag(found.features[1]), 0.5, atol=1e-12)
    assert not found.backward[0].any()  # what such a network's lower layers learn


@pytest.mark.parametrize(("name", "slope"), [("relu", 0.0), ("leaky-relu", LEAK), ("abs", -1.0)])
def test_kinked_activations_are_arc_cosine_kernels(name, slope):
    """max(z, 0) + slope min(z, 0): |ρ| angles of Cho and Saul, one layer written out."""
    x = np.random.default_rng(0).standard_normal((5, 6))
    found = infinite_width_kernels(Family(2, activation(name), bias_std=0.3), x)
    k = x @ x.T / 6 + 0.09
    scale = np.sqrt(np.outer(np.diag(k), np.diag(k)))
    rho = np.clip(k / scale, -1, 1)
    angle = np.arccos(rho)
    np.fill_diagonal(angle, 0.0)
    # E[u₊v₊] and E[u₊v₋], with v₋ = min(v, 0); and of their slopes
    same = scale * (np.sin(angle) + (np.pi - angle) * rho) / (2 * np.pi)
    across = scale * (-np.sin(angle) + angle * rho) / (2 * np.pi)
    h = (1 + slope**2) * same + 2 * slope * across
    gamma = (1 + slope**2) * (np.pi - angle) / (2 * np.pi) + 2 * slope * angle / (2 * np.pi)
    np.testing.assert_allclose(found.features[1], h, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(found.backward[0], gamma, rtol=1e-7)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
@pytest.mark.parametrize("bias_std", [0.0, 0.5])
def test_a_row_of_zeros_has_its_limit(name, bias_std):
    """u = 0 without biases: E[σ(u)σ(v)] = σ(0) E[σ(v)], and σ′(0) as JAX has it."""
    x = rows(0, 4, 1.0)
    sigma = activation(name)
    for chosen in (sigma, of_ones_own(name)):
        found = infinite_width_kernels(Family(2, chosen, bias_std=bias_std), x)
        k = found.forward[0]
        assert k[-1, -1] == bias_std**2
        functions = (sigma.function, lambda z: sigma.value_and_slope(z)[1])
        kernels = (found.features[1], found.backward[0])
        for f, kernel in zip(functions, kernels, strict=True):
            at0 = float(f(jnp.zeros(())))
            if bias_std == 0:
                mean = [mean_of(f, np.sqrt(v)) for v in np.diag(k)[:-1]]
                np.testing.assert_allclose(kernel[-1, :-1], at0 * np.array(mean), atol=1e-11)
                np.testing.assert_allclose(kernel[-1, -1], at0**2, atol=1e-12)
            else:
                mean = mean_of(lambda z, f=f: f(z) ** 2, bias_std)
                np.testing.assert_allclose(kernel[-1, -1], mean, atol=1e-11)


def mean_of(f, s):
    """E[f(sZ)], Gauss–Legendre on either side of 0, where the built-in kinks are."""
    x, w = np.polynomial.legendre.leggauss(200)
    z = np.concatenate([5 * (x - 1), 5 * (x + 1)])
    return float(np.sum(5 * np.tile(w, 2) * norm.pdf(z) * np.asarray(f(jnp.asarray(s * z)))))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_wide_networks_have_that_limit_on_rows_of_zeros(name):
    x = jnp.asarray(rows(1, 4, 1.0))
    family = Family(3, activation(name))
    found, network = infinite_width_kernels(family, x), family.network(2048, (4,), 1)
    kernels = empirical(network, network.initialise(jax.random.key(0)), x)
    for layer in range(3):
        gamma = kernels.backward[layer][:, :, 0, 0]
        size = np.abs(found.backward[layer]).max()
        np.testing.assert_allclose(gamma, found.backward[layer], atol=0.15 * size)
        features = found.features[layer]
        np.testing.assert_allclose(kernels.features[layer], features, atol=0.15 * features.max())
    if name == "relu":  # σ′(0) = 0: such a point moves the last layer only
        assert not kernels.backward[0][-1].any()
        assert not found.backward[0][-1].any()


def test_data_of_zeros_alone_have_a_limit():
    for name in ACTIVATIONS:
        found = infinite_width_kernels(Family(3, activation(name)), np.zeros((2, 3)))
        value = float(activation(name).function(jnp.zeros(())))
        np.testing.assert_allclose(found.features[1], value**2, atol=1e-12)


def test_an_activation_that_is_not_a_number_is_refused_and_its_name_said():
    for function in (lambda z: jnp.exp(z**2), lambda z: jnp.log(z), lambda z: z / 0.0):
        with pytest.raises(
            InputError, match=r"activation \(mine\) must have finite Gaussian moments"
        ):
            infinite_width_kernels(Family(2, Activation("mine", function)), 3 * rows(0, 4, 1.0))
