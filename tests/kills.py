"""Commands that are killed or stopped at random moments, and go on: what is lost, what is left.

    make test-kills
    python -m tests.kills verify --kills 50 --seed 0
    python -m tests.kills experiment --kills 20 --seed 0
    python -m tests.kills stop --kills 20 --seed 0        # SIGINT and SIGTERM

Commands run in processes that are forked from one which has loaded the package, so that moments
fall into the work and not into imports. Each writes down, as it happens, what it begins and what it
has stored. A folder is killed once, twice or three times before it is finished; then

    its tables equal those of an unbroken run, to the last bit,
    what was stored is never done again,
    of what was begun no more is lost than was in flight at the kills,
    nothing is left that an unbroken run does not leave.

The last line is JSON. The exit status is 1 if anything else was found.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import math
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

VERIFY = (
    "verify", "--points", "4", "--outputs", "2", "--depth", "2", "--widths", "4,8,12", "--seeds",
    "2", "--time", "1", "--tolerance", "1e-5", "--claims", "lemma-1/weights",
)  # fmt: skip
EXPERIMENT = (
    "experiment", "table8", "--widths", "2", "--rules", "normal,align-ada", "--epochs", "2",
)  # fmt: skip
MADE_UP = (
    "verify", "--points", "4", "--outputs", "2", "--depth", "3", "--widths", "4,8,12,16,20",
    "--seeds", "4", "--time", "1", "--claims", "lemma-1/weights",
)  # fmt: skip
"""More networks, for there is nothing to train."""
IN_FLIGHT = 2
"""Networks that are begun at once."""
TIMES = {"seconds"}
"""Columns of tables that tell how long something took."""


@dataclass
class Command:
    """A command in a process of its own.

    Attributes:
        words: of the command line.
        folder: of its results.
        made_up: whether no network is trained: their numbers are made of their names, and nothing
            is drawn. What is killed is the store, the sweep and the report.
    """

    words: Sequence[str]
    folder: Path
    made_up: bool = False
    pid: int = 0
    began: float = 0.0

    @property
    def log(self) -> Path:
        """What it has begun and stored."""
        return self.folder.with_suffix(".log")

    @property
    def said(self) -> str:
        """What it has printed on standard error."""
        path = self.folder.with_suffix(".err")
        return path.read_text() if path.exists() else ""

    def start(self) -> Command:
        """Begin it."""
        self.began = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._child()
            finally:
                os._exit(99)
        return self

    def _child(self) -> None:
        from ntkalign.cli.entry import begin
        from ntkalign.cli.main import main

        for stream, name in ((1, ".out"), (2, ".err")):
            path = self.folder.with_suffix(name)
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        if self.made_up:
            make_up()
        write_down(self.log)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        words = [*self.words, "--out", str(self.folder)]
        try:
            begin(lambda: main(words), f"ntkalign {words[0]}")
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code if isinstance(end.code, int) else 98)

    def end(self) -> int:
        """Wait for it.

        Returns:
            Its status; less the number of the signal that killed it.
        """
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def events(self) -> list[list[str]]:
        """What it and those before it in this folder have written down."""
        return [line.split(" ", 1) for line in self.log.read_text().splitlines()]

    def wait_for(self, event: str, many: int = 1, seconds: float = 300) -> None:
        """Until so many of its networks are begun, or stored, say, or it has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.log.exists() and sum(e[0] == event for e in self.events()) >= many:
                return
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return
            time.sleep(0.005)
        raise TimeoutError(f"{self.words}: not {many} times {event} in {seconds} s")


def make_up() -> None:
    """Have this process train and draw nothing."""
    from ntkalign.cells.cell import OK
    from ntkalign.cells.work import not_measured
    from ntkalign.cli import verify as command
    from ntkalign.report import files
    from ntkalign.runs import sweep, verify
    from ntkalign.runs.schedulers.threads import InThreads

    def measured(measure, specification, needs):
        del measure
        time.sleep(0.02)
        name = specification.cell
        value = name.width**-0.5 * (1 + name.seed / 10)
        rows = not_measured(specification, needs, "")
        return [row._replace(value=value, error=0.0, status=OK) for row in rows]

    sweep.measured = measured
    verify._timed = lambda settings, data, choose: (settings, choose(settings.time, None), None)
    verify._predicted = lambda *run: (None, None)
    command.chosen = lambda workers, address: InThreads()
    files.scaling_plots = lambda findings, folder: {}
    files.training_curve = files.over_training = lambda result, folder: None


def write_down(log: Path) -> None:
    """Have this process write down what it begins and what it has stored."""
    from ntkalign.experiments.work import Training
    from ntkalign.runs import sweep
    from ntkalign.runs.schedulers import automatic
    from ntkalign.runs.store import Store

    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(event: str, name: object) -> None:
        os.write(file, f"{event} {name}\n".encode())

    measured, add, train = sweep.measured, Store.add, Training.__call__

    def telling_measured(measure, specification, needs):
        tell("begun", specification.cell)
        return measured(measure, specification, needs)

    def telling_add(store, specification, rows):
        add(store, specification, rows)
        tell("stored", specification.cell)

    def telling_train(training):
        outcome = train(training)
        nothing_new = outcome.reused >= len(outcome.history.epochs)
        tell("reused" if nothing_new else "begun", training.checkpoint.stem)
        tell("stored", training.checkpoint.stem)
        return outcome

    automatic.SMALL = math.inf  # in this process, which tells
    sweep.measured = telling_measured
    Store.add = telling_add  # type: ignore[method-assign]
    Training.__call__ = telling_train  # type: ignore[method-assign]


@dataclass
class Found:
    """What came of all kills."""

    kills: int = 0
    in_time: int = 0
    lost: int = 0
    done: int = 0
    wrong: list[str] = field(default_factory=list)


def never_stopped(words: Sequence[str], place: Path, made_up: bool) -> tuple[Command, float]:
    """The command with nothing in its way, once what it compiles is compiled; and its seconds."""
    Command(words, place / "warm", made_up).start().end()
    unbroken = Command(words, place / "unbroken", made_up).start()
    assert unbroken.end() == 0, unbroken.said
    return unbroken, time.monotonic() - unbroken.began


def killed(words: Sequence[str], kills: int, seed: int, place: Path, *, made_up: bool) -> Found:
    """Kill a command at random moments until it has been killed so often.

    Args:
        words: of the command.
        kills: how often.
        seed: of the moments.
        place: for the folders.
        made_up: whether no network is trained.

    Returns:
        What was found.
    """
    rng, found = random.Random(seed), Found()
    unbroken, whole = never_stopped(words, place, made_up)
    number = 0
    while found.kills < kills:
        number += 1
        command = Command(words, place / f"killed-{number}", made_up)
        for _ in range(min(rng.randint(1, 3), kills - found.kills)):
            moment = rng.uniform(0, whole)
            command.start()
            time.sleep(moment)
            with contextlib.suppress(ProcessLookupError):
                os.kill(command.pid, signal.SIGKILL)
            found.in_time += command.end() == -signal.SIGKILL
            found.kills += 1
            if command.log.exists():
                with command.log.open("a") as log:
                    log.write("kill .\n")
        status = command.start().end()
        if status != 0:
            found.wrong.append(f"{number}: ended with status {status}: {command.said}")
        judge(command, unbroken, found)
        print(f"{number}: {found.kills} kills, {found.lost} lost, {found.wrong}", flush=True)
    return found


def judge(command: Command, unbroken: Command, found: Found) -> None:
    """Compare a folder that was killed and finished with that of an unbroken run."""
    name = command.folder.name
    for table in sorted(unbroken.folder.glob("*.csv")):
        if rows(table) != rows(command.folder / table.name):
            found.wrong.append(f"{name}: {table.name} differs")
    there, expected = files_of(command.folder), files_of(unbroken.folder)
    if there != expected:
        found.wrong.append(f"{name}: left {there - expected}, lacks {expected - there}")
    lives: list[list[list[str]]] = [[]]  # what happened between kills
    for event in command.events():
        if event[0] == "kill":
            lives.append([])
        else:
            lives[-1].append(event)
    begun = [[thing for event, thing in life if event == "begun"] for life in lives]
    stored: set[str] = set()
    for number, life in enumerate(lives):
        twice = stored.intersection(begun[number])
        if twice or len(set(begun[number])) < len(begun[number]):
            found.wrong.append(f"{name}: done twice: {twice or begun[number]}")
        stored |= {thing for event, thing in life if event == "stored"}
        again = {thing for later in begun[number + 1 :] for thing in later}
        lost = again.intersection(begun[number])
        found.lost += len(lost)
        if len(lost) > IN_FLIGHT:
            found.wrong.append(f"{name}: {len(lost)} lost at once: {lost}")
    wanted = {thing for event, thing in unbroken.events() if event == "begun"}
    if {thing for life in begun for thing in life} != wanted:
        found.wrong.append(f"{name}: began {begun}, not {wanted}")
    found.done += len(wanted)


def rows(table: Path) -> list[dict[str, str]]:
    """A table's rows, without what tells time."""
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def files_of(folder: Path) -> set[str]:
    """All files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def stop(words: Sequence[str], kills: int, seed: int, place: Path, *, made_up: bool) -> Found:
    """Stop a command by SIGINT and SIGTERM at random moments.

    Args:
        words: of the command.
        kills: how often.
        seed: of the moments.
        place: for the folders.
        made_up: whether no network is trained.

    Returns:
        What was found.
    """
    rng, found = random.Random(seed), Found()
    unbroken, whole = never_stopped(words, place, made_up)
    for number in range(kills):
        kind = (signal.SIGINT, signal.SIGTERM)[number % 2]
        command = Command(words, place / f"stopped-{number}", made_up).start()
        time.sleep(rng.uniform(0, whole))
        look(command, kind, found)
        status = command.start().end()
        if status != 0:
            found.wrong.append(f"{number}: went on, to status {status}: {command.said}")
        if rows(command.folder / "measurements.csv") != rows(unbroken.folder / "measurements.csv"):
            found.wrong.append(f"{number}: another table")
        there, expected = files_of(command.folder), files_of(unbroken.folder)
        if there != expected:
            found.wrong.append(f"{number}: left {there - expected}, lacks {expected - there}")
    return found


def look(command: Command, kind: signal.Signals, found: Found) -> float:
    """Stop a command, and see whether it ends as it must.

    Args:
        command: that was started.
        kind: of signal.
        found: what is wrong is added to it.

    Returns:
        The seconds that it took to end.
    """
    began = time.monotonic()
    os.kill(command.pid, kind)
    status, took = command.end(), time.monotonic() - began
    found.kills += 1
    expected = {signal.SIGINT: 130, signal.SIGTERM: 143}[kind]
    if status in (0, -kind):  # it had ended, or had not begun to listen
        return took
    found.in_time += 1
    lines = command.said.splitlines()
    if status != expected or len(lines) != 1:
        found.wrong.append(f"status {status} after {kind.name}: {command.said}")
    if any(command.log.exists() and e[0] == "begun" for e in command.events()):
        page = command.folder / "report.md"
        first = page.read_text().splitlines()[0] if page.exists() else "no report"
        if "PARTIAL" not in first:
            found.wrong.append(f"{kind.name}, the report begins: {first}")
    return took


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("verify", "experiment", "stop"))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--made-up", action="store_true", help="train no network")
    asked = parser.parse_args()
    import ntkalign.cli.main  # so that forks have it

    del ntkalign
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(folder) / "programs")
        place, began = Path(folder), time.monotonic()
        words = EXPERIMENT if asked.what == "experiment" else MADE_UP if asked.made_up else VERIFY
        work = stop if asked.what == "stop" else killed
        found = work(words, asked.kills, asked.seed, place, made_up=asked.made_up)
        told = vars(found) | {"what": asked.what, "seed": asked.seed}
        print(json.dumps(told | {"took": round(time.monotonic() - began, 1)}))
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
