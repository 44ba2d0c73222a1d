"""Kernels of infinitely many channels against loops, neural-tangents, and wide networks."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ntkalign import InputError
from ntkalign.kernels import jax_defaults, nt
from ntkalign.kernels.analytic import CLOSED_FORMS, infinite_width_kernels
from ntkalign.kernels.convolutional import convolutional_kernels
from ntkalign.networks.activations import ACTIVATIONS, Activation
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.family import Family
from ntkalign.networks.normalisation import Norm
from ntkalign.quantities.kernels import distance
from tests.cases import examples

KINKED = ("relu", "leaky-relu", "abs")
KERNELS = ("ntk", "weights", "nngp")


def images(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def stated(kernels, kernel):
    """The bound on each entry's error."""
    return np.abs(getattr(kernels.moved, kernel) - getattr(kernels, kernel))


# --- the definition, in loops ---------------------------------------------------------------


def erf_expectation(kuu, kuv, kvv):
    """E[erf(u) erf(v)] (Williams, 1997)."""
    return 2 / np.pi * np.arcsin(2 * kuv / np.sqrt((1 + 2 * kuu) * (1 + 2 * kvv)))


def erf_slopes(kuu, kuv, kvv):
    return 4 / np.pi / np.sqrt((1 + 2 * kuu) * (1 + 2 * kvv) - 4 * kuv**2)


def windows(side, stride):
    """Along an axis: which place of the input, or None, each output place reads by each tap."""
    places = -(-side // stride)
    before = max((places - 1) * stride + 3 - side, 0) // 2
    read = [[q * stride + t - before for t in range(3)] for q in range(places)]
    return [[place if 0 <= place < side else None for place in taps] for taps in read]


def window_means(k, stride):
    """1/9 of the sum over taps, k a dictionary by ((point, row, column), the same)."""
    points, rows, columns = (1 + max(key[0][axis] for key in k) for axis in range(3))
    down, across = windows(rows, stride), windows(columns, stride)
    outputs = list(itertools.product(range(points), range(len(down)), range(len(across))))
    found = {}
    for (x, row, column), (y, other_row, other_column) in itertools.product(outputs, outputs):
        total = 0.0
        for t, s in itertools.product(range(3), range(3)):
            here = (x, down[row][t], across[column][s])
            there = (y, down[other_row][t], across[other_column][s])
            if None not in here and None not in there:
                total += k[here, there] / 9
        found[(x, row, column), (y, other_row, other_column)] = total
    return found


@pytest.mark.parametrize("strides", [(1, 2), (2, 1)])
@pytest.mark.parametrize("bias_std", [0.0, 0.4])
def test_the_limit_is_its_definition(strides, bias_std):
    """The NTK from the input on, Θ_{l+1} = C_{l+1} + 1 + mean(Θ_l ⊙ E[σ′σ′]), and not back."""
    x = images(2, 3, 3, 2)
    places = list(itertools.product(range(2), range(3), range(3)))
    h = {(p, q): x[p] @ x[q] / 2 for p in places for q in places}
    theta = weights = dict.fromkeys(h, 0.0)
    for stride in strides:
        c, theta, weights = (window_means(k, stride) for k in (h, theta, weights))
        theta = {pair: theta[pair] + c[pair] + 1 for pair in c}
        weights = {pair: weights[pair] + c[pair] for pair in c}
        k = {pair: value + bias_std**2 for pair, value in c.items()}
        triples = {(p, q): (k[p, p], k[p, q], k[q, q]) for p, q in k}
        h = {pair: erf_expectation(*triple) for pair, triple in triples.items()}
        slope = {pair: erf_slopes(*triple) for pair, triple in triples.items()}
        theta, weights = ({p: part[p] * slope[p] for p in slope} for part in (theta, weights))

    def mean(k, x, y):
        return np.mean([value for (p, q), value in k.items() if (p[0], q[0]) == (x, y)])

    pooled, theta, weights = (
        np.array([[mean(k, x, y) for y in range(2)] for x in range(2)]) for k in (h, theta, weights)
    )
    found = convolutional_kernels(activation("erf"), strides, bias_std, x)
    close = {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(found.nngp, pooled + bias_std**2, **close)
    np.testing.assert_allclose(found.weights, weights + pooled, **close)
    np.testing.assert_allclose(found.ntk, theta + pooled + 1, **close)


# --- others' kernels ------------------------------------------------------------------------


def composed(name, strides, bias_std, x):
    """neural-tangents' kernels of the same network."""
    stax = nt.stax
    theirs, arguments = CLOSED_FORMS[name]
    layers = []
    for stride in strides:
        conv = partial(stax.Conv, 1, (3, 3), (stride, stride), "SAME")
        layers += [conv(1.0, bias_std or None), getattr(stax, theirs)(*arguments)]
    layers += [stax.GlobalAvgPool(), stax.Dense(1, 1.0, bias_std or None, parameterization="ntk")]
    kernels = stax.serial(*layers)[2]
    with jax_defaults():
        return jax.jit(lambda x: kernels(x, None, ("nngp", "ntk")))(jnp.asarray(x))


@pytest.mark.parametrize(
    ("name", "strides", "bias_std", "shape"),
    [
        ("erf", (1, 2), 0.0, (3, 5, 4, 1)),
        ("relu", (2, 2, 1), 0.5, (3, 7, 8, 3)),
        ("gelu", (1,), 0.5, (2, 3, 6, 2)),
        ("sin", (3, 2), 0.0, (3, 8, 5, 2)),
    ],
)
def test_neural_tangents_own_composition_gives_the_same(name, strides, bias_std, shape):
    """Its NTK has β² where ours has 1 for each bias."""
    x = images(*shape)
    theirs = composed(name, strides, bias_std, x)
    ours = convolutional_kernels(activation(name), strides, bias_std, x)
    biases = ours.ntk - ours.weights
    np.testing.assert_allclose(ours.nngp, theirs.nngp, rtol=1e-10, atol=1e-14)
    # at a correlation of 1 an arc cosine makes 1e-8 of a rounding of 1e-16
    close = {"rtol": 1e-7 if name in KINKED else 1e-10, "atol": 1e-14}
    np.testing.assert_allclose(ours.weights + bias_std**2 * biases, theirs.ntk, **close)


@pytest.mark.parametrize(
    ("name", "bias_std"),
    [("tanh", 0.0), ("tanh", 0.5), ("gelu", 0.5), ("relu", 0.0), ("softplus", 0.0)],
)
def test_one_place_and_one_convolution_are_fully_connected(name, bias_std):
    """Of nine taps one sees the image: x xᵀ/(9c) is that of images divided by 3."""
    x = images(4, 1, 1, 3)
    x[-1] = 0
    found = convolutional_kernels(activation(name), (1,), bias_std, x)
    flat = infinite_width_kernels(Family(2, activation(name), bias_std=bias_std), x[:, 0, 0] / 3)
    for kernel in ("ntk", "nngp"):
        ours, theirs = getattr(found, kernel), getattr(flat, kernel)
        error = stated(found, kernel) + stated(flat, kernel)
        assert (np.abs(ours - theirs) <= error + 1e-15).all()
        assert error.max() < 1e-7 * theirs.max()


@pytest.mark.parametrize("name", [*KINKED, "linear"])
def test_one_place_loses_a_factor_9_at_each_convolution(name):
    """With σ(az) = aσ(z) for a > 0 each weight's part is 9^−L times that without padding."""
    x = images(4, 1, 1, 3)
    flat = infinite_width_kernels(Family(4, activation(name)), x[:, 0, 0])
    found = convolutional_kernels(activation(name), (1, 2, 1), 0.0, x)
    weights = sum(gamma * h for gamma, h in zip(flat.backward, flat.features, strict=True))
    biases = sum(gamma / 9**above for gamma, above in zip(flat.backward, (2, 1, 0, 0), strict=True))
    np.testing.assert_allclose(found.nngp, flat.nngp / 9**3, rtol=1e-12)
    np.testing.assert_allclose(found.weights, weights / 9**3, rtol=1e-7)
    np.testing.assert_allclose(found.ntk, weights / 9**3 + biases, rtol=1e-7)


def test_wide_networks_have_that_limit():
    """Over draws the empirical NTK's mean is within five standard errors, outputs apart too."""
    x = jnp.asarray(images(3, 4, 5, 2))
    strides, classes, draws = (2, 1), 2, 8
    network = Convolutional((4, 5, 2), (256, 256), strides, classes, activation("tanh"), Norm.NONE)

    @jax.jit
    def kernel(parameters):
        jacobian = jax.jacobian(lambda theta: network.forward(theta, x).output)(parameters)
        flat = [part.reshape(len(x) * classes, -1) for part in jax.tree.leaves(jacobian)]
        return sum(part @ part.T for part in flat)

    found = np.array([kernel(network.initialise(jax.random.key(seed))) for seed in range(draws)])
    limit = convolutional_kernels(activation("tanh"), strides, 0.0, np.asarray(x)).ntk
    off = found.mean(0) - np.kron(limit, np.eye(classes))
    error = found.std(0, ddof=1) / np.sqrt(draws)
    assert (np.abs(off) <= 5 * error).all()
    assert error.max() < 0.03 * limit.max()


# --- errors ---------------------------------------------------------------------------------


def of_ones_own(name):
    """The same function, unknown to the catalogue."""
    return Activation("mine", lambda z: ACTIVATIONS[name].function(z))


def alike(seed, near, *shape):
    """Images of which two are nearly alike, and one is blank but for a corner."""
    x = images(*shape, seed=seed)
    x[1] = x[0] + near * x[1]
    x[-1, 1:] = x[-1, :, 1:] = 0
    return x


@given(
    st.sampled_from(sorted(CLOSED_FORMS)),
    st.sampled_from(((1,), (2, 1), (1, 2))),
    st.sampled_from((0.0, 0.5)),
    st.sampled_from((0.0, 1e-3, 0.1, 1.0)),
    st.integers(0, 99),
)
@example("relu", (1, 2), 0.5, 0.1, 0)  # blank windows alike: much is left out at each layer
@examples(2)
def test_without_closed_forms_the_error_stated_is_at_least_the_true_one(
    name, strides, bias_std, near, seed
):
    x = alike(seed, near, 3, 4, 3, 2)
    exact, mine = (
        convolutional_kernels(sigma, strides, bias_std, x)
        for sigma in (activation(name), of_ones_own(name))
    )
    for kernel in KERNELS:
        off = np.abs(getattr(exact, kernel) - getattr(mine, kernel))
        assert (off <= stated(exact, kernel) + stated(mine, kernel) + 1e-15).all()
    if name not in KINKED:
        assert distance(mine.moved.ntk, mine.ntk) < 1e-9


@given(
    st.sampled_from(sorted(ACTIVATIONS)),
    st.lists(st.integers(1, 3), min_size=1, max_size=2),
    st.sampled_from((0.0, 0.5)),
    st.tuples(st.integers(2, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3)),
    st.sampled_from((0.0, 0.1, 1.0)),
    st.integers(0, 99),
)
@examples(3)
def test_kernels_are_kernels_and_nearly_exact(name, strides, bias_std, shape, near, seed):
    x = alike(seed, near, *shape)
    found = convolutional_kernels(activation(name), strides, bias_std, x)
    for kernel in KERNELS:
        entries, error = getattr(found, kernel), stated(found, kernel)
        np.testing.assert_array_equal(entries, entries.T)
        assert np.linalg.eigvalsh(entries)[0] >= -np.linalg.norm(error)
        assert (np.abs(getattr(found.moved, kernel)) >= np.abs(entries)).all()
        assert np.linalg.norm(error) <= 1e-6 * np.linalg.norm(entries)


def test_a_pair_of_points_has_the_same_kernel_among_others():
    x, order = alike(0, 0.1, 4, 5, 4, 2), [3, 1]
    found, some = (
        convolutional_kernels(activation("tanh"), (2, 1), 0.0, given) for given in (x, x[order])
    )
    for kernel in KERNELS:
        among, alone = getattr(found, kernel)[np.ix_(order, order)], getattr(some, kernel)
        error = stated(found, kernel)[np.ix_(order, order)] + stated(some, kernel)
        assert (np.abs(among - alone) <= error).all()


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_blank_images_have_a_limit(name):
    """Without biases u_1 = 0: with one convolution the NNGP is σ(0)²."""
    found = convolutional_kernels(activation(name), (2,), 0.0, np.zeros((2, 4, 4, 1)))
    sigma, slope = map(float, activation(name).value_and_slope(jnp.zeros(())))
    np.testing.assert_allclose(found.nngp, sigma**2, atol=1e-12)
    np.testing.assert_allclose(found.ntk, slope**2 + sigma**2 + 1, rtol=1e-12)


def test_what_has_no_limit_is_refused():
    kernels = partial(convolutional_kernels, activation("tanh"))
    x = images(2, 4, 4, 1)
    x[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN or infinity"):
        kernels((1,), 0.0, x)
    for strides in ((), (0,)):
        with pytest.raises(InputError, match=r"^strides"):
            kernels(strides, 0.0, images(2, 4, 4, 1))
    with pytest.raises(InputError, match=r"^bias_std"):
        kernels((1,), -1.0, images(2, 4, 4, 1))
    for function in (lambda z: jnp.exp(z**2), lambda z: jnp.log(z), lambda z: z / 0.0):
        with pytest.raises(InputError, match=r"\(mine\) must have finite Gaussian moments"):
            convolutional_kernels(Activation("mine", function), (1,), 0.0, 9 * images(2, 4, 4, 1))
