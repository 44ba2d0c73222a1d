"""Faults to plant in how runs go: rows for the mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

ESTIMATE = ("runs/test_estimate",)
GUARD = ("runs/test_guard",)
LEFT = ("runs/test_time_left",)

ROWS = (
    # what networks take, and what cannot fit
    ("estimate: rows take no memory", "runs/estimate.py", "if asked.flows:", "if False:", ESTIMATE),
    ("estimate: compiled once for all workers", "runs/estimate.py", "begun[which] <= workers",
     "begun[which] <= 1", (*ESTIMATE, *LEFT)),
    ("estimate: controls and references are not trained", "runs/estimate.py",
     "{NORMAL.name, rule.name, *references_of(wanted)}", "{NORMAL.name}", ESTIMATE),
    ("estimate: weights as many as units", "runs/estimate.py",
     "weights=sum(units * fan_in for", "weights=sum(units + fan_in for", ESTIMATE),
    ("guard: one width beyond the largest", "runs/guard.py", "while bad - low > 1:",
     "while bad - low > 2:", GUARD),
    ("guard: idle workers take nothing", "runs/guard.py", "+ count * IDLE_BYTES > free", "> free",
     GUARD),
    ("time left: what is under way is as good as done", "runs/time_left.py",
     "(elapsed - begun) / slower)", "job.cost.seconds)", LEFT),
    ("time left: the estimates alone", "runs/time_left.py",
     "return elapsed * (waiting - under_way) / (self._ended + under_way)",
     "return max(waiting / self._workers, 0.0)", LEFT),
)  # fmt: skip
