"""The convolution, padded as TensorFlow's SAME does, in the form that a CPU computes fastest.

Arrays have channels first and points last, (c, H, W, B). A convolution is then one product of the
kernel with all windows, each a column:

    (c_out × k² c_in) · (k² c_in × H′ W′ B),

where the windows are k² shifted slices of the padded images; with stride 1 they are shifted to the
side first, and then down by whole rows. Its transposes, in the images and in the kernel, are again
such products, and the batch norm's sums run over neighbouring numbers. Inside a compiled loop over
minibatches this is 3 to 100 times faster on a CPU than XLA's own convolution, whose transposes fall
back to plain loops there (``benchmarks/training.py convolutions``). Where the windows would take
much memory, the products of the k² shifts are summed instead. A GPU has convolutions of its own.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.devices import devices

Shape = tuple[int, ...]

WINDOW_BYTES = 2**29
"""Windows that take more are not laid out side by side."""
FORMS = ("windows", "shifts", "library")


def convolve(
    h: Float[Array, "a H W B"],
    kernel: Float[Array, "k k a b"],
    stride: int,
    form: str | None = None,
) -> Float[Array, "b V X B"]:
    """The cross-correlation of images with a kernel; sides are divided by the stride, rounded up.

    SAME pads so that every place of the output sees the image: with stride 2 and an even side
    nothing before and one row after; with stride 1 one row on either side.

    Args:
        h: images.
        kernel: rows, columns, channels of the images, channels of the result.
        stride: along both axes.
        form: how it is computed, one of FORMS; by the device and the size if None.

    Returns:
        The same up to rounding, whatever the form.
    """
    form = form or _choose(math.prod(kernel.shape[:2]) * h.nbytes // stride**2)
    if form == "library":
        return jax.lax.conv_general_dilated(
            h, kernel, (stride, stride), "SAME", dimension_numbers=("CHWN", "HWIO", "CHWN")
        )
    padded, sides, down, across = _laid_out(h, kernel.shape[:2], stride)
    shifts = [part for rows in down(padded) for part in across(rows)]
    if form == "windows":
        if stride == 1:  # the same, in less time
            shifts = down(jnp.concatenate(across(padded)))
        columns = jnp.concatenate(shifts)
        flat = kernel.reshape(-1, kernel.shape[-1]).T @ columns.reshape(len(columns), -1)
    else:
        taps = kernel.reshape(-1, *kernel.shape[2:])
        flat = sum(
            tap.T @ part.reshape(len(part), -1) for tap, part in zip(taps, shifts, strict=True)
        )
    return flat.reshape(-1, *sides, h.shape[-1])


def windows(h: Any, kernel: tuple[int, int], stride: int) -> Any:
    """What the kernel sees at each place of the result, in the order (row, column, channel).

    Args:
        h: images, (a, H, W, B); an array of NumPy gives one of NumPy.
        kernel: its sides.
        stride: along both axes.

    Returns:
        For each image and place the entries that meet the kernel, zeros outside the image;
        (B, V, X, k k a).
    """
    numpy = np if isinstance(h, np.ndarray) else jnp
    padded, sides, down, across = _laid_out(h, kernel, stride)
    shifts = numpy.stack([part for rows in down(padded) for part in across(rows)])
    return numpy.transpose(shifts, (4, 2, 3, 0, 1)).reshape(h.shape[-1], *sides, -1)


def _laid_out(h: Any, kernel: tuple[int, ...], stride: int) -> tuple[Any, Shape, Any, Any]:
    """The padded images, the sides of the result, and the shifts along either axis."""
    numpy = np if isinstance(h, np.ndarray) else jnp
    sides, pads = zip(*(_same(h.shape[i], kernel[i - 1], stride) for i in (1, 2)), strict=True)
    down, across = (
        partial(_shifts, axis=axis, count=kernel[axis - 1], side=side, stride=stride)
        for axis, side in zip((1, 2), sides, strict=True)
    )
    return numpy.pad(h, ((0, 0), *pads, (0, 0))), sides, down, across


def _choose(window_bytes: int) -> str:
    if devices()[0].platform != "cpu":
        return "library"
    return "windows" if window_bytes <= WINDOW_BYTES else "shifts"


def _same(size: int, kernel: int, stride: int) -> tuple[int, tuple[int, int]]:
    """Places of the output along an axis, and the zeros before and after."""
    places = -(-size // stride)
    zeros = max((places - 1) * stride + kernel - size, 0)
    return places, (zeros // 2, zeros - zeros // 2)


def _shifts(padded: Any, axis: int, count: int, side: int, stride: int) -> list[Any]:
    """What every window has at each of its places along an axis."""
    span = (side - 1) * stride + 1
    if isinstance(padded, np.ndarray):
        before = (slice(None),) * axis
        return [padded[(*before, slice(at, at + span, stride))] for at in range(count)]
    return [jax.lax.slice_in_dim(padded, at, at + span, stride, axis) for at in range(count)]
