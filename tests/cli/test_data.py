"""``ntkalign data`` as a user types it: tables, one line for what is wrong, exit status."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from ntkalign.cli.data import list_sets, summary
from ntkalign.cli.main import main
from ntkalign.data.checks import Checked
from ntkalign.data.sets import SETS
from tests.data import made


def printed(capsys, *words: str) -> str:
    assert main(["data", *words]) == 0
    out, err = capsys.readouterr()
    assert not err
    return out


@pytest.mark.parametrize("words", [[], ["list"]])
def test_the_sets_are_listed(capsys, words):
    lines = printed(capsys, *words).splitlines()
    assert [line.split()[0] for line in lines] == ["set", *SETS]
    assert max(map(len, lines)) <= 120
    starts = {line.index(SETS[line.split()[0]].about) for line in lines[1:]}
    assert starts == {lines[0].index("what it is")}  # the columns line up
    ends = {
        re.search(r"([\d,]+|any)  (bundled|generated|files)", line).end(1) for line in lines[1:]
    }
    assert ends == {lines[0].index("to train on") + len("to train on")}


def test_a_narrow_terminal_tells_all_sets_apart(capsys):
    list_sets(Console(width=40))
    found = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line[0] != " "}
    assert found == {"set", *SETS}


@pytest.mark.parametrize("name", SETS)
def test_where_a_set_is_had(capsys, name):
    text = printed(capsys, "where", name)
    entry = SETS[name]
    assert text.startswith(f"{name}: {entry.about}; ")
    for part in (entry.page, entry.base, entry.place):
        assert part in text
    for file in entry.files:
        (line,) = (line for line in text.splitlines() if f" {file.name} " in line)
        assert (file.md5 or "") in line
        assert (f"{file.size:,}" if file.size else "") in line


def test_a_folder_that_can_be_read_is_shown(capsys, tmp_path):
    made.cifar_bin(tmp_path / "data_batch_1.bin")
    text = printed(capsys, "check", "cifar10", str(tmp_path))
    assert "data_batch_1.bin  readable  20 images of 10000" in text
    assert "data_batch_2.bin  absent    10000 in the official file" in text
    assert text.endswith(
        "readable: 20 of 50,000 images to train on, 2 in each of 10 classes, labels 0 to 9\n"
    )


def test_the_summary_says_what_is_whole_and_what_is_uneven():
    kmnist = SETS["kmnist"]
    whole = Checked("kmnist", (), (6000,) * 10, "whole")
    assert summary(kmnist, whole) == (
        "whole: 60,000 images to train on, 6000 in each of 10 classes, labels 0 to 9"
    )
    part = Checked("kmnist", (), (0, 3, 5, *(0,) * 7), "readable")
    assert summary(kmnist, part) == (
        "readable: 8 of 60,000 images to train on, 0 to 5 in each of 10 classes, labels 1 to 2"
    )


def test_names_are_printed_as_they_are(capsys, tmp_path, monkeypatch):
    """Brackets are no markup."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "[bold]" / "train" / "[red]"
    place.mkdir(parents=True)
    (place / "[b].png").write_bytes(b"")
    assert main(["data", "check", "imagenet", "[bold]"]) == 2
    line = capsys.readouterr().err
    assert "DIR ([bold]) must" in line
    assert "got train/[red]/[b].png: no image" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["chek"], r"ACTION \(chek\) must be one of list, where, check; .* mean 'check'\?"),
        (["list", "all"], r"FLAGS \(list,all\) must be ntkalign data list; got 'all' besides"),
        (["where"], r"NAME \(\) must be given; .* ntkalign data where NAME; do: give the name"),
        (["where", "kminst"], r"NAME \(kminst\) must be one of .* did you mean 'kmnist'\?"),
        (["check"], r"NAME \(\) must be given"),
        (["check", "kmnist"], r"DIR \(\) must be given; .* check NAME DIR; do: give the folder"),
        (["check", "kminst", "."], r"NAME \(kminst\) must be one of .* did you mean 'kmnist'\?"),
        (["check", "sphere", "."], r"NAME \(sphere\) must be a set that is read from files"),
        (["check", "kmnist", "absent"], r"DIR \(absent\) must be the folder of the kmnist files"),
        (["check", "imagenet", "absent"], r"DIR \(absent\) must hold train/CLASS/IMAGE and val/"),
        (["--all"], r"FLAGS .*--all.* see ntkalign data --help"),
        (["x" * 50_000], r"ACTION \(x+…\) must be one of list, where, check; got 'x+…; because"),
    ],
)  # fmt: skip
def test_other_words_give_one_line_and_status_2(capsys, words, message):
    assert main(["data", *words]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    assert err.startswith("ntkalign data: ")
    assert re.search(message, err)


def test_a_broken_folder_is_one_line_for_check_and_for_verify(capsys, tmp_path):
    made.kmnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:60])
    for words, name in (
        (["data", "check", "kmnist", str(tmp_path)], "DIR"),
        (["verify", "--data", "kmnist", "--data-dir", str(tmp_path), "--out",
          str(tmp_path / "out")], "--data-dir"),
    ):  # fmt: skip
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert not out
        assert err.count("\n") == 1
        assert f": {name} (" in err
        assert "got train-images-idx3-ubyte.gz: Compressed file ended before" in err
    assert not (tmp_path / "out").exists()
