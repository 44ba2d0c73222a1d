"""A scaling plot for each claim: all seeds faint, typical value and interval bold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, NullLocator, ScalarFormatter

from ntkalign.claims.claim import BOTTLENECK, Claim, Kind
from ntkalign.claims.verdicts import ZERO, Finding
from ntkalign.report.rows import RULE_TITLES
from ntkalign.runs.record import Verification
from ntkalign.runs.table import losses

FORMATS = ("svg", "png")
# Okabe and Ito's palette, safe for colour-blind readers
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLE: dict[Any, Any] = {
    "font.size": 8, "axes.titlesize": 8, "legend.fontsize": 7, "axes.spines.top": False,
    "axes.spines.right": False, "svg.fonttype": "path", "svg.hashsalt": "ntkalign",
    "savefig.dpi": 150,
    "legend.frameon": False, "axes.linewidth": 0.7, "svg.image_inline": True,
}  # fmt: skip
QUANTITIES = {
    "activation-drift": r"$(\mathrm{E}\,\|z_l^t-z_l^0\|^2/m_l)^{1/2}$",
    "weight-drift": r"$\|W_l^t-W_l^0\|_{\mathrm{op}}/\sqrt{m_{l-1}}$",
    "jacobian-drift": r"$\max_x\|\nabla_\theta f^t-\nabla_\theta f^0\|_{\mathrm{op}}$",
    "feedback-drift": r"$\max_x\|J^t-\nabla_\theta f^0\|_{\mathrm{op}}$",
    "discrepancy": r"$\|\tilde W_l\|_{\mathrm{op}}$",
    "alignment-gap": r"$\|\Sigma_l/m_{l-1}-\Delta_l\|_{\mathrm{op}}/\sqrt{m_{l-1}}$",
    "delta-norm": r"$\|\Delta_l\|_{\mathrm{op}}/\sqrt{m_{l-1}}$",
    "sigma-norm": r"$\|\Sigma_l/m_{l-1}\|_{\mathrm{op}}/\sqrt{m_{l-1}}$",
    "misalignment": r"$1-S_l$",
    "sampled-score-error": r"$S_l$ sampled $-$ exact",
    "divergence": r"$\max_x\|f^t-f_{\mathrm{rule}}^t\|$",
    "ntk-gap": r"$\|\Theta^0-\Theta^\infty\|/\|\Theta^\infty\|$",
    "nngp-gap": r"$\|K^0-K^\infty\|/\|K^\infty\|$",
    "gamma-gap": r"$\|\Gamma_l^0-\Gamma_l^\infty\|/\|\Gamma_l^\infty\|$",
    "q-gap": r"$\sup_t\|q_l^t-q_l^{\infty,t}\|/\|q_l^{\infty,t}\|$",
    "spectrum-gap": r"spectrum of $\Sigma_l/m_{l-1}$, relative to its limit",
    "ntk-drift": r"$\sup_t\|\Theta^t-\Theta^0\|/\|\Theta^0\|$",
    "flow-gap-empirical": r"$\max\|f^t-f_{\mathrm{lin}}^t\|$",
    "flow-gap-empirical-held-out": r"$\max\|f^t-f_{\mathrm{lin}}^t\|$, held out",
    "flow-gap-analytic": r"$\max\|f^t-f_\infty^t\|$",
    "flow-gap-analytic-held-out": r"$\max\|f^t-f_\infty^t\|$, held out",
    "align-zero-gap": r"$\max\|f_{\mathrm{al}\cdot 0}^t-f_{\mathrm{lin}}^t\|$",
    "linearisation-gap": r"$\max_x\|f_{\mathrm{al}\cdot 0}^t-f_{\mathrm{lin}}^t\|$",
}


def scaling_plots(findings: Sequence[Finding], folder: Path) -> dict[Claim, Path]:
    """Draw one figure per claim, controls dashed; save it as SVG and PNG.

    Returns:
        For each claim the path of its SVG.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for claim in dict.fromkeys(f.question.claim for f in findings):
        own = [f for f in findings if f.question.claim == claim]
        with matplotlib.rc_context(STYLE):
            figure = draw(claim, own)
            _save(figure, folder / file_name(claim))
        paths[claim] = folder / f"{file_name(claim)}.svg"
    return paths


def file_name(claim: Claim) -> str:
    """A file name for the claim's plot; two statements may share an id, not a quantity."""
    return f"{claim.id.replace('/', '-')}-{claim.quantity}"


def draw(claim: Claim, findings: Sequence[Finding]) -> Figure:
    """One panel per layer (or a single one), one colour per rule."""
    layers = sorted({f.question.layer or 0 for f in findings})
    subjects = list(dict.fromkeys((f.question.rule, f.question.family) for f in findings))
    colours = {s: PALETTE[i % len(PALETTE)] for i, s in enumerate(subjects)}
    size = (6.6, 3.0) if len(layers) == 1 else (max(6.2, 2.6 * len(layers)), 3.2)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0]
    for axis, layer in zip(axes, layers, strict=True):
        inside = [f for f in findings if (f.question.layer or 0) == layer]
        for finding in inside:
            _draw_one(axis, finding, colours[finding.question.rule, finding.question.family])
        _decorate(axis, claim, inside, f"layer {layer}" if layer else "")
        if len(layers) == 1:
            axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), handlelength=1.8)
        else:
            axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), handlelength=1.6)
    axes[0].set_ylabel(QUANTITIES.get(claim.quantity, claim.quantity))
    figure.suptitle(f"{claim.id} {claim.equation}, stated: {_stated(claim)}", fontsize=9)
    figure.draw_without_rendering()  # lay out once, then save in several formats as it is
    figure.set_layout_engine("none")
    return figure


def training_curve(result: Verification, folder: Path) -> Path | None:
    """The loss of gradient descent over time, one colour per width, and its limit.

    Returns:
        The path of the SVG; None if no losses were measured.
    """
    table = losses(result.table)
    if table.empty:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    times = table.columns.to_numpy()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.0), layout="constrained")
        axis = figure.subplots()
        for colour, (width, rows) in zip(cycle(PALETTE), table.groupby("width"), strict=False):
            curves = rows.to_numpy()
            axis.plot(times, curves.T, color=colour, alpha=0.15, linewidth=0.6)
            typical = np.exp(np.log(curves).mean(axis=0))
            axis.plot(times, typical, color=colour, linewidth=1.4, label=f"$m$ = {width}")
        if result.limit_loss is not None:
            axis.plot(times, result.limit_loss, "k:", linewidth=1.6, label="infinite width")
        axis.set_yscale("log")
        axis.set_xlabel("time $t$ ($\\eta = 1$)")
        axis.set_ylabel(r"loss $\frac{1}{2}\mathrm{E}\,\|y-f^t\|^2$")
        axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), handlelength=1.8)
        figure.suptitle("Training by gradient descent", fontsize=9)
        _save(figure, folder / "training-curve")
    return folder / "training-curve.svg"


def _save(figure: Figure, path: Path) -> None:
    """In every format, cut to what is drawn."""
    box = figure.get_tightbbox().padded(0.1)  # once: each format would draw the figure to find it
    for suffix in FORMATS:
        metadata = {"Date": None} if suffix == "svg" else None
        figure.savefig(f"{path}.{suffix}", metadata=metadata, bbox_inches=box)


def _stated(claim: Claim) -> str:
    if claim.stated_exponent is None:
        return claim.kind.value
    return f"$O(m^{{{claim.stated_exponent:g}}})$"


def _draw_one(axis: Axes, finding: Finding, colour: str) -> None:
    question = finding.question
    widths = np.array(finding.widths, float)
    signed = question.claim.kind is Kind.ZERO_MEAN
    for width, values in zip(widths, finding.values, strict=True):
        row = [v for v in values if signed or v > ZERO]  # rounding would only stretch the axis
        axis.plot(np.full(len(row), width), row, ".", color=colour, alpha=0.25, markersize=4, mew=0)
    label = RULE_TITLES.get(question.rule, question.rule)
    if question.family == BOTTLENECK:
        label += ", bottleneck"
    if question.control:
        label += " (control)"
    style = "--" if question.control else "-"
    rate = finding.rate
    if rate is None:
        middle = np.array([_mean(row) for row in finding.values])
        if not signed and not (middle > ZERO).any():
            label += ": zero" if (middle <= ZERO).all() else ": failed"
            middle[:] = math.nan  # nothing to see on a logarithmic axis
        axis.plot(widths, middle, style, color=colour, label=label, linewidth=1.4)
        return
    low, high = rate.interval
    label += f": {rate.exponent:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−")
    low, high = np.array(rate.band).T
    axis.fill_between(widths, low, high, color=colour, alpha=0.2, linewidth=0)
    axis.plot(widths, rate.typical, style, color=colour, label=label, linewidth=1.4)


def scaling_axis(axis: Axes, widths: np.ndarray) -> None:
    """A logarithmic axis of widths, with a tick at each."""
    axis.set_xscale("log", base=2)
    axis.set_xticks(widths)
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("width $m$")


def _mean(row: Sequence[float]) -> float:
    finite = [v for v in row if math.isfinite(v)]
    return sum(finite) / len(finite) if finite else math.nan


def _decorate(axis: Axes, claim: Claim, findings: Sequence[Finding], title: str) -> None:
    widths = np.array(findings[0].widths, float)
    scaling_axis(axis, widths)
    axis.set_title(title)
    if claim.kind is Kind.ZERO_MEAN:
        axis.axhline(0, color="0.4", linewidth=0.8, linestyle=":")
    else:
        axis.set_yscale("log")
        axis.yaxis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(1.3, 0.4)))
        axis.yaxis.set_major_locator(LogLocator(numticks=6))
        limits = {f.limit for f in findings if f.limit is not None}
        for limit in limits:  # all rules have the same one
            axis.plot(widths, limit, "k-.", linewidth=1.0, label="infinite-width prediction")
        rated = [f.rate for f in findings if f.rate is not None and not f.question.control]
        if claim.stated_exponent is not None and rated:
            top = max(r.typical[0] for r in rated) * 1.3
            axis.plot(
                widths, top * (widths / widths[0]) ** claim.stated_exponent, ":", color="0.3",
                linewidth=1.2, label=f"stated: $m^{{{claim.stated_exponent:g}}}$",
            )  # fmt: skip
