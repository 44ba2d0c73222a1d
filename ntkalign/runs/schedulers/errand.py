"""What a cluster is asked to do: to unpack some bytes, and to call what is in them.

The scheduler of a cluster unpickles the names of what its workers will do. So this name stands in a
module that imports nothing: the scheduler needs the package, but never loads what computes.

A worker keeps its last results: one that was ready while nobody could be reached is not computed
again.
"""

from __future__ import annotations

import pickle
from typing import Any

KEPT = 16
"""More than a worker has threads, or it could forget what was just ready."""

_results: dict[str, Any] = {}


def do(name: str, packed: bytes) -> Any:
    """Do what is packed, unless it was just done.

    Args:
        name: of this errand, and of no other.
        packed: a pickled :class:`ntkalign.runs.schedulers.parcel.Parcel`, as bytes.

    Returns:
        What it returns.
    """
    if name in _results:
        return _results[name]
    result = _results[name] = pickle.loads(packed)()
    for old in list(_results)[:-KEPT]:
        _results.pop(old, None)
    return result
