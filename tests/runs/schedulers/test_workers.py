"""Which worker begins with which job."""

from __future__ import annotations

import pytest

from ntkalign.runs.schedulers.base import Cost, Job
from ntkalign.runs.schedulers.workers import Errand, Worker, who_takes


def errand(bytes: int = 0, deaths: int = 0) -> Errand:
    return Errand(Job("job", int, Cost(1.0, bytes)), "name", deaths)


def worker(threads: int = 2, memory: int = 0, doing: tuple[Errand, ...] = ()) -> Worker:
    one = Worker("address", threads, memory, accepted=True)
    one.doing += doing
    return one


@pytest.mark.parametrize("state", ["accepted", "awake", "gone"])
def test_a_worker_that_is_refused_asleep_or_gone_gets_nothing(state):
    one = worker()
    assert who_takes(errand(), [one]) is one
    setattr(one, state, state == "gone")
    assert who_takes(errand(), [one]) is None


def test_one_with_the_fewest_jobs_gets_the_next_and_a_full_one_none():
    idle, busy, full = (worker(doing=(errand(),) * n) for n in range(3))
    assert who_takes(errand(), [full, busy, idle]) is idle
    assert who_takes(errand(), [full, busy]) is busy
    assert who_takes(errand(), [full]) is None


def test_jobs_fit_into_memory_or_wait_for_a_worker_that_is_large_enough():
    small, large = worker(memory=100), worker(memory=300, doing=(errand(200),))
    assert who_takes(errand(100), [large]) is large
    assert who_takes(errand(150), [large]) is None
    assert who_takes(errand(150), [small, large]) is None  # "large" will have room
    assert who_takes(errand(90), [small, large]) is small
    assert who_takes(errand(400), [small, large]) is small  # none is: an estimate may be wrong
    assert who_takes(errand(400), [worker(doing=(errand(400),))])  # no bound


def test_what_is_tried_again_is_alone():
    again = errand(deaths=1)
    idle, busy = worker(), worker(doing=(errand(),))
    assert who_takes(again, [busy]) is None
    assert who_takes(again, [busy, idle]) is idle
    assert who_takes(errand(), [worker(doing=(again,))]) is None


def test_one_that_had_it_when_the_connection_was_lost_gets_it_again():
    one, other = worker(threads=1), worker(threads=1)
    back = errand()
    back.worker = one
    assert who_takes(back, [other, one]) is one
    one.gone = True
    assert who_takes(back, [other, one]) is other


def test_a_second_try_is_another_task_to_the_cluster():
    assert errand().key == errand().key != errand(deaths=1).key
