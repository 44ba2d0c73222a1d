"""A job as it travels to another process: what must be there first, then the job itself.

Parts of the package and of plugins travel by their names (:func:`ntkalign.registry.by_name`), so
that they arrive as the very things that are registered there; plugins are loaded first. Parcels
live in memory and on the connection between a run and its workers only; none is ever written to a
file.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ntkalign.errors import InputError
from ntkalign.plugins import load, loaded_from

T = TypeVar("T")


@dataclass(frozen=True)
class Parcel(Generic[T]):
    """Work for another process.

    Attributes:
        plugins: files that are loaded there, with the digests of their texts.
        work: pickled.
    """

    plugins: tuple[tuple[str, str], ...]
    work: bytes

    @classmethod
    def of(cls, work: Callable[[], T]) -> Parcel[T]:
        """Pack work.

        Returns:
            A parcel that holds it.

        Raises:
            InputError: if it holds something that no other process could know.
        """
        try:
            packed = pickle.dumps(work)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InputError(
                "workers", "other processes", must="be able to import all parts of the run",
                got=" ".join(str(error).split()),
                because="a function of this program alone means nothing to another one",
                do="define it by def, not lambda, at the top of a file that --plugin or "
                "ntkalign.plugins.load loads, or register there what holds it, or pass no workers",
            ) from error  # fmt: skip
        return cls(tuple(loaded_from()), packed)

    def __call__(self) -> Any:
        """Do the work.

        Returns:
            What it returns.

        Raises:
            InputError: if a plugin is not there, or its text is another.
        """
        for path, digest in self.plugins:
            load(path)
            if (path, digest) not in loaded_from():
                raise InputError(
                    "plugin", path, must="be the same file for all workers", got="another text",
                    because="rules are known by their names", do="copy it to where workers run",
                )  # fmt: skip
        return pickle.loads(self.work)()
