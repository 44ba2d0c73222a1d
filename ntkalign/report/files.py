"""The files of a report: JSON, tidy table, Markdown, and one self-contained HTML page."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ntkalign.cells.cell import OK
from ntkalign.claims.catalogue import CLAIMS
from ntkalign.claims.claim import MAIN, Claim, Kind, Question
from ntkalign.claims.regime import Regime
from ntkalign.claims.verdicts import Finding, JudgingTerms, correct_findings, judge_question
from ntkalign.errors import InputError
from ntkalign.files import write_together
from ntkalign.report.belonging import other_table, told_of
from ntkalign.report.document import document
from ntkalign.report.over_training import over_training
from ntkalign.report.pages import templates
from ntkalign.report.proof_map import proof_json
from ntkalign.report.scaling_plots import scaling_plots
from ntkalign.report.training_curves import training_curve
from ntkalign.runs.partial import terms_of_part, whole_part
from ntkalign.runs.record import Verification
from ntkalign.runs.table import losses, read_table, table_file
from ntkalign.statistics.judgement import OF_EVERY_NETWORK

SCHEMA = 1
JSON, TABLE, HTML, MARKDOWN, PLOTS = (
    "report.json", "measurements.csv", "report.html", "report.md", "plots",
)  # fmt: skip


PAGES = (HTML, MARKDOWN)


def write_report(result: Verification, folder: Path) -> Path:
    """Write everything a run leaves in its folder: plots, then all else together.

    Args:
        result: of the run; if it was stopped, its table holds all that is finished, and the pages
            show what is judged of it.
        folder: where to.

    Returns:
        The path of the HTML page.

    Raises:
        InputError: if the folder cannot be used.
        CannotWriteError: if it cannot be written; the report that was there is as it was.
    """
    prepare(folder)
    table = table_file(result.table)
    stored = as_json(result) | {"table": told_of(table, result.table)}
    if result.partial is not None:
        result = replace(result, table=whole_part(result.table))
    rates = [f for f in result.findings if f.question.claim.kind not in OF_EVERY_NETWORK]
    place = folder / PLOTS
    drawn: dict[str, Any] = {"plots": {}, "curve": None, "training": None}
    if not result.table.empty:
        drawn = {
            "plots": scaling_plots(rates, place),
            "curve": training_curve(result, place),
            "training": over_training(result, place),
        }
    view = document(result, folder, **drawn)
    pages = templates()
    write_together(
        {folder / TABLE: table}
        | {folder / name: pages.get_template(f"{name}.j2").render(view) for name in PAGES}
        | {folder / JSON: json.dumps(stored, indent=1, allow_nan=False) + "\n"}
    )
    return folder / HTML


def as_json(result: Verification, *, judged: bool = True) -> dict[str, object]:
    """The report in its stable schema; controls stand beside the claims, not among them.

    Args:
        result: of a run.
        judged: whether there was time to judge it.

    Returns:
        Plain values.
    """
    regime = result.regime if judged else None
    return {
        "schema": SCHEMA,
        **({"partial": result.partial.as_json()} if result.partial else {}),
        "config": result.config,
        "environment": result.environment.as_json(),
        "regime": regime and regime.as_json(),
        "infinite_width_loss": result.limit_loss and list(result.limit_loss),
        "claims": [_entry(f) for f in result.claims],
        "controls": [_entry(f) for f in result.controls],
        "proof": proof_json(result) if judged else None,
    }


def _entry(finding: Finding) -> dict[str, object]:
    """A finding, with all of its claim that a report needs to be rebuilt."""
    claim = finding.question.claim
    more = {
        "kind": claim.kind.name.lower(),
        "companion": claim.companion,
        "symbol": claim.symbol,
        "formula": claim.formula,
    }
    return finding.as_json() | more


def load_report(folder: Path) -> Verification:
    """Judge the stored measurements of a report anew.

    Returns:
        The stored run, with findings judged anew and corrected for their number.

    Raises:
        InputError: if there is no report in the folder, or one of another schema.
    """

    def bad(got: str) -> InputError:
        return InputError(
            "DIR", folder, must=f"hold {JSON} and {TABLE} of schema {SCHEMA}", got=got,
            because="a report is rebuilt from stored results",
            do="let ntkalign verify or kernels write into it first",
        )  # fmt: skip

    for name in (JSON, TABLE):
        if not (folder / name).is_file():
            raise bad(f"no {name}")
    try:
        stored = json.loads((folder / JSON).read_text(encoding="utf-8"))
        content = (folder / TABLE).read_bytes()
        table = read_table(content)
        times: int | None = losses(table).shape[1]
        if not times and (table["status"] != OK).any():
            times = None
    except ValueError as error:
        raise bad(f"something unreadable ({str(error).splitlines()[0]})") from None
    if not isinstance(stored, dict) or stored.get("schema") != SCHEMA:
        raise bad("another schema")
    if (wrong := _malformed(stored, times)) is not None:
        raise bad(wrong)
    try:
        if (wrong := other_table(stored, content, table)) is not None:
            raise bad(f"another table: {wrong}")
        config = stored["config"]
        network = str(config.get("network", "mlp"))
        terms, judged = JudgingTerms.of(config), table
        if stored.get("partial"):
            judged = whole_part(table)
            terms = terms_of_part(terms, judged)
        terms = replace(terms, regime=Regime.of(judged))
        findings = correct_findings(
            (
                _answer_again(entry, judged, terms, network, control)
                for kind, control in (("claims", False), ("controls", True))
                for entry in stored[kind]
            ),
            terms.spend,
        )
        return Verification.from_json(stored, findings, table)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise bad(f"a damaged one ({type(error).__name__}: {error})") from None


def _malformed(stored: Mapping[str, Any], times: int | None) -> str | None:
    """What of a stored report is not of its kind; ``times`` is None where no flow has a loss."""
    for name, kind in (("config", dict), ("environment", dict), ("claims", list),
                       ("controls", list)):  # fmt: skip
        if not isinstance(stored.get(name), kind):
            return f"no {kind.__name__} of {name}"
    for name in ("versions", "flows"):
        if not isinstance(stored["environment"].get(name) or {}, dict):
            return f"no dict of {name} in its environment"
    if not stored["claims"] + stored["controls"]:
        return "no claims"
    loss = stored.get("infinite_width_loss")
    if loss is not None and not (
        isinstance(loss, list) and (times is None or len(loss) == times)
        and all(isinstance(v, float | int) and math.isfinite(v) for v in loss)
    ):  # fmt: skip
        return f"an infinite_width_loss that is not {times} numbers"
    return None


def prepare(folder: Path) -> None:
    """Make sure that the output folder can be written, before anything is computed; make nothing.

    Raises:
        InputError: if it cannot.
    """
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise InputError(
            "out", folder, must="be a folder that can be written",
            got="permission denied" if there.is_dir() else f"a file, {there}",
            because="the report goes there", do="choose another folder",
        )  # fmt: skip


def _answer_again(
    entry: dict[str, Any], table: pd.DataFrame, terms: JudgingTerms, network: str, control: bool
) -> Finding:
    claim = _claim(entry, network)
    question = Question(claim, entry["family"], entry["rule"], entry["layer"], control)
    met = bool(entry["assumptions_met"]) and question.family == MAIN
    finding = judge_question(question, table, assumptions_met=met, terms=terms)
    limit = entry.get("infinite_width")
    return finding if limit is None else replace(finding, limit=tuple(limit))


def _claim(entry: dict[str, Any], network: str = "mlp") -> Claim:
    """The claim as it was asked, registered here or not; old reports have only registered ones."""
    id, quantity = entry["id"], entry["quantity"]
    registered = CLAIMS[id].claims if id in CLAIMS else ()
    known = next((claim for claim in registered if claim.quantity == quantity), None)
    if "kind" not in entry:
        if known is None:
            raise KeyError(f"{id} about {quantity}")
        return known
    stored = Claim(
        id,
        entry["equation"],
        entry["statement"],
        quantity,
        Kind[entry["kind"].upper()],
        entry["stated_exponent"],
        companion=entry["companion"],
        symbol=entry["symbol"],
        formula=entry.get("formula", ""),
        network=network,
    )
    if known is not None and stored.says_the_same_as(known):
        return known
    return stored
