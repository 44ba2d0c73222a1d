"""Proposition 2: networks trained by the Align rules follow gradient descent.

The divergence (17) for each rule, and Appendix D's (57): Align-zero follows the linearised
network.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ntkalign.cli.main import script

CLAIMS = ("proposition-2", "appendix-d")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure Proposition 2 and Appendix D."""
    return script(__doc__ or "", CLAIMS, "figures/proposition2", argv)


if __name__ == "__main__":
    sys.exit(main())
