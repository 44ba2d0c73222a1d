"""Rates as assertions: what passes, what does not, and what is said."""

from __future__ import annotations

import numpy as np
import pytest

from ntkalign import InputError
from ntkalign import testing as documented
from ntkalign.testing import assert_rate

WIDTHS = (64, 256, 1024, 4096)


def power(exponent, noise=0.2):
    def quantity(width, seed):
        rng = np.random.default_rng([seed, width])
        return width**exponent * np.exp(noise * rng.standard_normal())

    return quantity


def test_a_true_rate_passes_and_is_returned():
    rate = assert_rate(power(-0.5), -0.5, widths=WIDTHS, seeds=16)
    assert rate.exponent == pytest.approx(-0.5, abs=0.1)


def test_faster_decay_is_within_a_bound_but_not_exactly_of_that_order():
    assert_rate(power(-1.0), -0.5, widths=WIDTHS, seeds=16)
    with pytest.raises(AssertionError, match=r"Θ\(m\^-0.5\) is refuted: .* it decays faster"):
        assert_rate(power(-1.0), -0.5, widths=WIDTHS, seeds=16, rate="exactly")
    assert_rate(power(-0.5), -0.5, widths=WIDTHS, seeds=16, rate="exactly")


def test_slower_decay_is_refuted_with_a_sentence_and_a_table():
    with pytest.raises(AssertionError) as caught:
        assert_rate(power(-0.25), -0.5, widths=WIDTHS, seeds=16)
    first, heading, *rows = str(caught.value).splitlines()
    assert first.startswith("O(m^-0.5) is refuted: exponent -0.2")
    assert first.endswith("it decays too slowly, if at all")
    assert heading.split() == ["width", "typical", "interval", "local", "exponent"]
    assert [int(row.split()[0]) for row in rows] == list(WIDTHS)


def test_too_little_evidence_does_not_pass():
    with pytest.raises(AssertionError, match=r"is undecided: .*; add seeds or widths"):
        assert_rate(power(-0.5, noise=2.0), -0.5, widths=WIDTHS, seeds=4)


def test_numbers_are_taken_too():
    values = [[power(-0.5)(m, s) for s in range(16)] for m in WIDTHS]
    assert_rate(values, -0.5, widths=WIDTHS)


def test_the_example_of_the_documentation_runs():
    text = documented.__doc__
    example = text[text.index("    from ntkalign") : text.index("The statistics")]
    code = "\n".join(line[4:] for line in example.splitlines())
    space = {"np": np}
    exec(code, space)
    space["test_the_sample_mean_converges"]()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": None}, r"seeds \(None\) must be given; got None; because .*; do: pass seeds=8"),
        ({"widths": (64, 256)}, r"widths \(64,256\) must be at least three and increase"),
        ({"widths": (64, 32, 16)}, r"widths \(64,32,16\) must be at least three and increase"),
        ({"seeds": 1}, r"quantity \(1,1,1,1\) must have two seeds or more at each width"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(InputError, match=message):
        assert_rate(power(-0.5), -0.5, **({"widths": WIDTHS, "seeds": 4} | options))


def test_values_that_have_no_logarithm_are_named():
    with pytest.raises(InputError, match=r"quantity \(0.0\) must be positive and finite; got 0.0"):
        assert_rate(lambda m, s: 0.0, -0.5, widths=WIDTHS, seeds=4)
