"""``ntkalign store``: which networks a run has stored, whether they are whole; export, prune."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ntkalign.cli.data import print_table, say
from ntkalign.cli.flags import StoreFlags
from ntkalign.cli.verify import terminal
from ntkalign.errors import InputError, unknown_name
from ntkalign.files import write
from ntkalign.runs import inventory
from ntkalign.runs.database import FILE
from ntkalign.values import positive

FORMATS = {".csv": inventory.as_csv, ".json": inventory.as_json}
ACTIONS = ("list", "check", "export", "prune")
USAGE = "ntkalign store list|check|export|prune [DIR]"


def run_store(flags: StoreFlags) -> int:
    """Do what the words say.

    Args:
        flags: of the command.

    Returns:
        The exit status: 0.

    Raises:
        InputError: if the words or flags are none of these, or the store is damaged.
    """
    action, *rest = flags.words or ("list",)
    if action not in ACTIONS:
        raise unknown_name("ACTION", action, ACTIONS, "only these exist")
    if len(rest) > 1:
        raise InputError(
            "FLAGS", tuple(flags.words), must=f"be {USAGE}", got=f"{rest[1]!r} besides",
            because="nothing is guessed", do="leave it out",
        )  # fmt: skip
    _check_flags(action, flags)
    folder = Path(rest[0]) if rest else flags.default
    console = terminal()
    match action:
        case "list":
            show(console, folder)
        case "check":
            check(console, folder)
        case "export":
            assert flags.to is not None
            export(console, folder, flags.to)
        case _:
            prune(console, folder, flags)
    return 0


def _check_flags(action: str, flags: StoreFlags) -> None:
    """Refuse flags that would change nothing, and actions without those they need."""
    pruning = [flags.older_than is not None, flags.other_code, flags.damaged]
    if (flags.to is None) == (action == "export"):
        raise InputError(
            "to", flags.to or "", must="be given with export, and with nothing else",
            got="nothing" if action == "export" else f"it with {action}",
            because="it is the file that is written", do="ntkalign store export DIR --to FILE.csv",
        )  # fmt: skip
    if any(pruning) != (action == "prune"):
        raise InputError(
            "FLAGS", action, must="say with prune, and only there, what is removed",
            got="nothing" if action == "prune" else "it",
            because="nothing is removed by chance",
            do="ntkalign store prune DIR --other-code, --older-than 90 or --damaged",
        )  # fmt: skip
    if flags.older_than is not None:
        positive("what is older is removed", "pass 90, say")("older_than", flags.older_than)


def show(console: Console, folder: Path) -> None:
    """What a store holds, by kind and size."""
    networks = inventory.stored(folder)
    rows = [
        (g.experiment, f"{g.kind}, {g.family}", str(g.width), str(g.networks), f"{g.rows:,}",
         g.code, g.last[:16].replace("T", " "))
        for g in inventory.groups(networks)
    ]  # fmt: skip
    columns = ("measured", "networks", "size", "how many", "rows", "code", "last (UTC)")
    print_table(console, columns, rows, right=(2, 3, 4))
    size = (folder / FILE).stat().st_size
    say(console, f"{folder / FILE}: {len(networks)} networks, {size:,} bytes")
    if found := inventory.faults(networks):
        say(console, f"damaged, and measured again by the next run: {'; '.join(found)}")


def check(console: Console, folder: Path) -> None:
    """Read everything, and compare it with its digest.

    Args:
        console: where it is printed.
        folder: of the store.

    Raises:
        InputError: if something is damaged.
    """
    networks = inventory.stored(folder)
    if found := inventory.faults(networks):
        raise InputError(
            "DIR", folder, must="hold a store that is whole",
            got=f"{len(found)} damaged records ({'; '.join(found)})",
            because="each has a digest of what was written",
            do="run again, which measures them again, or ntkalign store prune DIR --damaged",
        )  # fmt: skip
    records = sum(len(network.rows) for network in networks)
    say(console, f"{folder / FILE}: whole, {len(networks)} networks, {records} records")


def export(console: Console, folder: Path, to: Path) -> None:
    """Write all that is stored into one file.

    Args:
        console: where it is printed.
        folder: of the store.
        to: the file.

    Raises:
        InputError: if there is no store, or the file's name ends in something else.
        CannotWriteError: if the file cannot be written.
    """
    if to.suffix not in FORMATS:
        raise InputError(
            "to", to, must=f"end in {' or '.join(FORMATS)}", got=repr(to.suffix),
            because="that says how it is written", do="pass measurements.csv, say",
        )  # fmt: skip
    networks = inventory.stored(folder)
    write(to, FORMATS[to.suffix](networks))
    left_out = inventory.faults(networks)
    note = f"; damaged and left out: {'; '.join(left_out)}" if left_out else ""
    say(console, f"{to}: {len(networks)} networks{note}")


def prune(console: Console, folder: Path, flags: StoreFlags) -> None:
    """Remove what the flags say."""
    gone = inventory.prune(
        folder, days=flags.older_than, other_code=flags.other_code, damaged=flags.damaged
    )
    say(
        console,
        f"{folder / FILE}: {gone.networks} networks and {gone.records} damaged records removed, "
        f"{gone.bytes:,} bytes freed",
    )
