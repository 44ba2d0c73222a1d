"""A scaling plot for each claim: all seeds faint, typical value and interval bold."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, LogLocator

from ntkalign.claims.claim import BOTTLENECK, Claim, Kind
from ntkalign.claims.verdicts import Finding
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.series import ZERO
from ntkalign.report.rows import rule_title
from ntkalign.report.style import PALETTE, STYLE, plain, save, scaling_axis, symbol

MOST_COLUMNS = 4
"""Panels beside each other; more layers go below."""


def scaling_plots(findings: Sequence[Finding], folder: Path) -> dict[Claim, Path]:
    """Draw one figure per claim, controls dashed; save it as SVG and PNG.

    Returns:
        For each claim the path of its SVG.
    """
    paths: dict[Claim, Path] = {}
    for claim in dict.fromkeys(f.question.claim for f in findings):
        own = [f for f in findings if f.question.claim == claim]
        with matplotlib.rc_context(STYLE):
            path = folder / f"{file_name(claim)}.svg"
            if path in paths.values():  # names that differ only in characters files cannot have
                path = folder / f"{file_name(claim)}-{len(paths)}.svg"
            save(draw(claim, own), path.with_suffix(""))
        paths[claim] = path
    return paths


def file_name(claim: Claim) -> str:
    """A file name for the claim's plot; two statements may share an id, not a quantity."""
    return re.sub(r"[^\w-]+", "-", f"{claim.id}-{claim.quantity}")


def draw(claim: Claim, findings: Sequence[Finding]) -> Figure:
    """One panel per layer (or a single one), one colour per rule."""
    layers = sorted({f.question.layer or 0 for f in findings})
    subjects = list(dict.fromkeys((f.question.rule, f.question.family) for f in findings))
    colours = {s: PALETTE[i % len(PALETTE)] for i, s in enumerate(subjects)}
    columns = min(len(layers), MOST_COLUMNS)
    lines = -(-len(layers) // columns)
    size = (6.6, 3.0) if len(layers) == 1 else (max(6.2, 2.6 * columns), 3.2 * lines)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for axis in axes[len(layers) :]:
        axis.set_axis_off()
    for axis, layer in zip(axes, layers, strict=False):
        inside = [f for f in findings if (f.question.layer or 0) == layer]
        for finding in inside:
            _draw_one(axis, finding, colours[finding.question.rule, finding.question.family])
        _decorate(axis, claim, inside, f"layer {layer}" if layer else "")
        if len(layers) == 1:
            axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), handlelength=1.8)
        else:
            axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), handlelength=1.6)
    for axis in axes[::columns]:
        axis.set_ylabel(symbol(claim.symbol) or plain(claim.quantity))
    name = plain(f"{claim.id} {claim.equation}".rstrip())
    figure.suptitle(f"{name}, stated: {_stated(claim)}", fontsize=9)
    return figure


def _stated(claim: Claim) -> str:
    if claim.stated_exponent is None:
        return claim.kind.value
    return f"$O({claim.size.symbol}^{{{claim.stated_exponent:g}}})$"


def _draw_one(axis: Axes, finding: Finding, colour: str) -> None:
    question = finding.question
    widths = np.array(finding.widths, float)
    signed = _signed(question.claim)
    for width, values in zip(widths, finding.values, strict=True):
        row = [v for v in values if signed or v > ZERO]  # rounding would only stretch the axis
        axis.plot(np.full(len(row), width), row, ".", color=colour, alpha=0.25, markersize=4, mew=0)
    label = plain(rule_title(question.rule))
    if question.family == BOTTLENECK:
        label += f", {plain(question.claim.size.kept)}"
    if question.control:
        label += " (control)"
    style = "--" if question.control else "-"
    rate = finding.rate
    if rate is None:
        middle = np.array([_mean(row) for row in finding.values])
        if not signed and not (middle > ZERO).any():
            zero = len(middle) > 0 and (middle <= ZERO).all()
            label += ": zero" if zero else ": failed" if len(middle) else ": not measured"
            middle[:] = math.nan  # nothing to see on a logarithmic axis
        axis.plot(widths, middle, style, color=colour, label=label, linewidth=1.4)
        return
    low, high = rate.interval
    label += f": {rate.exponent:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−")
    low, high = np.array(rate.band).T
    axis.fill_between(widths, low, high, color=colour, alpha=0.2, linewidth=0)
    axis.plot(widths, rate.typical, style, color=colour, label=label, linewidth=1.4)


def _signed(claim: Claim) -> bool:
    """Whether values may be negative, and are drawn on a linear axis."""
    record = QUANTITIES.get(claim.quantity)
    return claim.kind is Kind.ZERO_MEAN or (record is not None and record.signed)


def _mean(row: Sequence[float]) -> float:
    finite = [v for v in row if math.isfinite(v)]
    return sum(finite) / len(finite) if finite else math.nan


def _decorate(axis: Axes, claim: Claim, findings: Sequence[Finding], title: str) -> None:
    widths = np.array(sorted({w for f in findings for w in f.widths}), float)
    axis.set_title(title)
    if not len(widths):  # nothing was measured: no axes to decorate
        return
    scaling_axis(axis, widths, claim.size)
    _shade_outside(axis, widths, max((f.rate.outside for f in findings if f.rate), default=0))
    if _signed(claim):
        axis.axhline(0, color="0.4", linewidth=0.8, linestyle=":")
    elif not _any_positive(axis):
        axis.set_yticks([])  # everything failed, or is zero
    else:
        axis.set_yscale("log")
        axis.yaxis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(1.3, 0.4)))
        axis.yaxis.set_major_locator(LogLocator(numticks=6))
        limits = {f.limit for f in findings if f.limit and len(f.limit) == len(widths)}
        for limit in limits:  # all rules have the same one
            axis.plot(widths, limit, "k-.", linewidth=1.0, label="infinite-width prediction")
        rated = [f.rate for f in findings if f.rate is not None and not f.question.control]
        if claim.stated_exponent is not None and rated:
            top = max(r.typical[0] for r in rated) * 1.3
            axis.plot(
                widths, top * (widths / widths[0]) ** claim.stated_exponent, ":", color="0.3",
                linewidth=1.2,
                label=f"stated: ${claim.size.symbol}^{{{claim.stated_exponent:g}}}$",
            )  # fmt: skip


def _any_positive(axis: Axes) -> bool:
    """Whether something is drawn that a logarithmic axis can show."""
    drawn = np.concatenate([np.ravel(line.get_ydata()) for line in axis.lines] or [np.empty(0)])
    return bool((np.isfinite(drawn) & (drawn > 0)).any())


def _shade_outside(axis: Axes, widths: np.ndarray, outside: int) -> None:
    """Grey where training moves the networks too far for the theory."""
    if not outside:
        return
    limits = left, right = axis.get_xlim()
    if outside < len(widths):
        right = math.sqrt(widths[outside - 1] * widths[outside])
    axis.axvspan(left, right, color="0.5", alpha=0.12, linewidth=0, zorder=0,
                 label="outside the lazy regime")  # fmt: skip
    axis.set_xlim(limits)
