"""Plots of a folder, all of them, with what each shows: its description in the report beside it.

```{plots} figures/default
```
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

IMAGE = re.compile(r"!\[([^\]]*)\]\(plots/([^)\s]+)\)")


def described(folder: Path) -> dict[Path, str]:
    """Every plot of a run and what it shows, in the order of the report; then those it lacks."""
    report = folder / "report.md"
    shown = IMAGE.findall(report.read_text(encoding="utf-8")) if report.is_file() else []
    plots = {folder / "plots" / name: text for text, name in shown}
    rest = {path: path.stem.replace("-", " ") for path in sorted((folder / "plots").glob("*.svg"))}
    return {path: plots.get(path, rest[path]) for path in (*plots, *rest) if path in rest}


class Plots(SphinxDirective):
    """A grid of figures."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """One figure for each plot."""
        root = Path(self.env.srcdir)
        grid = nodes.container(classes=["plots"])
        self.env.note_dependency(str(root / self.arguments[0] / "report.md"))
        for path, text in described(root / self.arguments[0]).items():
            place = f"/{path.relative_to(root).as_posix()}"
            figure = nodes.figure("", nodes.image(uri=place, alt=text))
            figure += nodes.caption("", text)
            grid += figure
        if not grid.children:
            raise self.error(f"no plots in {self.arguments[0]}")
        return [grid]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("plots", Plots)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
