"""Faults to plant in the checks of strangers' parts, and in what registers them: rows for mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

RULES = ("checking/test_rules.py::test_a_fault_is_told",)
QUANTITIES = ("checking/test_quantities.py::test_a_fault_is_told",)
NETWORKS = ("checking/test_networks.py::test_a_fault_is_told",)
PLUGINS = ("test_plugins",)
COMMAND = ("cli/test_plugins",)

ROWS = (
    ("checks: of linearity, homogeneity alone", "checking/rules.py",
     "2 * p - 3 * q for p, q in zip(signals(a), signals(b), strict=True)",
     "p + 0 * q for p, q in zip(signals(2 * a - 3 * b), signals(b), strict=True)", RULES),
    ("checks: all points are given both times", "checking/rules.py",
     "alone = _signals(rule, example, fixed, 0, FEW)",
     "alone = tuple(example.taken(s, FEW) for s in together)", RULES),
    ("checks: constants of the first call only", "checking/rules.py",
     "for _ in range(2))", "for _ in range(1)) * 2", RULES),
    ("checks: float32 that is cast back is not seen", "checking/outcomes.py",
     "return {t for t in types | _types_in(closed.jaxpr) if t in NARROW}",
     "return {t for t in types if t in NARROW}", RULES),
    ("checks: errors that cover ten times too much", "checking/quantities.py",
     "abs(value - true) <= error + rest", "abs(value - true) <= error + rest + 1.0", QUANTITIES),
    ("checks: a sample is compared with itself", "checking/quantities.py",
     'trial.seen("dense", EXACT, seed=1)', 'trial.seen("dense", EXACT)', QUANTITIES),
    ("checks: the way back is not tried", "checking/layers.py",
     "_dot(layer.through_weight(w, s), k)", "_dot(s, layer.linear(w, k))", NETWORKS),
    ("checks: gradients of weights alone", "checking/networks.py",
     "if gradient is None:", 'if gradient is None or name == "biases":', NETWORKS),
    ("checks: any factor will do", "checking/networks.py",
     "abs(size - 1) < 1e-6", "size > 0", NETWORKS),
    ("plugins: what failed stays registered", "registry.py",
     "            registry._things = things\n", "            pass\n", PLUGINS),
    ("plugins: run again each time", "plugins.py",
     "before is not None and before.digest == digest", "False", PLUGINS),
    ("experiments: a run by a rule of one's own is looked up", "experiments/execute.py",
     "own = not RULES.is_built_in(RULES[item.rule])", "own = False", COMMAND),
    ("plugins: the folder is told", "plugins.py",
     'return {"file": self.file,', 'return {"file": str(self.module.__file__),', COMMAND),
)  # fmt: skip
