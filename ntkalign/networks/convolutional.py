"""Convolutional networks as the paper trains them.

    u_l = conv(h_{l−1}; W_l)/√(k² c_{l−1}) + b_l,   h_l = σ(norm(u_l)),
    f = W_{L+1} p/√c_L + b_{L+1},   p the mean of h_L over its places.

All kernels are k × k with k = 3, padded as TensorFlow's SAME does; a batch norm stands between the
convolution and the activation, or none. The pooling belongs to the dense map, so that every hidden
layer is σ after norm and h_L still has its places. Inside, arrays have channels first and points
last, (c, H, W, B), see :mod:`ntkalign.networks.convolution`.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkalign.errors import InputError
from ntkalign.networks.activations import Activation, lookup
from ntkalign.networks.base import Network
from ntkalign.networks.convolution import convolve, windows
from ntkalign.networks.layers import Layer, LayerMap, Shape, is_array, laid_out
from ntkalign.networks.normalisation import Norm, normalise
from ntkalign.values import A_SCALE, A_STD, one_of, several, whole

KERNEL = 3
"""k, the side of every kernel."""
Parameterisation = Literal["ntk", "standard"]

_COUNT = whole(1, "it counts something", "pass a positive number")
_IMAGE = several(_COUNT, "they are height, width and channels", "pass (32, 32, 3), say")
_FILTERS = several(_COUNT, "each convolution has filters", "pass (16, 16, 16), say")
_STRIDES = several(_COUNT, "each convolution has a stride", "pass (1, 2, 2), say")
_FORM = one_of(("ntk", "standard"), "only these are defined")


def scaling(form: Parameterisation, fan_in: int) -> tuple[float, float]:
    """The factor before the weights, and their standard deviation at time 0.

    In the neural tangent form weights are N(0, 1) and the map divides by √fan-in; in the standard
    one the weights themselves are drawn so much smaller.

    Returns:
        Both numbers.
    """
    small = 1 / math.sqrt(fan_in)
    return (small, 1.0) if form == "ntk" else (1.0, small)


class ImageMap(LayerMap):
    """What the layers of images share: their input's shape, and how their weights are scaled."""

    image: Shape
    form: Parameterisation

    @property
    @abc.abstractmethod
    def fan_in(self) -> int:
        """Activities that an entry of u_l is made of."""

    @property
    def inputs(self) -> Shape:
        """(c_{l−1}, H, W)."""
        return self.image

    @property
    def scale(self) -> float:
        """1/√fan-in, or 1 in the standard parameterisation."""
        return scaling(self.form, self.fan_in)[0]

    @property
    def initial_std(self) -> float:
        """1, or 1/√fan-in in the standard parameterisation."""
        return scaling(self.form, self.fan_in)[1]


@dataclass(frozen=True)
class ConvolutionMap(ImageMap):
    """φ(θ, h) = conv(h; W)/√(k² c_{l−1}) + b and ψ = σ ∘ norm, for one layer.

    Args:
        image: (c_{l−1}, H, W), the shape of h_{l−1} for one point.
        filters: c_l.
        stride: of the convolution, along both axes.
        activation: σ.
        norm: the batch norm before it.
        form: of the parameterisation.
    """

    image: Shape
    filters: int
    stride: int
    activation: Activation
    norm: Norm
    form: Parameterisation

    @property
    def outputs(self) -> Shape:
        """(c_l, H′, W′), the sides divided by the stride and rounded up."""
        _, height, width = self.image
        return (self.filters, -(-height // self.stride), -(-width // self.stride))

    @property
    def parameters(self) -> Layer:
        """(k, k, c_{l−1}, c_l) and (c_l,)."""
        kernel = (KERNEL, KERNEL, self.image[0], self.filters)
        return jax.eval_shape(lambda: Layer(jnp.zeros(kernel), jnp.zeros(self.filters)))

    @property
    def fan_in(self) -> int:
        """k² c_{l−1}."""
        return KERNEL**2 * self.image[0]

    @property
    def products(self) -> int:
        """Each weight once a place."""
        return math.prod(self.parameters.weight.shape) * math.prod(self.outputs[1:])

    @property
    def places(self) -> int:
        """H′ W′."""
        return math.prod(self.outputs[1:])

    @property
    def places_at_once(self) -> int:
        """All of them."""
        return self.places

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """(c_l, k² c_{l−1})."""
        return (self.filters, self.fan_in)

    def matrix(self, weight: Any) -> Any:
        """(c_l, k² c_{l−1}), columns ordered by row, column and channel."""
        return weight.reshape(-1, self.filters).T

    def kernel(self, matrix: Any) -> Any:
        """(k, k, c_{l−1}, c_l)."""
        return matrix.T.reshape(KERNEL, KERNEL, -1, self.filters)

    def activity_rows(self, h: Any) -> Any:
        """What each place sees of the images, (B H′ W′, k² c_{l−1})."""
        return laid_out(
            h, lambda a: windows(a, (KERNEL, KERNEL), self.stride).reshape(-1, self.fan_in)
        )

    def signal_rows(self, s: Any) -> Any:
        """(B H′ W′, c_l)."""
        return laid_out(s, lambda a: a.transpose(3, 1, 2, 0).reshape(-1, self.filters))

    def from_signal_rows(self, rows: Any) -> Any:
        """(c_l, H′, W′, B)."""
        shape = -1, *self.outputs[1:], self.filters
        return laid_out(rows, lambda a: a.reshape(shape).transpose(3, 1, 2, 0))

    def linear(self, weight: Any, h: Float[Array, "a H W B"]) -> Float[Array, "b V X B"]:
        """conv(h; W)/√(k² c_{l−1})."""
        if not is_array(weight):
            return self.linear_by_rows(weight, h)
        return self.scale * convolve(h, weight, self.stride)

    def affine(self, parameters: Layer, h: Float[Array, "a H W B"]) -> Float[Array, "b V X B"]:
        """φ_l(θ_l, h)."""
        return self.linear(parameters.weight, h) + parameters.bias[:, None, None, None]

    def activity_shape(self, s: Array) -> Shape:
        """(c_{l−1}, H, W, B)."""
        return (*self.image, s.shape[-1])

    def nonlinear(self, u: Float[Array, "b V X B"]) -> tuple[Array, Array]:
        """σ(norm(u)), and u: the point where the two are linearised."""
        return self.activation.function(normalise(self.norm, u)), u

    def through_slope(self, slope: Array, g: Array) -> Array:
        """(∂norm/∂u)ᵀ (σ′(z) ⊙ g) at u."""
        return self.through_norm(slope, self.through_activation(slope, g))

    def through_activation(self, slope: Array, g: Array) -> Array:
        """σ′(z) ⊙ g with z = norm(u)."""
        return _through_activation(self.activation, normalise(self.norm, slope), g)

    def through_norm(self, slope: Array, g: Array) -> Array:
        """(∂norm/∂u)ᵀ g: the moments are differentiated too."""
        return jax.vjp(lambda u: normalise(self.norm, u), slope)[1](g)[0]


@dataclass(frozen=True)
class PooledMap(ImageMap):
    """φ(θ, h) = W p/√c + b, p the mean of h over its places: the last layer.

    Args:
        image: (c, H, W), the shape of h_L for one point.
        units: C.
        form: of the parameterisation.
    """

    image: Shape
    units: int
    form: Parameterisation

    @property
    def outputs(self) -> Shape:
        """(C,)."""
        return (self.units,)

    @property
    def parameters(self) -> Layer:
        """(C, c) and (C,)."""
        shape = (self.units, self.image[0])
        return jax.eval_shape(lambda: Layer(jnp.zeros(shape), jnp.zeros(self.units)))

    @property
    def fan_in(self) -> int:
        """The channels c."""
        return self.image[0]

    def activity_rows(self, h: Any) -> Any:
        """p, (B, c)."""
        return _pooled(h)

    def linear(self, weight: Any, h: Float[Array, "c H W B"]) -> Float[Array, "B C"]:
        """W p/√c."""
        if not is_array(weight):
            return self.linear_by_rows(weight, h)
        return self.scale * (weight @ jnp.mean(h, (1, 2))).T

    def activity_shape(self, s: Array) -> Shape:
        """(c, H, W, B)."""
        return (*self.image, len(s))

    def nonlinear(self, u: Array) -> tuple[Array, Array]:
        """u: an output has no nonlinearity."""
        return u, u

    def through_slope(self, slope: Array, g: Array) -> Array:
        """The signal as it is."""
        return g


@dataclass(frozen=True)
class Convolutional(Network):
    """Convolutions of 3 × 3, global average pooling, a dense layer.

    Args:
        image: (height, width, channels) of a point.
        filters: c_1 … c_L, the filters of each convolution.
        strides: of each convolution.
        classes: C.
        activation: σ.
        norm: which batch norm stands before each activation; "position" in the released code.
        form: "ntk", or "standard": weights N(0, 1/fan-in) and no factor before them.
        bias_std: standard deviation β of the biases at time 0.
        output_scale: factor α on the output.

    Raises:
        InputError: if there is no such network.
    """

    image: Shape
    filters: tuple[int, ...]
    strides: tuple[int, ...]
    classes: int
    activation: Activation
    norm: Norm = Norm.POSITION
    form: Parameterisation = "ntk"
    bias_std: float = 0.0
    output_scale: float = 1.0

    def __post_init__(self) -> None:
        kinds = [kind.value for kind in Norm]
        norm = self.norm.value if isinstance(self.norm, Norm) else self.norm
        for name, value in {
            "image": _IMAGE("image", self.image),
            "filters": _FILTERS("filters", self.filters),
            "strides": _STRIDES("strides", self.strides),
            "classes": _COUNT("classes", self.classes),
            "activation": lookup(self.activation),
            "norm": Norm(one_of(kinds, "only these are defined")("norm", norm)),
            "form": _FORM("form", self.form),
            "bias_std": A_STD("bias_std", self.bias_std),
            "output_scale": A_SCALE("output_scale", self.output_scale),
        }.items():
            object.__setattr__(self, name, value)
        if len(self.image) != 3:
            raise InputError(
                "image", self.image, must="be three numbers", got=str(len(self.image)),
                because="they are height, width and channels", do="pass (32, 32, 3), say",
            )  # fmt: skip
        if not self.filters or len(self.filters) != len(self.strides):
            raise InputError(
                "strides", self.strides, must="be as many as there are convolutions, at least one",
                got=f"{len(self.strides)} for {len(self.filters)}",
                because="each convolution has its own", do="pass one stride for each",
            )  # fmt: skip

    @cached_property
    def maps(self) -> tuple[LayerMap, ...]:
        """L convolutions, and the dense layer that pools."""
        height, width, channels = self.image
        image: Shape = (channels, height, width)
        layers: list[LayerMap] = []
        for filters, stride in zip(self.filters, self.strides, strict=True):
            layer = ConvolutionMap(image, filters, stride, self.activation, self.norm, self.form)
            layers.append(layer)
            image = layer.outputs
        return (*layers, PooledMap(image, self.classes, self.form))

    @property
    def input_shape(self) -> Shape:
        """(H, W, c)."""
        return self.image

    @property
    def couples_points(self) -> bool:
        """With a batch norm."""
        return self.norm is not Norm.NONE

    def point_axis(self, array: Any) -> int:
        """Images have their points last."""
        return -1 if array.ndim == 4 else 0

    def enter(self, x: Float[Array, "B H W c"]) -> Float[Array, "c H W B"]:
        """Channels first, points last."""
        return jnp.transpose(x, (3, 1, 2, 0))

    def projection_shapes(self, *, shared: bool = False) -> tuple[Shape, ...]:
        """(c_l, H, W, C), or (c_l, C) for one map at all places."""
        hidden = self.maps[:-1]
        reached = (layer.outputs[:1] if shared else layer.outputs for layer in hidden)
        return tuple((*outputs, self.classes) for outputs in reached)

    def from_output(self, number: int, projection: Any, e: Float[Array, "B C"]) -> Array:
        """B_l e; shaped like h_l."""
        if len(projection.shape) == 2:  # of such a map no more may be known than its products
            back = (e @ projection.T).T[:, None, None]
        else:
            back = projection @ e.T
        return jnp.broadcast_to(back, (*self.maps[number - 1].outputs, len(e)))


@partial(jax.jit, static_argnums=0)
def _through_activation(activation: Activation, z: Array, g: Array) -> Array:
    return jax.vjp(activation.function, z)[1](g)[0]


@jax.jit
def _pooled(h: Float[Array, "c H W B"]) -> Float[Array, "B c"]:
    return jnp.mean(h, (1, 2)).T
