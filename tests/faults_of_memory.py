"""Faults to plant in how runs are done: rows for the mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

PROGRAMS, CORES = ("test_programs",), ("test_cores",)

ROWS = (
    ("programs: never forgotten", "programs.py", "self.compiled <= MANY or", "True or", PROGRAMS),
    ("programs: forgotten after every job", "programs.py", "or self.jobs < SELDOM", "", PROGRAMS),
    ("programs: counted from the first job on, for ever", "programs.py",
     "self.compiled = self.jobs = 0\n        forget()", "self.jobs = 0\n        forget()",
     PROGRAMS),
    ("programs: a network that fails is not followed by it", "cells/work.py",
     "    finally:\n        tidy()", "    else:\n        tidy()", PROGRAMS),
    ("sums: XLA's, which depend on cores", "flow/spectral/relaxation.py",
     "math.sqrt(np.sum(np.square(values)))",
     "float(__import__('jax').jit(lambda a: jnp.sqrt(jnp.sum(a**2)))(values))", CORES),
)  # fmt: skip
