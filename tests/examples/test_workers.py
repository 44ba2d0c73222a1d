"""What the examples register can be measured by other processes: what jobs hold travels.

Quantities and claims are only named in them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from ntkalign import Activation, InputError, Settings
from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.kinds import FAMILIES
from ntkalign.plugins import load
from ntkalign.rules import RULES
from ntkalign.runs.schedulers.parcel import Parcel

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(path for path in EXAMPLES.glob("*.py") if "register(" in path.read_text())

pytestmark = pytest.mark.usefixtures("own_records")


def itself(thing):
    return thing


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_rules_activations_and_networks_of_an_example_travel(path):
    load(path)
    for registry in (RULES, ACTIVATIONS):
        for part in registry.values():
            assert Parcel.of(partial(itself, part))() is part
    for name in FAMILIES:
        family = Settings(network=name, initial_outputs="zero").family
        arrived = Parcel.of(partial(itself, family))()
        assert arrived == family
        assert hash(arrived) == hash(family)  # or each network would be compiled anew


def test_a_function_without_a_name_is_refused_with_what_to_do():
    nameless = Activation("nameless", lambda z: z, bounded_first=True)
    with pytest.raises(InputError, match=r"import all parts of the run; got .+; because ") as told:
        Parcel.of(partial(itself, Settings(activation=nameless).family))
    assert str(told.value).endswith(
        "; do: define it by def, not lambda, at the top of a file that --plugin or "
        "ntkalign.plugins.load loads, or register there what holds it, or pass no workers"
    )
