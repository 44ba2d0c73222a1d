"""Networks, points and runs that train in a moment; the same ones everywhere, compiled once."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np

from ntkalign.data.batches import BatchOrder
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.fully_connected import FullyConnected
from ntkalign.networks.recurrent import Recurrent
from ntkalign.rules import RULES
from ntkalign.training.feed import Resident
from ntkalign.training.learner import Learner
from ntkalign.training.losses import MEAN_SQUARE, SQUARE_OVER_TIME
from ntkalign.training.optimisers import OPTIMISERS
from ntkalign.training.trainer import Run, train

DENSE = FullyConnected((2, 3, 2), ACTIVATIONS["tanh"])
RECURRENT = Recurrent(2, 3, ACTIVATIONS["tanh"], slots=4)
ORDER = BatchOrder(99, batch=4, train=13, test=9)  # 3 steps, 2 test batches
LEARNERS = {
    "normal": Learner(DENSE, RULES["normal"], MEAN_SQUARE, OPTIMISERS["sgd"]),
    "adam": Learner(DENSE, RULES["normal"], MEAN_SQUARE, OPTIMISERS["adam"]),
    "align-zero": Learner(DENSE, RULES["align-zero"], MEAN_SQUARE, OPTIMISERS["sgd"]),
    "w-star": Learner(DENSE, RULES["w-star"], MEAN_SQUARE, OPTIMISERS["sgd"]),
    "recurrent": Learner(RECURRENT, RULES["normal"], SQUARE_OVER_TIME, OPTIMISERS["sgd"]),
}


def run(name: str = "normal", **changes) -> Run:
    """Three epochs of three steps; of five of the nine there is a log."""
    order = replace(ORDER, evaluates_train=name == "recurrent")
    rate = {"adam": 0.05, "recurrent": 0.02}.get(name, 0.5)
    given = {"rate": rate, "epochs": 3, "order": order, "seed": 99, "precision": "float64",
             "log_steps": 5}  # fmt: skip
    return Run(LEARNERS[name], **(given | changes))


def points(of: Run) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Inputs and targets to train and to test on."""
    drawn, network = np.random.default_rng(3), of.learner.network
    if isinstance(network, Recurrent):
        x, y = drawn.normal(size=(2, 22, network.steps, 1)).astype(of.precision)
    else:
        x = drawn.normal(size=(22, 2)).astype(of.precision)
        y = np.eye(2, dtype=of.precision)[(x[:, 0] > x[:, 1]).astype(int)] - x.dtype.type(0.5)
    return (x[:13], y[:13]), (x[13:], y[13:])


def feeds(of: Run, kind=Resident) -> tuple[Resident, Resident]:
    return tuple(kind(*part) for part in points(of))


def trained(of: Run, *more, **options):
    """Its history and last state."""
    return train(of, *feeds(of), *more, **options)


def numbers(history) -> dict[str, np.ndarray]:
    """All of a history but its seconds and its status."""
    return {
        "epochs": np.array([epoch[:-1] for epoch in history.epochs], float).reshape(-1, 5),
        "losses": np.array(history.losses, float),
        "update norms": np.array(history.update_norms, float),
    }


def assert_same_history(left, right) -> None:
    """Bit for bit; NaN is NaN."""
    assert left.status == right.status
    for name, values in numbers(left).items():
        np.testing.assert_array_equal(values, numbers(right)[name], err_msg=name)


def assert_same_state(left, right) -> None:
    """Bit for bit, types too."""
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert a.dtype == b.dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
