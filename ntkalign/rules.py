"""Learning rules as one family, defined once for every architecture.

Every rule moves the parameters of layer l by

    dθ_l/dt = η E[(∂φ_l/∂θ_l)ᵀ feedback_l(x) e(x)],   φ_l taken at activity_{l−1}(x),

which for the fully connected network (1) is

    dW_l/dt = η/√m_{l−1} E[feedback_l(x) e(x) activity_{l−1}(x)ᵀ],
    db_l/dt = η E[feedback_l(x) e(x)],

where e = y − f. The paper writes (13)–(16) with +∇L, which would ascend; the sign here is that of
(18), (39) and (46). A rule is a choice of *feedback* and of *activity* (and, for W* and for the
linearised network, of whose error and whose output). Feedback says through which weights and
which slopes the error goes back; activities are the network's at one time or another. Nothing here
knows what a layer is (:mod:`ntkalign.networks.base`):

    my_rule = Rule("my-rule", feedback=lambda now, start, fixed, e: …, activity=current_activity)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Key

from ntkalign.networks import released_code
from ntkalign.networks.base import Network, Pass, Signals, backpropagate
from ntkalign.registry import Registry, by_name, check_legal
from ntkalign.values import flag, function, one_of

Feedback = Callable[[Pass, Pass, Any, Array], Signals]
Activity = Callable[[Pass, Pass], tuple[Array, ...]]


def current_activity(now: Pass, start: Pass) -> tuple[Array, ...]:
    """h_{l−1} of the network as it is now."""
    return now.activities


def initial_activity(now: Pass, start: Pass) -> tuple[Array, ...]:
    """h_{l−1} of the network at time 0."""
    return start.activities


def _nothing_fixed(key: Key[Array, ""], network: Network) -> Any:
    return ()


@dataclass(frozen=True)
class Rule:
    """One learning rule.

    Args:
        name: how commands and stored results call it.
        feedback: ``(now, start, fixed, e) -> (s_1, …, s_N)``, with s_l = feedback_l(x) e(x) shaped
            like u_l. Must be linear in e. ``now`` and ``start`` are forward passes of the
            network being trained, at the current time and at time 0. The spectral engine
            passes rows for many moments at once and weights that know ``@`` only, so each row
            must be treated by itself.
        activity: ``(now, start) -> (h_0, …, h_{N−1})``, the activity that layer l = 1…N sees.
        draw: ``(key, network) -> fixed``: random constants of the rule, drawn once.
        error: whose error drives learning: the rule's own, or that of a Normal network
            trained alongside from the same start (only W* needs that).
        output: the network's, or that of its linearisation in the parameters at time 0.
        published: feedback of the authors' released code, where that is another than the paper's
            equations give (:mod:`ntkalign.networks.released_code`); see :func:`variant`.
        control: whether the rule must *not* be found to converge to gradient descent.
        title: how reports call it; the name if empty.

    Raises:
        InputError: if the name cannot be stored, or an option is none of those named.
    """

    name: str
    feedback: Feedback
    activity: Activity
    draw: Callable[[Key[Array, ""], Network], Any] = _nothing_fixed
    error: Literal["own", "normal"] = "own"
    output: Literal["network", "linear"] = "network"
    published: Feedback | None = None
    control: bool = False
    title: str = ""

    def __post_init__(self) -> None:
        check_legal("rule", self.name)
        one_of(("own", "normal"), "only these are defined")("error", self.error)
        one_of(("network", "linear"), "only these are defined")("output", self.output)
        flag("control", self.control)
        for name in ("feedback", "activity", "draw", *("published",) * bool(self.published)):
            function(name, getattr(self, name))

    def __reduce__(self) -> tuple[Any, ...]:
        return by_name(self, "ntkalign.rules:RULES")


# --- feedback -------------------------------------------------------------------------------


def current_jacobian(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """∇_{u_l} f^t(x) e: backpropagation as it is."""
    return backpropagate(weights=now, slopes=now, error=e)


def initial_jacobian(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """∇_{u_l} f^0(x) e: the Jacobian of time 0, frozen."""
    return backpropagate(weights=start, slopes=start, error=e)


def through_initial_weights(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """Backpropagation through the weights of time 0 with the current slopes (App. G)."""
    return backpropagate(weights=start, slopes=now, error=e)


def through_fixed_weights(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """Backpropagation through fixed random weights with the current slopes."""
    return backpropagate(weights=fixed, slopes=now, error=e)


def direct(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """A fixed random map straight from the output, with the current slopes: σ′(z_l) ⊙ B_l e."""
    return now.network.direct(fixed, now.slopes, e)


def nothing_below_the_last_layer(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """Zero in every hidden layer."""
    return (*(jnp.zeros_like(u) for u in now.preactivations[:-1]), e)


def initial_jacobian_as_released(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """What the released code has in place of (16): parts of the current Jacobian."""
    return released_code.align_ada(now.network, now, start, e)


def nothing_below_as_released(now: Pass, start: Pass, fixed: Any, e: Array) -> Signals:
    """Zero in every hidden layer; a trained initial state learns."""
    return released_code.last_layer(now.network, now, e)


# --- random constants -----------------------------------------------------------------------


def random_weights(key: Key[Array, ""], network: Network) -> tuple[Any, ...]:
    """Weights like the network's own, drawn anew (feedback alignment)."""
    return tuple(layer.weight for layer in network.initialise(key, jnp.float32))


def random_projections(key: Key[Array, ""], network: Network) -> tuple[Array, ...]:
    """Maps from the output to every hidden layer (direct feedback alignment)."""
    return network.projections(key)


def shared_projections(key: Key[Array, ""], network: Network) -> tuple[Array, ...]:
    """The same, one map for all places of a layer: of an image, or in time."""
    return network.projections(key, shared=True)


# --- the catalogue --------------------------------------------------------------------------

NORMAL = Rule("normal", current_jacobian, current_activity, title="Normal")  # (14)
ALIGN_ZERO = Rule("align-zero", initial_jacobian, initial_activity, title="Align-zero")  # (15)
ALIGN_ADA = Rule(  # (16)
    "align-ada",
    initial_jacobian,
    current_activity,
    published=initial_jacobian_as_released,
    title="Align-ada",
)
ALIGN_PROP = Rule(  # App. G
    "align-prop", through_initial_weights, current_activity, title="Align-prop"
)
W_STAR = Rule("w-star", initial_jacobian, initial_activity, error="normal", title="W*")  # (13)
FEEDBACK_ALIGNMENT = Rule(
    "fa", through_fixed_weights, current_activity, draw=random_weights, control=True, title="FA"
)
DIRECT_FEEDBACK = Rule(
    "dfa", direct, current_activity, draw=random_projections, control=True, title="DFA"
)
SHARED_FEEDBACK = Rule(
    "dfa-shared",
    direct,
    current_activity,
    draw=shared_projections,
    control=True,
    title="DFA, shared",
)
LAST_LAYER = Rule(
    "last-layer",
    nothing_below_the_last_layer,
    current_activity,
    published=nothing_below_as_released,
    control=True,
    title="last layer only",
)
LINEARISED = Rule(  # App. D
    "linearised", initial_jacobian, initial_activity, output="linear", title="linearised"
)

RULES: Registry[Rule] = Registry(
    "rule",
    (
        NORMAL,
        ALIGN_ZERO,
        ALIGN_ADA,
        ALIGN_PROP,
        W_STAR,
        FEEDBACK_ALIGNMENT,
        DIRECT_FEEDBACK,
        SHARED_FEEDBACK,
        LAST_LAYER,
        LINEARISED,
    ),
)
CONTROLS = (FEEDBACK_ALIGNMENT, DIRECT_FEEDBACK, LAST_LAYER)
"""Rules that must *not* be found to converge to gradient descent; every report has them. (Shared
maps are no other rule in a fully connected network, which has no places.)"""
VARIANTS = ("published", "written")
"""Names of the two readings of a rule, see :func:`variant`."""


def lookup(name: str | Rule) -> Rule:
    """A rule by its name, or a rule of one's own.

    Returns:
        The rule; one's own is returned as it is.

    Raises:
        InputError: if the name is unknown, or one's own rule is called like a built-in one.
    """
    if isinstance(name, Rule):
        RULES.check_name(name)
        return name
    return RULES.lookup(name, "rules")


def variant(rule: Rule, name: str) -> Rule:
    """A rule as the paper's equations are written, or as the released code has it.

    Args:
        rule: in its first form, as written.
        name: "written" or "published".

    Returns:
        The rule; the same one where code and equations agree.

    Raises:
        InputError: if the name is none of the two.
    """
    one_of(VARIANTS, "only these are defined")("variant", name)
    if name == "written" or rule.published is None:
        return rule
    return replace(rule, feedback=rule.published, published=None)
