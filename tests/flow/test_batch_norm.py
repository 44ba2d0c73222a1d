"""W* of a network whose points see one another: by backpropagation of all of them at once."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from ntkalign.networks.activations import ACTIVATIONS
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.normalisation import Norm
from ntkalign.quantities import theory as measure
from ntkalign.rules import ALIGN_ZERO, NORMAL
from tests.cases import solve


@pytest.mark.parametrize("norm", [Norm.POSITION, Norm.CHANNEL])
def test_align_zero_moves_as_its_own_delta_says(norm):
    network = Convolutional((4, 3, 1), (2, 3), (2, 1), 2, ACTIVATIONS["tanh"], norm)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 4, 3, 1)), rng.standard_normal((5, 2))
    start = network.initialise(jax.random.key(1))
    found = {
        rule: measure.alignment(
            solve(network, rule, start, x, y, np.array([0.5, 1.0]), tolerance=1e-9)
        )
        for rule in (ALIGN_ZERO, NORMAL)
    }
    for layer in (1, 2, 3):
        assert found[ALIGN_ZERO][layer, "discrepancy"][0].max() < 1e-7
        assert found[ALIGN_ZERO][layer, "misalignment"][0].max() < 1e-10
    assert found[NORMAL][2, "discrepancy"][0].max() > 1e-3
