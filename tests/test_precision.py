"""Importing changes nothing in JAX; float64 is a scope; other code keeps its precision.

What must be seen in a process whose JAX is as it comes is run in one of its own: the tests' is in
float64.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntkalign
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.precision import _enable_x64, as_given, float64, in_float64
from tests.cases import make

ROOT = Path(ntkalign.__file__).parents[1]
FLAGS = ("JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION", "JAX_NUMPY_DTYPE_PROMOTION")


def run(*command, **variables):
    """What Python prints in a fresh process, whose JAX has its defaults."""
    kept = {name: value for name, value in os.environ.items() if name not in FLAGS}
    done = subprocess.run(
        [sys.executable, *command], env=kept | variables, cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- importing ------------------------------------------------------------------------------

IMPORTED = """
import importlib, json, sys
import jax
before = dict(jax.config.values)
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    [getattr(module, public) for public in getattr(module, "__all__", ())]
print(json.dumps([n for n, v in before.items() if jax.config.values[n] != v]))
"""
"""Prints which of JAX's flags the modules named have changed."""


def modules():
    """Every module of the package, by its file."""
    files = sorted((ROOT / "ntkalign").rglob("*.py"))
    parts = [file.relative_to(ROOT).with_suffix("").parts for file in files]
    return [".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts]


def test_importing_every_module_changes_nothing_in_jax():
    """No device is asked for either: there is none of this name."""
    names = modules()
    assert {"ntkalign", "ntkalign.cli.main", "ntkalign.flow.dense"} <= set(names)
    assert json.loads(run("-c", IMPORTED, *names, JAX_PLATFORMS="nowhere")) == []


@pytest.mark.parametrize(
    ("flag", "value"), [("jax_enable_x64", True), ("jax_default_matmul_precision", "high")]
)
def test_a_module_that_changes_jax_would_be_noticed(flag, value, tmp_path):
    (tmp_path / "meddler.py").write_text(
        f"import jax; jax.config.update({flag!r}, {value!r})\n", encoding="utf-8"
    )
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    assert json.loads(run("-c", IMPORTED, "meddler", PYTHONPATH=path)) == [flag]


def test_a_module_that_asks_for_a_device_would_be_noticed(tmp_path):
    (tmp_path / "asker.py").write_text("import jax; jax.random.key(0)\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="nowhere"):
        run("-c", IMPORTED, "asker", JAX_PLATFORMS="nowhere", PYTHONPATH=str(tmp_path))


@pytest.mark.parametrize(
    "module",
    [
        "ntkalign",
        "ntkalign.errors",
        "ntkalign.registry",
        "ntkalign.statistics.rates",
        "ntkalign.data.catalogue",
        "ntkalign.testing",
    ],
)
def test_what_needs_no_jax_imports_none(module):
    assert run("-c", f"import sys, {module}; print('jax' in sys.modules)").strip() == "False"


def test_public_names_are_declared_alike_for_programs_and_for_type_checkers():
    tree = ast.parse((ROOT / "ntkalign" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    declared = {a.asname: node.module for node in block.body for a in node.names}
    assert declared == ntkalign._HOME
    assert sorted(declared) == ntkalign.__all__
    assert set(ntkalign.__all__) <= set(dir(ntkalign))
    for name, module in declared.items():
        assert getattr(ntkalign, name) is getattr(sys.modules[module], name)
    with pytest.raises(AttributeError, match="module 'ntkalign' has no attribute 'nothing'"):
        ntkalign.nothing  # noqa: B018


# --- the scope ------------------------------------------------------------------------------


def flags():
    """What decides precision here and now, and what comes of it."""
    return (
        jax.config.jax_enable_x64,
        jax.config.jax_default_matmul_precision,
        str(jnp.ones(1).dtype),
    )


@pytest.fixture
def plain():
    """JAX as it comes, in this thread."""
    with _enable_x64(False):
        before = flags()
        assert before == (False, None, "float32")
        yield before
        assert flags() == before


INSIDE = (True, "highest", "float64")


def test_a_scope_can_be_entered_again_and_is_left_one_by_one(plain):
    with float64():
        with float64():
            assert flags() == INSIDE
        assert flags() == INSIDE
        assert in_float64(flags)() == INSIDE
        assert flags() == INSIDE
    assert flags() == plain


def test_an_exception_leaves_the_scope(plain):
    def fail():
        assert flags() == INSIDE
        raise KeyError("on purpose")

    for function in (in_float64(fail), lambda: in_float64(in_float64(fail))()):
        with pytest.raises(KeyError, match="on purpose"):
            function()
        assert flags() == plain
    with pytest.raises(KeyError, match="on purpose"), float64():
        raise KeyError("on purpose")


def test_what_runs_in_pieces_is_refused():
    def pieces():
        yield flags()

    async def later():
        return flags()

    for function in (pieces, later):
        with pytest.raises(TypeError, match=f"{function.__name__} must return its result; it runs"):
            in_float64(function)


def test_a_scope_is_of_one_thread(plain):
    with ThreadPoolExecutor(1) as pool, float64():
        outside = pool.submit(flags).result()
        assert pool.submit(in_float64(flags)).result() == INSIDE
        assert pool.submit(flags).result() == outside
        assert outside[1] is None  # the other thread has the process's flags
        assert flags() == INSIDE


def test_a_decorated_function_is_called_as_before():
    @in_float64
    def power(base, *, exponent=2):
        """What it does."""
        return base**exponent

    assert (power(3), power(3, exponent=3)) == (9, 27)
    assert (power.__name__, power.__doc__) == ("power", "What it does.")


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_compiled_programs_of_one_precision_never_serve_the_other(name, plain):
    """Both orders: what was compiled first must not be met again."""
    compiled = jax.jit(lambda z: ACTIVATIONS[name].function(z) / 3)
    values = np.linspace(-2, 2, 7)
    for order in ((False, True), (True, False)):
        function = jax.jit(lambda z: ACTIVATIONS[name].function(z) / 3) if order[0] else compiled
        for double in (*order, *order):
            found = in_float64(function)(values) if double else function(values)
            assert found.dtype == (jnp.float64 if double else jnp.float32)


def test_networks_compute_in_the_precision_of_what_they_are_given(plain):
    case = make((3, 5, 4, 2), bias_std=0.3)
    wide = case.network.initialise(jax.random.key(0))
    narrow = jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float32)), wide)
    x = np.linspace(-1, 1, 12).reshape(4, 3)
    with float64():
        x64 = jnp.asarray(x)
    x32 = jnp.asarray(x)
    for parameters, data, dtype in ((narrow, x32, "float32"), (wide, x64, "float64")):
        found = case.network.forward(parameters, data)
        signals = ntkalign.backpropagate(found, found, found.output)
        assert {str(a.dtype) for a in jax.tree.leaves((found, signals))} == {dtype}
    assert as_given(jnp.sin)(x).dtype == jnp.float32  # NumPy's arrays are as JAX takes them


# --- everything that computes ---------------------------------------------------------------


@cache
def entries(*arguments, **variables):
    """What :mod:`tests.float64_entries` prints."""
    return json.loads(run("-W", "ignore", "-m", "tests.float64_entries", *arguments, **variables))


def test_every_entry_computes_what_it_does_in_float64_for_good():
    """To the last bit, and every scope of the package is entered by the way."""
    scoped, always = entries(), entries(JAX_ENABLE_X64="1")
    assert scoped["found"] == always["found"]
    assert scoped["unused"] == []
    for name, (types, _) in scoped["found"].items():
        assert "float64" in types, name
        assert set(types) <= {"float64", "float32", "bool"}, name  # weights may be float32


def test_the_users_own_computation_stays_as_it_is():
    """In float32, with one result: before, between, after and meanwhile in another thread."""
    seen = entries()["user"]
    assert len(seen) > 5
    assert [types for types, _ in seen] == [["float32"]] * len(seen)
    assert len({numbers for _, numbers in seen}) == 1


def test_without_scopes_every_entry_would_compute_something_else():
    scoped, bare = entries()["found"], entries("unscoped")["found"]
    same = [name for name in scoped if scoped[name] == bare[name]]
    assert same == ["choose_time"]  # two digits of a time do not show it
