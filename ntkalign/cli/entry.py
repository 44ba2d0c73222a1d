"""Where a command begins: it can be stopped from here on, and only then is the package loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ntkalign.cli.stopping import Stopping

CACHE = "JAX_COMPILATION_CACHE_DIR"


def entry() -> None:
    """The installed ``ntkalign`` command."""
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    begin(_loaded, f"ntkalign {first}" if first.isidentifier() else "ntkalign")


def begin(command: Callable[[], int], program: str) -> NoReturn:
    """Do a command in this process, which ends with its status.

    Args:
        command: what is done.
        program: what messages call it.
    """
    with Stopping(program):
        keep_programs()
        status = command()
    sys.exit(status)


def keep_programs() -> None:
    """What JAX compiles is kept for the next run, where there is a place for it.

    It is said by variables of the environment, before JAX is loaded: processes that are started
    from here keep it in the same place.
    """
    if CACHE not in os.environ and (folder := place_of_programs()):
        os.environ[CACHE] = str(folder)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def place_of_programs() -> Path | None:
    """The folder for what is compiled.

    Returns:
        It may not be there yet; None if nobody could write into it, or the user has no home.
    """
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute()
    except RuntimeError:  # no HOME, and nobody knows this user
        return None
    folder = home / "ntkalign"
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return folder if there.is_dir() and os.access(there, os.W_OK | os.X_OK) else None


def _loaded() -> int:
    from ntkalign.cli.main import main

    return main()
