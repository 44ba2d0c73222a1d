"""Proposition 2: networks trained by the Align rules follow gradient descent.

The divergence (17) for each rule, and Appendix D's (57): Align-zero follows the linearised
network.
"""

from functools import partial

from ntkalign.cli.entry import begin
from ntkalign.cli.main import script

CLAIMS = ("proposition-2", "appendix-d")

main = partial(script, __doc__, CLAIMS, "figures/proposition2")

if __name__ == "__main__":
    begin(main, "proposition2")
