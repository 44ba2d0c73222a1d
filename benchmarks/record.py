"""Runs the commands that stand in README.md, and puts what they print below them: ``make bench``.

A block of that page that begins with a command,

    ```console
    $ python benchmarks/flow.py floor --widths 4096,8192
    ```

is a table. Its command is run in the repository's root, and what it prints takes the place of what
stood there, below the day, the commit and the time it took. The page is written after each command,
so that what was measured is kept; a command that fails leaves its table as it was.

    python benchmarks/record.py                # all of them; takes long
    python benchmarks/record.py flow.py noise  # those whose command holds one of these

Exit status: 0 all were run, 1 one failed, 2 there is no such command.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "benchmarks" / "README.md"
BLOCK = re.compile(
    r"(?<=^```console\n)\$ (?P<command>python benchmarks/.+)\n(?:(?!```).*\n)*", re.M
)
"""A command and what stands below it."""


def commands(page: str) -> list[str]:
    """The commands of a page, in order."""
    return [found["command"] for found in BLOCK.finditer(page)]


def with_output(page: str, command: str, output: str) -> str:
    """A page with what a command printed below it.

    Args:
        page: the page's text.
        command: one of its commands.
        output: what it printed.

    Returns:
        The text, in which nothing else has changed.
    """
    lines = [line.rstrip() for line in output.strip("\n").splitlines()]
    block = "\n".join([f"$ {command}", *lines]) + "\n"
    return BLOCK.sub(lambda found: block if found["command"] == command else found[0], page)


def run(command: str) -> str:
    """Run a command of the page.

    Returns:
        What it prints, below a line that says when and of what.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    words = [sys.executable, *shlex.split(command)[1:]]
    began = time.monotonic()
    done = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    took = time.monotonic() - began
    return f"# {date.today()}, commit {_commit()}, {took:.0f} s\n{done.stdout}"


def _commit() -> str:
    """Of the working tree, but for the page itself."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", f":!{PAGE.relative_to(ROOT)}"])
    return (head.stdout.strip() or "unknown") + " with changes" * bool(changed.returncode)


def main(wanted: Sequence[str], page: Path = PAGE) -> int:
    """Run what is wanted, and write the page after each; returns the exit status."""
    there = commands(page.read_text(encoding="utf-8"))
    chosen = [c for c in there if not wanted or any(word in c for word in wanted)]
    if unknown := [word for word in wanted if not any(word in c for c in chosen)]:
        print(f"record: WORD ({unknown[0]}) must stand in a command of {page.name}; got:",
              *there, sep="\n  ", file=sys.stderr)  # fmt: skip
        return 2
    failed = 0
    for number, command in enumerate(chosen, 1):
        print(f"{number} of {len(chosen)}: {command}", flush=True)
        try:
            output = run(command)
        except subprocess.CalledProcessError as error:
            print(f"  failed with status {error.returncode}; its table is as it was")
            failed = 1
            continue
        text = page.read_text(encoding="utf-8")
        page.write_text(with_output(text, command, output), encoding="utf-8")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
