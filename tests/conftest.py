"""Shapes are checked while the tests run; JAX is as strict as it can be."""

from __future__ import annotations

import math
import os
from importlib.metadata import version
from pathlib import Path

from tests import compiled

# Most of the time goes into compiling small programs: the quickest that run will do. XLA ends the
# process at a flag that it does not know, and older ones do not know all of these.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    + " --xla_cpu_use_fusion_emitters=false --xla_llvm_disable_expensive_passes=true"
    * version("jax").startswith("0.10."),
)

os.environ.update(compiled.variables())

import jax
import jaxtyping
import pytest
import threadpoolctl
from hypothesis import HealthCheck, Phase, settings

jaxtyping.install_import_hook("ntkalign", "beartype.beartype")  # before any of it is loaded

from ntkalign import plugins  # noqa: E402
from tests.memory import forget_programs  # noqa: E402
from tests.slow import SLOW  # noqa: E402

threadpoolctl.threadpool_limits(1, user_api="blas")  # tests run side by side
jax.config.update("jax_enable_x64", True)  # what tests compute by themselves is float64
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

for profile, count in {"derandomised": 6, "fast": 2}.items():
    settings.register_profile(
        profile,
        derandomize=True,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],  # each new shape compiles: shrinking is too slow
        database=None,
        max_examples=count,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.register_profile("deep", deadline=None, print_blob=True, max_examples=80,
                          suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "derandomised"))


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests."""
    for item in items:
        if item.nodeid.removeprefix("tests/").startswith(SLOW):
            item.add_marker(pytest.mark.slow)


def pytest_runtest_setup() -> None:
    """Before each test, with its fixtures."""
    forget_programs()


@pytest.fixture(autouse=True)
def computed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that do not say where to compute do it in the test's process, which is patched."""
    monkeypatch.setattr("ntkalign.runs.schedulers.automatic.SMALL", math.inf)


@pytest.fixture(scope="session")
def image_files() -> Path:
    """The folder of real image sets beside the repository, where there is one."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no image sets beside the repository")
    return folder


@pytest.fixture
def own_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers, and the plugins it loads, are forgotten after it."""
    for registry in plugins.REGISTRIES:
        monkeypatch.setattr(registry, "_things", dict(registry))
    monkeypatch.setattr(plugins, "_LOADED", {})
