"""What an earlier version stored is found again, and what of it is damaged is not."""

from __future__ import annotations

import hashlib
import json
import logging

import pytest

from ntkalign.runs.database import FILE
from ntkalign.runs.fingerprint import fingerprint
from ntkalign.runs.store import Store, here
from tests.runs.test_store import looked_up, made_up, needs, of, one, same

ASKED = needs(normal="weight-drift", fa="divergence")


def write_old(folder, **changes):
    """The file of one network, as the version before wrote it; its path and rows."""
    rows = made_up([])(one(), ASKED)
    content = {
        "specification": one().as_json(), "columns": rows[0]._fields,
        "digest": hashlib.sha256(json.dumps(rows).encode()).hexdigest(), "rows": rows,
    }  # fmt: skip
    path = folder / f"{fingerprint(one(), here())}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content | changes))
    return path


@pytest.mark.parametrize("below", ["", "cells"])
def test_networks_are_taken_over_once_and_their_files_stay(tmp_path, below, caplog):
    path = write_old(tmp_path / below)
    (tmp_path / "report.json").write_text("{}")
    calls = []
    with caplog.at_level(logging.WARNING):
        found = of(tmp_path, one(), ASKED, made_up(calls))
    assert not calls
    assert same(found, of(None, one(), ASKED, made_up([])))
    assert caplog.messages == [
        f"{tmp_path / FILE}: 1 networks of an earlier version are taken over"
    ]
    path.write_text("")  # it is not looked at again
    assert same(of(tmp_path, one(), ASKED, made_up(calls)), found)
    assert not calls


ROWS = json.loads(json.dumps(made_up([])(one(), ASKED)))
DAMAGE = {
    "a changed digit": {"rows": [[*ROWS[0][:-3], 0.125, 0.1, "ok"], *ROWS[1:]]},
    "a row fewer": {"rows": ROWS[:-1]},
    "rows of another length": {"rows": [row[:-1] for row in ROWS]},
    "no digest": {"digest": None},
    "another network's": {"specification": {"cell": {"family": "main", "width": 9, "seed": 0}}},
    "no network's": {"specification": {}},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_one_is_measured_again(tmp_path, damage, caplog):
    path = write_old(tmp_path, **DAMAGE[damage])
    calls = []
    with caplog.at_level(logging.WARNING):
        of(tmp_path, one(), ASKED, made_up(calls))
    assert len(calls) == 1
    assert caplog.messages == [f"{path} is damaged: its network is measured again"]


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', "[" * 100_000, "\0"])
def test_one_that_is_no_json_is_measured_again(tmp_path, content):
    write_old(tmp_path).write_text(content)
    with Store(tmp_path) as store:
        assert store.missing(one(), ASKED)
        looked_up(store, one(), ASKED, made_up([]))
