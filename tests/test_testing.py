"""Rates as assertions: what passes, what does not, and what is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ntkalign import InputError
from tests.plain import plain
from tests.statistics.test_samples import BAD_SHARES, BAD_WIDTHS

documented = plain()["ntkalign.testing"]
assert_rate = documented.assert_rate

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
        *(
            ({"seeds": seeds}, rf"seeds \({seeds}\) must be a whole number, at least 1; got ")
            for seeds in (None, True, 0, -3, 2.5, np.nan, "8")
        ),
        *(
            ({"widths": widths}, r"widths \(.*\) must be at least 3 positive whole numbers")
            for widths in BAD_WIDTHS
        ),
        *(
            ({"rate": rate}, r"rate \(.*\) must be one of at most, exactly; got ")
            for rate in ("at-most", "Exactly", "", None, True, ["exactly"])
        ),
        *(
            ({"confidence": share}, r"confidence \(.*\) must lie between 0 and 1, and be neither")
            for share in BAD_SHARES
        ),
        *(
            ({"exponent": p}, r"exponent \(.*\) must be a finite number; got ")
            for p in (None, np.nan, np.inf, "-1/2", True, 1j, [-0.5, -1.0])
        ),
    ],
)
def test_arguments_are_checked_before_anything_is_evaluated(options, message):
    given = {"exponent": -0.5, "widths": WIDTHS, "seeds": 4} | options
    with pytest.raises(InputError, match=message) as caught:
        assert_rate(never, **given)
    assert "\n" not in str(caught.value)


def never(width, seed):
    raise AssertionError("the quantity was evaluated")


@pytest.mark.parametrize(
    ("quantity", "message"),
    [
        (lambda m, s: -1.0, r"quantity \(-1.0\) must be positive or 0 and finite"),
        (lambda m, s: np.nan if m > 64 else 1.0, r"or 0 and finite; got nan at width 256"),
        (lambda m, s: np.inf, r"must be positive or 0 and finite; got inf at width 64"),
        (lambda m, s: "0.5", r"must return a number; got '0.5' at width 64 seed 0"),
        (lambda m, s: None, r"must return a number; got None at width 64 seed 0"),
        (lambda m, s: np.ones(2), r"must return a number; got array\(\[1., 1.\]\)"),
        (lambda m, s: True, r"must return a number; got True"),
        (3.0, r"must have 1 seed or more at each width; got \[\] values at 4 widths"),
        ([[1.0, 1.0]] * 3, r"quantity \(2,2,2\) must have 1 seed or more at each width"),
        ([[1.0, 1.0]] * 3 + [[1.0]], r"quantity \(2,2,2,1\) must have 2 seeds or more"),
        ([["a", "b"]] * 4, r"must be one list of numbers for each width"),
        ([1.0, 2.0, 3.0], r"must have 1 seed or more at each width; got \[1, 1, 1\] values at 4"),
        ([1.0, 2.0, 3.0, np.nan], r"must be positive or 0 and finite; got nan at width 4096"),
        ([[1.0, 1.0]] * 3 + [[1.0, np.nan]], r"or 0 and finite; got nan at width 4096"),
    ],
)  # fmt: skip
def test_values_that_are_no_positive_numbers_are_named(quantity, message):
    seeds = 4 if callable(quantity) else None
    with pytest.raises(InputError, match=message) as caught:
        assert_rate(quantity, -0.5, widths=WIDTHS, seeds=seeds)
    assert "\n" not in str(caught.value)


def test_seeds_beside_numbers_must_agree_with_them():
    values = [[power(-0.5)(m, s) for s in range(16)] for m in WIDTHS]
    assert_rate(values, -0.5, widths=WIDTHS, seeds=16)
    with pytest.raises(InputError, match=r"seeds \(8\) must be left out, or the number of values"):
        assert_rate(values, -0.5, widths=WIDTHS, seeds=8)
    with pytest.raises(InputError, match=r"seeds .* must be left out, or the number of values"):
        assert_rate(values, -0.5, widths=WIDTHS, seeds=np.array([16, 16]))


def test_numpy_and_plain_arguments_are_the_same():
    plain = assert_rate(power(-0.5), -0.5, widths=list(WIDTHS), seeds=16, confidence=0.9)
    types = set()

    def quantity(width, seed):
        types.add((type(width), type(seed)))
        return np.float64(power(-0.5)(width, seed))

    other = assert_rate(
        quantity, np.float64(-0.5), widths=np.array(WIDTHS, float), seeds=np.int64(16),
        confidence=np.float64(0.9),
    )  # fmt: skip
    assert other == plain
    assert types == {(int, int)}


def test_a_stranger_s_tests_import_neither_jax_nor_the_rest_of_the_package():
    """The package's own __init__ is left out: what ``testing`` stands on is asked here."""
    script = f"""
import sys, types
package = types.ModuleType("ntkalign")
package.__path__ = [{str(Path(documented.__file__).parent)!r}]
sys.modules["ntkalign"] = package
import ntkalign.testing
import ntkalign.statistics.upper_quantiles
print(*sorted(name for name in sys.modules if name.startswith("ntkalign.")))
print(*({{"jax", "jaxlib", "pandas"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    own, foreign = done.stdout.split("\n")[:2]
    assert foreign == ""
    assert {name.split(".")[1] for name in own.split()} == {"errors", "statistics", "testing"}


# --- without noise --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "quantity",
    [
        [[1 / m] for m in WIDTHS],
        [1 / m for m in WIDTHS],
        np.array([1 / m for m in WIDTHS]),
        lambda m, seed: 1 / m,
    ],
)
def test_one_value_a_width_is_judged_by_its_law(quantity):
    seeds = 1 if callable(quantity) else None
    rate = assert_rate(quantity, -1.0, widths=WIDTHS, seeds=seeds)
    assert rate.exponent == pytest.approx(-1.0)
    assert rate.interval[0] < -1 + 1e-9 < rate.interval[1] < -0.8
    assert_rate(quantity, -1.0, widths=WIDTHS, seeds=seeds, rate="exactly")
    with pytest.raises(AssertionError, match=r"O\(m\^-1.5\) is refuted: exponent -1.00"):
        assert_rate(quantity, -1.5, widths=WIDTHS, seeds=seeds)
    with pytest.raises(AssertionError, match=r"Θ\(m\^-0.5\) is refuted: .* decays faster"):
        assert_rate(quantity, -0.5, widths=WIDTHS, seeds=seeds, rate="exactly")


def test_one_value_among_several_seeds_is_none_of_them():
    with pytest.raises(InputError, match=r"\(2,2,2,1\) must have 2 seeds or more at each width"):
        assert_rate([[1.0, 1.0]] * 3 + [[1.0]], -0.5, widths=WIDTHS)


def test_a_floor_is_found_and_no_rate_passes_on_it():
    widths = [2**k for k in range(6, 14)]
    with pytest.raises(AssertionError, match=r"level off at 0.001, .*% of the last"):
        assert_rate([1 / m + 1e-3 for m in widths], -1.0, widths=widths)


@pytest.mark.parametrize("seeds", [1, 8])
def test_a_function_without_noise_is_one_however_many_seeds_are_asked_for(seeds):
    """Of four widths: a floor that is two thirds of the last value."""
    with pytest.raises(AssertionError, match=r"is undecided: .* level off at 0.0005, 67% of the"):
        assert_rate(lambda m, s: 1 / m + 5e-4, -0.25, widths=WIDTHS, seeds=seeds)


def test_values_that_end_in_rounding_do_not_pass():
    with pytest.raises(AssertionError, match=r"between the last two widths only with 0.13"):
        assert_rate([1e-3, 1e-9, 1e-17, 1.2e-17], -0.5, widths=WIDTHS)


def test_a_correction_that_is_allowed_for_is_no_bend():
    values = [m**-0.5 * (1 + 0.305 * (m / 64) ** -0.5) for m in WIDTHS]
    with pytest.raises(AssertionError, match=r"is refuted") as caught:
        assert_rate(values, -1.0, widths=WIDTHS)
    assert "bends" not in str(caught.value)


def test_values_that_span_all_floats_overflow_nowhere():
    assert_rate([1e300, 1.0, 1e-200, 1e-300], -0.5, widths=WIDTHS)


def test_a_bend_that_corrections_do_not_explain_is_named():
    widths = [2**k for k in range(6, 14)]
    wavy = [m**-0.5 * np.exp(0.5 * np.sin(np.log2(m))) for m in widths]
    with pytest.raises(AssertionError, match=r"the law bends by .* more than corrections"):
        assert_rate(wavy, -0.5, widths=widths)


@pytest.mark.parametrize("seeds", [1, 3])
def test_zeros_are_treated_as_verify_treats_them(seeds):
    """Zero everywhere meets any bound and has no rate; some zeros leave nothing decided."""
    assert assert_rate(lambda m, s: 0.0, -0.5, widths=WIDTHS, seeds=seeds) is None
    with pytest.raises(AssertionError, match=r"Θ\(m\^-0.5\) is refuted: identically zero"):
        assert_rate(lambda m, s: 0.0, -0.5, widths=WIDTHS, seeds=seeds, rate="exactly")
    message = rf"O\(m\^-0.5\) is undecided: {seeds} of {4 * seeds} values are zero"
    with pytest.raises(AssertionError, match=message):
        assert_rate(lambda m, s: 0.0 if m == 4096 else 1.0, -0.5, widths=WIDTHS, seeds=seeds)
