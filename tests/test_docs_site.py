"""The site's sources: pages are reachable, nothing is forgotten, equations need no network.

The site itself is built, and its notebooks and examples run, by ``make docs``.
"""

from __future__ import annotations

import ast
import fnmatch
import importlib
import re
import sys
from pathlib import Path

import pytest

import ntkalign

sphinx = pytest.importorskip("sphinx.errors")
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
NOTEBOOKS = {
    "sharp": "Is this bound sharp?",
    "breaks": "When does the theory break?",
    "alignment": "Alignment during training",
    "new_rule": "A new learning rule in ten minutes",
}
UNTOLD = {
    "cells", "cli", "databases", "experiments", "files", "machine", "programs", "version",
    "values", "__main__",
}  # fmt: skip
"""Of the package's folders and files: what nobody imports to use it."""


@pytest.fixture(scope="module")
def extension():
    """Imports one of the site's extensions."""
    sys.path.insert(0, str(DOCS / "extensions"))
    yield importlib.import_module
    sys.path.remove(str(DOCS / "extensions"))


# --- pages ----------------------------------------------------------------------------------


def name_of(page: Path) -> str:
    """What a toctree calls a page."""
    return f"/{page.relative_to(ROOT).with_suffix('').as_posix()}"


def entries(page: Path) -> list[str]:
    """Every entry of the page's toctrees, from the root; patterns among them."""
    found = []
    for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), flags=re.S):
        for line in block.splitlines():
            if line and not line.startswith(":"):
                entry = re.sub(r"^.*<(.*)>$", r"\1", line)
                at = name_of(page).rpartition("/")[0]
                found.append(entry if entry.startswith("/") else f"{at}/{entry}")
    return found


def unreachable(pages: list[Path]) -> list[str]:
    """Pages that no toctree of them names."""
    listed = [entry for page in pages for entry in entries(page)]
    names = [name_of(page) for page in pages]
    return [n for n in names if not any(fnmatch.fnmatchcase(n, entry) for entry in listed)]


def test_every_page_is_in_a_toctree():
    others = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    others += [*(ROOT / "benchmarks").glob("*.md"), *(ROOT / "figures").rglob("*.md")]
    others = [page for page in others if "latest" not in page.parts]
    assert unreachable([*PAGES, *others]) == ["/docs/index"]


def test_a_page_that_is_forgotten_is_found():
    without = [page for page in PAGES if page.name != "paper.md"]
    assert "/docs/experiments/table1" in unreachable(without)


def test_what_toctrees_name_exists():
    for page in PAGES:
        for entry in entries(page):
            if not set(entry) & set("*?["):
                assert (ROOT / f"{entry[1:]}.md").is_file(), f"{page.name}: {entry}"


# --- notebooks ------------------------------------------------------------------------------


def cells(text: str) -> list[str]:
    """The code of a notebook, without what only IPython understands."""
    found = re.findall(r"```\{code-cell\}\n(?:---\n.*?\n---\n)?(.*?)```", text, flags=re.S)
    return [re.sub(r"^%.*$", "", code, flags=re.M) for code in found]


def test_there_are_the_four_notebooks_and_no_others():
    titles = {
        page.stem: re.search(r"^# (.+)$", page.read_text(), flags=re.M)[1]
        for page in (DOCS / "notebooks").glob("*.md")
    }
    assert titles == NOTEBOOKS


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_text_that_can_be_executed_in_a_short_form(name):
    text = (DOCS / "notebooks" / f"{name}.md").read_text()
    assert text.startswith("---\nfile_format: mystnb\nkernelspec:\n  name: python3\n")
    assert 'short = os.environ.get("NTKALIGN_SHORT") == "1"' in text
    code = "\n".join(cells(text))
    wanted = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("ntkalign")
        for alias in node.names
    ]
    assert wanted
    for module, thing in wanted:
        assert hasattr(importlib.import_module(module), thing), f"{module}.{thing}"


def test_the_theory_is_broken_in_all_four_ways():
    text = (DOCS / "notebooks" / "breaks.md").read_text()
    headings = " ".join(re.findall(r"^## (.+)$", text, flags=re.M))
    for way in ("A kink", "a layer that does not grow", "Long training", "Large learning rates"):
        assert way in headings


# --- the API --------------------------------------------------------------------------------


def documented() -> set[str]:
    """Modules that have a section."""
    text = "\n".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    return set(re.findall(r"^\.\. automodule:: (\S+)$", text, flags=re.M))


def test_every_public_name_has_an_entry_and_a_section():
    listed = re.findall(r"^   ~(\S+)$", (DOCS / "api" / "index.md").read_text(), flags=re.M)
    homes = {name.rpartition(".")[2]: name.rpartition(".")[0] for name in listed}
    assert set(homes) == set(ntkalign.__all__)
    sections = documented()
    for name, home in homes.items():
        module = importlib.import_module(f"ntkalign.{home}")
        assert getattr(module, name) is getattr(ntkalign, name)
        assert f"ntkalign.{home}" in sections or home == "version", name


def test_what_has_a_section_can_be_imported_and_no_folder_is_forgotten():
    sections = documented()
    for name in sections:
        importlib.import_module(name)
    told = {name.split(".")[1] for name in sections}
    there = {
        path.stem
        for path in (ROOT / "ntkalign").iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").is_file()) and path.stem != "__init__"
    }
    assert there - told - UNTOLD == set()


def test_docstrings_keep_the_papers_symbols(extension):
    docstrings = extension("docstrings")
    escaped = docstrings.escaped
    assert escaped("W*_l − W_l^0, max_x |f^t| of ``a*b``, *not* m_") == (
        r"W\*_l − W_l^0, max_x \|f^t\| of ``a*b``, *not* m\_"
    )
    text = "It is\n\n    W* = 1\n\nhere.\n\nArgs:\n    x: of f*.\n\n        more"
    assert "\n\n".join(docstrings.paragraphs(text)) == (
        "It is\n\n::\n\n    W* = 1\n\nhere.\n\nArgs:\n    x: of f\\*.\n\n        more"
    )


def test_signatures_are_those_of_the_source(extension):
    made, answer = extension("docstrings").on_signature(
        None, "class", "", ntkalign.Rule, None, "(draw=<function>)", None
    )
    assert made.startswith(
        "(name: str, feedback: Feedback, activity: Activity, draw: Callable[[Key"
    )
    assert "= _nothing_fixed, error: Literal['own', 'normal'] = 'own'" in made
    assert answer is None


# --- the gallery ----------------------------------------------------------------------------


def test_every_plot_is_in_the_gallery(extension):
    described = extension("gallery").described
    shown = re.findall(r"^```\{plots\} (\S+)$", (DOCS / "gallery.md").read_text(), flags=re.M)
    there = {path for path in (ROOT / "figures").rglob("plots/*.svg") if "latest" not in path.parts}
    kept = {path: text for folder in shown for path, text in described(ROOT / folder).items()}
    assert set(kept) == there, "add its folder to docs/gallery.md"
    assert all(kept.values())


def test_a_plot_that_its_report_lacks_is_shown_all_the_same(extension, tmp_path):
    (tmp_path / "plots").mkdir()
    for name in ("b-c", "a"):
        (tmp_path / "plots" / f"{name}.svg").touch()
    (tmp_path / "report.md").write_text("![what a is](plots/a.svg) ![gone](plots/gone.svg)")
    found = extension("gallery").described(tmp_path)
    assert {path.name: text for path, text in found.items()} == {
        "a.svg": "what a is",
        "b-c.svg": "b c",
    }


# --- offline --------------------------------------------------------------------------------


def formulas(text: str) -> list[str]:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)
    return re.findall(r"\$\$(.+?)\$\$", text, flags=re.S) + re.findall(r"\$([^$\n]+)\$", text)


def test_every_formula_becomes_mathml(extension):
    mathml = extension("offline_math").mathml
    found = [f for page in PAGES for f in formulas(page.read_text())]
    assert len(found) > 20
    for latex in found:
        made = mathml(latex, "block")
        assert made.startswith("<math aria-label=")
        assert "\\" not in made.partition(">")[2], latex


@pytest.mark.parametrize("latex", [r"\begin{aligned} a &= b \\ c &= d \end{aligned}", r"\frac"])
def test_what_cannot_be_shown_is_refused(extension, latex):
    with pytest.raises(sphinx.ExtensionError, match="no MathML for the"):
        extension("offline_math").mathml(latex, "block")


LOADS = (
    '<script src="https://cdn.example.org/a.js">',
    "<script async src=//example.org/a.js>",
    '<link rel="stylesheet" href="https://example.org/a.css">',
    '<img alt="" src="http://example.org/a.png">',
    "<style>@font-face { src: url('https://example.org/a.woff2') }</style>",
    "<style>@import 'https://example.org/a.css';</style>",
)
LOADS_NOT = (
    '<a href="https://example.org">',
    '<img src="../_images/a.svg">',
    '<link rel="canonical" href="https://example.org/page">',
    "<script>var x = 'https://example.org'</script>",
)


def test_a_page_that_loads_something_from_elsewhere_is_found(extension, tmp_path):
    for number, text in enumerate(LOADS + LOADS_NOT):
        (tmp_path / f"{number}.html").write_text(f"<html>{text}</html>")
    found = extension("offline_pages").loaded_from_elsewhere(tmp_path)
    assert [line.partition(".")[0] for line in found] == [str(n) for n in range(len(LOADS))]
