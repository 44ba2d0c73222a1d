"""Appendix E: what the analysis says of recurrent networks, measured.

The same as ``ntkalign verify --network rnn``: drift of states and recurrent weights, the
discrepancy (42), Proposition 1 and the score (9) for W_h, Proposition 2 for the outputs of every
step, and the drift of the kernel, on short sequences of the Add task.
"""

from functools import partial

from ntkalign.cli.entry import begin
from ntkalign.cli.main import script

main = partial(script, __doc__, (), "figures/recurrent", network="rnn")

if __name__ == "__main__":
    begin(main, "recurrent")
