"""A report judges its own table, all of it once, and no other."""

from __future__ import annotations

import json
import re
import shutil

import pandas as pd
import pytest

from ntkalign import InputError, files
from ntkalign.claims.claim import BOTTLENECK
from ntkalign.claims.theory import PROPOSITION_2
from ntkalign.files import CannotWriteError
from ntkalign.report import load_report, write_report
from ntkalign.report.belonging import other_table
from ntkalign.runs.table import read_table, table_file
from tests.report.test_files import finding, result, table


def without(**which):
    """A table without the rows of these values."""
    return lambda t: t[~(t[list(which)] == pd.Series(which)).all(axis=1)]


def changed(column, old, new):
    return lambda t: t.assign(**{column: t[column].replace(old, new)})


def with_lines_of(**other):
    return lambda t: pd.concat([t, t.iloc[:1].assign(**other)])


OTHERS = {
    "doubled": (lambda t: pd.concat([t, t]), r"\d+ rows that are there twice"),
    "a row doubled": (with_lines_of(), "1 rows that are there twice"),
    "a seed missing": (without(seed=2, width=16), "no main network of width 16, seed 2"),
    "the last seed missing": (without(seed=3), "no main network of width 8, seed 3"),
    "a width missing": (without(width=32), "no main network of width 32, seed 0"),
    "all missing": (lambda t: t[:0], "no main network of width 8, seed 0"),
    "a row missing": (lambda t: t[1:], "by align-ada at width 8 of 3 networks only"),
    "other widths": (changed("width", 16, 64), "a main network of width 64, seed 0, which was not"),
    "other seeds": (changed("seed", 3, 9), "a main network of width 8, seed 9, which was not"),
    "another control": (with_lines_of(family=BOTTLENECK, seed=3), "a bottleneck network of width"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report(result(finding(PROPOSITION_2), data=table(PROPOSITION_2)), folder)
    return folder


@pytest.fixture
def report(written):
    """The stored report and its table."""
    return json.loads((written / "report.json").read_text()), table(PROPOSITION_2)


@pytest.mark.parametrize("damage", OTHERS)
def test_a_table_that_is_not_all_of_it_once_is_found_with_and_without_a_digest(damage, report):
    change, told = OTHERS[damage]
    stored, whole = report
    other = change(whole)
    assert other_table(stored, table_file(whole), whole) is None  # the control
    assert "not those it was written with" in other_table(stored, table_file(other), other)
    del stored["table"]
    assert other_table(stored, table_file(whole), whole) is None
    assert re.search(told, other_table(stored, table_file(other), other))


def test_another_number_is_found_by_the_digest(report):
    stored, whole = report
    other = whole.assign(value=whole["value"] * (1 + 1e-15))
    assert other_table(stored, table_file(other), other) is not None


def test_what_is_missing_from_a_partial_report_is_no_fault_but_what_is_doubled_is(report):
    stored, whole = report
    some = without(seed=3)(whole)
    del stored["table"]
    assert other_table(stored, b"", some) is not None
    stored["partial"] = {"reason": "interrupted"}
    assert other_table(stored, b"", some) is None
    assert other_table(stored, b"", pd.concat([some, some])) is not None


def test_report_refuses_it_in_one_line_and_changes_nothing(written):
    load_report(written)
    before = {p.name: p.read_bytes() for p in written.iterdir() if p.is_file()}
    path = written / "measurements.csv"
    try:
        path.write_bytes(table_file(without(seed=2)(read_table(before[path.name]))))
        with pytest.raises(InputError, match=r"DIR .*; got another table: 18 rows that are"):
            load_report(written)
        assert (written / "report.html").read_bytes() == before["report.html"]
    finally:
        path.write_bytes(before[path.name])
    stored = json.loads(before["report.json"])
    stored["config"]["seeds"] = 5
    (written / "report.json").write_text(json.dumps(stored))
    try:
        with pytest.raises(InputError, match="no main network of width 8, seed 4"):
            load_report(written)
    finally:
        (written / "report.json").write_bytes(before["report.json"])


def test_a_full_disk_leaves_the_report_that_was_there(written, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(written, folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    other = result(finding(PROPOSITION_2), data=table(PROPOSITION_2)[:-3])
    monkeypatch.setattr("ntkalign.report.files.scaling_plots", lambda findings, folder: {})
    write_some = files.os.write

    def fill(descriptor, content):
        if b'"schema"' in bytes(content[:40]):
            raise OSError(28, "No space left on device")
        return write_some(descriptor, content)

    monkeypatch.setattr(files.os, "write", fill)
    with pytest.raises(CannotWriteError, match=r"report\.json cannot be written \(No space left"):
        write_report(other, folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before
    load_report(folder)
