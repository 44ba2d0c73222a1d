"""Faults to plant in how runs are stopped, kept and gone on with: rows for the mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

STOPPING, WORDS = ("cli/test_stopping",), ("runs/test_last_words",)
PARTIAL, PAGE = ("runs/test_partial",), ("report/test_partial_page",)

ROWS = (
    ("stopping: the main thread is waited for", "cli/stopping.py",
     "self._unwound.wait(GRACE)", "self._unwound.wait(600)", STOPPING),
    ("stopping: last words are waited for", "cli/stopping.py",
     "speaker.join(max(0.0, deadline - time.monotonic()))", "speaker.join()", STOPPING),
    ("stopping: what was ignored is heard", "cli/stopping.py",
     "if signal.getsignal(number) is not signal.SIG_IGN:", "if True:", STOPPING),
    ("last words: said again by whoever comes second", "runs/last_words.py",
     "if self._said is None:", "if True:", WORDS),
    ("last words: a run that ends by itself says them", "runs/last_words.py",
     "        _forget(words)\n        raise\n    _forget(words)", "        raise", WORDS),
    ("partial: a network that is missing does not matter", "runs/partial.py",
     "seeds = set.intersection(*(seeds_at", "seeds = set.union(*(seeds_at", PARTIAL),
    ("partial: the report forgets that it is", "runs/record.py",
     'partial=Partial.from_json(stored.get("partial"))', "partial=None", PAGE),
)  # fmt: skip
