"""The site works offline: a page that loads something from elsewhere fails the build.

Links are for people, who decide to follow them; a script, a style, a font or an image is not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

REMOTE = r"[\"']?\s*(?:https?:)?//"
LOADED = re.compile(
    rf"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*\s(?:src|srcset|data)\s*={REMOTE}"
    rf"|<link\b(?![^>]*rel=[\"']?(?:canonical|next|prev|search|index)\b)[^>]*\shref\s*={REMOTE}"
    rf"|\burl\(\s*{REMOTE}|@import\s+(?:url\()?{REMOTE}",
    re.IGNORECASE,
)


def loaded_from_elsewhere(folder: Path) -> list[str]:
    """What pages and styles of a folder load from elsewhere, each with its file."""
    return [
        f"{path.relative_to(folder)}: {found[0]}"
        for kind in ("*.html", "*.css")
        for path in sorted(folder.rglob(kind))
        for found in LOADED.finditer(path.read_text(encoding="utf-8"))
    ]


def on_finished(app: Sphinx, exception: Exception | None) -> None:
    """Look at all that was written."""
    if exception is None and app.builder.format == "html":
        found = loaded_from_elsewhere(Path(app.outdir))
        if found:
            raise ExtensionError("loaded from elsewhere: " + "; ".join(found))


def setup(app: Sphinx) -> dict[str, Any]:
    """At the end."""
    app.connect("build-finished", on_finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
