"""The Add task (59): remember an input for two steps and another for five.

Sequences of coins x; at step k the answer is y_k = ½ + ½ x_(k−2) − ¼ x_(k−5). The paper's code
makes them with NumPy's old generator, seed 99, and these are the same bit for bit. It also differs
from the equation: time is a circle there, and whole sequences, the first two and the first five,
lack a term. The equation itself, with zeros before a sequence begins, is the causal variant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ntkalign.data.training_sets import Part, TrainingSet, precision
from ntkalign.errors import InputError
from ntkalign.values import flag, whole

SEED, STEPS = 99, 100
SEEDS_END = 2**32
TRAIN, TEST = 300, 100
"""Sequences: the first are trained on, the last are measured on."""
NAME = "add"
TERMS = ((2, 0.5), (5, -0.25))
"""So many steps back, with which weight."""

_a_seed = whole(0, "it is the seed of a generator", f"pass {SEED}, the paper's")
_steps = whole(1, "it is the length of the sequences", f"pass {STEPS}, the paper's")


def add_task(
    *, seed: int = SEED, steps: int = STEPS, causal: bool = False, dtype: Any = np.float32
) -> TrainingSet:
    """The sequences of the Add task.

    Args:
        seed: of NumPy's old generator; its global state is neither used nor changed.
        steps: the length of each sequence.
        causal: the equation (59) as it is written, and not as the paper's code has it.
        dtype: float32 or float64; all values are exact in both.

    Returns:
        300 sequences that are trained on and 100 that are measured on; ``x`` and ``y`` are
        (sequences, steps, 1).

    Raises:
        InputError: if an option cannot be used.
    """
    seed, steps, causal = _a_seed("seed", seed), _steps("steps", steps), flag("causal", causal)
    kind = precision(dtype)
    if seed >= SEEDS_END:
        raise InputError(
            "seed", seed, must=f"be at most {SEEDS_END - 1}", got=repr(seed),
            because="seeds of that generator are 32-bit numbers", do=f"pass {SEED}, the paper's",
        )  # fmt: skip
    coins = coin_flips(seed, steps)
    answers = answer(coins, causal=causal)
    x, y = (array.astype(kind)[..., None] for array in (coins, answers))
    return TrainingSet(NAME, train=Part(x[:TRAIN], y[:TRAIN]), test=Part(x[TRAIN:], y[TRAIN:]))


def chance_losses() -> tuple[float, float]:
    """What always answering 0.5 costs: Σ_t mean (y − 0.5)² of the training and of the test part."""
    wrong = (answer(coin_flips(SEED, STEPS), causal=False) - 0.5) ** 2
    train, test = (float(part.mean(axis=0).sum()) for part in (wrong[:TRAIN], wrong[TRAIN:]))
    return train, test


def coin_flips(seed: int, steps: int) -> Int[np.ndarray, "sequences steps"]:
    """The inputs, 0 or 1, as the paper's code draws them."""
    return np.random.RandomState(seed).binomial(1, 0.5, size=(TRAIN + TEST, steps))


def answer(
    coins: Int[np.ndarray, "sequences steps"], *, causal: bool
) -> Float[np.ndarray, "sequences steps"]:
    """What the network is asked for.

    Args:
        coins: the inputs.
        causal: with zeros before a sequence begins; otherwise as in the paper's code.

    Returns:
        A number for each input.
    """
    total = np.full(coins.shape, 0.5)
    for back, weight in TERMS:
        earlier = np.roll(coins, back, axis=1)
        if causal:
            earlier[:, :back] = 0
        else:
            earlier[:back] = 0  # sequences, where steps must have been meant
        total += weight * earlier
    return total
