"""What the terminal says: names as they are, and the regime in the first lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ntkalign import Settings
from ntkalign.cells.cell import Row
from ntkalign.claims.claim import MAIN, Claim, Kind
from ntkalign.claims.theory import PROPOSITION_2
from ntkalign.quantities.catalogue import EXPANSION
from ntkalign.report import print_verdicts
from ntkalign.report.terminal import networks, points, regime
from ntkalign.runs.table import table_of
from tests.report.test_files import WIDTHS, finding, result, table


@pytest.mark.parametrize("name", ["a [bold] name", "[/]", "[red]", ":smile:"])
def test_brackets_are_no_markup(name, capsys):
    claim = Claim(name, "", "", "mine", Kind.VANISHES)
    written = result(finding(claim, name), finding(claim, name, control=True), data=table(claim))
    written = replace(written, settings=replace(written.settings, data=f"{name}.npz"))
    print_verdicts(written, Console(width=200))
    out = capsys.readouterr().out
    assert f"{Path(name).name}.npz: 8 points" in out  # a path by its name
    assert out.count(name) >= 5 - ("/" in name)


def moved(first, times=()):
    """A run whose networks move by so much at width 8, and less at 16 and 32."""
    rows = [
        Row(MAIN, m, s, "normal", layer, name, time, first * (m / 8) ** -0.5 * size, 0.0, "ok")
        for m in WIDTHS
        for s in range(2)
        for layer, name, time, size in [
            (1, EXPANSION[0], None, 0.5), (None, EXPANSION[1], None, 1.0),
            *((None, "expansion", t, t) for t in times),
        ]
    ]  # fmt: skip
    found = result(finding(PROPOSITION_2), data=table_of(rows))
    return replace(found, conduct=replace(found.conduct, relaxations=12.34))


@pytest.mark.parametrize(
    ("first", "times", "words"),
    [
        (0.2, (1.0,), "; T is 12.3 times the fastest relaxation. All widths are in the lazy regime"
                      " (both at most 50%)."),
        (0.6, (), ". In the lazy regime (both at most 50%) are widths from 16 on; nothing about "
                  "trained networks is refuted by fewer than 3 such widths: add 64."),
        (5.0, (0.01, 1.0), ". No width is in the lazy regime (both at most 50%); nothing about"
                           " trained networks is refuted by fewer than 3 such widths: add"
                           " 1024, 2048, 4096, or pass a time of at most 0.1."),
    ],
)  # fmt: skip
def test_the_first_lines_say_how_far_training_moves_the_networks(first, times, words, capsys):
    written = moved(first, times)
    line = regime(written)
    assert line.startswith(
        f"Regime: training moves activities by {first / 2:.0%} at width 8 and by {first / 4:.0%} at"
        f" 32 and the Jacobian by {first:.0%} at width 8"
    )
    assert line.endswith(words)
    print_verdicts(written, Console(width=1000))
    out = capsys.readouterr().out
    assert line in out
    assert out.index(line) < out.index("Claims")


def test_enough_widths_inside_leave_nothing_to_add():
    widths = [8, 16, 32, 64]
    rows = [
        Row(MAIN, m, s, "normal", None, name, time, 0.6 * (m / 8) ** -0.5 * size, 0.0, "ok")
        for m in widths
        for s in range(2)
        for name, time, size in [*((n, None, 1.0) for n in EXPANSION), ("expansion", 1.0, 1.0)]
    ]
    line = regime(result(finding(PROPOSITION_2), data=table_of(rows)))
    assert line.endswith("are widths from 16 on (up to a time of 0.83, all).")


def test_a_report_of_before_says_that_nothing_is_known():
    line = regime(result(finding(PROPOSITION_2), data=table(PROPOSITION_2)))
    assert line == "Regime: how far training moves the networks was not measured."


def config(**changes):
    return Settings(points=5, widths=(8, 16, 32), **changes).as_json()


@pytest.mark.parametrize(
    ("changes", "data", "architecture"),
    [
        ({"inputs": 64, "outputs": 10}, "digits (5 points, 64 inputs, 10 outputs)",
         "depth 3, tanh, widths 8, 16, 32"),
        ({"network": "rnn", "steps": 4, "inputs": 2, "outputs": 1},
         "add (5 points, 4 steps of 2 inputs, 1 outputs)",
         "recurrent, depth 3, tanh, widths 8, 16, 32"),
        ({"network": "rnn", "steps": 4, "inputs": 2, "outputs": 1, "readout": "unscaled",
          "activation": "relu"},
         "add (5 points, 4 steps of 2 inputs, 1 outputs)",
         "recurrent, depth 3, relu, readout without its factor 1/√m, widths 8, 16, 32"),
        ({"network": "cnn", "outputs": 10, "multipliers": (1, 2), "norm": "channel"},
         "digits (5 points, images, 10 outputs)",
         "convolutional, depth 3, tanh, batch norm per channel, widths 8, 16, 32 × (1, 2)"),
        ({"network": "cnn", "outputs": 10, "strides": (1, 2)},
         "digits (5 points, images, 10 outputs)",
         "convolutional, depth 3, tanh, strides 1, 2, widths 8, 16, 32"),
    ],
)  # fmt: skip
def test_data_and_architecture_in_words(changes, data, architecture):
    assert points(config(**changes)) == data
    assert networks(config(**changes)) == architecture


def test_held_out_points_are_counted_and_reports_of_before_have_no_network():
    old = config(inputs=64, outputs=10) | {"held_out": 3}
    for name in ("network", "steps", "norm", "readout", "strides"):
        del old[name]
    assert points(old) == "digits (5 points, 3 more held out, 64 inputs, 10 outputs)"
    assert networks(old) == "depth 3, tanh, widths 8, 16, 32"
