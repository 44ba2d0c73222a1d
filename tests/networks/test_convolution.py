"""The forms of the convolution against plain loops, and SAME's padding by its definition."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign.networks.convolution import FORMS, WINDOW_BYTES, _choose, convolve
from tests import convolutional_reference as reference

shapes = st.tuples(*(st.integers(1, 6) for _ in range(2)))


@given(shapes, st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 9))
def test_every_form_is_the_plain_loops(sides, stride, channels, filters, seed):
    rng = np.random.default_rng(seed)
    h = rng.standard_normal((2, *sides, channels))
    kernel = rng.standard_normal((3, 3, channels, filters))
    theirs = reference.conv(h, kernel, stride)
    for form in (None, *FORMS):
        ours = convolve(jnp.array(h.transpose(3, 1, 2, 0)), jnp.array(kernel), stride, form)
        np.testing.assert_allclose(np.asarray(ours).transpose(3, 1, 2, 0), theirs, atol=1e-12)


@pytest.mark.parametrize(("stride", "size", "before"), [(1, 4, 1), (2, 4, 0), (2, 5, 1), (3, 4, 1)])
def test_same_pads_as_tensorflow_does(stride, size, before):
    """The first window begins before the image, or on it: stride 2, even side."""
    image = jnp.zeros((1, size, size, 1)).at[0, 0, 0, 0].set(1.0)
    kernel = jnp.zeros((3, 3, 1, 1)).at[before, before].set(1.0)
    found = convolve(image, kernel, stride)
    assert found[0, 0, 0, 0] == 1
    assert found.shape[1] == -(-size // stride)


def test_windows_that_would_take_much_memory_are_not_laid_out():
    assert _choose(WINDOW_BYTES) == "windows"
    assert _choose(WINDOW_BYTES + 1) == "shifts"
