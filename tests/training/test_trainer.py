"""A run is a plain loop, in whatever pieces it is trained, and however its points come."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkalign.networks.numpy_draws import draw
from ntkalign.precision import _enable_x64
from ntkalign.training import trainer
from ntkalign.training.feed import Fetched
from ntkalign.training.trainer import History, Keeping, train
from tests.training import small
from tests.training.small import assert_same_history, assert_same_state, trained

EXACT = {"float32": 2e-5, "float64": 1e-11}


# --- the numbers ----------------------------------------------------------------------------


def plainly(run):
    """The same training in a plain loop: rows of epochs, losses, norms, the last weights."""
    order, rate, dtype = run.order, run.rate, run.precision
    (x, y), (x_test, y_test) = jax.tree.map(jnp.asarray, small.points(run))
    network, loss = run.learner.network, run.learner.loss.function

    @jax.jit
    def outputs(p, x):
        return network.forward(p, x).output

    loss_of = jax.jit(lambda p, x, y: loss(outputs(p, x), y))
    error = jax.jit(lambda p, x, y: jax.grad(loss)(outputs(p, x), y))
    pull = jax.jit(lambda p, x, e: jax.vjp(lambda q: outputs(q, x), p)[1](e)[0])
    name = run.learner.rule.name
    start = jax.tree.map(lambda a: jnp.asarray(a, dtype), draw(network, run.seed)[0])
    now = teacher = start
    stream = np.random.RandomState(order.seed)

    def batches(n):
        return stream.permutation(n)[: n // order.batch * order.batch].reshape(-1, order.batch)

    def mean(x, y):
        return np.mean([float(loss_of(now, x[rows], y[rows])) for rows in batches(len(x))])

    epochs, losses, norms = [], [], []
    for number in range(1, run.epochs + 1):
        for rows in batches(len(x)):
            at, e = (start if name != "normal" else now), error(now, x[rows], y[rows])
            losses.append(float(loss_of(now, x[rows], y[rows])))
            if name == "w-star":
                e = error(teacher, x[rows], y[rows])
                teacher = descend(teacher, pull(teacher, x[rows], e), rate)
            slope = pull(at, x[rows], e)
            now = descend(now, slope, rate)
            norms.append([rate * np.linalg.norm(g.weight) for g in slope if g.weight is not None])
        done = losses[-order.steps :]
        tested, right = batches(len(x_test)), math.nan
        test_loss = np.mean([float(loss_of(now, x_test[r], y_test[r])) for r in tested])
        if run.learner.loss.classifies:
            rows = tested.ravel()
            right = np.mean(np.argmax(outputs(now, x_test[rows]), 1) == np.argmax(y_test[rows], 1))
        again = mean(x, y) if order.evaluates_train else math.nan
        epochs.append([number, np.mean(done), test_loss, right, again])
    return np.array(epochs), np.array(losses), np.array(norms), now


def descend(p, slope, rate):
    return jax.tree.map(lambda w, g: w - jnp.asarray(rate, w.dtype) * g, p, slope)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", ["normal", "align-zero", "w-star", "recurrent"])
def test_the_history_is_that_of_a_plain_loop(name, precision):
    run = small.run(name, precision=precision)
    history, state = trained(run)
    epochs, losses, norms, weights = plainly(run)
    close = {"rtol": EXACT[precision], "atol": EXACT[precision] / 10}
    found = small.numbers(history)
    np.testing.assert_allclose(found["epochs"], epochs, **close)
    np.testing.assert_allclose(found["losses"], losses[: run.log_steps], **close)
    np.testing.assert_allclose(found["update norms"], norms[: run.log_steps], **close)
    for ours, plain in zip(
        jax.tree.leaves(state.parameters), jax.tree.leaves(weights), strict=True
    ):
        assert ours.dtype == jnp.dtype(precision)
        np.testing.assert_allclose(ours, plain, **close)
    assert history.status == "trained"
    assert all(epoch.seconds > 0 for epoch in history.epochs)
    assert epochs[-1, 1] < epochs[0, 1]  # it learns


def test_seeds_rules_and_rates_differ():
    found = {
        name: small.numbers(trained(run)[0])["losses"][-1]
        for name, run in {
            "plain": small.run(), "seed": small.run(seed=5), "rate": small.run(rate=0.4),
            "rule": small.run("align-zero"), "optimiser": small.run("adam"),
            "order": small.run(order=replace(small.ORDER, seed=1)),
            "draw": small.run(legacy=False),
        }.items()
    }  # fmt: skip
    assert len(set(found.values())) == len(found)


def test_weights_of_time_0_are_the_papers_and_the_constants_of_a_rule_do_not_move():
    run = small.run("w-star")
    state, frozen = run.learner.start(99, jnp.float64)
    for ours, drawn in zip(
        jax.tree.leaves(frozen.start), jax.tree.leaves(draw(small.DENSE, 99)[0]), strict=True
    ):
        np.testing.assert_array_equal(ours, drawn)
    assert_same_state(state.parameters, frozen.start)
    assert_same_state(state.teacher.parameters, frozen.start)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_callers_precision_is_neither_changed_nor_used(precision):
    run = small.run(precision=precision)
    within = trained(run)[0]
    generator = np.random.get_state()[1].copy()
    with _enable_x64(False), jax.default_matmul_precision("default"):
        without, state = trained(run)
        assert jnp.ones(1).dtype == jnp.float32
        assert jax.config.jax_default_matmul_precision == "default"
    assert_same_history(within, without)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state)} == {precision}
    np.testing.assert_array_equal(np.random.get_state()[1], generator)


@pytest.mark.parametrize("batches", [1, 2])
@pytest.mark.parametrize("name", ["normal", "recurrent"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_points_that_come_in_stretches_give_the_same_bits(name, batches, precision):
    run = small.run(name, precision=precision)
    streams = small.feeds(
        run, lambda x, y: Fetched(lambda epoch, rows: (x[rows], y[rows]), batches)
    )
    history, state = train(run, *streams)
    wanted, last = trained(run)
    assert_same_history(history, wanted)
    assert_same_state(state, last)


def test_a_fetch_is_told_the_epoch():
    run, epochs = small.run(), []

    def feed(x, y):
        return Fetched(lambda epoch, rows: epochs.append(epoch) or (x[rows], y[rows]), 9)

    train(run, *small.feeds(run, feed))
    assert epochs == [1, 1, 2, 2, 3, 3]  # training points, test points


# --- pieces ---------------------------------------------------------------------------------


class StopError(Exception):
    """Somebody interrupts."""


@pytest.fixture
def stepwise(monkeypatch):
    """Progress is told after every step."""
    monkeypatch.setattr(trainer, "PART_SECONDS", 0.0)


@pytest.fixture
def keeping(tmp_path):
    return Keeping(tmp_path / "run.npz", every=1e9)


def stop_after(calls):
    """What raises when progress is told for the so many-th time."""
    told = []

    def tell(moment):
        told.append(moment)
        if len(told) == calls:
            raise StopError

    return tell


@pytest.mark.usefixtures("stepwise")
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", ["normal", "adam", "w-star", "recurrent"])
def test_a_run_that_is_stopped_at_every_step_is_the_unbroken_one(name, precision, keeping):
    run = small.run(name, precision=precision)
    for _ in range(9):
        with pytest.raises(StopError):
            trained(run, keeping, tell=stop_after(1))
    moments = []
    history, state = trained(run, keeping, tell=moments.append)
    assert not moments  # the last step was taken before the ninth stop
    wanted, last = trained(run)
    assert_same_history(history, wanted)
    assert_same_state(state, last)


@pytest.mark.usefixtures("stepwise")
@pytest.mark.parametrize("step", range(1, 10))
def test_a_run_that_is_stopped_once_goes_on_with_the_next_step(step, keeping):
    run, moments = small.run(), []
    with pytest.raises(StopError):
        trained(run, keeping, tell=stop_after(step))
    history, _ = trained(run, keeping, tell=moments.append)
    assert [(m.epoch - 1) * 3 + m.step for m in moments] == list(range(step + 1, 10))
    assert_same_history(history, trained(run)[0])


@pytest.mark.usefixtures("stepwise")
def test_a_streamed_run_goes_on_in_the_middle_of_a_stretch(keeping):
    run = small.run()
    streams = small.feeds(run, lambda x, y: Fetched(lambda _, rows: (x[rows], y[rows]), 2))
    with pytest.raises(StopError):
        train(run, *streams, keeping, stop_after(4))
    history, state = train(run, *streams, keeping)
    wanted, last = trained(run)
    assert_same_history(history, wanted)
    assert_same_state(state, last)


@pytest.mark.usefixtures("stepwise")
def test_progress_says_where_the_run_stands():
    moments, run = [], small.run()
    history, _ = trained(run, tell=moments.append)
    assert [(m.epoch, m.step, m.steps) for m in moments] == [
        (epoch, step, 3) for epoch in (1, 2, 3) for step in (1, 2, 3)
    ]
    losses = history.losses
    assert [m.loss for m in moments[:2]] == losses[:2]
    assert moments[2].loss == history.epochs[0].train_loss
    assert math.isnan(moments[0].accuracy)
    assert moments[3].accuracy == moments[2].accuracy == history.epochs[0].test_accuracy


def test_a_place_is_written_down_now_and_then(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(trainer.checkpoints, "save", lambda *a: saved.append(a))
    monkeypatch.setattr(trainer, "PART_SECONDS", 0.0)
    path = tmp_path / "run.npz"
    for share, every, times in (
        (-1.0, 1e9, 1),  # at the end
        (math.inf, 1e9, 3),  # after each epoch, for that is cheap
        (-1.0, 0.0, 9 + 1),
    ):
        monkeypatch.setattr(trainer, "EPOCH_SHARE", share)
        trained(small.run(), Keeping(path, every=every))
        assert len(saved) == times
        saved.clear()


def test_more_epochs_go_on_and_what_was_found_is_told(keeping):
    trained(small.run(epochs=1), keeping)
    moments, found = [], []
    longer = small.run(epochs=3)
    history, state = trained(
        longer, replace(keeping, found=found.append), tell=moments.append
    )  # fmt: skip
    assert found == [1]
    assert {m.epoch for m in moments} == {2, 3}
    wanted, last = trained(longer)
    assert_same_history(history, wanted)
    assert_same_state(state, last)


@pytest.mark.parametrize("epochs", [1, 2])
def test_fewer_epochs_are_cut_and_lose_nothing(epochs, keeping):
    trained(small.run(), keeping)
    moments = []
    shorter = small.run(epochs=epochs)
    history, _ = trained(shorter, keeping, tell=moments.append)
    assert not moments
    assert_same_history(history, trained(shorter)[0])
    history, _ = trained(small.run(), keeping, tell=moments.append)
    assert not moments
    assert_same_history(history, trained(small.run())[0])


@pytest.mark.usefixtures("stepwise")
@pytest.mark.parametrize("stop", [2, 3, 5, 9])
@pytest.mark.parametrize(("stored", "asked", "anew"), [(0, 1, True), (2, 7, True), (4, 2, False)])
def test_more_logged_steps_than_are_stored_train_anew(stored, asked, anew, stop, keeping):
    with pytest.raises(StopError):
        trained(small.run(log_steps=stored), keeping, tell=stop_after(stop))
    moments, run = [], small.run(log_steps=asked)
    history, _ = trained(run, keeping, tell=moments.append)
    anew = anew and stored < min(stop, asked)
    assert len(moments) == (9 if anew else 9 - stop)
    assert len(history.losses) == len(history.update_norms) == asked
    assert_same_history(history, trained(run)[0])
    moments.clear()
    assert_same_history(trained(run, keeping, tell=moments.append)[0], history)
    assert not moments


# --- a curve that is finer than epochs ------------------------------------------------------


def curve_of(losses, many, steps=3):
    """Means of shares of each epoch's losses, in a plain loop."""
    points, begin = [], 0
    for at in range(1, len(losses) + 1):
        done = (at - 1) % steps + 1  # steps of the epoch that are taken, and shares of it
        if any(share * steps // many == done for share in range(1, many + 1)):
            points.append((at, float(np.mean(losses[begin:at]))))
            begin = at
    return points


@pytest.mark.parametrize("many", [1, 2, 3, 7])
def test_a_curve_has_the_mean_loss_of_equal_shares_of_an_epoch(many):
    history, _ = trained(small.run(curve=many, log_steps=9))
    assert history.curve == curve_of(history.losses, many)
    assert len(history.curve) == 3 * min(many, 3)
    assert not trained(small.run())[0].curve
    again = History.from_json(json.loads(json.dumps(history.as_json())))
    assert again.curve == history.curve


@pytest.mark.parametrize("steps", [1, 10, 97, 1000])
@pytest.mark.parametrize("many", [1, 2, 10, 100])
def test_shares_are_equal_as_nearly_as_whole_steps_can_be(steps, many):
    found = list(trainer.windows(steps, many))
    assert [step for pair in found for step in range(*pair)] == list(range(steps))
    sizes = {end - start for start, end in found}
    assert max(sizes) - min(sizes) <= 1
    assert len(found) == min(steps, many)


@pytest.mark.usefixtures("stepwise")
@pytest.mark.parametrize("step", range(1, 9))
def test_a_curve_goes_on_where_a_run_was_stopped(step, keeping):
    run = small.run(curve=2)
    with pytest.raises(StopError):
        trained(run, keeping, tell=stop_after(step))
    assert trained(run, keeping)[0].curve == trained(run)[0].curve


@pytest.mark.usefixtures("stepwise")
@pytest.mark.parametrize("stop", [2, 3, 5, 9])
@pytest.mark.parametrize(("stored", "asked", "anew"), [(0, 2, True), (3, 2, True), (2, 0, False)])
def test_a_place_without_the_curve_that_is_asked_for_is_begun_anew(
    stored, asked, anew, stop, keeping
):
    with pytest.raises(StopError):
        trained(small.run(curve=stored), keeping, tell=stop_after(stop))
    moments, run = [], small.run(curve=asked)
    history, _ = trained(run, keeping, tell=moments.append)
    anew = anew and stop >= 3  # an epoch that is under way still has all its losses
    assert len(moments) == (9 if anew else 9 - stop)
    assert history.curve == trained(run)[0].curve
    assert_same_history(history, trained(run)[0])
    last = small.run(curve=2)  # of a place that another wish went on with
    assert trained(last, keeping)[0].curve == trained(last)[0].curve


def test_fewer_epochs_have_less_of_a_curve(keeping):
    trained(small.run(curve=2), keeping)
    shorter = small.run(curve=2, epochs=2)
    assert trained(shorter, keeping)[0].curve == trained(shorter)[0].curve


def test_a_curve_of_a_run_that_diverges_ends_with_it(keeping):
    run = small.run(rate=1e50, curve=3)
    for _ in range(2):
        history, _ = trained(run, keeping)
        assert [step for step, _ in history.curve] == list(range(1, 7))
        assert [math.isfinite(loss) for _, loss in history.curve] == 4 * [True] + 2 * [False]


# --- points that cannot be had --------------------------------------------------------------


@pytest.mark.parametrize("of", ["train", "test"])
def test_points_that_cannot_be_had_leave_the_place_written_down(of, keeping):
    run, broken, fetched = small.run(), [True], []

    def feed(which):
        def kind(x, y):
            def fetch(epoch, rows):
                fetched.append((which, epoch))
                if broken and which == of and epoch == 2:
                    raise OSError("gone")
                return x[rows], y[rows]

            return Fetched(fetch, 1)

        return kind

    streams = [
        feed(which)(*part) for which, part in zip(("train", "test"), small.points(run), strict=True)
    ]
    with pytest.raises(OSError, match="gone"):
        train(run, *streams, keeping)
    broken.clear()
    fetched.clear()
    moments = []
    history, state = train(run, *streams, keeping, moments.append)
    assert {m.epoch for m in moments} == {2, 3}
    assert fetched[0] == (of, 2)
    wanted, last = trained(run)
    assert_same_history(history, wanted)
    assert_same_state(state, last)


def test_a_damaged_checkpoint_is_trained_anew(keeping):
    wanted, _ = trained(small.run(), keeping)
    keeping.path.write_bytes(keeping.path.read_bytes()[:-100])
    moments = []
    history, _ = trained(small.run(), keeping, tell=moments.append)
    assert len(moments) >= 3
    assert_same_history(history, wanted)


def test_a_history_survives_json():
    history = trained(small.run("recurrent"))[0]
    history.epochs.append(history.epochs[0]._replace(epoch=4, test_loss=math.inf))
    again = History.from_json(json.loads(json.dumps(history.as_json())))
    assert_same_history(again, history)
    assert again.epochs[0].seconds == history.epochs[0].seconds


# --- losses that are not finite -------------------------------------------------------------


@pytest.mark.parametrize(
    ("precision", "rate", "epoch", "step"),
    [("float64", 1e200, 1, 1), ("float64", 1e50, 2, 1), ("float32", 1e30, 1, 1)],
)
def test_a_run_that_diverges_says_when_and_keeps_its_rows(precision, rate, epoch, step, keeping):
    run = small.run(rate=rate, precision=precision, log_steps=9)
    history, _ = trained(run, keeping)
    assert history.status == f"diverged in epoch {epoch}, step {step}"
    assert [e.epoch for e in history.epochs] == list(range(1, epoch + 1))
    assert len(history.losses) == len(history.update_norms) == 3 * epoch
    finite = np.isfinite(history.losses)
    assert finite[: 3 * (epoch - 1) + step].all()
    assert not finite[3 * (epoch - 1) + step]
    last = history.epochs[-1]
    assert not math.isfinite(last.train_loss)
    assert math.isnan(last.test_loss)
    assert math.isnan(last.test_accuracy)
    moments = []
    again, _ = trained(run, keeping, tell=moments.append)
    assert not moments
    assert_same_history(again, history)


def test_a_last_step_that_diverges_is_no_trained_run():
    order = replace(small.ORDER, batch=9)  # one step an epoch
    history, _ = trained(small.run(rate=1e308, order=order))
    assert math.isfinite(history.epochs[0].train_loss)
    assert not math.isfinite(history.epochs[0].test_loss)
    assert history.status == "diverged in epoch 1, by its last step"
    assert len(history.epochs) == 1


def test_a_diverged_run_that_is_cut_before_is_a_trained_one(keeping):
    run = small.run(rate=1e50)
    assert trained(run, keeping)[0].status.startswith("diverged")
    cut, _ = trained(replace(run, epochs=1), keeping)
    assert cut.status == "trained"
    assert len(cut.epochs) == 1
    moments = []
    longer, _ = trained(replace(run, epochs=9), keeping, tell=moments.append)
    assert longer.status == "diverged in epoch 2, step 1"
    assert not moments


# --- another process ------------------------------------------------------------------------

KILLED = """
import sys, json
from pathlib import Path
from tests.training import small
from ntkalign.training import trainer

trainer.PART_SECONDS = 0.0
def tell(moment):
    print("step", flush=True)
    if sys.argv[2] == "slowly":
        trainer.time.sleep(0.2)
keeping = trainer.Keeping(Path(sys.argv[1]), every=0.0)
history, _ = small.trained(small.run("w-star"), keeping, tell=tell)
print(json.dumps(history.as_json()))
"""


@pytest.mark.parametrize("steps", [2, 5])
def test_a_run_that_is_killed_goes_on(tmp_path, steps):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "run.npz")]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [*command, "slowly"], stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:  # fmt: skip
        for _ in range(steps):
            assert process.stdout.readline() == "step\n"
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    done = subprocess.run([*command, "on"], capture_output=True, text=True, check=True, cwd=root)
    *told, last = done.stdout.splitlines()
    assert len(told) == 9 - (steps - 1)  # the place is written after it is told
    history = History.from_json(json.loads(last))
    assert_same_history(history, trained(small.run("w-star"))[0])
