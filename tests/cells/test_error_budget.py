"""A run with a loose tolerance: its numbers say so, and verdicts become undecided, never wrong."""

from __future__ import annotations

import numpy as np

from ntkalign import Settings, verify
from ntkalign.claims.verdicts import MAX_ERROR_SHARE

SETTINGS = {
    "data": "sphere", "points": 3, "inputs": 6, "outputs": 2, "depth": 2, "widths": (16, 64, 256),
    "seeds": 6, "time": 4.0, "rules": ("align-zero",),
}  # fmt: skip


def test_a_loose_tolerance_forbids_verdicts_and_never_changes_one():
    tight, loose = (
        verify(
            Settings(**SETTINGS, tolerance=tolerance), claims=["lemma-1/weights", "proposition-2"]
        )
        for tolerance in (1e-6, 1e-2)
    )
    verdicts = {f.question: f.verdict for f in tight.findings}
    assert {"holds", "refuted"} <= set(verdicts.values())  # there is something to get wrong
    forbidden = 0
    for finding in loose.findings:
        assert finding.verdict in (verdicts[finding.question], "undecided"), finding.question
        if finding.error_share > MAX_ERROR_SHARE:
            assert finding.verdict == "undecided"
            assert "pass a smaller tolerance" in finding.reason
            forbidden += verdicts[finding.question] != "undecided"
    assert forbidden >= 2

    key = ["family", "width", "seed", "rule", "layer", "quantity", "time"]
    both = tight.table.merge(loose.table, on=key, suffixes=("", "_loose"))
    both = both[both["error_loose"] > 0]  # counts of steps have none
    assert len(both) > 100
    wrong = np.abs(both["value"] - both["value_loose"])
    assert (wrong <= both["error"] + both["error_loose"]).all()
