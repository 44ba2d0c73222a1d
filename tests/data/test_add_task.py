"""The Add task: the paper's code's numbers bit for bit, and the equation beside them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import InputError
from ntkalign.data.add_task import add_task, answer, chance_losses, coin_flips


def test_the_numbers_are_those_of_the_papers_code():
    task = add_task(dtype=np.float64)
    assert task.train.x.shape == task.train.y.shape == (300, 100, 1)
    assert task.test.x.shape == task.test.y.shape == (100, 100, 1)
    assert (task.train.x.sum(), task.test.x.sum()) == (15150, 4963)
    assert (task.train.y.sum(), task.test.y.sum()) == (18800.25, 6240.75)
    bits = np.concatenate([task.train.x, task.test.x]).astype(np.uint8)
    assert hashlib.sha256(bits.tobytes()).hexdigest() == (
        "32a1a2040e0322055021aebc035d4998dd0181bc19d207a3de10fc8198ef3e5b"
    )
    chance = [((part.y - 0.5) ** 2).mean(axis=0).sum() for part in (task.train, task.test)]
    np.testing.assert_allclose(chance, [9.358542, 9.311875], atol=5e-7)


def test_the_global_generator_is_neither_used_nor_changed():
    np.random.seed(3)
    expected = np.random.RandomState(3).random_sample(4)
    first = add_task()
    np.testing.assert_array_equal(np.random.random_sample(4), expected)
    np.testing.assert_array_equal(add_task().train.x, first.train.x)


@given(
    seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 12), causal=st.booleans(),
    n=st.integers(0, 399), k=st.integers(0, 11),
)  # fmt: skip
def test_every_answer_is_that_of_its_equation(seed, steps, causal, n, k):
    k %= steps
    x = coin_flips(seed, steps)
    terms = [0.5]
    for back, weight in ((2, 0.5), (5, -0.25)):
        absent = k < back if causal else n < back
        terms.append(0 if absent else weight * x[n, k - back if causal else (k - back) % steps])
    assert answer(x, causal=causal)[n, k] == sum(terms)


def test_values_are_exact_in_float32():
    single, double = add_task(dtype=np.float32), add_task(dtype=np.float64)
    assert single.train.y.dtype == np.float32
    np.testing.assert_array_equal(single.train.y, double.train.y)
    np.testing.assert_array_equal(single.test.x, double.test.x)


def test_the_options_count():
    assert add_task(steps=7).test.y.shape == (100, 7, 1)
    assert (add_task(seed=98).train.x != add_task().train.x).any()
    plain, causal = add_task(), add_task(causal=True)
    np.testing.assert_array_equal(plain.train.x, causal.train.x)
    np.testing.assert_array_equal(plain.test.y[:, 5:], causal.test.y[:, 5:])
    assert (plain.test.y[:, :5] != causal.test.y[:, :5]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, r"seed \(-1\) must be at least 0"),
        ({"seed": 2**32}, r"seed \(4294967296\) must be at most 4294967295; .* 32-bit"),
        ({"steps": 0}, r"steps \(0\) must be at least 1; .* length of the sequences; do: pass 100"),
        ({"dtype": int}, r"dtype \(<class 'int'>\) must be float32 or float64"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        add_task(**options)


def test_the_losses_of_chance_are_the_papers():
    assert chance_losses() == pytest.approx((9.358542, 9.311875), abs=5e-7)
