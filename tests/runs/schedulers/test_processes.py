"""Jobs in processes: what they return, raise and survive, and that none stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import jax
import pytest

from ntkalign import InputError, Rule, current_activity
from ntkalign.machine import cores
from ntkalign.runs.schedulers.base import Cost, Done, Job, Lost
from ntkalign.runs.schedulers.processes import InProcesses
from ntkalign.runs.schedulers.threads import InThreads
from tests.runs.schedulers import work


def alive(pid: int) -> bool:
    """Whether a process does something, that is, is there and no zombie."""
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.fixture(scope="module")
def two():
    with InProcesses(2) as scheduler:
        yield scheduler


def squares(count: int) -> list[Job[int]]:
    return [Job(f"{n}", partial(work.square, n), Cost(seconds=float(n % 3))) for n in range(count)]


@pytest.mark.parametrize("make", [InThreads, None])
def test_each_job_is_done_once(make, two):
    scheduler = make() if make else two
    jobs = squares(7)
    ended = list(scheduler.run(jobs))
    assert {e.job: e.result for e in ended} == {job: int(job.name) ** 2 for job in jobs}
    assert len(ended) == 7
    assert not list(scheduler.run([]))


def test_workers_are_others_and_stay_for_the_next_jobs(two):
    def pids() -> set[int]:
        return {e.result for e in two.run([Job("pid", work.process) for _ in range(6)])}

    first = pids()
    assert os.getpid() not in first
    assert len(first | pids()) <= 2


def test_workers_have_the_switches_of_the_process(two):
    name = "jax_numpy_rank_promotion"
    (ended,) = two.run([Job("switch", partial(work.switch, name))])
    assert ended.result == jax.config.values[name] == "raise"  # the default is another


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
@pytest.mark.parametrize("workers", [1, 2, 100])
def test_workers_share_the_cores(workers):
    with InProcesses(workers) as scheduler:
        (ended,) = scheduler.run([Job("threads", work.product_threads)])
    assert ended.result == max(1, cores() // workers)


@pytest.mark.parametrize("make", [InThreads, None])
def test_what_a_job_raises_ends_the_run(make, two):
    scheduler = make() if make else InProcesses(1)
    with scheduler if make is None else closing(scheduler):
        jobs = [*squares(2), Job("bad", partial(work.fail, "it is bad"), Cost(seconds=9.0))]
        with pytest.raises(ValueError, match=r"^it is bad$"):
            list(scheduler.run(jobs))
    if make is None:
        with InProcesses(1) as scheduler, pytest.raises(RuntimeError, match="OddError: 1 and 2"):
            list(scheduler.run([Job("odd", work.fail_oddly)]))


@pytest.mark.parametrize(("deaths", "how"), [(1, signal.SIGKILL), (2, signal.SIGKILL),
                                             (2, signal.SIGTERM)])  # fmt: skip
def test_a_worker_that_dies_costs_only_its_job(tmp_path, deaths, how):
    begun = tmp_path / "begun"
    killer = Job("killer", partial(work.die, begun, deaths, how), Cost(seconds=5.0))
    jobs = [killer, *squares(4)]
    with InProcesses(2) as scheduler:
        ended = {e.job: e for e in scheduler.run(jobs)}
    assert all(isinstance(ended[job], Done) for job in jobs[1:])
    assert len(list(begun.iterdir())) == 2  # it was begun twice, never more
    last = ended[killer]
    if deaths == 1:
        assert isinstance(last, Done)
    else:
        assert isinstance(last, Lost)
        assert last.reason.startswith(f"its process was ended by {how.name}")
        assert ("for want of memory perhaps" in last.reason) == (how is signal.SIGKILL)


def test_whoever_stops_listening_ends_what_is_under_way(tmp_path):
    begun = tmp_path / "begun"
    waiting = Job("waits", partial(work.wait_for, tmp_path / "never", begun), Cost(seconds=5.0))
    scheduler = InProcesses(2)
    with closing(scheduler.run([waiting, *squares(3)])) as ending:
        next(ending)
        assert until(begun.exists)
        assert until(lambda: begun.read_text() != "")
        stopped = time.monotonic()
    assert time.monotonic() - stopped < 30  # the job would wait a minute
    assert until(lambda: not alive(int(begun.read_text())))


def test_workers_end_with_the_process_that_began_them(tmp_path):
    begun = tmp_path / "begun"
    program = tmp_path / "program.py"
    program.write_text(
        "from functools import partial\nfrom pathlib import Path\n"
        "from ntkalign.runs.schedulers.base import Job\n"
        "from ntkalign.runs.schedulers.processes import InProcesses\n"
        "from tests.runs.schedulers import work\n"
        "if __name__ == '__main__':\n"
        f"    job = Job('waits', partial(work.wait_for, Path({str(tmp_path / 'never')!r}), "
        f"Path({str(begun)!r})))\n"
        "    list(InProcesses(1).run([job]))\n"
    )
    root = str(Path(__file__).parents[3])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    parent = subprocess.Popen([sys.executable, str(program)], env=os.environ | {"PYTHONPATH": path})
    try:
        assert until(lambda: begun.exists() and begun.read_text() != "")
        worker = int(begun.read_text())
        assert alive(worker)
    finally:
        parent.kill()
        parent.wait()
    assert until(lambda: not alive(worker), 30)  # it would wait a minute


def test_what_no_other_process_can_know_is_refused_before_anything_runs(tmp_path):
    def own(now, start, fixed, e):
        raise AssertionError

    rule = Rule("own", own, current_activity)
    begun = tmp_path / "begun"
    jobs = [Job("known", partial(work.die, begun, 0)), Job("own", partial(print, rule))]
    with InProcesses(1) as scheduler, pytest.raises(InputError) as told:
        list(scheduler.run(jobs))
    assert not begun.exists()
    assert str(told.value).startswith(
        "workers (other processes) must be able to import all parts of the run; got "
    )
    assert "ntkalign.plugins.load" in str(told.value)


def test_a_worker_that_cannot_begin_ends_the_run_with_one_reason(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(  # no main guard: each worker begins by running all of this
        "import os, sys\n"
        "from functools import partial\n"
        "if os.environ.get('BEGUN'):\n"
        "    sys.exit(7)\n"
        "os.environ['BEGUN'] = 'yes'\n"
        "from ntkalign.runs.schedulers.base import Job, SchedulerLostError\n"
        "from ntkalign.runs.schedulers.processes import InProcesses\n"
        "try:\n"
        "    with InProcesses(2) as scheduler:\n"
        "        list(scheduler.run([Job(str(n), partial(abs, n)) for n in range(9)]))\n"
        "except SchedulerLostError as error:\n"
        "    print(error)\n"
    )
    root = str(Path(__file__).parents[3])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(program)], env=os.environ | {"PYTHONPATH": path},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("a worker process ended with status 7 before it began")
    assert '__name__ == "__main__"' in done.stdout


def test_workers_say_how_much_memory_they_took():
    with InProcesses(2) as scheduler:
        assert scheduler.peak_bytes() == 0
        list(scheduler.run(squares(4)))
        assert 2**26 < scheduler.peak_bytes() < 2**32
    assert InThreads().peak_bytes() == 0
