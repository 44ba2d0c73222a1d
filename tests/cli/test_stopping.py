"""Signals end a command at once, with one line and its status, whatever it is in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ntkalign.cli import entry, stopping
from ntkalign.cli.main import guarded
from ntkalign.errors import InputError

BAD = InputError("points", 0, must="be 1", got="0", because="of that", do="pass 1")
ROOT = Path(__file__).parents[2]
BEGIN = """
import hashlib, os, signal, sys, threading, time
from ntkalign.cli.entry import begin
from ntkalign.runs.last_words import last_words

def ready():
    print("ready", flush=True)
"""
IDLE = """
def command():
    with last_words(lambda: "3 of 4 are finished"):
        ready()
        time.sleep(600)
"""
DEAF = """
def command():
    with last_words(lambda: "3 of 4 are finished"):
        ready()
        hashlib.pbkdf2_hmac("sha256", b"minutes", b"in C", 2**31 - 1)
"""
STUBBORN = """
def command():
    with last_words(lambda: "3 of 4 are finished"):
        ready()
        while True:
            try:
                time.sleep(600)
            except BaseException:
                pass
"""
COMPLAINING = """
from ntkalign.cli.stopping import stopped
def command():
    with last_words(lambda: "3 of 4 are finished"):
        try:
            ready()
            time.sleep(600)
        finally:
            class Loud:
                def __del__(self): raise ValueError("on the way")
            Loud()
"""
SPEECHLESS = """
def command():
    with last_words(lambda: time.sleep(600)):
        ready()
        time.sleep(600)
"""
FINISHED = """
def command():
    return 7
import atexit
@atexit.register
def after():
    ready()
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)
"""


BEGINNING = """
given = signal.signal
def and_sent(number, action):
    given(number, action)
    if number == signal.SIGTERM and action is not signal.SIG_IGN:
        os.kill(os.getpid(), number)
signal.signal = and_sent
def command():
    time.sleep(600)
"""
FIRST_THING = """
def command():
    time.sleep(600)
import sys
def trace(frame, event, argument, sent=[]):
    ours = frame.f_code.co_filename.endswith("stopping.py")
    if ours and frame.f_code.co_name == "%s" and event == "%s" and not sent:
        sent.append(os.kill(os.getpid(), signal.SIGTERM))
    return trace
%s
sys.settrace(trace)
"""
ENTERED = FIRST_THING % ("__enter__", "return", "")
LEAVING = FIRST_THING % ("__exit__", "call", "command = int")


MODULE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.SIG_DFL)  # whatever the tests' shell ignores
runpy.run_module("ntkalign", run_name="__main__", alter_sys=True)
"""


def started(program, *, ignored=False, **more):
    """A process that has begun its command."""
    answer = "SIG_IGN" if ignored else "SIG_DFL"  # whatever the tests' shell ignores
    before = f"""
import signal
signal.signal(signal.SIGINT, signal.{answer})
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{before}\n{BEGIN}{program}\nbegin(command, 'prog run')"], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def ended(process):
    """What a process says until it ends, as it must."""
    try:
        return process.communicate(timeout=120)[1]
    finally:
        process.kill()


ENDS = {
    signal.SIGINT: ("interrupted", 130),
    signal.SIGTERM: ("terminated", 143),
    signal.SIGHUP: ("hung up", 129),
}


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("program", [IDLE, DEAF, STUBBORN, COMPLAINING])
def test_whatever_it_is_in_it_ends_with_its_status_and_one_line(program, kind):
    process = started(program)
    process.send_signal(kind)
    said = ended(process)
    reason, status = ENDS[kind]
    assert said == f"prog run: {reason}; 3 of 4 are finished\n"
    assert process.returncode == status


def test_last_words_that_take_too_long_are_not_waited_for():
    process = started(SPEECHLESS)
    process.send_signal(signal.SIGINT)
    said = ended(process)
    assert said == f"prog run: interrupted; {stopping.KEPT}; there was no time for a report\n"
    assert process.returncode == 130


def test_all_of_it_is_over_within_two_seconds():
    assert stopping.GRACE < stopping.DEADLINE < 2.0


@pytest.mark.parametrize("program", [BEGINNING, ENTERED, LEAVING])
def test_a_signal_while_listening_begins_or_ends_is_told_like_any_other(program):
    process = subprocess.Popen(
        [sys.executable, "-c", f"{BEGIN}{program}\nbegin(command, 'prog run')"], cwd=ROOT,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = ended(process)
    assert said == f"prog run: terminated; {stopping.KEPT}\n"
    assert process.returncode == 143


def test_a_command_that_is_over_ends_with_its_own_status():
    process = started(FINISHED)
    said = ended(process)
    assert (process.returncode, said) == (7, "")


def test_what_was_ignored_before_is_still_ignored():
    process = started(IDLE, ignored=True)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # it comes second, and is the one that ends it
    said = ended(process)
    assert (process.returncode, said) == (143, "prog run: terminated; 3 of 4 are finished\n")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks /proc what is caught")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_it_listens_before_anything_that_takes_time_is_imported(kind):
    process = subprocess.Popen(
        [sys.executable, "-c", MODULE, "verify"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 120
    while not catches(process.pid, signal.SIGTERM) and time.monotonic() < until:
        time.sleep(0.002)
    process.send_signal(kind)
    said = ended(process)
    reason = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[kind]
    assert said == f"ntkalign verify: {reason}; {stopping.KEPT}\n"
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[kind]


def catches(pid, kind):
    """Whether a process has a handler of its own."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (caught,) = (line.split()[1] for line in status if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (kind - 1) & 1)


@pytest.mark.parametrize(
    ("module", "heavy"), [("ntkalign.cli.entry", False), ("ntkalign.cli.flags", True)]
)
def test_where_it_begins_nothing_heavy_is_loaded(module, heavy):
    program = (
        f"import sys, {module}; print({{'jax', 'numpy', 'pandas'}} & set(sys.modules) != set())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == f"{heavy}\n"


@pytest.mark.parametrize("error", [BAD, OSError("full")])
def test_an_error_that_comes_of_being_stopped_has_no_line_of_its_own(error, monkeypatch, capsys):
    def action():
        raise error

    assert guarded("prog", action) in (2, 3)
    assert capsys.readouterr().err.startswith("prog: ")
    monkeypatch.setattr(stopping, "_heard", [signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):
        guarded("prog", action)
    assert capsys.readouterr().err == ""


# --- where programs are kept ------------------------------------------------------------------


def no_home():
    raise RuntimeError("Could not determine home directory.")


def test_programs_are_kept_below_the_home_if_somebody_can_write_there(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert entry.place_of_programs() == tmp_path / ".cache" / "ntkalign"
    assert list(tmp_path.iterdir()) == []  # nothing is made yet
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert entry.place_of_programs() == tmp_path / "elsewhere" / "ntkalign"


@pytest.mark.parametrize("what", ["nobody", "a file", "read-only"])
def test_without_a_home_to_write_to_a_command_runs_without_it(what, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv(entry.CACHE, raising=False)
    monkeypatch.setattr(Path, "home", no_home if what == "nobody" else lambda: tmp_path / "home")
    if what == "a file":
        (tmp_path / "home").write_text("")
    if what == "read-only":
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert entry.place_of_programs() is None
    entry.keep_programs()
    assert entry.CACHE not in os.environ


def test_a_place_that_somebody_chose_is_kept(monkeypatch):
    monkeypatch.setenv(entry.CACHE, "theirs")
    entry.keep_programs()
    assert os.environ[entry.CACHE] == "theirs"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root changes its uid")
def test_a_user_whom_nobody_knows_and_without_a_home():
    program = (
        "import os; from ntkalign.cli.entry import place_of_programs;"
        "os.setuid(54321); os.environ.pop('HOME'); os.environ.pop('XDG_CACHE_HOME', 0);"
        "print(place_of_programs())"
    )
    given = dict(os.environ) | {"HOME": "/"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=given, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("None\n", "")
