"""What the docs name exists, and the README stays short."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from ntkalign.cli.main import main

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "README.md"]
)
README_WORDS = 550
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
QUOTED = re.compile(r"`([^`\n]+)`")
SOURCE = re.compile(r"[\w./-]+\.(?:py|md|toml|cff|csv|txt)|[\w.-]+/(?:[\w.-]+/)*")
MADE_BY_A_RUN = {
    "plots/", "cells/", "runs/", "report.md", "report.html", "report.json", "measurements.csv",
    "history.csv", "alignment.csv", "runs.csv", "train_after.csv", "steps.csv", "updates.csv",
}  # fmt: skip


def prose(text: str) -> str:
    """The page without its blocks of code, in which links and backticks mean other things."""
    return re.sub(r"```.*?```", "", text, flags=re.S)


def anchor(heading: str) -> str:
    """How GitHub calls a heading in links."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(h) for h in re.findall(r"^#+ (.+)$", prose(page.read_text()), flags=re.M)}


def broken_links(page: Path, text: str) -> list[str]:
    """Relative links of a page that lead nowhere: no such file, or no such heading in it."""
    broken = []
    for link in LINK.findall(prose(text)):
        if re.match(r"\w+:", link):
            continue
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (heading and heading not in anchors(target)):
            broken.append(link)
    return broken


def missing_files(text: str) -> list[str]:
    """Files and folders named in backticks that are neither here nor in the package."""
    names = {name for name in QUOTED.findall(prose(text)) if SOURCE.fullmatch(name)}
    roots = (ROOT, ROOT / "ntkalign", ROOT / "verification")
    return sorted(
        name for name in names - MADE_BY_A_RUN if not any((r / name).exists() for r in roots)
    )


def missing_imports(text: str) -> list[str]:
    """What the examples import from this package and it does not have."""
    wanted = [
        (node.module, alias.name)
        for block in re.findall(r"```python\n(.*?)```", text, flags=re.S)
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ntkalign")
        for alias in node.names
    ]
    return [
        f"{module}.{name}"
        for module, name in wanted
        if not hasattr(importlib.import_module(module), name)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_files_and_imports_exist(page):
    text = page.read_text()
    assert not broken_links(page, text)
    assert not missing_files(text)
    assert not missing_imports(text)


def test_a_broken_link_name_or_import_is_found():
    page = ROOT / "README.md"
    text = "[a](docs/nowhere.md) [b](docs/method.md#nothing) [c](docs/method.md#controls) [d](#no)"
    assert broken_links(page, text) == ["docs/nowhere.md", "docs/method.md#nothing", "#no"]
    assert missing_files("`rates.py`, `statistics/rates.py`, `flow/nothing/`") == [
        "flow/nothing/",
        "rates.py",
    ]
    example = "```python\nfrom ntkalign import Rule, Ruler\n```"
    assert missing_imports(example) == ["ntkalign.Ruler"]


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= README_WORDS


PAGES_OF_FLAGS = {("verify", "kernels"): "commands.md", ("experiment",): "experiments.md"}


def flags(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def test_the_page_of_commands_has_their_flags_and_no_others(capsys):
    for commands, page in PAGES_OF_FLAGS.items():
        for command in commands:
            with pytest.raises(SystemExit, match="0"):
                main([command, "--help"])
        known = flags(capsys.readouterr().out) - {"--help"}
        said = flags((ROOT / "docs" / page).read_text())
        assert said - {"--version", "--help"} == known
