"""How a run came about: the command that makes it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ntkalign.networks.kinds import FAMILIES
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.quantity import VERIFY
from ntkalign.rules import RULES
from ntkalign.runs.record import Verification
from ntkalign.runs.settings import Settings

ONLY_FROM_PYTHON = ("output_exponent", "bottleneck")
"""Settings that the command line does not have."""


def command(result: Verification) -> str:
    """The command with every setting that is not as it would be by itself.

    Args:
        result: of a run.

    Returns:
        One line for a shell; nothing if parts of the run exist in Python alone.
    """
    given = _not_default(result.settings.as_json(), result.settings.network)
    if result.settings.data != "sphere":
        given.pop("inputs", None)  # the data have them
    if any(name in given for name in ONLY_FROM_PYTHON):
        return ""
    if any(name not in RULES for name in given.get("rules", ())):
        return ""
    if result.conduct.held_out:
        given["held_out"] = result.conduct.held_out
    if result.command.get("claims"):
        given["claims"] = result.command["claims"]
    parts = ["ntkalign", command_name(result)]
    parts += [word for file in result.command.get("plugin") or () for word in ("--plugin", file)]
    for name, value in given.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        parts += [f"--{name.replace('_', '-')}", text]
    return shlex.join(parts)


def command_name(result: Verification) -> str:
    """Which command measures the quantities of a run."""
    for finding in result.findings:
        record = QUANTITIES.get(finding.question.claim.quantity)
        if record is not None:
            return record.command
    return VERIFY


def _not_default(settings: Mapping[str, Any], network: str) -> dict[str, Any]:
    usual = FAMILIES[network].usual  # of a kind whose defaults may be none that can be run
    default = Settings().as_json() | {
        "data": usual.data, "widths": list(usual.widths), "seeds": usual.seeds,
        "tolerance": usual.tolerance,
    }  # fmt: skip
    return {
        name: value
        for name, value in settings.items()
        if value is not None and (value != default.get(name) or name in ("data", "network"))
    }
