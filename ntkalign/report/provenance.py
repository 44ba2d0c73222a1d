"""How a run came about: what computed it, in words, and the command that makes it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ntkalign.data.catalogue import asked_of
from ntkalign.networks.kinds import FAMILIES
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.quantity import VERIFY
from ntkalign.rules import RULES
from ntkalign.runs.environment import Environment
from ntkalign.runs.record import Verification
from ntkalign.runs.settings import Settings

ONLY_FROM_PYTHON = ("output_exponent", "bottleneck")
"""Settings that the command line does not have."""

DIGITS = 16
"""Of a digest, on a page; report.json has all of them."""


def facts(environment: Environment, what: str = "networks", accuracy: str = "") -> dict[str, str]:
    """Where a run took place and what it took, a line for each heading.

    Args:
        environment: of the run; what an older report does not say is left out.
        what: was computed, in the plural.
        accuracy: of the numbers, in words, if they have one.

    Returns:
        Text by heading.
    """
    e = environment
    when = f", begun {e.date}" if e.date else ""
    flows = (
        f"; {e.flows.spectral} flows by the spectral and {e.flows.dense} by the dense engine"
        if e.flows.spectral or e.flows.dense
        else ""
    )
    cores = "" if e.cores is None else f"{e.cores} cores"
    memory = "" if e.memory_mib is None else f"{e.memory_mib} MiB of memory"
    machine = ", ".join(part for part in (e.processor, cores, memory, e.system) if part)
    found = {
        "Took": f"{e.seconds} s{when}; {e.peak_memory_mib} MiB at most; {e.networks_measured} "
        f"{what} computed and {e.networks_reused} reused{flows}",
        "Computed": f"in {e.precision} on {e.device}",
        "Accuracy": accuracy,
        "Machine": machine,
        "Code": _code(e),
        "Versions": _named(e.versions),
        "Linear algebra": ", ".join(e.libraries),
        "Variables": _named(e.variables, "="),
        "Digests of data": ", ".join(f"{n} {digest[:DIGITS]}" for n, digest in e.data.items()),
        "Plugins": "; ".join(
            f"{p['file']} ({p['digest']}): {', '.join(p['parts'])}" for p in e.plugins
        ),
    }  # fmt: skip
    return {heading: text for heading, text in found.items() if text}


def _code(e: Environment) -> str:
    """Which code ran."""
    revision = f"revision {e.git_revision or 'unknown'}"
    clean = {None: "", True: ", nothing changed since", False: ", changed since"}[e.tree_is_clean]
    return revision + clean + (f"; text {e.code[:DIGITS]}" if e.code else "")


def _named(values: Mapping[str, str], sign: str = " ") -> str:
    return ", ".join(f"{name}{sign}{value}" for name, value in values.items())


def command(result: Verification) -> str:
    """The command with every setting that is not as it would be by itself.

    Args:
        result: of a run.

    Returns:
        One line for a shell; nothing if parts of the run exist in Python alone.
    """
    given = _not_default(result.settings.as_json(), result.settings.network)
    for name in {"inputs", "outputs"}.difference(asked_of(result.settings.data)):
        given.pop(name, None)  # the data have them
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
