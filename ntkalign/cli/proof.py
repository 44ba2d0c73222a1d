"""Running ``proof``: the paper's argument, step by step, printed and written into a report."""

from __future__ import annotations

from ntkalign.cli.flags import ProofFlags
from ntkalign.cli.verify import run_verification
from ntkalign.runs.suite import PROOF


def run_proof(flags: ProofFlags) -> int:
    """Measure both sides of every step and say which hold.

    Args:
        flags: where to and how.

    Returns:
        The exit status, as of ``verify``.

    Raises:
        InputError: if the settings, the data or the output folder cannot be used, or the networks
            are none that the proofs are written for.
        IncompleteRunError: if a flow failed; the report is written all the same.
    """
    return run_verification(flags, suite=PROOF)
