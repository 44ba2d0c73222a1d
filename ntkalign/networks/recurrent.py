"""The recurrent network of the Add task (Section 4 and Appendix E of the paper).

    z_k = W_i x_k + W_h h_{k−1}/√n + b_h,   h_k = σ(z_k),   ŷ_k = W_o h_k/√n + b_o,   k = 0 … K − 1.

Input weights are not scaled, and the readout is, as in the released code. (61) as printed has no
1/√n before the readout: outputs are then of order √n, there is no neural tangent limit, and it is
here to be measured (``scaled_readout``). Weights are tied over time: what signals make of them is
summed over steps. The state h_{−1} before the first step is zero; in the released code it is
*trained*, one row for every slot of a batch, and used at evaluation too: then it is a layer of its
own, which has a bias and no weight.

In the terms of :mod:`ntkalign.networks.base` the layers are (the state,) W_i, W_h with b_h, and
W_o with b_o. W_i and W_h meet in one preactivation z, so that they share its signal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.networks.activations import Activation, lookup
from ntkalign.networks.base import Network, Pass, Signals
from ntkalign.networks.fully_connected import DenseMap
from ntkalign.networks.layers import Layer, LayerMap, Parameters, Shape, is_array, nonlinear
from ntkalign.precision import as_given
from ntkalign.values import A_SCALE, A_STD, flag, optional, whole

_COUNT = whole(1, "it counts something", "pass a positive number")


@dataclass(frozen=True)
class StateMap(LayerMap):
    """φ(θ) = h_{−1}: the state before the first step, one row for every slot of a batch.

    Args:
        slots: rows, as many as a batch has points.
        units: n.
    """

    slots: int
    units: int

    @property
    def inputs(self) -> Shape:
        """(n,)."""
        return (self.units,)

    @property
    def outputs(self) -> Shape:
        """(n,)."""
        return (self.units,)

    @property
    def parameters(self) -> Layer:
        """No weight, and a bias (slots, n)."""
        return Layer(None, jax.eval_shape(lambda: jnp.zeros((self.slots, self.units))))

    @property
    def scale(self) -> float:
        """1."""
        return 1.0

    def linear(self, weight: Any, h: Array) -> Array:
        """Nothing: it depends on no input."""
        return jnp.zeros_like(h)

    def nonlinear(self, u: Array) -> tuple[Array, Array]:
        """The state enters as it is."""
        return u, u

    def through_slope(self, slope: Array, g: Array) -> Array:
        """The signal as it is."""
        return g


@dataclass(frozen=True)
class InputMap(DenseMap):
    """φ(θ, x) = W_i x, without a bias: b_h belongs to W_h."""

    @property
    def has_bias(self) -> bool:
        """No."""
        return False

    @property
    def parameters(self) -> Layer:
        """(n, d), and no bias."""
        return Layer(super().parameters.weight, None)


@dataclass(frozen=True)
class Recurrent(Network):
    """A network with one recurrent layer, read out at every step.

    Args:
        width: n, the number of hidden units.
        steps: K.
        activation: σ.
        features: d, the inputs of a step.
        targets: C, the outputs of a step.
        slots: if given, h_{−1} is trained, and every batch has so many points.
        scaled_readout: whether the readout has its factor 1/√n; (61) as printed has none.
        bias_std: standard deviation β of the biases at time 0.
        output_scale: factor α on the output.

    Raises:
        InputError: if there is no such network.
    """

    width: int
    steps: int
    activation: Activation
    features: int = 1
    targets: int = 1
    slots: int | None = None
    scaled_readout: bool = True
    bias_std: float = 0.0
    output_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("width", "steps", "features", "targets"):
            object.__setattr__(self, name, _COUNT(name, getattr(self, name)))
        object.__setattr__(self, "slots", optional(_COUNT)("slots", self.slots))
        object.__setattr__(self, "activation", lookup(self.activation))
        flag("scaled_readout", self.scaled_readout)
        object.__setattr__(self, "bias_std", A_STD("bias_std", self.bias_std))
        object.__setattr__(self, "output_scale", A_SCALE("output_scale", self.output_scale))

    @cached_property
    def maps(self) -> tuple[LayerMap, ...]:
        """(The state,) inputs, recurrence, readout."""
        n, sigma, k = self.width, self.activation, self.steps
        state = () if self.slots is None else (StateMap(self.slots, n),)
        readout = None if self.scaled_readout else 1.0
        return (
            *state,
            InputMap(self.features, n, sigma, factor=1.0, steps=k),
            DenseMap(n, n, sigma, steps=k),
            DenseMap(n, self.targets, sigma, factor=readout, steps=k),
        )

    @property
    def input_shape(self) -> Shape:
        """(K, d)."""
        return (self.steps, self.features)

    @property
    def output_shape(self) -> Shape:
        """(K, C)."""
        return (self.steps, self.targets)

    @property
    def runs_in_time(self) -> bool:
        """It does."""
        return True

    @property
    def operations(self) -> int:
        """Each weight once a step."""
        return self.steps * super().operations

    @property
    def entries(self) -> int:
        """Hidden units and outputs of every step."""
        return self.steps * (self.width + self.targets)

    def frozen(self, start: Parameters, now: Parameters) -> Parameters:
        """Weights of time 0, from the current state h_{−1}, as in the released code."""
        return start if self.slots is None else (now[0], *start[1:])

    def projection_shapes(self, *, shared: bool = False) -> tuple[Shape, ...]:
        """One map (n, C) for the recurrent layer, or one for h_{−1} and one for every step."""
        places = () if shared else (self.steps + 1,)
        return ((*places, self.width, self.targets),)

    @property
    def projection_sizes(self) -> tuple[int, ...]:
        """(n,)."""
        return (self.width,)

    @as_given
    def forward(self, parameters: Parameters, x: Float[Array, "P K d"]) -> Pass:
        """All steps, over all sequences."""
        *state, inputs, recurrence, readout = parameters
        into, again, out = self.maps[-3:]
        before = state[0].bias if state else jnp.zeros((len(x), self.width), x.dtype)
        given = into.affine(inputs, _swapped(x)) + recurrence.bias[None, None]

        def step(h: Array, driven: Array) -> tuple[Array, Array]:
            z = again.linear(recurrence.weight, h) + driven
            return nonlinear(again, z)[0], z

        _, z = _scan(recurrence.weight, step, before, given)
        # once more, of all steps at once: quicker than in the scan
        h, slope = nonlinear(again, z)
        earlier = jnp.concatenate([before[None], h[:-1]])
        y = out.affine(readout, h)
        z, h, slope, earlier, y = jax.tree.map(_swapped, (z, h, slope, earlier, y))
        first = [before] if state else []
        return Pass(
            network=self,
            weights=tuple(layer.weight for layer in parameters),
            preactivations=(*first, z, z, y),
            activities=(*first, x, earlier, h),
            slopes=(slope,),
            output=self.output_scale * y,
        )

    @as_given
    def pass_from_preactivations(self, x: Array, preactivations: tuple[Array, ...]) -> Pass:
        """The pass that has these preactivations of recurrence and readout; without weights."""
        z, y = preactivations[-2:]
        h, slope = nonlinear(self.maps[-2], z)
        before = jnp.zeros_like(h[:, :1]) if self.slots is None else preactivations[0][:, None]
        earlier = jnp.concatenate([before, h[:, :-1]], axis=1)
        first = () if self.slots is None else (preactivations[0],)
        return Pass(
            network=self,
            weights=(),
            preactivations=preactivations,
            activities=(*first, x, earlier, h),
            slopes=(slope,),
            output=self.output_scale * y,
        )

    @as_given
    def backward(
        self, weights: tuple[Any, ...], slopes: tuple[Any, ...], error: Float[Array, "P K C"]
    ) -> Signals:
        """The chain rule back through time.

            s_k = (∂σ/∂z_k)ᵀ (W_oᵀ e_k/√n + λ_k),   λ_{k−1} = W_hᵀ s_k/√n,   λ_{K−1} = 0

        Returns:
            (λ_{−1} if the state is trained,) s for the inputs, s for the recurrence, e.
        """
        _, again, out = self.maps[-3:]
        direct = out.through_weight(weights[-1], _swapped(error))

        def step(later: Array, at: tuple[Array, Any]) -> tuple[Array, Array]:
            now, slope = at
            s = again.through_slope(slope, now + later)
            return again.through_weight(weights[-2], s), s

        in_time = (direct, jax.tree.map(_swapped, slopes[0]))
        first, s = _scan(weights[-2], step, jnp.zeros_like(direct[0]), in_time, reverse=True)
        return self._signals(first, _swapped(s), error)

    @as_given
    def outer(self, signals: Signals, activities: tuple[Array, ...]) -> Parameters:
        """Σ_x Σ_k (∂φ_l/∂θ_l)ᵀ s_{lk}(x), the steps first, as they were computed."""
        in_time = (
            tuple(_swapped(a) if a.ndim == 3 else a for a in arrays)
            for arrays in (signals, activities)
        )
        return super().outer(*in_time)

    @as_given
    def direct(
        self, projections: tuple[Any, ...], slopes: tuple[Any, ...], error: Float[Array, "P K C"]
    ) -> Signals:
        """(∂σ/∂z_k)ᵀ B_k e_k with a fixed map from the same step's output; h_{−1} has B e_0."""
        (b,) = projections
        again = self.maps[-2]
        if len(b.shape) == 2:  # of such a map no more may be known than its products
            back, first = _swapped(_swapped(error) @ b.T), error[:, 0] @ b.T
        else:
            back = jnp.sum(b[None, 1:] * error[:, :, None, :], axis=-1)
            first = error[:, 0] @ b[0].T
        return self._signals(first, again.through_slope(slopes[0], back), error)

    def carried_back(self, weight: Any, signals: Signals) -> Array:
        """λ_k, what later steps say to h_k, k = 0 … K − 1, from the recurrence's signals.

        Args:
            weight: the W_h that carries it.
            signals: s_k of the steps.

        Returns:
            λ, (P, K, n), zero at the last step.
        """
        later = self.maps[-2].through_weight(weight, signals[-2][:, 1:])
        return jnp.concatenate([later, jnp.zeros_like(later[:, :1])], axis=1)

    def _signals(self, first: Array, s: Array, error: Array) -> Signals:
        return (*(() if self.slots is None else (first,)), s, s, error)


def _swapped(a: Array) -> Array:
    """(K, P, …) for (P, K, …), and the other way: inside, steps come first. XLA cancels pairs."""
    return jnp.swapaxes(a, 0, 1)


def _scan(weight: Any, step: Any, start: Array, steps: Any, *, reverse: bool = False) -> Any:
    """``jax.lax.scan``, or the same as a loop for weights that are known by their products only."""
    if is_array(weight):
        return jax.lax.scan(step, start, steps, reverse=reverse)
    known = jax.tree.map(np.asarray, steps)  # to take a step out is nothing to compile
    count = len(jax.tree.leaves(known)[0])
    carried, found = start, list[np.ndarray]()
    for k in reversed(range(count)) if reverse else range(count):
        carried, one = step(carried, jax.tree.map(lambda a, k=k: jnp.asarray(a[k]), known))
        found.append(np.asarray(one))
    return carried, jnp.asarray(np.stack(found[::-1] if reverse else found))
