"""ntkalign: does what a paper proves for infinitely wide networks hold, at the stated rate?

    networks → rules → flow → quantities → statistics → claims → report

A name is imported when it is first used: ``import ntkalign`` is quick and imports no JAX, and
nothing here changes JAX for other code (:mod:`ntkalign.precision`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names as in _HOMES, for type checkers and editors
    from ntkalign.claims.claim import Claim as Claim
    from ntkalign.claims.claim import Control as Control
    from ntkalign.data.catalogue import PointSet as PointSet
    from ntkalign.errors import IncompleteRunError as IncompleteRunError
    from ntkalign.errors import InputError as InputError
    from ntkalign.flow.gradient_flow import gradient_flow as gradient_flow
    from ntkalign.flow.options import FlowOptions as FlowOptions
    from ntkalign.flow.problem import Problem as Problem
    from ntkalign.flow.trajectory import Flow as Flow
    from ntkalign.flow.trajectory import Outcome as Outcome
    from ntkalign.networks.activations import ACTIVATIONS as ACTIVATIONS
    from ntkalign.networks.activations import Activation as Activation
    from ntkalign.networks.base import Network as Network
    from ntkalign.networks.base import backpropagate as backpropagate
    from ntkalign.networks.family import Family as Family
    from ntkalign.networks.fully_connected import FullyConnected as FullyConnected
    from ntkalign.plugins import register as register
    from ntkalign.precision import float64 as float64
    from ntkalign.quantities.quantity import Layers as Layers
    from ntkalign.quantities.quantity import Quantity as Quantity
    from ntkalign.rules import RULES as RULES
    from ntkalign.rules import Rule as Rule
    from ntkalign.rules import current_activity as current_activity
    from ntkalign.rules import initial_activity as initial_activity
    from ntkalign.runs.record import Verification as Verification
    from ntkalign.runs.settings import Settings as Settings
    from ntkalign.runs.verify import verify as verify
    from ntkalign.statistics.judgement import Kind as Kind
    from ntkalign.statistics.rates import Rate as Rate
    from ntkalign.statistics.rates import fit as fit
    from ntkalign.version import __version__ as __version__

_HOMES = {
    "claims.claim": ("Claim", "Control"),
    "data.catalogue": ("PointSet",),
    "errors": ("IncompleteRunError", "InputError"),
    "flow.gradient_flow": ("gradient_flow",),
    "flow.options": ("FlowOptions",),
    "flow.problem": ("Problem",),
    "flow.trajectory": ("Flow", "Outcome"),
    "networks.activations": ("ACTIVATIONS", "Activation"),
    "networks.base": ("Network", "backpropagate"),
    "networks.family": ("Family",),
    "networks.fully_connected": ("FullyConnected",),
    "plugins": ("register",),
    "precision": ("float64",),
    "quantities.quantity": ("Layers", "Quantity"),
    "rules": ("RULES", "Rule", "current_activity", "initial_activity"),
    "runs.record": ("Verification",),
    "runs.settings": ("Settings",),
    "runs.verify": ("verify",),
    "statistics.judgement": ("Kind",),
    "statistics.rates": ("Rate", "fit"),
    "version": ("__version__",),
}
"""Which module has which names."""
_HOME = {name: f"{__name__}.{module}" for module, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
