"""The list of planted faults fits the code; ``make mutants`` runs it."""

from __future__ import annotations

import pytest

from tests.mutants import MUTANTS, ROOT, main


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_a_fault_can_be_planted_and_has_tests(mutant):
    assert mutant.planted != (ROOT / "ntkalign" / mutant.file).read_text()
    compile(mutant.planted, mutant.file, "exec")
    files = [name.partition("::")[0].removesuffix(".py") for name in mutant.tests]
    assert all((ROOT / "tests" / f"{name}.py").is_file() for name in files)


def test_there_are_enough_of_them():
    assert len(MUTANTS) >= 25
    assert len({mutant.what for mutant in MUTANTS}) == len(MUTANTS)


def test_a_file_without_faults_is_said_and_not_passed(capsys):
    assert main(["rules.py", "nothing.py"]) == 2
    assert capsys.readouterr().err == "no fault is listed for nothing.py\n"
