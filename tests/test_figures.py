"""What `make figures` says of a reference that has changed, and that each one names its command."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from ntkalign.cli.flags import KernelsFlags, VerifyFlags, parse

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make_figures", ROOT / "figures" / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pair(make, tmp_path):
    """A reference, and the same made again."""
    for name in ("old", "new"):
        shutil.copytree(
            ROOT / "figures" / "kernels", tmp_path / name, ignore=shutil.ignore_patterns("cells")
        )
    return tmp_path / "old", tmp_path / "new"


def edit(folder, change):
    report = json.loads((folder / "report.json").read_text())
    change(report)
    (folder / "report.json").write_text(json.dumps(report))


def edit_table(folder, change):
    table = pd.read_csv(folder / "measurements.csv")
    change(table).to_csv(folder / "measurements.csv", index=False)


def with_value(table, factor):
    table.loc[table.index[table["error"] > 0][0], "value"] *= factor  # of what has an error
    return table


def test_each_report_stands_beside_the_command_that_made_it(make):
    made = {p.parent for p in (ROOT / "figures").glob("*/report.json")} - {ROOT / "figures/latest"}
    assert made == set(make.references().values())
    for folder in made:
        program, command, *words = make.command_of(folder)
        assert (program, command in ("verify", "kernels", "proof")) == ("ntkalign", True)
        config = json.loads((folder / "report.json").read_text())["config"]
        if "--plugin" in words or command == "proof":
            continue
        flags = {"verify": VerifyFlags, "kernels": KernelsFlags}[command]
        asked = parse(flags, words, "ntkalign").settings().as_json()
        wrong = {n: (v, config[n]) for n, v in asked.items() if n in config and config[n] != v}
        found_later = {"data", "time", "inputs", "outputs", "steps", "data_dir"}
        assert not {n: pair for n, pair in wrong.items() if not (n in found_later and not pair[0])}


def test_what_is_made_again_alike_is_no_change(make, pair):
    assert list(make.changes(*pair)) == []
    edit_table(pair[1], lambda t: with_value(t, 1 + 1e-14))
    assert list(make.changes(*pair)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda t: with_value(t, 1.001),
            r"1 of \d+ numbers differ, by 0.001 at most.*; 1 by",
        ),
        (lambda t: with_value(t, 1 + 1e-11), r"1 of \d+ numbers differ.*; 0 by more"),
        (lambda t: t.drop(index=5), r"1 rows are gone: "),
        (lambda t: pd.concat([t, t.iloc[[5]].assign(seed=99)]), r"1 rows are new: "),
        (lambda t: t.assign(status=["lost", *t["status"][1:]]), r"1 rows have another status, "),
    ],
    ids=["value", "last digits", "gone", "new", "status"],
)
def test_a_changed_table_is_said(make, pair, change, said):
    edit_table(pair[1], change)
    (line,) = make.changes(*pair)
    assert re.match(said, line)


def test_what_a_flow_took_is_not_beyond_an_error(make, pair):
    def change(table):
        table.loc[table["quantity"] == "estimated-error", "value"] *= 2
        return table

    edit_table(pair[1], change)
    (line,) = make.changes(*pair)
    assert line.endswith("; 0 by more than their stated errors")


def test_a_changed_verdict_a_lost_claim_and_a_lost_plot_are_said(make, pair):
    def change(report):
        report["claims"][0]["verdict"] = "refuted"
        del report["controls"][-1]

    edit(pair[1], change)
    plot = next((pair[1] / "plots").glob("*.svg"))
    plot.unlink()
    found = list(make.changes(*pair))
    assert len(found) == 3
    assert "verdict was holds, is refuted" in found[0]
    assert found[1].endswith("is gone")
    assert found[2] == f"plot {plot.name} is gone"


def test_references_are_replaced_when_all_are_made_unless_they_are_only_checked(
    make, pair, tmp_path, monkeypatch, capsys
):
    """The program is stood in for by one that writes a report whose first value differs."""
    old, new = pair
    (old / "command.txt").write_text("# what a person would type\nntkalign kernels --fresh\n")
    edit_table(new, lambda t: with_value(t, 2))
    (new / "report.html").write_text("a page")
    stand_in = tmp_path / "ntkalign.py"
    monkeypatch.setattr(make, "ROOT", tmp_path / "figures")
    both = tmp_path / "figures" / "first", tmp_path / "figures" / "second"
    for folder in both:
        shutil.copytree(old, folder)
    monkeypatch.setattr(make, "references", lambda: {folder.name: folder for folder in both})
    first, before = both[0] / "measurements.csv", (old / "measurements.csv").read_bytes()
    stand_in.write_text(
        "import pathlib, shutil, sys\n"
        f"assert pathlib.Path({str(first)!r}).read_bytes() == {before!r}\n"
        f"shutil.copytree({str(new)!r}, sys.argv[-1])\n"
    )
    assert make.main(["--check"]) == 1
    assert first.read_bytes() == before
    assert make.main([]) == 1
    assert capsys.readouterr().out.count("first: 1 of ") == 2
    for folder in both:
        assert (folder / "measurements.csv").read_bytes() == (new / "measurements.csv").read_bytes()
        assert not (folder / "report.html").exists()
        out = json.loads((folder / "report.json").read_text())["config"]["out"]
        assert out == f"figures/{folder.name}"
    stand_in.write_text(f"import shutil, sys; shutil.copytree({str(new)!r}, sys.argv[-1])")
    assert make.main([]) == 0


def test_what_is_finished_is_kept_if_a_later_command_fails(make, pair, monkeypatch):
    monkeypatch.setattr(make, "references", lambda: dict(zip(("old", "bad"), pair, strict=True)))
    monkeypatch.setattr(make, "make", lambda folder, out: (2 * (out.name == "bad"), []))
    monkeypatch.setattr(make, "replace", lambda folder, out: replaced.append(out.name))
    replaced = []
    assert make.main(["old", "bad"]) == 3
    assert replaced == ["old"]


def test_a_name_that_is_none_and_a_command_that_fails_are_said(make, monkeypatch, capsys):
    assert make.main(["nothing"]) == 2
    assert (
        "NAME (nothing) must be one of chizat2019, convolutional, default"
        in capsys.readouterr().err
    )
    monkeypatch.setattr(make, "make", lambda *_: (2, []))
    assert make.main(["default"]) == 3
    assert (
        "default: the command failed with status 2; it is not replaced" in capsys.readouterr().out
    )


def test_the_exit_status_says_whether_anything_changed(make, monkeypatch, capsys):
    for found, status in (([], 0), (["plot a.svg is new"], 1), (["one", "two"], 1)):
        monkeypatch.setattr(make, "make", lambda *_, found=found: (0, found))
        assert make.main(["--check", "default", "kernels"]) == status
        out = capsys.readouterr().out
        assert all(line in out for line in found or ["every number and verdict is as it was"])
