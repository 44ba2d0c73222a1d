"""neural-tangents through the adapter, against formulas written out.

``make kernels-jax`` runs this on several releases of JAX.
"""

from __future__ import annotations

import functools
import math
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import ntkalign
from ntkalign.errors import InputError
from ntkalign.kernels import adapter
from ntkalign.kernels.adapter import jax_defaults

jax.config.update("jax_enable_x64", True)
nt = adapter.load()


def data(points, seed, inputs=5):
    return jnp.asarray(np.random.default_rng(seed).standard_normal((points, inputs)))


def network(nonlinearity, widths=(7, 6, 3), w_std=1.0, b_std=None):
    layers = []
    for width in widths:
        layers += [nt.stax.Dense(width, w_std, b_std, parameterization="ntk"), nonlinearity]
    return nt.stax.serial(*layers[:-1])


def erf_kernels(q11, q12, q22):
    """E[σ(u)σ(v)] and E[σ′(u)σ′(v)] for σ = erf: the arcsine kernel."""
    product = (1 + 2 * q11)[:, None] * (1 + 2 * q22)[None, :]
    return (
        2 / np.pi * np.arcsin(2 * q12 / np.sqrt(product)),
        4 / np.pi / np.sqrt(product - 4 * q12**2),
    )


def relu_kernels(q11, q12, q22):
    """The same for σ = max(0, ·): the arc-cosine kernels of order 1 and 0."""
    norm = np.sqrt(q11[:, None] * q22[None, :])
    cosine = np.clip(q12 / norm, -1, 1)
    angle = np.arccos(cosine)
    first = norm / (2 * np.pi) * (np.sin(angle) + (np.pi - angle) * cosine)
    return first, (np.pi - angle) / (2 * np.pi)


def sine_kernels(q11, q12, q22):
    """The same for σ = sin."""
    total = (q11[:, None] + q22[None, :]) / 2
    return np.exp(-total) * np.sinh(q12), np.exp(-total) * np.cosh(q12)


def closed_form(kernels, x, y, depth, w_std, b_std):
    """NNGP and NTK of a network of ``depth`` weight layers between the rows of x and of y."""
    both = np.concatenate([x, y])
    b = b_std or 0.0
    nngp = w_std**2 * both @ both.T / both.shape[1] + b**2
    ntk = nngp
    for _ in range(depth - 1):
        variances = np.diag(nngp)
        value, slope = kernels(variances, nngp, variances)
        nngp = w_std**2 * value + b**2
        ntk = nngp + w_std**2 * slope * ntk
    return nngp[: len(x), len(x) :], ntk[: len(x), len(x) :]


@pytest.mark.parametrize(("w_std", "b_std"), [(1.0, None), (1.4, 0.3)])
@pytest.mark.parametrize(
    ("layer", "kernels"),
    [("Erf", erf_kernels), ("Relu", relu_kernels), ("Sin", sine_kernels)],
)
def test_analytic_kernels_are_the_closed_forms(layer, kernels, w_std, b_std):
    x, y = data(6, seed=0), data(4, seed=1)
    *_, kernel = network(getattr(nt.stax, layer)(), w_std=w_std, b_std=b_std)
    nngp, ntk = closed_form(kernels, np.asarray(x), np.asarray(y), 3, w_std, b_std)
    found = kernel(x, y, ("nngp", "ntk"))
    assert found.nngp.dtype == found.ntk.dtype == jnp.float64
    np.testing.assert_allclose(found.nngp, nngp, rtol=1e-12)
    np.testing.assert_allclose(found.ntk, ntk, rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "kernels", "rtol"), [("Erf", erf_kernels, 1e-12), ("Relu", relu_kernels, 1e-7)]
)
def test_a_kernel_of_one_set_of_points_with_itself(layer, kernels, rtol):
    """ReLU's arc-cosine loses half the digits where two points coincide."""
    x = data(6, seed=0)
    *_, kernel = network(getattr(nt.stax, layer)(), b_std=0.2)
    nngp, ntk = closed_form(kernels, np.asarray(x), np.asarray(x), 3, 1.0, 0.2)
    found = jax.jit(lambda x: kernel(x, None, ("nngp", "ntk")))(x)
    np.testing.assert_allclose(found.nngp, nngp, rtol=rtol)
    np.testing.assert_allclose(found.ntk, ntk, rtol=rtol)


def test_any_nonlinearity_by_quadrature():
    """tanh: its kernels against Gauss–Hermite sums written out."""
    with pytest.warns(UserWarning, match="Numerical Activation Layer"):
        layer = nt.stax.ElementwiseNumerical(jnp.tanh, 60, lambda z: 1 - jnp.tanh(z) ** 2)
    x, y = data(3, seed=0), data(2, seed=1)
    *_, kernel = network(layer, widths=(7, 3))
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / math.sqrt(2 * math.pi)
    found = kernel(x, y, ("nngp", "ntk"))
    for i, a in enumerate(np.asarray(x)):
        for j, b in enumerate(np.asarray(y)):
            q11, q12, q22 = a @ a / 5, a @ b / 5, b @ b / 5
            u = math.sqrt(q11) * nodes[:, None]
            v = q12 / q11 * u + math.sqrt(q22 - q12**2 / q11) * nodes[None, :]
            value = weights @ (np.tanh(u) * np.tanh(v)) @ weights
            slope = weights @ (np.cosh(u) ** -2 * np.cosh(v) ** -2) @ weights
            assert found.nngp[i, j] == pytest.approx(value, rel=1e-7)
            assert found.ntk[i, j] == pytest.approx(value + slope * q12, rel=1e-6)


def test_the_kernel_of_slopes_alone():
    """A nonlinearity maps an NTK of ones to E[σ′(u)σ′(v)]."""
    x, y = data(6, seed=0), data(4, seed=1)
    *_, dense = nt.stax.Dense(1)
    *_, erf = nt.stax.Erf()
    before = dense(x, y)
    after = erf(before.replace(ntk=jnp.ones_like(before.nngp)))
    variances = [np.sum(np.asarray(points) ** 2, axis=1) / 5 for points in (x, y)]
    value, slope = erf_kernels(variances[0], np.asarray(x @ y.T) / 5, variances[1])
    np.testing.assert_allclose(after.nngp, value, rtol=1e-12)
    np.testing.assert_allclose(after.ntk, slope, rtol=1e-12)


@functools.cache
def finite():
    """A network of small widths: its function, parameters, and Jacobian as a matrix."""
    draw, apply, _ = network(nt.stax.Erf(), b_std=0.3)
    _, parameters = draw(jax.random.PRNGKey(1), (-1, 5))
    flat, unravel = jax.flatten_util.ravel_pytree(parameters)

    @jax.jit
    def jacobian(x):  # (P, C, parameters)
        return jax.jacobian(lambda p: apply(unravel(p), x))(flat)

    return apply, parameters, lambda x: np.asarray(jacobian(x))


@pytest.mark.parametrize("vmap_axes", [None, 0])
@pytest.mark.parametrize("implementation", ["JACOBIAN_CONTRACTION", "NTK_VECTOR_PRODUCTS"])
def test_the_empirical_ntk_contracts_jacobians(implementation, vmap_axes):
    x, y = data(4, seed=0), data(3, seed=1)
    apply, parameters, jacobian = finite()
    options = {"vmap_axes": vmap_axes, "implementation": nt.NtkImplementation[implementation]}
    full = jax.jit(nt.empirical_ntk_fn(apply, trace_axes=(), **options))
    expected = np.einsum("pcw,qdw->pqcd", jacobian(x), jacobian(y))
    np.testing.assert_allclose(full(x, y, parameters), expected, rtol=1e-11, atol=1e-13)
    traced = jax.jit(nt.empirical_ntk_fn(apply, **options))  # the mean over outputs
    expected = np.einsum("pcw,qcw->pq", jacobian(x), jacobian(x)) / 3
    np.testing.assert_allclose(traced(x, None, parameters), expected, rtol=1e-11, atol=1e-13)


def test_the_default_implementation_is_one_that_works():
    x = data(4, seed=0)
    apply, parameters, jacobian = finite()
    expected = np.einsum("pcw,qcw->pq", jacobian(x), jacobian(x)) / 3
    ntk = nt.empirical_ntk_fn(apply)(x, None, parameters)
    np.testing.assert_allclose(ntk, expected, rtol=1e-11, atol=1e-13)
    nngp, ntk = nt.empirical_kernel_fn(apply)(x, None, ("nngp", "ntk"), parameters)
    np.testing.assert_allclose(ntk, expected, rtol=1e-11, atol=1e-13)
    f = np.asarray(apply(parameters, x))
    np.testing.assert_allclose(nngp, f @ f.T / 3, rtol=1e-11)


def test_products_of_the_ntk_with_a_vector():
    x, y, e = data(4, seed=0), data(3, seed=1), data(3, seed=2, inputs=3)
    apply, parameters, jacobian = finite()
    found = nt.empirical_ntk_vp_fn(apply, x, y, parameters)(e)
    expected = np.einsum("pcw,qdw,qd->pc", jacobian(x), jacobian(y), np.asarray(e))
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_a_wide_network_has_the_analytic_kernel():
    """Monte Carlo: 200 networks of width 512; the spread of their mean is some 1 %."""
    x = data(3, seed=0)
    draw, apply, kernel = network(nt.stax.Erf(), widths=(512, 1))
    key = jax.random.PRNGKey(0)
    sampled = nt.monte_carlo_kernel_fn(draw, apply, key, 200, vmap_axes=0, implementation=2)
    np.testing.assert_allclose(sampled(x, None, "ntk"), kernel(x, None, "ntk"), atol=0.03)


def test_a_kernel_in_batches_is_the_same():
    x, y = data(6, seed=0), data(4, seed=1)
    *_, kernel = network(nt.stax.Relu())
    batched = nt.batch(kernel, batch_size=2, device_count=0)
    np.testing.assert_allclose(batched(x, y, "ntk"), kernel(x, y, "ntk"), rtol=1e-13)


def test_gradient_flow_of_an_mse_is_a_matrix_exponential():
    """neural-tangents divides the squared error by twice the number of labels."""
    x, x_test, y = data(6, seed=0), data(4, seed=1), data(6, seed=2, inputs=2)
    f, f_test = data(6, seed=3, inputs=2), data(4, seed=4, inputs=2)
    *_, kernel = network(nt.stax.Erf())
    k, k_test = (np.asarray(kernel(a, x, "ntk")) for a in (x, x_test))
    predict = nt.predict.gradient_descent_mse(kernel(x, None, "ntk"), y, learning_rate=0.7)
    for t in (0.0, 3.0, 300.0):
        decay = scipy.linalg.expm(-0.7 * t / y.size * k)
        seen = decay @ (f - y)
        unseen = f_test - k_test @ np.linalg.solve(k, (np.eye(6) - decay) @ (f - y))
        train, test = predict(t, f, f_test, jnp.asarray(k_test))
        np.testing.assert_allclose(train, y + seen, rtol=1e-9)
        np.testing.assert_allclose(test, unseen, rtol=1e-9)
    _, test = predict(None, f, f_test, jnp.asarray(k_test))
    np.testing.assert_allclose(test, f_test - k_test @ np.linalg.solve(k, f - y), rtol=1e-9)


def test_predictions_from_a_kernel_that_is_being_traced():
    """And what one made outside of a trace keeps may be used inside and outside alike."""
    x, y = data(4, seed=0), data(4, seed=2, inputs=2)
    *_, kernel = network(nt.stax.Erf())
    kernels = jnp.stack([kernel(s * x, None, "ntk") for s in (0.5, 1.0, 2.0)])

    def trained(k, time):
        return nt.predict.gradient_descent_mse(k, y)(time, 0.0)

    for time in (2.0, None):
        expected = jnp.stack([trained(k, time) for k in kernels])
        found = jax.vmap(lambda k, time=time: trained(k, time))(kernels)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    compiled = jax.jit(trained)(kernels[0], 2.0)
    np.testing.assert_allclose(compiled, trained(kernels[0], 2.0), rtol=1e-9)
    predict = nt.predict.gradient_descent_mse(kernels[0], y)
    np.testing.assert_allclose(jax.jit(predict)(2.0, 0.0), predict(2.0, 0.0), rtol=1e-9)


def test_the_largest_learning_rate():
    x = data(6, seed=0)
    *_, kernel = network(nt.stax.Erf())
    ntk = kernel(x, None, "ntk")
    found = nt.predict.max_learning_rate(ntk, y_train_size=12, eps=0.0)
    assert found == pytest.approx(2 * 12 / np.linalg.eigvalsh(ntk)[-1], rel=1e-12)


def test_kernel_regression_with_the_limit_of_training():
    """The mean of the Gaussian process and of infinitely wide networks trained for ever."""
    x, x_test, y = data(6, seed=0), data(4, seed=1), data(6, seed=2, inputs=2)
    *_, kernel = network(nt.stax.Erf())
    predict = nt.predict.gradient_descent_mse_ensemble(kernel, x, y)
    for get in ("nngp", "ntk"):
        k, k_test = (np.asarray(kernel(a, x, get)) for a in (x, x_test))
        mean = predict(t=None, x_test=x_test, get=get)
        np.testing.assert_allclose(mean, k_test @ np.linalg.solve(k, y), rtol=1e-9)


def test_linearize_is_the_first_order_taylor_series():
    x = data(4, seed=0)
    apply, parameters, jacobian = finite()
    step = jax.tree_util.tree_map(
        lambda p: 0.1 * jnp.cos(jnp.arange(p.size)).reshape(p.shape), parameters
    )
    moved = jax.tree_util.tree_map(jnp.add, parameters, step)
    flat = np.asarray(jax.flatten_util.ravel_pytree(step)[0])
    expected = np.asarray(apply(parameters, x)) + jacobian(x) @ flat
    np.testing.assert_allclose(nt.linearize(apply, parameters)(moved, x), expected, rtol=1e-12)
    first = nt.taylor_expand(apply, parameters, 1)(moved, x)
    np.testing.assert_allclose(first, expected, rtol=1e-12)
    errors = [
        np.linalg.norm(nt.taylor_expand(apply, parameters, n)(moved, x) - apply(moved, x))
        for n in (0, 1, 2, 3)
    ]
    assert errors == sorted(errors, reverse=True)


def test_strict_promotion_is_relaxed_by_jax_defaults():
    """Only a few parts of neural-tangents need it: the other tests do without."""
    x, times = data(4, seed=0), jnp.asarray([0.0, 1.0, 10.0])
    *_, kernel = network(nt.stax.Erf())
    *_, monomial = network(nt.stax.RectifiedMonomial(2))
    predict = nt.predict.gradient_descent_mse(kernel(x, None, "ntk"), x)
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        with pytest.raises(ValueError, match="jax_numpy_rank_promotion"):
            predict(times, 0.0)
        with pytest.raises(ValueError, match="jax_numpy_dtype_promotion"):
            monomial(x, None, "ntk")
        with jax_defaults():
            assert predict(times, 0.0).shape == (3, 4, 5)
            assert monomial(x, None, "ntk").shape == (4, 4)
        with pytest.raises(ValueError, match="jax_numpy_rank_promotion"):
            jnp.ones((2, 3)) + jnp.ones(3)


UNTOUCHED = """
import warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffrax  # equinox asks some releases of JAX for what they call deprecated

import builtins, importlib, pickle, sys, threading
import jax, jax.core, jax.example_libraries.stax, jax.experimental.ode, jax.extend.core
import jax.extend.linear_util, jax.flatten_util, jax.interpreters.ad
import jax.numpy as jnp
import scipy.linalg, scipy.special
import ntkalign.kernels.adapter

jax.config.update("jax_enable_x64", True)

def namespaces():
    return {name: dict(vars(module)) for name, module in list(sys.modules.items())
            if name.split(".")[0] in ("jax", "jaxlib", "scipy", "builtins", "importlib")}

def compare(before, after):
    for name, names in before.items():
        now = after[name]
        added = [n for n in now if n not in names and f"{name}.{n}" not in sys.modules]
        changed = added + [n for n in names if n not in now or names[n] is not now[n]]
        assert not changed, (name, changed)

before, finders, had_util = namespaces(), list(sys.meta_path), "jax.util" in sys.modules
found, start = [], threading.Barrier(4)

def ask():
    start.wait()
    found.append(ntkalign.kernels.adapter.load())

threads = [threading.Thread(target=ask) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
nt = found[0]
assert len(found) == 4 and all(other is nt for other in found)
compare(before, namespaces())
assert sys.meta_path == finders

import neural_tangents
assert neural_tangents is nt
assert pickle.loads(pickle.dumps(nt.stax.Padding.SAME)) is nt.stax.Padding.SAME

x = jnp.ones((2, 3)) * jnp.arange(2.0)[:, None]
draw, apply, kernel = nt.stax.serial(nt.stax.Dense(4), nt.stax.Erf(), nt.stax.Dense(1))
_, parameters = draw(jax.random.PRNGKey(0), x.shape)
assert kernel(x, None, "ntk").shape == (2, 2)
for implementation in (1, 2):
    ntk = nt.empirical_ntk_fn(apply, implementation=implementation)
    assert ntk(x, None, parameters).shape == (2, 2)
assert ("jax.util" in sys.modules) == had_util
assert "tensorflow" not in sys.modules and "tf2jax" not in sys.modules
"""


def test_jax_is_left_as_it_was_and_tensorflow_is_not_imported(tmp_path):
    for name in ("tensorflow", "tf2jax"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('imported')")
    root = Path(ntkalign.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", UNTOUCHED],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [0, 3])
def test_structured_derivatives_say_that_they_cannot_work(number):
    apply, *_ = finite()
    draw, *_ = network(nt.stax.Erf())
    name = {0: "AUTO", 3: "STRUCTURED_DERIVATIVES"}[number]
    text = rf"^implementation \({name}\) must be JACOBIAN_CONTRACTION \(1\) or NTK_VECTOR_PRODUCTS"
    for implementation in (number, nt.NtkImplementation(number)):
        with pytest.raises(InputError, match=text) as caught:
            nt.empirical_ntk_fn(apply, implementation=implementation)
        assert "\n" not in str(caught.value)
        with pytest.raises(InputError, match=text):
            nt.empirical_kernel_fn(apply, implementation=implementation)
        key = jax.random.PRNGKey(0)
        with pytest.raises(InputError, match=text):
            nt.monte_carlo_kernel_fn(draw, apply, key, 1, implementation=implementation)


def test_experimental_says_that_it_cannot_work():
    text = (
        r"^nt\.experimental \(empirical_ntk_fn_tf\) must not be used; .* TensorFlow is left out; do"
    )
    with pytest.raises(InputError, match=text):
        nt.experimental.empirical_ntk_fn_tf(None)
    with pytest.raises(AttributeError, match=text):
        nt.experimental.empirical_ntk_fn_tf(None)
    assert not hasattr(nt.experimental, "get_apply_fn_and_params")


def test_an_old_jax_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "__version_info__", (0, 4, 35))
    monkeypatch.setattr(jax, "__version__", "0.4.35")
    text = r"^jax \(0\.4\.35\) must be 0\.4\.36 or later; got 0\.4\.35; because .*; do: pip install"
    with pytest.raises(InputError, match=text):
        adapter.load()


def test_without_neural_tangents_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "neural_tangents", None)
    text = r"^neural_tangents \(not installed\) must be release 0\.6\.5 .*; got no such package; "
    with pytest.raises(InputError, match=text):
        adapter.load()


def test_what_neural_tangents_needs_may_be_missing(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "neural_tangents"]:
        monkeypatch.delitem(sys.modules, name)
    finders = list(sys.meta_path)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "frozendict", None)
        text = r"^neural_tangents \(installed\) must be .* got ModuleNotFoundError: .*frozendict"
        with pytest.raises(InputError, match=text):
            adapter.load()
    assert sys.meta_path == finders
    assert adapter.load().stax  # what the failed attempt left behind does no harm


def test_the_package_exports_it():
    from ntkalign.kernels import nt as exported

    assert exported is nt
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ntkalign.kernels.nothing  # noqa: B018
