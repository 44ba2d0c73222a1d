"""A user's own points: arrays x and y, of an ``.npz`` file or made, shaped for what they train.

What the axes of an array mean depends on the network: 8 × 8 numbers a point are eight steps of a
sequence, or an image. Nothing is guessed: a shape that the network does not take is refused.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ntkalign.data.formats import Header, Unreadable, npz_member
from ntkalign.errors import InputError

NUMBERS = frozenset("fiub")
"""NumPy's letters for the kinds of numbers that are points: real ones, whole ones, yes and no."""
SAVE = "numpy.savez(file, x=x, y=y)"


@dataclass(frozen=True)
class Shapes:
    """How a network takes the arrays of a file.

    Attributes:
        text: both arrays, as errors name them.
        x_axes: how many axes x may have; with the least of two, a step or a pixel is one number.
        y_axes: how many y may have.
    """

    text: str
    x_axes: tuple[int, ...]
    y_axes: tuple[int, ...]


SHAPES = {
    "mlp": Shapes("x (P, d) and y (P, C) or (P,)", (2,), (2,)),
    "rnn": Shapes("x (P, K, d) or (P, K) and y (P, K, c) or (P, K)", (3, 2), (3, 2)),
    "cnn": Shapes("x (P, H, W, c) or (P, H, W) and y (P, C) or (P,)", (4, 3), (2,)),
}
"""For each network; the usual number of axes first."""


def is_file(name: str) -> bool:
    """Whether the name of data is that of a user's own file."""
    return name.endswith(".npz")


def read_points(
    path: Path, network: str, steps: int | None = None
) -> tuple[Float[np.ndarray, "P ..."], Float[np.ndarray, "P C"]]:
    """All points of a file, used as they are.

    Args:
        path: an ``.npz`` file with arrays ``x`` and ``y`` whose rows are points. For ``mlp`` they
            are (P, d) and (P, C); for ``rnn`` x is (P, K, d), or (P, K) if d = 1, and y is
            (P, K, c), or (P, K) if c = 1; for ``cnn`` x is (P, H, W, c), or (P, H, W) if c = 1,
            and y is as for ``mlp``. Whole numbers (P,) are labels, and
            refused. Targets (P, K·c) of sequences are refused: they could as well be one answer to
            a whole sequence.
        network: ``mlp``, ``rnn`` or ``cnn``.
        steps: K, for ``rnn``; that of the file if left out.

    Returns:
        x and y in float64; where a step or a pixel is one number, x has a last axis for it, and
        targets of sequences are (P, K·c), step after step.

    Raises:
        InputError: if the file cannot be read, or the network cannot be trained on it.
    """
    must = f"be an .npz file with numeric arrays {_shapes(network)}"

    def bad(got: str, do: str = f"save it with {SAVE}") -> InputError:
        return InputError(
            "data", path, must=must, got=got, because="one row is one training point", do=do
        )

    return shaped(_arrays(path, bad), network, steps, path.name, bad)


def made_points(
    name: str, made: Any, network: str, steps: int | None = None
) -> tuple[Float[np.ndarray, "P ..."], Float[np.ndarray, "P C"]]:
    """All points that a function of the user's own has made, shaped like those of a file.

    Args:
        name: of the data.
        made: what it returned: x and y as :func:`read_points` has them.
        network: ``mlp``, ``rnn`` or ``cnn``.
        steps: K, for ``rnn``; that of the points if left out.

    Returns:
        x and y as :func:`read_points` returns them.

    Raises:
        InputError: if it is something else, or the network cannot be trained on it.
    """
    must = f"make numeric arrays {_shapes(network)}"

    def bad(got: str, do: str = "return x, y from its function") -> InputError:
        return InputError(
            "data", name, must=must, got=got, because="one row is one training point", do=do
        )

    if not isinstance(made, tuple | list) or len(made) != 2:
        raise bad(f"{type(made).__name__} from its function")
    try:
        arrays = {key: np.asarray(array) for key, array in zip(("x", "y"), made, strict=True)}
    except ValueError:
        raise bad("rows of unequal length") from None
    return shaped(arrays, network, steps, name, bad)


def _shapes(network: str) -> str:
    return SHAPES[network].text + f" for the network {network}" * (network != "mlp")


def shaped(
    arrays: dict[str, np.ndarray],
    network: str,
    steps: int | None,
    name: str,
    bad: Callable[..., InputError],
) -> tuple[Float[np.ndarray, "P ..."], Float[np.ndarray, "P C"]]:
    """Arrays x and y as the network takes them.

    Args:
        arrays: both, whatever they are.
        network: ``mlp``, ``rnn`` or ``cnn``.
        steps: K, for ``rnn``; that of the arrays if None.
        name: of where they come from.
        bad: makes the error, from what was got and perhaps what to do.

    Returns:
        x and y in float64.

    Raises:
        InputError: if the network does not take them.
    """
    x, y = arrays["x"], arrays["y"]
    if network != "rnn" and y.ndim == 1:
        if y.dtype.kind in "iub":
            raise InputError(
                "data", name, must="have targets (P, C) or (P,) of numbers to be learnt in y",
                got=f"labels y of shape {y.shape} and type {y.dtype}",
                because="outputs are fitted to them", do=_one_hot(y),
            )  # fmt: skip
        y = arrays["y"] = y[:, None]
    axes = {"x": SHAPES[network].x_axes, "y": SHAPES[network].y_axes}
    for key, array in arrays.items():
        got = f"{key} of shape {array.shape} and type {array.dtype}"
        if array.dtype.kind not in NUMBERS or 0 in array.shape:
            raise bad(got)
        if array.ndim not in axes[key]:
            raise bad(got, *_advice(network, x, y))
    if len(x) != len(y):
        raise bad(f"{len(x)} rows of x and {len(y)} of y")
    if not _fit(network, x, y):
        advice = _advice(network, x, y) or ["give y a row for each step of x"]
        raise bad(f"y of shape {y.shape} where x has {x.shape[1]} steps", *advice)
    if steps is not None and steps != x.shape[1]:
        raise InputError(
            "steps", steps, must=f"be {x.shape[1]} or left out", got=repr(steps),
            because=f"the sequences in {name} have {x.shape[1]}", do="leave it out",
        )  # fmt: skip
    if x.ndim < axes["x"][0]:
        x = x[..., None]
    return x.astype(np.float64), y.reshape(len(y), -1).astype(np.float64)


def _arrays(path: Path, bad: Callable[..., InputError]) -> dict[str, np.ndarray]:
    """Arrays x and y, whatever they are."""
    if not path.is_file():
        raise bad("no such file", "check the path")
    if not zipfile.is_zipfile(path):
        raise bad("something that is not an npz archive")

    def fault(key: str, header: Header) -> str:
        if header.kind == "|O":
            return "pickled objects, which are never loaded"
        if header.kind[1:2] in NUMBERS and 0 not in header.shape:
            return ""
        return f"{key} of shape {header.shape} and type {header.kind}"

    try:
        return {key: npz_member(path, key, partial(fault, key)) for key in ("x", "y")}
    except Unreadable as error:
        why = str(error).removeprefix(f"{path.name}: ")
        if error.__cause__ is not None:
            raise bad(f"a damaged archive: {why}") from None
        raise bad(why) from None


def _fit(network: str, x: np.ndarray, y: np.ndarray) -> bool:
    """Can the network take such arrays? A target is wanted at every step of a sequence."""
    shapes = SHAPES[network]
    fit = x.ndim in shapes.x_axes and y.ndim in shapes.y_axes
    return fit and (network != "rnn" or x.shape[1] == y.shape[1])


def _one_hot(labels: np.ndarray) -> str:
    """How labels become targets."""
    classes = len(np.unique(labels))
    return (
        f"save y = (y[:, None] == numpy.unique(y)) - 1/{classes}, one-hot with mean zero, or "
        "y.astype(float)"
    )


def _advice(network: str, x: np.ndarray, y: np.ndarray) -> list[str]:
    """What to do about arrays that do not fit: one text, or none where nothing is sure to help."""
    found = []
    if network == "mlp":
        found += [f"flatten {key} with {key}.reshape(len({key}), -1)"
                  for key, array in (("x", x), ("y", y)) if array.ndim > 2]  # fmt: skip
    if network == "rnn" and x.ndim in (2, 3) and y.ndim == 2 and y.shape[1] % x.shape[1] == 0:
        found.append(f"reshape y to {(len(y), x.shape[1], y.shape[1] // x.shape[1])}")
    if network == "cnn" and x.ndim == 2:
        found.append("reshape x to images")
    others = [name for name in SHAPES if name != network and _fit(name, x, y)]
    if others:
        found.append(f"pass the network {' or '.join(others)}")
    return [", or ".join(found)] if found else []
