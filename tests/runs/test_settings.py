"""Settings exist checked or not at all, with plain values; and the choice of the training time."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign import InputError, Rule, Settings
from ntkalign.data.catalogue import Data, load
from ntkalign.flow.initial_state import InitialState
from ntkalign.kernels.empirical import rule_kernel
from ntkalign.kernels.training_time import choose_time
from ntkalign.networks.activations import ACTIVATIONS, Activation
from ntkalign.networks.family import Family
from ntkalign.quantities.quantity import Layers, Quantity
from ntkalign.rules import ALIGN_ADA, ALIGN_ZERO, RULES, current_activity, current_jacobian
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
        Settings(**change)
    text = str(caught.value)
    assert "\n" not in text
    for part in (" must ", "; got ", "; because ", "; do: "):
        assert part in text


def test_two_rules_of_one_name_are_refused():
    """One's own twice, or one's own called like a built-in one, wherever it stands."""
    first, second = (Rule("mine", current_jacobian, current_activity, title=t) for t in "ab")
    with pytest.raises(InputError, match=r"rules .* must have distinct names"):
        Settings(rules=(first, second))
    for name in RULES:
        mine = Rule(name, current_jacobian, current_activity)
        with pytest.raises(InputError, match=rf"rule \({name}\) must not have the name of another"):
            Settings(rules=(mine,))
    for name in ACTIVATIONS:
        with pytest.raises(InputError, match=rf"activation \({name}\) must not have the name"):
            Settings(activation=Activation(name, jnp.tanh))


def test_the_same_holds_for_a_changed_copy():
    with pytest.raises(InputError, match=r"seeds \(1\) must be at least 2"):
        replace(Settings(), seeds=1)


PLAIN = {
    "data": "sphere", "points": 4, "inputs": 6, "outputs": 2, "depth": 3, "widths": (8, 16, 32),
    "multipliers": (1, 2), "seeds": 2, "first_seed": 3, "time": 1.5, "bias_std": 0.5,
    "rules": ("align-ada", "align-zero"), "tolerance": 0.001, "confidence": 0.9, "bottleneck": 2,
}  # fmt: skip
ALIKE = [
    {"seeds": np.int64(2), "points": np.uint8(4), "depth": np.array(3), "first_seed": jnp.array(3)},
    {"widths": np.array([8, 16, 32]), "multipliers": np.array([1, 2], np.int32)},
    {"widths": [8, 16, 32], "multipliers": range(1, 3), "rules": ["align-ada", "align-zero"]},
    {"widths": jnp.array([8, 16, 32]), "rules": np.array(["align-ada", "align-zero"])},
    {"widths": (m for m in (8, 16, 32)), "rules": (ALIGN_ADA, ALIGN_ZERO)},
    {"time": np.float64(1.5), "bias_std": np.float32(0.5), "tolerance": np.array(0.001)},
    {"time": Fraction(3, 2), "confidence": np.array(0.9)},
    {"data": Path("sphere"), "data_dir": None, "engine": np.str_("auto")},
]


@pytest.mark.parametrize("alike", ALIKE)
def test_what_numpy_and_paths_say_is_what_plain_values_say(alike):
    plain = Settings(**PLAIN)
    settings = Settings(**(PLAIN | alike))
    assert settings == plain
    assert hash(settings) == hash(plain)
    assert json.dumps(settings.as_json()) == json.dumps(plain.as_json())
    for name, value in vars(settings).items():
        assert type(value) is type(getattr(plain, name)), name
    assert Settings(data_dir="images").data_dir == Path("images")


NOT_EVEN_ONE = [
    *({name: bad} for name in ("points", "inputs", "outputs", "depth", "seeds", "first_seed",
                               "bottleneck")
      for bad in (True, np.True_, "8", 8.0, np.float64(8), float("nan"), (8,), np.array([8]))),
    *({name: bad} for name in ("time", "bias_std", "tolerance", "confidence", "output_exponent")
      for bad in (True, np.True_, "0.5", float("nan"), float("inf"), 1j, (0.5,))),
    *({name: bad} for name in ("widths", "multipliers")
      for bad in (8, "8,16,32", {8, 16, 32}, {8: 1}, np.array(8), (True, 16, 32), ("8", 16, 32),
                  (8.0, 16, 32), None)),
    *({"rules": bad} for bad in ("align-ada", ALIGN_ADA, {"align-ada"}, (3,), None)),
    *({"data": bad} for bad in (None, 3, b"digits")),
    *({"data_dir": bad} for bad in (3, True)),
    *({name: bad} for name in ("engine", "initial_outputs") for bad in (None, 3, "none", "AUTO")),
    *({"activation": bad} for bad in (None, 3)),
    *({name: None} for name in ("points", "depth", "seeds", "tolerance", "confidence")),
]  # fmt: skip


@pytest.mark.parametrize("bad", NOT_EVEN_ONE, ids=range(len(NOT_EVEN_ONE)))
def test_what_only_looks_like_a_value_is_refused_in_one_line(bad):
    (name,) = bad
    with pytest.raises(InputError, match=rf"^{name} \(.*\) must .*; got .*; because .*; do: ") as e:
        Settings(**bad)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["", "two\nlines", "a\tb", "nul\0", "\ud800", "a,b", " a"])
def test_names_that_cannot_be_stored_are_refused(name):
    """Where they are made."""
    for kind, make in (
        ("rule", lambda: Rule(name, current_jacobian, current_activity)),
        ("activation", lambda: Activation(name, jnp.tanh)),
        ("quantity", lambda: Quantity(name, "$q$", Layers.WHOLE, "nowhere:nothing")),
    ):
        with pytest.raises(InputError, match=rf"^{kind} \(.*\) must have a name of printable") as e:
            make()
        assert str(e.value).isprintable()


def test_names_are_looked_up_and_repeats_dropped():
    settings = Settings(rules=("align-ada", "align-zero", ALIGN_ADA))
    assert settings.rules == (ALIGN_ADA, ALIGN_ZERO)
    assert settings.activation.name == "tanh"
    assert settings.as_json()["rules"] == ["align-ada", "align-zero"]


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_can_be_run(preset):
    assert Settings(**PRESETS[preset]).seeds >= 4


def test_the_chosen_time_lets_the_linearised_loss_fall_tenfold():
    data = load("digits", points=8)
    family = Settings().family
    time = choose_time(family, data)
    network = family.network(1024, (64,), 10)  # another wide network must agree roughly
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
    family = Family(2, Settings().activation)
    with pytest.raises(InputError, match=r"time \(None\) must be given .* \(nearly\) singular"):
        choose_time(family, data)
