"""Names for things: one catalogue of rules, one of activations, one of quantities, one of claims.

A thing is registered under its name once. Looking a name up gives the thing, or one line with the
nearest match; a thing of the user's own may be used beside the built-in ones, but never under the
name of one of them, for results are kept by name. (:mod:`ntkalign.plugins` registers what is the
user's own, of whatever kind.)
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from ntkalign.errors import InputError, unknown_name


@runtime_checkable
class Named(Protocol):
    """What can be registered."""

    @property
    def name(self) -> str:
        """The name results are kept under."""
        ...


T = TypeVar("T", bound=Named)


class Registry(Mapping[str, T], Generic[T]):
    """Things of one kind by name, in the order in which they were registered.

    Args:
        kind: what errors call them, in the singular, such as "rule".
        things: the built-in ones.
        reserved: names that tables use for something else.
    """

    def __init__(self, kind: str, things: Iterable[T] = (), reserved: Iterable[str] = ()):
        self.kind = kind
        self._reserved = frozenset(reserved)
        self._things: dict[str, T] = {}
        for thing in things:
            self.register(thing)
        self._built_in = frozenset(self._things)

    def is_built_in(self, thing: T | None) -> bool:
        """Whether a thing is the package's own, and not one that was registered later."""
        if thing is None or thing.name not in self._built_in:
            return False
        return self._things[thing.name] is thing

    @property
    def built_in(self) -> tuple[T, ...]:
        """The package's own things."""
        return tuple(thing for name, thing in self._things.items() if name in self._built_in)

    def register(self, thing: T) -> T:
        """Add a thing.

        Returns:
            It.

        Raises:
            InputError: if another has its name.
        """
        self.check_name(thing)
        self._things[thing.name] = thing
        return thing

    def lookup(self, name: str, argument: str | None = None) -> T:
        """The thing of that name.

        Args:
            name: as registered.
            argument: what the error calls the argument that the name came from.

        Returns:
            The thing.

        Raises:
            InputError: if there is none; names the nearest match.
        """
        if name not in self._things:
            raise unknown_name(
                argument or self.kind, name, self._things, "only these are registered"
            )
        return self._things[name]

    def check_name(self, thing: T) -> None:
        """Refuse a thing that has the name of another.

        Raises:
            InputError: if it has.
        """
        if self._things.get(thing.name, thing) is not thing or thing.name in self._reserved:
            raise InputError(
                self.kind, thing.name, must="not have the name of another one",
                got=f"a second {self.kind} called {thing.name!r}",
                because="results are kept by name", do=f"call it my-{thing.name}, say",
            )  # fmt: skip

    def forget(self, names: Iterable[str]) -> None:
        """Take things out again that were registered later; the package's own stay."""
        for name in set(names) - self._built_in:
            self._things.pop(name, None)

    def __getitem__(self, name: str) -> T:
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)


def by_name(thing: Named, registry: str) -> tuple[Any, ...]:
    """What ``__reduce__`` of a registered thing returns: its name, to find it in another process.

    Args:
        thing: a dataclass that may be registered.
        registry: where, as ``module:name``.

    Returns:
        What makes the thing again: by its name if it is registered, else from its fields.
    """
    if pkgutil.resolve_name(registry).get(thing.name) is thing:
        return _registered, (registry, thing.name)
    kept: Any = thing
    return type(thing), tuple(getattr(thing, f.name) for f in fields(kept) if f.init)


def _registered(registry: str, name: str) -> Any:
    return pkgutil.resolve_name(registry).lookup(name)


@contextmanager
def all_or_none(registries: Iterable[Registry[Any]]) -> Iterator[None]:
    """Whatever ends by an error inside leaves these registries as they were.

    Args:
        registries: in which something is registered, or forgotten.

    Yields:
        Nothing.
    """
    before = [(registry, dict(registry._things)) for registry in registries]
    try:
        yield
    except BaseException:
        for registry, things in before:
            registry._things = things
        raise


def check_legal(kind: str, name: str) -> None:
    """Refuse a name that tables, reports and lists of names could not keep as it is.

    Args:
        kind: what errors call the named thing.
        name: must be printable text without a comma or outer spaces.

    Raises:
        InputError: if it is not.
    """
    if not name or not name.isprintable() or "," in name or name != name.strip():
        raise InputError(
            kind, ascii(name),
            must="have a name of printable text with no comma and no outer spaces",
            got=ascii(name), because="tables and lists of names keep it", do=f"call it my-{kind}",
        )  # fmt: skip
