"""The main job: measure every claim, judge it, and say where the numbers came from."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import subprocess
import time as clock
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import pandas as pd

from ntkalign import data as data_module
from ntkalign.claims import MAIN, Finding, answer, questions
from ntkalign.horizon import choose_time
from ntkalign.settings import Settings
from ntkalign.sweep import Cell, run_sweep
from ntkalign.version import __version__


@dataclass(frozen=True)
class Verification:
    """What a run found.

    Attributes:
        config: all settings as plain values, with the training time that was used.
        environment: versions, device, precision, revision, seconds, memory.
        findings: the claims, then the controls.
        table: the tidy table of measurements.
    """

    config: dict[str, object]
    environment: dict[str, object]
    findings: tuple[Finding, ...]
    table: pd.DataFrame

    @property
    def claims(self) -> tuple[Finding, ...]:
        """The answers to what the paper claims."""
        return tuple(f for f in self.findings if not f.question.control)

    @property
    def controls(self) -> tuple[Finding, ...]:
        """The answers for what must not hold."""
        return tuple(f for f in self.findings if f.question.control)

    @property
    def passed_controls(self) -> tuple[Finding, ...]:
        """Controls that were found to hold: then the check proves nothing."""
        return tuple(f for f in self.controls if f.verdict == "holds")

    @property
    def failures(self) -> list[str]:
        """One line for each flow that failed: which, and why."""
        failed = self.table[self.table["status"] != "ok"]
        cells = failed[["family", "width", "seed", "rule", "status"]].drop_duplicates()
        return [
            f"{family} network, width {width}, seed {seed}, rule {rule}: {status}"
            for family, width, seed, rule, status in cells.itertuples(index=False)
        ]


def verify(
    settings: Settings | None = None,
    *,
    claims: Iterable[str] = (),
    cells: Path | None = None,
    fresh: bool = False,
    progress: Callable[[Cell, int, int], None] = lambda cell, done, total: None,
) -> Verification:
    """Measure claims and judge them.

    Args:
        settings: what to run; the defaults if None.
        claims: ids of the claims to ask about; all if empty.
        cells: a folder where finished networks are stored and looked for; None stores nothing.
        fresh: ignore what is stored there.
        progress: called when a network is finished, with it, how many are done and how many
            there are.

    Raises:
        InputError: if the settings or the data cannot be used.
    """
    began = clock.monotonic()
    settings = (settings or Settings()).checked()
    data = data_module.load(
        settings.data,
        points=settings.points,
        inputs=settings.inputs,
        outputs=settings.outputs,
        directory=settings.data_dir,
    )
    if settings.time is None:
        settings = replace(settings, time=choose_time(settings.family, data))
    assert settings.time is not None
    asked = questions(settings.family, settings.rules, claims)
    sweep = run_sweep(settings, data, settings.time, asked, cells, fresh=fresh, progress=progress)
    findings = tuple(
        answer(
            q,
            sweep.table,
            assumptions_met=q.family == MAIN and settings.family.meets_assumptions,
            confidence=settings.confidence,
        )
        for q in asked
    )
    config = settings.as_json() | {"inputs": data.x.shape[1], "outputs": data.y.shape[1]}
    environment = _environment() | {
        "seconds": round(clock.monotonic() - began, 1),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "flows": _flows(sweep.table),
        "networks_measured": sweep.measured,
        "networks_reused": sweep.reused,
    }
    return Verification(config, environment, findings, sweep.table)


def _flows(table: pd.DataFrame) -> dict[str, object]:
    """How many flows each engine ran, its iterations or steps, and the largest stated error."""
    steps = {e: table[table["quantity"] == f"{e}-steps"]["value"] for e in ("spectral", "dense")}
    stated = table[table["quantity"] == "estimated-error"]["value"]
    return {
        **{engine: len(values) for engine, values in steps.items()},
        **{f"{e}_steps": int(values.sum()) for e, values in steps.items()},
        "largest_stated_error": float(stated.max()) if len(stated) else None,
    }


def _environment() -> dict[str, object]:
    packages = ("jax", "diffrax", "numpy", "scipy", "pandas", "scikit-learn")
    return {
        "versions": {
            "ntkalign": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
        },
        "device": str(jax.devices()[0].device_kind),
        "precision": "float64",
        "git_revision": _revision(),
    }


def _revision() -> str | None:
    """The commit of the source tree that is running, with + if it was changed since."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
