"""Flags, made from the declarations of settings; what cannot be parsed becomes one line.

A flag's text is read as what its setting is (numbers, a list with commas between, a name), and left
as it is where it cannot be: then the setting's own check says what is wrong, in the same words as
for a program that gives it.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)  # fmt: skip

from ntkalign.errors import InputError
from ntkalign.experiments.options import Options
from ntkalign.plugins import load
from ntkalign.runs.settings import PRESETS, Settings
from ntkalign.runs.settings import preset as of_preset
from ntkalign.runs.suite import HELD_OUT
from ntkalign.values import name_of, placeless

T = TypeVar("T")
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def flag(help: str, metavar: str | None = None) -> Any:
    """What help says of a flag."""
    return tyro.conf.arg(help=help, metavar=metavar)


def refuse_both(resume: bool, fresh: bool) -> None:
    """Refuse flags that contradict each other.

    Raises:
        InputError: if both are given.
    """
    if resume and fresh:
        raise InputError(
            "fresh", True, must="not be given with --resume", got="both",
            because="they ask for opposite things", do="give one of them",
        )  # fmt: skip


@dataclass(frozen=True)
class NotGiven:
    """The value of a flag that the user did not give."""

    default: object


def reads(kind: Any, metavar: str) -> PrimitiveConstructorSpec[object]:
    """How the text of a flag is read, and a default is shown."""
    optional = type(None) in typing.get_args(kind)
    parts = [k for k in typing.get_args(kind) if k is not type(None)] if optional else [kind]
    (plain,) = parts

    def read(words: list[str]) -> object:
        (text,) = words
        if optional and text.lower() == "none":
            return None
        if typing.get_origin(plain) is tuple:
            items = [item.strip() for item in text.split(",")] if text.strip() else []
            return tuple(_number(typing.get_args(plain)[0], item) for item in items)
        return _number(plain, text)

    def shown(value: object) -> list[str]:
        default = value.default if isinstance(value, NotGiven) else value
        return [",".join(map(str, default)) if isinstance(default, tuple) else str(default)]

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: True,
        str_from_instance=shown,
    )


def _number(kind: Callable[[str], object], text: str) -> object:
    """The text as a number if it should be one and is."""
    if kind not in (int, float):
        return text
    try:
        return kind(text)
    except ValueError:
        return text


@dataclass(frozen=True)
class Asked:
    """What flags ask of a class of settings: one flag for each that has a metavar.

    Attributes:
        given: what was given, by name.
        base: what holds for what was not given.
        hidden: settings that are no flags here.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    base: Mapping[str, Any] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()

    kind: ClassVar[type] = Settings

    def settings(self, preset: str) -> Settings:
        """The settings; flags that were given win over the preset.

        Returns:
            The defaults of ``Settings``, then ``base``, the preset, the flags; the last wins.

        Raises:
            InputError: if they cannot be run.
        """
        asked = dict(self.base) | dict(self.given)
        network = asked.get("network", Settings.network)
        return Settings(**(dict(self.base) | of_preset(preset, network) | dict(self.given)))


@dataclass(frozen=True)
class AskedOptions(Asked):
    """What flags ask of experiments."""

    kind: ClassVar[type] = Options

    def options(self) -> Options:
        """The options; those that were not given have their defaults.

        Returns:
            The options.

        Raises:
            InputError: if they cannot be used.
        """
        return Options(**self.given)


@dataclass(frozen=True)
class PluginFlags:
    """What every command takes that names rules, data or claims: files with the user's own."""

    plugin: Annotated[
        tyro.conf.UseAppendAction[tuple[Path, ...]],
        flag("file with rules, data, claims of your own; may be given several times", "FILE.py"),
    ] = field(default=(), kw_only=True)

    @property
    def plugin_names(self) -> list[str]:
        """The names of the files, without their folders."""
        return [path.name for path in self.plugin]


@dataclass(frozen=True)
class VerifyFlags(PluginFlags):
    """Measure every claim of the theory and judge it."""

    run: tyro.conf.OmitArgPrefixes[Asked] = field(default_factory=Asked)
    preset: Annotated[str, flag("sets widths and seeds; explicit flags win", "|".join(PRESETS))] = (
        "standard"
    )
    claims: Annotated[
        str, flag("claims to measure, of those that ntkalign claims lists; none: all", "ID,ID…")
    ] = ""
    until_decided: Annotated[
        Switch,
        flag("add seeds and widths while a claim is undecided; keeps the intervals' coverage"),
    ] = False
    budget: Annotated[
        Any,  # text where it is no number: what checks it says so
        reads(float | None, "MINUTES"),
        flag("time after which --until-decided adds no more"),
    ] = None
    dry_run: Annotated[
        Switch, flag("print the plan: networks, memory, time, disk; measure and write nothing")
    ] = False
    workers: Annotated[
        Any,
        reads(int | None, "N"),
        flag("processes that measure networks; none: chosen from cores and memory"),
    ] = None
    scheduler: Annotated[
        Any,
        reads(str | None, "ADDRESS|local"),
        flag("measure on the workers of a dask scheduler; local: one that is started here"),
    ] = None
    device: Annotated[str, flag("where to compute; auto is JAX's own choice", "auto|cpu|gpu")] = (
        "auto"
    )
    reproduce: Annotated[
        Any,
        reads(str | None, "REPORT.json"),
        flag("run the settings of a report again, and say which numbers differ by how much"),
    ] = None
    out: Annotated[Path, flag("folder for the report", "DIR")] = Path("figures/latest")
    resume: Annotated[Switch, flag("reuse networks stored in DIR (the default)")] = False
    fresh: Annotated[Switch, flag("measure every network again")] = False
    keep_trained: Annotated[
        Switch,
        flag("keep trained networks in DIR, too: new quantities train nothing; takes much room"),
    ] = False
    strict: Annotated[
        Switch, flag("exit with 1 if a claim is refuted or undecided, or a control passes")
    ] = False

    def settings(self) -> Settings:
        """The settings these flags ask for.

        Returns:
            Those of the preset, with the flags that were given.

        Raises:
            InputError: if they cannot be run, or flags contradict each other.
        """
        refuse_both(self.resume, self.fresh)
        return self.run.settings(self.preset)

    @property
    def command(self) -> dict[str, object]:
        """What a report says of a run beyond its settings."""
        names = ("preset", "claims", "workers", "device", "resume", "fresh", "strict")
        own = {name: getattr(self, name) for name in names} | {"out": name_of(self.out)}
        own["scheduler"] = None if self.scheduler is None else placeless(str(self.scheduler))
        return own | {"plugin": self.plugin_names}


@dataclass(frozen=True)
class KernelsFlags(VerifyFlags):
    """Compare networks with their kernels: at time 0, over training, and what kernels predict."""

    run: tyro.conf.OmitArgPrefixes[Asked] = field(default_factory=partial(Asked, hidden=("rules",)))
    held_out: Annotated[
        Any, reads(int, "Q"), flag("points that are predicted and not trained on")
    ] = HELD_OUT
    out: Annotated[Path, flag("folder for the report", "DIR")] = Path("figures/latest/kernels")


@dataclass(frozen=True)
class ProofFlags(VerifyFlags):
    """Put numbers to every step of the paper's proofs: does it hold, and what does it give away."""

    preset: Annotated[str, flag("sets widths and seeds; explicit flags win", "|".join(PRESETS))] = (
        "quick"
    )
    out: Annotated[Path, flag("folder for the report", "DIR")] = Path("figures/latest/proof")


@dataclass(frozen=True)
class ReportFlags(PluginFlags):
    """Rebuild a report from its stored results."""

    folder: Annotated[tyro.conf.Positional[Path], flag("a folder that a run has written", "DIR")]


@dataclass(frozen=True)
class ClaimsFlags(PluginFlags):
    """List the claims: id, equation, statement, stated rate."""


@dataclass(frozen=True)
class DataFlags:
    """List the data sets, say where one can be had, or check a folder of it."""

    words: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        flag("what to do; nothing: list", "list | where NAME | check NAME DIR"),
    ] = ()


@dataclass(frozen=True)
class StoreFlags:
    """Say what a run has stored, check it, write it into one file, or remove some of it."""

    default: ClassVar[Path] = Path("figures/latest")
    words: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        flag("what to do; nothing: list", "list|check|export|prune [DIR]"),
    ] = ()
    to: Annotated[Path | None, flag("export: the file to write", "FILE.csv|FILE.json")] = None
    older_than: Annotated[
        float | None, flag("prune: what was measured more than so many days ago", "DAYS")
    ] = None
    other_code: Annotated[Switch, flag("prune: what other code than this has measured")] = False
    damaged: Annotated[Switch, flag("prune: records that are not what was written")] = False


@dataclass(frozen=True)
class ExperimentFlags(PluginFlags):
    """Train what the paper trained for a table or a figure."""

    names: Annotated[
        tyro.conf.Positional[tuple[str, ...]], flag("experiments; nothing: list them", "NAME…")
    ] = ()
    run: tyro.conf.OmitArgPrefixes[AskedOptions] = field(default_factory=AskedOptions)
    dry_run: Annotated[Switch, flag("print the plan and its cost, train nothing")] = False
    workers: Annotated[
        Any,
        reads(int | None, "N"),
        flag("processes that train, a run each; none: one run at a time, in this process"),
    ] = None
    scheduler: Annotated[
        Any,
        reads(str | None, "ADDRESS|local"),
        flag("train on the workers of a dask scheduler, which see DIR, too; local: started here"),
    ] = None
    device: Annotated[str, flag("where to compute; auto is JAX's own choice", "auto|cpu|gpu")] = (
        "auto"
    )
    out: Annotated[Path, flag("folder for the results", "DIR")] = Path("figures/latest/experiments")
    resume: Annotated[Switch, flag("go on from runs stored in DIR (the default)")] = False
    fresh: Annotated[Switch, flag("train every network again")] = False

    def options(self) -> Options:
        """The options that these flags ask for.

        Returns:
            The options.

        Raises:
            InputError: if they cannot be used, or flags contradict each other.
        """
        refuse_both(self.resume, self.fresh)
        return self.run.options()

    @property
    def command(self) -> dict[str, object]:
        """What a report says of a run: all flags as plain values."""
        options = {
            k: name_of(v) if isinstance(v, Path) else v for k, v in vars(self.options()).items()
        }
        names = ("workers", "device", "resume", "fresh")
        own = {name: getattr(self, name) for name in names} | {"out": name_of(self.out)}
        own["scheduler"] = None if self.scheduler is None else placeless(str(self.scheduler))
        return {"names": list(self.names)} | options | own | {"plugin": self.plugin_names}


_WITH_FLAGS = (Settings, Options, KernelsFlags, StoreFlags, ExperimentFlags)
NAMES = frozenset(f.name for kind in _WITH_FLAGS for f in fields(kind))
"""Arguments that are flags, by the names that errors call them."""

_registry = ConstructorRegistry()


def _typed(spec: PrimitiveConstructorSpec[object]) -> Any:
    return Annotated[object, spec]


@_registry.struct_rule
def _flags_of_settings(info: StructTypeInfo) -> StructConstructorSpec | None:
    """One flag for each setting that help can show."""
    if info.type not in (Asked, AskedOptions):
        return None
    asked = info.default if isinstance(info.default, Asked) else info.type()
    kinds = inspect.get_annotations(asked.kind, eval_str=True)

    def instantiate(**values: object) -> Asked:
        given = {n: v for n, v in values.items() if not isinstance(v, NotGiven)}
        return replace(asked, given={**asked.given, **given})

    shown = tuple(
        StructFieldSpec(
            name=setting.name,
            type=_typed(reads(kinds[setting.name], setting.metadata["metavar"])),
            default=NotGiven(asked.base.get(setting.name, setting.default)),
            helptext=setting.metadata["help"],
        )
        for setting in fields(asked.kind)
        if setting.metadata["metavar"] is not None and setting.name not in asked.hidden
    )
    return StructConstructorSpec(instantiate=instantiate, fields=shown)


def parse(
    kind: Any,
    argv: Sequence[str],
    prog: str,
    description: str | None = None,
    default: Any = None,
    about: str | None = None,
) -> Any:
    """Parse flags; what tyro would print in a box becomes one line.

    Plugins that are among them are loaded at once: other flags may name what they register.

    Args:
        kind: a class of flags, or a union of subcommands.
        argv: the words of the command line.
        prog: what the command is called.
        description: what help says of it.
        default: flags that hold where none are given.
        about: the command whose help errors point to; ``prog`` if None.

    Returns:
        The flags.

    Raises:
        InputError: if the flags cannot be parsed, or a plugin cannot be loaded.
    """
    printed = io.StringIO()
    extra: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(printed):
            flags = tyro.cli(
                kind, args=list(argv), prog=prog, description=description, registry=_registry,
                **extra,
            )  # fmt: skip
    except SystemExit as stop:
        if not stop.code:
            raise
    else:
        for path in getattr(flags, "plugin", ()):
            load(path)
        return flags
    text = re.sub(r"[─-╿]|-{3,}|[+|]", " ", printed.getvalue())  # what boxes are drawn with
    text = re.sub(
        r"(For full helptext|Argument helptext|Perhaps you meant).*", "", text, flags=re.S
    )
    text = re.sub(r"^(.+?) \1", r"\1", " ".join(text.split()))  # the box's title and text agree
    raise InputError(
        "FLAGS", tuple(argv), must="be flags of this command", got=text or "something else",
        because="nothing is guessed", do=f"see {about or prog} --help",
    )  # fmt: skip
