"""Faults to plant in the steps of the proofs: rows for mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

SIDES = ("quantities/test_proof",)
MAP = ("claims/test_proof_map",)
LINES = ("quantities/test_proof.py::test_the_lines_of_41_are_the_equations",)
TERMS = ("quantities/test_proof.py::test_the_sides_of_49_are_the_equations_with_jacobians_by_parameters",)  # fmt: skip # noqa: E501

ROWS = (
    ("proof: (40) without 1/P", "quantities/proof.py",
     "share = flow.network.rate * flow.network.maps[layer - 1].scale / len(flow.y)",
     "share = flow.network.rate * flow.network.maps[layer - 1].scale", LINES),
    ("proof: (40) with the current activity twice", "quantities/proof.py",
     "np.concatenate([h - h0, np.broadcast_to(h0, h.shape)], axis=1)",
     "np.concatenate([h - h0, h], axis=1)", LINES),
    ("proof: (41) means of products as products of means", "quantities/proof.py",
     "(error * (whole * moved + turned * there)).mean(axis=1)",
     "error.mean(axis=1) * (whole * moved + turned * there).mean(axis=1)", LINES),
    ("proof: (41) as if the error of G were one of G − G⁰", "quantities/proof.py",
     "off = ESTIMATE_FACTOR * (flow.effort.estimate or 0.0) * eta * scale",
     "off = 0.0 * eta * scale", SIDES),
    ("proof: (44) once", "quantities/proof.py",
     'parts["product"].times(2.0).plus(parts["square"])',
     'parts["product"].plus(parts["square"])', SIDES),
    ("proof: (48) with a wrong sign", "quantities/proof_gronwall.py",
     "last = moved(other.true, other.used, e_other - e)",
     "last = moved(other.true, other.used, e - e_other)", TERMS),
    ("proof: Δ_2 from the rule's own true Jacobian", "quantities/proof_gronwall.py",
     "jacobian_distance(network, other.used, normal.true)",
     "jacobian_distance(network, other.used, other.true)", TERMS),
    ("proof: β without Δ_2", "quantities/proof_gronwall.py",
     "beta = eta * (jacobian + delta_1) * (jacobian + delta_2)  # (52)",
     "beta = eta * (jacobian + delta_1) * jacobian  # (52)", SIDES),
    ("proof: the error of an integral from the fine grid alone", "quantities/proof_time.py",
     "np.abs(whole - coarse @ values[::2])", "np.abs(whole - fine @ values)", SIDES),
    ("proof: a contradiction within its error refutes", "statistics/judgement.py",
     "wrong = over & (values - errors > 1)", "wrong = over", MAP),
    ("proof: a false step that nothing contradicts is quiet", "claims/proof_map.py",
     'if not any(f.verdict == "refuted" for f in control.findings)',
     'if not any(f.verdict for f in control.findings)', MAP),
    ("proof: the first layer's remark whatever is found", "claims/proof_remarks.py",
     'refuted = _verdict(found.of("lemma-1/weights", layer=1), "refuted")',
     'refuted = list(found.of("lemma-1/weights", layer=1))', MAP),
)  # fmt: skip
