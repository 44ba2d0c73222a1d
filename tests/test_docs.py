"""What the docs name exists, and the README stays short."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from ntkalign.cli.main import main
from ntkalign.experiments.catalogue import EXPERIMENTS
from ntkalign.experiments.comparison import Cell

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]
)
README_WORDS = 550
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
QUOTED = re.compile(r"`([^`\n]+)`")
SOURCE = re.compile(r"[\w./-]+\.(?:py|md|toml|cff|csv|txt)|[\w.-]+/(?:[\w.-]+/)*")
MADE_BY_A_RUN = {
    "plots/", "cells/", "store.sqlite", "runs/", "report.md", "report.html", "report.json",
    "measurements.csv", "trained.sqlite",
    "history.csv", "history.csv.gz", "alignment.csv", "curve.csv", "runs.csv", "train_after.csv",
    "steps.csv", "updates.csv", "differences.csv",
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


PAGES_OF_FLAGS = {("verify", "kernels", "store"): "commands.md", ("experiment",): "experiments.md"}


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


# --- pages of experiments -------------------------------------------------------------------


@pytest.fixture(scope="module")
def script():
    """What makes parts of these pages."""
    path = ROOT / "docs" / "experiments" / "make.py"
    spec = importlib.util.spec_from_file_location("make_pages_of_experiments", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def parts(script):
    return script.made_parts()


@pytest.fixture
def copied(tmp_path):
    return shutil.copytree(ROOT / "docs", tmp_path / "docs")


def test_every_experiment_has_a_page_with_words_of_its_own():
    pages = {page.stem: page.read_text() for page in (ROOT / "docs" / "experiments").glob("*.md")}
    assert set(pages) == set(EXPERIMENTS)
    for name, text in pages.items():
        by_hand = text[: text.index("<!--")]
        kind, number = re.fullmatch(r"(table|figure)(\d+)", name).groups()
        assert by_hand.startswith(f"# {kind.capitalize()} {number}: ")
        assert len(by_hand.split()) > 25


def test_what_is_made_of_the_pages_is_current(script, parts):
    assert script.stale(parts) == [], "do: make docs-experiments"


@pytest.mark.parametrize("name", ["experiments.md", "experiments/table6.md"])
def test_a_page_with_another_number_is_stale_and_is_made_anew(script, parts, copied, name):
    page = copied / name
    text = page.read_text()
    at = re.search(r"\d", text[text.index(script.BEGIN) :].partition("|")[2]).start()
    at += text.index("|", text.index(script.BEGIN)) + 1
    page.write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :])
    assert script.stale(parts, copied) == [name]
    script.write(parts, copied)
    assert page.read_text() == text


def test_words_by_hand_are_kept_and_a_page_without_a_place_is_refused(script, parts, copied):
    page = copied / "experiments" / "table8.md"
    page.write_text(page.read_text().replace("# Table 8", "# The eighth table"))
    assert script.stale(parts, copied) == []
    page.write_text(page.read_text().replace(script.END, ""))
    assert script.stale(parts, copied) == ["experiments/table8.md"]
    with pytest.raises(script.UnwritableError, match=r"table8\.md: needs one line"):
        script.write(parts, copied)
    page.unlink()
    assert script.stale(parts, copied) == ["experiments/table8.md"]
    with pytest.raises(script.UnwritableError, match=r"table8\.md: missing"):
        script.write(parts, copied)


def test_check_names_stale_pages_in_one_line(script, parts, monkeypatch, capsys):
    monkeypatch.setattr(script, "made_parts", lambda: parts)
    assert script.main(["--check"]) == 0
    wrong = {name: f"{part}!" if "table7" in name else part for name, part in parts.items()}
    monkeypatch.setattr(script, "made_parts", lambda: wrong)
    assert script.main(["--check"]) == 1
    told = "stale: docs/experiments/table7.md; do: python docs/experiments/make.py\n"
    assert capsys.readouterr().err == told


def kept(folder, name, scale, cells, **entry):
    """A report as a command leaves it, as far as pages read it."""
    folder.mkdir()
    told = {
        "config": {"scale": scale},
        "environment": {"seconds": 61.0, "device": "cpu"},
        "experiments": [{"name": name, "cells": [cell.as_json() for cell in cells]} | entry],
    }
    (folder / "report.json").write_text(json.dumps(told))


def test_our_numbers_stand_below_the_papers(script, tmp_path):
    def cell(width, ours, spread=None):
        return Cell({"rule": "normal", "width": width}, "test_accuracy", None, ours, spread, 5)

    statement = EXPERIMENTS["table2"].trends[0].statement
    trend = {"statement": statement, "verdict": "holds", "reason": "in 1 of 1 pairs"}
    kept(tmp_path / "few", "table2", "small", [cell(8, 0.1234)])
    kept(
        tmp_path / "many", "table2", "paper", [cell(256, 0.6, 0.0123)], trends=[trend],
        differences=["epochs 9; the paper: 150."],
    )  # fmt: skip
    kept(tmp_path / "other", "table6", "paper", [cell(256, 0.6)])
    (tmp_path / "many" / "plots").mkdir()
    for plot in ("table2-paper", "table2-widths", "table20-paper"):
        (tmp_path / "many" / "plots" / f"{plot}.svg").touch()
    runs = script.runs_of(EXPERIMENTS["table2"], tmp_path)
    assert [run.name for run in runs] == ["many", "few"]
    page = script.made_page(EXPERIMENTS["table2"], runs)
    assert "| | | ×8 | ×256 |" in page
    rows = (
        "| Normal | the paper |  | 63.1 |\n|  | many |  | 60.0 ± 1.2 (-3.1) |\n|  | few | 12.3 |  |"
    )
    assert rows in page
    assert "many has 1 of the paper's numbers: 0 within 1 %, 1 within 5 %, 1 within 10 %." in page
    assert "few has" not in page
    assert "  - epochs 9; the paper: 150.\n" in page
    assert f"| {statement} | holds: in 1 of 1 pairs |  |" in page
    assert "many/plots/table2-paper.svg" in page
    assert "many/plots/table2-widths.svg" in page
    assert "table20" not in page


def test_a_run_that_diverged_is_said_to(script, tmp_path):
    cells = [Cell({"rule": "normal", "width": 8}, "test_accuracy", None, None)]
    kept(tmp_path / "run", "table6", "paper", cells)
    page = script.made_page(EXPERIMENTS["table6"], script.runs_of(EXPERIMENTS["table6"], tmp_path))
    assert "| Normal | the paper | 54.8 | 61.0 |" in page
    assert "|  | run | diverged |  |" in page


def test_what_goes_on_in_time_has_a_table_for_each_run(script, tmp_path):
    for width, epochs in ((16, 4), (512, 300)):
        cells = [
            Cell({"data": "KMNIST", "width": width, "layer": 1, "epoch": e}, "score", None, 1 / e)
            for e in range(1, epochs + 1)
        ]
        kept(tmp_path / f"run{width}", "figure8", "paper", cells)
    page = script.made_page(
        EXPERIMENTS["figure8"], script.runs_of(EXPERIMENTS["figure8"], tmp_path)
    )
    assert (
        "### alignment score, KMNIST: run16\n\n| | epoch 1 | epoch 2 | epoch 3 | epoch 4 |" in page
    )
    (last,) = re.findall(r"\| layer 1 \|.* 0.003 \|", page)
    assert last.count("|") == 12


def test_a_figure_says_which_table_has_its_numbers_until_it_has_a_run(script, tmp_path):
    figure = EXPERIMENTS["figure4"]
    page = script.made_page(figure, [])
    assert "[table6](table6.md#numbers), [table7](table7.md#numbers)." in page
    assert "54.8" not in page
    cells = [Cell({"data": "CIFAR-10", "rule": "fa", "width": 8}, "test_accuracy", None, 0.3)]
    kept(tmp_path / "run", "figure4", "paper", cells)
    assert "54.8" in script.made_page(figure, script.runs_of(figure, tmp_path))
