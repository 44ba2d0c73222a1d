"""Section 4: what the analysis says of convolutional networks, measured.

The same as ``ntkalign verify --network cnn``: drift of activities and kernels, the discrepancy
(42), Proposition 1 and the operator's score (9) for each convolution, Proposition 2, and the
neural tangent kernel beside its limit, on small images.
"""

from functools import partial

from ntkalign.cli.entry import begin
from ntkalign.cli.main import script

main = partial(script, __doc__, (), "figures/convolutional", network="cnn")

if __name__ == "__main__":
    begin(main, "convolutional")
