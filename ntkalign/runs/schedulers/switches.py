"""JAX's switches, as one process has them and another one should.

A new process has only those of the environment; what commands and callers have set since then it is
told, or it would compute something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax

_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Switches:
    """Those of a process, whatever scope its threads are in.

    Attributes:
        values: by name, as far as they are plain values.
        device: the platform that was chosen; None if that is left to JAX.
    """

    values: dict[str, Any]
    device: str | None

    @classmethod
    def here(cls) -> Switches:
        """Those of this process."""
        values = {n: v for n, v in jax.config.values.items() if isinstance(v, _PLAIN)}
        device = jax.config.values["jax_default_device"]
        return cls(values, device if isinstance(device, str | None) else device.platform)

    def apply(self) -> None:
        """Make them those of this process."""
        for name, value in self.values.items():
            if jax.config.values.get(name) != value:
                jax.config.update(name, value)  # type: ignore[no-untyped-call]
        if self.device is not None:
            jax.config.update("jax_default_device", jax.devices(self.device)[0])  # type: ignore[no-untyped-call]
