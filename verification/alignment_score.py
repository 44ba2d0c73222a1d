"""The alignment score (9) tends to one, and its sampled form (10) agrees with the exact one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ntkalign.cli.main import script

CLAIMS = ("alignment-score", "alignment-score/sampled")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the alignment score, exactly and sampled."""
    return script(__doc__ or "", CLAIMS, "figures/alignment_score", argv)


if __name__ == "__main__":
    sys.exit(main())
