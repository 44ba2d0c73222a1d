"""What is known of a network is not measured again, and what is asked for changes no number."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign import InputError, Rule, Settings, verify
from ntkalign.cells import flow, kernels
from ntkalign.cells.cell import Cell, Row, with_companions
from ntkalign.cells.flow import Trial, measure_cell
from ntkalign.cells.work import COULD_NOT_RUN, not_measured
from ntkalign.claims.questions import kernel_questions, questions
from ntkalign.data.catalogue import Data
from ntkalign.networks.activations import ACTIVATIONS, Activation
from ntkalign.quantities.catalogue import BOOKKEEPING, EXPANSION, QUANTITIES
from ntkalign.quantities.quantity import Layers, Quantity
from ntkalign.rules import ALIGN_ADA, ALIGN_ZERO, CONTROLS, NORMAL, RULES
from ntkalign.runs.database import FILE
from ntkalign.runs.store import Store, here
from ntkalign.runs.sweep import needed, specify
from tests.cases import needs_dense

SETTINGS = Settings(points=3, depth=3, time=1.0, tolerance=1e-5, rules=("align-zero", "align-ada"))


def data(points=3):
    rng = np.random.default_rng(0)
    return Data("trial", rng.standard_normal((points, 4)), rng.standard_normal((points, 2)))


def one(width=8, **changes):
    return specify(replace(SETTINGS, **changes), "theory", data(), Cell("main", width, 0))


def all_needs():
    return needed(questions(SETTINGS.family, SETTINGS.rules, controls=CONTROLS), SETTINGS.rules)[
        "main"
    ]


def made_up(calls):
    """A measurement that says what it was asked for, with numbers that need no network."""

    def measure(specification, needs):
        calls.append({rule.name: set(quantities) for rule, quantities in needs.items()})
        cell = specification.cell
        return [
            Row(cell.family, cell.width, cell.seed, rule.name, None, quantity, None,
                math.nan if quantity == "divergence-relative" else len(quantity) / 7, 0.1, "ok")
            for rule, quantities in needs.items()
            for quantity in sorted(with_companions(quantities) | {"panels"})
        ]  # fmt: skip

    return measure


def same(ours, theirs):
    """Rows agree to the last bit, NaN with NaN."""
    return list(map(repr, ours)) == list(map(repr, theirs))


def looked_up(store, network, asked, measure):
    """What a run does: measure what is missing, then read all."""
    if lacking := store.missing(network, asked):
        store.add(network, measure(network, lacking))
    return store.rows(network, asked)


def of(folder, network, asked, measure, **options):
    """The same of a run with its own store."""
    with Store(folder, **options) as store:
        return looked_up(store, network, asked, measure)


def records(folder):
    """All that is stored, as text."""
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection:
        return [str(r) for r in connection.execute("SELECT * FROM records ORDER BY network, rule")]


def needs(**quantities):
    return {RULES[name.replace("_", "-")]: frozenset(q.split()) for name, q in quantities.items()}


def test_only_what_is_missing_is_measured_and_only_what_is_asked_for_is_returned(tmp_path):
    calls = []
    measure = made_up(calls)
    first = of(tmp_path, one(), needs(normal="weight-drift", fa="divergence"), measure)
    assert calls == [{"normal": {"weight-drift"}, "fa": {"divergence"}}]
    more = needs(normal="weight-drift", fa="divergence discrepancy", dfa="divergence")
    with Store(tmp_path) as again:
        asked = needs(normal="weight-drift", fa="divergence")
        assert same(looked_up(again, one(), asked, measure), first)
        assert len(calls) == 1
        assert not again.measured
        second = looked_up(again, one(), more, measure)
        assert len(again.measured) == 1
    assert calls[1:] == [{"fa": {"divergence", "discrepancy"}, "dfa": {"divergence"}}]
    assert same(second, of(None, one(), more, made_up([])))
    assert same(of(tmp_path, one(), more, measure), second)
    less = of(tmp_path, one(), needs(normal="weight-drift", fa="divergence"), measure)
    assert same(less, first)
    assert len(calls) == 2


def test_a_fresh_run_looks_at_nothing_stored_and_keeps_what_it_measured(tmp_path):
    calls = []
    measure, asked = made_up(calls), needs(normal="weight-drift")
    of(tmp_path, one(), asked, measure)
    with Store(tmp_path, fresh=True) as fresh:
        for _ in range(2):
            looked_up(fresh, one(), asked, measure)
    assert len(calls) == 2


def dies(specification, needs):
    """What is told of a network whose worker died."""
    return not_measured(specification, needs, "its process was ended by SIGKILL")


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("second", [made_up([]), dies])
def test_no_later_run_takes_away_what_an_earlier_one_has_stored(tmp_path, fresh, second):
    """Be it fresh, of fewer or other claims, or one whose worker dies."""
    both = needs(normal="weight-drift", fa="divergence jacobian-drift")
    first = of(tmp_path, one(), both, made_up([]))
    other = needs(fa="divergence weight-drift")
    found = of(tmp_path, one(), other, second, fresh=fresh)
    failed = {row.quantity for row in found if row.status.startswith(COULD_NOT_RUN)}
    if second is dies:
        assert "weight-drift" in failed  # the control: it did die
        assert fresh == ("divergence" in failed)
    else:
        assert not failed
    calls = []
    assert same(of(tmp_path, one(), both, made_up(calls)), first)
    assert not calls


def test_other_networks_are_other_records(tmp_path):
    calls = []
    measure, asked = made_up(calls), needs(normal="weight-drift")
    for network in (one(), one(width=16), one(tolerance=1e-6), one(engine="dense")):
        of(tmp_path, network, asked, measure)
    assert len(calls) == len(records(tmp_path)) == 4


def test_code_of_ones_own_is_never_looked_up_and_does_not_keep_others_from_being(tmp_path):
    calls = []
    measure = made_up(calls)
    mine = Rule("my-rule", ALIGN_ADA.feedback, ALIGN_ADA.activity)
    asked = needs(normal="weight-drift") | {mine: frozenset({"divergence"})}
    with Store(tmp_path) as store:
        first = looked_up(store, one(), asked, measure)
        again = looked_up(store, one(), asked, measure)
    assert same(again, first)  # it is known while the run lasts
    assert len(calls) == 1
    assert "my-rule" not in "".join(records(tmp_path))
    assert same(of(tmp_path, one(), asked, measure), first)
    assert calls[1:] == [{"my-rule": {"divergence"}}]
    own = one(activation=Activation("my-tanh", jnp.tanh))
    for _ in range(2):
        of(tmp_path / "own", own, needs(normal="weight-drift"), measure)
    assert len(calls) == 4
    assert not (tmp_path / "own").exists()


def test_a_rule_that_only_bears_a_stored_name_gets_no_stored_numbers(tmp_path):
    calls = []
    of(tmp_path, one(), needs(align_ada="divergence"), made_up(calls))
    (stored,) = records(tmp_path)
    impostor = Rule("align-ada", ALIGN_ZERO.feedback, ALIGN_ZERO.activity)
    of(tmp_path, one(), {impostor: frozenset({"divergence"})}, made_up(calls))
    assert len(calls) == 2
    assert records(tmp_path) == [stored]


def split(needs, parts):
    """The same needs, asked for one after the other."""
    pairs = [(rule, q) for rule, quantities in needs.items() for q in sorted(quantities)]
    for part in range(parts):
        asked = {}
        for rule, quantity in pairs[part::parts]:
            asked.setdefault(rule, set()).add(quantity)
        yield {rule: frozenset(quantities) for rule, quantities in asked.items()}


@needs_dense
@pytest.mark.parametrize(
    "network", [one(), one(width=600), one(engine="dense")], ids=["narrow", "wide", "dense"]
)
def test_asking_in_steps_gives_the_numbers_of_asking_at_once_bit_for_bit(network):
    at_once = of(None, network, all_needs(), measure_cell)
    store = Store()
    for asked in split(all_needs(), 7):
        looked_up(store, network, asked, measure_cell)
    assert same(looked_up(store, network, all_needs(), measure_cell), at_once)
    assert {row.status for row in at_once} == {"ok"}


def test_the_same_holds_for_kernels():
    network = specify(SETTINGS, "kernels", data(5), Cell("main", 16, 0))
    measure = kernels.prepare(SETTINGS.family, data(5))
    asked = needed(kernel_questions(SETTINGS.family), ())["main"]
    at_once, store = of(None, network, asked, measure), Store()
    for some in split(asked, 5):
        looked_up(store, network, some, measure)
    assert same(looked_up(store, network, asked, measure), at_once)


def trained(monkeypatch):
    names = []
    solve = Trial.solve
    monkeypatch.setattr(
        Trial,
        "solve",
        lambda self, which, *how: names.append(which.rule.name) or solve(self, which, *how),
    )
    return names


def test_one_more_claim_trains_only_what_it_needs(tmp_path, monkeypatch):
    settings = Settings(
        data="sphere", points=2, widths=(4, 8, 16), seeds=2, depth=2, time=1.0,
        rules=("align-zero", "align-ada"),
    )  # fmt: skip
    names = trained(monkeypatch)
    verify(settings, claims=["alignment-score"], cells=tmp_path)
    assert set(names) == {"normal"}
    names.clear()
    both = ["alignment-score", "proposition-2"]
    result = verify(settings, claims=both, cells=tmp_path)
    assert {"align-zero", "align-ada", "fa", "dfa", "last-layer"} <= set(names)
    assert names.count("fa") == 12  # 3 widths, 2 seeds, each flow with its companion
    names.clear()
    again = verify(settings, claims=both, cells=tmp_path)
    assert not names
    assert again.environment.networks_measured == 0
    assert again.table.equals(result.table)
    # two more rules are two more rules
    more = replace(settings, rules=("align-zero", "align-ada", "w-star"))
    verify(more, claims=["proposition-2"], cells=tmp_path)
    assert set(names) == {"w-star", "normal"}  # it starts from gradient descent
    names.clear()
    verify(settings, claims=["lemma-1/weights"], cells=tmp_path)
    assert set(names) <= {"normal", "align-zero", "align-ada"}


def test_what_failed_is_said_of_all_that_one_measurement_would_have_given(monkeypatch):
    """Also of the losses of gradient descent, when it is gradient descent that failed."""
    monkeypatch.setattr(
        flow, "why_not", lambda pair: "diverged" if pair[0].rule is NORMAL else None
    )
    rows = measure_cell(one(), needs(normal="weight-drift", align_zero="divergence weight-drift"))
    failed = {(row.rule, row.quantity) for row in rows if row.status != "ok"}
    assert failed == {
        ("normal", "weight-drift"), ("normal", "loss"), ("align-zero", "divergence"),
        ("align-zero", "divergence-relative"),
    }  # fmt: skip
    assert {row.status for row in rows} == {"ok", "normal diverged"}
    for row in rows:
        assert (row.status == "ok") == math.isfinite(row.value), row
    assert {row.layer for row in rows if row.quantity == "weight-drift"} == {1, 2, 3}


def test_a_specification_refuses_options_that_there_are_not():
    with pytest.raises(InputError, match=r"engine \(dence\) must be one of .* mean 'dense'\?"):
        replace(one(), engine="dence")
    with pytest.raises(InputError, match=r"initial_outputs \(none\) must be one of"):
        replace(one(), initial_outputs="none")


def test_bookkeeping_comes_with_every_rule():
    rows = measure_cell(one(), needs(normal="weight-drift"))
    losses = [row for row in rows if row.quantity == "loss"]
    assert [row.time for row in losses] == [(i / 8) ** 2 for i in range(1, 9)]
    assert {row.quantity for row in rows} == {
        "weight-drift", "loss", "spectral-steps", "panels", "estimated-error"
    }  # fmt: skip
    assert {row.quantity for row in rows} - {"weight-drift"} <= BOOKKEEPING
    assert NORMAL.name in {row.rule for row in rows}


def test_how_far_training_moves_a_network_comes_with_what_it_is_made_of(tmp_path):
    """Whether some of it was stored before or not; its largest value over time is that."""
    of(tmp_path, one(), needs(normal="weight-drift"), measure_cell)
    wanted = {NORMAL: frozenset({"weight-drift", *EXPANSION})}
    rows = of(tmp_path, one(), wanted, measure_cell)
    assert rows == of(None, one(), wanted, measure_cell)
    over_time = [row for row in rows if row.quantity == "expansion"]
    assert [row.time for row in over_time] == [(i / 8) ** 2 for i in range(1, 9)]
    largest = max(row.value for row in rows if row.quantity in EXPANSION)
    assert max(row.value for row in over_time) == pytest.approx(largest, rel=1e-12)
    fewer = of(tmp_path, one(), needs(normal="weight-drift"), measure_cell)
    assert "expansion" not in {row.quantity for row in fewer}


@pytest.fixture
def own_parts(monkeypatch):
    """What a test registers is forgotten after it."""
    for registry in (RULES, ACTIVATIONS, QUANTITIES):
        monkeypatch.setattr(registry, "_things", dict(registry))


@pytest.mark.usefixtures("own_parts")
def test_registered_parts_of_ones_own_are_never_looked_up(tmp_path):
    """Their code may be another next time, whatever they are called."""
    rule = RULES.register(replace(ALIGN_ADA, name="mine"))
    activation = ACTIVATIONS.register(Activation("mine", np.tanh))
    quantity = QUANTITIES.register(Quantity("mine", "$q$", Layers.WHOLE, lambda seen: {}))
    for network, asked in (
        (one(), {rule: frozenset({"divergence"})}),
        (one(activation=activation), needs(normal="weight-drift")),
        (one(), {NORMAL: frozenset({quantity.name})}),
    ):
        calls = []
        for _ in range(2):
            of(tmp_path, network, asked, made_up(calls))
        assert len(calls) == 2
    assert "mine" not in "".join(records(tmp_path))


def test_a_quantity_that_is_not_registered_any_more_is_no_error(tmp_path, monkeypatch):
    asked = needs(normal="weight-drift discrepancy")
    of(tmp_path, one(), asked, made_up([]))
    fewer = {name: q for name, q in QUANTITIES.items() if q.measure != QUANTITIES["score"].measure}
    monkeypatch.setattr(QUANTITIES, "_things", fewer)
    calls = []
    of(tmp_path, one(), asked, made_up(calls))
    assert not calls


def test_the_random_generator_of_a_caller_is_not_the_workers():
    """A context of the caller's thread does not reach the threads that measure."""
    with jax.default_prng_impl("rbg"):
        elsewhere = here()
    assert elsewhere == here()
    assert elsewhere["jax"]["jax_enable_x64"] == "True"


def test_what_computes_is_found_out_once_and_decides_what_is_found(tmp_path):
    asked, calls, found_out = needs(normal="weight-drift"), [], []

    def context():
        found_out.append(1)
        return {"device": "another"}

    for given in (None, context, {"device": "another"}):
        with Store(tmp_path, context=given) as store:
            for _ in range(2):
                looked_up(store, one(), asked, made_up(calls))
    assert len(calls) == 2
    assert len(found_out) == 1


def test_threads_may_share_a_store(tmp_path):
    asked, widths = needs(normal="weight-drift"), range(8, 28)
    with Store(tmp_path) as store, ThreadPoolExecutor(4) as pool:
        networks = [one(width) for width in widths]
        found = list(pool.map(lambda n: looked_up(store, n, asked, made_up([])), networks))
    assert [rows[0].width for rows in found] == list(widths)
    assert len(records(tmp_path)) == len(widths)


def test_a_store_that_nothing_was_put_into_leaves_nothing(tmp_path):
    for folder in (tmp_path / "new" / "folders", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with Store(folder) as store:
            assert store.missing(one(), needs(normal="weight-drift"))
            assert (folder / FILE).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    assert not list((tmp_path / "empty").iterdir())


def test_a_run_that_has_ended_leaves_one_file(tmp_path):
    of(tmp_path, one(), needs(normal="weight-drift"), made_up([]))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
