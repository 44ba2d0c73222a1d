"""Compiled programs are forgotten when they are many, not too often, and whoever works goes on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event, Thread
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from ntkalign import programs
from ntkalign.cells.cell import Cell
from ntkalign.cells.work import measured
from ntkalign.data import catalogue
from ntkalign.runs.settings import Settings
from ntkalign.runs.sweep import specify


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> programs.Programs:
    """A count of its own, with small bounds."""
    monkeypatch.setattr(programs, "MANY", 3)
    monkeypatch.setattr(programs, "SELDOM", 2)
    own = programs.Programs()
    own.tidy()  # listens from here on
    own.jobs = 0
    return own


def compile_some(count: int) -> list[Callable[[Any], Any]]:
    made = [jax.jit(partial(jnp.multiply, number + 0.5)) for number in range(count)]
    for function in made:
        function(1.0)
    return made


def kept() -> int:
    """Programs that JAX holds."""
    return len(jax.devices()[0].client.live_executables())


def test_many_programs_are_forgotten(few: programs.Programs) -> None:
    functions = compile_some(5)
    assert not few.tidy()  # too soon
    before = kept()
    assert few.tidy()
    assert kept() <= before - 5
    assert (few.jobs, few.compiled) == (0, 0)
    assert [float(f(2.0)) for f in functions] == [1.0, 3.0, 5.0, 7.0, 9.0]
    assert few.compiled >= 5  # again


def test_few_programs_are_kept(few: programs.Programs) -> None:
    compile_some(1)
    before, few.compiled = kept(), 3
    assert not any(few.tidy() for _ in range(20))
    assert kept() == before


def test_a_long_run_holds_a_bounded_number(few: programs.Programs) -> None:
    def most(tidy: Callable[[], bool]) -> int:
        start, found = kept(), []
        for job in range(8):
            jnp.ones(job + 3) * 2.5  # a shape of its own
            tidy()
            found.append(kept() - start)
        return max(found)

    assert most(few.tidy) <= 7
    assert most(lambda: False) >= 8  # the control: without it they pile up


def test_threads_in_the_middle_of_something_go_on(few: programs.Programs) -> None:
    done, failed = Event(), list[BaseException]()

    def work() -> None:
        try:
            function = jax.jit(lambda a: jnp.tanh(a @ a).sum())
            for _ in range(5):
                assert float(function(jnp.ones((3, 3)))) == pytest.approx(8.955, abs=1e-3)
        except BaseException as error:
            failed.append(error)
        done.set()

    Thread(target=work, daemon=True).start()
    while not done.is_set():
        programs.forget()
    assert not failed


@pytest.mark.parametrize("raises", [False, True])
def test_every_network_of_a_sweep_is_followed_by_it(
    monkeypatch: pytest.MonkeyPatch, raises: bool
) -> None:
    told = list[str]()
    monkeypatch.setattr("ntkalign.cells.work.tidy", lambda: told.append("tidy"))

    def measure(*_: Any) -> list[Any]:
        told.append("measured")
        if raises:
            raise MemoryError
        return []

    settings = Settings(data="sphere", inputs=3, widths=(8, 16, 32), seeds=2, time=1.0)
    data = catalogue.load("sphere", points=settings.points, inputs=3)
    one = specify(settings, "theory", data, Cell("main", 8, 0))
    measured(measure, one, {})
    assert told == ["measured", "tidy"]
