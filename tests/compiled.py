"""Where the tests keep what JAX compiles: the next run loads it, and so does a process that forgot.

One folder for each test process, for JAX does not lock it. ``make clean`` removes them.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".jax_cache"


def variables() -> dict[str, str]:
    """Environment variables for this process; none if somebody chose another folder."""
    given = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(FOLDER))
    if not given.startswith(str(FOLDER)):
        return {}
    return {
        "JAX_COMPILATION_CACHE_DIR": str(FOLDER / os.environ.get("PYTEST_XDIST_WORKER", "alone")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
