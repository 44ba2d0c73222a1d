"""What is asked of a family of networks, and how one of them is measured: theory, or kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ntkalign.cells import kernels
from ntkalign.cells.flow import measure_cell
from ntkalign.cells.infinite_width import Predictions, Sweep, predictions
from ntkalign.cells.specification import Measure
from ntkalign.claims.claim import Question
from ntkalign.claims.questions import kernel_questions, proof_questions, questions
from ntkalign.data.catalogue import Data
from ntkalign.errors import InputError
from ntkalign.kernels.convolutional import convolutional_kernels
from ntkalign.kernels.training_time import saved_times
from ntkalign.networks.family import ConvolutionalFamily, Family
from ntkalign.networks.kinds import FAMILIES
from ntkalign.quantities.proof_catalogue import POINTWISE
from ntkalign.quantities.proof_time import proof_times
from ntkalign.rules import CONTROLS
from ntkalign.runs.settings import Settings
from ntkalign.runs.sweep import BASELINES
from ntkalign.values import whole

HELD_OUT = 8

SavedTimes = Callable[[float, float | None], tuple[float, ...]]
Predict = Callable[[Settings, Data, Sequence[float]], Predictions | None]


@dataclass(frozen=True)
class Suite:
    """Questions, and how a network answers them.

    Attributes:
        name: stands in the specification of each network.
        title: the report's heading.
        ask: the questions, from settings and the ids of claims.
        prepare: from settings and all data, how one network is measured.
        predict: from settings, the training points and the saved times, what infinitely wide
            networks do, if the plots are to show it.
        held_out: data points that are not trained on, after the P that are.
        baselines: from settings, quantities of gradient descent that are measured beside what is
            asked, for plots and for the argument step by step.
        times: when flows are looked at, from T and the fastest relaxation time if that is known.
        keeps_trained: whether networks are trained by the registered rules, so that they can be
            kept for other measurements.
    """

    name: str
    title: str
    ask: Callable[[Settings, Iterable[str]], list[Question]]
    prepare: Callable[[Settings, Data], Measure]
    predict: Predict = lambda settings, data, times: None
    held_out: int = 0
    baselines: Callable[[Settings], tuple[str, ...]] = lambda settings: ()
    times: SavedTimes = saved_times
    keeps_trained: bool = True


def check_held_out(given: Any) -> int:
    """How many points are held out, as somebody gave it.

    Returns:
        That many, at least 1.

    Raises:
        InputError: if it is no positive number.
    """
    because = "predictions are checked where the network was not trained"
    count: int = whole(1, because, "pass 8, say")("held_out", given)
    return count


def kernel_suite(held_out: int = HELD_OUT) -> Suite:
    """The questions about kernels, with so many points held out.

    Returns:
        What :func:`ntkalign.runs.verify.verify` is to ask and how it measures one network.

    Raises:
        InputError: if there is none.
    """
    return Suite(
        "kernels",
        "Are networks of finite width what their kernels say? Measured",
        _ask_kernels,
        _prepare_kernels,
        held_out=check_held_out(held_out),
        keeps_trained=False,
    )


def _ask_theory(settings: Settings, only: Iterable[str]) -> list[Question]:
    asked = questions(settings.family, settings.rules, controls=CONTROLS, only=only)
    size = settings.kind.size
    for id in (q.claim.id for q in asked if q.layer is not None and size.is_depth):
        raise InputError(
            "claims", id, must="speak of the whole network", got="one about each layer",
            because=f"larger networks of network {settings.network} have more layers",
            do="leave it out",
        )  # fmt: skip
    return asked


def _ask_proof(settings: Settings, only: Iterable[str]) -> list[Question]:
    if settings.network != Family.kind:
        raise InputError(
            "network", settings.network, must=f"be {Family.kind}", got=repr(settings.network),
            because="the proofs are written for fully connected networks",
            do="pass it to ntkalign verify, which measures what is claimed of such networks",
        )  # fmt: skip
    networks = [r for r in settings.rules if r.error == "own" and r.output == "network"]
    return proof_questions(settings.family, networks, only)


def _ask_kernels(settings: Settings, only: Iterable[str]) -> list[Question]:
    if settings.network != Family.kind:
        raise InputError(
            "network", settings.network, must=f"be {Family.kind}", got=repr(settings.network),
            because="these layerwise kernels are those of fully connected networks",
            do="pass it to ntkalign verify, which measures the kernel of such networks, too",
        )  # fmt: skip
    if settings.output_exponent != 0:
        raise InputError(
            "output_exponent", settings.output_exponent, must="be 0", got="another",
            because="only the neural tangent parameterisation has these limits", do="leave it out",
        )  # fmt: skip
    return kernel_questions(settings.family, only)


def _theory_baselines(settings: Settings) -> tuple[str, ...]:
    """The proofs are written for fully connected networks."""
    return (*BASELINES, *(POINTWISE if settings.network == Family.kind else ()))


def _predict_theory(settings: Settings, data: Data, times: Sequence[float]) -> Predictions | None:
    if settings.output_exponent != 0 or not FAMILIES.is_built_in(settings.kind):
        return None
    which = Sweep(data, times, settings.widths, settings.every_seed, settings.initial_outputs)
    return predictions(settings.family, which)


def _prepare_kernels(settings: Settings, data: Data) -> Measure:
    family = settings.family
    assert isinstance(family, Family)  # others are refused by what asks
    return kernels.prepare(family, data)


def _prepare_theory(settings: Settings, data: Data) -> Measure:
    family = settings.family
    if not isinstance(family, ConvolutionalFamily):
        return measure_cell
    strides = family.every_stride
    limit = convolutional_kernels(family.activation, strides, family.bias_std, data.x)
    return partial(measure_cell, limit=limit)


PROOF = Suite(
    "proof",
    "The paper's argument, step by step: Boopathy & Fiete (ICML 2022), measured",
    _ask_proof,
    _prepare_theory,
    times=proof_times,
)
THEORY = Suite(
    "theory",
    "Does it hold at finite width? Boopathy & Fiete (ICML 2022), measured",
    _ask_theory,
    _prepare_theory,
    _predict_theory,
    baselines=_theory_baselines,
)
