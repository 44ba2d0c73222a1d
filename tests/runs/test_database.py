"""A record is what was written, or none; a damaged file is set aside; an interrupt leaves all."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import signal
import sqlite3
import subprocess
import sys

import pytest

from ntkalign import InputError
from ntkalign.cells.cell import Row
from ntkalign.files import CannotWriteError
from ntkalign.runs import database as module
from ntkalign.runs.database import FILE, MIGRATIONS, Database, Network

SPECIFICATION = {"experiment": "theory", "cell": {"family": "main", "width": 8, "seed": 0}}
CONTEXT = {"sources": "abc", "devices": ["cpu"]}
WHEN = "2026-01-01T00:00:00+00:00"


def rows(rule="normal", count=3):
    """NaN, the smallest number, and one that few decimals do not hold among them."""
    values = [math.nan, 5e-324, 0.1 + 0.2, -0.0, math.inf]
    return [
        Row("main", 8, 0, rule, layer or None, "weight-drift", None if layer else 0.3, value, 0.1,
            "ok" if math.isfinite(value) else "dead «unité»")
        for layer, value in enumerate(values[:count])
    ]  # fmt: skip


def same(ours, theirs):
    return list(map(repr, ours)) == list(map(repr, theirs))


@contextlib.contextmanager
def opened(folder, writable=True):
    with contextlib.closing(Database(folder / FILE, writable=writable)) as database:
        yield database


@pytest.fixture
def stored(tmp_path):
    """A folder with the records of three networks, by two rules."""
    with opened(tmp_path) as database:
        for name in ("a" * 20, "b" * 20, "c" * 20):
            database.put(name, SPECIFICATION, CONTEXT, rows("fa") + rows("normal"), WHEN)
    return tmp_path


def change(folder, statement, *values):
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection, connection:
        assert connection.execute(statement, values).rowcount


def test_what_is_stored_comes_back_bit_for_bit(tmp_path):
    with opened(tmp_path) as database:
        database.put("a", SPECIFICATION, CONTEXT, rows(count=5), WHEN)
        assert same(database.rows("a", SPECIFICATION), rows(count=5))
        assert database.rows("b", SPECIFICATION) == []
        database.put("a", SPECIFICATION, CONTEXT, rows("fa"), WHEN)  # one more rule
        database.put("a", SPECIFICATION, CONTEXT, rows(count=2), WHEN)  # in the place of others
    with opened(tmp_path, writable=False) as database:
        assert same(database.rows("a", SPECIFICATION), rows("fa") + rows(count=2))
        (network,) = database.networks()
    assert same(network.rows.pop("fa"), rows("fa"))
    assert same(network.rows.pop("normal"), rows(count=2))
    times = {"fa": WHEN, "normal": WHEN}
    assert network == Network("a", SPECIFICATION, CONTEXT, {}, times, ())


def test_others_read_while_a_run_writes(tmp_path):
    with opened(tmp_path) as database:
        database.put("a", SPECIFICATION, CONTEXT, rows(), WHEN)
        with opened(tmp_path, writable=False) as reader:
            with database._writing() as connection:
                connection.execute("DELETE FROM records")
                assert same(reader.rows("a", SPECIFICATION), rows())  # as it was
            assert reader.rows("a", SPECIFICATION) == []
            with pytest.raises(InputError, match="cannot be read"):
                reader._ask("DELETE FROM networks")


RECORDS = {
    "a digit": ("rows = replace(rows, '0.1', '0.2')", None),
    "a row fewer": ("rows = ?", lambda text: json.dumps(json.loads(text)[:-1])),
    "cut short": ("rows = ?", lambda text: text[: len(text) // 2]),
    "empty": ("rows = ''", None),
    "of another type": ("rows = x'00ff'", None),
    "none at all": ("rows = 3", None),
    "another rule's": ("rule = 'dfa'", None),
    "another network's": ("network = 'd'", None),
    "another time": ("measured = '2027'", None),
    "another digest": ("digest = 'abc'", None),
}


@pytest.mark.parametrize("damage", RECORDS)
def test_a_changed_record_is_none_and_the_others_are(stored, damage, caplog):
    setting, make = RECORDS[damage]
    with opened(stored) as database:
        ((text,),) = database._ask(
            "SELECT rows FROM records WHERE network = ? AND rule = 'fa'", ("b" * 20,)
        )
    values = [make(text)] if make else []
    change(stored, f"UPDATE records SET {setting} WHERE network = ? AND rule = 'fa'",
           *values, "b" * 20)  # fmt: skip
    moved = damage.startswith("another ") and damage.endswith("'s")
    with caplog.at_level(logging.WARNING), opened(stored) as database:
        found = database.rows("b" * 20, SPECIFICATION)
        assert same([row for row in found if row.rule == "normal"], rows("normal"))
        assert {row.rule for row in found} == {"normal"}
        if damage != "another network's":
            assert len(caplog.messages) == 1
            assert (
                f"the record of network {'b' * 20}, rule {'dfa' if moved else 'fa'}, is damaged"
                in (caplog.text)
            )
        assert same(database.rows("a" * 20, SPECIFICATION), rows("fa") + rows("normal"))
        assert sum(len(network.faults) for network in database.networks()) >= 1
        database.put("b" * 20, SPECIFICATION, CONTEXT, rows("fa"), WHEN)  # it is mended
        assert same(database.rows("b" * 20, SPECIFICATION)[:3], rows("fa"))


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE networks SET specification = replace(specification, '8', '9')", "what it is"),
        ("UPDATE networks SET context = 'abc'", "what it is"),
        ("UPDATE contexts SET context = '{}'", "what computed it"),
        ("DELETE FROM networks", "what it is"),
    ],
)
def test_what_tells_networks_apart_is_checked_where_it_is_read(stored, statement, fault):
    with opened(stored) as database:
        assert not any(network.faults for network in database.networks())  # the control
    change(stored, statement)
    with opened(stored) as database:
        assert all(fault in network.faults for network in database.networks())


def damaged(content):
    """A whole database's bytes, and what may become of them."""
    yield b"no database"
    yield content[: len(content) // 2]
    yield content[:4096]
    yield content[:50]
    yield b"\0" * len(content)
    yield content[:4096] + b"\xff" * 4096 + content[8192:]
    yield content[:16] + b"\xff" * 84 + content[100:]


def test_a_damaged_file_is_set_aside_with_a_message_and_nothing_of_it_is_read(stored, caplog):
    content = (stored / FILE).read_bytes()
    for number, bad in enumerate(damaged(content), start=1):
        (stored / FILE).write_bytes(bad)
        with pytest.raises(InputError, match=r"DIR \(.*\) must hold a store .*; got a damaged one"):
            Database(stored / FILE)  # whoever only reads changes nothing
        assert (stored / FILE).read_bytes() == bad
        caplog.clear()
        with caplog.at_level(logging.WARNING), opened(stored) as database:
            assert database.rows("a" * 20, SPECIFICATION) == []
            assert not list(database.networks())
            database.put("a" * 20, SPECIFICATION, CONTEXT, rows(), WHEN)
        (said,) = caplog.messages
        aside = f"store.damaged-{number}.sqlite"
        assert f"is set aside as {aside}, and its networks are measured again" in said
        assert (stored / aside).read_bytes() == bad
        with opened(stored) as database:  # the new one is whole
            assert same(database.rows("a" * 20, SPECIFICATION), rows())
        assert not list(stored.glob("*-wal"))


def test_a_flipped_bit_gives_no_other_number_wherever_it_is(stored):
    """It is found, or it is where nothing is kept."""
    content = bytearray((stored / FILE).read_bytes())
    whole, found = rows("fa") + rows("normal"), 0
    for at in range(3, len(content), 241):
        for name in stored.glob("store*"):
            name.unlink()
        content[at] ^= 0x11
        (stored / FILE).write_bytes(content)
        content[at] ^= 0x11
        logging.disable()
        try:
            with opened(stored) as database:
                seen = database.rows("b" * 20, SPECIFICATION)
        except (InputError, CannotWriteError):
            found += 1
            continue
        finally:
            logging.disable(logging.NOTSET)
        allowed = [[*map(repr, whole[:3])], [*map(repr, whole[3:])]]
        by_rule = [[repr(r) for r in seen if r.rule == rule] for rule in ("fa", "normal")]
        for seen_of_rule, all_of_rule in zip(by_rule, allowed, strict=True):
            assert seen_of_rule in ([], all_of_rule), at
        found += not same(seen, whole)
    assert found


KILLED = """
import os, signal, sys
from pathlib import Path
from ntkalign.cells.cell import Row
from ntkalign.runs.database import Database
database = Database(Path(sys.argv[1]), writable=True)
specification = {"cell": {"family": "main", "width": 8, "seed": 0}}
row = Row("main", 8, 0, "normal", None, "weight-drift", None, 0.5, 0.1, "ok")
database.put("kept", specification, None, [row])
with database._writing() as connection:
    connection.execute("DELETE FROM records")
    connection.execute("UPDATE networks SET specification = 'x'")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_is_killed_in_a_commit_leaves_what_was_there_before(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / FILE], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    for writable in (False, True):
        with opened(tmp_path, writable) as database:
            (network,) = database.networks()
            assert (network.name, network.faults) == ("kept", ())
            assert [row.value for row in database.rows("kept", SPECIFICATION)] == [0.5]
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_in_a_commit_leaves_what_was_there_before(stored, error):
    with opened(stored) as database:
        writing = database._writing()
        writing.__enter__().execute("DELETE FROM records")
        assert not writing.__exit__(error, error(), None)  # it is raised
        assert not database._connection.in_transaction
        assert same(database.rows("a" * 20, SPECIFICATION), rows("fa") + rows("normal"))
        database.put("a" * 20, SPECIFICATION, CONTEXT, rows(count=1), WHEN)  # and goes on


def test_a_full_disk_is_one_message_and_what_was_there_before_stays(stored):
    with opened(stored) as database:
        ((pages,),) = database._ask("PRAGMA page_count")
        database._ask(f"PRAGMA max_page_count = {pages}")
        many = rows() * 5000
        with pytest.raises(CannotWriteError) as raised:
            database.put("d", SPECIFICATION, CONTEXT, many, WHEN)
        assert str(raised.value) == (
            f"{stored / FILE} cannot be written (database or disk is full); what was there before "
            "is as it was; make room, or choose another folder, and run again"
        )
        assert same(database.rows("a" * 20, SPECIFICATION), rows("fa") + rows("normal"))
        database._ask("PRAGMA max_page_count = 100000")
        database.put("d", SPECIFICATION, CONTEXT, many, WHEN)  # the control


def test_versions_lead_to_the_next_and_a_newer_one_is_refused(stored, monkeypatch):
    more = (*MIGRATIONS, "ALTER TABLE networks ADD COLUMN remark TEXT")
    before = (stored / FILE).read_bytes()
    monkeypatch.setattr(module, "MIGRATIONS", more)
    with pytest.raises(InputError, match=r"got version 1, of an older ntkalign; .* run again"):
        Database(stored / FILE)
    with opened(stored) as database:
        assert same(database.rows("a" * 20, SPECIFICATION), rows("fa") + rows("normal"))
        assert database._ask("SELECT DISTINCT remark FROM networks") == [(None,)]
    monkeypatch.undo()
    for writable in (False, True):
        with pytest.raises(InputError, match=r"got version 2, of a newer ntkalign; .* up to 1"):
            Database(stored / FILE, writable=writable)
    (stored / FILE).write_bytes(before)
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, "DROP TABLE records; nonsense"))
    with pytest.raises(CannotWriteError, match="syntax error"):
        Database(stored / FILE, writable=True)
    monkeypatch.undo()
    with opened(stored) as database:  # a migration that fails has changed nothing
        assert same(database.rows("a" * 20, SPECIFICATION), rows("fa") + rows("normal"))


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_a_link_is_never_followed(stored, tmp_path, suffix):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    place = stored / f"{FILE}{suffix}"
    place.unlink(missing_ok=True)
    place.symlink_to(precious)
    for writable in (False, True):
        with pytest.raises(InputError, match="got a symbolic link"):
            Database(stored / FILE, writable=writable)
    assert precious.read_text() == "precious"


def test_a_folder_or_nothing_in_its_place_is_said(tmp_path):
    with pytest.raises(InputError, match=r"got nothing there; .* let ntkalign verify"):
        Database(tmp_path / FILE)
    (tmp_path / FILE).mkdir()
    with pytest.raises(CannotWriteError, match="unable to open database file"):
        Database(tmp_path / FILE, writable=True)
    with pytest.raises(InputError, match="cannot be read"):
        Database(tmp_path / FILE)


def test_letting_go_twice_is_as_good_as_once(stored, tmp_path):
    for folder in (stored, tmp_path / "new"):
        folder.mkdir(exist_ok=True)
        database = Database(folder / FILE, writable=True)
        database.close()
        database.close()
    assert (stored / FILE).exists()
    assert not (tmp_path / "new" / FILE).exists()


def test_one_that_cannot_be_written_is_read_all_the_same(stored, monkeypatch):
    """As in a folder that belongs to somebody else, or on a disc."""
    monkeypatch.setattr(module.os, "access", lambda path, how: False)
    with opened(stored, writable=False) as database:
        assert same(database.rows("a" * 20, SPECIFICATION), rows("fa") + rows("normal"))
    assert [path.name for path in stored.iterdir()] == [FILE]


def test_what_is_removed_is_gone_and_its_space_is_given_back(stored):
    with opened(stored) as database:
        database.put("d", SPECIFICATION, {"other": 1}, rows() * 2000, WHEN)
    size = (stored / FILE).stat().st_size
    with opened(stored) as database:
        database.remove(["d", "a" * 20], [("b" * 20, "fa")])
        left = {network.name: list(network.rows) for network in database.networks()}
        assert len(database._ask("SELECT * FROM contexts")) == 1
    assert left == {"b" * 20: ["normal"], "c" * 20: ["fa", "normal"]}
    assert (stored / FILE).stat().st_size < size / 2
