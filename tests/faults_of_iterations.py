"""Faults to plant in how the spectral engine iterates and follows kinks: rows for the mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

KINKS = ("flow/spectral/test_crossings",)
NODES = ("flow/spectral/test_collocation",)
FASTER = ("flow/spectral/test_acceleration",)
PAST = ("flow/spectral/test_march",)
FOUND = ("networks/test_kinks",)
ENDS = ("flow/spectral/test_convergence",)

ROWS = (
    ("kinks: a unit does not slide", "flow/spectral/paths.py",
     "still = jnp.where(own == 0, (left + right) / 2, -push / jnp.where(own == 0, 1.0, own))",
     "still = left", KINKS),
    ("kinks: a dead unit stays on the kink", "flow/spectral/paths.py",
     "jnp.where(dies, BEYOND * room * jnp.sign(first), 0.0)", "0.0", KINKS),
    ("kinks: rounding says which slope a dead unit has", "flow/spectral/paths.py",
     "(share < 1) & (moved != 0) & ~dies", "(share < 1) & (moved != 0)", KINKS),
    ("kinks: the way to the kink counts for nothing", "flow/spectral/paths.py",
     "jnp.where(meets, share * slope + (1 - share) * beyond, slope)",
     "jnp.where(meets, beyond, slope)", KINKS),
    ("kinks: a unit does not answer itself", "flow/spectral/paths.py",
     "own = answer[p, p] * b[p]", "own = 0.0 * b[p]", KINKS),
    ("kinks: answers of layers below add up whatever the rule", "flow/spectral/crossings.py",
     "if abs(kappa) > COHERENT:", "if True:", KINKS),
    ("kinks: answers without the layers below", "flow/spectral/crossings.py",
     "if abs(kappa) > COHERENT:", "if False:", KINKS),
    ("kinks: answers without 1/m", "flow/spectral/crossings.py",
     "own = own + kappa * layer.scale**2 * below", "own = own + kappa * below", KINKS),
    ("kinks: jumps at a node instead of where they are", "flow/spectral/crossings.py",
     "np.arange(EACH * (nodes - 1)) < EACH * np.arange(nodes)[:, None]",
     "np.arange(EACH * (nodes - 1)) <= EACH * np.arange(nodes)[:, None]", KINKS),
    ("kinks: units get the paths of others", "flow/spectral/crossings.py",
     "jnp.where(near, new[..., place], old)", "jnp.where(near, new[..., place - 1], old)", KINKS),
    ("kinks: a unit's own answer does not bring it near", "flow/spectral/crossings.py",
     "room = high - low + own *", "room = high - low + 0 * own *", KINKS),
    ("kinks: earlier panels are forgotten", "flow/spectral/march.py",
     "    if history is not None:\n", "    if False:\n", PAST),
    ("kinks: slopes at the end are those of one side", "flow/spectral/spectral_flow.py",
     "solved.panel.ends_at(times[0])", "times[0] == solved.panel.times[-1]", KINKS),
    ("kinks: an early saved time ends the flow", "flow/spectral/march.py",
     "max(2 * (end - begin), SHORTEST)", "2 * (end - begin)", KINKS),
    ("kinks: a flow says that it is exact", "flow/spectral/relaxation.py",
     "unsettled=0.0 if crossings is None else max(self.tolerance, convergence.estimate),",
     "unsettled=0.0,", KINKS),
    ("kinks: a panel's end is not known as one", "flow/spectral/collocation.py",
     "return abs(self._after(time)) <= SAME", "return self._after(time) == 0", NODES),
    ("kinks: half of them is lost", "networks/kinks.py",
     "lower = np.abs(halfway - at_left) > np.abs(at_right - halfway)",
     "lower = np.abs(halfway - at_left) > 0", FOUND),
    ("ends: what is left is what was changed", "flow/spectral/convergence.py",
     "change * contraction / (1 - contraction) + beyond", "change * contraction", ENDS),
    ("ends: two good steps are believed", "flow/spectral/convergence.py",
     "min(max(contraction, QUICK), SLOWEST)", "min(contraction, SLOWEST)", ENDS),
    ("ends: after one step", "flow/spectral/convergence.py",
     "self.count > 1 and self.estimate", "self.count > 0 and self.estimate", ENDS),
    ("ends: smooth flows may flicker", "flow/spectral/convergence.py",
     "if not self.kinked or largest > FLICKER:", "if largest > FLICKER:", ENDS),
    ("acceleration: backwards", "flow/spectral/acceleration.py",
     "return image - sum(", "return image + sum(", FASTER),
    ("acceleration: how far ahead it goes is not told", "flow/spectral/acceleration.py",
     "return jax.tree.unflatten(structure, mixed), max(beyond)",
     "return jax.tree.unflatten(structure, mixed), 0.0", FASTER),
    ("acceleration: what is not finite is solved with", "flow/spectral/acceleration.py",
     "if not (np.isfinite(gram).all() and np.isfinite(against).all()):", "if False:", FASTER),
    ("many points: whole weights forget what came before", "flow/spectral/march.py",
     "return name, array.astype(jnp.float64) + history[0].T @ history[1]",
     "return name, array.astype(jnp.float64) + 0.9 * history[0].T @ history[1]",
     ("flow/spectral/test_spectral_flow.py::test_many_points_for_the_width",)),
    ("many points: matrices at the wrong moment", "flow/operators/moving_weights.py",
     "self.weights.astype(self.drift.dtype))[0]",
     "self.weights[::-1].astype(self.drift.dtype))[0]", ("flow/operators/test_moving_weights",)),
    ("rates: Arnoldi's failure ends the run", "flow/operators/low_rank.py",
     "except ArpackError:", "except ZeroDivisionError:", ("flow/operators/test_low_rank",)),
)  # fmt: skip
