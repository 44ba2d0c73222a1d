"""Bad input by the hundred: command lines, files of points, plugins and reports, made at random.

Each case is given to the command line inside this process. It may be refused or accepted; never may
it end in a traceback, take long or gigabytes, say more than one line, or leave a folder. What is
accepted stops where networks would be trained.

    python -m tests.fuzz --cases 1000 --seed 1        # what was tried, and what is wrong

The suite tries a few of each kind (tests/cli/test_fuzz.py), and plants faults that must be found.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ntkalign.cli import main as command
from ntkalign.cli.flags import NAMES
from ntkalign.errors import LONGEST
from ntkalign.runs import verify as runs

SECONDS, MEBIBYTES = 30, 512
"""What a case that is refused may take."""
TINY = (
    "--points", "4", "--outputs", "2", "--depth", "2", "--widths", "8,16,32", "--seeds", "2",
    "--time", "1", "--tolerance", "1e-5",
)  # fmt: skip
PEAK = Path("/proc/self/clear_refs")


class Accepted(BaseException):
    """The command line would go on to train networks."""


@dataclass(frozen=True)
class Case:
    """What is tried: the words of a command line, after files were made in its folder."""

    kind: str
    words: tuple[str, ...]
    make: Callable[[Path], None] = lambda folder: None


def faults(case: Case) -> tuple[str, list[str]]:
    """Try a case.

    Returns:
        What became of it (a status, or "accepted"), and what is wrong with that.
    """
    out, err, wrong = io.StringIO(), io.StringIO(), []
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        case.make(Path(name))
        before = set(os.listdir(name))
        began, held = time.monotonic(), _peak(reset=True)
        try:
            with _alarm(SECONDS), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = str(command.main(case.words))
        except Accepted:
            return "accepted", []
        except SystemExit as stop:
            status = str(stop.code or 0)
        except BaseException as error:
            lines = traceback.format_exception_only(error)
            return "traceback", [f"a traceback: {' '.join(lines)[:200].strip()}"]
        if status == "2":
            said = err.getvalue()
            if said.count("\n") != 1:
                wrong.append(f"{said.count(chr(10))} lines: {said[:300]!r}")
            if len(said) > LONGEST + 100:
                wrong.append(f"a line of {len(said)} characters: {said[:120]!r}")
            if left := set(os.listdir(name)) - before:
                wrong.append(f"left {sorted(left)}")
        elif status not in ("0", "1", "3"):
            wrong.append(f"status {status}")
        if (seconds := time.monotonic() - began) > SECONDS:
            wrong.append(f"{seconds:.0f} seconds")
        if (grown := (_peak() - held) >> 20) > MEBIBYTES:
            wrong.append(f"{grown} MiB")
    return status, wrong


@contextlib.contextmanager
def no_training() -> Iterator[None]:
    """Stop where networks would be trained."""

    def stop(*args: object, **kwargs: object) -> None:
        raise Accepted

    before = runs.run_sweep
    runs.run_sweep = stop  # type: ignore[assignment]
    try:
        yield
    finally:
        runs.run_sweep = before


@contextlib.contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    def ring(*args: object) -> None:
        raise BaseException(f"a hang: {seconds} seconds")  # nothing may catch it

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(2 * seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _peak(*, reset: bool = False) -> int:
    """The most memory that this process held since the last reset; 0 where nobody says."""
    if not PEAK.exists():
        return 0
    if reset:
        PEAK.write_text("5")
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if "VmHWM" in line)


NUMBERS = (
    "0", "-1", "1", "2", "3", "1.5", "nan", "inf", "-inf", "1e-300", "1e-320", "1e300", "1e400",
    "0.9999999999999999999", "1e-17", "99999999999999999999999", "2147483648", "-0.0", "4_0", "0x8",
    "٣", "", " ", "None", "true", "8,16,32", "32,16,8", "8,8,8", "8,,16", "8;16;32", ",", "1,2,3,4",
    "8,16,99999999999999999999", "1e9", "1000001",
)  # fmt: skip
WORDS = (
    "", " ", "x", "--", "-", "-1", "[bold]", "[/]", "<script>", "%s", "{0}", "\\", "'", '"', "\t",
    "ü", "\u202e", "\ud800", "💥", "a" * 5000, "../..", "/", "/dev/null", "~", ".npz", "a,b",
    "None",
    "normal", "align-zero", "align-zero,align-zero", "tanh", "digits", "sphere", "add", "kmnist",
    "rnn", "cnn", "auto", "dense", "deep", "zero", "proposition-1", "lemma-1", "unscaled",
)  # fmt: skip
FLAGS = sorted(name.replace("_", "-") for name in NAMES - {"run", "names"})
COMMANDS = ("verify", "verify", "verify", "kernels", "proof", "report", "claims", "data",
            "experiment", "verfy", "")  # fmt: skip


def command_line(rng: np.random.Generator) -> Case:
    """A small run, with a few flags given anything, twice or not at all."""
    name = str(rng.choice(COMMANDS))
    words = [name, *TINY] if name in ("verify", "kernels", "proof") else [name]
    for _ in range(int(rng.integers(1, 4))):
        flag = str(rng.choice(FLAGS))
        value = str(rng.choice(NUMBERS if rng.random() < 0.6 else WORDS))
        form = rng.random()
        if form < 0.7:
            words += [f"--{flag}", value]
        elif form < 0.85:
            words.append(f"--{flag}={value}")
        elif form < 0.95:
            words.append(f"--{flag}")
        else:
            words.append(value)
    if name == "experiment":
        words[1:1] = [str(rng.choice(["table1", "table8", "figure4", "list", "tabel", ""]))]
        words.append("--dry-run")
    return Case("command line", tuple(words))


KINDS = ("<f8", "<f4", ">f8", "<i8", "|b1", "<c16", "|O", "<U3", "|S3", "<M8[s]", "|V8", "f8,i4",
         "<f2", "nonsense", "")  # fmt: skip


def points_file(rng: np.random.Generator) -> Case:
    """An archive with x and y, then one thing wrong with it, or a few."""
    network = str(rng.choice(["mlp", "mlp", "rnn", "cnn"]))
    shape = {"mlp": (6, 4), "rnn": (6, 3, 2), "cnn": (6, 8, 8, 1)}[network]
    of_y = (6, 3, 1) if network == "rnn" else (6, 2)
    members: dict[str, bytes] = {}
    for name, size in (("x", shape), ("y", of_y)):
        array = rng.standard_normal(size) * 10.0 ** rng.choice([0] * 9 + [3, 10, 155, -10, -300])
        if rng.random() < 0.15:
            array[tuple(rng.integers(0, size))] = rng.choice([np.nan, np.inf, -np.inf, 1e308])
        if rng.random() < 0.1:
            array = array[: rng.integers(0, 7)]
        if rng.random() < 0.1:
            array = (
                np.nan_to_num(np.round(array[:, 0]))
                .clip(0, 5)
                .astype(rng.choice(["i8", "f8", "u1"]))
            )
        stored = io.BytesIO()
        np.save(stored, array)
        members[f"{name}.npy"] = stored.getvalue()
        if rng.random() < 0.2:  # a header that lies
            claimed = tuple(
                int(rng.choice([n, n, n, 0, -1, 2**31, 2**62, 10**9, 1])) for n in array.shape
            )
            lie = (
                f"{{'descr': {str(rng.choice(KINDS))!r}, 'fortran_order': "
                f"{rng.choice(['True', 'False', '0', 'x'])}, 'shape': {claimed}, }}"
            )
            start = b"\x93NUMPY\x01\x00" + len(lie).to_bytes(2, "little")
            members[f"{name}.npy"] = start + lie.encode() + array.tobytes()
    change = rng.choice(["none"] * 7 + ["rename", "twice", "flip", "cut", "text", "nest", "folder"])

    def make(folder: Path) -> None:
        path = folder / "mine.npz"
        if change == "folder":
            path.mkdir()
            return
        packing = zipfile.ZIP_DEFLATED if rng.random() < 0.5 else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", packing) as archive:
            for name, content in members.items():
                inside = f"../{name}" if change == "rename" else name
                archive.writestr(inside, b"hello" if change == "text" else content)
            if change == "nest":
                archive.writestr("z.npy", bytes(2**20))
        raw = bytearray(path.read_bytes())
        if change == "flip":
            for at in rng.integers(0, len(raw), int(rng.integers(1, 20))):
                raw[at] ^= int(rng.integers(1, 256))
        if change == "cut":
            del raw[int(rng.integers(0, len(raw))) :]
        path.write_bytes(bytes(raw) * (2 if change == "twice" else 1))

    words = ("verify", *TINY[:2], *TINY[6:], "--network", network, "--data", "mine.npz")
    words = tuple("4,8,16" if word == "8,16,32" else word for word in words)
    return Case("file of points", words, make)


STATEMENTS = (
    "import ntkalign", "from ntkalign import *", "1/0", "raise SystemExit(0)", "raise SystemExit",
    "raise KeyError", "exit(3)", "def f(:", "\x00", "\ufeff", "x = '\ud800'", "import nothing_such",
    "raise ntkalign.InputError('a', 'b', must='c', got='d', because='e', do='f')",
    "ntkalign.register()", "ntkalign.register(3)", "ntkalign.register(None, None)",
    "ntkalign.register(ntkalign.Rule('', None, None))",
    "ntkalign.register(ntkalign.Rule('[bold]', ntkalign.backpropagate, ntkalign.current_activity))",
    "ntkalign.register(ntkalign.Rule('a,b', ntkalign.backpropagate, ntkalign.current_activity))",
    "ntkalign.register(ntkalign.Rule('normal', ntkalign.backpropagate, ntkalign.current_activity))",
    "ntkalign.register(ntkalign.Rule('a\\nb', ntkalign.backpropagate, ntkalign.current_activity))",
    "ntkalign.register(ntkalign.Rule(3, 4, 5))",
    "ntkalign.register(ntkalign.Activation('mine', lambda z: z))",
    "ntkalign.register(ntkalign.Activation('mine', 3))",
    "ntkalign.register(ntkalign.Activation('mine', lambda z: 1 / 0))",
    "ntkalign.register(ntkalign.Activation('mine', lambda z: z[:1]))",
    "ntkalign.register(ntkalign.PointSet('mine', lambda count: None))",
    "ntkalign.register(ntkalign.PointSet('mine', lambda count: ([[1], [2]], [[1], [2, 3]])))",
    "ntkalign.register(ntkalign.PointSet('mine', lambda count: 1/0))",
    "ntkalign.register(ntkalign.Claim('mine', '', 's', 'no-such', ntkalign.Kind.BOUND, -0.5))",
    "raise RuntimeError('two\\nlines')", "class E(Exception):\n def __str__(self): 1/0\nraise E",
)  # fmt: skip


def plugin_file(rng: np.random.Generator) -> Case:
    """A plugin of a few statements, most of them wrong, and what it may have registered named."""
    lines = ["import ntkalign"] * int(rng.random() < 0.8)
    lines += [str(rng.choice(STATEMENTS)) for _ in range(int(rng.integers(1, 4)))]
    raw = "\n".join(lines).encode("utf-8", "surrogatepass")
    named = [(), ("--data", "mine"), ("--activation", "mine"), ("--rules", "[bold]"),
             ("--claims", "mine")][int(rng.integers(0, 5))]  # fmt: skip
    words = ("verify", *TINY, "--plugin", "mine.py", *named)
    return Case("plugin", words, lambda folder: (folder / "mine.py").write_bytes(raw) and None)


VALUES = (None, True, -1, 0, 1.5, 1e300, 10**30, "", "x", [], [1], {}, {"a": 1}, "<script>", [[]])
REPORT = {
    "schema": 1,
    "config": {"data": "digits", "points": 4, "depth": 2, "widths": [8, 16, 32], "seeds": 2,
               "time": 1.0, "rules": ["align-zero"], "outputs": 2, "inputs": 64},
    "environment": {"versions": {}, "flows": {}},
    "claims": [{"id": "proposition-1", "equation": "(8)", "statement": "s", "family": "main",
                "quantity": "activity-drift", "kind": "bound", "stated_exponent": -0.5, "layer": 1,
                "rule": "normal", "assumptions_met": True, "companion": None, "symbol": "",
                "formula": "", "infinite_width": None}],
    "controls": [],
}  # fmt: skip
HEAD = "family,width,seed,rule,layer,quantity,time,value,error,status"


def report_folder(rng: np.random.Generator) -> Case:
    """A report and its table, with a few values of another kind."""
    stored = json.loads(json.dumps(REPORT))
    for _ in range(int(rng.integers(1, 4))):
        place = stored
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = keys[int(rng.integers(0, len(keys)))]
            if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.7:
                place = place[key]
                continue
            place[key] = json.loads(json.dumps(VALUES[int(rng.integers(0, len(VALUES)))]))
            break
    rows = []
    for width in (8, 16, 32):
        for seed in (0, 1):
            row = ["main", width, seed, "normal", 1, "activity-drift", 1.0, 1 / width, 1e-9, "ok"]
            if rng.random() < 0.2:
                row[int(rng.integers(0, 10))] = rng.choice(
                    ["", "x", "1.5", "nan", "1e300", "-1", "9" * 25, "failed"]
                )
            rows.append(",".join(map(str, row)))
    table = "\n".join([HEAD, *rows[: int(rng.integers(0, 7))], ""])

    def make(folder: Path) -> None:
        (folder / "run").mkdir()
        (folder / "run" / "report.json").write_text(json.dumps(stored))
        (folder / "run" / "measurements.csv").write_text(table)

    return Case("report", ("report", "run"), make)


GENERATORS: tuple[Callable[[np.random.Generator], Case], ...] = (
    command_line, points_file, plugin_file, report_folder,
)  # fmt: skip


def main() -> int:
    """Try many; print what became of them, and every fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    became: Counter[tuple[str, str]] = Counter()
    found = 0
    with no_training():
        for number in range(asked.cases):
            rng = np.random.default_rng([asked.seed, number])
            case = GENERATORS[number % len(GENERATORS)](rng)
            status, wrong = faults(case)
            became[case.kind, status] += 1
            for text in wrong:
                found += 1
                print(f"{number}: {case.words!r:.400}: {text}".encode("ascii", "replace").decode())
            sys.stdout.flush()
    for (kind, status), count in sorted(became.items()):
        print(f"{kind}: {count} ended with {status}")
    print(f"{asked.cases} cases, {found} faults")
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main())
