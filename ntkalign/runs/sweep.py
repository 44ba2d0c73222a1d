"""Measuring every network of a sweep: one cell is one (family, width, seed).

A finished network is stored at once, so an interrupted or enlarged run repeats nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock

import jax
import pandas as pd
from threadpoolctl import threadpool_limits

from ntkalign.cells.cell import Cell, Needs, Row, could_not_run
from ntkalign.cells.specification import Measure, Specification
from ntkalign.claims.claim import BOTTLENECK, MAIN, Question
from ntkalign.data.catalogue import Data
from ntkalign.errors import InputError, raised_in
from ntkalign.kernels.training_time import saved_times
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.precision import in_float64
from ntkalign.quantities.catalogue import EXPANSION, QUANTITIES
from ntkalign.rules import NORMAL, RULES, Rule
from ntkalign.runs.settings import MIN_SEEDS, MIN_WIDTHS, Settings
from ntkalign.runs.store import Store
from ntkalign.runs.table import table_of

THREADS = 2
"""One architecture compiles on one core while another is trained."""
LARGE = 8192
"""Networks from this width on are trained one at a time: they fill the memory and all cores."""
BASELINES = ("score-permuted",)
"""Quantities that cost as much as an m × m product of matrices: they say what chance gives."""
CONTROL_WIDTH = 1024
"""Controls, which fail at any width, are not run above this one if there are enough below."""

Progress = Callable[[Cell, int, int], None]
"""Called when a network is finished, with it, how many are done and how many there are."""


def quiet(cell: Cell, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Plan:
    """What all networks of a sweep have in common.

    Attributes:
        settings: what is run, the time included.
        experiment: what is measured, such as "theory".
        data: the training points, then those held out.
        times: when flows are looked at, T the last.
        asked: the questions, which decide what is measured of which rules.
        measure: how a network is measured.
        store: where it is looked for first.
        baselines: quantities of gradient descent that are measured beside what is asked.
    """

    settings: Settings
    experiment: str
    data: Data
    times: tuple[float, ...]
    asked: tuple[Question, ...]
    measure: Measure
    store: Store
    baselines: tuple[str, ...] = ()


def specify(
    settings: Settings,
    experiment: str,
    data: Data,
    cell: Cell,
    times: Sequence[float] | None = None,
) -> Specification:
    """One network of a sweep.

    Args:
        settings: of the sweep, the time included.
        experiment: what is measured of it.
        data: the training points, then those held out.
        cell: which network.
        times: when its flow is looked at; eight times up to the settings' time if None.

    Returns:
        All that decides its numbers.
    """
    family = settings.family
    if times is None:
        assert settings.time is not None
        times = saved_times(settings.time)
    if cell.family == BOTTLENECK:
        family = family.narrowed(settings.bottleneck)
    return Specification(
        experiment, cell, family, data, settings.points, tuple(times),
        settings.initial_outputs, settings.engine, settings.tolerance,
    )  # fmt: skip


def run_sweep(plan: Plan, progress: Progress = quiet) -> pd.DataFrame:
    """Measure what the questions need, at every width and seed.

    Args:
        plan: what is measured.
        progress: called when a network is finished.

    Returns:
        The table of measurements.

    Raises:
        InputError: if nothing is asked for.
    """
    settings, needs = plan.settings, needed(plan.asked, plan.settings.rules, plan.baselines)
    if not needs:
        raise InputError(
            "rules", tuple(r.name for r in settings.rules), must="include one that is asked about",
            got="none of them", because="no claim is left to measure",
            do="add align-zero, or ask for other claims",
        )  # fmt: skip
    groups = [
        [Cell(family, width, seed) for seed in settings.every_seed[: _count(family, settings)]]
        for width in settings.widths
        for family in needs
        if at_width(needs[family], family, width, settings)
    ]
    alone = Lock()

    @in_float64  # worker threads have JAX's flags of the process
    def work(cell: Cell) -> list[Row]:
        """Of one network."""
        wanted = at_width(needs[cell.family], cell.family, cell.width, settings)
        try:
            with alone if cell.width >= LARGE else nullcontext():
                one = specify(settings, plan.experiment, plan.data, cell, plan.times)
                return plan.store.rows(one, wanted, plan.measure)
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            reason = " ".join(str(error).split())[:120] or "out of memory"
            reason = "".join(c if c.isprintable() else "?" for c in reason)
            return could_not_run(cell, wanted, settings.depth, f"could not run: {reason}")
        except Exception as error:
            raise _of_ones_own(error, wanted, settings) from error

    # NumPy's matrices are small here: its BLAS threads would only wait for those of the others
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(THREADS) as pool:
        futures = {cell: pool.submit(work, cell) for cell in _staggered(groups)}
        names = {future: cell for cell, future in futures.items()}
        try:
            for done, future in enumerate(as_completed(names), start=1):
                future.result()
                progress(names[future], done, len(names))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return table_of(row for group in groups for cell in group for row in futures[cell].result())


def _of_ones_own(error: Exception, wanted: Needs, settings: Settings) -> Exception:
    """An error of the user's own code in one line; any other as it is."""
    names = [f"rule {rule.name}" for rule in wanted if not RULES.is_built_in(rule)]
    quantities = {q for own in wanted.values() for q in own}
    names += [
        f"quantity {q}" for q in sorted(quantities) if not QUANTITIES.is_built_in(QUANTITIES.get(q))
    ]
    if not ACTIVATIONS.is_built_in(settings.family.activation):
        names.append(f"activation {settings.family.activation.name}")
    place = raised_in(error)
    if isinstance(error, InputError) or not names:
        return error
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return InputError(
        "part", ", ".join(names), must="run on the networks of this run",
        got=said + (f" ({place})" if place else ""),
        because="it is called with passes of them",
        do="run ntkalign.testing.check_rule (or check_quantity) on it, which says what to mend",
    )  # fmt: skip


def needed(
    asked: Iterable[Question], rules: Iterable[Rule], baselines: Iterable[str] = ()
) -> dict[str, Needs]:
    """What questions need, by family, the main one first.

    Args:
        asked: the questions.
        rules: those of the user's own among them; the others are built in.
        baselines: quantities of gradient descent that are measured in any case.

    Returns:
        For each family that is asked about the names of quantities, by rule.
    """
    named = dict(RULES) | {rule.name: rule for rule in rules}
    found: dict[str, dict[Rule, set[str]]] = {MAIN: {}, BOTTLENECK: {}}
    for q in asked:
        found[q.family].setdefault(named[q.rule], set()).add(q.claim.quantity)
    wanted = {name for by_rule in found.values() for names in by_rule.values() for name in names}
    if any(QUANTITIES[name].trained for name in wanted):
        # how far training moves networks is then always measured
        found[MAIN].setdefault(NORMAL, set()).update(EXPANSION, baselines)
    return {
        family: {rule: frozenset(quantities) for rule, quantities in by_rule.items()}
        for family, by_rule in found.items()
        if by_rule
    }


def at_width(
    needs: Mapping[Rule, frozenset[str]], family: str, width: int, settings: Settings
) -> Needs:
    """What is measured at one width: controls and baselines are left out of the largest."""
    if width <= max(CONTROL_WIDTH, settings.widths[MIN_WIDTHS - 1]):
        return needs
    if family == BOTTLENECK:
        return {}
    return {
        rule: frozenset(q for q in quantities if q not in BASELINES)
        for rule, quantities in needs.items()
        if not rule.control
    }


def _count(family: str, settings: Settings) -> int:
    """Networks per width; a control that must fail by a wide margin needs fewer."""
    return settings.seeds if family == MAIN else max(MIN_SEEDS, settings.seeds // 2)


def _staggered(groups: list[list[Cell]]) -> list[Cell]:
    """Start each architecture (and so its compilation) while the one before still runs."""
    order = groups[0][:1]
    for group, following in zip(groups, [*groups[1:], []], strict=True):
        order += following[:1] + group[1:]
    return order
