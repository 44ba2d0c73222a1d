"""Keys belong to what is drawn from them."""

from __future__ import annotations

import itertools

import jax
import numpy as np

from ntkalign.networks import randomness


def test_keys_are_what_stored_numbers_were_drawn_from():
    """Every number of every earlier report depends on these."""
    of_seed = jax.random.fold_in(jax.random.key(0), 5)
    assert randomness.of_seed(5) == of_seed
    assert randomness.of_network(5, 64) == jax.random.fold_in(of_seed, 64)
    assert randomness.of_shared_outputs(5) == jax.random.fold_in(of_seed, 0)
    key = randomness.of_shared_outputs(5)
    np.testing.assert_array_equal(
        randomness.shared_weights(key, 2, 3), jax.random.normal(key, (2, 3))
    )
    np.testing.assert_array_equal(
        randomness.shared_bias(key, 2), jax.random.normal(jax.random.fold_in(key, 1), (2,))
    )


def test_no_two_networks_share_a_key():
    seeds, widths = range(4), (1, 2, 64)
    keys = [randomness.of_network(s, m) for s, m in itertools.product(seeds, widths)]
    keys += [randomness.of_shared_outputs(s) for s in seeds]
    data = {tuple(np.asarray(jax.random.key_data(key)).tolist()) for key in keys}
    assert len(data) == len(keys)
