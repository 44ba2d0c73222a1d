"""``--reproduce report.json``: a report's settings are run again, and the numbers compared."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

from ntkalign.cli.flags import VerifyFlags
from ntkalign.cli.verify import run_verification, terminal
from ntkalign.data.catalogue import asked_of
from ntkalign.data.own_file import is_file
from ntkalign.errors import IncompleteRunError, InputError
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.plugins import not_loaded
from ntkalign.quantities.quantity import KERNELS
from ntkalign.report.files import JSON, load_report
from ntkalign.report.provenance import command_name
from ntkalign.report.reproduced import Reproduction, print_reproduction
from ntkalign.rules import RULES
from ntkalign.runs.environment import file_digest
from ntkalign.runs.record import Verification
from ntkalign.runs.settings import Settings
from ntkalign.runs.suite import PROOF, THEORY, Suite, kernel_suite

REPRODUCED = "reproduced"
"""The folder within the usual one where the second run writes, unless another is given."""
OF_THE_REPORT = ("preset", "claims", "until_decided", "budget", "held_out")
"""Flags, beside those of settings, for which a report has its own values."""


def run_reproduction(flags: VerifyFlags) -> int:
    """Run a report's settings again, every network anew, and say which numbers differ.

    Args:
        flags: which report, where to and how.

    Returns:
        The exit status: with ``--strict`` 1 if a number is not there again within the stated
        errors, or a verdict is another, else 0.

    Raises:
        InputError: if there is no such report, or its settings, data or plugins are not here.
        IncompleteRunError: if a flow failed; numbers are compared all the same.
    """
    folder, strict = folder_of(flags.reproduce), flags.strict
    report = load_report(folder)
    if report.partial is not None:
        raise _no_report(flags.reproduce, "that of a part of a run")
    refuse_other_settings(flags, report.settings)
    refuse_what_is_not_here(report)
    settings = settings_again(flags, report)
    flags = replace(
        flags, claims=",".join(claims_of(report)), out=out_of(flags, folder), strict=False,
        fresh=not flags.resume, preset=str(report.command.get("preset", flags.preset)),
    )  # fmt: skip
    failed: IncompleteRunError | None = None
    try:
        run_verification(
            flags, settings, suite=suite_of(report),
            spent=(report.conduct.looks, report.conduct.spend),
        )  # fmt: skip
    except IncompleteRunError as error:
        failed = error
    if flags.dry_run:
        return 0
    found = Reproduction.of(folder, flags.out)
    console = terminal()
    print_reproduction(found, console)
    if (path := found.write(flags.out)) is not None:
        console.print(f"differences: {path}", markup=False, highlight=False, soft_wrap=True)
    if failed is not None:
        raise failed
    return 1 if strict and not found.holds else 0


def folder_of(given: Any) -> Path:
    """The folder of a report.

    Args:
        given: the report's JSON file, or its folder.

    Returns:
        The folder.

    Raises:
        InputError: if it is another file, or none.
    """
    path = Path(given)
    folder = path if path.is_dir() else path.parent
    if not (folder / JSON).is_file() or path.name not in (JSON, folder.name):
        raise _no_report(given, "another file" if path.exists() else "no such file")
    return folder


def _no_report(given: Any, got: str) -> InputError:
    return InputError(
        "reproduce", given, must=f"be the {JSON} of a run that was finished", got=got,
        because="its settings are run again", do=f"pass DIR/{JSON}",
    )  # fmt: skip


def refuse_other_settings(flags: VerifyFlags, settings: Settings) -> None:
    """Only the places of data may be given anew.

    Args:
        flags: of the command.
        settings: of the report.

    Raises:
        InputError: if others are given.
    """
    usual = {f.name: f.default for f in dataclasses.fields(flags)}
    places = {"data"} if is_file(settings.data) else set()
    places |= {"data_dir"} if settings.data_dir is not None else set()
    given = set(flags.run.given) - places
    given |= {n for n in OF_THE_REPORT if n in usual and getattr(flags, n) != usual[n]}
    given -= {"claims"} if flags.run.base else set()  # those that a script has by itself
    if given:
        names = ", ".join("--" + name.replace("_", "-") for name in sorted(given))
        raise InputError(
            "reproduce", flags.reproduce, must="be given without other settings", got=names,
            because="a report has its own", do="leave them out, or run without --reproduce",
        )  # fmt: skip


def refuse_what_is_not_here(report: Verification) -> None:
    """What a report names and does not hold must be given, the same as it was.

    Args:
        report: what is to be run again.

    Raises:
        InputError: if a plugin, a rule or an activation is not here, or has changed.
    """
    for lacking in not_loaded(report.environment.plugins):
        raise InputError(
            "plugin", lacking.split(",")[0], must="be given, with the text that it had then",
            got=lacking, because="a report keeps no code", do="pass --plugin FILE.py of that time",
        )  # fmt: skip
    settings = report.settings
    names = [rule.name for rule in settings.rules if rule.name not in RULES]
    names += [name for name in (settings.activation.name,) if name not in ACTIVATIONS]
    for name in names:
        raise InputError(
            "reproduce", name, must="be a rule or an activation that is registered", got="its name",
            because="a report keeps no code", do="register it in a file for --plugin",
        )  # fmt: skip


def settings_again(flags: VerifyFlags, report: Verification) -> Settings:
    """The settings of a report as they were asked for, with the data where they lie here.

    Args:
        flags: with the places of data.
        report: what is to be run again.

    Returns:
        Settings; dimensions that data have by themselves are left to them.

    Raises:
        InputError: if the data are not here, or others.
    """
    before = report.settings
    changed: dict[str, Any] = dict.fromkeys({"inputs", "outputs"}.difference(asked_of(before.data)))
    settings: Settings = replace(before, **(changed | dict(flags.run.given)))
    known = report.environment.data.get("file")
    if is_file(settings.data) and known is not None:
        path = Path(settings.data)
        got = file_digest(path) if path.is_file() else None
        if got != known:
            raise InputError(
                "data", settings.data, must=f"be the report's {before.data}",
                got="no such file" if got is None else "another content",
                because="numbers of other data cannot be compared",
                do="pass --data with the file that it was",
            )  # fmt: skip
    return settings


def claims_of(report: Verification) -> list[str]:
    """What was asked about."""
    return list(dict.fromkeys(finding.question.claim.id for finding in report.findings))


def suite_of(report: Verification) -> Suite:
    """What asked it, whatever command reproduces it."""
    name = command_name(report)
    if name == KERNELS:
        return kernel_suite(report.conduct.held_out)
    return {PROOF.name: PROOF}.get(name, THEORY)


def out_of(flags: VerifyFlags, folder: Path) -> Path:
    """Where the second run writes.

    Args:
        flags: of the command.
        folder: of the report.

    Returns:
        The folder that is given, or one within the usual one.

    Raises:
        InputError: if it is the report's own.
    """
    usual = next(f.default for f in dataclasses.fields(flags) if f.name == "out")
    out = flags.out / REPRODUCED if flags.out == usual else flags.out
    if out.resolve() == folder.resolve():
        raise InputError(
            "out", out, must="be another folder than the report's", got="the same one",
            because="both are compared", do="pass --out with another one",
        )  # fmt: skip
    return out
