"""Whether a learning rule is one: what a :class:`~ntkalign.rules.Rule` promises, tried out.

    from ntkalign.testing import check_rule

    print(check_rule(my_rule))

Checked is the form of a rule, on small networks of every kind, and not what it does: a rule with
the wrong sign passes, and is found out by the claims.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkalign.checking.engines import compare_engines
from ntkalign.checking.outcomes import Examination, Outcome, demand, distance, narrow_arrays
from ntkalign.checking.small import NETWORKS, Example, network_of
from ntkalign.errors import InputError
from ntkalign.flow.trajectory import Outcome as FlowOutcome
from ntkalign.precision import in_float64
from ntkalign.rules import Rule

ROUNDING = 1e-10
"""What float64 may do to signals, as a share of the largest."""
FEW = [0, 2]
"""Points that are also given alone."""

Pieces = Callable[..., tuple[Any, ...]]


@in_float64
def check_rule(
    rule: Rule,
    *,
    networks: Sequence[str] = tuple(NETWORKS),
    dense_only: bool = False,
    engines: bool = True,
) -> Outcome:
    """Check that a rule is what both engines and the trainer take it for.

    Args:
        rule: one's own.
        networks: kinds of network that it is for: "mlp", "rnn", "cnn". A rule that raises
            InputError for one says that it is not for it.
        dense_only: whether it mixes points on purpose. Then it runs on the dense engine, for
            widths of some hundreds.
        engines: whether flows by both engines are compared, which takes most of the time.

    Returns:
        What was checked, and what was left out and why.

    Raises:
        AssertionError: if it is not; each fault in one line that says what to mend.
        InputError: if there is no such kind of network.
    """
    exam = Examination(f"rule {rule.name}")
    for kind in networks:
        _check_on(exam, rule, kind, dense_only, engines)
    outcome = exam.outcome()
    demand(
        outcome.passed,
        exam.part,
        f"be for one of {', '.join(networks)}",
        f"for none: {outcome.skipped[0][1] if outcome.skipped else 'none is named'}",
        "nothing was checked",
        "name the networks that it is for",
    )
    return outcome


def _check_on(exam: Examination, rule: Rule, kind: str, mixes: bool, engines: bool) -> None:
    """All checks on one network; after a fault the others would say it again."""
    example = Example(network_of(kind))
    fixed = None
    try:
        fixed = _constants(rule, example)
        _ = _signals(rule, example, fixed, 0)
    except InputError as error:
        exam.skip(f"network {kind}", f"the rule says that it is not for it: {error}")
        return
    except Exception:
        pass  # told by the checks, with where it comes from
    part = f"rule {rule.name} on {kind}"
    signals = partial(_signals, rule, example, fixed)
    checks: dict[str, Callable[[], str | None]] = {
        "constants are those of the key": lambda: _same_constants(rule, example, part),
        "a signal for each layer": lambda: _shapes(
            signals(0), example.passes()[0].preactivations, part, "feedback", "u_1 … u_N"
        ),
        "an activity for each layer": lambda: _shapes(
            rule.activity(*example.passes()),
            example.passes()[0].activities,
            part,
            "activity",
            "h_0 … h_{N−1}",
        ),
        "equal calls, equal signals": lambda: _repeats(signals, part),
        "float64": lambda: _double(rule, example, fixed, part),
        "finite": lambda: _finite(rule, example, fixed, part),
        "linear in the error": lambda: _linear(signals, example, part),
        "points by themselves": lambda: _by_points(rule, example, fixed, part, mixes),
        "both engines agree": lambda: (
            _engines(rule, example, part) if engines else "it was not asked for"
        ),
    }
    for name, check in checks.items():
        if not exam.check(f"{name} ({kind})", check):
            return


def _constants(rule: Rule, example: Example) -> Any:
    """What the rule draws, as the dense engine has it."""
    drawn = rule.draw(example.key, example.network)
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), drawn)


def _signals(
    rule: Rule, example: Example, fixed: Any, error: Any, points: list[int] | None = None
) -> Any:
    """Its feedback for the error of some number, or a given one; of some points, or of all."""
    e = example.error(error) if isinstance(error, int) else error
    x = example.x
    if points is not None:
        e, x = e[jnp.array(points)], x[jnp.array(points)]
    return rule.feedback(*example.passes(x), fixed, e)


def _same_constants(rule: Rule, example: Example, part: str) -> None:
    first, again = (jax.tree.leaves(_constants(rule, example)) for _ in range(2))
    same = all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    demand(
        same,
        part,
        "draw the same constants from the same key",
        "others at a second call",
        "a network is drawn again for each of its flows",
        "draw with the key that is given, by jax.random or network.initialise(key)",
    )


def _shapes(found: Any, like: Sequence[Any], part: str, name: str, what: str) -> None:
    must = f"return a tuple of {len(like)} arrays from {name}, shaped like {what}"
    because, do = "each layer has its own", "return one for each layer, as backpropagate does"
    demand(isinstance(found, tuple), part, must, type(found).__name__, because, do)
    shapes = [getattr(array, "shape", type(array).__name__) for array in found]
    wanted = [array.shape for array in like]
    demand(shapes == wanted, part, must, f"{shapes}, not {wanted}", because, do)


def _repeats(signals: Pieces, part: str) -> None:
    first = signals(0)
    signals(1)
    for name, again in (("a second", signals(0)), ("a third", signals(0))):
        apart = max(map(distance, again, first))
        demand(
            apart == 0,
            part,
            "give equal signals at equal calls",
            f"a difference of {apart:.1e} at {name} call",
            "engines call it as often as they like, at times in any order",
            "keep nothing between calls, and take random numbers from draw=…",
        )


def _double(rule: Rule, example: Example, fixed: Any, part: str) -> None:
    now, start = example.passes()
    do = "leave out casts, and make constants in draw=… or inside the function"
    because = "differences from gradient descent are smaller than float32 resolves"
    try:
        found = narrow_arrays(
            lambda e: (rule.feedback(now, start, fixed, e), rule.activity(now, start)),
            example.error(0),
        ) | narrow_arrays(lambda a, b: rule.feedback(a, b, fixed, example.error(0)), now, start)
    except jax.errors.JAXTypeError as error:
        demand(
            False,
            part,
            "be traceable by JAX",
            f"{type(error).__name__}",
            "engines compile it",
            "use jax.numpy, and no if on the values of arrays",
        )
        return
    parts = (*_signals(rule, example, fixed, 0), *rule.activity(now, start))
    found |= {str(a.dtype) for a in parts} - {"float64"}
    demand(not found, part, "compute in float64 throughout", ", ".join(sorted(found)), because, do)


def _finite(rule: Rule, example: Example, fixed: Any, part: str) -> None:
    still = jnp.zeros_like(example.error(0))
    now, start = example.passes()
    for name, parts in {
        "signals": _signals(rule, example, fixed, 0),
        "signals at time 0": rule.feedback(start, start, fixed, example.error(0)),
        "signals of the error 0": _signals(rule, example, fixed, still),
        "activities": rule.activity(now, start),
        "activities at time 0": rule.activity(start, start),
    }.items():
        for layer, array in enumerate(parts, start=1):
            demand(
                np.isfinite(np.asarray(array)).all(),
                part,
                f"have finite {name}",
                f"NaN or infinity in layer {layer}",
                "a flow ends at the first one",
                "do not divide by what may be 0, such as the error, or weights' motion",
            )


def _linear(signals: Pieces, example: Example, part: str) -> None:
    a, b = example.error(0), example.error(1)
    expected = tuple(2 * p - 3 * q for p, q in zip(signals(a), signals(b), strict=True))
    apart = [*map(distance, signals(2 * a - 3 * b), expected)]
    layer = int(np.argmax(apart))
    demand(
        apart[layer] <= ROUNDING,
        part,
        "have signals that are linear in the error e",
        f"signals of 2e − 3e′ that are off by {apart[layer]:.1e} in layer {layer + 1}",
        "s_l stands for feedback_l(x) e(x)",
        "multiply a feedback that does not depend on e by e",
    )


def _by_points(rule: Rule, example: Example, fixed: Any, part: str, mixes: bool) -> str | None:
    together = _signals(rule, example, fixed, 0)
    alone = _signals(rule, example, fixed, 0, FEW)
    few = example.x[jnp.array(FEW)]
    pairs = [
        *zip(alone, together, strict=True),
        *zip(rule.activity(*example.passes(few)), rule.activity(*example.passes()), strict=True),
    ]
    apart = max(distance(own, example.taken(whole, FEW)) for own, whole in pairs)
    if mixes:
        return f"it is said to mix points (here by {apart:.1e}): it runs on the dense engine"
    demand(
        apart <= ROUNDING,
        part,
        "treat each point by itself",
        f"signals that change by {apart:.1e} when other points are left out",
        "the spectral engine passes points of many moments at once",
        "use nothing of other rows, or pass dense_only=True if it is meant to",
    )
    return None


def _engines(rule: Rule, example: Example, part: str) -> str | None:
    reason = compare_engines(example.problem, rule, part)
    if reason == FlowOutcome.NOT_ROWWISE.value:
        return (
            "it runs on the dense engine, for widths of some hundreds: it mixes points, or uses "
            "weights other than by @"
        )
    return reason
