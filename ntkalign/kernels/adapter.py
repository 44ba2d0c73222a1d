"""neural-tangents 0.6.5, its last release, on JAX 0.4.36 and later, without TensorFlow.

neural-tangents uses names that JAX and SciPy have dropped since. Its modules are run with an
``__import__`` of their own, which gives them *views* of the modules concerned: the module, and what
it has lost. JAX and SciPy are not changed at any time, so there is nothing to undo, and no other
code can notice.
"""

from __future__ import annotations

import builtins
import importlib
import math
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, NoReturn

import jax
import jax.extend.core
import numpy as np
import scipy.linalg

from ntkalign.errors import InputError

PACKAGE = "neural_tangents"
OLDEST_JAX = (0, 4, 36)

_lock = threading.Lock()


class MissingPartError(InputError, AttributeError):
    """A part of neural-tangents that is left out; ``hasattr`` answers no."""

    name: str


def load() -> ModuleType:
    """The package ``neural_tangents``, imported if it was not yet.

    ``sys.modules`` has it under its usual name, so that importing it directly gives the same
    modules from then on. If it was imported before, that is what is used.

    Returns:
        The package.

    Raises:
        InputError: JAX is too old, or neural-tangents is not installed or does not import.
    """
    if jax.__version_info__ < OLDEST_JAX:
        oldest = ".".join(map(str, OLDEST_JAX))
        raise InputError(
            "jax",
            jax.__version__,
            must=f"be {oldest} or later",
            got=jax.__version__,
            because="that is the oldest release on which the adapter is tested",
            do=f"pip install 'jax>={oldest}'",
        )
    with _lock:
        if PACKAGE not in sys.modules:  # an attempt that failed may have left parts behind
            for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.")]:
                del sys.modules[name]
        try:
            with _finding():
                package = importlib.import_module(PACKAGE)
            _adapt(package)
        except (ImportError, AttributeError) as error:
            raise _not_importable(error) from error
    return package


@contextmanager
def jax_defaults() -> Iterator[None]:
    """JAX's default promotion of ranks and dtypes.

    Where ``jax_numpy_rank_promotion`` or ``jax_numpy_dtype_promotion`` is stricter, some parts of
    neural-tangents need it around their calls: predictions for an array of times, rectified
    monomials and pooling.
    """
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


class _View(ModuleType):
    """A module as neural-tangents sees it: names supplied here, and else the module's own."""

    def __init__(self, name: str, **supplied: Any):
        super().__init__(name)
        vars(self).update(supplied)

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


@cache
def _views() -> dict[str, ModuleType]:
    """Views of the modules that lack something, and of those above them.

    ``jax.core`` lost its names in JAX 0.6, ``jax.util`` its own in 0.7, ``zeros_like_p`` went in
    0.9; ``jax.numpy.shape`` and ``size`` warn since 0.5 that they will refuse shapes without
    values; SciPy's ``eigvals`` became ``subset_by_index``.

    Returns:
        The views by the name of their module.
    """
    moved = ("Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var")
    core = _View("jax.core", **{name: getattr(jax.extend.core, name) for name in moved})
    zeros_like = jax.extend.core.Primitive("zeros_like")  # only ever a key in a table
    ad = _View("jax.interpreters.ad", zeros_like_p=zeros_like)
    interpreters = _View("jax.interpreters", ad=ad)
    util = _View("jax.util", safe_map=_safe_map, safe_zip=_safe_zip)
    numpy = _View("jax.numpy", shape=_shape, size=_size)
    top = _View("jax", core=core, interpreters=interpreters, util=util, numpy=numpy)
    linalg = _View("scipy.linalg", eigvalsh=_eigvalsh)
    scipy = _View("scipy", linalg=linalg)
    views = (top, core, interpreters, ad, util, numpy, scipy, linalg)
    return {view.__name__: view for view in views}


def _safe_map(function: Callable[..., Any], *sequences: Iterable[Any]) -> list[Any]:
    return [function(*items) for items in zip(*sequences, strict=True)]


def _safe_zip(*sequences: Iterable[Any]) -> list[tuple[Any, ...]]:
    return list(zip(*sequences, strict=True))


def _shape(a: Any) -> tuple[int, ...]:
    return a.shape if hasattr(a, "shape") else np.shape(a)


def _size(a: Any, axis: int | None = None) -> int:
    return math.prod(_shape(a)) if axis is None else _shape(a)[axis]


def _eigvalsh(a: Any, eigvals: tuple[int, int] | None = None) -> Any:
    return scipy.linalg.eigvalsh(a, subset_by_index=eigvals)


def _import(
    name: str,
    globals: dict[str, Any] | None = None,
    locals: dict[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """``__import__`` as the modules of neural-tangents know it."""
    if level == 0 and fromlist and name in _views():  # from jax.core import Jaxpr
        return _views()[name]
    module = builtins.__import__(name, globals, locals, fromlist or (), level)
    return _views().get(module.__name__, module)  # import jax; import jax.numpy as jnp


class _Loader(SourceFileLoader):
    """Runs a module of neural-tangents with that ``__import__``."""

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)


class _Unavailable(ModuleType):
    """``neural_tangents.experimental``: it can be imported, but not used."""

    def __getattr__(self, name: str) -> NoReturn:
        raise MissingPartError(
            "nt.experimental",
            name,
            must="not be used",
            got=f"nt.experimental.{name}",
            because="it is for TensorFlow's models, and TensorFlow is left out",
            do="write the model in JAX and call nt.empirical_ntk_fn",
        )


class _Stub(Loader):
    """Makes that module; nothing of the original is run."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Unavailable(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Finder(MetaPathFinder):
    """Finds neural-tangents where it is installed, to be loaded as above; finds nothing else."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == f"{PACKAGE}.experimental":
            return ModuleSpec(name, _Stub(), is_package=True)
        if name.split(".")[0] != PACKAGE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


@contextmanager
def _finding() -> Iterator[None]:
    """Lets :class:`_Finder` come first while neural-tangents is imported."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@cache
def _adapt(package: ModuleType) -> None:
    """Refuses the implementations that cannot work; lets predictions take kernels being traced.

    What a prediction computes from its kernel alone it keeps, and so computes outside of any trace,
    in which JAX no longer lets a traced kernel take part.
    """
    for name in ("AUTO", "STRUCTURED_DERIVATIVES"):
        number = package.NtkImplementation[name]
        package._src.empirical._implementation_to_ntk_fn[number] = _refusal(name)
    predict = package._src.predict
    predict.jax = _View("jax", core=_View("jax.core", eval_context=nullcontext))
    for name in ("_get_cho_solve", "_get_fns_in_eigenbasis"):
        setattr(predict, name, _outside_unless_traced(getattr(predict, name)))


def _outside_unless_traced(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(kernel: Any, *arguments: Any) -> Any:
        traced = isinstance(kernel, jax.core.Tracer)
        with nullcontext() if traced else jax.core.eval_context():
            return function(kernel, *arguments)

    return run


def _refusal(name: str) -> Callable[..., NoReturn]:
    """What takes the place of an implementation of the empirical NTK that cannot work."""

    def refuse(**_: Any) -> NoReturn:
        raise InputError(
            "implementation",
            name,
            must="be JACOBIAN_CONTRACTION (1) or NTK_VECTOR_PRODUCTS (2)",
            got=name,
            because="structured derivatives, which AUTO tries too, read internals of JAX that "
            "0.4.36 and later releases do not have",
            do="leave it out (it is 1 then), or say 2 for networks with many outputs",
        )

    return refuse


def _not_importable(error: Exception) -> InputError:
    missing = isinstance(error, ModuleNotFoundError) and error.name == PACKAGE
    return InputError(
        PACKAGE,
        "not installed" if missing else "installed",
        must="be release 0.6.5 and import",
        got="no such package" if missing else f"{type(error).__name__}: {error}",
        because="the adapter is for that release, and tested on JAX 0.4.36 to 0.10.2 "
        f"(here: {jax.__version__})",
        do="pip install --no-deps neural-tangents==0.6.5 frozendict",
    )
