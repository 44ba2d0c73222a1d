"""Makes the reference figures again, and says what changed: ``make figures``.

A folder here that holds a ``command.txt`` is a reference: the command that made it stands in that
file, beside the report (JSON, Markdown), the table of measurements and the plots. Each command is
run again in ``build/figures``; what it finds is compared with what is here, number by number and
verdict by verdict, and takes its place when all are finished.

    python figures/make.py              # all of them; most of an hour on two cores
    python figures/make.py default      # one
    python figures/make.py --check      # compare only, replace nothing

Exit status: 0 nothing changed but what a clock says, 1 something did, 2 no such folder, 3 a command
failed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from ntkalign.runs.reproduction import BEYOND, GONE, NEW, STATUS, changed_verdicts, compare
from ntkalign.runs.table import read_table

ROOT = Path(__file__).parent
COMMAND, JSON, TABLE, MARKDOWN, PLOTS = (
    "command.txt", "report.json", "measurements.csv", "report.md", "plots",
)  # fmt: skip
ROUNDING = 1e-12
"""Relative; two processors may differ by so much."""


def command_of(folder: Path) -> list[str]:
    """The words of the command that made a reference, without where it wrote."""
    return shlex.split((folder / COMMAND).read_text(encoding="utf-8"), comments=True)


def references(root: Path = ROOT) -> dict[str, Path]:
    """The folders that a command made, by name."""
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{COMMAND}"))}


def changes(old: Path, new: Path) -> Iterator[str]:
    """What differs between two folders of one command, a line each."""
    if not (old / JSON).is_file():
        yield "it is new"
        return
    yield from _changed_numbers(
        *(read_table((folder / TABLE).read_bytes()) for folder in (old, new))
    )
    yield from changed_verdicts(*(_report(folder) for folder in (old, new)))
    drawn = [{plot.name for plot in (folder / PLOTS).glob("*.svg")} for folder in (old, new)]
    yield from (f"plot {name} is gone" for name in sorted(drawn[0] - drawn[1]))
    yield from (f"plot {name} is new" for name in sorted(drawn[1] - drawn[0]))


def _changed_numbers(old: pd.DataFrame, new: pd.DataFrame) -> Iterator[str]:
    rows = compare(old, new).rows
    for how in (GONE, NEW):
        some = rows[rows["how"] == how]
        if len(some):
            yield f"{len(some)} rows are {how}: {', '.join(sorted(set(some['quantity'])))}"
    status = rows[rows["how"] == STATUS]
    if len(status):
        first = status.iloc[0]
        yield (f"{len(status)} rows have another status, {first['quantity']} at width "
               f"{first['width']}, say: {first['status']}, now {first['status_new']}")  # fmt: skip
    both = rows[~rows["how"].isin((GONE, NEW, STATUS))]
    moved = both[both["share"] > ROUNDING]
    if len(moved):
        worst = moved.loc[moved["share"].idxmax()]
        stated = (both["error"] > 0) | (both["error_new"] > 0)  # of what a flow took there is none
        beyond = int(((both["how"] == BEYOND) & stated).sum())
        yield (f"{len(moved)} of {len(both)} numbers differ, by {worst['share']:.1g} at most "
               f"({worst['quantity']}, width {worst['width']}, seed {worst['seed']}); "
               f"{beyond} by more than their stated errors")  # fmt: skip


def _report(folder: Path) -> dict[str, object]:
    return json.loads((folder / JSON).read_text(encoding="utf-8"))


def replace(folder: Path, made: Path) -> None:
    """Put what was made in the place of what is here; pages and PNGs can be made from it."""
    shutil.rmtree(folder / PLOTS, ignore_errors=True)
    (folder / PLOTS).mkdir()
    for plot in sorted((made / PLOTS).glob("*.svg")):
        shutil.copy(plot, folder / PLOTS)
    for name in (TABLE, MARKDOWN):
        shutil.copy(made / name, folder / name)
    report = json.loads((made / JSON).read_text(encoding="utf-8"))
    report["config"]["out"] = f"figures/{folder.name}"  # where it lies now
    (folder / JSON).write_text(json.dumps(report, indent=1) + "\n")


def make(folder: Path, out: Path) -> tuple[int, list[str]]:
    """Run one command again and compare.

    Args:
        folder: the reference.
        out: where the command writes.

    Returns:
        The command's exit status, and what changed.
    """
    program, *words = command_of(folder)
    assert program == "ntkalign", f"{folder / COMMAND} must be a command of ntkalign"
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "ntkalign", *words, "--out", out], cwd=ROOT.parent, check=False
    )
    if done.returncode:
        return done.returncode, []
    return 0, list(changes(folder, out))


def main(argv: Sequence[str] | None = None) -> int:
    """Make the references that are named; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    there = references()
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(there)}")
    parser.add_argument("--check", action="store_true", help="compare only, replace nothing")
    given = parser.parse_args(argv)
    unknown = [name for name in given.names if name not in there]
    if unknown:
        print(f"figures: NAME ({unknown[0]}) must be one of {', '.join(there)}", file=sys.stderr)
        return 2
    made: dict[str, Path] = {}
    try:
        return _make_all({name: there[name] for name in given.names or there}, made)
    finally:  # not before: the code of the next one's report would count as changed
        if not given.check:
            for name, out in made.items():
                replace(there[name], out)


def _make_all(chosen: dict[str, Path], made: dict[str, Path]) -> int:
    """Make one after the other, and say what changed; ``made`` gets what is finished."""
    status = 0
    for name, folder in chosen.items():
        out = ROOT.parent / "build" / "figures" / name
        code, found = make(folder, out)
        if code:
            print(f"{name}: the command failed with status {code}; it is not replaced")
            return 3
        made[name] = out
        print(f"{name}: {'; '.join(found) if len(found) < 2 else ''}" if found else
              f"{name}: every number and verdict is as it was")  # fmt: skip
        if len(found) > 1:
            print("\n".join(f"  {line}" for line in found))
        status = max(status, int(bool(found)))
    return status


if __name__ == "__main__":
    sys.exit(main())
