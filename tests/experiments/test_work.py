"""A run that travels: its points are there already, nobody hears it, and it ends when told so."""

from __future__ import annotations

import pickle
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from ntkalign import InputError
from ntkalign.cli.scheduling import for_training
from ntkalign.experiments import supply as supplies
from ntkalign.experiments.catalogue import TABLE7, TABLE8
from ntkalign.experiments.execute import AWAITED, CHECKPOINTS, Executor
from ntkalign.experiments.options import Options
from ntkalign.experiments.supply import Origin, Supply
from ntkalign.experiments.task import Task
from ntkalign.experiments.work import Heard, StoppedError, Training
from ntkalign.plugins import load
from ntkalign.rules import RULES
from ntkalign.runs.schedulers.base import Job, Scheduler
from ntkalign.runs.schedulers.processes import InProcesses
from ntkalign.runs.schedulers.threads import InThreads
from ntkalign.training import trainer
from ntkalign.training.trainer import Moment
from tests.data import made
from tests.experiments import small
from tests.experiments.small import planned
from tests.training.small import assert_same_history

MORTAL = """
import os, signal
from pathlib import Path
from ntkalign import Rule, backpropagate, current_activity, register

DIED = Path(__file__).with_name("died")

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def once(now, start, fixed, e):
    if not DIED.exists():
        DIED.touch()
        die()
    return backpropagate(weights=now, slopes=now, error=e)

def always(now, start, fixed, e):
    die()

register(Rule("dies-once", once, current_activity), Rule("dies-always", always, current_activity))
"""


@pytest.fixture(autouse=True)
def nothing_held():
    """No points of other tests."""
    supplies._read.cache_clear()
    yield
    supplies._read.cache_clear()


def execute(folder, plan, scheduler):
    """Results in the plan's order."""
    with closing(Executor(folder, scheduler).run(plan)) as results:
        found = {result.item: result for result in results}
    assert {p.suffix for p in (folder / CHECKPOINTS).iterdir()} == {".npz"}
    return [found[item] for item in plan.items]


def travelled(thing):
    return pickle.loads(pickle.dumps(thing))


# --- where runs are trained -------------------------------------------------------------------


def test_processes_train_the_same_bits_and_go_on_from_the_same_checkpoints(tmp_path, monkeypatch):
    made.kmnist(tmp_path)
    asked = Options(data_dir=tmp_path, test=8, train=12, batch=4, widths=(2, 3), rules=("fa",),
                    rates=(1,), epochs=1)  # fmt: skip
    plan = planned(TABLE7, asked)
    here = execute(tmp_path / "here", plan, InThreads(1))
    monkeypatch.chdir(tmp_path.parent)
    relative = replace(plan, options=replace(asked, data_dir=tmp_path.name))
    with InProcesses(2) as scheduler:
        there = execute(tmp_path / "there", relative, scheduler)
    for one, other in zip(here, there, strict=True):
        assert_same_history(one.history, other.history)
        assert one.history.status == "trained"
    names = [{p.name for p in (tmp_path / f / CHECKPOINTS).iterdir()} for f in ("here", "there")]
    assert names[0] == names[1]
    again = execute(tmp_path / "there", plan, InThreads(1))
    assert [result.reused for result in again] == [1, 1]


def test_dask_trains_the_same_bits(tmp_path):
    plan = planned(TABLE8, Options(widths=(2,), rules=("normal",), epochs=1))
    (here,) = execute(tmp_path / "here", plan, InThreads(1))
    with for_training(1, "local") as scheduler:
        (there,) = execute(tmp_path / "there", plan, scheduler)
    assert_same_history(here.history, there.history)


def test_a_worker_that_dies_costs_its_run_alone_which_is_tried_once_more(tmp_path):
    file = tmp_path / "mortal.py"
    file.write_text(MORTAL)
    load(file)
    rules = ("normal", "dies-once", "dies-always")
    plan = planned(TABLE8, Options(widths=(2,), rules=rules, epochs=1))
    try:
        with InProcesses(1) as scheduler:
            normal, once, always = execute(tmp_path / "out", plan, scheduler)
    finally:
        RULES.forget(rules[1:])
    assert_same_history(once.history, normal.history)  # it is the same rule
    assert normal.history.status == "trained"
    assert always.history.status == (
        "failed: its process was ended by SIGKILL, for want of memory perhaps, twice"
    )
    assert not always.history.epochs


@pytest.mark.parametrize(
    ("workers", "kind", "count"), [(None, InThreads, 1), ("1", InThreads, 1), (3, InProcesses, 3)]
)
def test_one_run_at_a_time_is_trained_here_and_more_in_processes(workers, kind, count):
    with for_training(workers and int(workers), None) as scheduler:
        assert type(scheduler) is kind
        assert scheduler.workers == count


class Recorded(Scheduler):
    """Does nothing, and keeps what it was to do."""

    def __init__(self):
        self.jobs = []

    def context(self, deciding=None):
        return {}

    def at_once(self, costs):
        return 1

    def run(self, jobs):
        self.jobs += jobs
        yield from ()

    def close(self):
        """Nothing."""


def test_what_a_run_costs_is_known_and_what_travels_is_small(tmp_path):
    made.kmnist(tmp_path)
    asked = Options(data_dir=tmp_path, test=8, train=12, batch=4, widths=(2, 9), rules=("fa",))
    plan = planned(TABLE7, asked)
    scheduler = Recorded()
    assert not list(Executor(tmp_path, scheduler).run(plan))
    costs = [(job.cost.seconds, job.cost.bytes) for job in scheduler.jobs]
    assert costs == [(item.operations, item.bytes) for item in plan.items]
    assert costs[0] < costs[-1]
    points = plan.points.train.x.nbytes
    assert all(len(pickle.dumps(job.work)) < 4000 < points for job in scheduler.jobs)


# --- its points -------------------------------------------------------------------------------


def test_points_are_read_once_in_a_process_and_must_be_the_same(tmp_path, monkeypatch):
    made.kmnist(tmp_path)
    plan = planned(TABLE7, Options(data_dir=tmp_path, test=8, train=10, batch=4))
    supply, read, load = Supply(plan.origin, plan.points, 4), [], Task.load
    monkeypatch.setattr(Task, "load", lambda *given: (read.append(given), load(*given))[1])
    first = travelled(supply)
    assert travelled(supply) is first
    assert len(read) == 1
    assert first.digest == supply.digest
    for ours, theirs in zip(supply.feeds(99), first.feeds(99), strict=True):
        np.testing.assert_array_equal(ours.x, theirs.x)
    other = replace(plan.points, train=plan.points.test)
    with pytest.raises(InputError, match=r"data_dir .* must hold the same points for all workers"):
        travelled(Supply(plan.origin, other, 4))


def test_a_folder_is_the_same_wherever_a_worker_begins(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    made.kmnist(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    plan = planned(TABLE7, Options(data_dir="data", test=8, train=10, batch=4))
    packed = pickle.dumps(Supply(plan.origin, plan.points, 4))
    monkeypatch.chdir("/")
    assert pickle.loads(packed).digest == Supply(plan.origin, plan.points, 4).digest


# --- who waits for it -------------------------------------------------------------------------


def training(folder, tell=lambda moment: None):
    """A run, and the file that says that somebody waits."""
    plan = small.plan(small.item())
    origin = Origin(plan.series.task, None, None, None, "float64")
    awaited = folder / f"{AWAITED}1"
    supply = Supply(origin, plan.points, 4)
    return Training(plan.items[0].run, supply, folder / "run.npz", awaited, Heard(tell)), awaited


def test_a_run_that_nobody_waits_for_writes_its_place_down_and_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "PART_SECONDS", 0.0)
    told = []

    def tell(moment):
        told.append((moment.epoch, moment.step))
        if told[-1] == (2, 1):
            awaited.unlink()

    job, awaited = training(tmp_path, tell)
    awaited.touch()
    with pytest.raises(StoppedError):
        job()
    assert told[-1] == (2, 1)  # the next moment was not told any more
    awaited.touch()
    outcome = job()
    assert outcome.reused == 1
    assert told[4:] == [(2, 3), (3, 1), (3, 2), (3, 3)]
    assert len(outcome.history.epochs) == 3


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path):
    job, _ = training(tmp_path)
    with pytest.raises(InputError, match=r"out \(.*\) must be a folder that all workers share"):
        job()


def test_progress_is_heard_in_this_process_alone():
    heard, moments = [], [Moment(1, step, 3, 0.5, 0.5) for step in (1, 2)]
    tell = Heard(heard.append)
    tell(moments[0])
    travelled(tell)(moments[1])
    assert heard == moments[:1]


def test_who_was_killed_waits_no_more(tmp_path):
    stale = tmp_path / CHECKPOINTS / f"{AWAITED}2"
    stale.parent.mkdir()
    stale.touch()
    execute(tmp_path, small.plan(small.item()), InThreads(1))
    assert not stale.exists()


def test_threads_are_told_when_nobody_waits_for_their_jobs():
    told = []
    jobs = [Job(name, str, given_up=lambda name=name: told.append(name)) for name in "ab"]
    with closing(InThreads(1).run(jobs)) as ending:
        next(ending)
        assert not told
    assert told == ["a", "b"]
