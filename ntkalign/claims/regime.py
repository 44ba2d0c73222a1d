"""Whether the networks of a run are in the regime that the theory speaks of, and what would be.

The theory is an expansion about time 0. Its parameter ε is measured: how far gradient descent moves
a network, as a share of it, at most until T; the largest of

    √E‖z_l^t − z_l^0‖² / √E‖z_l^0‖²   over hidden layers l,   and
    max_x ‖∇_θ f^t − ∇_θ f^0‖_op / max_x ‖∇_θ f^0‖_op.

Both are O(m^-1/2) by Lemma 1 and are first-order terms of what every other quantity is expanded in.
At a width where ε is not small a law may still bend either way, so corrections to scaling that the
statistics allow for grow with it, and only widths with ε ≤ EDGE can refute anything
(:mod:`ntkalign.statistics.corrections`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ntkalign.claims.claim import MAIN
from ntkalign.quantities.catalogue import EXPANSION, EXPANSION_OVER_TIME
from ntkalign.statistics.corrections import EDGE
from ntkalign.statistics.samples import LEAST_WIDTHS

UNKNOWN = math.inf
"""ε of a width of which it could not be measured: such a width is outside."""
AS_UNKNOWN = 1.0
"""What a fit is told of it."""
SLOWEST, FASTEST = -0.2, -0.5
"""Between these is the exponent that ε is extrapolated with, if the measured one is not."""
FARTHEST = 2**20
"""No wider network is ever advised."""
WORDS = dict(zip(EXPANSION, ("activities", "the Jacobian"), strict=True))


@dataclass(frozen=True)
class Regime:
    """The expansion parameter of a run.

    Attributes:
        widths: at which there are networks of the main family.
        moved: for each quantity of EXPANSION the typical network's, at each width.
        expansion: ε of the typical network at each width, the largest of them.
        over_time: (time, ε at each width) at each saved time, if it was measured.
    """

    widths: tuple[int, ...]
    moved: dict[str, tuple[float, ...]]
    expansion: tuple[float, ...]
    over_time: tuple[tuple[float, tuple[float, ...]], ...] = ()

    @classmethod
    def of(cls, table: pd.DataFrame) -> Regime | None:
        """From the table of measurements; None if it was not measured."""
        main = table[(table["family"] == MAIN) & (table["rule"] == "normal")]
        main = main.assign(value=pd.to_numeric(main["value"], errors="coerce"))
        rows = main[main["quantity"].isin(EXPANSION)]
        widths = tuple(sorted(int(m) for m in rows["width"].dropna().unique()))
        if not widths:
            return None
        moved = {name: _typical(rows[rows["quantity"] == name], widths) for name in EXPANSION}
        unknown = [any(math.isinf(v) for v in both) for both in zip(*moved.values(), strict=True)]
        worst = _typical(rows, widths)
        expansion = tuple(UNKNOWN if u else e for u, e in zip(unknown, worst, strict=True))
        series = main[(main["quantity"] == EXPANSION_OVER_TIME) & (main["time"] > 0)]
        over_time = tuple(
            (time, _typical(series[series["time"] == time], widths))
            for time in sorted({float(t) for t in series["time"]})
        )
        return cls(widths, moved, expansion, over_time)

    def at(self, widths: Sequence[int]) -> list[float]:
        """ε at some widths, for a fit."""
        found = self.at_widths(widths).expansion
        return [e if math.isfinite(e) else AS_UNKNOWN for e in found]

    def at_widths(self, widths: Sequence[int]) -> Regime:
        """The regime as a question sees it that was asked of these widths alone."""

        def of(values: Sequence[float]) -> tuple[float, ...]:
            known = dict(zip(self.widths, values, strict=True))
            return tuple(known.get(m, UNKNOWN) for m in widths)

        moved = {name: of(values) for name, values in self.moved.items()}
        over_time = tuple((time, of(values)) for time, values in self.over_time)
        return Regime(tuple(widths), moved, of(self.expansion), over_time)

    @property
    def inside(self) -> tuple[int, ...]:
        """The widths from which on ε ≤ EDGE."""
        outside = [i for i, e in enumerate(self.expansion) if e > EDGE]
        return self.widths[outside[-1] + 1 :] if outside else self.widths

    @property
    def suffices(self) -> bool:
        """Whether there are enough widths inside for a refutation."""
        return len(self.inside) >= LEAST_WIDTHS

    @property
    def wanted(self) -> tuple[int, ...]:
        """Widths that would make them enough, by extrapolation of ε."""
        if self.suffices:
            return ()
        known = [
            (m, e) for m, e in zip(self.widths, self.expansion, strict=True) if math.isfinite(e)
        ]
        last, e = known[-1] if known else (self.widths[-1], AS_UNKNOWN)
        slope = FASTEST
        if len(known) > 1:
            slope = math.log(e / known[-2][1]) / math.log(last / known[-2][0])
        slope = min(max(slope, FASTEST), SLOWEST)
        needed = math.log2(last) + math.log2(max(e / EDGE, 1e-9)) / -slope
        first = math.ceil(max(needed, math.log2(2 * self.widths[-1])) - 1e-9)
        count = LEAST_WIDTHS - len(self.inside)
        return tuple(2**k for k in range(first, first + count)) if 2**first <= FARTHEST else ()

    def longest(self, count: int) -> float | None:
        """The time up to which the largest ``count`` widths are inside; None if it is unknown."""
        logs = [
            (math.log(time), math.log(max(*values[-count:], 1e-300)))
            for time, values in self.over_time
        ]
        if not logs or not all(math.isfinite(e) for _, e in logs):
            return None
        times, sizes = np.array(logs).T
        sizes, edge = np.maximum.accumulate(sizes), math.log(EDGE)
        if sizes[-1] <= edge:
            return None
        if sizes[0] > edge:
            found = times[0] + (edge - sizes[0])  # at first it grows in proportion to t
        else:
            i = int(np.searchsorted(sizes, edge, side="right"))
            share = (edge - sizes[i - 1]) / (sizes[i] - sizes[i - 1])
            found = times[i - 1] + share * (times[i] - times[i - 1])
        digits = 10.0 ** (math.floor(found / math.log(10)) - 1)
        return float(f"{math.floor(math.exp(found) / digits * (1 + 1e-9)) * digits:.2g}")

    @property
    def where(self) -> str:
        """How far training moves the networks, in words."""
        parts = [
            f"{WORDS[name]} by {_share(values[0])} at width {self.widths[0]} and by "
            f"{_share(values[-1])} at {self.widths[-1]}"
            for name, values in self.moved.items()
        ]
        return f"training moves {' and '.join(parts)}"

    @property
    def advice(self) -> str:
        """Why nothing can be refuted, and what would let it; empty if it can."""
        if self.suffices:
            return ""
        i = int(np.argmax(self.expansion))
        what = max(self.moved, key=lambda name: self.moved[name][i])
        return (
            f"at width {self.widths[i]} training moves {WORDS[what]} by "
            f"{_share(self.moved[what][i])}, and a verdict needs three widths where it is at most "
            f"{EDGE:.0%}; {self.remedy}"
        )

    @property
    def remedy(self) -> str:
        """Which widths would do."""
        if not self.wanted:
            return f"by extrapolation none up to {FARTHEST} would do"
        return f"add widths of {self.wanted[0]} and more"

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "widths": list(self.widths),
            "moved": {name: _plain(values) for name, values in self.moved.items()},
            "expansion": _plain(self.expansion),
            "edge": EDGE,
            "inside": list(self.inside),
            "wanted": list(self.wanted),
            "longest_time": self.longest(LEAST_WIDTHS),
        }


def _share(value: float) -> str:
    return f"{value:.0%}" if math.isfinite(value) else "an unknown share"


def _plain(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _typical(rows: pd.DataFrame, widths: Sequence[int]) -> tuple[float, ...]:
    """For each width the geometric mean over seeds of the largest of a network's values."""
    found = []
    for width in widths:
        own = rows[rows["width"] == width]
        by_seed = own.groupby("seed")["value"]
        values = by_seed.max().to_numpy(float)
        whole = len(values) and by_seed.size().nunique() == 1 and own["value"].notna().all()
        if not whole or not (np.isfinite(values) & (values >= 0)).all():
            found.append(UNKNOWN)
        else:
            found.append(float(np.exp(np.log(np.maximum(values, 1e-300)).mean())))
    return tuple(found)
