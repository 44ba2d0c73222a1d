"""Whether a network is one: the protocol of :mod:`ntkalign.networks.base`, layer by layer.

    from ntkalign.testing import check_network

    print(check_network(my_network))

Each transpose is tried by the identity that defines it, ⟨s, A h⟩ = ⟨Aᵀ s, h⟩; the whole by JAX's
own gradient of a plain loss. The first says which layer to mend, the second that nothing was
forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkalign.checking.engines import compare_engines
from ntkalign.checking.layers import ROUNDING, check_layer
from ntkalign.checking.outcomes import Examination, Outcome, demand, distance, narrow_arrays
from ntkalign.checking.small import Example
from ntkalign.networks.base import Network, backpropagate
from ntkalign.precision import in_float64
from ntkalign.rules import NORMAL

DRAWN, MOST_DRAWS = 4000, 40
"""Entries of a layer that its law is told from, and the most networks that are drawn for them."""
SIGMAS = 6.0
"""How far a mean may be from what it should be, in standard errors."""
FEW = [0, 2]


@in_float64
def check_network(network: Network, *, scaled: bool = True) -> Outcome:
    """Check that a network answers what rules, engines and measurements ask of it.

    Args:
        network: a small one, of a few units a layer.
        scaled: whether each layer above the first has its factor 1/√fan-in, as the neural tangent
            parameterisation has. Without it there is no limit of infinite width.

    Returns:
        What was checked, and what was left out and why.

    Raises:
        AssertionError: if it does not; each fault in one line that says what to mend.
    """
    part = type(network).__name__
    exam = Examination(f"network {part}")
    if not exam.check("hashable", lambda: _is_hashable(network, part)):
        return exam.outcome()
    example = Example(network)
    checks: dict[str, Callable[[], str | None]] = {
        "parameters": lambda: _parameters(network, example, part),
        "mean and standard deviation of weights": lambda: _drawn(network, part),
        "factors 1/√fan-in": lambda: _factors(network, part, scaled),
        "a forward pass": lambda: _forward(example, part),
        "points by themselves": lambda: _by_points(example, part),
    }
    good = [exam.check(name, check) for name, check in checks.items()]  # all of them are told
    if not all(good):
        return exam.outcome()
    for number, layer in enumerate(network.maps, start=1):
        if layer.parameters.weight is not None:
            check_layer(exam, example, number, layer, f"layer {number} of {part}")
    exam.check("descends the loss", lambda: _gradient(example, part))
    exam.check("a pass from preactivations", lambda: _from_preactivations(example, part))
    exam.check("direct feedback", lambda: _direct(example, part))
    if exam.clean:
        exam.check("both engines agree", lambda: _engines(example, part))
    return exam.outcome()


def _is_hashable(network: Network, part: str) -> None:
    try:
        same = hash(network) == hash(network) and network == network
    except TypeError:
        same = False
    demand(
        same,
        part,
        "be hashable",
        "an object that is not",
        "JAX compiles a program for each",
        "make it a frozen dataclass of plain values",
    )


def _parameters(network: Network, example: Example, part: str) -> None:
    drawn = network.initialise(example.key)
    demand(
        len(drawn) == network.depth,
        part,
        f"draw parameters of {network.depth} layers",
        str(len(drawn)),
        "it has so many maps",
        "draw one Layer for each",
    )
    for number, (own, layer) in enumerate(zip(drawn, network.maps, strict=True), start=1):
        for name, array, like in zip(("W", "b"), own, layer.parameters, strict=True):
            shape, wanted = (None if a is None else a.shape for a in (array, like))
            demand(
                shape == wanted,
                part,
                f"draw {name}_{number} of shape {wanted}",
                str(shape),
                "its layer's parameters say so",
                "make both agree",
            )
            demand(
                array is None or array.dtype == jnp.float64,
                part,
                f"draw {name}_{number} in float64",
                str(getattr(array, "dtype", "")),
                "initialise was asked for it",
                "cast to the dtype that is given",
            )
    again = network.initialise(example.key)
    same = all(map(np.array_equal, *map(jax.tree.leaves, (drawn, again))))
    demand(
        same,
        part,
        "draw the same network from the same key",
        "another",
        "flows of one network are compared",
        "draw with the key alone",
    )


def _drawn(network: Network, part: str) -> None:
    for number, layer in enumerate(network.maps, start=1):
        like = layer.parameters.weight
        if like is None:
            continue
        draws = min(MOST_DRAWS, DRAWN // math.prod(like.shape) + 1)
        keys = jax.random.split(jax.random.key(3), draws)
        w = np.concatenate([np.ravel(network.initialise(key)[number - 1].weight) for key in keys])
        std = layer.initial_std
        off = (
            abs(w.mean()) / (std / math.sqrt(w.size)),
            abs(w.std() / std - 1) * math.sqrt(2 * w.size),
        )
        demand(
            max(off) <= SIGMAS,
            part,
            f"draw W_{number} from N(0, {std:.3g}²)",
            f"mean {w.mean():.3g} and standard deviation {w.std():.3g} of {w.size} entries",
            "its layer's initial_std says so",
            "draw N(0, 1) and put the factor into the map",
        )


def _factors(network: Network, part: str, scaled: bool) -> str | None:
    if not scaled:
        return "it is said to be another parameterisation, outside the theory"
    for number, layer in enumerate(network.maps[1:], start=2):
        if layer.parameters.weight is None or network.maps[number - 2].parameters.weight is None:
            continue
        size = layer.scale * layer.initial_std * math.sqrt(layer.matrix_shape[1])
        demand(
            abs(size - 1) < 1e-6,
            part,
            f"have a factor times a standard deviation of 1/√fan-in in layer {number}",
            f"{size:.3g} times that",
            "what is not of order one has no limit of infinite width",
            "return 1/√fan-in from scale, or pass scaled=False",
        )
    return None


def _forward(example: Example, part: str) -> None:
    network, (now, _) = example.network, example.passes()
    wanted = (example.points, *network.output_shape)
    demand(
        now.output.shape == wanted,
        part,
        f"answer with shape {wanted}",
        str(now.output.shape),
        "it is (points, …outputs)",
        "make output_shape and forward agree",
    )
    counts = len(now.preactivations), len(now.activities)
    demand(
        counts == (network.depth,) * 2,
        part,
        "leave N preactivations and N activities",
        str(counts),
        "rules read one of each for each layer",
        "return h_0 … h_{N−1} and u_1 … u_N",
    )
    narrow = narrow_arrays(lambda p, x: network.forward(p, x).output, example.now, example.x)
    narrow |= {str(now.output.dtype)} - {"float64"}
    demand(
        not narrow,
        part,
        "compute in float64 where its parameters are",
        ", ".join(sorted(narrow)),
        "differences are smaller than float32 resolves",
        "leave out casts",
    )
    finite = np.isfinite(np.asarray(now.output)).all()
    demand(
        finite,
        part,
        "have finite outputs",
        "NaN or infinity",
        "a flow ends at the first one",
        "look for 0/0",
    )


def _by_points(example: Example, part: str) -> str | None:
    if example.network.couples_points:
        return "it says that it couples points: it runs on the dense engine"
    few = example.passes(example.x[jnp.array(FEW)])[0].output
    apart = distance(few, np.asarray(example.passes()[0].output)[FEW])
    demand(
        apart <= ROUNDING,
        part,
        "answer each point by itself",
        f"outputs that change by {apart:.1e} when other points are left out",
        "there is one Jacobian a point",
        "or return True from couples_points",
    )
    return None


# --- the whole ------------------------------------------------------------------------------


def _gradient(example: Example, part: str) -> None:
    network, y = example.network, example.error(3)

    def loss(parameters: Any) -> Any:
        left = y - network.forward(parameters, example.x).output
        return network.rate * jnp.sum(left**2) / (2 * example.points)

    now, _ = example.passes()
    signals = backpropagate(weights=now, slopes=now, error=network.output_scale * (y - now.output))
    found, expected = network.update(signals, now.activities), jax.grad(loss)(example.now)
    size = max(float(np.abs(g).max()) for g in jax.tree.leaves(expected))
    for number, (own, true) in enumerate(zip(found, expected, strict=True), start=1):
        for name, array, gradient in zip(("weights", "biases"), own, true, strict=True):
            if gradient is None:
                continue
            none = array is None or array.shape != gradient.shape
            apart = math.inf if none else float(np.abs(array + gradient).max()) / size
            demand(
                apart <= ROUNDING,
                part,
                "move its parameters down the gradient of ½‖y − f‖², averaged over points",
                f"{name} of layer {number} that are off by {apart:.1e}",
                "the rule Normal is gradient descent",
                "look at backward and update, if you wrote them, and at the checks of its layers",
            )


def _from_preactivations(example: Example, part: str) -> None:
    now, _ = example.passes()
    again = example.network.pass_from_preactivations(now.activities[0], now.preactivations)
    pairs = (
        *zip(again.activities, now.activities, strict=True),
        *zip(jax.tree.leaves(again.slopes), jax.tree.leaves(now.slopes), strict=True),
        (again.output, now.output),
    )
    apart = max(distance(found, expected) for found, expected in pairs)
    demand(
        apart <= ROUNDING,
        part,
        "have the same pass from its preactivations as forward",
        f"a difference of {apart:.1e}",
        "the spectral engine knows preactivations only",
        "override pass_from_preactivations as you did forward",
    )


def _direct(example: Example, part: str) -> None:
    network, (now, _) = example.network, example.passes()
    signals = network.direct(network.projections(example.key), now.slopes, example.error(0))
    shapes, wanted = ([a.shape for a in group] for group in (signals, now.preactivations))
    demand(
        shapes == wanted,
        part,
        f"carry errors straight to {wanted}",
        str(shapes),
        "direct feedback reaches every layer",
        "look at projection_shapes and from_output",
    )


def _engines(example: Example, part: str) -> str | None:
    if example.network.couples_points:
        return "it couples points: it runs on the dense engine"
    return compare_engines(example.problem, NORMAL, part)
