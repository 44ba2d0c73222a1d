"""What the weights of a layer do to its activities, as one linear operator.

Of a dense or a recurrent layer that is the matrix of its weights. Of a convolution it is the whole
operator on images, with its stride and padding: the cosine of two kernels written as matrices is
another number than that of the operators. The operator is never formed: two places of the output
meet in the input at most k² times, so that a block of A Bᵀ is a sum of products of the kernels'
taps, and it depends on where the two places are to one another, and on which taps fall outside the
image. Blocks that are equal are computed once and counted.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from itertools import product

import numpy as np
from jaxtyping import Float

from ntkalign.networks.layers import LayerMap


def operator_product(
    a: Float[np.ndarray, ...], b: Float[np.ndarray, ...], layer: LayerMap
) -> float:
    """⟨AᵀA, BᵀB⟩ = ‖A Bᵀ‖_F² of two kernels, or of two matrices.

    Args:
        a: (k, k, c_in, c_out), or (units, fan-in).
        b: the same shape.
        layer: whose weights they are.

    Returns:
        The product; the layer's factor before the weights is not in it.
    """
    if a.ndim == 2:
        return float(np.sum((a @ b.T) ** 2))
    stride = getattr(layer, "stride", 1)
    rows, columns = (
        meetings(size, kernel, stride)
        for size, kernel in zip(layer.inputs[1:], a.shape[:2], strict=True)
    )

    @cache
    def taps(one: tuple[int, int], other: tuple[int, int]) -> np.ndarray:
        return np.asarray(a[one].T @ b[other])

    total = 0.0
    for (row, many), (column, times) in product(rows.items(), columns.items()):
        block = sum(taps((h, w), (k, m)) for (h, k), (w, m) in product(row, column))
        total += many * times * float(np.sum(np.square(block)))
    return total


def meetings(size: int, kernel: int, stride: int) -> Counter[tuple[tuple[int, int], ...]]:
    """Along one axis: which taps of two places of the output read the same place of the input.

    Args:
        size: places of the input.
        kernel: taps.
        stride: of the convolution, padded as SAME.

    Returns:
        For each list of (tap of the first place, tap of the second), how many pairs have it.
    """
    places = -(-size // stride)
    before = max((places - 1) * stride + kernel - size, 0) // 2
    found: Counter[tuple[tuple[int, int], ...]] = Counter()
    for first in range(places):
        for second in range(places):
            shift = (second - first) * stride
            inside = (
                (tap, tap - shift)
                for tap in range(kernel)
                if 0 <= tap - shift < kernel and 0 <= first * stride + tap - before < size
            )
            if met := tuple(inside):
                found[met] += 1
    return found


def alignment_score(
    change: Float[np.ndarray, ...], star: Float[np.ndarray, ...], layer: LayerMap
) -> float:
    """S of (9): the cosine of AᵀA and BᵀB for two changes of a layer; NaN if one of them is zero.

        S = ‖A Bᵀ‖_F² / (‖A Aᵀ‖_F ‖B Bᵀ‖_F)

    Args:
        change: W^t − W^0, or what is put in its place; a kernel, or a matrix.
        star: W* − W^0.
        layer: whose weights they are.

    Returns:
        A number from 0 to 1.
    """
    a, b = np.asarray(change, float), np.asarray(star, float)
    both, one, other = (operator_product(*pair, layer) for pair in ((a, b), (a, a), (b, b)))
    return both / math.sqrt(one * other) if one * other > 0 else math.nan
