"""Families give the networks that they say, and refuse what is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ntkalign import InputError
from ntkalign.networks.activations import lookup as activation
from ntkalign.networks.convolutional import Convolutional
from ntkalign.networks.family import ConvolutionalFamily, Family, RecurrentFamily
from ntkalign.networks.normalisation import Norm
from ntkalign.networks.recurrent import Recurrent

TANH = activation("tanh")
MLP, RNN, CNN = Family(3, TANH), RecurrentFamily(TANH), ConvolutionalFamily(3, TANH)
FAMILIES = {"mlp": MLP, "rnn": RNN, "cnn": CNN}
INPUTS = {"mlp": (3,), "rnn": (4, 3), "cnn": (5, 4, 2)}


def network(family, width=8, outputs=12):
    return family.network(width, INPUTS[family.kind], outputs)


def test_a_family_grows_every_hidden_layer_but_a_bottleneck():
    assert Family(4, TANH).network(8, (3,), 2).widths == (3, 8, 8, 8, 2)
    assert Family(4, TANH, multipliers=(4, 1, 2)).network(8, (3,), 2).widths == (3, 32, 8, 16, 2)
    assert Family(4, TANH, multipliers=(4, 2, 6)).network(8, (3,), 2).widths == (3, 16, 8, 24, 2)
    assert Family(4, TANH, bottleneck=3).network(8, (3,), 2).widths == (3, 8, 3, 8, 2)


def test_recurrent_networks_have_units_steps_and_targets_of_a_step():
    one = network(RNN)
    assert isinstance(one, Recurrent)
    assert (one.width, one.steps, one.features, one.targets) == (8, 4, 3, 3)
    assert (one.slots, one.scaled_readout) == (None, True)
    assert one.input_shape == (4, 3)
    assert one.flat_outputs == 12
    assert RNN.network(5, (1, 7), 2).targets == 2
    assert RNN.depth == one.depth == 3
    assert network(replace(RNN, bias_std=0.5)).bias_std == 0.5
    assert not network(replace(RNN, scaled_readout=False)).scaled_readout


def test_convolutional_networks_have_channels_strides_and_classes():
    one = network(CNN)
    assert isinstance(one, Convolutional)
    assert (one.image, one.filters, one.strides, one.classes) == ((5, 4, 2), (8, 8), (2, 2), 12)
    assert (one.norm, one.form, one.depth) == (Norm.NONE, "ntk", 3)
    deep = ConvolutionalFamily(4, TANH, multipliers=(4, 1, 2), strides=(1, 3, 1), bias_std=0.5)
    other = network(deep)
    assert (other.filters, other.strides, other.bias_std) == ((32, 8, 16), (1, 3, 1), 0.5)
    assert network(ConvolutionalFamily(2, TANH)).strides == (2,)
    for norm in Norm:
        assert network(replace(CNN, norm=norm)).norm is norm


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_bottleneck_is_as_narrow_at_every_width_and_nothing_else_is(kind):
    """In units, or channels: what comes out of the layer that it narrows."""
    family = FAMILIES[kind]
    narrow = family.narrowed(3)
    assert type(narrow) is type(family)
    assert narrow == replace(family, bottleneck=3)
    assert family.bottleneck is None
    for width in (4, 16):
        wide, one = network(family, width), network(narrow, width)
        for layer, (was, now) in enumerate(zip(wide.maps[:-1], one.maps[:-1], strict=True), 1):
            narrowed = layer == narrow.bottleneck_layer or kind == "rnn"
            assert was.outputs[0] == width
            assert now.outputs[0] == (3 if narrowed else width)
        assert one.outputs == wide.outputs


def test_the_middle_layer_is_the_bottleneck():
    for depth, layer in ((2, 1), (3, 1), (4, 2), (5, 2), (6, 3)):
        assert Family(depth, TANH).bottleneck_layer == layer
        assert ConvolutionalFamily(depth, TANH).bottleneck_layer == layer
    assert RNN.bottleneck_layer == 2
    deep = ConvolutionalFamily(4, TANH, bottleneck=3)
    assert network(deep).filters == (8, 3, 8)


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_output_scale_is_a_power_of_the_width(kind):
    family = FAMILIES[kind]
    assert network(family, 16).output_scale == 1.0
    mean_field = replace(family, output_exponent=-0.5)
    assert network(mean_field, 16).output_scale == mean_field.output_scale(16) == 0.25
    # m is what the family grows by, whatever does not grow
    assert network(mean_field.narrowed(2), 16).output_scale == 0.25


@pytest.mark.parametrize("kind", FAMILIES)
def test_assumptions_are_those_of_the_theory(kind):
    family = FAMILIES[kind]
    assert family.meets_assumptions
    for name in ("erf", "softplus", "linear"):
        assert replace(family, activation=activation(name)).meets_assumptions
    for name in ("relu", "leaky-relu", "abs"):
        assert not replace(family, activation=activation(name)).meets_assumptions
    assert not family.narrowed(3).meets_assumptions
    assert not replace(family, output_exponent=-0.5).meets_assumptions


def test_a_batch_norm_and_a_readout_without_its_factor_are_outside_of_them():
    for norm in (Norm.POSITION, Norm.CHANNEL):
        assert not replace(CNN, norm=norm).meets_assumptions
    assert not replace(RNN, scaled_readout=False).meets_assumptions


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_width_for_looking_at_a_kernel_is_one_of_the_family(kind):
    one = network(FAMILIES[kind], FAMILIES[kind].wide)
    assert one.maps[0].outputs[0] == FAMILIES[kind].wide


@pytest.mark.parametrize("make", [Family, ConvolutionalFamily])
def test_one_layer_is_no_family(make):
    for depth in (1, 0, -1):
        with pytest.raises(
            InputError,
            match=rf"^depth \({depth}\) must be at least 2; got {depth}; because a .*network "
            "(needs a hidden layer|has a convolution and a dense layer); do: pass 3, say$",
        ):
            make(depth, TANH)


@pytest.mark.parametrize("make", [Family, ConvolutionalFamily])
def test_multipliers_of_no_family_are_refused(make):
    for multipliers in ((1,), (1, 2, 3)):
        with pytest.raises(
            InputError,
            match=rf"^multipliers \(.*\) must be 2 numbers, one per hidden layer; "
            rf"got {len(multipliers)}; because the depth is 3; "
            "do: pass 1,1, or change the depth$",
        ):
            make(3, TANH, multipliers=multipliers)
    for wrong in (0, -1):
        with pytest.raises(
            InputError, match=rf"^multipliers \({wrong}\) must be at least 1; got {wrong}"
        ):
            make(3, TANH, multipliers=(1, wrong))


def test_strides_of_no_family_are_refused():
    for strides in ((2,), (2, 2, 2)):
        with pytest.raises(
            InputError,
            match=rf"^strides \(.*\) must be 2 numbers, one per convolution; got {len(strides)}; "
            "because the depth is 3; do: pass 2,2, or change the depth$",
        ):
            ConvolutionalFamily(3, TANH, strides=strides)
    for wrong in (0, -2):
        with pytest.raises(
            InputError, match=rf"^strides \({wrong}\) must be at least 1; got {wrong}; because w"
        ):
            ConvolutionalFamily(3, TANH, strides=(1, wrong))


def test_what_the_network_itself_does_not_take_is_refused_when_it_is_made():
    for family in (MLP, RNN, CNN):
        with pytest.raises(InputError, match=r"^bias_std \(-1\.0\) must be at least 0"):
            network(replace(family, bias_std=-1.0))
    with pytest.raises(InputError, match=r"^width \(0\) must be at least 1"):
        network(RNN, 0)
    with pytest.raises(InputError, match=r"^filters \(0\) must be at least 1"):
        network(CNN, 0)
    with pytest.raises(InputError, match=r"^targets \(0\) must be at least 1"):
        network(RNN, outputs=3)  # four steps
