"""The list of slow tests names tests that there are, and leaves in what it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slow import SLOW

TESTS = Path(__file__).parent


@pytest.mark.parametrize("entry", SLOW)
def test_each_entry_names_tests(entry):
    file, _, name = entry.partition("::")
    assert (TESTS / file).exists()
    if name:
        assert f"\ndef {name}(" in (TESTS / file).read_text()


@pytest.mark.parametrize("folder", ["networks/", "statistics/", "claims/", "test_rules.py"])
def test_what_a_change_must_not_break_unnoticed_is_in_the_fast_loop(folder):
    assert (TESTS / folder).exists()
    assert not folder.startswith(SLOW)


def test_the_marker_is_given_to_those_and_no_others(request):
    for item in request.session.items:
        listed = item.nodeid.removeprefix("tests/").startswith(SLOW)
        assert (item.get_closest_marker("slow") is not None) == listed
