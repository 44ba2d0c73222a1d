"""Proposition 1: weight changes align with error-weighted input correlations.

The gap (8), the discrepancy (42) that its proof goes through, and the paper's reading, that
neither side of (8) vanishes by itself.
"""

from functools import partial

from ntkalign.cli.entry import begin
from ntkalign.cli.main import script

CLAIMS = ("proposition-1", "proposition-1/discrepancy", "proposition-1/interpretation")

main = partial(script, __doc__, CLAIMS, "figures/proposition1")

if __name__ == "__main__":
    begin(main, "proposition1")
