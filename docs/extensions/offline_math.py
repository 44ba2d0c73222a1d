"""Equations as MathML, made while the site is built: browsers show it by themselves, offline.

Sphinx's own renderers load a script from elsewhere or need LaTeX. A formula that cannot be turned
into MathML is an error, never a gap in the page.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def mathml(latex: str, display: str) -> str:
    """A formula, "inline" or as a "block"."""
    try:
        made = convert(latex.strip(), display=display)
    except Exception as error:  # its own errors have no common kind
        raise ExtensionError(f"no MathML for the formula {latex!r}: {error}") from error
    if "<mi>&</mi>" in made:
        raise ExtensionError(f"no MathML for the columns in {latex!r}: write one formula a line")
    label = latex.strip().replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return made.replace("<math ", f'<math aria-label="{label}" ', 1)


def visit_inline(self: Any, node: nodes.math) -> None:
    """In a sentence."""
    self.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    """On lines of its own, with its number if it has one."""
    self.body.append(self.starttag(node, "div", CLASS="math-block"))
    self.body.append(mathml(node.astext(), "block"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({node["number"]})</span>')
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
