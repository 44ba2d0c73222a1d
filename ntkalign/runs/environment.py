"""Where a run took place: what computed, on what, and what that took; without names.

All that another person needs to judge whether numbers can be expected again to the last bit: the
code and the packages, the device, the processor and the libraries that multiply for it, the
switches of JAX and XLA, the data's digest. No host, no user and no folder is named: whatever looks
like a place is left out.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_info

from ntkalign.cells.specification import digest
from ntkalign.data.catalogue import Data
from ntkalign.machine import peak_memory
from ntkalign.plugins import loaded
from ntkalign.runs.fingerprint import PACKAGES
from ntkalign.runs.source_tree import running, text_digest
from ntkalign.values import placeless
from ntkalign.version import __version__

VERSIONS = (
    *PACKAGES, "pandas", "scikit-learn", "distributed", "jax-cuda12-plugin", "jax-cuda13-plugin",
)  # fmt: skip
"""Packages that decide numbers, or what is made of them; those that are there are told."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
"""Variables that should change no number; if ever one does, it must be known."""


@dataclass(frozen=True)
class Flows:
    """How many flows each engine ran, its iterations or steps, and the largest stated error."""

    spectral: int = 0
    dense: int = 0
    spectral_steps: int = 0
    dense_steps: int = 0
    largest_stated_error: float | None = None

    @classmethod
    def of(cls, table: pd.DataFrame) -> Flows:
        """From the table of measurements."""

        def values(quantity: str) -> pd.Series:
            return table["value"][table["quantity"] == quantity]

        spectral, dense = values("spectral-steps"), values("dense-steps")
        stated = values("estimated-error")
        largest = float(stated.max()) if len(stated) else None
        return cls(len(spectral), len(dense), int(spectral.sum()), int(dense.sum()), largest)


@dataclass(frozen=True)
class Environment:
    """Where a run took place and what it took; what an older report does not say is empty.

    Attributes:
        versions: of Python and of packages.
        device: which one computed.
        precision: of the measurements.
        git_revision: the commit of the package's own source tree, with + if it was changed since;
            None if the code runs from elsewhere.
        tree_is_clean: whether nothing was changed since.
        code: a hash of the running code's text, wherever it is.
        date: when the run began, UTC.
        processor: what it calls itself.
        system: the operating system and the kind of processor.
        cores: that the process may use.
        memory_mib: that the machine has.
        libraries: those for linear algebra, with the kind of processor that they are for.
        variables: of the environment, that compilers and libraries look at.
        switches: of JAX, those that may change numbers.
        data: digests of what was computed on, by what it is.
        seconds: from its beginning to its end.
        peak_memory_mib: of the process that took most.
        flows: how many there were.
        networks_measured: of which something was measured.
        networks_reused: that were stored before.
        plugins: files of the user's own that were loaded: name, digest, what each registered.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = "unknown"
    precision: str = "float64"
    git_revision: str | None = None
    tree_is_clean: bool | None = None
    code: str | None = None
    date: str | None = None
    processor: str | None = None
    system: str | None = None
    cores: int | None = None
    memory_mib: int | None = None
    libraries: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    switches: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    peak_memory_mib: int = 0
    flows: Flows = field(default_factory=Flows)
    networks_measured: int = 0
    networks_reused: int = 0
    plugins: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def here(
        cls, context: Mapping[str, Any], data: Mapping[str, str], precision: str = "float64"
    ) -> Environment:
        """This process, now that a run begins in it.

        Args:
            context: what computes, here or in other processes
                (:func:`ntkalign.runs.fingerprint.computed_by`).
            data: digests of what is computed on.
            precision: of what is computed.

        Returns:
            All but what the run will take.
        """
        tree = running()
        return cls(
            versions=dict(_versions()),
            device=str(context["devices"][0]),
            precision=precision,
            git_revision=None if tree is None else str(tree),
            tree_is_clean=None if tree is None else tree.is_clean,
            code=text_digest(),
            date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            processor=processor(),
            system=f"{platform.system()} {platform.machine()}",
            cores=cores(),
            memory_mib=_memory_mib(),
            libraries=tuple(dict.fromkeys(_libraries())),
            variables=_placeless(
                context["environment"] | {n: os.environ[n] for n in THREADS if n in os.environ}
            ),
            switches=_placeless(context["jax"]),
            data=dict(data),
            plugins=tuple(plugin.as_json() for plugin in loaded()),
        )  # fmt: skip

    def ended(
        self, *, seconds: float, flows: Flows, measured: int, reused: int, workers_bytes: int = 0
    ) -> Environment:
        """The same, and what the run took; the memory of workers beside this process's own."""
        return replace(
            self, seconds=round(seconds, 1), flows=flows, networks_measured=measured,
            networks_reused=reused, peak_memory_mib=(peak_memory() + workers_bytes) // 2**20,
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        plain = {name: dict(v) if isinstance(v, Mapping) else v for name, v in vars(self).items()}
        return plain | {
            "flows": dict(vars(self.flows)),
            "libraries": list(self.libraries),
            "plugins": [dict(plugin) for plugin in self.plugins],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Environment:
        """From plain values; an older report has fewer.

        Returns:
            The environment.

        Raises:
            ValueError: if a value is of another kind than those that are written.
        """
        flows = stored.get("flows") or {}
        plugins = tuple(
            {name: plugin[name] for name in ("file", "digest", "parts")}
            for plugin in stored.get("plugins") or ()
        )
        found = {f.name: stored[f.name] for f in fields(cls) if f.name in stored}
        for name, value in found.items():
            if name not in ("flows", "plugins") and not _is_of_its_kind(name, value):
                raise ValueError(f"an environment whose {name} is {str(value)[:40]!r}")
        return cls(
            **found
            | {
                "flows": Flows(**{f.name: flows[f.name] for f in fields(Flows) if f.name in flows}),
                "libraries": tuple(found.get("libraries", ())),
                "plugins": plugins,
            }
        )


def digests(data: Data, file: Path | None = None) -> dict[str, str]:
    """What tells the data of a run from all others, whatever they are called.

    Args:
        data: the points.
        file: that they were read from, if it is the user's own.

    Returns:
        Digests: of the points' numbers, and of the file's bytes.
    """
    found = {"points": digest(data)}
    return found if file is None else found | {"file": file_digest(file)}


def file_digest(file: Path) -> str:
    """Of the bytes of a file, SHA-256."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def processor(information: Path = Path("/proc/cpuinfo")) -> str | None:
    """What the processor calls itself, as Linux tells it; elsewhere as Python does."""
    try:
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or None


def cores() -> int | None:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _memory_mib() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    except (ValueError, OSError):  # a system that does not say
        return None


def _versions() -> Iterator[tuple[str, str]]:
    yield "ntkalign", __version__
    yield "python", platform.python_version()
    for name in VERSIONS:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def _placeless(values: Mapping[str, str]) -> dict[str, str]:
    return {name: placeless(value) for name, value in values.items()}


def _libraries() -> Iterator[str]:
    for library in threadpool_info():
        if library.get("user_api") != "blas":
            continue
        parts = (library.get(key) for key in ("internal_api", "version", "architecture"))
        yield " ".join(str(part) for part in parts if part)


_MAPPINGS = ("versions", "variables", "switches", "data")
_NUMBERS = ("cores", "memory_mib", "seconds", "peak_memory_mib", "networks_measured",
            "networks_reused")  # fmt: skip


def _is_of_its_kind(name: str, value: Any) -> bool:
    if name in _MAPPINGS:
        return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    if name == "libraries":
        return isinstance(value, list) and all(isinstance(v, str) for v in value)
    if name == "tree_is_clean":
        return value is None or isinstance(value, bool)
    if name in _NUMBERS:
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    return value is None or isinstance(value, str)
