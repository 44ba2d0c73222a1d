"""The time left is right within a factor of two after the first tenth of a recorded run."""

from __future__ import annotations

import heapq
import math
from functools import lru_cache

import pytest

from ntkalign import Settings
from ntkalign.machine import cores
from ntkalign.runs.estimate import COMPILING, LOADING, costs
from ntkalign.runs.partial import SoFar
from ntkalign.runs.schedulers import automatic as automatic_module
from ntkalign.runs.schedulers.automatic import Automatic
from ntkalign.runs.schedulers.base import Cost, Job, Lost, Scheduler, longest_first
from ntkalign.runs.schedulers.processes import InProcesses
from ntkalign.runs.schedulers.threads import InThreads
from ntkalign.runs.store import Store
from ntkalign.runs.sweep import Plan, run_sweep
from ntkalign.runs.time_left import TimeLeft
from tests.runs.test_estimate import SUITES, sweep_of

RECORDED = {
    "default": {
        ("main", 64): (9.19, 0.84), ("bottleneck", 64): (8.13, 0.62),
        ("main", 256): (8.44, 1.21), ("bottleneck", 256): (6.48, 1.73),
        ("main", 1024): (15.68, 4.17), ("bottleneck", 1024): (8.08, 3.30),
        ("main", 4096): (19.57, 6.92),
    },
    "kernels": {
        ("main", 64): (8.52, 0.40), ("bottleneck", 64): (10.15, 0.49),
        ("main", 256): (8.35, 0.67), ("bottleneck", 256): (10.01, 1.46),
        ("main", 1024): (13.03, 1.78), ("bottleneck", 1024): (9.86, 3.80),
        ("main", 4096): (23.48, 10.59),
    },
}  # fmt: skip
"""Seconds of a core that the first network of an architecture took in a process, and the second;
of the commands' defaults, measured one after another on two cores of an AMD EPYC."""


def moments(jobs, took, workers, left):
    """A run as it was: (elapsed, what is left, what was said) at the end of each network.

    Args:
        jobs: what is done.
        took: from a job, how many of its kind its worker has begun, and how many all have, its
            seconds.
        workers: at once.
        left: what is told of each end.

    Returns:
        One row for each network, in the order in which they ended.
    """
    waiting, now, begun, under_way = longest_first(jobs), 0.0, [{} for _ in range(workers)], []
    idle, ends = list(range(workers)), []
    while waiting or under_way:
        while waiting and idle:
            job, worker = waiting.pop(0), idle.pop()
            number = begun[worker][job.name] = begun[worker].get(job.name, 0) + 1
            every = sum(own.get(job.name, 0) for own in begun)
            heapq.heappush(under_way, (now + took(job, number, every), id(job), worker, job))
        now, _, worker, job = heapq.heappop(under_way)
        idle.append(worker)
        left.ended(job, now)
        ends.append((now, left.seconds(now)))
    return [(at, now - at, said) for at, said in ends]


def right(rows, share=0.1):
    """Whether all that was said after a share of the time is right within a factor of two.

    The last tenth is left out: there a single network is more than what is left.
    """
    whole = rows[-1][0]
    told = [(true, said) for at, true, said in rows if share * whole <= at <= 0.9 * whole]
    assert len(told) > 10
    return all(0.5 < said / true < 2 for true, said in told)


@lru_cache
def networks_of(name):
    return sweep_of(Settings(), SUITES[name], 8.1).networks()


def jobs_of(name, workers):
    networks = networks_of(name)
    every = costs([(n.specification, n.needs) for n in networks], workers)
    return [
        Job(f"{n.cell.family} {n.cell.width}", lambda: None, cost)
        for n, cost in zip(networks, every, strict=True)
    ]


@pytest.mark.parametrize("slower", [1.0, 8.0])
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("name", RECORDED)
def test_after_the_first_tenth_it_is_right_within_a_factor_of_two(name, workers, slower):
    def took(job, number, every):
        family, width = job.name.split()
        first, later = RECORDED[name][family, int(width)]
        return slower * (first if every == 1 else later + LOADING * (number == 1))

    jobs = jobs_of(name, workers)
    assert right(moments(jobs, took, workers, TimeLeft(jobs, workers)))


def test_without_estimates_it_is_not():
    """The control: as if all networks took the same, which bars of progress do."""

    def took(job, number, every):
        family, width = job.name.split()
        return RECORDED["default"][family, int(width)][number > 1]

    jobs = sorted(jobs_of("default", 2), key=lambda job: -job.cost.seconds)
    alike = [Job(job.name, job.work, Cost(1.0)) for job in jobs]
    assert not right(moments(alike, took, 2, TimeLeft(alike, 2)))


def test_before_anything_has_ended_it_is_the_estimate():
    jobs = [Job(str(n), lambda: None, Cost(10.0)) for n in range(4)]
    left = TimeLeft(jobs, 2)
    assert left.seconds(0.0) == 20.0
    assert left.seconds(5.0) == 15.0
    assert left.seconds(50.0) == 0.0


def test_it_goes_by_how_fast_networks_have_ended():
    jobs = [Job(str(n), lambda: None, Cost(10.0)) for n in range(4)]
    left = TimeLeft(jobs, 1)
    left.ended(jobs[0], 100.0)
    assert left.seconds(100.0) == pytest.approx(300.0)
    assert left.seconds(150.0) == pytest.approx(250.0)  # half of the second is done
    assert left.seconds(1e9) == pytest.approx(1e9)  # it is done, by what the first took
    for number, job in enumerate(jobs[1:], start=2):
        left.ended(job, 100.0 * number)
    assert left.seconds(400.0) == 0.0


def test_more_workers_than_it_was_told_of_do_not_mislead_it():
    jobs = [Job(str(n), lambda: None, Cost(10.0)) for n in range(40)]
    left = TimeLeft(jobs, 2)
    for job in jobs[:20]:
        left.ended(job, 50.0)
    assert left.seconds(50.0) == pytest.approx(50.0)


@pytest.mark.parametrize("many", [1, 2, 40])
def test_a_sweep_tells_it_with_each_network_for_the_workers_that_there_are(many, monkeypatch):
    class Loses(Scheduler):
        """Ends every job at once, and keeps what it was told of them."""

        jobs = ()

        def context(self, deciding=None):
            return {}

        def at_once(self, costs):
            assert all(cost.seconds > 0 for cost in costs)
            return many

        def run(self, jobs):
            self.jobs = jobs
            for job in longest_first(jobs):
                yield Lost(job, "of no use")

        def close(self):
            pass

    scheduler, told, workers = Loses(), [], []
    monkeypatch.setattr(
        "ntkalign.runs.sweep.TimeLeft", lambda jobs, n: workers.append(n) or TimeLeft(jobs, n)
    )
    sweep = sweep_of(Settings(data="sphere", widths=(8, 16, 32), seeds=2))
    with Store(None) as store:
        plan = Plan(**vars(sweep), measure=lambda specification, needs: [], store=store,
                    so_far=SoFar())  # fmt: skip
        run_sweep(plan, scheduler, lambda *moment: told.append(moment))
    assert [done for _, done, _, _ in told] == list(range(1, 13))
    assert {total for _, _, total, _ in told} == {12}
    assert all(math.isfinite(left) and left >= 0 for *_, left in told)
    assert told[-1][-1] == 0
    assert (told[0][-1] > 0) == (many < 12)  # else all end with the longest
    assert all(job.cost.seconds > 0 and job.cost.bytes > 0 for job in scheduler.jobs)
    assert workers == [many]
    compiling = sum(job.cost.seconds > COMPILING for job in scheduler.jobs)
    assert compiling == 6  # architectures


def test_how_many_are_under_way_is_told_by_what_does_them(monkeypatch):
    monkeypatch.setattr(automatic_module, "SMALL", 60.0)  # all runs of the suite are small
    small, large = [Cost(1.0, 1)] * 20, [Cost(20.0, 1)] * 20
    with Automatic(3) as automatic, InProcesses(5) as processes:
        assert automatic.at_once(small) == InThreads().at_once(small) == 2
        assert automatic.at_once(large) == min(3, cores())
        assert processes.at_once(small) == processes.at_once(large) == 5
    with Automatic(cores(), 1) as crowded:
        assert crowded.at_once(large) == 1
