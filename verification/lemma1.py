"""Lemma 1: how far a network drifts from its start during training.

Activations (19), weights (20), the Jacobian (21) and each rule's feedback (22) are said to
change by O(m^-1/2).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ntkalign.cli.main import script

CLAIMS = ("lemma-1/activations", "lemma-1/weights", "lemma-1/jacobian", "lemma-1/feedback")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the four statements of Lemma 1."""
    return script(__doc__ or "", CLAIMS, "figures/lemma1", argv)


if __name__ == "__main__":
    sys.exit(main())
