"""Whether a quantity is one: what a :class:`~ntkalign.quantities.quantity.Quantity` says of itself.

    from ntkalign.testing import check_quantity

    print(check_quantity(my_quantity))

A quantity is a number with a bound on its error, and the bound is what is tried here: flows of one
network by both engines, at tolerances far apart, must agree within what is stated of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np

from ntkalign.checking.engines import EXACT, TOLERANCES, solved
from ntkalign.checking.outcomes import Examination, Outcome, demand
from ntkalign.checking.small import Example, network_of
from ntkalign.errors import InputError
from ntkalign.flow.trajectory import Flow
from ntkalign.kernels.convolutional import convolutional_kernels
from ntkalign.networks.convolutional import Convolutional
from ntkalign.precision import in_float64
from ntkalign.quantities.catalogue import QUANTITIES, companions
from ntkalign.quantities.measuring import checked_series, measure_group
from ntkalign.quantities.observed import Limit, Observed
from ntkalign.quantities.quantity import VERIFY, ErrorFrom, Quantity
from ntkalign.quantities.series import Series
from ntkalign.rules import NORMAL, RULES, Rule

LOOSER = 30.0
"""How much looser the second flow is, which the error is found with."""
SAMPLING = 5.0
"""How many standard errors a sampled value may be from another sample's, at most."""


class Trial:
    """Flows of one small network, each solved once.

    Args:
        kind: of network.
        rule: which trains it.
        references: names of rules that it is compared with.
    """

    def __init__(self, kind: str, rule: Rule, references: Sequence[str]):
        self.example, self.rule, self.references = Example(network_of(kind)), rule, references
        self._flows: dict[tuple[str, str, float], Flow] = {}

    @cached_property
    def limit(self) -> Limit | None:
        """Kernels of the infinitely wide network, where runs have them."""
        network = self.example.network
        if not isinstance(network, Convolutional):
            return None
        x = np.asarray(self.example.x)
        return convolutional_kernels(network.activation, network.strides, network.bias_std, x)

    def seen(self, engine: str, tolerance: float, seed: int = 0) -> Observed:
        """A flow as it is measured."""
        others = {name: self._flow(RULES[name], engine, tolerance) for name in self.references}
        flow = self._flow(self.rule, engine, tolerance)
        return Observed(flow, others, seed, limit=self.limit)

    def _flow(self, rule: Rule, engine: str, tolerance: float) -> Flow:
        key = rule.name, engine, tolerance
        if key not in self._flows:
            flow = solved(self.example.problem, rule, engine, tolerance)
            for array in (flow.output, flow.delta, flow.y):
                array.flags.writeable = False  # whoever writes into a flow is told
            self._flows[key] = flow
        return self._flows[key]


@lru_cache(maxsize=4)
def _trial(kind: str, rule: Rule, references: tuple[str, ...]) -> Trial:
    """One for all quantities: a flow costs more than what is measured on it."""
    return Trial(kind, rule, references)


@in_float64
def check_quantity(
    quantity: Quantity, *together: Quantity, rule: Rule = NORMAL, network: str = "mlp"
) -> Outcome:
    """Check that a quantity is what its record says, and its error what it states.

    Args:
        quantity: one's own, registered or not.
        together: others that the same function measures, if they are not registered.
        rule: of whose flow it is measured.
        network: kind of network that it is tried on: "mlp", "rnn" or "cnn".

    Returns:
        What was checked, and what was left out and why.

    Raises:
        AssertionError: if it is not; each fault in one line that says what to mend.
        InputError: if it is not a quantity of trained networks that ``ntkalign verify`` measures.
    """
    if quantity.command != VERIFY:
        raise InputError(
            "quantity",
            quantity.name,
            must=f"be one that ntkalign {VERIFY} measures",
            got=f"one of ntkalign {quantity.command}",
            because="no points are held out here",
            do="compare it with a plain function of your own",
        )
    known = QUANTITIES.get(quantity.name) is quantity
    records = [*companions(quantity.name)] if known else [quantity, *together]
    references = tuple(dict.fromkeys(name for r in records for name in r.references))
    trial = _trial(network, rule, references)
    part = f"quantity {quantity.name}"
    exam = Examination(part)
    exact = trial.seen("dense", EXACT)
    series: list[Series] = []
    exam.check("references are declared", lambda: _references(records, exact, part))
    good = exam.check("a series for each layer", lambda: series.append(_series(records, exact)))
    if good:
        exam.check("finite, with bounds", lambda: _finite(records, series[0], part))
        exam.check("float64", lambda: _double(records, exact, part))
        exam.check("equal calls, equal values", lambda: _repeats(records, trial, series[0], part))
        exam.check("a value for each time", lambda: _times(records, series[0], part))
        exam.check("another sample", lambda: _sampled(records, trial, series[0], part))
        exam.check("errors cover differences", lambda: _bounded(records, trial, part))
    return exam.outcome()


def _references(records: Sequence[Quantity], seen: Observed, part: str) -> None:
    try:
        records[0].function(seen)
    except KeyError as error:
        (name,) = error.args[:1] or ("?",)
        demand(
            name not in RULES,
            part,
            "name the rules whose flows it looks at",
            f"a look at the flow of {name}",
            "only those that it names are trained",
            f"declare Quantity(…, references=({name!r},))",
        )
        raise


def _series(records: Sequence[Quantity], seen: Observed) -> Series:
    try:
        return checked_series(records, seen)
    except InputError as error:  # in the same words
        raise AssertionError(str(error)) from None


def _finite(records: Sequence[Quantity], series: Series, part: str) -> None:
    signed = {record.name for record in records if record.signed}
    for (layer, name), (values, bounds) in series.items():
        where = name if layer is None else f"{name} of layer {layer}"
        demand(
            np.isfinite(values).all() and np.isfinite(bounds).all(),
            part,
            "be finite where a network has moved",
            f"{where}: NaN or infinity",
            "a network without a value cannot be judged",
            "look for 0/0",
        )
        demand(
            (bounds >= 0).all(),
            part,
            "have error bounds of at least 0",
            f"{where}: {bounds.min():.1e}",
            "a bound is a size",
            "take its absolute value",
        )
        demand(
            name in signed or (values >= 0).all(),
            part,
            "be at least 0",
            f"{where}: {values.min():.1e}",
            "it is fitted by a power of the width",
            "return a norm, or declare Quantity(…, signed=True)",
        )


def _double(records: Sequence[Quantity], seen: Observed, part: str) -> None:
    types = {str(np.asarray(v).dtype) for pair in records[0].function(seen).values() for v in pair}
    demand(
        types <= {"float64", "int64"},
        part,
        "be in float64",
        ", ".join(sorted(types)),
        "differences are smaller than float32 resolves",
        "compute in NumPy, or inside ntkalign.float64()",
    )


def _repeats(records: Sequence[Quantity], trial: Trial, first: Series, part: str) -> None:
    seen = trial.seen("dense", EXACT)
    again = checked_series(records, seen)
    apart = max(float(np.abs(again[n][0] - first[n][0]).max()) for n in first)
    demand(
        apart == 0,
        part,
        "be the same at equal calls",
        f"a difference of {apart:.1e}",
        "a number that cannot be found again cannot be reviewed",
        "seed what is drawn by numpy.random.default_rng([seen.seed, …])",
    )


def _times(records: Sequence[Quantity], series: Series, part: str) -> str | None:
    over = {record.name for record in records if record.over_time}
    if not over:
        return "it is not drawn over time (over_time=False)"
    times = len(Example(network_of("mlp")).problem.times)
    for (_, name), (values, _) in series.items():
        demand(
            name not in over or len(values) == times,
            part,
            f"have a value at each of the {times} saved times",
            f"{len(values)} of {name}",
            "its record says over_time",
            "return one for each, or leave over_time out",
        )
    return None


def _sampled(records: Sequence[Quantity], trial: Trial, first: Series, part: str) -> str | None:
    stated = {r.name for r in records if r.error_from is ErrorFrom.MEASURING}
    if not stated:
        return "what it may draw by seen.seed counts as the network's own chance, like its weights"
    other = checked_series(records, trial.seen("dense", EXACT, seed=1))
    for (layer, name), (values, bounds) in first.items():
        if name not in stated:
            continue
        again, also = other[layer, name]
        apart, allowed = np.abs(again - values), SAMPLING * (bounds + also)
        demand(
            (apart <= allowed).all(),
            part,
            "state the error of sampling",
            f"{name}: values {apart.max():.1e} apart for two seeds, and bounds "
            f"{(bounds + also).max():.1e}",
            "its record says that measuring states the whole error",
            "return the standard error as the bound",
        )
    return None


def _bounded(records: Sequence[Quantity], trial: Trial, part: str) -> str | None:
    kinds = [("dense", EXACT), *(("spectral", tolerance) for tolerance in TOLERANCES)]
    pairs = [(trial.seen(*kind), trial.seen(kind[0], LOOSER * kind[1])) for kind in kinds]
    bad = [
        one.flow.outcome.value
        for pair in pairs
        for one in pair
        if one.flow.outcome.name != "REACHED"
    ]
    if bad:
        return bad[0]
    exact, *others = (measure_group(list(records), *pair).numbers for pair in pairs)
    for (engine, tolerance), found in zip(kinds[1:], others, strict=True):
        for (layer, name), (value, error) in found.items():
            true, rest = exact[layer, name]
            where = name if layer is None else f"{name} of layer {layer}"
            demand(
                abs(value - true) <= error + rest,
                part,
                "differ between flows by no more than the errors it states",
                f"{where}: {value:.6g} ± {error:.1e} by the {engine} engine at tolerance "
                f"{tolerance:.0e}, {true:.6g} ± {rest:.1e} by the dense engine at {EXACT:.0e}",
                "a verdict rests on that error",
                "leave error_from as it is, or return larger bounds",
            )
    return None
