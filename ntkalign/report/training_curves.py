"""The training curve: the loss of gradient descent over time, at each width and in the limit."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ntkalign.report.style import PALETTE, STYLE, save
from ntkalign.runs.record import Verification
from ntkalign.runs.table import losses


def training_curve(result: Verification, folder: Path) -> Path | None:
    """The loss of gradient descent over time, one colour per width, and its limit.

    Returns:
        The path of the SVG; None if no losses were measured.
    """
    table = losses(result.table)
    if table.empty:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    times, symbol = table.columns.to_numpy(), result.settings.kind.size.symbol
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.0), layout="constrained")
        axis = figure.subplots()
        for colour, (width, rows) in zip(cycle(PALETTE), table.groupby("width"), strict=False):
            curves = rows.to_numpy()
            axis.plot(times, curves.T, color=colour, alpha=0.15, linewidth=0.6)
            typical = np.exp(np.log(curves).mean(axis=0))
            axis.plot(times, typical, color=colour, linewidth=1.4, label=f"${symbol}$ = {width}")
        if result.limit_loss is not None:
            axis.plot(times, result.limit_loss, "k:", linewidth=1.6, label="infinite width")
        axis.set_yscale("log")
        axis.set_xlabel("time $t$ ($\\eta = 1$)")
        axis.set_ylabel(r"loss $\frac{1}{2}\mathrm{E}\,\|y-f^t\|^2$")
        axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), handlelength=1.8)
        figure.suptitle("Training by gradient descent", fontsize=9)
        save(figure, folder / "training-curve")
    return folder / "training-curve.svg"
