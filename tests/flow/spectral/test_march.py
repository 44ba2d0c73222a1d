"""From panel to panel: what is kept of the weights' change."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign.flow.spectral.march import extended


@pytest.mark.parametrize("share", [1e-3, 1e-6, 1e-10])
@pytest.mark.parametrize(("units", "fan_in"), [(60, 70), (300, 280), (4, 300)])
@pytest.mark.parametrize("frozen", [True, False])
def test_the_history_is_the_sum_over_panels_but_for_a_share(share, units, fan_in, frozen):
    rng, block = np.random.default_rng(0), 3
    history, whole = None, np.zeros((units, fan_in))
    start, along = rng.standard_normal((2, block, fan_in))
    for number in range(8):
        weights = rng.uniform(0.5, 1.0, 6)
        g = rng.standard_normal((6 * block, units))
        moved = start + 0.1 * rng.standard_normal((6, 1, 1)) * along
        h = start if frozen else moved.reshape(18, fan_in)
        history = extended(history, jnp.asarray(g), jnp.asarray(h), weights, share)
        every = h if len(h) == len(g) else np.tile(h, (6, 1))
        whole += (np.repeat(weights, block)[:, None] * g).T @ every
        left, right = map(np.asarray, history)
        wrong = np.linalg.norm(left.T @ right - whole)
        assert wrong <= (number + 1) * max(share, 1e-9) * np.linalg.norm(whole)
    assert len(left) <= min(units, fan_in)
    if units == 300 and share > 1e-9:
        assert len(left) <= 32  # of 144 rows
