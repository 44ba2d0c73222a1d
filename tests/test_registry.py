"""Names for things: what is the package's own, what is taken, what is unknown."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ntkalign import InputError
from ntkalign.quantities.catalogue import BOOKKEEPING, QUANTITIES, companions
from ntkalign.quantities.quantity import Layers, Quantity
from ntkalign.registry import Registry


@dataclass(frozen=True, eq=False)
class Thing:
    name: str


def test_what_is_registered_later_is_not_built_in():
    first, later, other = Thing("first"), Thing("later"), Thing("first")
    things = Registry("thing", (first,))
    things.register(later)
    assert list(things) == ["first", "later"]
    assert things.is_built_in(first)
    assert not things.is_built_in(later)
    assert not things.is_built_in(other)
    assert not things.is_built_in(None)


def test_a_name_is_given_once_and_reserved_ones_never():
    things = Registry("thing", (Thing("first"),), reserved=("taken",))
    for name in ("first", "taken"):
        with pytest.raises(
            InputError, match=rf"thing \({name}\) must not have the name of another"
        ):
            things.register(Thing(name))
    assert list(things) == ["first"]


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"thing \(frist\) must be one of first; .* 'first'"):
        Registry("thing", (Thing("first"),)).lookup("frist")


def test_of_many_names_the_nearest_are_told():
    things = Registry("thing", [Thing(f"thing-{n}") for n in range(40)])
    with pytest.raises(InputError, match=r"or another of 40 names; got 'thing39'") as told:
        things.lookup("thing39")
    assert "did you mean 'thing-39'?" in str(told.value)
    assert len(str(told.value)) < 250


@pytest.mark.parametrize("name", sorted(BOOKKEEPING))
def test_no_quantity_is_called_like_what_tables_have_of_every_flow(name):
    with pytest.raises(InputError, match=rf"quantity \({name}\) must not have the name of another"):
        QUANTITIES.register(Quantity(name, "$q$", Layers.WHOLE, lambda seen: {}))


@pytest.mark.usefixtures("own_records")
def test_a_record_that_names_the_packages_function_leaves_its_quantities_alone():
    before = companions("weight-drift")
    measure = QUANTITIES["weight-drift"].measure
    mine = QUANTITIES.register(Quantity("mine", "$q$", Layers.EVERY, measure))
    assert companions("weight-drift") == before
    assert companions("mine") == (mine,)
    assert not QUANTITIES.is_built_in(mine)
