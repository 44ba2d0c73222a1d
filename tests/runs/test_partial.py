"""What is known of a run that is not finished."""

from __future__ import annotations

from itertools import product

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import Settings
from ntkalign.cells.cell import Cell, Row
from ntkalign.claims.claim import BOTTLENECK, MAIN
from ntkalign.claims.verdicts import JudgingTerms
from ntkalign.cli.flags import VerifyFlags
from ntkalign.cli.verify import keep_partial
from ntkalign.runs.partial import Partial, SoFar, terms_of_part, whole_part
from ntkalign.runs.schedulers.threads import InThreads
from ntkalign.runs.store import Store
from ntkalign.runs.sweep import Plan, run_sweep
from ntkalign.runs.table import table_of
from tests.runs.test_estimate import sweep_of

WIDTHS, SEEDS = (8, 16, 32, 64), (0, 1, 2, 3)


def row(cell, quantity="weight-drift"):
    return Row(cell.family, cell.width, cell.seed, "normal", 1, quantity, None, 1.0, 0.0, "ok")


def table(networks):
    return table_of(row(Cell(*network)) for network in networks)


def networks_of(part):
    return set(part[["family", "width", "seed"]].itertuples(index=False, name=None))


def a_sweep(finished):
    so_far = SoFar()
    cells = [Cell(MAIN, 8, 0), Cell(MAIN, 8, 1), Cell(BOTTLENECK, 8, 0), Cell(MAIN, 16, 0)]
    so_far.begin(cells)
    for number in finished:
        so_far.add(cells[number], [row(cells[number])])
    return so_far


def test_a_sweep_knows_what_is_finished_in_the_order_in_which_it_is_wanted():
    so_far = a_sweep([2, 0])
    assert [tuple(r) for r in so_far.table()[["family", "seed"]].to_numpy()] == [
        (MAIN, 0), (BOTTLENECK, 0),
    ]  # fmt: skip
    partial = so_far.partial("stopped")
    assert (partial.finished, partial.wanted) == (2, 4)
    assert partial.missing == ("main network, width 8, seed 1", "main network, width 16, seed 0")
    assert str(partial) == (
        "PARTIAL (stopped): 2 of 4 networks are finished; missing: width 8 (seed 1), "
        "width 16 (seed 0); the same command goes on from here"
    )
    so_far.begin([Cell(MAIN, 8, 0)])  # another look at more networks
    assert so_far.partial("stopped").finished == 0


def test_the_sentence_names_families_and_stays_short():
    so_far = SoFar()
    so_far.begin(Cell(BOTTLENECK, 8, seed) for seed in range(5))
    assert "missing: the bottleneck networks of width 8 (seeds 0, 1, 2 and 2 more);" in str(
        so_far.partial("stopped")
    )
    assert "missing" not in str(a_sweep(range(4)).partial("stopped"))


def test_plain_values_and_back():
    partial = a_sweep([1]).partial("stopped")
    assert Partial.from_json(partial.as_json()) == partial
    assert partial.as_json()["wanted"] == 4
    assert Partial.from_json(None) is None


@given(st.sets(st.sampled_from([*product([MAIN, BOTTLENECK], WIDTHS, SEEDS)])))
def test_what_is_judged_has_every_seed_at_every_width(networks):
    part = networks_of(whole_part(table(sorted(networks))))
    assert part <= networks
    for family in (MAIN, BOTTLENECK):
        own = {(width, seed) for f, width, seed in part if f == family}
        widths, seeds = {w for w, _ in own}, {s for _, s in own}
        assert own == set(product(widths, seeds))
        assert not own or (len(widths) >= 3 and len(seeds) >= 2)
        there = {(width, seed) for f, width, seed in networks if f == family}
        for few in (WIDTHS[:3], WIDTHS):  # it is no smaller than what anybody would take first
            shared = [s for s in SEEDS if all((w, s) in there for w in few)]
            assert len(shared) < 2 or len(own) >= 2 * len(few)


@pytest.mark.parametrize(
    ("lost", "widths", "seeds"),
    [
        ([], WIDTHS, 4),
        ([(64, 3)], WIDTHS, 3),  # one seed is given up
        ([(64, 1), (64, 2), (64, 3)], WIDTHS[:3], 4),  # or one width
    ],
)
def test_the_largest_part_is_judged_by_its_own_widths_and_seeds(lost, widths, seeds):
    there = [(MAIN, *network) for network in product(WIDTHS, SEEDS) if network not in lost]
    part = whole_part(table(there))
    terms = terms_of_part(JudgingTerms(0.9, widths=(8, 16), seeds=9), part)
    assert (terms.widths, terms.seeds, terms.confidence) == (widths, seeds, 0.9)


def test_of_too_little_nothing_is_judged():
    few = [(MAIN, *network) for network in product(WIDTHS[:2], SEEDS)]
    for networks in (few, [], [(MAIN, width, 0) for width in WIDTHS]):
        part = whole_part(table(networks))
        assert isinstance(part, pd.DataFrame)
        assert part.empty
        assert terms_of_part(JudgingTerms(), part).widths == ()


def test_a_run_that_is_stopped_before_it_has_looked_into_its_store_says_nothing(tmp_path):
    """It would write that nothing is finished over the report of what is stored."""
    seen = []

    class Slow(Store):
        """Says at each network what would be told if the run was stopped there."""

        def missing(self, specification, needs):
            seen.append(so_far.begun)
            return {}  # all of it is stored

        def rows(self, specification, needs):
            seen.append(so_far.begun)
            return [row(specification.cell)]

    so_far = SoFar()
    sweep = sweep_of(Settings(data="sphere", widths=(8, 16, 32), seeds=2))
    with Slow(None) as store:
        run_sweep(
            Plan(**vars(sweep), measure=lambda *network: [], store=store, so_far=so_far),
            InThreads(),
        )
    assert seen == [False] * 24
    assert so_far.begun
    assert (so_far.partial("stopped").finished, so_far.partial("stopped").missing) == (12, ())
    so_far.result = lambda reason: pytest.fail("nothing is wanted yet")
    so_far.begin(())
    assert keep_partial(so_far, VerifyFlags(out=tmp_path)) == ""
    assert not list(tmp_path.iterdir())
