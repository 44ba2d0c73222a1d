"""Parts of the user's own: registered by one call, from Python or from a file that is loaded.

    # mine.py
    from ntkalign import Rule, backpropagate, current_activity, register

    def old_slopes(now, start, fixed, e):
        return backpropagate(weights=now, slopes=start, error=e)

    register(Rule("old-slopes", old_slopes, current_activity))

A part that is registered can be named wherever the package's own can. A claim is then asked in
every run, as the paper's are; a rule is run where it is named. ``--plugin mine.py`` of the command
line loads such a file; so does :func:`load`. A report keeps the names of the files that were loaded
and digests of their texts.
"""

from __future__ import annotations

import hashlib
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ntkalign.claims import catalogue as claims
from ntkalign.claims.claim import Claim
from ntkalign.data.catalogue import POINT_SETS, PointSet
from ntkalign.errors import InputError, said_by
from ntkalign.networks.activations import ACTIVATIONS, Activation
from ntkalign.networks.kinds import FAMILIES, NetworkKind
from ntkalign.precision import float64
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.quantity import Quantity
from ntkalign.registry import Registry, all_or_none
from ntkalign.rules import RULES, Rule

KINDS: dict[type, Callable[..., Any]] = {
    Rule: RULES.register,
    Activation: ACTIVATIONS.register,
    PointSet: POINT_SETS.register,
    NetworkKind: FAMILIES.register,
    Quantity: QUANTITIES.register,
    Claim: claims.register,
}
"""How a part of each kind is registered; claims last, for they name quantities."""
REGISTRIES: tuple[Registry[Any], ...] = (
    RULES, ACTIVATIONS, POINT_SETS, FAMILIES, QUANTITIES, claims.CLAIMS,
)  # fmt: skip
"""Where they are then."""


@dataclass(frozen=True)
class Plugin:
    """A file that was loaded.

    Attributes:
        file: its name, without a folder.
        digest: 20 hexadecimal digits, a hash of its text.
        parts: what it registered: of each its kind and its name.
        module: what it defines.
    """

    file: str
    digest: str
    parts: tuple[tuple[str, str], ...]
    module: ModuleType = field(repr=False, compare=False)

    def as_json(self) -> dict[str, Any]:
        """What a report says of it."""
        return {"file": self.file, "digest": self.digest, "parts": list(map(" ".join, self.parts))}


_LOADED: dict[Path, Plugin] = {}


def loaded() -> tuple[Plugin, ...]:
    """The files that were loaded in this process."""
    return tuple(_LOADED.values())


def loaded_from() -> list[tuple[str, str]]:
    """Where those files are, with the digests of their texts, in the order of loading."""
    return [(str(path), plugin.digest) for path, plugin in _LOADED.items()]


def not_loaded(stored: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which of the files that a report names are not here, in words.

    Args:
        stored: what :meth:`Plugin.as_json` said of each.

    Returns:
        A line for each that was not loaded in this process, or whose text is another now.
    """
    here = {(plugin.file, plugin.digest) for plugin in loaded()}
    names = {name for name, _ in here}
    return [
        f"{entry['file']}, which registered {', '.join(entry['parts'])}, "
        + ("has changed since" if entry["file"] in names else "is not given")
        for entry in stored
        if (entry["file"], entry["digest"]) not in here
    ]


def register(*parts: Any) -> None:
    """Add parts of one's own, so that they can be named like the package's.

    Args:
        parts: rules, activations, point sets, kinds of network, quantities and claims; all
            statements of a claim's id at once. Either all are registered or none.

    Raises:
        InputError: if one is of no such kind, or its name is taken.
    """
    for part in parts:
        if not isinstance(part, tuple(KINDS)):
            raise InputError(
                "part", repr(part),
                must=f"be one of {', '.join(kind.__name__ for kind in KINDS)}",
                got=f"an object of type {type(part).__name__}",
                because="only these can be registered", do="pass Rule(…), say",
            )  # fmt: skip
    with all_or_none(REGISTRIES):
        for kind, add in KINDS.items():
            own = [part for part in parts if isinstance(part, kind)]
            if kind is Claim:
                add(*own)
            else:
                for part in own:
                    add(part)


def load(path: str | Path) -> ModuleType:
    """Run a file that registers parts of the user's own.

    A file is run once: loading it again is nothing, unless its text has changed; then what it had
    registered is forgotten first. It runs in float64, so that its constants are.

    Args:
        path: of a Python file.

    Returns:
        The module that it makes.

    Raises:
        InputError: if there is no such file, it does not run to its end, or it registers nothing;
            then nothing is registered.
    """
    path = Path(path)
    text = _text_of(path)
    key, digest = path.resolve(), hashlib.sha256(text).hexdigest()[:20]
    before = _LOADED.get(key)
    if before is not None and before.digest == digest:
        return before.module
    stem = re.sub(r"\W", "_", path.stem)
    module = ModuleType(f"ntkalign_plugin_{stem}_{digest[:8]}")
    module.__file__ = str(path)
    with all_or_none(REGISTRIES):
        if before is not None:
            for registry in REGISTRIES:
                registry.forget(name for kind, name in before.parts if kind == registry.kind)
        had = {id(registry): set(registry) for registry in REGISTRIES}
        sys.modules[module.__name__] = module  # dataclasses look for their module there
        try:
            _run(path, text, module)
            parts = tuple(
                (registry.kind, name)
                for registry in REGISTRIES
                for name in registry
                if name not in had[id(registry)]
            )
            if not parts:
                raise _bad(
                    path, "register something of its own", "nothing registered at its end",
                    "a run could not name what is in it", "call ntkalign.register(…) in it",
                )  # fmt: skip
        except BaseException:
            del sys.modules[module.__name__]
            raise
    _LOADED[key] = Plugin(path.name, digest, parts, module)
    return module


def _text_of(path: Path) -> bytes:
    must, because, do = "be a Python file", "it is run to register its parts", "check the path"
    if path.suffix != ".py":
        raise _bad(path, must, f"a name that ends in {path.suffix or 'nothing'}", because,
                   "pass FILE.py")  # fmt: skip
    if not path.is_file():
        got = "a folder" if path.is_dir() else "no such file"
        raise _bad(path, must, got, because, do)
    try:
        return path.read_bytes()
    except OSError as error:
        raise _bad(path, "be readable", error.strerror or "an error", because, do) from None


def _run(path: Path, text: bytes, module: ModuleType) -> None:
    """Run a file's text as a module.

    Raises:
        InputError: if it does not run to its end.
    """
    try:
        with float64():
            exec(compile(text, str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        said = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        said += str(error.msg) if isinstance(error, SyntaxError) else said_by(error)
        where = "".join(f"line {line}: " for line in [*_lines(error, str(path))][:1])
        raise _bad(
            path, "run to its end", where + said.removesuffix(": "),
            "it is run to register its parts", "mend it there",
        ) from error  # fmt: skip


def _lines(error: BaseException, file: str) -> Iterator[int]:
    """Lines of the file that an error comes from, the innermost first."""
    if isinstance(error, SyntaxError) and error.filename == file and error.lineno is not None:
        yield error.lineno
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == file and frame.lineno is not None:
            yield frame.lineno


def _bad(path: Path, must: str, got: str, because: str, do: str) -> InputError:
    return InputError("plugin", path, must=must, got=got, because=because, do=do)
