"""Whether a layer of a network is one: its transposes and its rows, each by its definition."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkalign.checking.outcomes import Examination, demand, distance
from ntkalign.checking.small import Example
from ntkalign.networks.layers import LayerMap

ROUNDING = 1e-10
"""What float64 may do to a sum, as a share of it."""


def check_layer(
    exam: Examination, example: Example, number: int, layer: LayerMap, part: str
) -> None:
    """Check one layer, at the pass of a network that has moved.

    Args:
        exam: where faults are noted.
        example: the network.
        number: l.
        layer: its map; it has weights.
        part: what faults call it.
    """
    now, _ = example.passes()
    w, h, u = now.weights[number - 1], now.activities[number - 1], now.preactivations[number - 1]
    s, v = example.normal(20 + number, u.shape), example.normal(40 + number, w.shape)
    k = example.normal(60 + number, h.shape)
    exam.check(f"layer {number}: linear in W and h", lambda: _linear(layer, w, v, h, k, part))
    exam.check(f"layer {number}: the way back", lambda: _back(layer, w, s, k, part))
    exam.check(f"layer {number}: the update", lambda: _outer(layer, s, v, h, part))
    exam.check(f"layer {number}: its rows", lambda: _rows(layer, w, s, h, part))
    if number < example.network.depth:
        exam.check(f"layer {number}: its slope", lambda: _slope(layer, u, s, part))


def _dot(a: Any, b: Any) -> float:
    return float(np.sum(np.asarray(a) * np.asarray(b)))


def _close(a: float, b: float, size: float) -> bool:
    return abs(a - b) <= ROUNDING * max(size, 1e-300)


def _linear(layer: LayerMap, w: Any, v: Any, h: Any, k: Any, part: str) -> None:
    expected = 2 * layer.linear(w, h) - 3 * layer.linear(v, h)
    apart = distance(layer.linear(2 * w - 3 * v, h), expected)
    demand(
        apart <= ROUNDING,
        part,
        "be linear in its weights",
        f"a sum that is off by {apart:.1e}",
        "its update is a transpose",
        "put the bias into affine",
    )
    expected = 2 * layer.linear(w, h) - 3 * layer.linear(w, k)
    apart = distance(layer.linear(w, 2 * h - 3 * k), expected)
    demand(
        apart <= ROUNDING,
        part,
        "be linear in the activities",
        f"a sum that is off by {apart:.1e}",
        "the way back is a transpose",
        "put the nonlinearity into nonlinear",
    )


def _back(layer: LayerMap, w: Any, s: Any, k: Any, part: str) -> None:
    there, back = _dot(s, layer.linear(w, k)), _dot(layer.through_weight(w, s), k)
    size = float(np.linalg.norm(np.ravel(s)) * np.linalg.norm(np.ravel(layer.linear(w, k))))
    demand(
        _close(there, back, size),
        part,
        "have ⟨s, linear(W, h)⟩ = ⟨through_weight(W, s), h⟩",
        f"{there:.6g} and {back:.6g}",
        "the error goes back by the transpose of the map",
        "leave through_weight to JAX, or look for Wᵀ and for the factor",
    )


def _outer(layer: LayerMap, s: Any, v: Any, h: Any, part: str) -> None:
    change = layer.outer(s, h)
    there, back = _dot(s, layer.linear(v, h)), _dot(v, change.weight)
    size = float(np.linalg.norm(np.ravel(s)) * np.linalg.norm(np.ravel(layer.linear(v, h))))
    demand(
        _close(there, back, size),
        part,
        "have ⟨s, linear(V, h)⟩ = ⟨V, outer(s, h)⟩",
        f"{there:.6g} and {back:.6g}",
        "weights move by the transpose of the map",
        "leave outer to JAX, or look for the order of s hᵀ and for the factor",
    )
    like = layer.parameters.bias
    if like is not None:
        moved = None if change.bias is None else change.bias.shape
        demand(
            moved == like.shape,
            part,
            f"move its bias, of shape {like.shape}",
            str(moved),
            "biases are trained",
            "return Σ s as the bias of outer",
        )


def _rows(layer: LayerMap, w: Any, s: Any, h: Any, part: str) -> None:
    matrix = layer.matrix(w)
    demand(
        matrix.shape == layer.matrix_shape,
        part,
        f"have a matrix of shape {layer.matrix_shape}",
        str(matrix.shape),
        "it is (units, fan-in)",
        "make both agree",
    )
    pairs = {
        "kernel(matrix(W)) = W": (layer.kernel(matrix), w),
        "from_signal_rows(signal_rows(s)) = s": (layer.from_signal_rows(layer.signal_rows(s)), s),
        "linear_by_rows(matrix(W), h) = linear(W, h)": (
            layer.linear_by_rows(matrix, h),
            layer.linear(w, h),
        ),
        "matrix(outer(s, h)) = scale · rows(s)ᵀ rows(h)": (
            layer.matrix(layer.outer(s, h).weight),
            layer.scale * layer.signal_rows(s).T @ layer.activity_rows(h),
        ),
    }
    if type(layer).through_weight is LayerMap.through_weight:  # which goes by rows, too
        pairs["through_matrix(matrix(W), s) = through_weight(W, s)"] = (
            layer.through_matrix(matrix, s),
            layer.through_weight(w, s),
        )
    for what, (found, expected) in pairs.items():
        same = found.shape == expected.shape
        apart = distance(found, expected) if same else math.inf
        demand(
            apart <= ROUNDING,
            part,
            f"have {what}",
            f"a difference of {apart:.1e}"
            if same
            else f"shapes {found.shape} and {expected.shape}",
            "measurements read weights and points as rows",
            "look at scale, and at the order of axes",
        )


def _slope(layer: LayerMap, u: Any, s: Any, part: str) -> None:
    direction = s[::-1]
    _, slope = layer.nonlinear(u)
    _, moved = jax.jvp(lambda a: layer.nonlinear(a)[0], (u,), (direction,))
    g = jnp.cos(moved)
    there, back = _dot(g, moved), _dot(layer.through_slope(slope, g), direction)
    size = float(np.linalg.norm(np.ravel(g)) * np.linalg.norm(np.ravel(moved)))
    demand(
        _close(there, back, size),
        part,
        "have ⟨g, ∂ψ v⟩ = ⟨through_slope(slope, g), v⟩",
        f"{there:.6g} and {back:.6g}",
        "the error goes back through the slope at u",
        "return the slope of the nonlinearity itself, as value_and_slope does",
    )
