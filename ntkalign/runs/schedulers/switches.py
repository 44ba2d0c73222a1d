"""JAX's switches, as one process has them and another one should.

A new process has only those of the environment; what commands and callers have set since then it is
told, or it would compute something else. It also keeps to its share of the cores: JAX would take
all of them, and threads of processes that compute side by side mostly wait for each other.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import jax
from threadpoolctl import threadpool_limits

from ntkalign.machine import cores

_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Switches:
    """Those of a process, whatever scope its threads are in.

    Attributes:
        values: by name, as far as they are plain values.
        device: the platform that was chosen; None if that is left to JAX.
        cores: how many JAX takes on a CPU.
    """

    values: dict[str, Any]
    device: str | None
    cores: int

    @classmethod
    def here(cls, workers: int = 1) -> Switches:
        """Those of this process, for so many that share its cores."""
        values = {n: v for n, v in jax.config.values.items() if isinstance(v, _PLAIN)}
        device = jax.config.values["jax_default_device"]
        named = device if isinstance(device, str | None) else device.platform
        return cls(values, named, max(1, cores() // workers))

    def apply(self) -> None:
        """Make them those of this process, which has computed nothing yet."""
        os.environ["NPROC"] = str(self.cores)  # JAX reads it when it begins
        threadpool_limits(1, user_api="blas")  # for good: NumPy's matrices are small
        for name, value in self.values.items():
            if jax.config.values.get(name) != value:
                jax.config.update(name, value)  # type: ignore[no-untyped-call]
        if self.device is not None:
            jax.config.update("jax_default_device", jax.devices(self.device)[0])  # type: ignore[no-untyped-call]
