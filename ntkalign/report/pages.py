"""How pages are made: templates of this folder, with plots inside."""

from __future__ import annotations

import base64
from pathlib import Path

import jinja2


def templates() -> jinja2.Environment:
    """The templates; what stands in HTML is escaped, and a name that is not given is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("ntkalign.report"),
        autoescape=jinja2.select_autoescape(["html.j2"], default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def embedded(plot: Path) -> str:
    """An SVG as an address that holds all of it, so that a page opens offline."""
    return "data:image/svg+xml;base64," + base64.b64encode(plot.read_bytes()).decode()
