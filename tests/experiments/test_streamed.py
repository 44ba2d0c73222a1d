"""Images that are decoded while they are trained on: the numbers of arrays that are there."""

from __future__ import annotations

import math
import shutil
import threading
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from ntkalign import InputError
from ntkalign.data.imagenet import ImageFolder, UnreadableImageError
from ntkalign.experiments import supply
from ntkalign.experiments.execute import CHECKPOINTS, Executor, quiet
from ntkalign.experiments.experiment import Experiment, Series
from ntkalign.experiments.options import Options
from ntkalign.experiments.task import IMAGENET
from ntkalign.runs.schedulers.threads import InThreads
from ntkalign.training import trainer
from ntkalign.training.feed import Fetched, Resident
from ntkalign.training.trainer import train
from tests.data import made
from tests.experiments.small import planned
from tests.training.small import assert_same_history

FIVE = ("normal", "align-ada", "align-zero", "dfa-shared", "fa")
SIZE = 32
SMALL = Experiment(
    "small", "a folder with three classes",
    (
        Series(
            replace(IMAGENET, inputs=(SIZE, SIZE, 3)), FIVE, (2,), (0.5,), epochs=2, batch=4,
            curve=2,
        ),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made.image_folder(tmp_path_factory.mktemp("images"))


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch):
    """One batch a stretch, two threads that decode."""
    monkeypatch.setattr(supply, "batches_of_a_stretch", lambda batch, point_bytes: 1)
    monkeypatch.setattr(supply.os, "cpu_count", lambda: 2)


def plan_of(folder, **asked):
    return planned(SMALL, Options(data_dir=folder, **asked))


def executed(folder, plan, tell=quiet):
    with closing(Executor(folder, InThreads(1), tell=tell).run(plan)) as results:
        found = {result.item: result for result in results}
    return [found[item] for item in plan.items]


def arrays(folder, part, run):
    """The same crops, decoded one by one before, in float32."""
    images = ImageFolder(folder, part, SIZE)
    decoded = {
        epoch: images.batch(range(len(images)), run.seed, epoch)
        for epoch in range(1, run.epochs + 1)
    }
    dtype = np.dtype(run.precision)
    return Fetched(
        lambda epoch, rows: tuple(a[rows].astype(dtype) for a in decoded[epoch]), batches=1
    )


def wanted(folder, run):
    return train(run, arrays(folder, "train", run), arrays(folder, "val", run))[0]


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_numbers_are_those_of_arrays_with_the_same_crops(folder, tmp_path, precision):
    rules = FIVE if precision == "float32" else ("align-ada",)
    plan = plan_of(folder, precision=precision, rules=rules)
    network = plan.items[0].run.learner.network
    assert (network.image, network.classes) == ((SIZE, SIZE, 3), 3)
    results = executed(tmp_path, plan)
    assert [r.item.rule for r in results] == list(rules)
    for result in results:
        alone = wanted(folder, result.item.run)
        assert_same_history(result.history, alone)
        assert result.history.curve == alone.curve
        assert [step for step, _ in alone.curve] == [1, 3, 4, 6]
        assert result.history.status == "trained"
    losses = {r.history.epochs[-1].train_loss for r in results}
    assert len(losses) == len(rules)


def test_other_seeds_have_other_crops_and_each_its_own_numbers(folder, tmp_path):
    results = executed(tmp_path, plan_of(folder, seed=(99, 5), rules=("normal",)))
    for result in results:
        assert_same_history(result.history, wanted(folder, result.item.run))
    assert results[0].history.epochs[0].train_loss != results[1].history.epochs[0].train_loss


class StopError(Exception):
    """Somebody interrupts."""


@pytest.mark.parametrize("calls", [1, 2, 3, 4, 5])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(folder, tmp_path, monkeypatch, calls):
    monkeypatch.setattr(trainer, "PART_SECONDS", 0.0)
    plan, told = plan_of(folder, rules=("align-ada",)), []

    def stop(item, moment):
        told.append(moment)
        if len(told) == calls:
            raise StopError

    with pytest.raises(StopError):
        executed(tmp_path, plan, stop)
    assert not any(thread.name.startswith("points") for thread in threading.enumerate())
    (result,) = executed(tmp_path, plan, lambda item, moment: told.append(moment))
    assert_same_history(result.history, wanted(folder, plan.items[0].run))
    assert result.history.curve == wanted(folder, plan.items[0].run).curve
    assert len({(m.epoch, m.step) for m in told}) == len(told) == 6  # no step is taken twice


@pytest.mark.parametrize(
    ("damaged", "begun"), [("train/b/2.png", 0), ("val/c/1.png", 1)], ids=["train", "val"]
)
def test_a_damaged_image_is_a_failed_run_and_others_go_on(folder, tmp_path, damaged, begun):
    """Of the same size, so that a mended one is the same set."""
    copy, out = tmp_path / "images", tmp_path / "out"
    shutil.copytree(folder, copy)
    plan = plan_of(copy, rules=("normal", "fa"))
    first = executed(out, plan_of(copy, rules=("normal",)))
    whole = (copy / damaged).read_bytes()
    (copy / damaged).write_bytes(whole[:60] + bytes(len(whole) - 60))
    normal, fa = executed(out, plan)
    assert normal.reused == 2
    assert_same_history(normal.history, first[0].history)
    assert fa.history.status.startswith("failed: data_dir (")
    assert f"; got {damaged}: " in fa.history.status
    assert not fa.history.epochs
    assert not any(thread.name.startswith("points") for thread in threading.enumerate())
    (copy / damaged).write_bytes(whole)
    told = []
    again = executed(out, plan, lambda item, moment: told.append(moment))
    assert_same_history(again[1].history, wanted(folder, plan.items[1].run))
    assert again[1].history.status == "trained"
    assert len(list((out / CHECKPOINTS).iterdir())) == 2
    if begun:
        assert (told[0].epoch, told[0].step) == (1, 3)  # only what came after the first epoch's


@pytest.mark.parametrize("stopped", [False, True])
def test_epochs_that_were_trained_before_an_image_was_damaged_are_kept(
    folder, tmp_path, monkeypatch, stopped
):
    plan, image = plan_of(folder, rules=("normal",)), ImageFolder.image
    if stopped:
        executed(tmp_path, plan_of(folder, rules=("normal",), epochs=1))

    def damaged(self, index, seed=0, epoch=0):
        if (self.part, index, epoch) == ("train", 7, 2):
            raise self._wrong("train/b/3.png: gone", UnreadableImageError)
        return image(self, index, seed, epoch)

    with monkeypatch.context() as context:
        context.setattr(ImageFolder, "image", damaged)
        (result,) = executed(tmp_path, plan)
    assert "got train/b/3.png: gone" in result.history.status
    alone = wanted(folder, replace(plan.items[0].run, epochs=1))
    assert_same_history(replace(result.history, status="trained"), alone)
    assert result.history.curve == alone.curve
    (result,) = executed(tmp_path, plan)
    assert result.reused == 1
    assert_same_history(result.history, wanted(folder, plan.items[0].run))


def test_nothing_is_decoded_for_a_plan(folder, monkeypatch):
    monkeypatch.setattr(ImageFolder, "image", None)
    plan = plan_of(folder, train=8, test=5)
    assert (plan.items[0].run.order.train, plan.items[0].run.order.test) == (8, 5)
    (shape,) = {item.run.learner.network.image for item in plan.items}
    assert shape == (SIZE, SIZE, 3)


def test_the_folder_may_lie_in_one_of_the_sets_name(folder, tmp_path):
    (tmp_path / "imagenet").symlink_to(folder)
    assert len(plan_of(tmp_path).points.train) == 12


def test_without_a_folder_nothing_runs():
    with pytest.raises(InputError, match=r"data_dir \(None\) must be the folder of the imagenet"):
        plan_of(None)


def test_the_papers_network():
    network = IMAGENET.build(512, 100, IMAGENET.inputs, IMAGENET.outputs)
    assert [layer.outputs for layer in network.maps[:-1]] == [
        (512, side, side) for side in (56, 28, 28, 14, 14, 7, 7)
    ]
    assert network.outputs == 1000
    assert math.isclose(sum(np.prod(p.parameters.weight.shape) for p in network.maps) / 1e6, 14.7,
                        rel_tol=0.01)  # fmt: skip


def test_points_that_do_not_depend_on_the_seed_have_one_feed():
    from tests.experiments import small

    points = small.plan(small.item()).points
    feed_of = supply.feeding(points.train, 4)
    assert feed_of(1) is feed_of(2)
    assert isinstance(feed_of(1), Resident)
