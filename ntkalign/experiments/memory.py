"""What training takes at its peak, and what there is: so that what cannot fit is not begun.

A run holds its parameters, those of time 0, the moments of the optimiser, the constants of its
rule, and points. A step needs room for the activities, slopes and signals of a minibatch, of the
frozen network and of a network beside it too if the rule looks at them, and on a CPU for the
windows of the convolutions. Gradients count nothing: the compiler adds them to the weights as they
are made. On a CPU the drawing in float64 takes more than the training where a network is wide and
its batch small.

The estimate would rather be too small than refuse what fits. For the networks of the experiments at
widths 8 to 16384, by normal, align-ada, align-zero, align-prop, fa, dfa, last-layer and w-star, it
is 0.75 to 1.1 times what XLA says that the program takes on a CPU
(``jit(…).lower(…).compile().memory_analysis()``), and drawing took 1.05 to 1.3 times the estimate;
processes grew by 1.1 to 1.6 times it, with what compiling took. A GPU's library convolves there,
whose work space is not counted; neither are alignment scores.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ntkalign.devices import devices
from ntkalign.networks.base import Network
from ntkalign.networks.convolutional import KERNEL, ConvolutionMap
from ntkalign.networks.layers import Parameters
from ntkalign.networks.recurrent import Recurrent
from ntkalign.rules import (
    Rule,
    current_activity,
    current_jacobian,
    direct,
    nothing_below_as_released,
    nothing_below_the_last_layer,
    random_projections,
    random_weights,
    shared_projections,
    through_fixed_weights,
    through_initial_weights,
)  # fmt: skip
from ntkalign.training.feed import RESIDENT_BYTES, STRETCH_BYTES
from ntkalign.training.learner import Learner
from ntkalign.training.trainer import Run

NOT_FROZEN = (
    current_jacobian, direct, through_fixed_weights, through_initial_weights,
    nothing_below_the_last_layer, nothing_below_as_released,
)  # fmt: skip
"""Feedback that takes no pass of the frozen network."""
ONLY_FORWARD = (nothing_below_the_last_layer, nothing_below_as_released)
WINDOWS = 0.75
"""Of the windows of all convolutions together, which live until the weights are updated."""


def training_bytes(run: Run) -> int:
    """What a run needs at its peak, but for its points.

    Args:
        run: what is trained.

    Returns:
        Bytes of the device's memory; nothing is allocated to find out.
    """
    return _bytes(run.learner, run.order.batch, run.precision, _on_a_cpu())


@lru_cache(maxsize=1024)
def _bytes(learner: Learner, batch: int, precision: str, on_a_cpu: bool) -> int:
    """Runs that differ in their rate and seed alone need the same."""
    network, rule, size = learner.network, learner.rule, jnp.dtype(precision).itemsize
    like = tuple(layer.parameters for layer in network.maps)
    moments = _numbers(jax.eval_shape(learner.optimiser.make(0.0).init, like))
    own, constants = _numbers(like), _constants(rule, network, like)
    teacher = own + moments if rule.error == "normal" else 0
    held = size * (2 * own + moments + teacher + constants)
    peak = held + size * batch * _numbers_of_a_step(network, rule, on_a_cpu)
    if on_a_cpu:
        peak = max(peak, held + 8 * (own + constants))
    return round(peak)


def points_bytes(run: Run) -> int:
    """What the points of a run need: all that are kept, or the stretches that are under way."""
    network, size = run.learner.network, jnp.dtype(run.precision).itemsize
    if isinstance(network, Recurrent):
        numbers = network.steps * (network.features + network.targets)
    else:
        numbers = math.prod(network.maps[0].inputs) + network.outputs
    parts = [count * numbers * size for count in (run.order.train, run.order.test)]
    resident = sum(part for part in parts if part <= RESIDENT_BYTES)
    stretch = max(STRETCH_BYTES, run.order.batch * numbers * size)
    stretches = 2 if _on_a_cpu() else 1  # the one that is decoded ahead is not on the device yet
    return resident + (stretches * stretch if max(parts) > RESIDENT_BYTES else 0)


def _numbers_of_a_step(network: Network, rule: Rule, on_a_cpu: bool) -> float:
    """What a step has room for, for each point."""
    arrays = _arrays(rule, through_time=isinstance(network, Recurrent))
    windows = [
        KERNEL**2 * math.prod((layer.image[0], *layer.outputs[1:]))
        for layer in network.maps
        if isinstance(layer, ConvolutionMap) and on_a_cpu
    ]
    widest = max(windows, default=0)
    kept = widest if rule.feedback in ONLY_FORWARD else sum(windows)
    if rule.error == "normal":
        kept *= 2
    elif rule.feedback not in NOT_FROZEN and rule.activity is current_activity:
        kept += widest  # of the frozen network, layer by layer
    return arrays * network.entries + WINDOWS * kept


def _arrays(rule: Rule, *, through_time: bool) -> float:
    """Arrays as large as all activities that live at once."""
    if rule.error == "normal":
        images, in_time = 5.0, 10.0
    elif rule.feedback in ONLY_FORWARD:
        images, in_time = 1.8, 5.0
    elif rule.feedback is direct:
        images, in_time = 2.5, 4.0
    else:
        images, in_time = (2.5, 5.0) if rule.feedback in NOT_FROZEN else (3.0, 6.0)
    return in_time if through_time else images


def _constants(rule: Rule, network: Network, like: Parameters) -> int:
    """Numbers of a rule's constants; a rule of one's own is taken to have none."""
    if rule.draw is random_weights:
        return _numbers([layer.weight for layer in like])
    if rule.draw in (random_projections, shared_projections):
        shapes = network.projection_shapes(shared=rule.draw is shared_projections)
        return sum(math.prod(shape) for shape in shapes)
    return 0


def _numbers(arrays: Any) -> int:
    return sum(math.prod(array.shape) for array in jax.tree.leaves(arrays))


def _on_a_cpu() -> bool:
    return devices()[0].platform == "cpu"
