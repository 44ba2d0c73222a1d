"""Lemma 1: how far a network drifts from its start during training.

Activations (19), weights (20), the Jacobian (21) and each rule's feedback (22) are said to
change by O(m^-1/2).
"""

from functools import partial

from ntkalign.cli.entry import begin
from ntkalign.cli.main import script

CLAIMS = ("lemma-1/activations", "lemma-1/weights", "lemma-1/jacobian", "lemma-1/feedback")

main = partial(script, __doc__, CLAIMS, "figures/lemma1")

if __name__ == "__main__":
    begin(main, "lemma1")
