"""Where a run stands, on disk: whole and unchanged, or not there."""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign.networks.layers import Layer
from ntkalign.training import checkpoints
from ntkalign.training.checkpoints import Checkpoint, load, save


class Moments(NamedTuple):
    taken: Any
    first: Any


def state(seed=0):
    """Structures within others, None in them, three types, a number that no decimals hold."""
    drawn = np.random.default_rng(seed)
    single = jnp.asarray(drawn.normal(size=(2, 3)), jnp.float32)
    double = jnp.asarray(drawn.normal(size=4)).at[0].set(1e-320).at[1].set(jnp.nan)
    return (
        (Layer(single, None), Layer(None, double)),
        Moments(jnp.asarray(7 + seed, jnp.int32), {"b": jnp.zeros((0, 2)), "a": -jnp.zeros(1)}),
        (),
    )


TEXT = {"step": 3, "seconds": 0.1 + 0.2, "losses": [1.5, float("nan"), float("inf")], "é": None}


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "folders" / "that" / "are not there.npz"
    save(path, Checkpoint(state(), TEXT))
    return path


def assert_same(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_what_is_stored_comes_back_bit_for_bit(stored):
    found = load(stored, state(1))
    assert_same(found.state, state())
    assert repr(found.text) == repr(TEXT)
    assert [p.name for p in stored.parent.iterdir()] == [stored.name]


def test_a_later_one_takes_the_place_of_an_earlier_one(stored):
    save(stored, Checkpoint(state(2), {}))
    found = load(stored, state())
    assert_same(found.state, state(2))
    assert found.text == {}


def test_where_there_is_none_there_is_none(tmp_path):
    assert load(tmp_path / "absent.npz", state()) is None
    assert load(tmp_path, state()) is None


def test_no_part_of_a_file_is_a_checkpoint(stored):
    whole = stored.read_bytes()
    for length in range(0, len(whole), 37):
        stored.write_bytes(whole[:length])
        assert load(stored, state()) is None, length


@pytest.mark.parametrize("flipped", [0x55, 0x01])
def test_a_changed_byte_changes_no_number(tmp_path, flipped):
    """It may be in a date, say; else the file is no checkpoint. Reading it never fails."""
    path, small, text = tmp_path / "small.npz", jnp.array([0.1, 0.2]), {"step": 3}
    save(path, Checkpoint(small, text))
    whole, refused = path.read_bytes(), 0
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= flipped
        path.write_bytes(damaged)
        found = load(path, jnp.zeros(2))
        if found is None:
            refused += 1
        else:
            assert_same(found.state, small)
            assert found.text == text
    assert refused > len(whole) / 2


def test_another_number_in_a_whole_archive_is_found(tmp_path):
    """As one has it that was changed and packed again: sums of the archive's own agree."""
    path = tmp_path / "some.npz"
    save(path, Checkpoint(jnp.array([0.1, 0.2]), TEXT))
    content = dict(np.load(path))
    for name, other in (("array-0", np.array([0.1, 0.3])), ("text", np.frombuffer(b"{}", "u1"))):
        np.savez(path, **content | {name: other})
        assert load(path, jnp.zeros(2)) is None
    np.savez(path, **{name: array for name, array in content.items() if name != "digest"})
    assert load(path, jnp.zeros(2)) is None
    np.savez(path, **content)  # the control
    assert load(path, jnp.zeros(2)) is not None


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps([1, 2]), b"PK\x03\x04" + b"0" * 99])
def test_other_files_are_no_checkpoints(tmp_path, content):
    path = tmp_path / "some.npz"
    path.write_bytes(content)
    assert load(path, state()) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda a: jax.tree.map(lambda x: jnp.zeros((*x.shape, 1), x.dtype), a),
        lambda a: jax.tree.map(lambda x: x.astype(jnp.float32), a),
        lambda a: (a, jnp.zeros(1)),
        lambda a: a[0],
    ],
    ids=["shape", "type", "one more", "fewer"],
)
def test_one_that_does_not_fit_is_none(stored, change):
    assert load(stored, change(state())) is None


def test_an_array_in_its_place_is_none(tmp_path):
    """NumPy reads a plain array file where it expects an archive."""
    path = tmp_path / "some.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert load(path, state()) is None


class Planted:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("place", ["array-0", "text", "digest"])
def test_nothing_that_is_read_is_run(tmp_path, place):
    mark, path = tmp_path / "mark", tmp_path / "some.npz"
    leaves = {f"array-{n}": leaf for n, leaf in enumerate(jax.tree.leaves(state()))}
    content = {**leaves, "text": np.frombuffer(b"{}", np.uint8)}
    content = {name: np.asarray(array) for name, array in content.items()}
    content["digest"] = checkpoints._digest(content)
    np.savez(path, allow_pickle=True, **content)
    assert load(path, state()) is not None
    np.savez(path, allow_pickle=True, **content | {place: np.array([Planted(mark)], object)})
    assert load(path, state()) is None
    path.write_bytes(pickle.dumps(Planted(mark)))
    assert load(path, state()) is None
    assert not mark.exists()
    pickle.loads(path.read_bytes()).close()
    assert mark.exists()  # it would have


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_a_failure_while_writing_leaves_the_older_one(stored, monkeypatch, error):
    def fail(file, **arrays):
        file.write(b"the beginning")
        raise error

    monkeypatch.setattr(checkpoints.np, "savez", fail)
    with pytest.raises(type(error)):
        save(stored, Checkpoint(state(5), {}))
    assert_same(load(stored, state()).state, state())
    assert [p.name for p in stored.parent.iterdir()] == [stored.name]
