"""Two runs of the same settings, number by number: equal, within what both state, or beyond.

On one machine two runs agree to the last bit. Another processor, another library or another version
rounds otherwise; then each number may move, but not by more than the numerical errors that both
runs state of it. Only what moves by more than that is not reproduced.

    old (error 1e-9)    new (error 1e-9)
    0.25                0.25                 equal
    0.25                0.2500000001         within the stated errors
    0.25                0.26                 beyond them
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from ntkalign.runs.environment import Environment

EQUAL, WITHIN, BEYOND, STATUS, GONE, NEW = (
    "equal", "within", "beyond", "another status", "gone", "new",
)  # fmt: skip
"""How a number stands to the one before: the first two are reproduced."""
KEY = ["family", "width", "seed", "rule", "layer", "quantity", "time"]
JUDGED = ("verdict", "tightness", "assumptions_met", "stated_exponent")
"""What is compared of a finding."""
CONDITIONS = (
    "device", "precision", "processor", "system", "libraries", "git_revision", "code",
)  # fmt: skip
MAPPINGS = ("versions", "variables", "switches", "data")


@dataclass(frozen=True)
class Comparison:
    """Two tables of measurements, the older one first.

    Attributes:
        rows: one for each number of either: its key; value, error and status, those of the newer
            one with ``_new`` behind the name; how far they are ``apart``, what ``share`` of the
            larger one that is, and ``how`` they compare.
    """

    rows: pd.DataFrame

    @property
    def changed(self) -> pd.DataFrame:
        """Those that are not equal to the last bit."""
        return self.rows[self.rows["how"] != EQUAL]

    @property
    def count(self) -> dict[str, int]:
        """How many there are of each kind, the usual ones also where there are none."""
        found = self.rows["how"].value_counts()
        kinds = (EQUAL, WITHIN, BEYOND, *(k for k in (STATUS, GONE, NEW) if k in found))
        return {kind: int(found.get(kind, 0)) for kind in kinds}

    @property
    def reproduced(self) -> bool:
        """Whether every number is there again, as far as both state it."""
        return bool(self.rows["how"].isin((EQUAL, WITHIN)).all())

    @property
    def worst(self) -> pd.Series | None:
        """The number that moved by the largest share of itself; None if none did."""
        moved = self.rows[self.rows["share"] > 0]
        return None if moved.empty else moved.sort_values("share").iloc[-1]


def compare(old: pd.DataFrame, new: pd.DataFrame) -> Comparison:
    """Compare two tables of measurements.

    Args:
        old: one.
        new: the other; times may differ in their last digits.

    Returns:
        Every number of either.
    """
    old, new = (t.assign(time=t["time"].map("{:.9g}".format)) for t in (old, new))
    rows = old.merge(new, on=KEY, how="outer", suffixes=("", "_new"), indicator=True)
    value, again = rows["value"], rows["value_new"]
    apart = (again - value).abs().where(value != again, 0.0)  # equal infinities, too
    lost = value.isna() & again.isna()
    size = pd.concat([value.abs(), again.abs()], axis=1).max(axis=1)
    stated = rows["error"] + rows["error_new"]
    same = (value == again) | lost
    same_error = (rows["error"] == rows["error_new"]) | (
        rows["error"].isna() & rows["error_new"].isna()
    )
    how = pd.Series(BEYOND, index=rows.index)
    how[same | (apart <= stated)] = WITHIN
    how[same & same_error] = EQUAL
    how[(rows["status"] != rows["status_new"]) | (value.isna() != again.isna())] = STATUS
    how[rows["_merge"] == "left_only"] = GONE
    how[rows["_merge"] == "right_only"] = NEW
    share = (apart / size.replace(0, 1)).where(~lost)
    return Comparison(rows.drop(columns="_merge").assign(apart=apart, share=share, how=how))


def changed_verdicts(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """What is judged otherwise in one report than in another.

    Args:
        old: the plain values of report.json.
        new: those of the other.

    Yields:
        A line for each.
    """
    before, after = _findings(old), _findings(new)
    for key in dict.fromkeys((*before, *after)):
        _, id, quantity, family, rule, layer = key
        name = f"{id} ({quantity}, {rule}{f', layer {layer}' if layer else ''}, {family})"
        if key not in before or key not in after:
            gone = key in before
            yield f"{name} is {'gone' if gone else 'new: ' + str(after[key]['verdict'])}"
            continue
        for field in JUDGED:
            was, now = before[key].get(field), after[key].get(field)
            if was != now:
                yield f"{name}: {field} was {was}, is {now}"


def changed_conditions(old: Environment, new: Environment) -> list[tuple[str, str, str]]:
    """What differs between the places of two runs, where both tell it.

    Args:
        old: of one.
        new: of the other.

    Returns:
        Of each what it is, what it was and what it is now.
    """
    found = []
    for name in (f.name for f in fields(Environment)):
        was, now = getattr(old, name), getattr(new, name)
        if name in CONDITIONS and was not in (None, (), "unknown") and was != now:
            found.append((name.replace("_", " "), _said(was), _said(now)))
        if name in MAPPINGS and was:  # an older report tells fewer of them
            some = was if name == "versions" else was | now
            found += [
                (n if name == "versions" else f"{name}: {n}", was.get(n, "-"), now.get(n, "-"))
                for n in some
                if was.get(n) != now.get(n)
            ]
    return found


def _said(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _findings(report: Mapping[str, Any]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """The claims and controls of a report by what they are about."""
    return {
        (kind, e["id"], e["quantity"], e["family"], e["rule"], e["layer"]): e
        for kind in ("claims", "controls")
        for e in report[kind]
    }
