"""Faults to plant in how accurate numbers are, and are said to be: rows for the mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

CLIMBING = ("cells/test_climbing",)
LINE = ("report/test_accuracy",)

ROWS = (
    ("need: nothing climbs", "cells/climbing.py",
     "if g not in seen or not seen[g].well_enough", "if g not in seen", CLIMBING),
    ("need: everything climbs", "cells/climbing.py",
     "if g not in seen or not seen[g].well_enough", "if True", CLIMBING),
    ("need: a rung without a flow ends the climb", "cells/climbing.py",
     "if g not in seen or not seen[g].well_enough", "if g in seen and not seen[g].well_enough",
     CLIMBING),
    ("need: a flow that stalled tells an error", "cells/flow.py",
     "if f.outcome is not Outcome.NOT_CONVERGED), nearest)", "if True), nearest)", CLIMBING),
    ("need: what diverged is tried again", "cells/flow.py",
     "if rung > FIRST and guess.outcome not in", "if False and guess.outcome not in", CLIMBING),
    ("need: a finer flow that fails takes the number away", "cells/climbing.py",
     "found |= {group: Reached(seen[group], rung) for group in seen}",
     "found = {group: Reached(seen[group], rung) for group in seen}", CLIMBING),
    ("need: compared with flows of the first rung", "cells/flow.py",
     "{name: self.trial.pair(RULES[name], rung) for", "{name: self.trial.pair(RULES[name]) for",
     CLIMBING),
    ("need: two engines tell an error", "cells/flow.py",
     "if fine.effort.engine != coarse.effort.engine:", "if False:", CLIMBING),
    ("need: measured again as a companion", "cells/flow.py", "if last and last.flow is flow and",
     "if False and last and", CLIMBING),
    ("need: flows are kept for ever", "cells/flow.py", "            self.trial.leave(rule, rung)\n",
     "            pass\n", CLIMBING),
    ("need: identities are compared with themselves", "quantities/series.py",
     "max(abs(value), size)", "abs(value)", CLIMBING),
    ("need: what measuring adds is a matter of flows", "quantities/series.py",
     "return error - bound <= BY_FLOW * bound", "return False", CLIMBING),
    ("accuracy: what falls short is not counted", "report/accuracy.py",
     "~zero & (error > NEEDED * size)", "zero", LINE),
    ("accuracy: errors of sampling are those of flows", "report/accuracy.py",
     "record.error_from is not ErrorFrom.MEASURING", "True", LINE),
)  # fmt: skip
