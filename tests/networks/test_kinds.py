"""Kinds of network: what each declares, and how sentences name its size."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ntkalign import InputError
from ntkalign.data.catalogue import NETWORKS
from ntkalign.networks.kinds import FAMILIES, WIDTH, NetworkKind, Size, Usual, size_of
from ntkalign.runs.settings import PRESETS, Settings, preset

SCALE, DEPTH = Size("output scale", "α"), Size("depth", "L", is_depth=True)


def test_the_built_in_kinds_are_those_that_points_are_made_for():
    assert tuple(FAMILIES) == NETWORKS
    for name, kind in FAMILIES.items():
        assert FAMILIES.is_built_in(kind)
        assert (kind.points, kind.size) == (name, WIDTH)
        assert Settings(network=name).family.kind == name


@pytest.mark.parametrize(
    ("text", "scaled"),
    [
        ("add seeds or widths", "add seeds or output scales"),
        ("at width 64 training moves", "at output scale 64 training moves"),
        ("the infinite-width limit of widthwise things", None),
        ("main network, width 8, seed 1", "main network, output scale 8, seed 1"),
    ],
)
def test_a_sentence_about_widths_is_said_of_another_size(text, scaled):
    assert SCALE.say(text) == (text if scaled is None else scaled)
    assert WIDTH.say(text) == text


def test_a_size_has_a_symbol_and_an_unknown_network_has_a_width():
    assert (WIDTH.power(-0.5), SCALE.power(-2.0)) == ("m^-0.5", "α^-2")
    assert size_of("mlp") == size_of("not registered here") == WIDTH


def test_presets_without_sizes_of_their_own_have_the_usual_ones():
    usual = Usual((1, 2, 3), deep=(1, 2, 3, 4))
    assert usual.of_preset("quick") == usual.of_preset("standard") == (1, 2, 3)
    assert usual.of_preset("deep") == (1, 2, 3, 4)
    for name in PRESETS:
        assert preset(name, "rnn")["widths"] == FAMILIES["rnn"].usual.of_preset(name)


def test_a_kind_whose_name_lists_could_not_keep_is_refused():
    with pytest.raises(InputError, match=r"^network \('a,b'\) must have a name of printable text"):
        NetworkKind("a,b", print, Usual((1, 2, 3)))


def test_declarations_import_nothing_that_computes():
    code = "import sys, ntkalign.networks.kinds; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
