"""Faults in the mathematics, planted one at a time: the tests must catch every one.

    make mutants
    python -m tests.mutants rules.py statistics/rates.py    # those of some files only

A mutant names a file, a text that must occur in it exactly once, what to put in its place, and the
tests that should notice. A text that no longer occurs fails too, so the list stays current.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests import (
    faults_of_accuracy,
    faults_of_checks,
    faults_of_clusters,
    faults_of_estimates,
    faults_of_experiments,
    faults_of_inputs,
    faults_of_iterations,
    faults_of_memory,
    faults_of_networks,
    faults_of_proofs,
    faults_of_provenance,
    faults_of_reports,
    faults_of_stops,
    faults_of_stores,
    faults_of_training,
)

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Mutant:
    """One fault."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def planted(self) -> str:
        """The file's text with the fault in it.

        Raises:
            ValueError: if the text to be replaced does not occur exactly once.
        """
        text = (ROOT / "ntkalign" / self.file).read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.what}: {self.old!r} occurs {text.count(self.old)} times")
        return text.replace(self.old, self.new)


NETWORKS, RULES = ("networks/test_fully_connected",), ("test_rules",)
FLOW, MEASURES = ("flow/test_gradient_flow",), ("quantities/test_theory",)
SPECTRAL = ("flow/spectral/test_spectral_flow.py::test_every_rule_runs_on_it",)
RATES = ("statistics/test_rates", "claims/test_verdicts")
REGIME = ("claims/test_regime",)
EXACT = ("statistics/test_exact_laws",)
EVIDENCE = ("claims/test_evidence",)
PAIRING = ("networks/test_shared_outputs",)
PROTOCOL = ("networks/test_base",)
KERNELS = (
    "kernels/test_analytic",
    "kernels/test_expectations",
    "kernels/test_kernels",
    "cells/test_kernels",
)

MUTANTS = (
    # equation (1) and its chain rule
    Mutant(
        "forward without 1/√m",
        "networks/fully_connected.py",
        "return self.scale * (h @ weight.T)",
        "return h @ weight.T",
        NETWORKS,
    ),
    Mutant(
        "forward with the fan-out",
        "networks/fully_connected.py",
        "return 1 / math.sqrt(self.fan_in)",
        "return 1 / math.sqrt(self.units)",
        NETWORKS,
    ),
    Mutant(
        "bias subtracted",
        "networks/layers.py",
        "return u if bias is None else u + jnp",
        "return u if bias is None else u - jnp",
        NETWORKS,
    ),
    Mutant(
        "backward without 1/√m",
        "networks/fully_connected.py",
        "return self.scale * (s @ weight)",
        "return s @ weight",
        NETWORKS + RULES,
    ),
    Mutant(
        "σ′ left out",
        "networks/fully_connected.py",
        "return slope * g",
        "return g",
        NETWORKS + RULES,
    ),
    Mutant(
        "backward through the layer below",
        "networks/base.py",
        "reversed(weights[1:]),",
        "reversed(weights[:-1]),",
        NETWORKS + RULES,
    ),
    Mutant(
        "rate 1/α",
        "networks/base.py",
        "return self.output_scale**-2",
        "return self.output_scale**-1",
        NETWORKS + RULES,
    ),
    Mutant(
        "biases not scaled",
        "networks/base.py",
        "self.bias_std * next(biases)",
        "next(biases)",
        NETWORKS,
    ),
    # the network protocol: where each of three factors is taken
    Mutant(
        "protocol: the wrong pass's weights on the way back",
        "networks/base.py",
        "through = weights.weights if isinstance(weights, Pass) else weights",
        "through = slopes.weights if isinstance(weights, Pass) else weights",
        RULES,
    ),
    Mutant(
        "protocol: slopes of the wrong time",
        "networks/base.py",
        "slopes.network.backward(through, slopes.slopes, error)",
        "slopes.network.backward(\n"
        "        through, weights.slopes if isinstance(weights, Pass) else slopes.slopes, error\n"
        "    )",
        RULES,
    ),
    Mutant(
        "protocol: updates from the network's own activity, whatever the rule says",
        "flow/dense.py",
        "return network.update(signals, rule.activity(now, first))",
        "return network.update(signals, now.activities)",
        RULES,
    ),
    Mutant(
        "protocol: the same in the spectral engine",
        "flow/spectral/relaxation.py",
        "used = self.activity(seen)",
        "used = seen.activities",
        SPECTRAL,
    ),
    Mutant(
        "protocol: updates summed, not averaged over points",
        "networks/base.py",
        "share = self.rate / len(signals[-1])",
        "share = self.rate",
        RULES,
    ),
    Mutant(
        "protocol: each slope applied one layer too high",
        "networks/base.py",
        "reversed(slopes),",
        "reversed((*slopes[1:], slopes[0])),",
        RULES,
    ),
    Mutant(
        "protocol: weights' transpose forgotten by the layer's own",
        "networks/layers.py",
        "jax.linear_transpose(partial(layer.linear, weight), like)(s)",
        "jax.linear_transpose(partial(layer.linear, -weight), like)(s)",
        PROTOCOL,
    ),
    # the rules
    Mutant(
        "Align-zero with current activity",
        "rules.py",
        '"align-zero", initial_jacobian, initial_activity',
        '"align-zero", initial_jacobian, current_activity',
        RULES,
    ),
    Mutant(
        "Align-ada with frozen activity",
        "rules.py",
        '"align-ada",\n    initial_jacobian,\n    current_activity',
        '"align-ada",\n    initial_jacobian,\n    initial_activity',
        RULES,
    ),
    Mutant(
        "Align-prop with frozen σ′",
        "rules.py",
        "backpropagate(weights=start, slopes=now, error=e)",
        "backpropagate(weights=start, slopes=start, error=e)",
        RULES,
    ),
    Mutant(
        "Align-prop through current weights",
        "rules.py",
        "backpropagate(weights=start, slopes=now, error=e)",
        "backpropagate(weights=now, slopes=now, error=e)",
        RULES,
    ),
    Mutant(
        "FA through the network's own weights",
        "rules.py",
        "backpropagate(weights=fixed, slopes=now, error=e)",
        "backpropagate(weights=start, slopes=now, error=e)",
        RULES,
    ),
    Mutant(
        "DFA without σ′",
        "networks/base.py",
        "layer.through_slope(slope, self.from_output(number, projection, error))",
        "self.from_output(number, projection, error)",
        RULES,
    ),
    Mutant(
        "last layer trained with −e",
        "rules.py",
        "for u in now.preactivations[:-1]), e)",
        "for u in now.preactivations[:-1]), -e)",
        RULES,
    ),
    # the flows
    Mutant(
        "W* driven by its own error",
        "rules.py",
        'initial_activity, error="normal"',
        "initial_activity",
        FLOW,
    ),
    Mutant(
        "motion without 1/√m",
        "flow/operators/moving_weights.py",
        "v = layer.scale * weights",
        "v = weights",
        SPECTRAL,
    ),
    Mutant(
        "motion summed, not averaged over points",
        "flow/spectral/relaxation.py",
        "self.share = self.network.rate / self.points",
        "self.share = self.network.rate",
        SPECTRAL,
    ),
    Mutant(
        "bias does not move",
        "flow/operators/moving_weights.py",
        "rows @ motion.start.T + motion.plus",
        "rows @ motion.start.T",
        SPECTRAL,
    ),
    Mutant(
        "drift left out",
        "flow/operators/moving_weights.py",
        "return out + _second(motion, rows, transpose=True)",
        "return out",
        SPECTRAL,
    ),
    Mutant(
        "wrong time weight",
        "flow/spectral/collocation.py",
        "/ 2 * (self.times + self.tau)",
        "/ 2 * self.tau",
        ("flow/spectral/test_collocation",),
    ),
    Mutant(
        "weights of the interval doubled",
        "flow/spectral/collocation.py",
        "(self.end - self.begin) / 2 * (self.times",
        "(self.end - self.begin) * (self.times",
        ("flow/spectral/test_collocation",),
    ),
    # kernels and measurements
    Mutant(
        "kernel without the bias",
        "kernels/empirical.py",
        "(h + 1)[:, :, None, None]",
        "h[:, :, None, None]",
        FLOW,
    ),
    Mutant(
        "kernel without 1/m",
        "networks/layers.py",
        "return self.scale**2 * (h @ k.T)",
        "return h @ k.T",
        FLOW,
    ),
    Mutant(
        "activation drift summed over units",
        "quantities/theory.py",
        "np.sqrt(np.mean(moved, axis=-1) / z.shape[-1])",
        "np.sqrt(np.mean(moved, axis=-1))",
        MEASURES,
    ),
    Mutant(
        "activation drift without its root",
        "quantities/theory.py",
        "values = np.sqrt(np.mean(moved,",
        "values = (np.mean(moved,",
        MEASURES,
    ),
    Mutant(
        "weight drift without 1/√m",
        "quantities/theory.py",
        "= scale * values, scale * bounds + ROUNDING",
        "= values, scale * bounds + ROUNDING",
        MEASURES,
    ),
    Mutant(
        "gap without 1/√m",
        "quantities/theory.py",
        '"alignment-gap": (scale * gap, scale * gap_bound)',
        '"alignment-gap": (gap, scale * gap_bound)',
        MEASURES,
    ),
    Mutant(
        "gap without W̃ᵀW̃",
        "quantities/theory.py",
        "cross + cross.T + w.T @ w",
        "cross + cross.T",
        MEASURES,
    ),
    Mutant(
        "Δ from B alone",
        "quantities/theory.py",
        "for c in (a, b))\n    delta_norm = delta_norm",
        "for c in (b, b))\n    delta_norm = delta_norm",
        MEASURES,
    ),
    Mutant(
        "norm of a Jacobian without its root",
        "networks/jacobians.py",
        "return np.sqrt(np.maximum(largest, 0.0)).max(axis=-1)",
        "return np.maximum(largest, 0.0).max(axis=-1)",
        MEASURES,
    ),
    Mutant(
        "Jacobian's weights without 1/m",
        "networks/jacobians.py",
        "layer.scale**2 * weights + (aa",
        "weights + (aa",
        MEASURES,
    ),
    Mutant(
        "mean instead of largest point",
        "quantities/theory.py",
        "np.linalg.norm(answers, axis=-1).max(axis=-1)",
        "np.linalg.norm(answers, axis=-1).mean(axis=-1)",
        MEASURES,
    ),
    # common random numbers
    Mutant(
        "initial outputs with a random sign",
        "networks/shared_outputs.py",
        "np.where(np.diag(r) < 0, -1.0, 1.0)",
        "1.0",
        PAIRING,
    ),
    Mutant(
        "shared noise added to what was drawn",
        "networks/shared_outputs.py",
        "(shared - weight @ q) @ q.T",
        "shared @ q.T",
        PAIRING,
    ),
    Mutant(
        "pooled variance with the seeds' own means in it",
        "statistics/rates.py",
        "np.stack(residuals) - np.mean(residuals, axis=0)",
        "np.stack(residuals)",
        RATES,
    ),
    # exponents and verdicts
    Mutant(
        "slope against the width itself",
        "statistics/rates.py",
        "x = np.log(relative)",
        "x = relative",
        RATES,
    ),
    Mutant(
        "standard error without 1/n",
        "statistics/rates.py",
        "w**2 * row.var(ddof=1) / len(row) for",
        "w**2 * row.var(ddof=1) for",
        RATES,
    ),
    Mutant(
        "correction shifts the wrong way",
        "statistics/rates.py",
        "return self.estimate - high - self.numerical, self.estimate - low + self.numerical",
        "return self.estimate + low - self.numerical, self.estimate + high + self.numerical",
        RATES,
    ),
    Mutant(
        "bound judged the other way round",
        "statistics/judgement.py",
        "p_value = _p_value(rate, to_refute, -1)",
        "p_value = _p_value(rate, to_refute, 1)",
        RATES,
    ),
    # the regime
    Mutant(
        "widths outside the regime refute",
        "statistics/rates.py",
        "decides = outside <= len(samples.widths) - LEAST_WIDTHS",
        "decides = True",
        RATES,
    ),
    Mutant(
        "corrections of the other sign do not grow with the drift",
        "statistics/corrections.py",
        "least = -min(MARGIN * first, LARGEST)",
        "least = 0.0",
        RATES,
    ),
    Mutant(
        "no crossover where networks move",
        "statistics/corrections.py",
        "[k * crossing for k in kappas]",
        "[0 * crossing for k in kappas]",
        RATES,
    ),
    Mutant(
        "a second-order quantity taken for one of first order",
        "claims/verdicts.py",
        "max(1.0, -stated / ORDER)",
        "1.0",
        RATES,
    ),
    Mutant(
        "no width inside, and yet a p-value",
        "statistics/judgement.py",
        "if not rate.decides:\n        return 1.0",
        "if False:\n        return 1.0",
        RATES,
    ),
    Mutant(
        "the layer that moves least",
        "claims/regime.py",
        "values = by_seed.max()",
        "values = by_seed.min()",
        REGIME,
    ),
    Mutant(
        "widths extrapolated with the slope of another sign",
        "claims/regime.py",
        "math.log2(max(e / EDGE, 1e-9)) / -slope",
        "math.log2(max(e / EDGE, 1e-9)) / slope",
        REGIME,
    ),
    Mutant(
        "rare networks judged the other way round",
        "claims/verdicts.py",
        "decays = upper.exponent < line",
        "decays = upper.exponent > line",
        RATES,
    ),
    Mutant(
        "a relative drift that is absolute",
        "quantities/theory.py",
        "size = _rms(z0) or math.nan",
        "size = 1.0",
        MEASURES,
    ),
    Mutant(
        "a Jacobian without its biases",
        "networks/jacobians.py",
        "_activity_gram(h, h, layer) + float(layer.has_bias)",
        "_activity_gram(h, h, layer)",
        MEASURES,
    ),
    Mutant(
        "a misfit that does not count",
        "statistics/exact_laws.py",
        "whole = _exponent(samples.widths, logs, samples.errors + misfit)",
        "whole = _exponent(samples.widths, logs, samples.errors)",
        EXACT,
    ),
    Mutant(
        "a floor of another law",
        "statistics/exact_laws.py",
        "if left < misfit and share > FLOOR_SHARE",
        "if left > misfit and share > FLOOR_SHARE",
        EXACT,
    ),
    Mutant(
        "no look within the fastest relaxation",
        "kernels/training_time.py",
        "for k in range(steps, 0, -1)",
        "for k in range(steps - 1, 0, -1)",
        ("kernels/test_training_time",),
    ),
    Mutant(
        "no correction for many verdicts",
        "statistics/judgement.py",
        "(len(numbers) - rank) * numbers[i]",
        "1 * numbers[i]",
        RATES,
    ),
    Mutant(
        "an unfinished sweep taken for a finished one",
        "claims/evidence.py",
        "if (m, s) not in there]",
        "if False]",
        EVIDENCE,
    ),
    Mutant(
        "a question of the whole network answered by any layer",
        "claims/evidence.py",
        "return empty if layer is None else",
        "return True if layer is None else",
        EVIDENCE,
    ),
    Mutant(
        "no measurement taken for zero",
        "claims/evidence.py",
        """        return f"no measurement of {quantity} is in the table"
""",
        "        return None\n",
        EVIDENCE,
    ),
    # kernels
    Mutant(
        "limit: Γ from the wrong end",
        "kernels/analytic.py",
        "in reversed(slopes):",
        "in slopes:",
        KERNELS,
    ),
    Mutant(
        "limit: biases' own gradient left out",
        "kernels/analytic.py",
        "gamma * (h + 1)",
        "gamma * h",
        KERNELS,
    ),
    Mutant(
        "limit: the bias's variance squared",
        "kernels/analytic.py",
        "value, slope = propagated(expect, h + bias_std**2,",
        "value, slope = propagated(expect, h + bias_std**4,",
        KERNELS,
    ),
    Mutant(
        "limit: inputs without 1/d",
        "kernels/analytic.py",
        "start = x @ x.T / x.shape[1]",
        "start = x @ x.T",
        KERNELS,
    ),
    Mutant(
        "kernel: outputs of mirrored blocks not exchanged",
        "kernels/empirical.py",
        "g.transpose(1, 0, 3, 2)",
        "g.transpose(1, 0, 2, 3)",
        KERNELS,
    ),
    Mutant(
        "kernel: biases' own gradient left out",
        "kernels/empirical.py",
        "(h + 1)[:, :, None, None]",
        "h[:, :, None, None]",
        KERNELS,
    ),
    Mutant(
        "prediction: time divided by the outputs",
        "kernels/prediction.py",
        "jnp.asarray(times) * outputs",
        "jnp.asarray(times)",
        KERNELS,
    ),
    Mutant(
        "q with outputs exchanged",
        "kernels/prediction.py",
        '"xc,xycd,yd->xy"',
        '"xc,xydc,yd->xy"',
        KERNELS,
    ),
    Mutant(
        "spectrum with 1/P",
        "kernels/prediction.py",
        "[::-1] / len(delta) ** 2",
        "[::-1] / len(delta)",
        KERNELS,
    ),
    Mutant(
        "held-out points change the mean",
        "cells/kernels.py",
        "all_points / points, 0.0",
        "1.0, 0.0",
        KERNELS,
    ),
    Mutant(
        "limit: what the expansion leaves out is not said",
        "kernels/expectations.py",
        "return value, bound + cut",
        "return value, bound",
        KERNELS,
    ),
    Mutant(
        "limit: kinks are not resolved",
        "kernels/expectations.py",
        "HALVINGS = 45",
        "HALVINGS = 3",
        KERNELS,
    ),
    Mutant(
        "limit: what kinks are missed is not said",
        "kernels/expectations.py",
        "crossed = np.outer(self.norm, self.error)",
        "crossed = np.outer(self.norm, 0 * self.error)",
        KERNELS,
    ),
    Mutant(
        "limit: the error of a layer does not reach the next",
        "kernels/analytic.py",
        "np.maximum(*change))",
        "0 * change[0])",
        KERNELS,
    ),
    Mutant(
        "limit: points without variance left at zero",
        "kernels/analytic.py",
        "if not moving.all():",
        "if False:\n        return 1.0",
        KERNELS,
    ),
    Mutant(
        "measured: the limit's own error left out",
        "quantities/kernels.py",
        "(1 + gaps) * off + ROUNDING",
        "ROUNDING + 0 * off",
        KERNELS,
    ),
    Mutant(
        "infinite width: ‖ΔW‖ without its root",
        "cells/infinite_width.py",
        "np.sqrt(top) * scales",
        "top * scales",
        KERNELS,
    ),
    Mutant(
        "infinite width: twice the loss",
        "cells/infinite_width.py",
        "/ (2 * points)",
        "/ points",
        KERNELS,
    ),
    Mutant(
        "measured: features without 1/m",
        "networks/layers.py",
        "return self.scale**2 * (h @ k.T)",
        "return self.scale * (h @ k.T)",
        KERNELS,
    ),
    Mutant(
        "measured: the NNGP without its bias",
        "quantities/kernels.py",
        "start.features[-1] + network.bias_std**2",
        "start.features[-1]",
        KERNELS,
    ),
    Mutant(
        "measured: training points for held-out ones",
        "quantities/kernels.py",
        '(("", np.s_[:points]), ("-held-out", np.s_[points:]))',
        '(("-held-out", np.s_[:points]), ("", np.s_[points:]))',
        KERNELS,
    ),
    Mutant(
        "measured: q against twice its limit",
        "quantities/kernels.py",
        "predicted_delta(theta[some], e0, flow.times)",
        "predicted_delta(theta[some], 2 * e0, flow.times)",
        KERNELS,
    ),
    Mutant(
        "measured: not relative",
        "quantities/kernels.py",
        "np.linalg.norm(a - b) / np.linalg.norm(b)",
        "np.linalg.norm(a - b)",
        KERNELS,
    ),
    *(
        Mutant(*row)
        for faults in (
            faults_of_networks,
            faults_of_training,
            faults_of_experiments,
            faults_of_checks,
            faults_of_proofs,
            faults_of_reports,
            faults_of_clusters,
            faults_of_accuracy,
            faults_of_estimates,
            faults_of_inputs,
            faults_of_iterations,
            faults_of_memory,
            faults_of_provenance,
            faults_of_stores,
            faults_of_stops,
        )
        for row in faults.ROWS
    ),
)


def survives(mutant: Mutant) -> str | None:
    """Run the mutant's tests on a copy; None if it is caught, else why not."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("ntkalign", "tests", "examples"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        (copy / "ntkalign" / mutant.file).write_text(mutant.planted)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        tests = [f"tests/{name}" if "::" in name else f"tests/{name}.py" for name in mutant.tests]
        done = subprocess.run(
            [*command, *tests], cwd=copy, env=os.environ | {"PYTHONPATH": folder},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode == 1:
        return None
    return "not caught" if done.returncode == 0 else f"tests did not run: {done.stdout[-300:]}"


def main(files: Sequence[str]) -> int:
    """Plant every fault of these files (of all, if none is named); returns 1 if one survives."""
    unknown = sorted(set(files) - {m.file for m in MUTANTS})
    if unknown:
        print(f"no fault is listed for {', '.join(unknown)}", file=sys.stderr)
        return 2
    chosen = [m for m in MUTANTS if not files or m.file in files]
    found = []
    with ThreadPoolExecutor(2) as pool:
        for mutant, fate in zip(chosen, pool.map(survives, chosen), strict=True):
            print(f"{fate or 'caught':12} {mutant.what} ({mutant.file})", flush=True)
            found.append((mutant, fate))
    lost = [mutant for mutant, fate in found if fate]
    print(f"{len(found) - len(lost)} of {len(found)} caught")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
