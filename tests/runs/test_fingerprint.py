"""What moves the name of a network's numbers, and what does not."""

from __future__ import annotations

import ast
import shutil
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ntkalign import Settings
from ntkalign.cells.cell import Cell
from ntkalign.data.catalogue import Data
from ntkalign.networks.activations import lookup as activation
from ntkalign.runs import fingerprint as module
from ntkalign.runs.fingerprint import (
    DECIDING,
    DECIDING_FLOWS,
    computed_by,
    deciding_files,
    fingerprint,
    package,
    sources,
    switches,
)  # fmt: skip
from ntkalign.runs.sweep import specify

DATA = Data("trial", np.eye(3), np.eye(3))
ONE = specify(Settings(points=3, time=1.0), "theory", DATA, Cell("main", 8, 0))
PARTS = sorted(
    p.name for p in package().iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = tmp_path_factory.mktemp("copy") / "ntkalign"
    shutil.copytree(package(), root)
    return root


@pytest.mark.parametrize("part", PARTS)
def test_a_change_of_a_source_moves_it_in_the_folders_that_decide_and_no_other(copy, part):
    before = sources(copy)
    files = sorted((copy / part).rglob("*.py")) if (copy / part).is_dir() else [copy / part]
    for file in files:
        text = file.read_text()
        file.write_text(text + "# a change\n")
        assert (sources(copy) != before) == (part in DECIDING), file
        file.write_text(text)
    assert sources(copy) == before


def test_moving_or_renaming_a_source_moves_it_and_moving_the_package_does_not(copy, tmp_path):
    before = sources(copy)
    assert sources(package()) == before
    source = copy / "flow" / "dense.py"
    source.rename(copy / "flow" / "renamed.py")
    assert sources(copy) != before
    (copy / "flow" / "renamed.py").rename(source)
    assert sources(copy) == before


@pytest.mark.parametrize(("start", "deciding"), [("cells", DECIDING), ("flow", DECIDING_FLOWS)])
def test_all_code_that_a_network_runs_through_decides(start, deciding):
    """Follow every import: nothing is reached that is not hashed, but for data, and for writing."""
    root, reached = package(), set()
    todo = sorted((root / start).rglob("*.py"))
    while todo:
        file = todo.pop()
        if file in reached:
            continue
        reached.add(file)
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
            elif isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            for name in names:
                parts = name.split(".")
                if parts[0] == "ntkalign" and len(parts) > 1:
                    path = root.joinpath(*parts[1:])
                    todo += [
                        p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()
                    ]
    assert len(reached) > 20
    hashed = set(deciding_files(root, deciding))
    others = {f.relative_to(root).parts[0] for f in reached - hashed}
    assert others <= {"data", "databases.py", "files.py", "programs.py"}  # none computes


def test_every_part_of_a_specification_moves_it():
    family = ONE.family
    others = {
        "experiment": "kernels",
        "cell": [Cell("bottleneck", 8, 0), Cell("main", 16, 0), Cell("main", 8, 1)],
        "family": [
            replace(family, depth=4), replace(family, activation=activation("erf")),
            replace(family, multipliers=(1, 2)), replace(family, bias_std=0.1),
            replace(family, bottleneck=4), replace(family, output_exponent=-0.5),
        ],
        "data": [Data("trial", 2 * np.eye(3), np.eye(3)), Data("trial", np.eye(3), 2 * np.eye(3)),
                 Data("trial", np.eye(3)[::-1], np.eye(3)),
                 Data("trial", np.eye(3).reshape(1, 9), np.eye(3).reshape(1, 9))],
        "points": 2, "times": (0.5, 2.0), "initial_outputs": "zero",
        "engine": "dense", "tolerance": 1e-7,
    }  # fmt: skip
    assert set(others) == {f.name for f in fields(ONE)}
    assert {f.name for f in fields(family)} == {
        "depth", "activation", "multipliers", "bias_std", "bottleneck", "output_exponent",
    }  # fmt: skip
    names = {fingerprint(ONE, {})}
    changed = [
        replace(ONE, **{name: value})
        for name, values in others.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    names |= {fingerprint(other, {}) for other in changed}
    assert len(names) == len(changed) + 1
    renamed = replace(ONE, data=replace(DATA, name="the same points"))
    assert fingerprint(renamed, {}) == fingerprint(ONE, {})


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("jax_default_prng_impl", "rbg"),
        ("jax_threefry_partitionable", not jax.config.jax_threefry_partitionable),
        ("jax_default_matmul_precision", "bfloat16"),
        ("jax_numpy_dtype_promotion", "standard"),
        ("jax_numpy_rank_promotion", "allow"),
        ("jax_random_seed_offset", 7),
        ("jax_disable_jit", True),
        ("jax_enable_x64", False),
    ],
)
def test_switches_that_change_numbers_move_it(flag, value):
    before, was = computed_by(), getattr(jax.config, flag)
    jax.config.update(flag, value)
    try:
        assert fingerprint(ONE, computed_by()) != fingerprint(ONE, before)
    finally:
        jax.config.update(flag, was)
    assert computed_by() == before


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("jax_compilation_cache_dir", "somewhere"),
        ("jax_persistent_cache_min_compile_time_secs", 0.0),
        ("jax_log_compiles", True),
        ("jax_traceback_filtering", "off"),
        ("jax_debug_log_modules", ""),
    ],
)
def test_switches_that_only_say_where_to_look_do_not(flag, value):
    before, was = switches(), getattr(jax.config, flag)
    jax.config.update(flag, value)
    try:
        assert switches() == before
    finally:
        jax.config.update(flag, was)


def test_flags_of_the_compiler_packages_and_devices_move_it(monkeypatch):
    names = [fingerprint(ONE, computed_by())]
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    names.append(fingerprint(ONE, computed_by()))
    monkeypatch.setattr(module.importlib.metadata, "version", lambda name: "0.0.1")
    names.append(fingerprint(ONE, computed_by()))
    monkeypatch.setattr(module, "devices", lambda: [SimpleNamespace(device_kind="another")])
    names.append(fingerprint(ONE, computed_by()))
    monkeypatch.setattr(module, "devices", lambda: 2 * [SimpleNamespace(device_kind="another")])
    names.append(fingerprint(ONE, computed_by()))
    monkeypatch.setenv("NTKALIGN_NO_SUCH_VARIABLE", "1")
    assert fingerprint(ONE, computed_by()) == names[-1]
    assert len(set(names)) == len(names)


def test_the_package_is_found_where_it_is():
    assert package() == Path(module.__file__).parents[1]
    missing = [n for n in (*DECIDING, *DECIDING_FLOWS) if not (package() / n).exists()]
    assert missing in ([], ["precision.py"])
