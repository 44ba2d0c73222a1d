"""Proposition 1: weight changes align with error-weighted input correlations.

The gap (8), the discrepancy (42) that its proof goes through, and the paper's reading, that
neither side of (8) vanishes by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ntkalign.cli.main import script

CLAIMS = ("proposition-1", "proposition-1/discrepancy", "proposition-1/interpretation")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure Proposition 1, its discrepancy and its interpretation."""
    return script(__doc__ or "", CLAIMS, "figures/proposition1", argv)


if __name__ == "__main__":
    sys.exit(main())
