"""The report of a run that is stopped: what is finished and what is missing, in a moment's time.

It has everything that ``ntkalign report`` needs to judge what is finished and to draw it, which
would take seconds that a run does not have when it is stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ntkalign.files import write_together
from ntkalign.report.belonging import told_of
from ntkalign.report.files import HTML, JSON, MARKDOWN, TABLE, as_json
from ntkalign.report.pages import templates
from ntkalign.report.terminal import networks, partial_line, points, seeds
from ntkalign.runs.environment import Environment
from ntkalign.runs.record import Verification
from ntkalign.runs.table import table_file


def write_partial(result: Verification, folder: Path) -> None:
    """Write that of a verification.

    Args:
        result: what is finished, none of it judged.
        folder: where to.

    Raises:
        OSError: if it cannot be written.
    """
    config = result.config
    page = PartialPage(
        result.title,
        f"Data {points(config)}; {networks(config)}; {seeds(config)}",
        f"{len(result.table)} measurements are in {TABLE}",
        partial_line(result),
        result.environment,
    )
    table = table_file(result.table)
    stored = as_json(result, judged=False) | {"table": told_of(table, result.table)}
    write_together({folder / TABLE: table, **page.files(folder, stored)})


@dataclass(frozen=True)
class PartialPage:
    """What the pages say.

    Attributes:
        title: what the run was about.
        about: its settings, in a sentence.
        kept: what is there, in a sentence.
        partial: that it is partial, and what is missing.
        environment: where it ran and what it took.
    """

    title: str
    about: str
    kept: str
    partial: str
    environment: Environment

    def files(self, folder: Path, stored: Mapping[str, object]) -> dict[Path, str]:
        """The pages, and what is stored, last.

        Args:
            folder: where to.
            stored: plain values, from which the report is made.

        Returns:
            The text of each file.
        """
        pages = {
            folder / name: templates().get_template(f"partial_{name}.j2").render(vars(self))
            for name in (HTML, MARKDOWN)
        }
        return pages | {folder / JSON: json.dumps(stored, indent=1, allow_nan=False) + "\n"}
