"""Over training: alignment score, relative gap and divergence against time, for several widths.

What the paper's Figure 8 shows of minibatch training, for gradient flow: how the change of each
weight aligns with that of W* as time goes on, beside weights whose entries are shuffled, and beside
the limit of infinite width, where the score is 1 at all times; how large the gap of Proposition 1
is as a share of what moved; and how far each rule is from gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import cycle
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from ntkalign.cells.cell import OK
from ntkalign.claims.claim import MAIN
from ntkalign.networks.kinds import size_of
from ntkalign.quantities.catalogue import over_time
from ntkalign.report.rows import layer_title, rule_title
from ntkalign.report.style import PALETTE, STYLE, plain, save
from ntkalign.rules import NORMAL, RULES
from ntkalign.runs.record import Verification

SCORE, SHUFFLED, GAP, DIVERGENCE = map(
    over_time, ("misalignment", "score-permuted", "alignment-gap-relative", "divergence")
)
FILE = "over-training"
Labels = Mapping[int, str]
"""Widths, or other sizes, and what a legend says of each."""
COLUMNS = 3
SHORT = 200
"""A time axis whose end is at most so many times its beginning has room for ticks between powers of
ten."""


def over_training(result: Verification, folder: Path) -> Path | None:
    """Draw what was measured at every saved time.

    Args:
        result: of a run.
        folder: of the plots.

    Returns:
        The path of the SVG; None if nothing was measured over time.
    """
    table = result.table[(result.table["family"] == MAIN) & (result.table["status"] == OK)]
    panels = list(_panels(table, str(result.config.get("network", "mlp"))))
    if not panels:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    lines = -(-len(panels) // COLUMNS)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.9 * COLUMNS, 2.3 * lines), layout="constrained")
        axes = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
        for axis, draw in zip(axes, panels, strict=False):
            draw(axis)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        handles = {
            label: handle
            for axis in axes
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            handles.values(), handles, loc="outside lower center", ncols=min(6, len(handles))
        )
        figure.suptitle("Over training by gradient flow", fontsize=9)
        save(figure, folder / FILE)
    return folder / f"{FILE}.svg"


def _panels(table: pd.DataFrame, network: str) -> Iterator[Callable[[Axes], None]]:
    """What draws each panel: scores layer by layer, then gaps, then rules."""
    normal, widths = table[table["rule"] == NORMAL.name], sorted({int(m) for m in table["width"]})
    labels = {m: f"${size_of(network).symbol}$ = {m}" for m in widths}
    for draw, quantity in ((_scores, SCORE), (_gaps, GAP)):
        own = normal[normal["quantity"] == quantity]
        for layer in sorted({int(n) for n in own["layer"].dropna()}):
            here = normal[normal["layer"] == layer]
            yield partial(draw, rows=here, labels=labels, title=layer_title(layer, network))
    gaps = table[table["quantity"] == DIVERGENCE]
    for rule in dict.fromkeys(gaps["rule"]):
        if rule not in RULES or not RULES[rule].control:
            here = gaps[gaps["rule"] == rule]
            label = r"$\max_x\|f^t-f_{\mathrm{rule}}^t\|$"
            title = plain(rule_title(rule))
            yield partial(_falling, rows=here, labels=labels, title=title, label=label)


def _gaps(axis: Axes, rows: pd.DataFrame, labels: Labels, title: str) -> None:
    """‖Σ/m − Δ‖/‖Δ‖ at each time."""
    own = rows[rows["quantity"] == GAP]
    _falling(axis, own, labels, title, r"$\|\Sigma_l/m_{l-1}-\Delta_l\|/\|\Delta_l\|$")


def _scores(axis: Axes, rows: pd.DataFrame, labels: Labels, title: str) -> None:
    """S_l at each time, 1 at infinite width, and what shuffled weights have."""
    own, shuffled = (rows[rows["quantity"] == quantity] for quantity in (SCORE, SHUFFLED))
    for colour, (width, times, values) in _curves(own, labels):
        axis.plot(times, 1 - values.T, color=colour, alpha=0.15, linewidth=0.6)
        mean = 1 - values.mean(axis=0)
        axis.plot(times, mean, color=colour, linewidth=1.4, label=labels[width])
    for colour, (_, times, values) in _curves(shuffled, labels):
        axis.plot(times, values.mean(axis=0), "--", color=colour, linewidth=1.0)
    axis.plot([], [], "--", color="0.4", linewidth=1.0, label="weights shuffled")
    axis.axhline(1, color="k", linestyle=":", linewidth=1.2, label="infinite width")
    axis.set_ylim(-0.03, 1.05)
    _label(axis, title, "alignment score $S_l$")


def _falling(axis: Axes, rows: pd.DataFrame, labels: Labels, title: str, label: str) -> None:
    """Something that is small where networks are wide; both axes are logarithmic."""
    for colour, (width, times, values) in _curves(rows, labels):
        values = np.where(values > 0, values, np.nan)
        axis.plot(times, values.T, color=colour, alpha=0.15, linewidth=0.6)
        axis.plot(times, _typical(values), color=colour, linewidth=1.4, label=labels[width])
    if (rows["value"] > 0).any():
        axis.set_yscale("log")
    _label(axis, title, label)


def _curves(
    rows: pd.DataFrame, labels: Labels
) -> Iterator[tuple[str, tuple[int, np.ndarray, np.ndarray]]]:
    """For each width its colour, the same in all panels, the times, and values by seed and time."""
    for colour, width in zip(cycle(PALETTE), labels, strict=False):
        own = rows[rows["width"] == width]
        if len(own):
            by_seed = own.pivot(index="seed", columns="time", values="value")
            yield colour, (width, by_seed.columns.to_numpy(float), by_seed.to_numpy(float))


def _typical(values: np.ndarray) -> np.ndarray:
    """The geometric mean over seeds, where all have one."""
    return np.asarray(np.exp(np.log(values).mean(axis=0)))


def _label(axis: Axes, title: str, label: str) -> None:
    axis.set_title(title)
    axis.set_xscale("log")
    left, right = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if right <= SHORT * left else (1,)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("time $t$ ($\\eta = 1$)")
    axis.set_ylabel(label)
