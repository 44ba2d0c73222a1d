"""The package's own quantities pass the checks of quantities, and every kind of fault is told."""

from __future__ import annotations

import numpy as np
import pytest

from ntkalign import InputError, Layers, Quantity
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.quantity import VERIFY, ErrorFrom
from ntkalign.quantities.series import ROUNDING
from ntkalign.rules import ALIGN_ZERO
from ntkalign.testing import check_quantity

OF_KERNELS_OF_CNN = ("kernel-gap",)
FUNCTIONS = {
    q.measure: name
    for name, q in reversed(list(QUANTITIES.items()))
    if q.command == VERIFY and name not in OF_KERNELS_OF_CNN
}
"""One quantity of each function, which measures its companions, too."""


@pytest.mark.parametrize("name", FUNCTIONS.values())
def test_every_quantity_of_the_package_passes(name):
    found = check_quantity(QUANTITIES[name])
    assert {"finite, with bounds", "errors cover differences"} <= set(found.passed)
    assert {name for name, _ in found.skipped} <= {"a value for each time", "another sample"}


def test_so_do_kernels_of_images_and_flows_of_another_rule():
    assert check_quantity(QUANTITIES["kernel-gap"], network="cnn").passed
    assert check_quantity(QUANTITIES["linearisation-gap"], rule=ALIGN_ZERO).passed


def test_those_of_the_other_command_are_refused():
    with pytest.raises(
        InputError, match=r"quantity \(ntk-drift\) must be one that ntkalign verify"
    ):
        check_quantity(QUANTITIES["ntk-drift"])


def size(seen):
    """Of the outputs, of order one."""
    return np.abs(np.asarray(seen.flow.output)).max(axis=(1, 2))


def of(function, **options):
    return Quantity("mine", "m", Layers.WHOLE, function, **options)


def whole(values, bounds=None):
    values = np.asarray(values)
    return {(None, "mine"): (values, ROUNDING * np.abs(values) if bounds is None else bounds)}


def test_one_s_own_passes_registered_or_not():
    found = check_quantity(of(lambda seen: whole(size(seen))))
    assert len(found.passed) == 6
    assert [name for name, _ in found.skipped] == ["a value for each time", "another sample"]


def spoils(seen):
    values = size(seen)
    seen.flow.output[...] *= 2
    return whole(values)


def sampled(seen):
    noise = np.random.default_rng(seen.seed).standard_normal()
    return whole(size(seen) + 1e-3 * abs(noise))


FAULTS = {
    "another layer": (
        of(lambda seen: {(1, "mine"): (size(seen), size(seen))}),
        r"a series for each layer: quantity \(mine\) must be measured for the layers that its "
        r"record names; got more or less than that: mine, mine of layer 1",
    ),
    "shapes": (of(lambda seen: whole(1.0, 0.0)), r"of shape \(times,\); got shapes \(\) and \(\)"),
    "negative bounds": (
        of(lambda seen: whole(size(seen), -size(seen))),
        r"finite, with bounds: quantity mine must have error bounds of at least 0; got mine: -",
    ),
    "NaN": (of(lambda seen: whole(size(seen) * np.nan)), r"be finite where a network has moved"),
    "negative": (of(lambda seen: whole(-size(seen))), r"must be at least 0; .* signed=True"),
    "float32": (
        of(lambda seen: whole(size(seen).astype(np.float32))),
        r"float64: quantity mine must be in float64; got float32; because",
    ),
    "random": (
        of(lambda seen: whole(size(seen) + np.random.default_rng().random())),
        r"equal calls, equal values: .* seed what is drawn by numpy.random.default_rng",
    ),
    "spoils": (of(spoils), r"quantity mine must run; got ValueError: output array is read-only"),
    "undeclared": (
        of(lambda seen: whole(np.abs(size(seen) - size_of(seen.references["align-ada"])))),
        r"references are declared: .* got a look at the flow of align-ada; .* do: declare "
        r"Quantity\(…, references=\('align-ada',\)\)",
    ),
    "no sampling error": (
        of(sampled, error_from=ErrorFrom.MEASURING),
        r"another sample: .* must state the error of sampling; got mine: values \S+ apart for two",
    ),
    "bounds too small": (
        of(lambda seen: whole(size(seen)), error_from=ErrorFrom.MEASURING),
        r"errors cover differences: .* by no more than the errors it states; got mine: \S+ ± \S+ "
        r"by the spectral engine at tolerance 1e-04, .* larger bounds",
    ),
    "one time": (
        of(lambda seen: whole(size(seen)[-1:]), over_time=True),
        r"a value for each time: .* must have a value at each of the 2 saved times; got 1 of mine",
    ),
    "breaks": (of(lambda seen: seen.nothing), r"quantity mine must run; got AttributeError"),
}  # fmt: skip


def size_of(flow):
    return np.abs(np.asarray(flow.output)).max(axis=(1, 2))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told(name):
    bad, message = FAULTS[name]
    with pytest.raises(AssertionError, match=message):
        check_quantity(bad)
