"""A job that travels brings its plugins: they must be the same files where it arrives."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import partial

import pytest

from ntkalign import InputError, plugins
from ntkalign.errors import shortened
from ntkalign.rules import RULES
from ntkalign.runs.schedulers.parcel import Parcel
from tests.runs.schedulers import work

RULE = """
from ntkalign import Rule, backpropagate, current_activity, register

def feedback(now, start, fixed, e):
    return backpropagate(weights=now, slopes=start, error=e)

register(Rule("travels", feedback, current_activity))
"""


@pytest.fixture
def plugin(tmp_path, own_records, monkeypatch):
    monkeypatch.setattr(plugins, "_LOADED", {})
    file = tmp_path / "mine.py"
    file.write_text(RULE)
    plugins.load(file)
    return file


def test_work_arrives_as_it_was():
    parcel = pickle.loads(pickle.dumps(Parcel.of(partial(work.square, 7))))
    assert parcel() == 49


def test_a_rule_of_a_plugin_arrives_as_the_one_that_is_registered_there(plugin, monkeypatch):
    parcel = Parcel.of(partial(getattr, RULES["travels"], "name"))
    RULES.forget(["travels"])
    monkeypatch.setattr(plugins, "_LOADED", {})
    assert parcel() == "travels"
    assert "travels" in RULES  # it was loaded on the way


def test_a_plugin_with_another_text_is_refused(plugin):
    ((path, digest),) = Parcel.of(partial(work.square, 7)).plugins
    assert path == str(plugin)
    other = replace(Parcel.of(partial(work.square, 7)), plugins=((path, digest[::-1]),))
    with pytest.raises(InputError) as told:
        other()
    assert str(told.value) == (
        f"plugin ({shortened(str(plugin))}) must be the same file for all workers; "
        "got another text; because rules are known by their names; do: copy it to where workers run"
    )
