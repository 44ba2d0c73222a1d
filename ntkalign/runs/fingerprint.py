"""A name for all that decides a network's numbers: its specification, and what computes it.

What computes it is the code that measuring a network runs through, by folder, the packages that
compute for it, the devices, and those switches of JAX and XLA that change numbers. Everything else
(how numbers are judged, drawn, told, or asked for) may change without a network being measured
again.

Code of the user's own is no part of this: it is never looked up.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.resources
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from ntkalign.cells.specification import Specification
from ntkalign.devices import devices

DECIDING = (
    "errors.py", "values.py", "registry.py", "precision.py", "devices.py", "rules.py",
    "networks", "kernels", "flow", "quantities", "cells",
)  # fmt: skip
"""Files and folders of this package that a network's numbers come from; data are digested."""
DECIDING_FLOWS = (
    "errors.py", "values.py", "registry.py", "precision.py", "devices.py", "rules.py",
    "networks", "kernels", "flow", "cells/specification.py", "cells/flow.py", "cells/trained.py",
)  # fmt: skip
"""Those that trained networks come from; what is measured of them is none of these."""
DECIDING_TRAINING = (
    "errors.py", "values.py", "registry.py", "precision.py", "devices.py", "rules.py",
    "networks", "training", "data/batches.py",
    "data/crops.py", "data/decoded.py", "data/imagenet.py",  # what is decoded is not digested
)  # fmt: skip
"""Those that the numbers of training on minibatches come from."""
PACKAGES = (
    "jax", "jaxlib", "diffrax", "equinox", "lineax", "neural-tangents", "numpy", "optax",
    "optimistix", "scipy",
)  # fmt: skip
"""Packages that compute."""
HARMLESS = (
    "cache", "compiler_detailed", "debug_log", "debug_key", "distributed", "dump", "explain",
    "include_", "leak", "log_", "logging", "pprint", "preemption", "profil", "proxy", "pgle",
    "source_", "timeout", "traceback", "transfer", "warn", "garbage", "visible_devices", "platform",
    "xla_backend", "default_device", "captured_constants", "serialization", "tracing_",
)  # fmt: skip
"""Switches of JAX with one of these in their names say where to look, what to tell or keep, or
which device computes (which is a part of the fingerprint by itself); all others count."""
ENVIRONMENT = (
    "XLA_FLAGS", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG",
    "MKL_CBWR", "OPENBLAS_CORETYPE",
)  # fmt: skip
"""Variables that change what compilers and libraries compute."""


def fingerprint(specification: Specification, context: dict[str, Any]) -> str:
    """The name of one network's numbers.

    Args:
        specification: of the network.
        context: what computes it, see :func:`computed_by`.

    Returns:
        20 hexadecimal digits, a hash of both arguments.
    """
    text = json.dumps([specification.as_json(), context], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def computed_by(deciding: Sequence[str] = DECIDING) -> dict[str, Any]:
    """What computes numbers in this process, as plain values.

    Args:
        deciding: files and folders of this package that take part.

    Returns:
        Names and versions of it.
    """
    return {
        "sources": sources(package(), deciding),
        "packages": dict(_versions()),
        "devices": [device.device_kind for device in devices()],
        "jax": switches(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    }


def package() -> Path:
    """The folder of this package."""
    return Path(str(importlib.resources.files("ntkalign")))


def sources(root: Path, deciding: Sequence[str] = DECIDING) -> str:
    """A name for the code that decides numbers.

    Args:
        root: the folder of the package, or of a copy.
        deciding: its files and folders.

    Returns:
        64 hexadecimal digits, a hash of the files' paths and texts.
    """
    found = hashlib.sha256()
    for file in deciding_files(root, deciding):
        text = file.read_bytes()
        found.update(f"{file.relative_to(root).as_posix()} {len(text)}\n".encode() + text)
    return found.hexdigest()


def deciding_files(root: Path, deciding: Sequence[str] = DECIDING) -> list[Path]:
    """The files of that code, in one order."""
    chosen = (root / name for name in deciding)
    files = [f for path in chosen for f in ([path] if path.suffix else path.rglob("*.py"))]
    return sorted(f for f in files if f.is_file())


def switches() -> dict[str, str]:
    """JAX's switches that may change numbers, as they are where this is called."""
    return {
        name: str(getattr(jax.config, name, value))
        for name, value in sorted(jax.config.values.items())
        if not any(part in name for part in HARMLESS)
    }


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # older versions of diffrax come without some of them
