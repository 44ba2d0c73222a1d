"""Faults to plant in how runs are carried out: rows for mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

WORKERS = ("runs/schedulers/test_workers",)
REFUSED, DEADLY, ORDER, LOST = (
    (f"runs/schedulers/test_cluster.py::test_{name}",)
    for name in (
        "workers_have_the_code_and_packages_of_this_process",
        "a_job_that_kills_every_worker_is_lost_and_no_other",
        "the_longest_is_begun_first",
        "a_connection_that_comes_back_costs_nothing",
    )
)

ROWS = (
    ("cluster: a worker that computes otherwise is accepted", "runs/schedulers/cluster.py",
     "        if reason:\n", "        if not reason:\n", REFUSED),
    ("cluster: a job that kills its workers is tried for ever", "runs/schedulers/cluster.py",
     "if one.deaths >= TRIES:", "if one.deaths > 9:", DEADLY),
    ("cluster: one death loses a job", "runs/schedulers/cluster.py",
     "if one.deaths >= TRIES:", "if one.deaths:", DEADLY),
    ("cluster: the shortest is begun first", "runs/schedulers/cluster.py",
     "in enumerate(longest_first(jobs))]", "in enumerate(longest_first(jobs)[::-1])]", ORDER),
    ("cluster: a job is begun twice after a lost connection", "runs/schedulers/errand.py",
     "if name in _results:", "if False:", LOST),
    ("workers: a second try is not alone", "runs/schedulers/workers.py",
     "return self.deaths > 0", "return False", WORKERS),
    ("workers: memory is not looked at", "runs/schedulers/workers.py",
     "fits = not self.memory or", "fits = True or", WORKERS),
)  # fmt: skip
