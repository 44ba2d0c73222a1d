"""``ntkalign store``: what is stored is told, checked, written out and removed; a run goes on."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3

import pandas as pd
import pytest

from ntkalign.cells.cell import Row
from ntkalign.cli.main import main
from ntkalign.runs.database import FILE, Database
from ntkalign.runs.hold import Hold
from ntkalign.runs.store import Store
from tests.runs.test_store import looked_up, made_up, needs, of, one

ASKED = needs(normal="weight-drift", fa="divergence")
OLD = "2020-01-01T00:00:00+00:00"


@pytest.fixture
def folder(tmp_path):
    """Two networks of this code, one of another, one of nobody knows what, in 2020."""
    folder = tmp_path / "run"
    with Store(folder) as store:
        for width in (8, 16):
            looked_up(store, one(width), ASKED, made_up([]))
    of(folder, one(32), ASKED, made_up([]), context={"sources": "other"})
    with contextlib.closing(Database(folder / FILE, writable=True)) as database:
        rows = made_up([])(one(64), ASKED)
        database.put("f" * 20, one(64).as_json(), None, rows, OLD)
    return folder


def said(capsys, *argv, status=0):
    """What a command prints; on stderr where it fails, in one line."""
    assert main(["store", *map(str, argv)]) == status
    out, err = capsys.readouterr()
    if status:
        assert not out
        assert err.count("\n") == 1
    else:
        assert not err
    return " ".join((err if status else out).split())


def damage(folder):
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("UPDATE records SET rows = replace(rows, '0.1', '0.2') WHERE rule = 'fa'"
                           " AND network = ?", ("f" * 20,))  # fmt: skip


def widths(folder):
    with contextlib.closing(Database(folder / FILE)) as database:
        return sorted(n.specification["cell"]["width"] for n in database.networks())


def test_list_tells_networks_by_kind_size_and_code(folder, capsys):
    text = said(capsys, "list", folder)
    assert "theory mlp, main 8 1 5 this 20" in text
    assert "theory mlp, main 32 1 5 another 20" in text
    assert "theory mlp, main 64 1 5 unknown 2020-01-01 00:00" in text
    assert "4 networks, " in text
    assert "damaged" not in text
    damage(folder)
    assert f"damaged, and measured again by the next run: network {'f' * 20}, rule fa" in said(
        capsys, "list", folder
    )


def test_check_finds_a_changed_digit(folder, capsys):
    assert "whole, 4 networks, 8 records" in said(capsys, "check", folder)
    damage(folder)
    text = said(capsys, "check", folder, status=2)
    assert f"got 1 damaged records (network {'f' * 20}, rule fa); because each has a digest" in text
    assert "0 networks and 1 damaged records removed" in said(capsys, "prune", folder, "--damaged")
    assert "whole, 4 networks, 7 records" in said(capsys, "check", folder)


@pytest.mark.parametrize(
    ("statement", "fault", "left"),
    [
        ("UPDATE contexts SET context = context || ' '", "what computed it", [64]),
        ("UPDATE networks SET specification = specification || ' '", "what it is", []),
        ("UPDATE records SET rows = rows || ' '", "rule fa", []),
    ],
)
def test_what_check_finds_prune_mends(folder, capsys, statement, fault, left):
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute(statement)
    assert fault in said(capsys, "check", folder, status=2)
    said(capsys, "prune", folder, "--damaged")
    assert f"whole, {len(left)} networks" in said(capsys, "check", folder)
    assert widths(folder) == left


def test_export_writes_what_is_stored_and_nothing_that_is_damaged(folder, tmp_path, capsys):
    text = said(capsys, "export", folder, "--to", tmp_path / "all.csv")
    assert text.endswith("all.csv: 4 networks")
    table = pd.read_csv(tmp_path / "all.csv")
    assert list(table.columns) == ["network", "experiment", *Row._fields]
    assert len(table) == 20
    assert table["value"].isna().sum() == 4
    said(capsys, "export", folder, "--to", tmp_path / "all.json")
    whole = json.loads((tmp_path / "all.json").read_text())
    assert len(whole["networks"]) == 4
    by_width = {n["specification"]["cell"]["width"]: n for n in whole["networks"]}
    assert by_width[32]["context"] == {"sources": "other"}
    assert by_width[64]["measured"] == {"fa": OLD, "normal": OLD}
    assert {len(n["rows"]) for n in whole["networks"]} == {5}
    rows = [row for network in whole["networks"] for row in network["rows"]]
    assert {row[7] for row in rows if row[5] == "divergence-relative"} == {None}
    damage(folder)
    text = said(capsys, "export", folder, "--to", tmp_path / "all.csv")
    assert f"damaged and left out: network {'f' * 20}, rule fa" in text
    assert len(pd.read_csv(tmp_path / "all.csv")) == 17


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        (("--other-code",), [8, 16, 64]),
        (("--older-than", "90"), [8, 16, 32]),
        (("--older-than", "90", "--other-code"), [8, 16]),
        (("--older-than", "99999"), [8, 16, 32, 64]),
        (("--damaged",), [8, 16, 32, 64]),
    ],
)
def test_prune_removes_what_it_is_told_to(folder, capsys, flags, left):
    text = said(capsys, "prune", folder, *flags)
    assert f"{4 - len(left)} networks and 0 damaged records removed" in text
    assert widths(folder) == left
    calls = []
    of(folder, one(8), ASKED, made_up(calls))
    assert not calls  # what is left is found


def test_all_but_prune_go_on_while_a_run_has_the_folder(folder, tmp_path, capsys):
    with Hold(folder):
        said(capsys, "list", folder)
        said(capsys, "check", folder)
        said(capsys, "export", folder, "--to", tmp_path / "all.csv")
        text = said(capsys, "prune", folder, "--other-code", status=2)
    assert "must be written by one run at a time; got one that process" in text
    assert widths(folder) == [8, 16, 32, 64]


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("lisst",), "ACTION (lisst) must be one of list, check, export, prune; .* 'list'"),
        (("list", "a", "b"), "FLAGS .* must be ntkalign store list|check|export|prune .* 'b'"),
        (("list", "nowhere"), "DIR .* must hold a store .* got nothing there"),
        (("check", "nowhere"), "got nothing there"),
        (("prune", "nowhere", "--damaged"), "got nothing there"),
        (("export", "nowhere", "--to", "all.csv"), "got nothing there"),
        (("export", "nowhere"), "--to .* must be given with export, .* got nothing"),
        (("export", "nowhere", "--to", "all.xls"), "--to .* must end in .csv or .json; got '.xls'"),
        (("list", "--to", "all.csv"), "--to .* must be given with export, .* got it with list"),
        (("prune", "nowhere"), "must say with prune, and only there, what is removed; got nothing"),
        (("list", "--damaged"), "must say with prune, and only there, what is removed; got it"),
        (("prune", "nowhere", "--older-than", "-1"), "--older-than .* must be positive"),
        (
            ("prune", "nowhere", "--older-than", "nan"),
            "--older-than .* must be positive",
        ),
        (("prune", "nowhere", "--older-than", "x"), "FLAGS .* must be flags of this command"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(argv, told, tmp_path, capsys):
    argv = [str(tmp_path / word) if word == "nowhere" else word for word in argv]
    assert re.search(" .*".join(map(re.escape, told.split(" .*"))), said(capsys, *argv, status=2))
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_said_and_left_where_it_is(tmp_path, capsys):
    (tmp_path / FILE).write_text("no database")
    for argv in (("list",), ("check",), ("prune", "--damaged")):
        text = said(capsys, argv[0], tmp_path, *argv[1:], status=2)
        assert "got a damaged one (file is not a database)" in text
    assert (tmp_path / FILE).read_text() == "no database"
