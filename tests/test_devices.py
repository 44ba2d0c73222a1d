"""Which device computes."""

from __future__ import annotations

import jax
import pytest

from ntkalign import InputError
from ntkalign.devices import devices, drawing, use


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_a_device_can_be_chosen(device, monkeypatch):
    monkeypatch.setitem(jax.config.values, "jax_default_device", None)
    with use(device):
        assert devices()[0].platform == "cpu"
        chosen = jax.config.values["jax_default_device"]
        assert (chosen is None) == (device == "auto")
    assert jax.config.values["jax_default_device"] is None
    monkeypatch.setitem(jax.config.values, "jax_default_device", "cpu")  # JAX_DEFAULT_DEVICE=cpu
    assert devices()[0].platform == "cpu"


def test_networks_are_drawn_on_the_cpu_or_not_at_all(monkeypatch):
    with drawing():
        assert jax.numpy.ones(2).devices() == {jax.devices("cpu")[0]}

    def none(platform):
        raise RuntimeError("no such platform")

    monkeypatch.setattr(jax, "devices", none)
    with pytest.raises(
        InputError, match=r"JAX_PLATFORMS \(.*\) must include cpu; got others alone"
    ):
        drawing().__enter__()


def test_a_device_that_is_not_there_is_refused():
    if jax.default_backend() == "cpu":
        with pytest.raises(InputError, match=r"device \(gpu\) must be one that JAX has; got only"):
            use("gpu").__enter__()
    with pytest.raises(InputError, match=r"device \(tpux\) must be one of auto, cpu, gpu"):
        use("tpux").__enter__()
