"""A test process that has grown forgets its compiled programs: they are what holds its memory.

JAX keeps every program that it compiled, one for each shape, and a thousand of them take one to two
gigabytes. They are freed when JAX forgets them *and* the C library is told to hand the freed
memory back; either alone changes nothing. What is needed again is compiled again, so this is done
only above a bound.
"""

from __future__ import annotations

from pathlib import Path

from ntkalign.programs import forget

BOUND = 1000 * 2**20
"""Bytes. An empty process takes 400 to 600 MB; the programs of one costly test up to 1000 MB."""
STATUS = Path("/proc/self/status")


def resident() -> int:
    """Bytes of memory in use; 0 where the system does not say so."""
    if not STATUS.exists():
        return 0
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 2**10


def forget_programs(bound: int = BOUND) -> None:
    """Forget all compiled programs if the process takes more than the bound."""
    if resident() <= bound:
        return
    forget()
