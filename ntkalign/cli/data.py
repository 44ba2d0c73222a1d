"""``ntkalign data``: which data sets there are, where to get one, whether a folder is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from ntkalign.cli.verify import terminal
from ntkalign.data.checks import WHOLE, Checked, check
from ntkalign.data.sets import SETS, DataSet
from ntkalign.errors import InputError, unknown_name


def run_data(words: Sequence[str]) -> int:
    """List the sets, or do what the words say.

    Args:
        words: ``list``, ``where NAME`` or ``check NAME DIR``; none is ``list``.

    Returns:
        The exit status: 0.

    Raises:
        InputError: if the words are none of these, or the folder cannot be used.
    """
    action, *rest = words or ["list"]
    if action not in ACTIONS:
        raise unknown_name("ACTION", action, ACTIONS, "only these exist")
    function, names = ACTIONS[action]
    usage = " ".join(["ntkalign data", action, *names])
    for name in names[len(rest) :]:
        raise InputError(
            name, "", must="be given", got="nothing", because=f"the command is {usage}",
            do="give the name of a set" if name == "NAME" else "give the folder of its files",
        )  # fmt: skip
    if len(rest) > len(names):
        raise InputError(
            "FLAGS", tuple(words), must=f"be {usage}", got=f"{rest[len(names)]!r} besides",
            because="nothing is guessed", do="leave it out",
        )  # fmt: skip
    function(terminal(), *rest)
    return 0


def list_sets(console: Console) -> None:
    """Every set: its name, what it is, how many images, where it comes from."""
    rows = (
        (s.name, s.about, _shape(s.shape), f"{s.images:,}" if s.images else "any", s.source)
        for s in SETS.values()
    )
    print_table(console, ("set", "what it is", "shape", "to train on", "source"), rows, right=(3,))


def say_where(console: Console, name: str) -> None:
    """Where a set can be had, and what its official files are."""
    entry = SETS.lookup(name, "NAME")
    say(console, f"{entry.name}: {entry.about}; {_shape(entry.shape)}; {entry.source}")
    for word, text in (("page", entry.page), ("files", entry.base), ("folder", entry.place)):
        if text:
            say(console, f"{word}: {text}")
    if entry.files:
        rows = ((f.form, f.name, f"{f.size:,}" if f.size else "", f.md5 or "") for f in entry.files)
        print_table(console, ("form", "file", "bytes", "md5"), rows, name=1, right=(2,))


def check_folder(console: Console, name: str, directory: str) -> None:
    """What a folder holds of a set.

    Args:
        console: where it is printed.
        name: of the set.
        directory: the folder.

    Raises:
        InputError: if there is no such set, or the folder cannot be used.
    """
    entry = SETS.lookup(name, "NAME")
    try:
        found = check(name, Path(directory))
    except InputError as error:
        raise _called("NAME", error) from None
    if found.fault:
        raise _called("DIR", found.fault)
    rows = ((row.file, row.status, row.detail) for row in found.files)
    print_table(console, ("file", "status", "what is in it"), rows)
    say(console, summary(entry, found))


def summary(entry: DataSet, found: Checked) -> str:
    """What there is to train on, in one line."""
    first, last = found.labels
    few, many = min(found.counts), max(found.counts)
    each = str(few) if few == many else f"{few} to {many}"
    whole = "" if found.status == WHOLE else f" of {entry.images:,}"
    return (
        f"{found.status}: {found.images:,}{whole} images to train on, "
        f"{each} in each of {len(found.counts)} classes, labels {first} to {last}"
    )


def _called(word: str, error: InputError) -> InputError:
    """The error, with its argument called as this command calls it."""
    error.name, error.args = word, (f"{word} {error.detail}",)
    return error


def print_table(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    name: int = 0,
    right: Sequence[int] = (),
) -> None:
    """A table that lines up; what is in it is no markup, and names are never broken."""
    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        justify: JustifyMethod = "right" if i in right else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=i == name)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def say(console: Console, line: str) -> None:
    """One line, which may be longer than the terminal is wide."""
    console.print(Text(line), soft_wrap=True)  # addresses are copied whole


def _shape(lengths: Sequence[int]) -> str:
    return " x ".join(map(str, lengths))


ACTIONS: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "list": (list_sets, ()),
    "where": (say_where, ("NAME",)),
    "check": (check_folder, ("NAME", "DIR")),
}
"""What can be done, and the words that follow."""
