"""Jobs on a dask cluster: real schedulers and workers on loopback, and what may happen to them."""

from __future__ import annotations

import logging
import math
import os
import pickle
import re
import signal
import subprocess
import sys
from contextlib import closing
from functools import partial

import pytest

from ntkalign import Settings
from ntkalign.cells.cell import Cell
from ntkalign.cells.flow import measure_cell
from ntkalign.cells.work import measured
from ntkalign.data.catalogue import load
from ntkalign.devices import use
from ntkalign.errors import InputError
from ntkalign.quantities.catalogue import EXPANSION
from ntkalign.rules import NORMAL
from ntkalign.runs.schedulers import cluster as module
from ntkalign.runs.schedulers import errand
from ntkalign.runs.schedulers.base import Cost, Done, Job, Lost, SchedulerLostError
from ntkalign.runs.schedulers.cluster import SHARED, Cluster
from ntkalign.runs.sweep import specify
from tests.runs.schedulers import work
from tests.runs.schedulers.fleet import (
    DEADLINE,
    Fleet,
    Proxy,
    Running,
    begun,
    chosen_device,
    go,
    held,
    kills_its_worker,
    takes_memory,
    wait_for,
)  # fmt: skip


@pytest.fixture
def fleet(tmp_path):
    with Fleet(tmp_path) as one:
        yield one


def opened(address: str) -> Cluster:
    return Cluster(address, patience=DEADLINE)


def hold(folder, name: str, seconds: float = 0.0) -> Job[int]:
    return Job(name, partial(held, str(folder), name), Cost(seconds))


def roots(count: int) -> list[Job[float]]:
    return [Job(str(i), partial(math.sqrt, i)) for i in range(count)]


def test_jobs_are_done_and_what_one_raises_is_raised(fleet):
    address = fleet.scheduler()
    fleet.worker(address, "a")
    with opened(address) as scheduler:
        ended = list(scheduler.run(roots(12)))
        assert all(isinstance(one, Done) for one in ended)
        assert {one.job.name: one.result for one in ended} == {
            str(i): math.sqrt(i) for i in range(12)
        }
        with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
            list(scheduler.run([*roots(3), Job("bad", partial(math.sqrt, -1.0))]))
        with pytest.raises(InputError, match=r"workers \(other processes\) must be able to import"):
            list(scheduler.run([Job("mine", lambda: 1)]))
        assert len(list(scheduler.run(roots(2)))) == 2  # whatever an earlier run did
    scheduler.close()


def test_the_longest_is_begun_first(fleet, tmp_path):
    address = fleet.scheduler()
    fleet.worker(address, "a")
    names = ["short", "long", "middling"]
    go(tmp_path, *names)
    with opened(address) as scheduler:
        jobs = [hold(tmp_path, n, s) for n, s in zip(names, (1.0, 9.0, 5.0), strict=True)]
        assert [one.job.name for one in scheduler.run(jobs)] == ["long", "middling", "short"]


def test_a_killed_worker_costs_its_job_a_second_try_and_a_late_one_gets_it(fleet, tmp_path):
    address = fleet.scheduler()
    fleet.worker(address, "a")
    with opened(address) as scheduler:
        running = Running(scheduler, [hold(tmp_path, "one", 2.0), hold(tmp_path, "two", 1.0)])
        (first,) = begun(tmp_path, "one")
        late = fleet.worker(address, "late")  # "two" waits for a worker
        assert begun(tmp_path, "two") == [late.pid]
        os.kill(first, signal.SIGKILL)
        go(tmp_path, "one", "two")
        ended = running.all()
    assert ended["one"].result == ended["two"].result == late.pid
    assert begun(tmp_path, "one") == [first, late.pid]
    assert begun(tmp_path, "two") == [late.pid]


def test_a_job_that_kills_every_worker_is_lost_and_no_other(fleet, tmp_path):
    address = fleet.scheduler()
    for name in "abc":
        fleet.worker(address, name)
    deadly, unlucky = (
        Job(name, partial(kills_its_worker, str(tmp_path), name, times), Cost(2.0))
        for name, times in (("deadly", 99), ("unlucky", 1))
    )
    with opened(address) as scheduler:
        wait_for(lambda: len(scheduler._identity()["workers"]) == 3, "three workers")
        ended = {one.job.name: one for one in scheduler.run([deadly, *roots(4)])}
        assert isinstance(ended["deadly"], Lost)
        assert ended["deadly"].reason == "2 workers died of it (killed, or out of memory)"
        assert len(begun(tmp_path, "deadly")) == 2
        assert all(isinstance(ended[str(i)], Done) for i in range(4))
        fleet.worker(address, "d")
        wait_for(lambda: len(scheduler._identity()["workers"]) == 2, "another worker")
        (once,) = scheduler.run([unlucky])
        assert isinstance(once, Done)
        assert len(begun(tmp_path, "unlucky")) == 2


@pytest.mark.parametrize("ends_while_lost", [False, True])
def test_a_connection_that_comes_back_costs_nothing(fleet, tmp_path, ends_while_lost):
    address = fleet.scheduler()
    worker = fleet.worker(address, "a")
    with closing(Proxy(address)) as proxy, opened(proxy.address) as scheduler:
        running = Running(scheduler, [hold(tmp_path, "one", 2.0), hold(tmp_path, "two", 1.0)])
        begun(tmp_path, "one")
        proxy.cut()
        wait_for(lambda: scheduler._client.status == "connecting", "the loss")
        if ends_while_lost:
            go(tmp_path, "one")
            wait_for((tmp_path / "one.ended").exists, "the end of the first job")
        proxy.mend()
        wait_for(lambda: scheduler._client.status == "running", "the connection")
        go(tmp_path, "one", "two")
        ended = running.all()
    assert ended["one"].result == ended["two"].result == worker.pid
    assert begun(tmp_path, "one") == begun(tmp_path, "two") == [worker.pid]  # nothing twice


def test_a_worker_keeps_its_last_results_only():
    packed = pickle.dumps(partial(os.urandom, 8))
    first = errand.do("first", packed)
    assert errand.do("first", packed) == first
    for i in range(errand.KEPT):
        errand.do(f"later {i}", packed)
    assert errand.do("first", packed) != first
    assert len(errand._results) == errand.KEPT


def test_a_lost_scheduler_ends_the_run_and_what_had_ended_is_kept(fleet, tmp_path):
    address = fleet.scheduler()
    fleet.worker(address, "a")
    with opened(address) as scheduler:
        running = Running(scheduler, [hold(tmp_path, "one", 2.0), hold(tmp_path, "two", 1.0)])
        go(tmp_path, "one")
        begun(tmp_path, "two")
        wait_for(lambda: running.ended, "the first job")
        scheduler.patience = 0.5
        fleet.head.kill()
        with pytest.raises(
            SchedulerLostError, match=r"does not answer for 0\.5 s; finished networks are kept: s"
        ):
            running.all()
    assert [one.job.name for one in running.ended] == ["one"]
    # started again, another run goes on with what is missing
    again = fleet.scheduler()
    fleet.worker(again, "b")
    go(tmp_path, "two")
    with opened(again) as scheduler:
        assert [one.job.name for one in scheduler.run([hold(tmp_path, "two")])] == ["two"]


def test_without_any_worker_the_run_ends(fleet, tmp_path):
    address = fleet.scheduler()
    only = fleet.worker(address, "a")
    with opened(address) as scheduler:
        running = Running(scheduler, [hold(tmp_path, "one")])
        begun(tmp_path, "one")
        scheduler.patience = 0.5
        only.kill()
        with pytest.raises(SchedulerLostError, match=r"has no worker for 0\.5 s; finished"):
            running.all()


def test_a_worker_that_computes_otherwise_gets_nothing(fleet, tmp_path):
    address = fleet.scheduler()
    good = fleet.worker(address, "good")
    with opened(address) as scheduler:
        context = scheduler.context()
        other = {"CUBLAS_WORKSPACE_CONFIG": ":16:8"}
        bad = fleet.worker(address, "bad", other)
        running = Running(scheduler, [hold(tmp_path, "one", 2.0), hold(tmp_path, "two", 1.0)])
        (reason,) = wait_for(lambda: [*scheduler.refused.values()], "a refusal")
        (remark,) = scheduler.remarks()
        assert remark.startswith("worker tcp://")
        assert remark.endswith(f" was not used: {reason}")
        assert reason == "CUBLAS_WORKSPACE_CONFIG is :16:8 instead of none"
        go(tmp_path, "one", "two")
        assert {one.result for one in running.all().values()} == {good.pid}
        good.kill()
        wait_for(lambda: len(scheduler._identity()["workers"]) == 1, "the death")
        scheduler.patience = 0.5
        with pytest.raises(SchedulerLostError, match=r"no worker that can be used \(tcp.*:16:8"):
            list(scheduler.run(roots(1)))
    assert bad.is_alive()
    with opened(address) as scheduler:  # control: alone it agrees with itself
        assert scheduler.context() != context
        assert {one.result for one in scheduler.run([hold(tmp_path, "one")])} == {bad.pid}


@pytest.mark.parametrize("part", SHARED)
def test_workers_have_the_code_and_packages_of_this_process(fleet, monkeypatch, part):
    address = fleet.scheduler()
    fleet.worker(address, "a")
    here = module.computed_here()
    other = {"sources": "another", "packages": here["packages"] | {"scipy": "0.1"}}
    monkeypatch.setattr(module, "computed_here", lambda _: here | {part: other[part]})
    said = {
        "sources": "its ntkalign is another version of the code",
        "packages": f"scipy is {here['packages']['scipy']} instead of 0.1",
    }
    with opened(address) as scheduler:
        with pytest.raises(InputError, match=r"scheduler \(tcp.*must have workers with") as caught:
            scheduler.context()
        assert said[part] in str(caught.value)
        assert "do: install the same" in str(caught.value)


@pytest.mark.parametrize(
    "address", ["", "nobody", "tcp://", "127.0.0.1", "tcp://127.0.0.1:port", "tcp://127.0.0.1:99999",
                "carrier-pigeon://127.0.0.1:1", "tcp://[bold]:1", "\x00:1", "LOCAL", "tcp://127.0.0.1:1"],
)  # fmt: skip
def test_a_wrong_address_is_one_line(address):
    with pytest.raises(InputError, match="must be local, or the address of a dask sch") as caught:
        Cluster(address, patience=0.2)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("scheduler (")
    assert "; got ;" not in str(caught.value)


@pytest.mark.parametrize("address", ["local", "tcp://127.0.0.1:8786"])
def test_without_dask_it_is_one_line(monkeypatch, address):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"must be left out where dask is not installed;") as told:
        Cluster(address)
    assert re.search(r"no package called distributed.*ntkalign\[cluster\]", str(told.value))


def test_the_package_never_loads_dask_by_itself():
    code = "import sys, ntkalign.cli.main, ntkalign.runs.schedulers.cluster as c; " \
           "assert not {'dask', 'distributed'} & {*sys.modules}"  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_scheduler_loads_nothing_that_computes():
    code = (
        "import sys, ntkalign.runs.schedulers.errand; assert not {'jax', 'numpy'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dasks_log_is_silent_only_while_it_is_used(fleet):
    log = logging.getLogger("distributed")
    before = log.level
    with opened(fleet.scheduler()):
        assert not log.isEnabledFor(logging.CRITICAL)
    assert log.level == before
    with pytest.raises(InputError):
        Cluster("tcp://127.0.0.1:1", patience=0.1)
    assert log.level == before


def test_a_device_that_is_chosen_is_chosen_on_the_workers(fleet):
    address = fleet.scheduler()
    fleet.worker(address, "a")
    job = Job("device", chosen_device)
    with opened(address) as scheduler:
        assert [one.result for one in scheduler.run([job])] == ["None"]
        with use("cpu"):
            (ended,) = scheduler.run([job])
        assert "cpu" in ended.result.lower()
        assert [one.result for one in scheduler.run([job])] == ["None"]  # it is theirs again


def test_local_workers_have_this_process_s_switches_and_end_with_it(tmp_path):
    jobs = [Job("switch", partial(work.switch, "jax_numpy_rank_promotion"), Cost(2.0)),
            hold(tmp_path, "busy", 1.0)]  # fmt: skip
    with Cluster("local", workers=1, patience=DEADLINE) as scheduler:
        assert scheduler.context()["devices"] == module.computed_here()["devices"]
        running = Running(scheduler, jobs)
        (pid,) = begun(tmp_path, "busy")
        assert [one.result for one in running.ended] == ["raise"]  # as tests/conftest.py says
    with pytest.raises(SchedulerLostError):
        running.all()
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the worker")


def test_networks_are_the_same_bit_for_bit_as_in_this_process(fleet):
    """The worker has not even the switches that the tests set."""
    settings = Settings(points=4, outputs=2, depth=2, widths=(8, 16, 32), time=1.0, tolerance=1e-5)
    data = load(settings.data, points=4, outputs=2, network=settings.network)
    needs = {NORMAL: frozenset(EXPANSION)}
    jobs = [
        Job(str(width), partial(measured, measure_cell, network, needs))
        for width in (8, 16)
        for network in [specify(settings, "theory", data, Cell("main", width, 0))]
    ]
    address = fleet.scheduler()
    fleet.worker(address, "a")
    with opened(address) as scheduler:
        there = {one.job: one.result for one in scheduler.run(jobs)}
    for job in jobs:
        assert there[job] == job.work()  # of floats: to the last bit
        assert len(there[job]) > 1


def test_a_worker_above_its_memory_limit_is_killed_and_costs_its_job(fleet, tmp_path):
    address = fleet.scheduler()
    nanny = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1",
         "--memory-limit", "1GiB", "--no-dashboard", "--local-directory", str(tmp_path)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with opened(address) as scheduler:
            greedy = Job("greedy", partial(takes_memory, str(tmp_path)), Cost(9.0))
            ended = {one.job.name: one for one in scheduler.run([greedy, *roots(2)])}
        assert isinstance(ended["greedy"], Lost)
        assert len(begun(tmp_path, "greedy")) == 2
        assert all(isinstance(ended[str(i)], Done) for i in range(2))
    finally:
        nanny.terminate()
        nanny.wait(DEADLINE)
