"""Training data: P points, real images by default.

Image sets are labelled one-hot minus 1/C (mean zero; −0.1 for ten classes, as in the paper) and
their inputs are scaled to norm √d, so that the first layer's activities are of order one.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ntkalign.data.images import IMAGE_SETS, Images, read
from ntkalign.errors import InputError, unknown_name


@dataclass(frozen=True)
class Data:
    """P points: inputs ``x`` of shape (P, d), targets ``y`` of shape (P, C), float64."""

    name: str
    x: Float[np.ndarray, "P d"]
    y: Float[np.ndarray, "P C"]

    def first(self, points: int) -> Data:
        """So many of the points."""
        return replace(self, x=self.x[:points], y=self.y[:points])


@dataclass(frozen=True)
class Wanted:
    """How many points are asked for."""

    points: int
    held_out: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.points + self.held_out

    def check(self, name: str, available: int) -> None:
        """Are there so many?

        Raises:
            InputError: if there are not.
        """
        if self.points > available:
            raise InputError(
                "points", self.points, must=f"be at most {available}", got=repr(self.points),
                because=f"{name} has no more points", do=f"pass {available} or less",
            )  # fmt: skip
        if self.total > available:
            train = min(self.points, available // 2)
            raise InputError(
                "held_out", self.held_out, must=f"be at most {available - self.points}",
                got=repr(self.held_out),
                because=f"{name} has {available} points and {self.points} are trained on",
                do=f"ask for {train} points, {min(self.held_out, available - train)} held out, say",
            )  # fmt: skip


def load(
    name: str,
    *,
    points: int,
    held_out: int = 0,
    inputs: int | None = None,
    outputs: int | None = None,
    directory: Path | None = None,
) -> Data:
    """Load P training points and check that a claim can be measured on them.

    Args:
        name: ``digits`` (scikit-learn's handwritten digits, bundled), ``sphere`` (random points
            and Gaussian targets), ``cifar10`` or ``kmnist`` (read from ``directory``), or the
            path of an ``.npz`` file with arrays ``x`` (P, d) and ``y`` (P, C), used as they are.
        points: P. Images are drawn without replacement in one fixed random order, and a larger
            sphere contains a smaller one; a file gives its first P points.
        held_out: so many more, after the P, that are not trained on.
        inputs: d, for ``sphere`` only (default 32).
        outputs: C: target dimensions of ``sphere`` (default 2), or the number of classes to
            keep of an image set (default all).
        directory: where the two image sets lie.

    Returns:
        The points, those that are held out last.

    Raises:
        InputError: if the data cannot be read or no claim could be measured on them.
    """
    if points < 2:
        raise InputError(
            "points", points, must="be at least 2", got=points.__repr__(),
            because="alignment compares pairs of points", do="pass 16, say",
        )  # fmt: skip
    wanted = Wanted(points, held_out)
    if name.endswith(".npz"):
        _refuse("inputs", inputs, "the file fixes the number of inputs")
        _refuse("outputs", outputs, "the file fixes the number of outputs")
        data = _from_file(Path(name), wanted)
    elif name == "sphere":
        data = _sphere(
            wanted.total, 32 if inputs is None else inputs, 2 if outputs is None else outputs
        )
    elif name in IMAGE_SETS:
        _refuse("inputs", inputs, "the images fix the number of inputs")
        data = _from_images(read(name, directory), wanted, outputs)
    else:
        raise unknown_name(
            "data", name, (*IMAGE_SETS, "sphere", "FILE.npz"), "only these can be read"
        )
    _check(data)
    if held_out:
        _check(data.first(points))
    return data


def _from_images(images: Images, wanted: Wanted, outputs: int | None) -> Data:
    name, labels, classes = images.name, images.labels, images.classes
    kept = classes if outputs is None else outputs
    if not 2 <= kept <= classes:
        raise InputError(
            "outputs", kept, must=f"be between 2 and {classes}", got=kept.__repr__(),
            because=f"{name} has {classes} classes", do=f"leave it out to use all {classes}",
        )  # fmt: skip
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[labels[order] < kept]
    wanted.check(name, len(order))
    chosen = order[: wanted.total]
    return Data(name, _to_norm_sqrt_d(images.flat(chosen)), np.eye(kept)[labels[chosen]] - 1 / kept)


def _sphere(points: int, inputs: int, outputs: int) -> Data:
    for name, value in (("inputs", inputs), ("outputs", outputs)):
        if value < 1:
            raise InputError(
                name, value, must="be at least 1", got=value.__repr__(),
                because="it is a number of dimensions", do="pass a positive number",
            )  # fmt: skip
    of_x, of_y = np.random.default_rng(0).spawn(2)  # more points leave the first as they are
    x = _to_norm_sqrt_d(of_x.standard_normal((points, inputs)))
    return Data("sphere", x, of_y.standard_normal((points, outputs)))


def _from_file(path: Path, wanted: Wanted) -> Data:
    def bad(got: str, do: str = "save it with numpy.savez(file, x=x, y=y)") -> InputError:
        return InputError(
            "data", path, must="be an .npz file with numeric arrays x (P, d) and y (P, C)",
            got=got, because="one row is one training point", do=do,
        )  # fmt: skip

    if not path.is_file():
        raise bad("no such file", "check the path")
    if not zipfile.is_zipfile(path):
        raise bad("something that is not an npz archive")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in ("x", "y")}
    except KeyError:
        raise bad("a file without arrays named x and y") from None
    except ValueError:
        raise bad("pickled objects, which are never loaded") from None
    except (zipfile.BadZipFile, OSError, EOFError):
        raise bad("a damaged archive") from None
    for key, array in arrays.items():
        if array.ndim != 2 or array.dtype.kind not in "fiub" or 0 in array.shape:
            raise bad(f"{key} of shape {array.shape} and type {array.dtype}")
    x, y = (arrays[key].astype(np.float64) for key in ("x", "y"))
    if len(x) != len(y):
        raise bad(f"{len(x)} rows of x and {len(y)} of y")
    wanted.check(str(path), len(x))
    return Data(path.name, x[: wanted.total], y[: wanted.total])


def _check(data: Data) -> None:
    """No claim can be measured on points that are not finite, constant or repeated."""

    def bad(must: str, got: str, because: str, do: str) -> InputError:
        return InputError("data", data.name, must=must, got=got, because=because, do=do)

    for key, array in (("x", data.x), ("y", data.y)):
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0, 0])
            raise bad(
                "be finite", f"NaN or infinity in row {row} of {key}",
                "a flow from it is not defined", "remove or mend that point",
            )  # fmt: skip
    if np.ptp(data.y, axis=0).max() == 0:
        raise bad(
            "have targets that differ between points", "the same y for every point",
            "there is nothing to learn but a bias", "give targets that vary, or more points",
        )  # fmt: skip
    _, first, groups = np.unique(data.x, axis=0, return_index=True, return_inverse=True)
    if len(first) < len(data.x):
        repeated = int(np.flatnonzero(first[groups.ravel()] != np.arange(len(data.x)))[0])
        original = int(first[groups.ravel()[repeated]])
        raise bad(
            "have distinct inputs", f"rows {original} and {repeated} of x that are equal",
            "duplicate points make the kernel singular", "remove the duplicates",
        )  # fmt: skip


def _to_norm_sqrt_d(x: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norms == 0, 1.0, norms) * np.sqrt(x.shape[1])


def _refuse(name: str, value: int | None, because: str) -> None:
    if value is not None:
        raise InputError(
            name, value, must="be left out for these data", got=value.__repr__(),
            because=because, do="leave it out, or use the data sphere",
        )  # fmt: skip
