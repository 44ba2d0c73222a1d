"""``python -m tests.float64_entries``: what every entry of the package computes, as digests.

Run by :mod:`tests.test_precision` in processes of their own, whose JAX is in float32 (as it is by
default) or in float64 for good. A computation of the user's own runs beside them in another thread,
and before and after. With ``unscoped`` the scopes do nothing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ntkalign import precision

USED, SCOPED = set(), set()


def record(decorator):
    """A decorator of functions that also notes which of them there are and which are called."""

    def decorate(function):
        name = f"{function.__module__}.{function.__qualname__}".replace("<locals>.", "")
        SCOPED.add(name)
        inner = decorator(function)

        @functools.wraps(function)
        def noted(*args, **kwargs):
            USED.add(name)
            return inner(*args, **kwargs)

        return noted

    return decorate


if "unscoped" in sys.argv:
    precision.float64 = contextlib.nullcontext
precision.in_float64 = record(precision.in_float64)
precision.as_given = record(precision.as_given)

from ntkalign import (  # noqa: E402
    ACTIVATIONS,
    RULES,
    Family,
    FlowOptions,
    FullyConnected,
    Outcome,
    Problem,
    Settings,
    backpropagate,
    gradient_flow,
    verify,
)
from ntkalign.cells.cell import Cell  # noqa: E402
from ntkalign.cells.flow import Trial, measure_cell  # noqa: E402
from ntkalign.cells.infinite_width import Sweep, outputs_at_0, predictions  # noqa: E402
from ntkalign.cells.kernels import held_out, prepare  # noqa: E402
from ntkalign.cells.trained import Trained, Which  # noqa: E402
from ntkalign.data.catalogue import Data  # noqa: E402
from ntkalign.flow.initial_state import InitialState  # noqa: E402
from ntkalign.kernels.analytic import infinite_width_kernels  # noqa: E402
from ntkalign.kernels.convolutional import convolutional_kernels  # noqa: E402
from ntkalign.kernels.empirical import Factors, at_once, empirical, factors  # noqa: E402
from ntkalign.kernels.prediction import predicted_outputs  # noqa: E402
from ntkalign.kernels.training_time import choose_time  # noqa: E402
from ntkalign.networks.convolutional import Convolutional  # noqa: E402
from ntkalign.networks.normalisation import Norm  # noqa: E402
from ntkalign.networks.recurrent import Recurrent  # noqa: E402
from ntkalign.networks.shared_outputs import share_outputs  # noqa: E402
from ntkalign.runs.sweep import specify  # noqa: E402

RNG = np.random.default_rng(0)
IMAGE = np.linspace(-1, 1, 4)[None, None, :, None]
X, Y = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 2))
Z, TIMES = RNG.standard_normal((4, 5)), np.array([0.5, 1.0])
NETWORK = FullyConnected((3, 6, 5, 2), ACTIVATIONS["tanh"], bias_std=0.3)
TWO_LAYERS = FullyConnected((3, 5, 2), ACTIVATIONS["tanh"])
KEY = jax.random.key(1)
FAMILY = Family(3, ACTIVATIONS["gelu"])
DATA = Data("trial", X, Y)
SMALL = Settings(
    data="sphere", points=4, outputs=2, inputs=3, depth=2, widths=(8, 12, 16), seeds=2, time=1.0,
    tolerance=1e-4, rules=("align-ada",),
)  # fmt: skip
ONE = specify(SMALL, "theory", DATA, Cell("main", 8, 0))
NEEDS = {
    RULES["normal"]: frozenset({"activation-drift", "jacobian-drift", "discrepancy"}),
    RULES["align-ada"]: frozenset({"feedback-drift", "divergence"}),
}


def user(parameters):
    """What a user might compute: compiled and not, random, by products, and by our own network."""
    x = jnp.linspace(0, 1, 12).reshape(4, 3)
    draws = jax.random.normal(jax.random.key(0), (3, 4))
    found = NETWORK.forward(parameters, x)
    signals = backpropagate(found, found, found.output)
    slope = jax.grad(lambda a: jnp.sum(jnp.tanh(x @ a)))(draws)
    return x @ draws, jax.jit(lambda a: jax.nn.relu(a @ draws) / 3)(x), slope, found, signals


def flow_of(rule, engine):
    """A flow and everything that can be asked of it."""
    problem = Problem.of(NETWORK, NETWORK.initialise(KEY), X, Y, TIMES, KEY)
    flow = gradient_flow(problem, RULES[rule], FlowOptions(engine, 1e-5, 200))
    assert flow.outcome is Outcome.REACHED
    asked = flow.observe(), flow.splits(2), flow.weight_change(1)
    return flow.delta, flow.output, flow.initial.first, flow.initial.jacobian, asked


def of_batch_norm():
    """W* where points see one another, by the one engine that knows such networks."""
    network = Convolutional((4, 4, 1), (2,), (2,), 2, ACTIVATIONS["tanh"], Norm.CHANNEL)
    images = Z[:, :4, None, None] * IMAGE
    problem = Problem.of(network, network.initialise(KEY), images, Y, TIMES, KEY)
    flow = gradient_flow(problem, RULES["normal"], FlowOptions("dense", 1e-4, 200))
    assert flow.outcome is Outcome.REACHED
    return flow.output, [(change.left, change.right) for change in flow.frozen_change(1)]


def verified():
    """The table of a run, whose networks are measured by threads."""
    table = verify(SMALL, claims=("lemma-1/weights",)).table
    return table["value"].to_numpy(float), table["error"].to_numpy(float)


def rows(found):
    return [np.array([row[-3:-1] for row in found])]


def double(values):
    with precision.float64():
        return jnp.asarray(values, jnp.float64)


def passed():
    start = NETWORK.initialise(KEY)
    return start, NETWORK.forward(start, double(X))


def of_recurrent():
    """All that a recurrent network computes by itself, and an image's network beside it."""
    steps, sequences, images = 3, Z[:, :3, None] * X[:, :1, None], Z[:, :4, None, None] * IMAGE
    network = Recurrent(5, steps, ACTIVATIONS["tanh"], slots=4)
    seen = network.forward(network.initialise(KEY), double(sequences))
    signals = backpropagate(seen, seen, double(sequences))
    direct = network.direct(network.projections(KEY), seen.slopes, double(sequences))
    image = Convolutional((4, 4, 1), (2,), (2,), 2, ACTIVATIONS["tanh"])
    seen_image = image.forward(image.initialise(KEY), double(images))
    moves = image.outer(backpropagate(seen_image, seen_image, double(Y)), seen_image.activities)
    again = network.pass_from_preactivations(double(sequences), seen.preactivations)
    return seen.output, direct, network.outer(signals, seen.activities), moves, again.output


def kept():
    """A flow that was kept and is read again."""
    rule, trial = RULES["normal"], Trial.of(ONE)
    with tempfile.TemporaryDirectory() as folder:
        trained = Trained(Path(folder) / "trained.sqlite", "")
        which = Which(rule, ONE.ladder)
        trained.keep(ONE, which, trial.pair(rule)[0])
        found = trained.find(ONE, trial.problem, which, (rule,))
    return found.observe()


def entries():
    """Every entry by name, as a function without arguments."""
    biased = Family(3, ACTIVATIONS["gelu"], bias_std=0.3)
    flows = {
        f"{rule} {engine}": functools.partial(flow_of, rule, engine)
        for rule, engine in (("normal", "spectral"), ("w-star", "spectral"), ("dfa", "dense"))
    }
    slopes = {
        name: functools.partial(lambda a: a.value_and_slope(double(Z)), activation)
        for name, activation in ACTIVATIONS.items()
        if name != "linear"
    }
    some = replace(ONE, points=3)
    kernels = prepare(SMALL.family, DATA)
    return {
        **flows,
        **slopes,
        "initialise": lambda: NETWORK.initialise(KEY),
        "forward": passed,
        "backpropagate": lambda: backpropagate(passed()[1], passed()[1], double(Y)),
        "update": lambda: NETWORK.update(
            backpropagate(passed()[1], passed()[1], double(Y)), passed()[1].activities
        ),
        "recurrent": of_recurrent,
        "batch norm": of_batch_norm,
        "share_outputs": lambda: share_outputs(NETWORK, NETWORK.initialise(KEY), double(X), KEY),
        "initial state": lambda: InitialState.of(NETWORK, NETWORK.initialise(KEY), X).jacobian,
        "choose_time": lambda: choose_time(FAMILY, DATA, fall=1.0 + 1e-9),
        "limit": lambda: (
            infinite_width_kernels(FAMILY, X).forward,
            infinite_width_kernels(FAMILY, X).backward,
        ),
        "limit, quadrature": lambda: (
            infinite_width_kernels(Family(2, ACTIVATIONS["tanh"]), X).backward
        ),
        "empirical": lambda: empirical(NETWORK, NETWORK.initialise(KEY), X),
        "factors": lambda: factors(NETWORK, NETWORK.initialise(KEY), double(X)),
        "at_once": lambda: at_once(
            TWO_LAYERS, Factors((X, Z), (np.tile(Z, (2, 1)), np.tile(X, (2, 1))))
        ),
        "predicted": lambda: predicted_outputs(
            infinite_width_kernels(FAMILY, X).ntk[:, :, None, None] * np.eye(2),
            Y,
            np.zeros((4, 2)),
            TIMES,
        ),
        "kernels of channels": lambda: (
            convolutional_kernels(ACTIVATIONS["tanh"], (2,), 0.3, Z[:, :4, None, None] * IMAGE).ntk
        ),
        "initial outputs": lambda: outputs_at_0(
            biased.bias_std, infinite_width_kernels(FAMILY, X).features[-1], 0, 2, "shared"
        ),
        "predictions": lambda: (
            predictions(biased, Sweep(DATA, (0.5, 1.0), (8,), (0, 1), "shared")).loss
        ),
        "trial": lambda: Trial.of(ONE).pair(RULES["normal"])[0].output,
        "kept": kept,
        "cell": lambda: rows(measure_cell(ONE, NEEDS)),
        "held out": lambda: held_out(RULES["normal"], 3, 4).feedback(
            passed()[1], passed()[1], (), double(Y)
        ),
        "kernels cell": lambda: rows(
            kernels(some, {RULES["normal"]: frozenset({"ntk-gap", "ntk-drift"})})
        ),
        "verify": verified,
    }


def digest(tree):
    """The types and the numbers of a tree's arrays."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    numbers = hashlib.sha256(b"".join(leaf.tobytes() for leaf in leaves)).hexdigest()[:12]
    return [sorted({str(leaf.dtype) for leaf in leaves}), numbers]


def main():
    """Print what was computed, what the user's thread saw, and which scopes were never entered."""
    narrow = jax.tree.map(lambda a: np.asarray(a, np.float32), NETWORK.initialise(KEY))
    narrow = jax.tree.map(jnp.asarray, narrow)
    seen, stop = [digest(user(narrow))], threading.Event()

    def meanwhile():
        while not stop.wait(1):
            seen.append(digest(user(narrow)))

    thread, found = threading.Thread(target=meanwhile), {}
    thread.start()
    try:
        for name, entry in entries().items():
            try:
                found[name] = digest(entry())
            except Exception as error:  # without scopes
                found[name] = [[type(error).__name__], str(error)]
            if name in ("normal spectral", "gelu", "cell"):
                seen.append(digest(user(narrow)))
    finally:
        stop.set()
        thread.join()
    seen.append(digest(user(narrow)))
    unused = sorted(SCOPED - USED)
    print(json.dumps({"found": found, "user": seen, "unused": unused, "scoped": len(SCOPED)}))


if __name__ == "__main__":
    main()
