"""How all plots look: colours, axes of widths, and text that is drawn as it was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.ticker import NullLocator, ScalarFormatter

FORMATS = ("svg", "png")
# Okabe and Ito's palette, safe for colour-blind readers
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLE: dict[Any, Any] = {
    "font.size": 8, "axes.titlesize": 8, "legend.fontsize": 7, "axes.spines.top": False,
    "axes.spines.right": False, "svg.fonttype": "path", "svg.hashsalt": "ntkalign",
    "savefig.dpi": 150,
    "legend.frameon": False, "axes.linewidth": 0.7, "svg.image_inline": True,
}  # fmt: skip


def plain(text: str) -> str:
    """A name as a label: no character of it is markup, or hides it from a legend."""
    return " " * text.startswith("_") + text.replace("$", r"\$")


def symbol(text: str) -> str:
    """Mathtext as it is if matplotlib can read it, or else its characters."""
    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return plain(text)
    return text


def scaling_axis(axis: Axes, widths: np.ndarray) -> None:
    """A logarithmic axis of widths, with a tick at each."""
    axis.set_xscale("log", base=2)
    axis.set_xticks(widths)
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("width $m$")


def save(figure: Figure, path: Path) -> None:
    """In every format, cut to what is drawn.

    Args:
        figure: drawn and laid out.
        path: without a suffix; each format adds its own.
    """
    box = figure.get_tightbbox().padded(0.1)  # once: each format would draw the figure to find it
    for suffix in FORMATS:
        metadata = {"Date": None} if suffix == "svg" else None
        figure.savefig(f"{path}.{suffix}", metadata=metadata, bbox_inches=box)
