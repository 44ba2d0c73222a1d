"""Expectations of kinked functions against SciPy's adaptive quadrature, split at their kinks."""

from __future__ import annotations

import warnings
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr

from ntkalign.kernels.expectations import evaluation, expansions
from ntkalign.networks.activations import Activation
from tests.cases import examples

RHO = (0.0, 0.3, -0.7, 0.95, 0.999, -0.999, 1 - 1e-6)


def density(z):
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


class Broken:
    """Slope, then (place, change of slope, jump), as a function and its exact expectations."""

    def __init__(self, slope, breaks):
        self.slope, self.breaks = slope, breaks

    def __call__(self, z):
        return self.slope * z + sum(
            jnp.where(z > c, k * (z - c) + j, 0.0) for c, k, j in self.breaks
        )

    def mean(self, m, s):
        """E[f(m + sZ)]."""
        above = [ndtr((m - c) / s) for c, _, _ in self.breaks]
        parts = zip(self.breaks, above, strict=True)
        return self.slope * m + sum(
            k * ((m - c) * p + s * density((m - c) / s)) + j * p for (c, k, j), p in parts
        )

    def mean_slope(self, m, s):
        return self.slope + sum(k * ndtr((m - c) / s) for c, k, _ in self.breaks)

    def expected(self, s, t, rho):
        """E[f(u) f(v)] and E[f′(u) f′(v)], standard deviations s and t."""
        rest = t * np.sqrt(1 - rho**2)
        places = [c / s for c, _, _ in self.breaks]
        places += [c / (t * rho) for c, _, _ in self.breaks if rho]
        width = np.sqrt(1 - rho**2)
        ends = sorted({-12.0, 12.0, *(p + d * width for p in places for d in (-8, -2, 0, 2, 8))})
        ends = [e for e in ends if -12 <= e <= 12]

        def whole(integrand):
            parts = (quad(integrand, *ab, epsabs=1e-13, epsrel=1e-12) for ab in pairwise(ends))
            return sum(part for part, _ in parts)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that rounding limits its accuracy
            return (
                whole(lambda z: density(z) * self.plain(s * z) * self.mean(rho * t * z, rest)),
                whole(
                    lambda z: density(z) * self.slopes(s * z) * self.mean_slope(rho * t * z, rest)
                ),
            )

    def plain(self, z):
        return self.slope * z + sum(k * (z - c) + j for c, k, j in self.breaks if z > c)

    def slopes(self, z):
        return self.slope + sum(k for c, k, _ in self.breaks if z > c)


def stated(function, s, t, rho):
    """Both expectations and their bounds."""
    correlation = np.array([[1.0, rho], [rho, 1.0]])
    found = expansions(evaluation(Activation("mine", function)), np.array([s, t]) ** 2, correlation)
    return [[a[0, 1] for a in each.expectations(correlation)] for each in found]


places = st.floats(-1.5, 1.5)
heights = st.sampled_from((0.0, 1.0, -0.7))
broken = st.builds(
    Broken,
    st.sampled_from((0.0, 1.0, 0.01, -1.0)),
    st.lists(st.tuples(places, heights, heights), min_size=1, max_size=2),
)


@given(broken, st.floats(0.1, 3.0), st.floats(0.1, 3.0), st.sampled_from(RHO))
@examples(25)
def test_the_stated_error_is_at_least_the_true_one(function, s, t, rho):
    """Kinks and jumps anywhere, any scales, correlations up to all but 1."""
    size = [1e-11 * (1 + abs(e)) for e in function.expected(s, t, 0.0)]  # of the reference
    for (value, bound), exact, slack in zip(
        stated(function, s, t, rho), function.expected(s, t, rho), size, strict=True
    ):
        assert abs(value - exact) <= bound + slack
        if abs(rho) < 0.96:
            assert bound <= 1e-8 * (1 + abs(exact))


def test_two_quadratures_with_fixed_nodes_would_not_say_so():
    """The control: what 64 nodes change in 128 is less than what those 128 are wrong by."""

    def fixed(function, nodes):
        x, w = np.polynomial.hermite_e.hermegauss(nodes)
        mass = np.outer(w, w) / w.sum() ** 2
        first, other = np.meshgrid(x, x, indexing="ij")
        second = 0.3 * first + np.sqrt(1 - 0.3**2) * other
        sigma = Activation("mine", function).value_and_slope
        pairs = zip(sigma(jnp.asarray(first)), sigma(jnp.asarray(second)), strict=True)
        return np.array([np.sum(mass * a * b) for a, b in pairs])

    understated = 0
    for c in (0.05, 0.3, 0.32, 0.7):
        function = Broken(0.0, [(c, 1.0, 0.0)])
        exact = np.array(function.expected(1.0, 1.0, 0.3))
        fine, coarse = fixed(function, 128), fixed(function, 64)
        understated += int((np.abs(fine - exact) > np.abs(fine - coarse)).sum())
        for (value, bound), true in zip(stated(function, 1.0, 1.0, 0.3), exact, strict=True):
            assert abs(value - true) <= bound + 1e-12
            assert bound < 1e-11
    assert understated > 0


@pytest.mark.parametrize("function", [jnp.tanh, jnp.sin, jax.nn.softplus, jax.nn.silu, jnp.exp])
@pytest.mark.parametrize("rho", [0.4, 0.9999, -1.0])
def test_smooth_functions_are_known_to_rounding(function, rho):
    x, w = np.polynomial.hermite_e.hermegauss(100)
    u, v = np.meshgrid(x, x, indexing="ij")
    mass = np.outer(w, w) / w.sum() ** 2
    second = 0.7 * (rho * u + np.sqrt(1 - rho**2) * v)
    derivative = jnp.vectorize(jax.grad(function))
    for (value, bound), f in zip(
        stated(function, 1.0, 0.7, rho), (function, derivative), strict=True
    ):
        exact = np.sum(mass * np.asarray(f(u)) * np.asarray(f(second)))
        assert bound < 1e-11 * max(1.0, abs(value))
        assert abs(value - exact) <= bound + 1e-8  # a hundred nodes: SiLU has poles


@pytest.mark.parametrize(
    "function",
    [
        lambda z: jnp.floor(50 * z),  # more jumps than panels
        lambda z: jnp.tanh(z.astype(jnp.float32)).astype(jnp.float64),  # noise of 1e-7
    ],
)
def test_what_is_not_resolved_is_said_to_be(function):
    (value, bound), _ = stated(function, 1.0, 1.0, 0.5)
    draws = np.random.default_rng(0).standard_normal((2, 400_000))
    u, v = draws[0], 0.5 * draws[0] + np.sqrt(0.75) * draws[1]
    products = np.asarray(function(jnp.asarray(u))) * np.asarray(function(jnp.asarray(v)))
    error = 4 * products.std() / np.sqrt(len(u))
    assert 1e-8 < bound < value
    assert abs(value - products.mean()) <= bound + error


@pytest.mark.parametrize("function", [lambda z: jnp.exp(z**2), lambda z: jnp.exp(0.3 * z**2)])
def test_moments_that_are_infinite_are_not_finite(function):
    (_, bound), (_, slope_bound) = stated(function, 1.0, 1.0, 0.5)
    assert not np.isfinite(bound)
    assert not np.isfinite(slope_bound)


def test_without_variance_a_function_is_its_value_at_zero():
    x, w = np.polynomial.legendre.leggauss(200)
    for function in (jnp.abs, jax.nn.relu, jax.nn.softplus, lambda z: jnp.maximum(z, 0.3)):
        both = evaluation(Activation("mine", function))
        value, slope = expansions(both, np.array([0.0, 2.0]), np.zeros((2, 2)))
        derivative = jnp.vectorize(jax.grad(function))
        for expansion, f in ((value, function), (slope, derivative)):
            found, bound = expansion.expectations(np.zeros((2, 2)))
            mean = 0.0
            for low, high in pairwise((-16.0, 0.0, 0.3, 16.0)):
                z, mass = (high + low + (high - low) * x) / 2, (high - low) * w / 2
                mean += np.sum(mass * f(jnp.asarray(z)) * density(z / np.sqrt(2))) / np.sqrt(2)
            at0 = float(f(jnp.zeros(())))
            np.testing.assert_allclose(found[0], [at0**2, at0 * mean], rtol=1e-12, atol=1e-12)
            assert (bound < 1e-11).all()
