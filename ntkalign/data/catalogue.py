"""Training data: P points, real images by default.

Image sets are labelled one-hot minus 1/C (mean zero; −0.1 for ten classes, as in the paper) and
their inputs are scaled to norm √d, so that the first layer's activities are of order one. What a
point is depends on the network that is trained on it: a vector, a sequence of vectors or an image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ntkalign.data.add_task import NAME as ADD
from ntkalign.data.add_task import SEED, answer, coin_flips
from ntkalign.data.formats import LARGEST
from ntkalign.data.images import IMAGE_SETS, Images, read
from ntkalign.data.own_file import is_file, made_points, read_points
from ntkalign.data.point_checks import check_points, remarks_on
from ntkalign.errors import InputError, raised_in, said_by, unknown_name
from ntkalign.registry import Registry, check_legal
from ntkalign.values import function, whole

NETWORKS = ("mlp", "rnn", "cnn")
"""Fully connected, recurrent, convolutional: what points can be made for."""
STEPS = 4
"""The length of sequences, if nothing else is asked for."""
SPHERE = {"mlp": (32, 2), "rnn": (8, 1), "cnn": (64, 2)}
"""Inputs and outputs of the sphere for each network; for ``rnn``, of each step."""
SPHERE_IMAGE = (8, 8, 1)


@dataclass(frozen=True)
class Data:
    """P points in float64.

    Attributes:
        name: of the data.
        x: inputs: (P, d), for ``rnn`` (P, K, d), for ``cnn`` (P, H, W, c).
        y: targets (P, C); for ``rnn`` C = K·c, those of one step after those of another.
        remarks: what is worth saying of them; no part of what they are.
    """

    name: str
    x: Float[np.ndarray, "P ..."]
    y: Float[np.ndarray, "P C"]
    remarks: tuple[str, ...] = field(default=(), compare=False)

    def first(self, points: int) -> Data:
        """So many of the points."""
        return replace(self, x=self.x[:points], y=self.y[:points])


@dataclass(frozen=True)
class PointSet:
    """Points of the user's own by name, made by a function.

    Args:
        name: as ``data`` of a run names them.
        make: ``(count) -> (x, y)``: numeric arrays with a row for each point, shaped as in a file
            (:func:`~ntkalign.data.own_file.read_points`). The first ``count`` rows are used; fewer
            are all that there are. Equal calls return equal points.

    Raises:
        InputError: if the name cannot be kept, or there is no function.
    """

    name: str
    make: Callable[[int], tuple[np.ndarray, np.ndarray]]

    def __post_init__(self) -> None:
        check_legal("data", self.name)
        function("make", self.make)


POINT_SETS: Registry[PointSet] = Registry("data", reserved=(*IMAGE_SETS, "sphere", ADD))
"""Those of the user's own: all other names are built in."""


@dataclass(frozen=True)
class Wanted:
    """How many points are asked for."""

    points: int
    held_out: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.points + self.held_out

    def check(self, name: str, available: int, otherwise: str = "") -> None:
        """Are there so many?

        Args:
            name: of what has the points.
            available: how many it has.
            otherwise: what else to do than to ask for fewer.

        Raises:
            InputError: if there are not.
        """
        if self.points > available:
            raise InputError(
                "points", self.points, must=f"be at most {available}", got=repr(self.points),
                because=f"{name} has no more points", do=f"pass {available} or less{otherwise}",
            )  # fmt: skip
        if self.total > available:
            train = min(self.points, available // 2)
            raise InputError(
                "held_out", self.held_out, must=f"be at most {available - self.points}",
                got=repr(self.held_out),
                because=f"{name} has {available} points and {self.points} are trained on",
                do=f"ask for {train} points, {min(self.held_out, available - train)} held out, say"
                + otherwise,
            )  # fmt: skip


def load(
    name: str,
    *,
    points: int,
    held_out: int = 0,
    inputs: int | None = None,
    outputs: int | None = None,
    directory: Path | None = None,
    network: str = "mlp",
    steps: int | None = None,
) -> Data:
    """Load P training points and check that a claim can be measured on them.

    Args:
        name: ``digits`` (scikit-learn's handwritten digits, bundled), ``sphere`` (random points
            and Gaussian targets), ``cifar10`` or ``kmnist`` (read from ``directory``), ``add``
            (sequences of the Add task, different ones, with zeros before they begin), or the
            path of an ``.npz`` file with arrays ``x`` and ``y``, used as they are
            (:func:`~ntkalign.data.own_file.read_points` says their shapes), or the name of a
            :class:`PointSet`.
        points: P. Images are drawn without replacement in one fixed random order, and a larger
            sphere contains a smaller one; a file and the Add task give their first P points.
        held_out: so many more, after the P, that are not trained on.
        inputs: d, for ``sphere`` only (default 32). For ``rnn``, of each step (default 8); for
            ``cnn`` its images are 8 × 8.
        outputs: C: target dimensions of ``sphere`` (default 2; for ``rnn`` 1 a step), or the
            number of classes to keep of an image set (default all).
        directory: where the two image sets lie.
        network: what is trained: ``mlp`` (fully connected) on all data but ``add``, ``cnn``
            (convolutional) on the same, as images, ``rnn`` (recurrent) on ``add``, ``sphere`` or
            a file.
        steps: K, the length of sequences, for ``rnn`` only (default 4, or that of the file).

    Returns:
        The points, those that are held out last.

    Raises:
        InputError: if the data cannot be read or no claim could be measured on them.
    """
    if network not in NETWORKS:
        raise unknown_name("network", network, NETWORKS, "only for these are there points")
    if network != "rnn" and steps is not None:
        raise InputError(
            "steps", steps, must=f"be left out for the network {network}", got=repr(steps),
            because="its points are no sequences", do="leave it out, or pass the network rnn",
        )  # fmt: skip
    if points < 2:
        raise InputError(
            "points", points, must="be at least 2", got=points.__repr__(),
            because="alignment compares pairs of points", do="pass 16, say",
        )  # fmt: skip
    wanted, rows = Wanted(points, held_out), None
    if is_file(name):
        _refuse("inputs", inputs, "the file fixes the number of inputs")
        _refuse("outputs", outputs, "the file fixes the number of outputs")
        path = Path(name)
        x, y = read_points(path, network, steps)
        rows = len(x)
        wanted.check(str(path), rows)
        data = Data(path.name, x[: wanted.total], y[: wanted.total])
    elif name in POINT_SETS:
        _refuse("inputs", inputs, "they have their own number of inputs")
        _refuse("outputs", outputs, "they have their own number of outputs")
        x, y = made_points(name, _made(name, wanted.total), network, steps)
        wanted.check(name, len(x))
        data = Data(name, x[: wanted.total], y[: wanted.total])
    elif name == "sphere":
        data = _sphere(wanted.total, network, inputs, outputs, steps)
    elif name == ADD and network == "rnn":
        _refuse("inputs", inputs, "there is one coin a step")
        _refuse("outputs", outputs, "there is one answer a step")
        data = _from_add_task(wanted, steps)
    elif name in IMAGE_SETS and network != "rnn":
        _refuse("inputs", inputs, "the images fix the number of inputs")
        data = _from_images(read(name, directory), wanted, outputs, as_images=network == "cnn")
    else:
        raise _no_such_data(name, network)
    check_points(data.name, data.x, data.y, rows)
    if held_out:
        check_points(data.name, data.x[:points], data.y[:points], rows)
    return replace(data, remarks=remarks_on(data.name, data.x, rows))


def _made(name: str, count: int) -> object:
    """What the function of a point set returns."""
    try:
        return POINT_SETS[name].make(count)
    except Exception as error:
        if isinstance(error, InputError):
            raise
        place = raised_in(error)
        raise InputError(
            "data", name, must="make points when its function is called",
            got=f"{type(error).__name__}: {said_by(error)}" + (f" ({place})" if place else ""),
            because=f"it is asked for {count} of them", do="mend it there",
        ) from error  # fmt: skip


def asked_of(name: str) -> tuple[str, ...]:
    """Which dimensions of data somebody may ask for; the others they have by themselves."""
    if name == "sphere":
        return ("inputs", "outputs")
    return ("outputs",) if name in IMAGE_SETS else ()


def _no_such_data(name: str, network: str) -> InputError:
    allowed = (ADD,) if network == "rnn" else tuple(IMAGE_SETS)
    allowed += ("sphere", *POINT_SETS, "FILE.npz")
    if name == ADD:
        because = "its points are sequences"
        do = "pass the network rnn, or the data digits"
    elif name in IMAGE_SETS:
        because = "an image has one label, and a target is wanted at every step"
        do = f"pass the data {ADD}, or the network cnn"
    else:
        return unknown_name("data", name, allowed, "only these can be read")
    return InputError(
        "data", name, must=f"be one of {', '.join(allowed)} for the network {network}",
        got=repr(name), because=because, do=do,
    )  # fmt: skip


def _from_images(images: Images, wanted: Wanted, outputs: int | None, *, as_images: bool) -> Data:
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
    x = _to_norm_sqrt_d(images.flat(chosen))  # channel after channel
    if as_images:
        height, width, channels = images.pixels.shape[1:]
        x = x.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    return Data(name, x, np.eye(kept)[labels[chosen]] - 1 / kept)


def _sphere(
    points: int, network: str, inputs: int | None, outputs: int | None, steps: int | None
) -> Data:
    if network == "cnn":
        _refuse("inputs", inputs, "its images are 8 × 8", "leave it out, or pass the network mlp")
    inputs, outputs = (
        default if value is None else value
        for value, default in zip((inputs, outputs), SPHERE[network], strict=True)
    )
    for name, value in (("inputs", inputs), ("outputs", outputs)):
        if value < 1:
            raise InputError(
                name, value, must="be at least 1", got=value.__repr__(),
                because="it is a number of dimensions", do="pass a positive number",
            )  # fmt: skip
    steps = _length(steps) if network == "rnn" else 1
    if 8 * points * steps * (inputs + outputs) > LARGEST:
        raise InputError(
            "points", points, must="be fewer, or of fewer dimensions",
            got=f"{points * steps} vectors of {inputs + outputs} numbers",
            because=f"they take more than {LARGEST >> 30} GiB", do="pass 16 points, say",
        )  # fmt: skip
    of_x, of_y = np.random.default_rng(0).spawn(2)  # more points leave the first as they are
    x = _to_norm_sqrt_d(of_x.standard_normal((points * steps, inputs)))
    shape = {"mlp": (inputs,), "rnn": (steps, inputs), "cnn": SPHERE_IMAGE}[network]
    return Data(
        "sphere", x.reshape(points, *shape), of_y.standard_normal((points, steps * outputs))
    )


def _from_add_task(wanted: Wanted, steps: int | None) -> Data:
    length = _length(steps, 3, "before the third step every answer is ½")
    drawn = coin_flips(SEED, length)
    _, first = np.unique(drawn, axis=0, return_index=True)
    more = "" if len(first) == len(drawn) else ", or more steps"
    wanted.check(f"the Add task of {length} steps, without repetitions,", len(first), more)
    coins = drawn[np.sort(first)[: wanted.total]]
    return Data(ADD, coins[..., None].astype(np.float64), answer(coins, causal=True))


def _length(steps: int | None, least: int = 1, because: str = "sequences have steps") -> int:
    length: int = whole(least, because, f"pass {STEPS}, say")(
        "steps", STEPS if steps is None else steps
    )
    return length


def _to_norm_sqrt_d(x: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norms == 0, 1.0, norms) * np.sqrt(x.shape[1])


def _refuse(
    name: str, value: int | None, because: str, do: str = "leave it out, or use the data sphere"
) -> None:
    if value is not None:
        raise InputError(
            name, value, must="be left out for these data", got=value.__repr__(),
            because=because, do=do,
        )  # fmt: skip
