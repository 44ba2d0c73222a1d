"""Modules as users import them.

The tests import the package with its types checked at run time, which refuses wrong arguments
before the package's own checks see them. A user has no such help.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache
from types import ModuleType

PARTS = ("statistics", "testing")


@cache
def plain() -> dict[str, ModuleType]:
    """The modules of the statistics by name, imported once more and without type checks."""
    import ntkalign.statistics.upper_quantiles  # noqa: F401
    import ntkalign.testing  # and all that they import

    kept = {
        name: module
        for name, module in sys.modules.items()
        if name.startswith(tuple(f"ntkalign.{part}" for part in PARTS))
    }
    for name in kept:
        del sys.modules[name]
    finders = list(sys.meta_path)
    sys.meta_path[:] = [f for f in finders if not type(f).__module__.startswith("jaxtyping")]
    try:
        fresh = {name: importlib.import_module(name) for name in kept}
    finally:
        sys.meta_path[:] = finders
        sys.modules.update(kept)
    for part in PARTS:
        setattr(ntkalign, part, kept[f"ntkalign.{part}"])
    return fresh
