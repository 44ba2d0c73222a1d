"""What training takes: what the compiler says, within a factor; and what cannot fit is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from ntkalign import InputError
from ntkalign.data.batches import BatchOrder
from ntkalign.experiments import memory, plan
from ntkalign.experiments.catalogue import TABLE7, TABLE8
from ntkalign.experiments.memory import points_bytes, training_bytes
from ntkalign.experiments.options import Options
from ntkalign.experiments.plan import refuse_too_wide
from ntkalign.experiments.task import ADD, CIFAR10, IMAGENET, KMNIST
from ntkalign.precision import scope
from ntkalign.rules import RULES, variant
from ntkalign.training.feed import RESIDENT_BYTES, STRETCH_BYTES
from ntkalign.training.learner import Frozen, Learner, State
from ntkalign.training.loop import Points, Told, train_steps
from ntkalign.training.optimisers import OPTIMISERS
from ntkalign.training.trainer import Run
from tests.data import made
from tests.experiments.small import planned

GIB = 2**30


def run_of(task, rule, width, batch, optimiser="sgd", precision="float32"):
    network = task.build(width, batch, task.inputs, task.outputs)
    learner = Learner(network, variant(RULES[rule], "published"), task.loss, OPTIMISERS[optimiser])
    order = BatchOrder(99, batch, train=2 * batch, test=batch)
    return Run(learner, 1.0, 1, order, 99, precision=precision)


def compiled_bytes(run, task):
    """What XLA says that the program of a step takes, without its points; nothing is allocated."""
    learner, dtype = run.learner, jnp.dtype(run.precision)
    network, rule = learner.network, learner.rule

    def array(*shape, of=dtype):
        return jax.ShapeDtypeStruct(shape, of)

    like = tuple(
        jax.tree.map(lambda a: array(*a.shape), layer.parameters) for layer in network.maps
    )
    moments = jax.eval_shape(learner.optimiser.make(0.0).init, like)
    teacher = State(like, moments, ()) if rule.error == "normal" else ()
    constants = ()
    if rule.name == "fa":
        constants = tuple(layer.weight for layer in like)
    elif rule.name.startswith("dfa"):
        shapes = network.projection_shapes(shared=rule.name == "dfa-shared")
        constants = tuple(array(*shape) for shape in shapes)
    layers = sum(layer.weight is not None for layer in like)
    told = jax.eval_shape(lambda: Told.blank(2, 0, layers, dtype))
    outputs = (*task.inputs[:1], 1) if task.network == "rnn" else (task.outputs,)
    batch = run.order.batch
    points = Points(array(2 * batch, *task.inputs), array(2 * batch, *outputs))
    with scope(run.precision):
        found = train_steps.lower(
            learner, State(like, moments, teacher), told, Frozen(like, constants), array(),
            points, array(2, batch, of=jnp.int32), array(3, of=jnp.int32),
        ).compile().memory_analysis()  # fmt: skip
    whole = found.temp_size_in_bytes + found.argument_size_in_bytes
    of_points = sum(math.prod(a.shape) * dtype.itemsize for a in points)
    return whole + found.output_size_in_bytes - found.alias_size_in_bytes - of_points


@pytest.mark.parametrize("rule", ["normal", "align-ada", "align-prop", "dfa", "w-star"])
@pytest.mark.parametrize(
    ("task", "width", "batch"), [(CIFAR10, 8, 20), (KMNIST, 24, 50), (ADD, 64, 50)],
    ids=["cifar10", "kmnist", "add"],
)  # fmt: skip
def test_the_estimate_is_near_what_the_compiler_says(task, width, batch, rule):
    run = run_of(task, rule, width, batch)
    assert 0.7 < training_bytes(run) / compiled_bytes(run, task) < 1.1


@pytest.mark.parametrize(
    ("task", "rule", "width", "batch", "optimiser", "precision"),
    [
        (ADD, "last-layer", 64, 20, "sgd", "float32"), (ADD, "fa", 300, 4, "sgd", "float32"),
        (KMNIST, "align-zero", 8, 20, "sgd", "float64"),
        (KMNIST, "normal", 8, 20, "adam", "float32"),
        (ADD, "normal", 400, 2, "adam", "float32"),
        (replace(IMAGENET, inputs=(64, 64, 3)), "dfa-shared", 8, 10, "sgd", "float32"),
    ],
)  # fmt: skip
def test_so_it_is_for_other_rules_optimisers_and_precisions(
    task, rule, width, batch, optimiser, precision, monkeypatch
):
    monkeypatch.setattr(memory, "_on_a_cpu", lambda: task is not ADD)  # no drawing, no windows
    run = run_of(task, rule, width, batch, optimiser, precision)
    assert 0.7 < training_bytes(run) / compiled_bytes(run, task) < 1.1


def test_drawing_counts_where_a_network_is_wide_and_its_batch_small(monkeypatch):
    run = run_of(ADD, "normal", 10000, 1)
    weights = 4 * 10000**2
    assert training_bytes(run) == pytest.approx(4 * weights, rel=0.01)
    monkeypatch.setattr(memory, "_on_a_cpu", lambda: False)
    assert training_bytes(run) == pytest.approx(2 * weights, rel=0.1)


def test_points_are_all_of_them_or_a_few_stretches(monkeypatch):
    run = run_of(IMAGENET, "normal", 2, 10)
    one = 4 * (224 * 224 * 3 + 1000)
    assert points_bytes(run) == 30 * one
    many = replace(run, order=BatchOrder(99, 10, train=RESIDENT_BYTES // one + 1, test=20))
    assert points_bytes(many) == 2 * STRETCH_BYTES + 20 * one
    monkeypatch.setattr(memory, "_on_a_cpu", lambda: False)
    assert points_bytes(many) == STRETCH_BYTES + 20 * one
    huge = replace(many, order=BatchOrder(99, 1000, train=many.order.train, test=1000))
    assert points_bytes(huge) == 1000 * one + 1000 * one
    assert points_bytes(run_of(ADD, "normal", 2, 50)) == 150 * 100 * 2 * 4


def test_nothing_is_allocated_for_a_network_of_any_width():
    for task in (ADD, CIFAR10, IMAGENET):
        needed = training_bytes(run_of(task, "dfa", 10**6, 10))
        assert needed > 2 * 4 * 10**12


# --- what is refused ------------------------------------------------------------------------


def test_a_width_that_cannot_fit_is_refused_with_the_largest_that_does():
    plans = [planned(TABLE8, Options(widths=(8, 4096, 10**6), rules=("normal", "align-ada")))]
    with pytest.raises(InputError) as caught:
        refuse_too_wide(plans, 23 * GIB)
    assert str(caught.value) == (
        "widths (8,4096,1000000) must be at most 4096; got 1000000; because training ×1000000 by "
        "Normal needs about 14,902 GiB and there are 23; do: pass smaller widths, or a "
        "smaller batch"
    )
    refuse_too_wide([planned(TABLE8, Options(widths=(8, 4096)))], 23 * GIB)


def test_where_none_fits_it_says_so():
    plans = [planned(TABLE8, Options(widths=(4096,), rules=("normal",)))]
    with pytest.raises(
        InputError, match=r"widths \(4096\) must be smaller, for none of them fits; got 4096; "
        r"because training ×4096 by Normal needs about \d[.\d]* GiB and there are 0.125;",
    ):  # fmt: skip
        refuse_too_wide(plans, GIB // 8)


def test_the_largest_run_of_a_width_must_fit_by_itself_with_its_points():
    plans = [planned(TABLE8, Options(widths=(256,), rules=("normal", "fa")))]
    one, two = plans[0].items
    assert one.bytes == training_bytes(one.run) + points_bytes(one.run)
    assert one.bytes < two.bytes
    refuse_too_wide(plans, two.bytes)
    with pytest.raises(InputError, match=r"widths \(256\) must be .* ×256 by FA needs about"):
        refuse_too_wide(plans, two.bytes - 1)


def test_all_plans_of_a_command_are_looked_at(tmp_path):
    made.kmnist(tmp_path)
    asked = Options(data_dir=tmp_path, test=8, train=10, batch=4, widths=(8, 2**20))
    plans = [planned(TABLE8, replace(asked, batch=8)), planned(TABLE7, asked)]
    with pytest.raises(InputError, match=r"widths \(8,1048576\) must be at most 8; got 1048576"):
        refuse_too_wide(plans, GIB)


def test_where_nobody_knows_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(plan, "available_bytes", lambda: None)
    refuse_too_wide([planned(TABLE8, Options(widths=(10**6,)))])
