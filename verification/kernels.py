"""Kernels: empirical against analytic at time 0, their drift, and what they predict.

The same as ``ntkalign kernels``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ntkalign.cli.entry import begin
from ntkalign.cli.flags import KernelsFlags, parse
from ntkalign.cli.main import guarded
from ntkalign.cli.verify import run_kernels


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every claim about kernels."""
    given = sys.argv[1:] if argv is None else argv
    return guarded("kernels", lambda: run_kernels(parse(KernelsFlags, given, "kernels", __doc__)))


if __name__ == "__main__":
    begin(main, "kernels")
