"""How pages are made: templates of this folder, with plots and mathematics inside."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from ntkalign.report.mathematics import pieces, typeset

MARKUP = re.compile(r"([\\`*_<>|$])")
INDEX = re.compile(r"\\?([_^])(\{[^}]*\}|\([^)]*\)|-?\d+(?:[./]\d+)?|op|lin|\\?\S(?![A-Za-z0-9]))")
"""An index or exponent in a line of text, such as z_l, m^-1/2, W^(0); not that of my_rule."""


def templates() -> jinja2.Environment:
    """The templates; what stands in HTML is escaped, and a name that is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ntkalign.report"),
        autoescape=jinja2.select_autoescape(["html.j2"], default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "maths": typeset,
        "display": lambda text: typeset(text, display=True),
        "markdown": markdown,
        "plain": literal,
        "anchor": anchor,
        "indices": indices,
        "indexed": lambda text: _raised(literal(text)),
        "setting": setting_text,
    }
    return environment


def embedded(plot: Path) -> str:
    """An SVG as an address that holds all of it, so that a page opens offline."""
    return "data:image/svg+xml;base64," + base64.b64encode(plot.read_bytes()).decode()


def literal(text: str) -> str:
    """A text as Markdown that shows just that."""
    return MARKUP.sub(r"\\\1", text)


def markdown(text: str) -> str:
    """A text with mathematics between dollars as Markdown that shows it."""
    return "".join(
        f"${part}$" if is_formula else literal(part) for part, is_formula in pieces(text)
    )


def indices(text: str) -> Markup:
    """A line of text with its indices below and its exponents above, as HTML."""
    return Markup(_raised(str(escape(text))))


def _raised(text: str) -> str:
    """The same for a text that is HTML or Markdown; what stands in an index may have one, too."""

    def moved(found: re.Match[str]) -> str:
        tag, inside = "sub" if found[1] == "_" else "sup", found[2].replace("-", "−")
        inside = inside[1:-1] if inside[0] == "{" else inside
        return f"<{tag}>{_raised(inside)}</{tag}>"

    return INDEX.sub(moved, text)


def anchor(name: str) -> str:
    """A name as a place that links lead to."""
    return "claim-" + "_".join(name.split())


def setting_text(value: object) -> str:
    """A setting for people."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
