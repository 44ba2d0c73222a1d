"""Every message about settings that cannot be run, and the choice of the training time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign import InputError, Rule, Settings
from ntkalign.data.catalogue import Data, load
from ntkalign.flow.initial_state import InitialState
from ntkalign.kernels.empirical import rule_kernel
from ntkalign.kernels.training_time import choose_time
from ntkalign.networks.family import Family
from ntkalign.rules import ALIGN_ADA, ALIGN_ZERO, current_activity, current_jacobian
from ntkalign.runs.settings import PRESETS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "thanh"}, r"activation \(thanh\) must be one of .* did you mean 'tanh'\?"),
        ({"rules": ("align-zer",)}, r"rules \(align-zer\) must be one of .* mean 'align-zero'\?"),
        ({"rules": ()}, r"rules \(\) must name a rule other than normal; got none"),
        ({"rules": ("normal",)}, r"rules \(normal\) must name a rule other than normal"),
        ({"widths": (64, 0, 128)}, r"widths \(0\) must be at least 1; got 0"),
        ({"widths": (64, 128, 128)}, r"widths \(64,128,128\) must increase"),
        ({"widths": (256, 128, 64)}, r"widths \(256,128,64\) must increase"),
        ({"widths": (64, 128)}, r"widths \(64,128\) must be at least 3 widths; got 2"),
        ({"seeds": 1}, r"seeds \(1\) must be at least 2; .* intervals come from seeds"),
        ({"first_seed": -1}, r"first_seed \(-1\) must be at least 0"),
        ({"first_seed": 2**32}, r"first_seed \(4294967296\) must be at most 4294967280"),
        ({"depth": 1}, r"depth \(1\) must be at least 2; .* needs a hidden layer"),
        ({"multipliers": (1, 2, 3)}, r"multipliers \(1,2,3\) must be 2 numbers, one per hidden"),
        ({"multipliers": (1, 0)}, r"multipliers \(0\) must be at least 1"),
        ({"time": 0.0}, r"time \(0\.0\) must be positive and finite"),
        ({"time": -1.0}, r"time \(-1\.0\) must be positive and finite"),
        ({"time": float("nan")}, r"time \(nan\) must be positive and finite"),
        ({"bias_std": -0.1}, r"bias_std \(-0\.1\) must be at least 0"),
        ({"engine": "dence"}, r"engine \(dence\) must be one of auto, .* did you mean 'dense'\?"),
        ({"tolerance": 0.0}, r"tolerance \(0\.0\) must be above 0 and at most 0\.01"),
        ({"tolerance": 0.05}, r"tolerance \(0\.05\) must be above 0 and at most 0\.01"),
        ({"confidence": 1.0}, r"confidence \(1\.0\) must be between 0 and 1"),
        ({"bottleneck": 0}, r"bottleneck \(0\) must be at least 1"),
    ],
)
def test_settings_that_cannot_be_run_say_why_in_one_line(change, message):
    with pytest.raises(InputError, match=message) as caught:
        Settings(**change).checked()
    text = str(caught.value)
    assert "\n" not in text
    for part in (" must ", "; got ", "; because ", "; do: "):
        assert part in text


def test_two_rules_of_one_name_are_refused():
    mine = Rule("align-ada", current_jacobian, current_activity)
    with pytest.raises(InputError, match=r"rules .* must have distinct names"):
        Settings(rules=("align-ada", mine)).checked()


def test_names_are_looked_up_and_repeats_dropped():
    settings = Settings(rules=("align-ada", "align-zero", ALIGN_ADA)).checked()
    assert settings.rules == (ALIGN_ADA, ALIGN_ZERO)
    assert settings.activation.name == "tanh"
    assert settings.as_json()["rules"] == ["align-ada", "align-zero"]


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_can_be_run(preset):
    assert Settings(**PRESETS[preset]).checked().seeds >= 4


def test_the_chosen_time_lets_the_linearised_loss_fall_tenfold():
    data = load("digits", points=8)
    family = Settings().checked().family
    time = choose_time(family, data)
    network = family.network(1024, 64, 10)  # another wide network must agree roughly
    origin = InitialState.of(network, network.initialise(jax.random.key(7)), jnp.asarray(data.x))
    error = origin.error(data.y).ravel()
    rates, modes = np.linalg.eigh(rule_kernel(network, origin.factors, origin.factors) / 8)
    fall = np.sum((modes.T @ error) ** 2 * np.exp(-2 * rates * time)) / np.sum(error**2)
    assert 1 / 16 < fall < 1 / 6


def test_points_that_a_network_cannot_tell_apart_need_a_time():
    x = np.ones((3, 4))
    x[1] *= 1 + 1e-13
    x[2] *= 1 - 1e-13
    data = Data("near", x, np.array([[1.0], [-1.0], [0.5]]) * 1e3)
    family = Family(2, Settings().checked().activation)
    with pytest.raises(InputError, match=r"time \(None\) must be given .* \(nearly\) singular"):
        choose_time(family, data)
