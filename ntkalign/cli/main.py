"""The command line: ``ntkalign verify``, ``kernels``, ``claims``, ``report``, ``data``, ``store``.

Exit status: 0 the run completed, whatever the verdicts; 1 with --strict, a claim was refuted or
undecided, or a control passed; 2 bad input; 3 the run could not complete; 130 interrupted
(SIGINT), 143 terminated (SIGTERM), 129 hung up (SIGHUP).
"""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Union

import tyro
from rich.text import Text

from ntkalign.cli.data import run_data
from ntkalign.cli.experiment import run_experiments, say_section
from ntkalign.cli.flags import (
    NAMES,
    Asked,
    ClaimsFlags,
    DataFlags,
    ExperimentFlags,
    KernelsFlags,
    ProofFlags,
    ReportFlags,
    StoreFlags,
    VerifyFlags,
    parse,
)  # fmt: skip
from ntkalign.cli.proof import run_proof
from ntkalign.cli.reproduce import run_reproduction
from ntkalign.cli.stopping import stopped, told
from ntkalign.cli.store import run_store
from ntkalign.cli.verify import (
    print_result,
    run_kernels,
    run_verification,
    say_where,
    terminal,
)  # fmt: skip
from ntkalign.errors import IncompleteRunError, InputError, shortened, unknown_name
from ntkalign.experiments.tables import HISTORY, stored
from ntkalign.plugins import not_loaded
from ntkalign.report import load_report, write_report
from ntkalign.report.claim_list import print_claims
from ntkalign.report.experiment_page import rebuild_page
from ntkalign.runs.last_words import say_all
from ntkalign.runs.schedulers.base import SchedulerLostError
from ntkalign.version import __version__

PROGRAM = "ntkalign"
COMMANDS = {
    "verify": VerifyFlags, "kernels": KernelsFlags, "proof": ProofFlags, "claims": ClaimsFlags,
    "report": ReportFlags, "data": DataFlags, "store": StoreFlags, "experiment": ExperimentFlags,
}  # fmt: skip
_ONE_OF_THEM: Any = Union[  # noqa: UP007
    tuple(Annotated[kind, tyro.conf.subcommand(name)] for name, kind in COMMANDS.items())
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    _print_what_can_be()
    if argv == ["--version"]:
        print(f"{PROGRAM} {__version__}")
        return 0
    program = " ".join([PROGRAM, *argv[:1]]) if argv[0] in COMMANDS else PROGRAM

    def action() -> int:
        if program == PROGRAM and not argv[0].startswith("-"):
            raise unknown_name("COMMAND", argv[0], COMMANDS, "only these exist")
        return run(parse(_ONE_OF_THEM, argv, PROGRAM, about=program))

    return guarded(program, action)


def run(
    flags: VerifyFlags | ClaimsFlags | ReportFlags | DataFlags | StoreFlags | ExperimentFlags,
) -> int:
    """Do what the flags of a subcommand ask for."""
    match flags:
        case VerifyFlags(reproduce=str()):
            return run_reproduction(flags)
        case KernelsFlags():
            return run_kernels(flags)
        case ProofFlags():
            return run_proof(flags)
        case VerifyFlags():
            return run_verification(flags)
        case ReportFlags():
            return rebuild(flags.folder)
        case ClaimsFlags():
            return list_claims()
        case DataFlags():
            return run_data(flags.words)
        case StoreFlags():
            return run_store(flags)
        case ExperimentFlags():
            return run_experiments(flags)


def rebuild(folder: Path) -> int:
    """Write the report of a folder anew from its stored results."""
    console = terminal()
    if stored(folder, HISTORY):
        page, sections, partial = rebuild_page(folder)
        if partial is not None:
            console.print(Text(str(partial), style="bold red"))
        for section in sections:
            say_section(section, console)
        console.print(f"report: {page}", highlight=False, soft_wrap=True)
        return 0
    result = load_report(folder)
    for lacking in not_loaded(result.environment.plugins):
        console.print(
            f"plugin {lacking}: what is stored of its claims is judged",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    page = write_report(result, folder)
    print_result(result, console)
    say_where(console, result, page)
    return 0


def list_claims() -> int:
    """Print the claims that can be measured."""
    print_claims(terminal())
    return 0


def guarded(program: str, action: Callable[[], int]) -> int:
    """Turn what can go wrong into one line on stderr and an exit status."""
    try:
        return action()
    except InputError as error:
        text = error.as_flag() if error.name in NAMES else str(error)
        return complain(f"{program}: {text}", 2)
    except (IncompleteRunError, SchedulerLostError, OSError, MemoryError) as error:
        line = shortened(str(error) or "out of memory", 1000)
        too_long = getattr(error, "errno", None) == errno.ENAMETOOLONG
        return complain(f"{program}: {line}", 2 if too_long else 3)
    except KeyboardInterrupt:
        if stopped():
            raise  # to where the process is ended
        return complain(told(program, "interrupted", say_all()), 130)


def complain(line: str, status: int) -> int:
    """Say what went wrong, unless it did because the process is being ended.

    Args:
        line: what is said.
        status: of the exit.

    Returns:
        The status.

    Raises:
        KeyboardInterrupt: if the process is being ended: that has a line of its own.
    """
    if stopped():
        raise KeyboardInterrupt
    print(line, file=sys.stderr)
    return status


def _print_what_can_be() -> None:
    """Where the terminal's encoding lacks a character (latin-1, ASCII), print ? in its place."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def script(
    description: str,
    claims: Sequence[str],
    out: str,
    argv: Sequence[str] | None = None,
    *,
    network: str = "mlp",
) -> int:
    """A command that measures some claims only: what the scripts in ``verification/`` run.

    Args:
        description: what help says of it.
        claims: ids of the claims, unless flags say otherwise.
        out: the folder of the report, unless flags say otherwise; its name is the program's.
        argv: the words of the command line; those of this process if None.
        network: the kind of network, unless flags say otherwise.

    Returns:
        The exit status.
    """
    program = Path(out).name

    def action() -> int:
        asked = Asked(base={"network": network})
        default = VerifyFlags(run=asked, claims=",".join(claims), out=Path(out))
        given = sys.argv[1:] if argv is None else argv
        return run(parse(VerifyFlags, given, program, description, default))

    return guarded(program, action)
