"""Kernels of infinitely wide networks.

    from ntkalign.kernels import nt

``nt`` is neural-tangents 0.6.5, imported when first asked for; see :mod:`ntkalign.kernels.adapter`.
"""

from typing import Any

from ntkalign.kernels.adapter import jax_defaults, load

__all__ = ["jax_defaults", "nt"]


def __getattr__(name: str) -> Any:
    if name == "nt":
        return load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
