"""The records of quantities: complete, resolvable, and safe from others of the same name."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
from matplotlib.mathtext import MathTextParser

from ntkalign import InputError
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.quantity import KERNELS, PROOF, VERIFY, ErrorFrom, Layers
from ntkalign.rules import RULES


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_record_is_whole(name):
    record = QUANTITIES[name]
    assert QUANTITIES.is_built_in(record)
    assert list(inspect.signature(record.function).parameters) == ["seen"]
    assert record.relative is None or QUANTITIES[record.relative].measure == record.measure
    assert set(record.references) <= set(RULES)
    assert record.command in (VERIFY, KERNELS, PROOF)
    MathTextParser("path").parse(record.symbol)  # as plots do
    twins = [q for q in QUANTITIES.values() if q.measure == record.measure]
    assert {(q.references, q.command) for q in twins} == {(record.references, record.command)}
    # of what is sampled the measuring states the whole error, whatever stands beside it
    sources = {q.error_from for q in twins} - {ErrorFrom.MEASURING}
    assert sources <= {record.error_from} or record.error_from is ErrorFrom.MEASURING


def test_layers():
    assert Layers.WHOLE.of(3) == (None,)
    assert Layers.HIDDEN.of(3) == (1, 2)
    assert Layers.EVERY.of(3) == (1, 2, 3)
    assert Layers.FIRST.of(3) == (1,)


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.usefixtures("own_records")
def test_one_called_like_a_built_in_one_is_refused_and_replaces_nothing(name):
    before = dict(QUANTITIES)
    other = replace(QUANTITIES[name], measure=lambda seen: {})
    with pytest.raises(InputError, match=rf"got a second quantity called '{name}'.*my-{name}"):
        QUANTITIES.register(other)
    assert dict(QUANTITIES) == before


@pytest.mark.parametrize("name", ["", " a", "a ", "a,b", "a\nb", "a\tb", "\x00"])
def test_a_name_that_cannot_be_stored_is_refused_where_it_is_made(name):
    with pytest.raises(InputError, match=r"quantity .* must have a name of") as error:
        replace(QUANTITIES["divergence"], name=name)
    assert "\n" not in str(error.value)
