"""The alignment score (9) tends to one, and its sampled form (10) agrees with the exact one."""

from functools import partial

from ntkalign.cli.entry import begin
from ntkalign.cli.main import script

CLAIMS = ("alignment-score", "alignment-score/sampled")

main = partial(script, __doc__, CLAIMS, "figures/alignment_score")

if __name__ == "__main__":
    begin(main, "alignment_score")
