"""The command line: ``ntkalign verify``, ``kernels``, ``report DIR`` and ``--version``.

Exit status: 0 the run completed, whatever the verdicts; 1 with --strict, a claim was refuted or
undecided, or a control passed; 2 bad input; 3 the run could not complete; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import jax
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ntkalign.cells.flow import Cell
from ntkalign.cells.kernels import HELD_OUT, kernel_suite
from ntkalign.devices import use
from ntkalign.errors import IncompleteRunError, InputError, unknown_name
from ntkalign.report import load_report, print_verdicts, write_report
from ntkalign.report.files import prepare
from ntkalign.runs.settings import PRESETS, Settings
from ntkalign.runs.verify import THEORY, Suite, Verification, verify
from ntkalign.version import __version__

T = TypeVar("T")
CELLS = "cells"
DEFAULTS = Settings()
COMMANDS = ("verify", "kernels", "report")


def _flag(help: str, metavar: str | None = None) -> Any:
    return tyro.conf.arg(help=help, metavar=metavar)


@dataclass(frozen=True)
class VerifyFlags:
    """Measure every claim of the theory and judge it."""

    data: Annotated[
        str, _flag("training data; the two image sets need --data-dir",
                   "digits|sphere|cifar10|kmnist|FILE.npz"),
    ] = DEFAULTS.data  # fmt: skip
    data_dir: Annotated[Path | None, _flag("folder of the original image files", "DIR")] = None
    points: Annotated[int, _flag("P, number of training points", "P")] = DEFAULTS.points
    inputs: Annotated[
        int | None, _flag("d, input dimensions of generated data (sphere: 32)", "D")
    ] = None
    outputs: Annotated[
        int | None, _flag("C, output dimensions (sphere: 2), or classes kept of an image set", "C")
    ] = None
    depth: Annotated[int, _flag("number of weight layers", "N")] = DEFAULTS.depth
    activation: Annotated[
        str, _flag("tanh, erf, sin, softplus, gelu, silu, relu or linear", "NAME")
    ] = DEFAULTS.activation
    widths: Annotated[
        str, _flag("hidden units m, at least three, increasing (default: the preset's)", "M,M,M…")
    ] = ""
    multipliers: Annotated[
        str, _flag("hidden widths relative to one another (default: all equal)", "K,K…")
    ] = ""
    seeds: Annotated[int | None, _flag("networks per width (default: the preset's)", "S")] = None
    first_seed: Annotated[int, _flag("number of the first seed", "K")] = DEFAULTS.first_seed
    time: Annotated[
        float | None,
        _flag("training time in units where the rate η is 1 (default: the linearised loss falls "
              "tenfold)", "T"),
    ] = None  # fmt: skip
    rules: Annotated[str, _flag("rules compared with gradient descent", "NAME,NAME…")] = ",".join(
        DEFAULTS.rules
    )
    bias_std: Annotated[float, _flag("standard deviation of the biases at time 0", "B")] = (
        DEFAULTS.bias_std
    )
    initial_outputs: Annotated[
        str, _flag("at time 0: shared by all widths of a seed, drawn independently, or subtracted",
                   "shared|independent|zero"),
    ] = DEFAULTS.initial_outputs  # fmt: skip
    engine: Annotated[
        str, _flag("of the flow: auto is spectral, and dense where that does not converge",
                   "auto|spectral|dense"),
    ] = DEFAULTS.engine  # fmt: skip
    tolerance: Annotated[
        float,
        _flag("of the flow: relative error (spectral), or a step's local error (dense)", "TOL"),
    ] = DEFAULTS.tolerance
    confidence: Annotated[float, _flag("coverage of the intervals, a share", "SHARE")] = (
        DEFAULTS.confidence
    )
    preset: Annotated[
        str, _flag("quick, standard or deep: sets widths and seeds; explicit flags win", "NAME")
    ] = "standard"
    until_decided: Annotated[
        bool, tyro.conf.FlagCreatePairsOff,
        _flag("add seeds and widths while a claim is undecided; keeps the intervals' coverage"),
    ] = False  # fmt: skip
    budget: Annotated[
        float | None, _flag("time after which --until-decided adds no more", "MINUTES")
    ] = None
    device: Annotated[str, _flag("where to compute; auto is JAX's own choice", "auto|cpu|gpu")] = (
        "auto"
    )
    out: Annotated[Path, _flag("folder for the report", "DIR")] = Path("figures/latest")
    resume: Annotated[
        bool, tyro.conf.FlagCreatePairsOff, _flag("reuse networks stored in DIR (the default)")
    ] = False
    fresh: Annotated[bool, tyro.conf.FlagCreatePairsOff, _flag("measure every network again")] = (
        False
    )
    strict: Annotated[
        bool, tyro.conf.FlagCreatePairsOff,
        _flag("exit with 1 if a claim is refuted or undecided, or a control passes"),
    ] = False  # fmt: skip

    def settings(self) -> Settings:
        """The settings these flags ask for.

        Raises:
            InputError: if the preset or a list cannot be read.
        """
        if self.preset not in PRESETS:
            raise unknown_name("preset", self.preset, PRESETS, "only these are defined")
        if self.resume and self.fresh:
            raise InputError(
                "fresh", True, must="not be given with --resume", got="both",
                because="they ask for opposite things", do="give one of them",
            )  # fmt: skip
        chosen = dict(PRESETS[self.preset])
        if self.widths:
            chosen["widths"] = _numbers("widths", self.widths)
        if self.seeds is not None:
            chosen["seeds"] = self.seeds
        names = {f.name for f in dataclasses.fields(Settings)} & set(vars(self))
        same = {n: getattr(self, n) for n in names - {"widths", "multipliers", "seeds", "rules"}}
        return Settings(
            multipliers=_numbers("multipliers", self.multipliers) if self.multipliers else (),
            rules=tuple(name.strip() for name in self.rules.split(",") if name.strip()),
            **same,
            **chosen,
        )


@dataclass(frozen=True)
class KernelsFlags(VerifyFlags):
    """Compare networks with their kernels: at time 0, over training, and what kernels predict."""

    rules: tyro.conf.Suppress[str] = VerifyFlags.rules  # gradient descent is what kernels describe
    held_out: Annotated[int, _flag("points that are predicted and not trained on", "Q")] = HELD_OUT
    out: Annotated[Path, _flag("folder for the report", "DIR")] = Path("figures/latest/kernels")


@dataclass(frozen=True)
class ReportFlags:
    """Rebuild a report from its stored results."""

    folder: Annotated[tyro.conf.Positional[Path], _flag("a folder that a run has written", "DIR")]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv == ["--version"]:
        print(f"ntkalign {__version__}")
        return 0
    if not argv or argv[0] in ("-h", "--help"):
        print(
            "usage: ntkalign [--version] {verify,kernels,report} [flags]; ntkalign COMMAND --help\n"
        )
        print("  verify      measure every claim of the theory and judge it")
        print("  kernels     compare networks with their kernels, finite and infinite")
        print("  report DIR  rebuild a report from its stored results")
        return 0
    if argv[0] == "verify":
        return guarded("ntkalign verify", lambda: _verify(argv[1:]))
    if argv[0] == "kernels":
        return guarded("ntkalign kernels", lambda: _kernels(argv[1:]))
    if argv[0] == "report":
        return guarded("ntkalign report", lambda: _report(argv[1:]))
    error = unknown_name("COMMAND", argv[0], COMMANDS, "only these exist")
    print(f"ntkalign: {error}", file=sys.stderr)
    return 2


def entry() -> None:
    """The installed ``ntkalign`` command; what it compiles is kept for the next run."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(home / "ntkalign"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    sys.exit(main())


def guarded(program: str, action: Callable[[], int]) -> int:
    """Turn what can go wrong into one line on stderr and an exit status."""
    try:
        return action()
    except InputError as error:
        flags = {field.name for field in dataclasses.fields(KernelsFlags)}
        text = error.as_flag() if error.name in flags else str(error)
        print(f"{program}: {text}", file=sys.stderr)
        return 2
    except (IncompleteRunError, OSError, MemoryError) as error:
        print(f"{program}: {str(error) or 'out of memory'}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(f"{program}: interrupted; finished networks are kept, run again to go on",
              file=sys.stderr)  # fmt: skip
        return 130


def run_verification(
    flags: VerifyFlags,
    settings: Settings | None = None,
    *,
    suite: Suite = THEORY,
    claims: Sequence[str] = (),
) -> int:
    """Verify, print the verdicts and write the report; returns the exit status.

    Args:
        flags: where to and how.
        settings: what to run; by default what the flags say.
        suite: what is asked; the paper's claims by default.
        claims: ids of the claims to ask about; all if empty.

    Raises:
        InputError: if the settings, the data or the output folder cannot be used.
        IncompleteRunError: if a flow failed; the report is written all the same.
    """
    console = terminal()
    settings = (settings or flags.settings()).checked()
    with use(flags.device):
        prepare(flags.out)
        result = with_progress(
            console,
            lambda progress: verify(
                settings,
                suite=suite,
                claims=claims,
                cells=flags.out / CELLS,
                fresh=flags.fresh,
                until_decided=flags.until_decided,
                budget=flags.budget,
                progress=progress,
            ),
        )
    chosen = {n: getattr(flags, n) for n in ("preset", "device", "resume", "fresh", "strict")}
    result = dataclasses.replace(result, config=result.config | chosen | {"out": str(flags.out)})
    with Console(stderr=True).status("drawing the plots"):
        page = write_report(result, flags.out)
    print_verdicts(result, console)
    _say_where(console, result, page)
    if result.failures:
        raise IncompleteRunError(
            f"{len(result.failures)} flows failed, first: {result.failures[0]}; "
            f"what is done is kept in {flags.out}"
        )
    undone = [f for f in result.claims if f.verdict != "holds"]
    return 1 if flags.strict and (undone or result.passed_controls) else 0


def terminal() -> Console:
    """The terminal, or 120 columns where there is none (a pipe, a log)."""
    return Console() if sys.stdout.isatty() else Console(width=120)


def with_progress(
    console: Console, work: Callable[[Callable[[Cell, int, int], None]], Verification]
) -> Verification:
    """Show a progress bar (on stderr, so that output can be piped) while ``work`` runs."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("choosing the time", total=None)

        def progress(cell: Cell, done: int, total: int) -> None:
            bar.update(task, description=str(cell), completed=done, total=total)

        return work(progress)


def run_kernels(flags: KernelsFlags) -> int:
    """The same for kernels."""
    return run_verification(flags, suite=kernel_suite(flags.held_out))


def script(
    description: str, claims: Sequence[str], out: str, argv: Sequence[str] | None = None
) -> int:
    """A command that measures some claims only: what the scripts in ``verification/`` run."""
    program = Path(out).name

    def action() -> int:
        default = dataclasses.replace(VerifyFlags(), out=Path(out))
        given = sys.argv[1:] if argv is None else argv
        flags = parse(VerifyFlags, given, program, description, default)
        return run_verification(flags, claims=claims)

    return guarded(program, action)


def parse(
    kind: type[T],
    argv: Sequence[str],
    prog: str,
    description: str | None = None,
    default: T | None = None,
) -> T:
    """Parse flags; what tyro would print in a box becomes one line.

    Raises:
        InputError: if the flags cannot be parsed.
    """
    printed = io.StringIO()
    extra: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(printed):
            return tyro.cli(kind, args=list(argv), prog=prog, description=description, **extra)
    except SystemExit as stop:
        if not stop.code:
            raise
    text = re.sub(r"[─-╿]", " ", printed.getvalue())  # box-drawing characters
    text = " ".join(re.sub(r"For full helptext, .*", "", text, flags=re.S).split())
    raise InputError(
        "FLAGS", tuple(argv), must="be flags of this command", got=text or "something else",
        because="nothing is guessed", do=f"see {prog} --help",
    )  # fmt: skip


def _verify(argv: Sequence[str]) -> int:
    return run_verification(parse(VerifyFlags, argv, prog="ntkalign verify"))


def _kernels(argv: Sequence[str]) -> int:
    return run_kernels(parse(KernelsFlags, argv, prog="ntkalign kernels"))


def _report(argv: Sequence[str]) -> int:
    flags = parse(ReportFlags, argv, prog="ntkalign report")
    console = terminal()
    result = load_report(flags.folder)
    page = write_report(result, flags.folder)
    print_verdicts(result, console)
    _say_where(console, result, page)
    return 0


def _say_where(console: Console, result: Verification, page: Path) -> None:
    reused = result.environment["networks_reused"]
    note = f" ({reused} networks reused from an earlier run; --fresh repeats them)" * bool(reused)
    console.print(
        f"report: {page}{note}; {result.environment['seconds']} s, "
        f"{result.environment['peak_memory_mib']} MiB",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def _numbers(name: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            name, text, must="be whole numbers with commas between", got=repr(text),
            because="each is a number of units", do="pass 64,128,256, say",
        ) from None  # fmt: skip
