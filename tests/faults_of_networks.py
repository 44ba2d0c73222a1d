"""Faults to plant in what is asked, measured and said of networks of all kinds: rows for mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

FAMILIES = ("networks/test_family",)
QUESTIONS = ("claims/test_questions",)
SETTINGS = ("runs/test_settings",)
KINDS = ("networks/test_kinds",)
RUNS = "examples/test_papers.py::test_it_runs_and_every_claim_is_a_row_with_a_verdict"
LAYERS = ("examples/test_papers.py::test_networks_of_growing_depth_have_no_layer_by_layer_claims",)
SWEEP = ("runs/test_sweep",)
OVER_TIME = ("quantities/test_over_time",)
SHUFFLED = ("quantities/test_shuffled_scores",)
PANELS = ("report/test_over_training",)
FLOWS = ("flow/test_tied_weights",)
FORMS = ("kernels/test_tied_kernels.py::test_it_is_the_product_of_full_jacobians",)

ROWS = (
    ("family: the bottleneck of a recurrent network grows", "networks/family.py",
     "width=width if self.bottleneck is None else self.bottleneck,", "width=width,", FAMILIES),
    ("family: multipliers relative to the first", "networks/family.py",
     "width * k // min(multipliers)", "width * k // multipliers[0]", FAMILIES),
    ("family: a batch norm within the assumptions", "networks/family.py",
     "return super().meets_assumptions and self.norm is Norm.NONE",
     "return super().meets_assumptions", FAMILIES),
    ("claims: of convolutions asked of the dense layer, too", "claims/tied_weights.py",
     '"weight-drift", Kind.BOUND, -0.5, LEMMA_RULES, (ABOVE_NECK,),\n'
     "          layers=Layers.HIDDEN, network=CNN,",
     '"weight-drift", Kind.BOUND, -0.5, LEMMA_RULES, (ABOVE_NECK,), network=CNN,', QUESTIONS),
    ("claims: of all networks asked at once", "claims/catalogue.py",
     "if (entry.command, entry.network) == (command, network)", "if entry.command == command",
     QUESTIONS),
    ("settings: steps of a network that has none", "runs/settings.py",
     '    "steps": None,\n', "", SETTINGS),
    ("kinds: an output scale is called a width", "networks/kinds.py",
     "return re.sub(r\"(?<![\\w-])width(?=s?\\b)\", self.name, text)", "return text", KINDS),
    ("kinds: every network is drawn by its size", "cells/flow.py",
     "of_network(cell.seed, specification.family.drawn_as(cell.width))",
     "of_network(cell.seed, cell.width)", (RUNS + "[chizat]",)),
    ("kinds: networks of a depth that grows are asked of each layer", "runs/suite.py",
     "if q.layer is not None and size.is_depth)", "if False)", LAYERS),
    ("untrained: trained all the same", "cells/flow.py",
     "if not any(QUANTITIES[name].trained for name in wanted):", "if False:",
     (RUNS + "[hanin, depth]",)),
    ("untrained: a flow that has moved", "flow/trajectory.py",
     "return cls(problem, rule, np.zeros_like(output), output, Outcome.REACHED, effort)",
     "return cls(problem, rule, np.ones_like(output), output + 1, Outcome.REACHED, effort)",
     ("flow/test_at_rest",)),
    ("sweep: the baseline at all widths", "runs/sweep.py",
     "frozenset(q for q in quantities if q not in BASELINES)", "frozenset(quantities)", SWEEP),
    ("over time: no errors", "quantities/measuring.py", "found[name] = values, error",
     "found[name] = values, 0 * error", OVER_TIME),
    ("shuffled: only the change", "quantities/theory.py",
     "(start + change).ravel()[order].reshape(start.shape) - start",
     "change.ravel()[order].reshape(start.shape)", SHUFFLED),
    ("scores: perfect where a convolution is dead", "quantities/theory.py",
     "float(np.maximum(0.0, 1.0 - score))", "max(0.0, 1.0 - score)", SHUFFLED),
    ("report: titles of layers exchanged", "report/rows.py",
     '{1: "input weights", 2: "recurrent weights"', '{2: "input weights", 1: "recurrent weights"',
     ("report/test_rows",)),
    ("report: colours panel by panel", "report/over_training.py",
     "for colour, (width, times, values) in _curves(own, labels):",
     'for colour, (width, times, values) in _curves(own, {m: "" for m in sorted(own["width"])}):',
     PANELS),
    ("report: claims of all networks under each", "report/claim_list.py",
     "own = (entry for entry in entries if entry.network == network)", "own = iter(entries)",
     ("report/test_claim_list",)),
    # flows of tied weights: rows are ordered by point, then place
    ("ties: the last step alone learns", "networks/recurrent.py",
     "tuple(_swapped(a) if a.ndim == 3 else a for a in arrays)",
     "tuple(a[:, -1] if a.ndim == 3 else a for a in arrays)", FLOWS),
    ("ties: windows with channels before taps", "networks/convolution.py",
     "numpy.transpose(shifts, (4, 2, 3, 0, 1))", "numpy.transpose(shifts, (4, 2, 3, 1, 0))", FLOWS),
    ("ties: W* with errors of other points", "flow/trajectory.py",
     "np.repeat(self.delta, places, axis=1)", "np.tile(self.delta, (1, places, 1))", FLOWS),
    ("ties: biases rest while matrices move", "flow/operators/moving_weights.py",
     "swapaxes(1, 2)) + motion.plus * motion.shift[:, None]", "swapaxes(1, 2))", FLOWS),
    ("ties: a kernel's mean over places", "kernels/empirical.py", "gamma.sum(axis=(1, 4))",
     "gamma.mean(axis=(1, 4))", FORMS),
    ("ties: a kernel with a bias for the inputs", "kernels/empirical.py",
     "bias = layer.places, float(layer.has_bias)", "bias = layer.places, 1.0", FORMS),
    ("ties: activations drift as the mean of steps", "quantities/theory.py",
     "moved.mean(axis=1).max(axis=-1, keepdims=True)",
     "moved.mean(axis=1).mean(axis=-1, keepdims=True)", FLOWS),
    ("ties: scores of operators without their stride", "networks/operators.py",
     'stride = getattr(layer, "stride", 1)', "stride = 1", FLOWS),
)  # fmt: skip
