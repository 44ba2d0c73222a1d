"""What ``ntkalign kernels`` measures and says, against formulas written out."""

from __future__ import annotations

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.linalg import expm

from ntkalign import InputError, Settings
from ntkalign.cells.cell import Cell
from ntkalign.cells.flow import Trial
from ntkalign.cells.kernels import held_out, measure_kernels, prepare
from ntkalign.claims.kernels import KERNEL_CLAIMS
from ntkalign.claims.questions import kernel_questions
from ntkalign.cli.main import main
from ntkalign.data.catalogue import Data
from ntkalign.kernels.analytic import infinite_width_kernels
from ntkalign.kernels.empirical import empirical
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.family import Family
from ntkalign.networks.layers import Layer
from ntkalign.rules import ALIGN_ZERO, NORMAL
from ntkalign.runs.suite import kernel_suite
from ntkalign.runs.sweep import needed, specify
from tests.cases import make, needs_dense, solve


def closed_form(kernel, e0, points, t):
    """e^t = exp(−t Θ/P) e^0 and δ = ∫ e dτ on the training points, and all outputs' change."""
    outputs = e0.shape[1]
    flat = kernel.transpose(0, 2, 1, 3).reshape((len(kernel) * outputs,) * 2)
    train = flat[: points * outputs, : points * outputs]
    e = expm(-t * train / points) @ e0.ravel()
    delta = np.linalg.solve(train / points, e0.ravel() - e)
    moved = flat[:, : points * outputs] @ delta / points
    return delta.reshape(points, outputs), moved.reshape(-1, outputs)


def moved_by(network, parameters, start, x):
    """How far parameters are from a start, as shares of activities and of the Jacobian."""

    def jacobians(at):
        vector, back = ravel_pytree(at)
        every = jax.jacobian(lambda v: network.forward(back(v), x).output)(vector)
        return np.asarray(every)

    z, z0 = (network.forward(p, x).preactivations[:-1] for p in (parameters, start))
    now, then = jacobians(parameters), jacobians(start)
    distances, sizes = ([np.linalg.norm(j, 2) for j in js] for js in (now - then, then))
    shares = {(None, "jacobian-drift-relative"): max(distances) / max(sizes)}
    for layer, (a, b) in enumerate(zip(z, z0, strict=True), start=1):
        apart = np.linalg.norm(np.asarray(a) - np.asarray(b))
        shares[layer, "activation-drift-relative"] = apart / np.linalg.norm(np.asarray(b))
    return shares


def written_out(trial, settings, points):
    """Every quantity of ``ntkalign kernels``, from flows on the training points alone."""
    initial, y = trial.problem.initial, trial.problem.y
    network, x = initial.network, initial.x
    start = jax.tree.map(lambda a: a.astype(jnp.float64), initial.start)
    kernels, at0 = infinite_width_kernels(settings.family, x), empirical(network, start, x)
    f0 = np.asarray(network.forward(start, x).output)
    e0, eye = np.asarray(y)[:points] - f0[:points], np.eye(y.shape[1])
    theta8 = np.einsum("pq,cd->pqcd", kernels.ntk, eye)
    h = np.asarray(network.forward(start, x).activities[-1])
    norm = np.linalg.norm
    found = {
        (None, "ntk-gap"): norm(at0.ntk - theta8) / norm(theta8),
        (None, "nngp-gap"): norm(h @ h.T / h.shape[1] + 0.4**2 - kernels.nngp) / norm(kernels.nngp),
    }
    flows = {}
    for rule in (NORMAL, ALIGN_ZERO):
        flow = solve(
            network, rule, start, x[:points], y[:points], trial.problem.times,
            engine="dense", tolerance=1e-10,
        )  # fmt: skip
        flows[rule] = (
            flow,
            [
                tuple(
                    Layer(w + dw[i], b + db[i])
                    for (w, b), (dw, db) in zip(start, flow.change, strict=True)
                )
                for i in range(len(trial.problem.times))
            ],
        )
    series = {}
    for i, t in enumerate(trial.problem.times):
        parameters = flows[NORMAL][1][i]
        f = np.asarray(network.forward(parameters, x).output)
        moved = np.asarray(network.forward(flows[ALIGN_ZERO][1][i], x).output)
        theta = empirical(network, parameters, x).ntk
        now = moved_by(network, parameters, start, x)
        now[None, "ntk-drift"] = norm(theta - at0.ntk) / norm(at0.ntk)
        for name, kernel in (("empirical", at0.ntk), ("analytic", theta8)):
            delta8, change = closed_form(kernel, e0, points, t)
            apart = norm(f - f0 - change, axis=1)
            now[None, f"flow-gap-{name}"] = apart[:points].max()
            now[None, f"flow-gap-{name}-held-out"] = apart[points:].max()
            if name == "empirical":
                now[None, "align-zero-gap"] = norm(moved - f0 - change, axis=1)[:points].max()
        delta = flows[NORMAL][0].delta[i]
        pair = [(a, b) for a in range(points) for b in range(points)]
        for layer in range(1, network.depth + 1):
            gamma, limited = at0.backward[layer - 1], kernels.backward[layer - 1]
            q, q8 = np.zeros((points, points)), np.zeros((points, points))
            for a, b in pair:
                q[a, b] = delta[a] @ gamma[a, b] @ delta[b]
                q8[a, b] = limited[a, b] * (delta8[a] @ delta8[b])
            now[layer, "q-gap"] = norm(q - q8) / norm(q8)
            s = np.asarray(network.forward(start, x).activities[layer - 1])[:points]
            sigma = s.T @ q @ s / points**2 / s.shape[1]  # (3), m × m
            ours = np.sort(np.linalg.eigvalsh(sigma))[::-1][:points]
            h8 = kernels.features[layer - 1][:points, :points]
            theirs = np.sort(np.linalg.eigvals(q8 @ h8).real)[::-1] / points**2
            now[layer, "spectrum-gap"] = norm(ours - theirs) / norm(theirs)
            if layer < network.depth:
                wide = np.einsum("pq,cd->pqcd", limited, eye)
                now[layer, "gamma-gap"] = norm(gamma - wide) / norm(wide)
        for name, value in now.items():
            series.setdefault(name, []).append(value)
    return found | {name: max(values) for name, values in series.items()}


def small_data():
    rng = np.random.default_rng(0)
    return Data("trial", rng.standard_normal((5, 4)), rng.standard_normal((5, 2)))


def everything(settings):
    """All that ``ntkalign kernels`` measures: rule → quantities."""
    return needed(kernel_questions(settings.family), ())["main"]


@needs_dense
@pytest.mark.parametrize("engine", ["spectral", "dense"])
def test_what_the_command_measures_is_the_equations(engine):
    """Two outputs, biases, held-out points: every number, from plain formulas and plain flows."""
    settings = Settings(
        points=3, depth=3, bias_std=0.4, activation="erf", engine=engine, tolerance=1e-9, time=2.0
    )
    data, wanted = small_data(), everything(settings)
    one = specify(settings, "kernels", data, Cell("main", 20, 0))
    rows = prepare(settings.family, data)(one, wanted)
    expected = written_out(Trial.of(one), settings, 3)
    asked = set().union(*wanted.values())
    found = {(row.layer, row.quantity): row[7:] for row in rows if row.quantity in asked}
    assert found.keys() == expected.keys()
    for name, (value, error, status) in found.items():
        assert status == "ok"
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, err_msg=str(name))
        assert abs(value - expected[name]) <= error + 1e-7 * value, name


def test_the_error_is_at_least_what_moving_the_limit_changes():
    settings = Settings(points=3, depth=2, time=1.0)
    data, wanted = small_data(), everything(settings)

    def measured(kernels):
        one = specify(settings, "kernels", data, Cell("main", 16, 0))
        rows = measure_kernels(one, wanted, limit=kernels)
        assert {row.status for row in rows} == {"ok"}
        return {(row.layer, row.quantity): (row.value, row.error) for row in rows}

    fine, other = (infinite_width_kernels(settings.family, x) for x in (data.x, data.x + 0.1))
    fine, other = (replace(kernels, moved=kernels) for kernels in (fine, other))
    of_fine, of_other = measured(fine), measured(other)
    both = measured(replace(fine, moved=other))
    beyond = {"ntk-gap", "nngp-gap", "gamma-gap", "q-gap", "spectrum-gap", "flow-gap-analytic"}
    beyond.add("flow-gap-analytic-held-out")
    for name, (value, error) in both.items():
        apart = abs(of_other[name][0] - of_fine[name][0])
        assert value == of_fine[name][0]
        if name[1] in beyond:
            assert error >= 0.999 * apart > 1e-4 * value
        else:
            assert error == of_fine[name][1]
            assert apart == 0
    assert {quantity for _, quantity in both} >= beyond


def test_every_claim_has_a_control():
    asked = kernel_questions(Family(3, activation("tanh"), bottleneck=4))
    assert {q.claim for q in asked if q.control} == set(KERNEL_CLAIMS)
    assert {q.claim for q in asked if not q.control} == set(KERNEL_CLAIMS)


@needs_dense
@pytest.mark.parametrize("engine", ["spectral", "dense"])
def test_held_out_points_are_looked_at_and_not_learnt(engine):
    case, times = make((4, 30, 20, 2), points=5, bias_std=0.2), np.array([1.0, 6.0])
    options = {"engine": engine, "tolerance": 1e-9}
    for rule in (NORMAL, ALIGN_ZERO):
        together = solve(
            case.network, held_out(rule, 3, 5), case.start, case.x, case.y, times, **options
        )
        alone = solve(
            case.network, rule, case.start, case.x[:3], case.y[:3], times,
            engine="dense", tolerance=1e-10,
        )  # fmt: skip
        np.testing.assert_allclose(together.output[:, :3], alone.output, atol=1e-7)
        for i in range(len(times)):
            moved = tuple(
                Layer(w + dw[i], b + db[i])
                for (w, b), (dw, db) in zip(case.start, alone.change, strict=True)
            )
            seen = case.network.forward(moved, case.x).output
            np.testing.assert_allclose(together.output[i], seen, atol=1e-7)


def test_the_command_leaves_a_report_that_can_be_rebuilt(tmp_path, capsys):
    flags = ["--points", "3", "--outputs", "2", "--depth", "2", "--widths", "8,16,32", "--seeds",
             "2", "--time", "1", "--held-out", "2", "--out", str(tmp_path)]  # fmt: skip
    assert main(["kernels", *flags]) == 0
    assert "kernels/flow-analytic/held-out" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["config"]["held_out"] == 2
    assert {c["id"] for c in report["controls"]} <= {c["id"] for c in report["claims"]}
    assert all(c["error_share"] < 0.01 for c in report["claims"])
    assert main(["report", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "report.json").read_text()) == report


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(InputError, match=r"held_out \(0\) must be at least 1; got 0; because"):
        kernel_suite(0)
    suite = kernel_suite(2)
    with pytest.raises(InputError, match=r"output_exponent \(-0.5\) must be 0; got another"):
        suite.ask(Settings(output_exponent=-0.5), ())
