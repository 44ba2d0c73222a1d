"""How all plots look: colours, axes of widths, and text that is drawn as it was meant."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.ticker import NullLocator, ScalarFormatter

from ntkalign.files import write
from ntkalign.networks.kinds import WIDTH, Size
from ntkalign.rules import RULES

FORMATS = ("svg", "png")
# Okabe and Ito's palette, safe for colour-blind readers
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
COLOURS = (*PALETTE, "#000000")
RULE_COLOURS = dict(
    zip(
        ("normal", "align-ada", "align-zero", "fa", "dfa", "last-layer", "align-prop"), COLOURS,
        strict=True,
    )
) | {"dfa-shared": COLOURS[4]}  # fmt: skip
"""Of rules that have the same one wherever experiments are drawn; nothing has both kinds of DFA."""
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


def colour_of(line: str, lines: Sequence[str]) -> str:
    """The colour of a rule by its title, or of one of several other lines."""
    own = {RULES[name].title: colour for name, colour in RULE_COLOURS.items()}
    return own.get(line) or COLOURS[lines.index(line) % len(COLOURS)]


def scaling_axis(axis: Axes, widths: np.ndarray, size: Size = WIDTH) -> None:
    """A logarithmic axis of widths, or other sizes, with a tick at each."""
    axis.set_xscale("log", base=2)
    axis.set_xticks(widths)
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(f"{plain(size.name)} ${size.symbol}$")


def save(figure: Figure, path: Path) -> None:
    """Lay out once, and write in every format as it is then, cut to what is drawn.

    Args:
        figure: with a layout engine.
        path: without a suffix; each format adds its own.
    """
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)  # with any other it would be drawn twice for each format
    box = figure.get_tightbbox().padded(0.1)  # once: each format would draw the figure to find it
    for suffix in FORMATS:
        metadata = {"Date": None} if suffix == "svg" else None
        drawn = io.BytesIO()
        figure.savefig(drawn, format=suffix, metadata=metadata, bbox_inches=box)
        write(path.with_name(f"{path.name}.{suffix}"), drawn.getvalue())


def forget(path: Path) -> None:
    """Remove what an earlier command drew there."""
    for suffix in FORMATS:
        path.with_name(f"{path.name}.{suffix}").unlink(missing_ok=True)
