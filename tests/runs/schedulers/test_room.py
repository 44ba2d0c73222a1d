"""Which job is begun when: the longest first, as many as fit, some alone."""

from __future__ import annotations

from threading import Thread

import pytest

from ntkalign.runs.schedulers.base import Cost, Job
from ntkalign.runs.schedulers.room import Room


def job(name: str, seconds: float = 1.0, bytes: int = 0) -> Job[str]:
    return Job(name, lambda: name, Cost(seconds, bytes))


def test_the_longest_come_first_and_equals_as_they_were_given():
    room = Room([job("a", 1.0), job("b", 3.0), job("c", 3.0), job("d", 2.0)])
    assert [room.next().name for _ in range(4)] == ["b", "c", "d", "a"]
    assert room.next() is None


def in_background(call, done):
    thread = Thread(target=lambda: done.append(call()))
    thread.start()
    return thread


def test_a_job_waits_for_memory_and_none_overtakes_it():
    large, small = job("large", 2.0, bytes=8), job("small", 1.0, bytes=1)
    room = Room([first := job("first", 3.0, bytes=5), large, small], bytes=10)
    assert room.next() is first
    got = []
    thread = in_background(room.next, got)
    thread.join(0.2)
    assert not got  # 5 + 8 > 10, and the small one does not go before
    room.leave(first)
    thread.join(10)
    assert got == [large]
    assert room.next() is small  # 8 + 1 fit


def test_a_job_that_never_fits_runs_by_itself():
    room = Room([job("huge", 2.0, bytes=100), job("small", bytes=1)], bytes=10)
    huge = room.next()
    assert huge.name == "huge"
    got = []
    thread = in_background(room.next, got)
    thread.join(0.2)
    assert not got
    room.leave(huge)
    thread.join(10)
    assert got[0].name == "small"


def test_who_wants_to_be_alone_waits_for_the_others_and_they_for_it():
    room = Room([job("a"), job("b"), job("c")])
    a, b = room.next(), room.next()
    room.leave(a)
    alone, after = [], []
    first = in_background(lambda: room.alone(a), alone)
    second = in_background(room.next, after)
    second.join(0.2)
    assert not alone
    assert not after
    room.leave(b)
    first.join(10)
    second.join(0.2)
    assert alone == [True]
    assert not after  # until the one that is alone is over
    room.leave(a, alone=True)
    second.join(10)
    assert after[0].name == "c"


@pytest.mark.parametrize("wait", ["next", "alone"])
def test_a_closed_room_lets_nobody_in(wait):
    room = Room([job("a"), job("b", bytes=9)], bytes=8)
    a = room.next()
    got = []
    thread = in_background(room.next if wait == "next" else lambda: room.alone(a), got)
    thread.join(0.2)
    assert not got
    room.close()
    thread.join(10)
    assert not got[0]
