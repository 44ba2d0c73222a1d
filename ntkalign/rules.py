"""Learning rules as one family.

Every rule moves the parameters of layer l by

    dW_l/dt = η/√m_{l−1} E[feedback_l(x) e(x) activity_{l−1}(x)ᵀ]
    db_l/dt = η E[feedback_l(x) e(x)]

with e = y − f. The paper writes (13)–(16) with +∇L, which would ascend; the sign here is that of
(18), (39) and (46). A rule is a choice of *feedback* and of *activity* (and, for W* and for the
linearised network, of whose error and whose output):

    my_rule = Rule("my-rule", feedback=lambda now, start, fixed, e: …, activity=current_activity)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Key

from ntkalign.errors import unknown_name
from ntkalign.networks.fully_connected import Network, Pass, Signals, backpropagate, normal_matrices

Feedback = Callable[[Pass, Pass, Any, Array], Signals]
Activity = Callable[[Pass, Pass], tuple[Array, ...]]


def current_activity(now: Pass, start: Pass) -> tuple[Array, ...]:
    """σ(z_{l−1}) of the network as it is now."""
    return now.activities


def initial_activity(now: Pass, start: Pass) -> tuple[Array, ...]:
    """σ(z_{l−1}) of the network at time 0."""
    return start.activities


def _nothing_fixed(key: Key[Array, ""], network: Network) -> Any:
    return ()


@dataclass(frozen=True)
class Rule:
    """One learning rule.

    Args:
        name: how commands and reports call it.
        feedback: ``(now, start, fixed, e) -> (s_1, …, s_N)``, with s_l = feedback_l(x) e(x) of
            shape (P, m_l). Must be linear in e. ``now`` and ``start`` are forward passes of the
            network being trained, at the current time and at time 0. The spectral engine
            passes rows for many moments at once and weights that know ``@`` only, so each row
            must be treated by itself.
        activity: ``(now, start) -> (h_0, …, h_{N−1})``, the activity that layer l = 1…N sees.
        draw: ``(key, network) -> fixed``: random constants of the rule, drawn once.
        error: whose error drives learning: the rule's own, or that of a Normal network
            trained alongside from the same start (only W* needs that).
        output: the network's, or that of its linearisation in the parameters at time 0.
        control: whether the rule must *not* be found to converge to gradient descent.
        title: how reports call it; its name if empty.
    """

    name: str
    feedback: Feedback
    activity: Activity
    draw: Callable[[Key[Array, ""], Network], Any] = _nothing_fixed
    error: Literal["own", "normal"] = "own"
    output: Literal["network", "linear"] = "network"
    control: bool = False
    title: str = ""


# --- feedback -------------------------------------------------------------------------------


def current_jacobian(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """∇_{z_l} f^t(x) e: backpropagation as it is."""
    return backpropagate(now.weights, now.slopes, e)


def initial_jacobian(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """∇_{z_l} f^0(x) e: the Jacobian of time 0, frozen."""
    return backpropagate(start.weights, start.slopes, e)


def through_initial_weights(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """Backpropagation through the weights of time 0 with the current σ′ (App. G)."""
    return backpropagate(start.weights, now.slopes, e)


def through_fixed_weights(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """Backpropagation through fixed random weights with the current σ′."""
    return backpropagate(fixed, now.slopes, e)


def direct(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """σ′(z_l) ⊙ B_l e with a fixed random B_l straight from the output."""
    hidden = (slope * (e @ b.T) for slope, b in zip(now.slopes, fixed, strict=True))
    return (*hidden, e)


def nothing_below_the_last_layer(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """Zero in every hidden layer."""
    return (*(jnp.zeros_like(slope) for slope in now.slopes), e)


# --- random constants -----------------------------------------------------------------------


def random_weights(key: Key[Array, ""], network: Network) -> tuple[Array, ...]:
    """Independent N(0, 1) matrices shaped like the weights (feedback alignment)."""
    return tuple(layer.weight for layer in network.initialise(key, jnp.float32))


def random_projections(key: Key[Array, ""], network: Network) -> tuple[Array, ...]:
    """B_l of shape (m_l, C) with entries N(0, 1/m_l), the size of a Jacobian's entries."""
    outputs = network.widths[-1]
    matrices = normal_matrices(key, [(m, outputs) for m in network.widths[1:-1]])
    return tuple(b.astype(jnp.float64) / math.sqrt(b.shape[0]) for b in matrices)


# --- the catalogue --------------------------------------------------------------------------

NORMAL = Rule("normal", current_jacobian, current_activity, title="Normal")  # (14)
ALIGN_ZERO = Rule("align-zero", initial_jacobian, initial_activity, title="Align-zero")  # (15)
ALIGN_ADA = Rule("align-ada", initial_jacobian, current_activity, title="Align-ada")  # (16)
ALIGN_PROP = Rule(
    "align-prop", through_initial_weights, current_activity, title="Align-prop"
)  # App. G
W_STAR = Rule("w-star", initial_jacobian, initial_activity, error="normal", title="W*")  # (13)
FEEDBACK_ALIGNMENT = Rule(
    "fa", through_fixed_weights, current_activity, draw=random_weights, control=True, title="FA"
)
DIRECT_FEEDBACK = Rule(
    "dfa", direct, current_activity, draw=random_projections, control=True, title="DFA"
)
LAST_LAYER = Rule(
    "last-layer",
    nothing_below_the_last_layer,
    current_activity,
    control=True,
    title="last layer only",
)
LINEARISED = Rule("linearised", initial_jacobian, initial_activity, output="linear")  # App. D

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        NORMAL,
        ALIGN_ZERO,
        ALIGN_ADA,
        ALIGN_PROP,
        W_STAR,
        FEEDBACK_ALIGNMENT,
        DIRECT_FEEDBACK,
        LAST_LAYER,
        LINEARISED,
    )
}
CONTROLS = tuple(rule for rule in RULES.values() if rule.control)
"""Rules that must *not* be found to converge to gradient descent; every report has them."""


def rule(name: str | Rule) -> Rule:
    """Look a rule up by name.

    Raises:
        InputError: if the name is unknown.
    """
    if isinstance(name, Rule):
        return name
    if name not in RULES:
        raise unknown_name("rules", name, RULES, "only these are built in")
    return RULES[name]
