"""What is measured of a network that was kept is what would be measured if it were trained."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
import sqlite3
from dataclasses import replace

import pytest

from ntkalign import InputError, Settings, verify
from ntkalign.cells.flow import Trial, measure_cell
from ntkalign.cells.trained import FILE, Trained, Which
from ntkalign.cli.main import main
from ntkalign.rules import ALIGN_ADA, NORMAL
from ntkalign.runs import suite
from ntkalign.runs.fingerprint import DECIDING_FLOWS, package, sources
from tests.cases import needs_dense
from tests.runs.test_store import SETTINGS, made_up, needs, one, same

FIRST = needs(normal="weight-drift", align_ada="weight-drift")
LATER = needs(
    normal="discrepancy score", align_ada="divergence discrepancy", align_zero="divergence"
)
ASKED = needs(normal="weight-drift")


@pytest.fixture
def trained(monkeypatch):
    """The names of rules that trained."""
    names, solve = [], Trial.solve
    monkeypatch.setattr(
        Trial,
        "solve",
        lambda self, which, *how: names.append(which.rule.name) or solve(self, which, *how),
    )
    return names


@needs_dense
@pytest.mark.parametrize("network", [one(width=600), one(engine="dense")], ids=["wide", "dense"])
def test_a_new_quantity_trains_nothing_and_is_the_same_bit_for_bit(network, tmp_path, trained):
    kept = Trained(tmp_path / FILE, "this code")
    first = measure_cell(network, FIRST, trained=kept)
    assert same(first, measure_cell(network, FIRST))
    expected = measure_cell(network, LATER)
    trained.clear()
    found = measure_cell(network, LATER, trained=kept)
    # align-zero is new: it starts from gradient descent, which is read
    assert trained == ["align-zero"] * 2
    assert same(found, expected)
    trained.clear()
    assert same(measure_cell(network, LATER, trained=kept), expected)
    assert not trained


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with the flows of one network by gradient descent."""
    folder = tmp_path_factory.mktemp("kept")
    measure_cell(one(), ASKED, trained=Trained(folder / FILE, "this code"))
    return folder


def found(folder, network, rule=NORMAL, context="this code"):
    which = Which(rule, network.ladder)
    return Trained(folder / FILE, context).find(network, Trial.of(network).problem, which, ())


def test_another_network_code_or_rule_is_another_record(kept):
    assert found(kept, one())  # the control
    assert found(kept, replace(one(), experiment="proof"))  # what is measured trains nothing
    assert not found(kept, one(), context="another")
    assert not found(kept, one(), rule=ALIGN_ADA)
    assert not found(kept, one(), rule=replace(NORMAL, title="mine"))
    for changed in (one(width=16), replace(one(), times=(0.5, 1.0)), one(tolerance=1e-4)):
        assert not found(kept, changed)


DAMAGE = {
    "a number": "UPDATE arrays SET content = zeroblob(length(content)) WHERE number = 1",
    "an array less": "DELETE FROM arrays WHERE number = 2",
    "the text": "UPDATE flows SET text = replace(text, 'REACHED', 'GREW')",
    "the digest": "UPDATE flows SET digest = ''",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_none_with_a_message(damage, kept, tmp_path, caplog):
    shutil.copy(kept / FILE, tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        assert connection.execute(DAMAGE[damage]).rowcount
    with caplog.at_level(logging.WARNING):
        assert not found(tmp_path, one())
    assert "a trained network is damaged, and trained again" in caplog.text


def test_what_is_kept_takes_the_place_of_what_was_damaged(kept, tmp_path, trained):
    shutil.copy(kept / FILE, tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute(DAMAGE["an array less"])
    for expected in (["normal"] * 2, []):
        trained.clear()
        measure_cell(one(), ASKED, trained=Trained(tmp_path / FILE, "this code"))
        assert trained == expected


def test_a_damaged_file_is_set_aside_and_another_is_begun(tmp_path, caplog):
    (tmp_path / FILE).write_text("no database" * 100)
    kept = Trained(tmp_path / FILE, "c")
    with caplog.at_level(logging.WARNING):
        rows = measure_cell(one(), ASKED, trained=kept)
    assert "(file is not a database): it is set aside as trained.damaged-1.sqlite" in caplog.text
    assert (tmp_path / "trained.damaged-1.sqlite").read_text() == "no database" * 100
    caplog.clear()
    assert measure_cell(one(), ASKED, trained=kept) == rows
    assert not caplog.text  # what was kept is found


def test_a_run_says_where_networks_are_kept_and_a_fresh_one_finds_none(tmp_path, monkeypatch):
    told = []

    def measure(specification, needs, **given):
        told.append(given)
        return made_up([])(specification, needs)

    monkeypatch.setattr(suite, "measure_cell", measure)
    settings = Settings(data="sphere", points=2, widths=(4, 8, 16), seeds=2, depth=2, time=1.0)
    claims = ["alignment-score"]
    verify(settings, claims=claims)
    assert not any(told)  # the control
    for fresh in (False, True):
        told.clear()
        folder = tmp_path / str(fresh)
        verify(settings, claims=claims, cells=folder, fresh=fresh, keep_trained=True)
        (kept,) = {given["trained"] for given in told}
        assert (kept.path, kept.fresh) == (folder / FILE, fresh)
        assert json.loads(kept.context)["sources"] == sources(package(), DECIDING_FLOWS)


def test_where_nothing_could_be_kept_it_is_refused(tmp_path, capsys):
    with pytest.raises(InputError, match=r"keep_trained .* not those of kernels; got no folder"):
        verify(SETTINGS, keep_trained=True)
    out = ["--out", str(tmp_path / "out"), "--keep-trained"]
    small = ["--points", "4", "--widths", "4,8,16", "--time", "1"]
    assert main(["kernels", *small, *out]) == 2
    assert re.search(r"--keep-trained .* got it for kernels; because", capsys.readouterr().err)
    assert main(["verify", *out, "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert re.search(r"--keep-trained .* workers of this machine only", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()
