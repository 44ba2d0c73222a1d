"""Last words: said once by whoever comes first, and only by a run that is stopped."""

from __future__ import annotations

import threading
from contextlib import nullcontext

import pytest

from ntkalign.runs import last_words as module
from ntkalign.runs.last_words import LastWords, last_words, say_all


@pytest.fixture(autouse=True)
def nobody_runs(monkeypatch):
    monkeypatch.setattr(module, "_of_runs", [])


def test_a_run_that_is_interrupted_says_them_and_whoever_ends_it_hears():
    said = []
    with pytest.raises(KeyboardInterrupt), last_words(lambda: said.append(1) or "three of four"):
        raise KeyboardInterrupt
    assert said == [1]
    assert say_all() == ["three of four"]
    assert said == [1]
    assert say_all() == []


@pytest.mark.parametrize("ends", [None, ValueError("its own"), SystemExit(2)])
def test_a_run_that_ends_otherwise_says_nothing(ends):
    said = []
    expected = nullcontext() if ends is None else pytest.raises(type(ends))
    with expected, last_words(lambda: said.append(1) or "never"):
        if ends is not None:
            raise ends
    assert say_all() == said == []


def test_the_innermost_run_comes_first_and_silence_is_not_told():
    with last_words(lambda: "outer"), last_words(lambda: ""), last_words(lambda: "inner"):
        assert say_all() == ["inner", "outer"]


def test_what_goes_wrong_is_told_in_one_line():
    def full():
        raise OSError(28, "No space\nleft")

    with last_words(full):
        assert say_all() == ["OSError: [Errno 28] No space left"]


def test_two_threads_say_them_once_and_both_wait_for_the_end():
    begun, go = threading.Event(), threading.Event()
    said = []

    def slowly():
        begun.set()
        assert go.wait(60)
        said.append(1)
        return "done"

    words, heard = LastWords(slowly), []
    threads = [threading.Thread(target=lambda: heard.append(words.say())) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    assert heard == []  # nobody goes on while they are being said
    go.set()
    for thread in threads:
        thread.join(60)
    assert heard == ["done", "done"]
    assert said == [1]
