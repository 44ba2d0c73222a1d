"""Nothing is trained twice, nothing is lost, and nothing is taken for something else."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields, replace
from threading import Barrier

import numpy as np
import pytest

from ntkalign.data.training_sets import Part
from ntkalign.experiments.catalogue import TABLE7
from ntkalign.experiments.execute import CHECKPOINTS, Executor, as_plain, distinct, name_of
from ntkalign.experiments.options import Options
from ntkalign.experiments.supply import digest
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.normalisation import Norm
from ntkalign.rules import ALIGN_ADA, RULES, variant
from ntkalign.runs.fingerprint import DECIDING_TRAINING, computed_by
from ntkalign.runs.schedulers.threads import InThreads
from ntkalign.training import trainer
from ntkalign.training.losses import LOSSES
from ntkalign.training.optimisers import OPTIMISERS
from ntkalign.training.trainer import Run
from tests.data import made
from tests.experiments import small
from tests.experiments.small import planned
from tests.training.small import ORDER, assert_same_history, run, trained

PLAN = small.plan(small.item("align-zero"), small.item(), small.item(rate=0.25))  # longest first


class Told(list):
    """What was told, as ``(item, moment)``."""

    def __call__(self, item, moment):
        self.append((item, moment))


def execute(folder, plan=PLAN, *, workers=1, fresh=False, tell=None):
    """Results in the plan's order, and what was told."""
    told = Told() if tell is None else tell
    with closing(Executor(folder, InThreads(workers), fresh, told).run(plan)) as results:
        found = {result.item: result for result in results}
    return [found[item] for item in plan.items], told


def stored(folder):
    return sorted((folder / CHECKPOINTS).iterdir())


def assert_as_trained_alone(results, plan=PLAN):
    assert [r.item for r in results] == list(plan.items)
    for result in results:
        assert_same_history(result.history, trained(result.item.run)[0])


# --- the store ------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
def test_a_second_time_reuses_all_and_a_fresh_one_nothing(tmp_path, workers):
    first, _ = execute(tmp_path, workers=workers)
    assert_as_trained_alone(first)
    assert [r.reused for r in first] == [0, 0, 0]
    assert len(stored(tmp_path)) == 3
    second, told = execute(tmp_path, workers=workers)
    assert_as_trained_alone(second)
    assert not told
    assert [r.reused for r in second] == [3, 3, 3]
    fresh, told = execute(tmp_path, workers=workers, fresh=True)
    assert_as_trained_alone(fresh)
    assert {item for item, _ in told} == set(PLAN.items)
    assert [r.reused for r in fresh] == [0, 0, 0]
    assert len(stored(tmp_path)) == 3


def test_more_epochs_go_on_and_fewer_are_read(tmp_path):
    execute(tmp_path, small.with_epochs(PLAN, 1))
    more, told = execute(tmp_path)
    assert_as_trained_alone(more)
    assert [r.reused for r in more] == [1, 1, 1]
    assert {moment.epoch for _, moment in told} == {2, 3}
    fewer, told = execute(tmp_path, small.with_epochs(PLAN, 2))
    assert_as_trained_alone(fewer, small.with_epochs(PLAN, 2))
    assert not told
    assert len(stored(tmp_path)) == 3


def test_only_what_is_new_is_trained(tmp_path):
    execute(tmp_path)
    added = small.item("w-star")
    results, told = execute(tmp_path, small.plan(*PLAN.items, added))
    assert {item for item, _ in told} == {added}
    assert [r.reused for r in results] == [3, 3, 3, 0]


def test_other_points_are_other_runs(tmp_path):
    execute(tmp_path)
    points = PLAN.points
    other = replace(points, train=Part(points.train.x + 1, points.train.y))
    results, _ = execute(tmp_path, replace(PLAN, points=other))
    assert [r.reused for r in results] == [0, 0, 0]
    assert len(stored(tmp_path)) == 6


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_keeps_every_runs_place(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(trainer, "PART_SECONDS", 0.0)
    together, told = Barrier(workers, timeout=30), []

    def interrupt(item, moment):
        told.append((item, moment))
        if (moment.epoch, moment.step) == (1, 2) and item in PLAN.items[:workers]:
            together.wait()
            if item == PLAN.items[0]:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(tmp_path, workers=workers, tell=interrupt)
    assert len(stored(tmp_path)) >= workers
    results, again = execute(tmp_path)
    assert_as_trained_alone(results)
    assert again[0][1].step == 3
    taken = [(item, moment.epoch, moment.step) for item, moment in [*told, *again]]
    assert len(taken) == len(set(taken))


def test_what_goes_wrong_in_a_run_is_raised_and_others_are_kept(tmp_path):
    def fail(item, moment):
        if item == PLAN.items[1]:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        execute(tmp_path, tell=fail)
    results, told = execute(tmp_path)
    assert results[0].reused == 3
    assert PLAN.items[0] not in {item for item, _ in told}
    assert_as_trained_alone(results)


# --- names ----------------------------------------------------------------------------------


def name(of, data="points", context=None):
    return name_of(of, data, context or {})


CHANGED = {
    "rate": run(rate=0.25), "seed": run(seed=5), "precision": run(precision="float32"),
    "legacy": run(legacy=False), "rule": run("align-zero"), "optimiser": run("adam"),
    **{
        f"order: {key}": run(order=replace(ORDER, **{key: value}))
        for key, value in {
            "seed": 5, "batch": 3, "train": 12, "test": 8, "evaluates_train": True, "legacy": False,
        }.items()
    },
    **{
        f"learner: {key}": replace(run(), learner=replace(run().learner, **{key: value}))
        for key, value in {
            "loss": LOSSES["square-over-time"], "optimiser": OPTIMISERS["adam"],
            "rule": RULES["fa"], "network": replace(run().learner.network, widths=(2, 4, 2)),
        }.items()
    },
    "activation": replace(
        run(), learner=replace(
            run().learner, network=replace(run().learner.network, activation=ACTIVATIONS["relu"])
        ),
    ),
}  # fmt: skip


def test_each_setting_that_decides_numbers_changes_the_name():
    names = {what: name(changed) for what, changed in CHANGED.items()}
    assert name(run()) not in names.values()
    assert len(set(names.values())) == len(names)


def test_every_field_of_a_run_has_its_part_in_the_name_but_what_is_told():
    plain = as_plain(run())
    assert set(plain) == {"kind", *(f.name for f in fields(Run))}
    assert set(plain["learner"]) == {"kind", "network", "rule", "loss", "optimiser"}
    assert plain["learner"]["rule"]["feedback"] == "ntkalign.rules.current_jacobian"
    for told in (run(epochs=7), run(scored=(1,))):
        assert name(told) == name(run())
    for kept in (run(log_steps=0), run(curve=5)):  # those of a run that has it are not to be lost
        assert name(kept) != name(run())


def test_points_and_what_computes_change_the_name():
    names = {name(run()), name(run(), data="others"), name(run(), context={"jax": "1"})}
    assert len(names) == 3


@pytest.mark.parametrize(("rule", "same"), [(ALIGN_ADA, False), (RULES["normal"], True)])
def test_readings_of_a_rule_differ_where_code_and_equations_do(rule, same):
    names = {
        name(replace(run(), learner=replace(run().learner, rule=variant(rule, reading))))
        for reading in ("published", "written")
    }
    assert (len(names) == 1) == same


def test_each_part_of_a_convolutional_network_changes_the_name():
    first = Convolutional((8, 8, 1), (2, 2), (1, 2), 3, ACTIVATIONS["relu"])
    networks = [
        first, replace(first, image=(8, 9, 1)), replace(first, filters=(2, 3)),
        replace(first, strides=(2, 1)), replace(first, classes=4),
        replace(first, norm=Norm.NONE), replace(first, form="standard"),
    ]  # fmt: skip
    names = {name(replace(run(), learner=replace(run().learner, network=n))) for n in networks}
    assert len(names) == len(networks)


def test_names_do_not_depend_on_the_process():
    """Nothing that is hashed has an address or an order of its own."""
    context = computed_by(DECIDING_TRAINING)
    assert name(run(), context=context) == name(run(), context=dict(reversed(context.items())))
    assert " at 0x" not in repr([as_plain(of) for of in CHANGED.values()])
    assert set(name(run())) <= set("0123456789abcdef")
    assert len(name(run())) == 20


def test_a_digest_is_that_of_all_points(tmp_path):
    made.kmnist(tmp_path)
    points = planned(TABLE7, Options(data_dir=tmp_path, test=8, train=10, batch=4)).points

    def changed(part, array, change):
        old = getattr(points, part)
        values = getattr(old, array).copy()
        return replace(points, **{part: replace(old, **{array: change(values)})})

    def one(values):
        values.flat[-1] = np.nextafter(values.flat[-1], 9)
        return values

    others = [changed(p, a, one) for p in ("train", "test") for a in "xy"]
    others += [
        changed("train", "x", lambda v: v.astype(float)), changed("train", "x", lambda v: v[::-1]),
        replace(points, train=Part(points.train.x[:9], points.train.y[:9])),
        replace(points, train=points.test, test=points.train),
    ]  # fmt: skip
    digests = {digest(other) for other in (points, *others)}
    assert len(digests) == 1 + len(others)
    strided = changed("train", "x", lambda v: np.asfortranarray(v))
    assert digest(strided) == digest(points)


def test_runs_that_several_plans_share_are_counted_once_and_the_longest_of_them():
    short, other = small.item(epochs=1), small.item("align-zero")
    long = replace(short, run=replace(short.run, epochs=3))
    plans = [small.plan(short, other), small.plan(long)]
    assert distinct(plans) == [long, other]
    assert distinct(plans[::-1]) == [long, other]
    points = plans[0].points
    fewer = replace(points, test=Part(points.test.x[1:], points.test.y[1:]))
    assert len(distinct([plans[0], replace(plans[1], points=fewer)])) == 3


def test_fresh_trains_what_is_stored_again_and_nothing_twice(tmp_path):
    """The short run of a later plan is read from the long one that this command trained."""
    short = small.plan(small.item(epochs=1))
    long = small.with_epochs(short, 3)
    executor = Executor(tmp_path, InThreads(1), fresh=True)
    reused = [result.reused for plan in (long, short) for result in executor.run(plan)]
    assert reused == [0, 3]
    again = Executor(tmp_path, InThreads(1), fresh=True)
    assert [result.reused for result in again.run(short)] == [0]
