"""Docstrings as they are written here, read as reStructuredText.

W*_l is a symbol and no markup, an indented paragraph is an equation or an example, and what a
setting means stands beside its declaration.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

KEPT = re.compile(
    r"``.+?``|:[\w:]+:`[^`]+`|`[^`]+`|(?<!\w)\*\w[^*\n]*(?<=\w)\*(?!\w)"
    r"|(?P<symbol>\*|\||_(?!\w)|\\)"
)
"""Literals, roles and emphasis; and what is none of them and would be taken for markup."""
SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")


def escaped(text: str) -> str:
    """Prose whose other asterisks, bars and last underscores are characters."""
    return KEPT.sub(lambda found: "\\" + found[0] if found["symbol"] else found[0], text)


def paragraphs(text: str) -> Iterator[str]:
    """Its paragraphs as markup; those that are indented, up to the first section, literally."""
    before, sections = "", False
    for paragraph in re.split(r"\n{2,}", text):
        sections = sections or bool(SECTION.match(paragraph))
        indented = paragraph.startswith(" ")
        if sections or not indented:
            yield paragraph if paragraph.startswith(">>>") else escaped(paragraph)
        else:
            goes_on = before.startswith(" ") or before.endswith("::")
            yield paragraph if goes_on else f"::\n\n{paragraph}"
        before = paragraph


def settings_of(thing: Any) -> list[str]:
    """What is said of each field of a dataclass beside its declaration."""
    if not (isinstance(thing, type) and dataclasses.is_dataclass(thing)):
        return []
    told = {f.name: f.metadata.get("help") for f in dataclasses.fields(thing)}
    lines = [f"    {name}: {escaped(text)}." for name, text in told.items() if text]
    return ["", "Attributes:", *lines] if lines else []


def on_docstring(
    app: Sphinx, kind: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Change the lines of one docstring."""
    if kind in ("attribute", "data"):  # or napoleon takes what stands before a colon for a type
        lines.insert(0, "")
        lines[:] = escaped("\n".join(lines)).split("\n")
        return
    lines[:] = [*"\n\n".join(paragraphs("\n".join(lines))).split("\n"), *settings_of(thing), ""]


def on_signature(
    app: Sphinx, kind: str, name: str, thing: Any, options: Any, signature: str | None, answer: Any
) -> tuple[str, str | None] | None:
    """As it stands in the source, where values that have no literal would make it unreadable."""
    if signature is None or "<" not in signature:
        return None
    own = inspect.signature(thing)
    arguments = [
        p.replace(
            annotation=_Written(str(p.annotation)) if p.annotation is not p.empty else p.empty,
            default=_Written(_literal(p.default)) if p.default is not p.empty else p.empty,
        )
        for p in own.parameters.values()
    ]
    return str(own.replace(parameters=arguments, return_annotation=own.empty)), answer


class _Written:
    """What stands in a signature as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _literal(value: Any) -> str:
    """A default as a person would write it."""
    text = str(getattr(value, "__name__", repr(value)))
    return "..." if "<" in text else text


def setup(app: Sphinx) -> dict[str, Any]:
    """Before napoleon, which reads the sections."""
    app.connect("autodoc-process-docstring", on_docstring, priority=100)
    app.connect("autodoc-process-signature", on_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
