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
from ntkalign.data.catalogue import NETWORKS, Data, load
from ntkalign.flow.initial_state import InitialState
from ntkalign.kernels.empirical import rule_kernel
from ntkalign.kernels.training_time import choose_time
from ntkalign.networks.activations import ACTIVATIONS, Activation
from ntkalign.networks.family import ConvolutionalFamily, Family, RecurrentFamily
from ntkalign.networks.kinds import FAMILIES
from ntkalign.networks.normalisation import Norm
from ntkalign.quantities.quantity import Layers, Quantity
from ntkalign.rules import ALIGN_ADA, ALIGN_ZERO, RULES, current_activity, current_jacobian
from ntkalign.runs.settings import PRESETS, preset


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
        ({"tolerance": 0.0}, r"tolerance \(0\.0\) must lie between 1e-14 and 0\.01"),
        ({"tolerance": 0.05}, r"tolerance \(0\.05\) must lie between 1e-14 and 0\.01"),
        ({"confidence": 1.0}, r"confidence \(1\.0\) must lie between 1e-06 and 1 - 1e-06"),
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
    *({name: bad} for name in ("points", "inputs", "outputs", "steps", "depth", "seeds",
                               "first_seed", "bottleneck")
      for bad in (True, np.True_, "8", 8.0, np.float64(8), float("nan"), (8,), np.array([8]))),
    *({name: bad} for name in ("time", "bias_std", "tolerance", "confidence", "output_exponent")
      for bad in (True, np.True_, "0.5", float("nan"), float("inf"), 1j, (0.5,))),
    *({name: bad} for name in ("widths", "multipliers", "strides")
      for bad in (8, "8,16,32", {8, 16, 32}, {8: 1}, np.array(8), (True, 16, 32), ("8", 16, 32),
                  (8.0, 16, 32))),
    *({"rules": bad} for bad in ("align-ada", ALIGN_ADA, {"align-ada"}, (3,), None)),
    *({"data": bad} for bad in (3, b"digits")),
    *({"data_dir": bad} for bad in (3, True)),
    *({name: bad} for name in ("engine", "initial_outputs", "network", "norm", "readout")
      for bad in (None, 3, "no", "AUTO")),
    *({"activation": bad} for bad in (None, 3)),
    *({name: None} for name in ("points", "depth", "confidence", "multipliers", "strides")),
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


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_run(name, network):
    settings = Settings(network=network, **preset(name, network))
    assert settings.seeds >= 4
    assert settings.data == FAMILIES[network].usual.data
    assert min(settings.widths) < settings.family.wide


def test_presets_differ_by_widths_and_seeds():
    for network in NETWORKS:
        quick, standard, deep = (
            Settings(network=network, **preset(name, network))
            for name in ("quick", "standard", "deep")
        )
        assert standard == Settings(network=network)
        assert set(quick.widths) < set(standard.widths) < set(deep.widths)
        assert deep.widths[: len(standard.widths)] == standard.widths
        assert quick.seeds < standard.seeds == deep.seeds
        for settings in (quick, deep):
            same = replace(settings, widths=standard.widths, seeds=standard.seeds)
            assert same == standard
    assert preset("deep", "mlp")["widths"][-1] == 16384
    assert preset("quick", "lstm")["widths"] is None  # the network is refused, not its widths
    with pytest.raises(InputError, match=r"^preset \(fast\) must be one of quick, standard, deep"):
        preset("fast", "rnn")


@pytest.mark.parametrize("network", NETWORKS)
def test_defaults_are_the_networks_own_if_nothing_else_is_asked_for(network):
    plain = Settings(network=network)
    for name in ("data", "widths", "seeds", "tolerance"):
        assert getattr(plain, name) == getattr(FAMILIES[network].usual, name)
    assert len(plain.widths) >= 4
    assert plain.steps is None  # as many as the data have
    assert Settings(**plain.as_json()) == plain
    asked = {"data": "sphere", "widths": (2, 3, 4), "seeds": 3, "tolerance": 1e-4}
    for name, value in asked.items():
        own = Settings(network=network, **{name: value})
        assert own == replace(plain, **{name: value})
        assert getattr(own, name) == value
    assert [FAMILIES[n].usual.data for n in NETWORKS] == ["digits", "add", "digits"]
    assert network != "mlp" or plain == Settings()


def test_the_family_is_of_the_network_and_has_what_was_asked_for():
    rnn = Settings(network="rnn", activation="erf", bias_std=0.5, output_exponent=-0.5,
                   readout="unscaled").family  # fmt: skip
    erf = ACTIVATIONS["erf"]
    assert rnn == RecurrentFamily(erf, 0.5, output_exponent=-0.5, scaled_readout=False)
    assert Settings(network="rnn").family == RecurrentFamily(ACTIVATIONS["tanh"])
    cnn = Settings(network="cnn", activation="erf", bias_std=0.5, output_exponent=-0.5, depth=4,
                   multipliers=(1, 2, 1), strides=(1, 2, 1), norm="channel").family  # fmt: skip
    assert cnn == ConvolutionalFamily(
        4, erf, (1, 2, 1), (1, 2, 1), 0.5, output_exponent=-0.5, norm=Norm.CHANNEL
    )
    assert Settings(network="cnn").family == ConvolutionalFamily(3, ACTIVATIONS["tanh"])
    assert Settings(depth=4, multipliers=(1, 2, 1)).family == Family(
        4, ACTIVATIONS["tanh"], (1, 2, 1)
    )


OF_SOME = {
    "steps": (4, ("rnn",)),
    "readout": ("unscaled", ("rnn",)),
    "strides": ((1, 1), ("cnn",)),
    "norm": ("position", ("cnn",)),
    "multipliers": ((1, 2), ("mlp", "cnn")),
}
"""A value of each setting that not all networks have, and which do."""


@pytest.mark.parametrize("name", OF_SOME)
@pytest.mark.parametrize("network", NETWORKS)
def test_a_setting_that_the_network_does_not_have_is_refused(name, network):
    """It would be ignored."""
    value, networks = OF_SOME[name]
    if network in networks:
        assert getattr(Settings(**{"network": network, name: value}), name) == value
        return
    have = f"{' and '.join(networks)} {'has' if len(networks) == 1 else 'have'} it"
    with pytest.raises(
        InputError,
        match=rf"^{name} \(.*\) must be left out for this network; got it for network {network}; "
        rf"because only {have}; do: leave it out, or pass network {networks[0]}$",
    ):
        Settings(**{"network": network, name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "lstm"}, r"^network \(lstm\) must be one of mlp, rnn, cnn; got 'lstm'"),
        ({"network": "rn"}, r"^network \(rn\) must be one of .*; do: did you mean 'rnn'\?"),
        ({"network": "rnn", "depth": 4},
         r"^depth \(4\) must be 3 for network rnn; got 4; because its weights are of inputs, "
         r"recurrence and readout; do: leave it out$"),
        ({"network": "rnn", "depth": 2}, r"^depth \(2\) must be 3 for network rnn; got 2"),
        ({"network": "rnn", "steps": 0},
         r"^steps \(0\) must be at least 1; got 0; because it is the length of sequences"),
        ({"network": "rnn", "steps": -1}, r"^steps \(-1\) must be at least 1"),
        ({"network": "rnn", "steps": 1001},
         r"^steps \(1001\) must be at most 1000; got 1001; because flows keep every step"),
        ({"network": "rnn", "steps": 10**9}, r"^steps \(1000000000\) must be at most 1000"),
        ({"network": "rnn", "readout": "none"}, r"^readout \(none\) must be one of scaled, unsc"),
        ({"network": "cnn", "norm": "layer"}, r"^norm \(layer\) must be one of none, position, ch"),
        ({"network": "cnn", "strides": (2,)},
         r"^strides \(2\) must be 2 numbers, one per convolution; got 1; because the depth is 3"),
        ({"network": "cnn", "strides": (2, 2), "depth": 4},
         r"^strides \(2,2\) must be 3 numbers, one per convolution; got 2; because the depth is 4"),
        ({"network": "cnn", "strides": (2, 0)}, r"^strides \(0\) must be at least 1"),
        ({"network": "cnn", "multipliers": (1,)}, r"^multipliers \(1\) must be 2 numbers, one per"),
        ({"network": "cnn", "depth": 1}, r"^depth \(1\) must be at least 2"),
        ({"network": "cnn", "widths": (4, 8)}, r"^widths \(4,8\) must be at least 3 widths; got 2"),
    ],
)  # fmt: skip
def test_settings_of_no_recurrent_or_convolutional_network_say_why_in_one_line(change, message):
    with pytest.raises(InputError, match=message) as caught:
        Settings(**change)
    text = str(caught.value)
    assert "\n" not in text
    for part in (" must ", "; got ", "; because ", "; do: "):
        assert part in text


def test_the_longest_sequences_are_allowed():
    for steps in (1, 1000):
        assert Settings(network="rnn", steps=steps).steps == steps


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
