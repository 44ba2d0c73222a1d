"""From panel to panel: how long they are, how many nodes they get, where the next one starts.

Wide networks take few iterations (:mod:`~ntkalign.flow.spectral.relaxation`) on one panel; narrow
ones and long times take more panels. A panel whose coefficients have not decayed gets more nodes
and starts from what fewer found; one on which the iteration does not contract is halved.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.flow.operators.cached_products import is_small
from ntkalign.flow.operators.low_rank import SEEN, compress_sum, spectral_radius
from ntkalign.flow.operators.moving_weights import History
from ntkalign.flow.spectral.collocation import SCALE, Panel, size_of_last
from ntkalign.flow.spectral.modes import Modes, time_modes
from ntkalign.flow.spectral.panels import (
    LATER,
    NODES,
    PanelGuess,
    PanelStart,
    SolvedPanel,
    SolvedPanels,
    TooCoarseError,
    TooLongError,
    feedback_times_error,
)
from ntkalign.flow.spectral.relaxation import TAIL, Relaxation
from ntkalign.flow.trajectory import Outcome
from ntkalign.kernels.empirical import Factors, rule_kernel
from ntkalign.networks.base import Signals
from ntkalign.networks.jacobians import activity_rows, repeated, true_feedback, unit_errors

SHORTEST = 0.02
"""If even a panel as short as this (in s) does not work out, the flow has not converged."""
MAX_PANELS = 200
LONGEST = 0.25
"""Where units cross kinks, a panel is no longer than this (in s): fewer cross on a short one."""
KINKED_NODES = ((1e-2, 4), (1e-3, 10), (1e-4, 16))
"""And it has so many nodes from this tolerance on."""
FORGOTTEN = 1e-2
"""What is left out of the weights' change on earlier panels, as a share of it and of the goal."""
KEPT = 0.1
"""Of the activities' change in time less is left out, as they are larger than what changes."""
_LATER = itertools.count()  # of names: no two flows share a matrix of a later time


@np.errstate(over="ignore", invalid="ignore")  # growth ends in non-finite numbers: checked
def solve_panels(
    relaxation: Relaxation, times: Float[np.ndarray, " n"], guess: SolvedPanels | None = None
) -> SolvedPanels:
    """The flow up to the last of some times; a looser one or another rule's helps.

    Args:
        relaxation: the iteration.
        times: saved times; where units cross kinks a panel ends at each: slopes are known there.
        guess: a flow that may help.

    Returns:
        The panels as far as they went, and how it ended.
    """
    final = float(times[-1])
    rate = spectral_radius(relaxation.first.kernel, symmetric=False) * relaxation.share
    tau = SCALE / max(rate, 1.0 / final)
    if guess is not None:
        tau = guess.panels[0].panel.tau
    kinked = relaxation.kinked is not None
    stops = np.log1p((times if kinked else times[-1:]) / tau).tolist()
    whole, longest = stops[-1], LONGEST if kinked else math.inf
    done: list[SolvedPanel] = []
    base, begin, reach = relaxation.first, 0.0, whole
    while begin < whole:
        if reach < SHORTEST or len(done) == MAX_PANELS:
            return _solution(relaxation, done, Outcome.NOT_CONVERGED)
        stop = next(stop for stop in stops if stop > begin)
        pieces = math.ceil((stop - begin) / min(reach, longest) - 1e-9)
        end = stop if pieces == 1 else begin + (stop - begin) / pieces
        old = next((p for p in guess.panels if p.panel.begin == begin), None) if guess else None
        if old is not None and old.panel.end <= end:
            end = old.panel.end
        else:
            old = None
        same = guess is not None and guess.rule == relaxation.rule
        solved = _panel(relaxation, base, done, Panel(begin, end, 0, tau), old, same)
        if solved is None:
            reach = (end - begin) / 2
            continue
        done.append(solved)
        begin, reach = end, max(2 * (end - begin), SHORTEST)  # a saved time may cut it short
        if begin < whole:
            base = _next(relaxation, solved)
    return _solution(relaxation, done, Outcome.REACHED)


def _solution(relaxation: Relaxation, done: list[SolvedPanel], outcome: Outcome) -> SolvedPanels:
    return SolvedPanels(
        relaxation.rule, tuple(done), outcome, relaxation.iterations, relaxation.cache.columns
    )


def _panel(
    relaxation: Relaxation,
    base: PanelStart,
    done: list[SolvedPanel],
    panel: Panel,
    old: SolvedPanel | None,
    same: bool,
) -> SolvedPanel | None:
    """The panel solved with as few nodes as will do, starting from fewer.

    Args:
        relaxation: the iteration.
        base: the network at its start.
        done: the panels before it.
        panel: its interval.
        old: a solution of about the same thing, at least for a start.
        same: whether it is the same thing, solved more loosely.

    Returns:
        None if the panel is too long.
    """
    modes = Modes.of(base.kernel * relaxation.share)
    if relaxation.kinked is not None:
        count = next((n for least, n in KINKED_NODES if relaxation.tolerance >= least), NODES[-1])
        trial = replace(panel, nodes=count)
        draft = PanelGuess(trial, modes.decay(trial.times - trial.times[0], base.error), {})
        if old is not None and same and not old.crossed:  # what jumps is no polynomial's start
            draft = PanelGuess(old.panel, old.error, {}, old.feedback, old.preactivations).on(trial)
        try:
            return relaxation.on_panel(base, modes, draft)
        except TooLongError:
            return None
    for count in NODES:  # as many as it takes if the network did not move
        trial = replace(panel, nodes=count)
        linear = modes.decay(trial.times - trial.times[0], base.error)
        size = np.linalg.norm(linear)
        if size_of_last(linear.reshape(count, -1)) <= TAIL * relaxation.tolerance * size:
            break
    else:
        return None
    draft, nodes = PanelGuess(trial, linear, {}), count
    if old is not None:
        draft = PanelGuess(old.panel, old.error, old.memory).without_later()
        if same:
            draft = replace(draft, feedback=old.feedback, preactivations=old.preactivations)
            nodes = min(old.panel.nodes + 4, NODES[-1])
    elif done:
        before = PanelGuess(done[-1].panel, done[-1].error, done[-1].memory).without_later()
        draft = replace(draft, memory=before.on(trial).memory)
    while nodes:
        try:
            return relaxation.on_panel(base, modes, draft.on(replace(panel, nodes=nodes)))
        except TooLongError:
            return None
        except TooCoarseError as found:
            draft, nodes = found.draft, found.nodes()
    return None


def _next(relaxation: Relaxation, solved: SolvedPanel) -> PanelStart:
    """The base at the end of a panel."""
    end = solved.panel.weights[-1]
    base, network = solved.base, relaxation.network
    biases = tuple(
        None if b is None else b + relaxation.share * np.repeat(end, len(g) // len(end)) @ g
        for b, g in zip(base.biases, solved.feedback, strict=True)
    )
    history = tuple(
        extended(h, g, a, relaxation.share * layer.scale * end, FORGOTTEN * relaxation.goal)
        for layer, h, g, a in zip(
            network.maps, base.history, solved.feedback, solved.activity, strict=True
        )
    )
    now = relaxation.seen(
        relaxation.initial.first.activities[0],
        tuple(z[-(len(z) // len(end)) :] for z in solved.preactivations),
    )
    cache = replace(relaxation.cache, memory={})
    whole = tuple(_whole(relaxation, number, past) for number, past in enumerate(history))
    resting = relaxation.at_start(cache, replace(base, history=history, whole=whole))
    for weight, known, h in zip(resting, whole, now.activities, strict=True):
        _ = h @ weight.T if known else None  # the first rows that meet a matrix are its anchors
    now = replace(now, weights=resting)
    linear = relaxation.rule.output == "linear"
    beside: Signals = ()
    if linear or relaxation.kinked is not None:
        jacobian, feedback, k = base.jacobian, base.feedback, relaxation.first.kernel
        beside = () if linear else _beside(solved)
    else:
        cache.rewind()
        jacobian = true_feedback(now)
        own = replace(cache, memory={})  # the rule's rows are not the Jacobian's
        many = replace(
            repeated(now, network.flat_outputs),
            weights=tuple(replace(weight, cache=own) for weight in resting),
        )
        feedback = relaxation.feedback(many, unit_errors(network, relaxation.points), own)
        k = rule_kernel(
            network,
            Factors(activity_rows(network, now.activities), jacobian),
            Factors(relaxation.activity(now), feedback),
        )
    relaxation.cache.columns = cache.columns
    return PanelStart(
        replace(now, weights=()), biases, history, solved.error[-1], jacobian, feedback, k, beside,
        solved.crossed, whole,
    )  # fmt: skip


def _whole(
    relaxation: Relaxation, number: int, history: History | None
) -> tuple[str, Array] | None:
    """The weights of a layer at a panel's start, if their change has full rank and they are large.

    One product with these is cheaper than one with the weights of time 0 and two for the change.

    Returns:
        A name that no other flow has, and the matrix; None if there is no need.
    """
    array = relaxation.initial.matrices[number].weight
    if history is None or is_small(array) or len(history[0]) < min(array.shape):
        return None
    if relaxation.kinked is not None or relaxation.network.maps[number].places > 1:
        return None  # there are no few rows at the start to be anchors
    name = f"W{number + 1}{LATER}{next(_LATER)}"
    relaxation.cache.later.add(name)
    return name, array.astype(jnp.float64) + history[0].T @ history[1]


def _beside(solved: SolvedPanel) -> Signals:
    """What the signals are at a panel's end beside the base's feedback times e."""
    ends = [g[-len(g) // solved.panel.nodes :] for g in solved.feedback]
    ends[: len(solved.crossed)] = [layer.slope * layer.signal for layer in solved.crossed]
    linear = [feedback_times_error(g, solved.error[-1:]) for g in solved.base.feedback]
    return tuple(jnp.asarray(end - own) for end, own in zip(ends, linear, strict=True))


def extended(
    history: History | None, feedback: Array, activity: Array, weights: np.ndarray, share: float
) -> History:
    """The history with Σ_k weights_k G_kᵀ h_k added, but for a share of it.

    Returns:
        It, compressed in whole if a residual can show such a share; else the panel alone is, in
        time.
    """
    n = len(weights)
    g, h = (
        np.asarray(a).reshape(-1, len(feedback) // n * a.shape[1]) for a in (feedback, activity)
    )
    if len(h) == 1:
        left, right = weights[None] @ g, h
    elif share > SEEN:
        left, right = weights[:, None] * g, h
    else:
        basis = time_modes(h, KEPT * share)[0]
        left, right = (weights[:, None] * basis).T @ g, basis.T @ h
    new = left.reshape(-1, feedback.shape[1]), right.reshape(-1, activity.shape[1])
    if history is not None:
        new = np.concatenate([history[0], new[0]]), np.concatenate([history[1], new[1]])
    units, fan_in = new[0].shape[1], new[1].shape[1]
    if share > SEEN:
        whole = compress_sum(*new, relative=share)
        new = whole.left.T, whole.right.T
    elif len(new[0]) >= min(units, fan_in):  # full rank: cheaper as one matrix
        if units < fan_in:
            new = np.eye(units), new[0].T @ new[1]
        else:
            new = new[1].T @ new[0], np.eye(fan_in)
    return jnp.asarray(new[0]), jnp.asarray(new[1])
