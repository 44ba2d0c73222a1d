"""Whether claims can be measured on points: finite, varied, distinct, and of a usable scale.

Networks are meant for inputs whose entries are of order one. Far from it float64 itself gives way:
flows multiply inputs and targets with themselves several times, and 1e155 squared is infinite. What
is merely large or small runs, and is remarked upon.
"""

from __future__ import annotations

import hashlib

import numpy as np

from ntkalign.errors import InputError

SMALLEST, LARGEST = 1e-6, 1e6
"""The largest entry of inputs, and of targets, lies between these."""
USUAL = 10.0
"""Of a root mean square of inputs that is more, or less than one over this, something is said."""


def check_points(name: str, x: np.ndarray, y: np.ndarray, rows: int | None = None) -> None:
    """Refuse points on which no claim can be measured.

    Args:
        name: of the data.
        x: inputs, a row for each point.
        y: targets, likewise.
        rows: how many the data have, if these are the first of them.

    Raises:
        InputError: if they are not finite, constant, repeated, or of no usable scale.
    """

    def bad(must: str, got: str, because: str, do: str) -> InputError:
        return InputError("data", name, must=must, got=got, because=because, do=do)

    for key, array in (("x", x), ("y", y)):
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0, 0])
            raise bad(
                "be finite", f"NaN or infinity in row {row} of {key}",
                "a flow from it is not defined", "remove or mend that point",
            )  # fmt: skip
    if (y == y[:1]).all():
        some = "every point" if rows in (None, len(y)) else f"the first {len(y)} of {rows} rows"
        more = "or more points" if rows in (None, len(y)) else "shuffle the rows, or take more"
        raise bad(
            "have targets that differ between points", f"the same y for {some}",
            "there is nothing to learn but a bias", f"give targets that vary, {more}",
        )  # fmt: skip
    for key, array in (("x", x), ("y", y)):
        largest = float(np.abs(array).max())
        if not SMALLEST <= largest <= LARGEST:
            raise bad(
                f"have entries of order one in {key}", f"a largest entry of {largest:.3g}",
                f"flows multiply them, and only {SMALLEST:g} to {LARGEST:g} is sure to be finite",
                f"divide {key} by {largest:.3g}",
            )  # fmt: skip
    seen: dict[bytes, int] = {}
    for row, values in enumerate(x):
        digest = hashlib.sha256(np.ascontiguousarray(values + 0.0).tobytes()).digest()  # −0 is 0
        first = seen.setdefault(digest, row)
        if first != row:
            raise bad(
                "have distinct inputs", f"rows {first} and {row} of x that are equal",
                "duplicate points make the kernel singular",
                "ask for more inputs" if name == "sphere" else "remove the duplicates",
            )  # fmt: skip


def remarks_on(name: str, x: np.ndarray, rows: int | None = None) -> tuple[str, ...]:
    """What is worth saying of points that can be used.

    Args:
        name: of the data.
        x: inputs, a row for each point.
        rows: how many the data have, if these are the first of them.

    Returns:
        Sentences without a full stop.
    """
    said = []
    if rows is not None and rows > len(x):
        said.append(f"only the first {len(x)} of the {rows} rows of {name} are used")
    size = float(np.sqrt(np.mean(np.square(x))))
    if not 1 / USUAL <= size <= USUAL:
        said.append(
            f"the inputs of {name} are of size {size:.3g} (root mean square of their entries), and "
            f"the theory's networks are meant for inputs of size 1: divide x by {size:.3g}"
        )
    return tuple(said)
